//! What a holder can rely on while it holds.

use std::sync::Arc;
use std::time::Duration;

use lease::{ClaimError, ManualClock, Registrar, RegistrarError, ReleaseReason};
use lease_tests::faulty::FaultyLedger;
use lease_tests::patience::eventually;

use crate::setup::{TTL, last_release, with_clock};

fn on_faulty() -> (Registrar, FaultyLedger, ManualClock) {
    let (ledger, clock) = (FaultyLedger::default(), ManualClock::new());
    let registrar = Registrar::builder()
        .clock(clock.clone())
        .on(Arc::new(ledger.clone()))
        .unwrap();
    (registrar, ledger, clock)
}

#[test]
fn a_claim_renews_itself_for_as_long_as_it_lives() {
    let (jobs, clock) = with_clock();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    for round in 1..=10 {
        clock.advance(TTL / 3);
        eventually("a renewal", || claim.lease().renewal_count == round);
        assert!(claim.is_held());
    }
    claim.release(ReleaseReason::Completed).wait().unwrap();
}

#[test]
fn a_claim_is_renewed_no_sooner_than_after_a_third_of_its_time() {
    let (jobs, clock) = with_clock();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    clock.advance((TTL / 3).saturating_sub(Duration::from_secs(1)));
    // Another claim's renewal shows that the renewer has looked.
    let other = jobs.try_claim("other", Duration::from_secs(1)).wait().unwrap();
    clock.advance(Duration::from_millis(334));
    eventually("the other's renewal", || other.lease().renewal_count == 1);
    assert_eq!(claim.lease().renewal_count, 0);
    clock.advance(Duration::from_millis(666));
    eventually("a renewal", || claim.lease().renewal_count == 1);
}

#[test]
fn a_claim_is_given_up_before_its_end_by_a_twentieth_but_no_less_than_50_ms() {
    for (ttl, margin) in [
        (TTL, TTL / 20),
        (Duration::from_secs(1), Duration::from_millis(50)),
    ] {
        let (jobs, ledger, clock) = on_faulty();
        let claim = jobs.try_claim("work", ttl).wait().unwrap();
        let hanging = ledger.hang();
        assert_eq!(claim.remaining(), ttl.saturating_sub(margin));
        clock.advance(ttl.saturating_sub(margin).saturating_sub(Duration::from_nanos(1)));
        assert!(claim.is_held());
        assert_eq!(claim.remaining(), Duration::from_nanos(1));
        clock.advance(Duration::from_nanos(1));
        assert!(!claim.is_held());
        assert_eq!(claim.remaining(), Duration::ZERO);
        drop(hanging);
    }
}

#[test]
fn a_claim_whose_lease_somebody_has_extended_lasts_as_long_as_that() {
    let (jobs, clock) = with_clock();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    jobs.renew(claim.lease().lease_id, TTL * 4).wait().unwrap();
    // Its own renewal would not extend the lease.
    clock.advance(TTL / 3);
    eventually("the claim to learn of it", || claim.remaining() > TTL * 3);
    clock.advance(TTL * 3);
    assert!(claim.is_held());
    eventually("a renewal of its own", || claim.lease().renewal_count == 2);
    claim.release(ReleaseReason::Completed).wait().unwrap();
}

#[test]
fn a_renewal_that_comes_after_the_give_up_point_does_not_revive_the_claim() {
    let (jobs, ledger, clock) = on_faulty();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    let hanging = ledger.hang();
    clock.advance(TTL / 2);
    // The renewal is on its way: queued, signed, in front of the section.
    std::thread::sleep(Duration::from_millis(100));
    clock.advance((TTL / 2).saturating_sub(TTL / 20));
    assert!(!claim.is_held());
    drop(hanging);
    let renewed = || {
        jobs.query(|state| state.get(&claim.lease().lease_id).unwrap().renewal_count)
            .unwrap()
    };
    eventually("the late renewal", || renewed() == 1);
    // Its answer has been given when a later command's has.
    jobs.issue("other", TTL).wait().unwrap();
    assert!(!claim.is_held());
    drop(claim);
    drop(jobs.try_claim("work", TTL).wait().unwrap());
}

#[test]
fn a_claim_ends_at_its_deadline_though_the_ledger_hangs() {
    let (jobs, ledger, clock) = on_faulty();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    let hanging = ledger.hang();
    let (told, is_told) = std::sync::mpsc::channel();
    claim.on_lost(move || told.send(()).unwrap());
    clock.advance(TTL);
    is_told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(!claim.is_held());
    drop(hanging);
}

#[test]
fn a_renewal_that_fails_is_tried_again_in_time() {
    let (jobs, ledger, clock) = on_faulty();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    ledger.fail_appends(true);
    clock.advance(TTL / 3);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(claim.lease().renewal_count, 0);
    ledger.fail_appends(false);
    clock.advance(TTL / 20);
    eventually("the second attempt", || claim.lease().renewal_count == 1);
    assert!(claim.is_held());
}

#[test]
fn a_revoked_claim_is_lost_at_once() {
    let (jobs, _clock) = with_clock();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    let (told, is_told) = std::sync::mpsc::channel();
    claim.on_lost(move || told.send(()).unwrap());
    jobs.revoke_work("work", "operator").wait().unwrap();
    is_told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(!claim.is_held());
    assert!(matches!(claim.lost_error(), ClaimError::Lost { .. }));
}

#[test]
fn a_claim_that_another_registrar_revoked_is_lost_at_its_next_renewal() {
    let ledger = Arc::new(lease::ledger::MemoryLedger::new());
    let signer = lease::Signer::generate();
    let clock = ManualClock::new();
    let open = || {
        Registrar::builder()
            .signer(signer.clone())
            .clock(clock.clone())
            .on(ledger.clone())
            .unwrap()
    };
    let (ours, theirs) = (open(), open());
    let claim = ours.try_claim("work", TTL).wait().unwrap();
    theirs.revoke_work("work", "operator").wait().unwrap();
    clock.advance(TTL / 3);
    eventually("the loss", || !claim.is_held());
}

#[test]
fn a_claim_that_was_revoked_before_it_was_on_disk_is_not_handed_out() {
    let (ledger, signer) = (FaultyLedger::default(), lease::Signer::generate());
    let open = || {
        let builder = Registrar::builder().signer(signer.clone());
        builder.on(Arc::new(ledger.clone())).unwrap()
    };
    let (ours, theirs) = (open(), open());
    let is_leased = |jobs: &Registrar| jobs.query(|state| state.has_active_lease("work")).unwrap();
    let hanging = ledger.hang_syncs();
    let claim = ours.try_claim("work", TTL);
    eventually("the issue", || is_leased(&theirs));
    let revoked = theirs.revoke_work("work", "operator");
    // Seen here while the claim is still on its way.
    eventually("the revocation", || !is_leased(&ours));
    drop(hanging);
    revoked.wait().unwrap();
    let refused = claim.wait();
    assert!(matches!(refused, Err(ClaimError::Lost { .. })), "{refused:?}");
}

#[test]
fn the_loss_wakes_whoever_awaits_it() {
    let (jobs, ledger, clock) = on_faulty();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    let hanging = ledger.hang();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let lost = runtime.spawn(claim.lost());
    clock.advance(TTL);
    runtime.block_on(lost).unwrap();
    drop(hanging);
}

#[test]
fn a_slow_callback_delays_no_other_claim() {
    let (jobs, ledger, clock) = on_faulty();
    let (slow, quick) = (
        jobs.try_claim("slow", TTL).wait().unwrap(),
        jobs.try_claim("quick", TTL).wait().unwrap(),
    );
    let hanging = ledger.hang();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    slow.on_lost(move || {
        let _ = blocked.recv();
    });
    let (told, is_told) = std::sync::mpsc::channel();
    quick.on_lost(move || told.send(()).unwrap());
    clock.advance(TTL);
    is_told.recv_timeout(Duration::from_secs(20)).unwrap();
    drop((release, hanging));
}

#[test]
fn a_callback_on_a_claim_that_is_lost_already_is_called_too() {
    let (jobs, ledger, clock) = on_faulty();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    let hanging = ledger.hang();
    clock.advance(TTL);
    let (told, is_told) = std::sync::mpsc::channel();
    claim.on_lost(move || told.send(()).unwrap());
    is_told.recv_timeout(Duration::from_secs(20)).unwrap();
    drop(hanging);
}

#[test]
fn at_most_ends_a_claim_however_alive_its_holder_is() {
    let (jobs, clock) = with_clock();
    // Not where a renewal would have ended by itself.
    let most = Duration::from_secs(53);
    let claim = jobs.claim("work", TTL).at_most(most).acquire().wait().unwrap();
    for round in 1..=3 {
        clock.advance(TTL / 3);
        eventually("a renewal", || claim.lease().renewal_count == round);
    }
    let lease = claim.lease();
    let (start, end) = (lease.issued_at_tick.unwrap(), lease.expires_at_tick.unwrap());
    assert_eq!(start.until(&end), Some(most));

    // Another claim's renewal shows that the renewer has looked, and that this one has had its last.
    let other = jobs.try_claim("other", TTL).wait().unwrap();
    clock.advance(TTL / 3);
    eventually("the other's renewal", || other.lease().renewal_count == 1);
    assert_eq!(claim.lease().renewal_count, 3);
    clock.advance(claim.remaining());
    assert!(!claim.is_held());
}

#[test]
fn at_most_may_be_shorter_than_any_lease() {
    let (jobs, clock) = with_clock();
    let most = Duration::from_millis(250);
    let claim = jobs.claim("work", TTL).at_most(most).acquire().wait().unwrap();
    assert_eq!(claim.remaining(), most);
    clock.advance(most);
    assert!(!claim.is_held());
}

#[test]
fn a_claim_that_was_over_before_it_began_is_not_handed_out() {
    let (jobs, ledger, clock) = on_faulty();
    let hanging = ledger.hang();
    let claim = jobs.try_claim("work", TTL);
    std::thread::sleep(Duration::from_millis(100));
    // Past the give-up point of what is signed by now, but not past its end.
    clock.advance(TTL.saturating_sub(TTL / 40));
    drop(hanging);
    let refused = claim.wait();
    assert!(matches!(refused, Err(ClaimError::Lost { .. })), "{refused:?}");
    eventually("its release", || last_release(&jobs, "work").is_some());
}

#[test]
fn tokens_of_later_claims_are_greater_and_a_fence_knows_them() {
    let (jobs, _clock) = with_clock();
    let first = jobs.try_claim("work", TTL).wait().unwrap();
    let old = first.fencing_token();
    assert_eq!(old.get(), first.lease().fencing_token);
    drop(first);
    let second = jobs.try_claim("work", TTL).wait().unwrap();
    let fence = lease::Fence::starting_at(old.get());
    fence.admit(old).unwrap();
    fence.admit(second.fencing_token()).unwrap();
    assert!(matches!(fence.admit(old), Err(lease::FenceError::Stale { .. })));

    let elsewhere = Registrar::in_memory().unwrap();
    let foreign = elsewhere.try_claim("work", TTL).wait().unwrap();
    let refused = fence.admit(foreign.fencing_token());
    assert!(
        matches!(refused, Err(lease::FenceError::ForeignLedger { .. })),
        "{refused:?}"
    );
}

#[test]
fn a_time_to_live_under_a_second_is_refused() {
    let (jobs, _clock) = with_clock();
    let refused = jobs.try_claim("work", Duration::from_millis(999)).wait();
    assert!(
        matches!(&refused, Err(ClaimError::Registrar(RegistrarError::Lease(_)))),
        "{refused:?}"
    );
}

#[test]
fn many_claims_share_one_renewer() {
    let (jobs, clock) = with_clock();
    let claims: Vec<_> = (0..200)
        .map(|number| jobs.try_claim(format!("work-{number}"), TTL).wait().unwrap())
        .collect();
    let threads = || {
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
            .filter(|name| name.starts_with("lease-renewer"))
            .count()
    };
    // Other tests of this process have a registrar and so a renewer each; none has one a claim.
    assert!(threads() < 100, "{} renewers", threads());
    for round in 1..=3 {
        clock.advance(TTL / 3);
        eventually("all renewals", || {
            claims.iter().all(|claim| claim.lease().renewal_count == round)
        });
    }
}
