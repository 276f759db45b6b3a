//! Ended leases are forgotten after their time, by whoever has read as far, and nothing else is forgotten with them.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lease::ledger::{Ledger, LedgerError, MemoryLedger, NewRecord};
use lease::{
    EventRecord, LeaseReducerState, LeaseState, ManualClock, Registrar, RegistrarBuilder, RegistrarError,
    ReleaseReason, Signer, Viewer,
};
use tempfile::TempDir;

use crate::setup::TTL;

const HOUR: Duration = Duration::from_hours(1);

fn keeping(retention: Duration, clock: &ManualClock) -> RegistrarBuilder {
    Registrar::builder()
        .clock(clock.clone())
        .checkpoint_interval(0)
        .retain_terminal(retention)
}

fn place() -> (PathBuf, TempDir) {
    let root = tempfile::tempdir().unwrap();
    (root.path().join("jobs.lease"), root)
}

fn state(registrar: &Registrar) -> LeaseReducerState {
    registrar.query(Clone::clone).unwrap()
}

/// Issues a lease on `work` and gives it back; returns its id.
fn done(registrar: &Registrar, work: &str) -> String {
    let lease = registrar.issue(work, TTL).wait().unwrap();
    let released = registrar.release(&lease.lease_id, ReleaseReason::Completed);
    released.wait().unwrap().lease_id
}

/// Leases that end in every way, over some hours; the wall clock leaps and steps back meanwhile.
fn busy_days(registrar: &Registrar, clock: &ManualClock, rounds: Range<u32>) {
    let start = 1_600_000_000_000_000_000;
    for round in rounds {
        let work = |what: &str| format!("{what}/{round}");
        done(registrar, &work("done"));
        registrar.issue(work("left"), TTL).wait().unwrap();
        let taken = registrar.issue(work("taken"), TTL).wait().unwrap();
        registrar.revoke(&taken.lease_id, "operator").wait().unwrap();
        registrar.issue(work("held"), HOUR * 1_000).wait().unwrap();
        clock.advance(HOUR / 5);
        match round % 4 {
            1 => clock.set_wall(start),
            2 => clock.set_wall(start + u64::from(round) * 700_000_000_000),
            3 => drop(registrar.expire_due().wait().unwrap()),
            _ => {}
        }
    }
}

fn reopened(path: &Path, retention: Duration, clock: &ManualClock) -> LeaseReducerState {
    let registrar = keeping(retention, clock).open(path).unwrap();
    let state = state(&registrar);
    registrar.close().wait().unwrap();
    state
}

#[test]
fn a_reopened_registrar_knows_the_leases_that_it_knew_from_a_checkpoint_and_without() {
    for cut in [1, 4, 9] {
        let (path, _root) = place();
        let clock = ManualClock::new();
        let registrar = keeping(HOUR, &clock).open(&path).unwrap();
        busy_days(&registrar, &clock, 0..cut);
        registrar.checkpoint().unwrap();
        busy_days(&registrar, &clock, cut..10);
        let known = state(&registrar);
        assert!(known.terminal_count() > 0 && known.terminal_count() < 20);
        registrar.close().wait().unwrap();
        drop(registrar);

        assert_eq!(reopened(&path, HOUR, &clock), known);
        fs::remove_dir_all(path.join("checkpoints")).unwrap();
        assert_eq!(reopened(&path, HOUR, &clock), known);
    }
}

#[test]
fn a_registrar_that_reads_along_knows_the_same_leases_and_a_viewer_knows_all() {
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let (clock, signer) = (ManualClock::new(), Signer::generate());
    let open = || {
        let builder = keeping(HOUR, &clock).signer(signer.clone());
        builder.on(Arc::clone(&ledger)).unwrap()
    };
    let (writing, reading) = (open(), open());
    let viewer = Viewer::on(Arc::clone(&ledger));
    for round in 0..6 {
        busy_days(&writing, &clock, round..round + 1);
        assert_eq!(state(&reading), state(&writing));
    }
    assert_eq!(viewer.query(LeaseReducerState::len).unwrap(), 24);
    assert!(state(&writing).len() < 24);
}

#[test]
fn a_lease_is_kept_for_its_whole_time_and_forgotten_with_the_next_change() {
    let clock = ManualClock::new();
    let registrar = keeping(HOUR, &clock).in_memory().unwrap();
    let old = done(&registrar, "old");
    let kept = |registrar: &Registrar| state(registrar).get(&old).is_some();
    clock.advance(HOUR);
    let held = registrar.issue("held", TTL).wait().unwrap();
    assert!(kept(&registrar), "not a moment too early");
    clock.advance(Duration::from_nanos(1));
    assert!(kept(&registrar), "time alone forgets nothing");
    registrar.renew(&held.lease_id, TTL * 2).wait().unwrap();
    assert!(!kept(&registrar));
    assert_eq!(state(&registrar).len(), 1);
}

#[test]
fn a_forgotten_id_is_not_given_again_and_tokens_go_on() {
    let ledger = Arc::new(MemoryLedger::new());
    let clock = ManualClock::new();
    let builder = keeping(Duration::ZERO, &clock);
    let registrar = builder.on(ledger.clone()).unwrap();
    let last = registrar.issue("old", TTL).wait().unwrap();
    registrar
        .release(&last.lease_id, ReleaseReason::Completed)
        .wait()
        .unwrap();
    clock.advance(TTL);
    let next = registrar.issue("old", TTL).wait().unwrap();
    assert_eq!(state(&registrar).len(), 1, "the old one is forgotten");
    assert!(next.fencing_token > last.fencing_token);

    let again = EventRecord::new("note.made", "s", "a", []);
    let again = NewRecord::from(again).with_key(format!("lease/{}", last.lease_id));
    let refused = ledger.append(&ledger.head().unwrap(), &[again]);
    assert!(matches!(refused, Err(LedgerError::KeyUsed { .. })), "{refused:?}");
}

#[test]
fn all_forgotten_leaves_the_last_token_and_what_is_closed() {
    let (path, _root) = place();
    let clock = ManualClock::new();
    let registrar = keeping(Duration::ZERO, &clock).open(&path).unwrap();
    let claim = registrar
        .claim("cron", TTL)
        .at_least(HOUR)
        .acquire()
        .wait()
        .unwrap();
    let token = claim.fencing_token();
    claim.release(ReleaseReason::Completed).wait().unwrap();
    clock.advance(TTL);
    done(&registrar, "other");
    clock.advance(TTL);
    let held = registrar.issue("held", TTL).wait().unwrap();
    registrar.revoke(&held.lease_id, "enough").wait().unwrap();
    registrar.checkpoint().unwrap();
    registrar.close().wait().unwrap();
    drop(registrar);

    let registrar = keeping(Duration::ZERO, &clock).open(&path).unwrap();
    assert_eq!(state(&registrar).len(), 1);
    assert!(matches!(
        registrar.issue("cron", TTL).wait(),
        Err(RegistrarError::Busy(_))
    ));
    clock.advance(HOUR);
    let again = registrar.try_claim("cron", TTL).wait().unwrap();
    assert!(again.fencing_token().get() > token.get());
    drop(again);
    registrar.close().wait().unwrap();
}

/// They ended long ago, and are forgotten as soon as the records say so; who asked is told all the same.
#[test]
fn commands_tell_of_leases_that_they_end_and_forget_at_once() {
    let clock = ManualClock::new();
    let registrar = keeping(Duration::ZERO, &clock).in_memory().unwrap();
    for work in ["one", "two", "three"] {
        registrar.issue(work, TTL).wait().unwrap();
    }
    clock.advance(HOUR);
    let expired = registrar.expire_due().wait().unwrap();
    assert_eq!(expired.len(), 3);
    assert!(expired.iter().all(|lease| lease.state == LeaseState::Expired));
    assert!(state(&registrar).is_empty());
    let late = registrar.issue("late", TTL).wait().unwrap();
    clock.advance(HOUR);
    let taken = registrar.revoke(&late.lease_id, "late").wait().unwrap();
    assert_eq!(taken.state, LeaseState::Revoked);
    assert!(state(&registrar).is_empty());
}

#[test]
fn a_checkpoint_of_another_retention_is_not_taken() {
    let (path, _root) = place();
    let clock = ManualClock::new();
    let registrar = keeping(HOUR, &clock).open(&path).unwrap();
    busy_days(&registrar, &clock, 0..10);
    registrar.seal().unwrap();
    registrar.checkpoint().unwrap();
    registrar.close().wait().unwrap();
    drop(registrar);

    let everything = reopened(&path, Duration::MAX, &clock);
    assert_eq!(everything.len(), 40);
    let brief = reopened(&path, TTL, &clock);
    assert!(brief.terminal_count() < reopened(&path, HOUR, &clock).terminal_count());
    // Whoever has read it all once writes one that he takes himself.
    let registrar = keeping(Duration::MAX, &clock).open(&path).unwrap();
    registrar.checkpoint().unwrap();
    registrar.close().wait().unwrap();
    drop(registrar);
    assert_eq!(reopened(&path, Duration::MAX, &clock), everything);
}

#[test]
fn each_retention_has_checkpoints_of_its_own() {
    let (path, _root) = place();
    let clock = ManualClock::new();
    let registrar = keeping(HOUR, &clock).open(&path).unwrap();
    done(&registrar, "work");
    registrar.checkpoint().unwrap();
    registrar.seal().unwrap();
    registrar.close().wait().unwrap();
    drop(registrar);
    let registrar = keeping(Duration::MAX, &clock).open(&path).unwrap();
    for _ in 0..3 {
        done(&registrar, "other");
        registrar.checkpoint().unwrap();
    }
    registrar.close().wait().unwrap();
    drop(registrar);
    // What would have to be read without one.
    fs::rename(path.join("sealed"), path.join("away")).unwrap();
    for retention in [HOUR, Duration::MAX] {
        assert_eq!(reopened(&path, retention, &clock).len(), 4);
    }
    assert_eq!(fs::read_dir(path.join("checkpoints")).unwrap().count(), 3);
}

#[test]
fn what_is_sealed_leaves_a_checkpoint_without_forgotten_leases() {
    let (path, _root) = place();
    let clock = ManualClock::new();
    let registrar = keeping(HOUR, &clock)
        .checkpoint_interval(1_000)
        .open(&path)
        .unwrap();
    busy_days(&registrar, &clock, 0..10);
    registrar.seal().unwrap();
    let known = state(&registrar);
    registrar.close().wait().unwrap();
    drop(registrar);
    assert_eq!(fs::read_dir(path.join("checkpoints")).unwrap().count(), 1);
    // Without the sealed records there is only the checkpoint to begin with.
    fs::rename(path.join("sealed"), path.join("away")).unwrap();
    let registrar = keeping(HOUR, &clock).open(&path);
    fs::rename(path.join("away"), path.join("sealed")).unwrap();
    assert_eq!(state(&registrar.unwrap()), known);
}

/// A record that is refused changes nothing, whatever it says the time is.
#[test]
fn refused_records_forget_nothing() {
    let ledger = Arc::new(MemoryLedger::new());
    let clock = ManualClock::new();
    let registrar = keeping(HOUR, &clock).on(ledger.clone()).unwrap();
    done(&registrar, "work");
    let payload = lease::helpers::lease_issued_payload("forged", "other", "mallory", 1, 2, vec![1]);
    for record in [
        EventRecord::new("lease.issued", "s", "registrar", payload),
        EventRecord::new("note.made", "s", "mallory", []),
    ] {
        let late = record.at(u64::MAX, None);
        ledger.append(&ledger.head().unwrap(), &[late.into()]).unwrap();
        assert_eq!(state(&registrar).len(), 1);
    }
}
