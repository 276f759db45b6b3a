//! Clocks that jump, differ and start anew.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lease::ledger::MemoryLedger;
use lease::{
    ClaimError, Clock, ClockId, LeaseChange, LeaseError, LeaseState, ManualClock, Registrar, RegistrarError,
    ReleaseReason, Signer, SystemClock,
};

use crate::setup::{TTL, refusal, with_clock};

/// Registrars of one ledger and one key, each with a clock of its own.
fn each_by<const N: usize>(clocks: [&ManualClock; N]) -> [Registrar; N] {
    let ledger = Arc::new(MemoryLedger::new());
    let signer = Signer::generate();
    clocks.map(|clock| {
        Registrar::builder()
            .signer(signer.clone())
            .clock(clock.clone())
            .on(ledger.clone())
            .unwrap()
    })
}

#[test]
fn a_wall_clock_that_steps_back_blocks_nothing() {
    let (registrar, clock) = with_clock();
    let lease = registrar.issue("work", TTL).wait().unwrap();
    clock.set_wall(1_000);
    clock.advance(TTL / 2);
    let renewed = registrar.renew(&lease.lease_id, TTL).wait().unwrap();
    assert_eq!(renewed.expires_at - lease.expires_at, 15_000_000_000);
    clock.advance(TTL);
    clock.set_wall(1);
    registrar.issue("work", TTL).wait().unwrap();
}

#[test]
fn a_wall_clock_that_leaps_ahead_ends_nothing() {
    let (registrar, clock) = with_clock();
    registrar.issue("work", TTL).wait().unwrap();
    clock.set_wall(u64::MAX - 1);
    assert!(registrar.expire_due().wait().unwrap().is_empty());
    assert!(matches!(
        registrar.issue("work", TTL).wait(),
        Err(RegistrarError::Busy(_))
    ));
}

#[test]
fn ticks_never_fall_along_the_ledger() {
    // The second clock lags behind the first, as the clocks of two cores might.
    let id = ClockId::of(b"boot", b"");
    let (ahead, behind) = (ManualClock::with_id(id), ManualClock::with_id(id));
    ahead.advance(Duration::from_millis(5));
    let [first, second] = each_by([&ahead, &behind]);
    for round in 0..5 {
        first.issue(format!("first-{round}"), TTL).wait().unwrap();
        second.issue(format!("second-{round}"), TTL).wait().unwrap();
    }
    let records = first.ledger().read(0, 100).unwrap();
    let ticks: Vec<_> = records.iter().map(|record| record.tick.unwrap().value).collect();
    assert!(ticks.is_sorted(), "{ticks:?}");
}

#[test]
fn after_a_reboot_old_leases_are_revoked_for_it() {
    let (before, after) = (ManualClock::new(), ManualClock::new());
    let [old, new] = each_by([&before, &after]);
    let lease = old.issue("work", TTL).wait().unwrap();
    old.issue("forgotten", TTL).wait().unwrap();
    new.issue("work", TTL).wait().unwrap();
    let revoked = new
        .query(|state| state.get(&lease.lease_id).unwrap().clone())
        .unwrap();
    assert_eq!(revoked.state, LeaseState::Revoked);
    assert_eq!(
        revoked.revocation_reason.as_deref(),
        Some(LeaseChange::HOST_REBOOTED)
    );
    let due = new.expire_due().wait().unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(
        due[0].revocation_reason.as_deref(),
        Some(LeaseChange::HOST_REBOOTED)
    );
    new.verify().unwrap();
}

#[test]
fn a_lease_of_an_unknown_clock_is_left_alone_for_a_whole_term_since_its_last_sign_of_life() {
    let host = ManualClock::with_id(ClockId::of(b"boot", b"host"));
    let container = ManualClock::with_id(ClockId::of(b"boot", b"container"));
    let [theirs, ours] = each_by([&container, &host]);
    let lease = theirs.issue("work", TTL).wait().unwrap();
    let busy = |what: &str| {
        let Err(RegistrarError::Busy(busy)) = ours.issue("work", TTL).wait() else {
            panic!("{what}");
        };
        let holder = theirs.actor();
        assert_eq!(
            busy.to_string(),
            format!("work `work` is held by `{holder}` by a clock that cannot be compared with this one")
        );
    };
    busy("just seen");
    host.advance(TTL.saturating_sub(Duration::from_secs(1)));
    busy("within its term");

    // A renewal is a sign of life: the term begins anew.
    container.advance(Duration::from_secs(1));
    theirs.renew(&lease.lease_id, TTL).wait().unwrap();
    busy("seen renewing");
    host.advance(TTL.saturating_sub(Duration::from_secs(1)));
    busy("within its new term");

    host.advance(Duration::from_secs(1));
    ours.issue("work", TTL).wait().unwrap();
    let lost = ours
        .query(|state| state.get(&lease.lease_id).unwrap().clone())
        .unwrap();
    assert_eq!(lost.revocation_reason.as_deref(), Some(LeaseChange::CLOCK_LOST));
}

#[test]
fn at_least_keeps_the_item_closed_unless_a_person_revokes_the_lease_while_it_is_active() {
    let (registrar, clock) = with_clock();
    let hour = Duration::from_hours(1);
    let claim = || registrar.claim("cron", TTL).at_least(hour).acquire().wait();
    drop(claim().unwrap());
    let Err(ClaimError::Busy(busy)) = claim() else {
        panic!("the item was open");
    };
    assert_eq!((busy.holder(), busy.is_self()), (None, false));
    assert_eq!(busy.remaining(), hour);
    assert_eq!(busy.until(), Some(clock.tick().saturating_add(hour)));
    clock.advance(hour.saturating_sub(Duration::from_secs(1)));
    assert!(claim().is_err());
    clock.advance(Duration::from_secs(1));
    let second = claim().unwrap();
    registrar
        .revoke(second.lease().lease_id, "run it again")
        .wait()
        .unwrap();
    drop(claim().unwrap());
}

#[test]
fn what_at_least_keeps_closed_nobody_opens_once_the_lease_has_ended() {
    let (registrar, clock) = with_clock();
    let hour = Duration::from_hours(1);
    let claim = |work: &str| registrar.claim(work, TTL).at_least(hour).acquire().wait();
    let released = claim("released").unwrap();
    let expired = claim("expired").unwrap();
    let leases = [released.lease(), expired.lease()];
    released.release(ReleaseReason::Completed).wait().unwrap();
    std::mem::forget(expired);
    clock.advance(TTL);
    registrar.expire_due().wait().unwrap();
    for lease in leases {
        assert!(matches!(
            refusal(registrar.revoke(lease.lease_id, "run it again").wait()),
            LeaseError::LeaseAlreadyTerminal { .. }
        ));
        assert!(matches!(
            refusal(registrar.revoke_work(&lease.work_id, "run it again").wait()),
            LeaseError::WorkNotLeased { .. }
        ));
        assert!(matches!(claim(&lease.work_id), Err(ClaimError::Busy(busy)) if busy.holder().is_none()));
    }
}

#[test]
fn what_at_least_has_closed_opens_with_a_reboot_and_not_by_the_clock_of_another_namespace() {
    let clock = |boot: &[u8], namespace: &[u8]| ManualClock::with_id(ClockId::of(boot, namespace));
    let container = clock(b"boot", b"container");
    let [ours, theirs, later] = each_by([
        &clock(b"boot", b"host"),
        &container,
        &clock(b"later boot", b"host"),
    ]);
    let hour = Duration::from_hours(1);
    let claim = ours.claim("cron", TTL).at_least(hour).acquire().wait().unwrap();
    claim.release(ReleaseReason::Completed).wait().unwrap();
    container.advance(hour * 2);
    let Err(ClaimError::Busy(busy)) = theirs.try_claim("cron", TTL).wait() else {
        panic!("nobody can tell by that clock whether it is open");
    };
    assert_eq!(busy.holder(), None);
    drop(later.try_claim("cron", TTL).wait().unwrap());
}

/// Of a process whose time namespace says that the machine was started a million seconds earlier.
fn in_another_time() -> Command {
    let mut command = Command::new("unshare");
    command.args("--user --map-root-user --fork --time --boottime 1000000".split(' '));
    command
}

/// In a time namespace the clock that counts suspend can be ahead of the one that does not, as it is after a suspend.
#[test]
fn the_clock_of_the_machine_counts_suspend_and_is_another_in_each_time_namespace() {
    const ITSELF: &str =
        "time::the_clock_of_the_machine_counts_suspend_and_is_another_in_each_time_namespace";
    const IS_THERE: &str = "LEASE_TEST_IS_THERE";
    let here = SystemClock::new().tick();
    if std::env::var_os(IS_THERE).is_some() {
        return println!("\ntick {} {} {:?}", here.value, here.rate, here.clock);
    }
    if !in_another_time()
        .arg("true")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return eprintln!("skipped: this process may not make a time namespace");
    }
    let output = in_another_time()
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", ITSELF, "--nocapture"])
        .env(IS_THERE, "")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let tick = said.lines().find_map(|line| line.strip_prefix("tick ")).unwrap();
    let [value, rate, clock] = tick.split(' ').collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(rate, here.rate.to_string());
    assert_ne!(clock, format!("{:?}", here.clock));
    let ahead = |seconds| here.saturating_add(Duration::from_secs(seconds)).value;
    let value: u64 = value.parse().unwrap();
    assert!(
        (ahead(1_000_000)..ahead(1_010_000)).contains(&value),
        "{value}, {here:?} here"
    );
}
