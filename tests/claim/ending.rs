//! How a claim ends, and what the ledger says of it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use lease::{LeaseEvent, Registrar, RegistrarError, ReleaseReason, Signer};
use lease_tests::faulty::FaultyLedger;
use lease_tests::patience::eventually;

use crate::setup::{TTL, last_release, with_clock};

#[test]
fn dropping_a_claim_frees_the_work_item() {
    let (jobs, _clock) = with_clock();
    drop(jobs.try_claim("work", TTL).wait().unwrap());
    drop(jobs.try_claim("work", TTL).wait().unwrap());
    jobs.close().wait().unwrap();
    assert_eq!(last_release(&jobs, "work").as_deref(), Some("VOLUNTARY"));
}

#[test]
fn a_claim_dropped_in_a_panic_says_aborted() {
    let (jobs, _clock) = with_clock();
    let theirs = jobs.clone();
    let panicked = std::thread::spawn(move || {
        let _claim = theirs.try_claim("work", TTL).wait().unwrap();
        panic!("on purpose");
    })
    .join();
    assert!(panicked.is_err());
    eventually("the release", || last_release(&jobs, "work").is_some());
    assert_eq!(last_release(&jobs, "work").as_deref(), Some("ABORTED"));
}

#[test]
fn an_explicit_release_says_why() {
    let (jobs, _clock) = with_clock();
    for reason in [
        ReleaseReason::Completed,
        ReleaseReason::Aborted,
        ReleaseReason::Voluntary,
    ] {
        let claim = jobs.try_claim("work", TTL).wait().unwrap();
        claim.release(reason).wait().unwrap();
        assert_eq!(last_release(&jobs, "work").as_deref(), Some(reason.as_str()));
    }
}

#[test]
fn a_release_happens_even_if_nobody_waits_for_it() {
    let (jobs, _clock) = with_clock();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    drop(claim.release(ReleaseReason::Completed));
    drop(jobs.try_claim("work", TTL).wait().unwrap());
    let reasons: Vec<_> = jobs
        .query(|state| {
            state
                .leases()
                .iter()
                .filter_map(|lease| lease.release_reason)
                .collect()
        })
        .unwrap();
    assert_eq!(reasons[0], ReleaseReason::Completed);
}

/// A claim that is dropped makes way for whoever asks; one that was released has said all there is to say.
#[test]
fn a_claim_that_was_released_is_not_dropped_past_whoever_asked_before() {
    let ledger = FaultyLedger::default();
    let jobs = Registrar::builder().on(Arc::new(ledger.clone())).unwrap();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    let lease_id = claim.lease().lease_id;
    let hanging = ledger.hang();
    let other = jobs.issue("other", TTL);
    // The writer stands in front of the section; what comes now is queued.
    std::thread::sleep(Duration::from_millis(50));
    let next = jobs.try_claim("work", TTL);
    let released = claim.release(ReleaseReason::Completed);
    drop(hanging);
    released.wait().unwrap();
    let reason = jobs.query(|state| state.get(&lease_id).unwrap().release_reason);
    assert_eq!(reason.unwrap(), Some(ReleaseReason::Completed));
    drop((other, next));
}

#[test]
fn dropping_a_claim_does_not_wait_for_the_ledger() {
    let ledger = FaultyLedger::default();
    let jobs = Registrar::builder().on(Arc::new(ledger.clone())).unwrap();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    let hanging = ledger.hang();
    let begun = Instant::now();
    drop(claim);
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(hanging);
}

#[test]
fn an_abandoned_request_leaves_nothing_claimed() {
    let ledger = FaultyLedger::default();
    let jobs = Registrar::builder().on(Arc::new(ledger.clone())).unwrap();
    // Once dropped before it is taken up, once after it was obtained, once somewhere in between.
    drop(jobs.try_claim("work", TTL));
    let obtained = jobs.try_claim("work", TTL);
    eventually("the claim", || format!("{obtained:?}") == "Completion(done)");
    drop(obtained);
    eventually("its release", || {
        !jobs.query(|state| state.has_active_lease("work")).unwrap()
    });
    let hanging = ledger.hang();
    let on_its_way = jobs.try_claim("work", TTL);
    std::thread::sleep(Duration::from_millis(50));
    drop(on_its_way);
    // Asked before the other was even obtained, and not to be told that it is in the way.
    let next = jobs.try_claim("work", TTL);
    drop(hanging);
    drop(next.wait().unwrap());
}

#[test]
fn a_request_abandoned_while_the_registrar_closes_leaves_nothing_claimed() {
    type Ask = fn(&Registrar) -> Box<dyn Any>;
    let asks: [Ask; 2] = [
        |jobs| Box::new(jobs.try_claim("work", TTL)),
        |jobs| Box::new(jobs.issue("work", TTL)),
    ];
    for ask in asks {
        let (ledger, signer) = (FaultyLedger::default(), Signer::generate());
        let open = || {
            let builder = Registrar::builder().signer(signer.clone());
            builder.on(Arc::new(ledger.clone())).unwrap()
        };
        let (ours, theirs) = (open(), open());
        let is_leased = || theirs.query(|state| state.has_active_lease("work")).unwrap();
        let hanging = ledger.hang_syncs();
        let obtained = ask(&ours);
        eventually("the issue", is_leased);
        let closing = ours.close();
        drop(obtained);
        drop(hanging);
        closing.wait().unwrap();
        assert!(!is_leased());
    }
}

#[test]
fn whoever_gives_back_to_a_closed_registrar_is_told_so() {
    let (jobs, _clock) = with_clock();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    jobs.close().wait().unwrap();
    let (told, is_told) = std::sync::mpsc::channel();
    std::thread::spawn(move || told.send(claim.release(ReleaseReason::Completed).wait()));
    let refused = is_told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(matches!(refused, Err(RegistrarError::Closed)), "{refused:?}");
}

#[test]
fn a_claim_that_is_given_back_is_not_lost() {
    let (jobs, clock) = with_clock();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    let (told, is_told) = std::sync::mpsc::channel();
    claim.on_lost(move || told.send(()).unwrap());
    claim.release(ReleaseReason::Completed).wait().unwrap();
    clock.advance(TTL);
    assert!(is_told.recv().is_err(), "the callback was called, or kept");
}

#[test]
fn whoever_awaits_the_loss_of_a_claim_that_is_given_back_waits_no_longer() {
    #[derive(Default)]
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (jobs, _clock) = with_clock();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut lost = Box::pin(claim.lost());
    let mut poll = || lost.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(poll().is_pending());
    drop(claim);
    assert!(woken.0.load(Ordering::SeqCst) && poll().is_ready());
}

#[derive(LeaseEvent)]
#[event(namespace = "note")]
enum Note {
    #[event(kind = "made", tag = 1)]
    Made,
}

#[test]
fn what_was_recorded_before_a_claim_was_dropped_stands_before_its_release() {
    let jobs = Registrar::in_memory().unwrap();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    let section = jobs.ledger().enter().unwrap();
    // The writer waits with this one; the others queue up behind it.
    let stuck = jobs.issue("stuck", TTL);
    std::thread::sleep(Duration::from_millis(50));
    let note = jobs.record(&Note::Made);
    drop(claim);
    drop(section);
    stuck.wait().unwrap();
    let noted = note.wait().unwrap();
    jobs.close().wait().unwrap();
    let released = jobs.ledger().read(0, 100).unwrap();
    let released = released
        .iter()
        .find(|record| record.event_type == "lease.released");
    assert!(released.unwrap().sequence > noted);
}
