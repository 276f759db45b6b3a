//! A registrar that begins at a checkpoint is the registrar that a replay of everything gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use lease::ledger::{CheckpointTurn, Ledger, LedgerError, MemoryLedger, NewRecord, SqliteLedger};
use lease::{
    ClockId, EventRecord, LeaseError, LeaseReducerState, LedgerEvent, ManualClock, Registrar,
    RegistrarBuilder, RegistrarError, ReleaseReason, Signer, helpers,
};
use lease_tests::delegate;
use lease_tests::faulty::FaultyLedger;
use lease_tests::patience::eventually;
use tempfile::TempDir;

use crate::setup::{TTL, refusal};

/// Under which the ledger keeps what a registrar knows.
const VIEW: &str = "lease-registrar-view";

fn at(clock: &ManualClock, interval: u64) -> RegistrarBuilder {
    Registrar::builder()
        .clock(clock.clone())
        .checkpoint_interval(interval)
}

/// Waits for one that stands there or later.
fn await_checkpoint(ledger: &dyn Ledger, sequence: u64) {
    eventually("a checkpoint", || {
        let newest = ledger.checkpoints(VIEW).unwrap().first().copied();
        newest.is_some_and(|newest| newest >= sequence)
    });
}

fn place() -> (PathBuf, TempDir) {
    let root = tempfile::tempdir().unwrap();
    (root.path().join("jobs.lease"), root)
}

fn state(registrar: &Registrar) -> LeaseReducerState {
    registrar.query(Clone::clone).unwrap()
}

/// Something of everything: leases in all states, a key, a stranger's events.
fn busy_day(registrar: &Registrar, clock: &ManualClock) {
    let issue = |work: &str| registrar.issue(work, TTL).wait().unwrap();
    let (held, short, gone, taken) = (issue("held"), issue("short"), issue("gone"), issue("taken"));
    clock.advance(Duration::from_secs(20));
    registrar.renew(&held.lease_id, TTL).wait().unwrap();
    registrar
        .release(&gone.lease_id, ReleaseReason::Completed)
        .wait()
        .unwrap();
    registrar.revoke(&taken.lease_id, "operator").wait().unwrap();
    clock.advance(Duration::from_secs(15));
    assert_eq!(registrar.expire_due().wait().unwrap()[0].lease_id, short.lease_id);
    registrar
        .trust_key(Signer::from_bytes(&[7; 32]).public_key())
        .wait()
        .unwrap();
}

#[test]
fn open_from_a_checkpoint_equals_open_by_replay() {
    let (path, _root) = place();
    let clock = ManualClock::new();
    let registrar = at(&clock, 3).open(&path).unwrap();
    busy_day(&registrar, &clock);
    await_checkpoint(registrar.ledger(), 3);
    registrar.close().wait().unwrap();
    drop(registrar);

    let resumed = at(&clock, 0).open(&path).unwrap();
    let by_checkpoint = state(&resumed);
    resumed.close().wait().unwrap();
    drop(resumed);

    fs::remove_dir_all(path.join("checkpoints")).unwrap();
    let replayed = at(&clock, 0).open(&path).unwrap();
    assert_eq!(state(&replayed), by_checkpoint);
    replayed.close().wait().unwrap();
}

/// What the events of the lease alone do not say has to be in it too: who is trusted, which number a renewal has, which
/// ledger this is, where the tick stands.
#[test]
fn a_resumed_registrar_goes_on_where_the_other_stopped() {
    let (path, _root) = place();
    let clock = ManualClock::new();
    let registrar = at(&clock, 3).open(&path).unwrap();
    busy_day(&registrar, &clock);
    let token = registrar.try_claim("token", TTL).wait().unwrap().fencing_token();
    await_checkpoint(registrar.ledger(), 3);
    registrar.close().wait().unwrap();
    drop(registrar);

    // Only the key that was trusted before the checkpoint opens it now.
    let signer = Signer::from_bytes(&[7; 32]);
    let resumed = at(&clock, 0).signer(signer).open(&path).unwrap();
    let held = state(&resumed);
    let held = held.get_active_lease_for_work("held").unwrap();
    let renewed = resumed.renew(&held.lease_id, TTL * 2).wait().unwrap();
    assert_eq!(renewed.renewal_count, 2);
    resumed.revoke(&held.lease_id, "enough").wait().unwrap();
    let again = resumed.try_claim("held", TTL).wait().unwrap();
    assert!(again.fencing_token().is_same_ledger(&token));
    assert!(again.fencing_token().get() > token.get());
    let reused = resumed.ledger().read(0, 9).unwrap();
    assert!(reused.iter().any(|record| record.event_type == "lease.issued"));
    resumed.verify().unwrap();
    drop(again);
    resumed.close().wait().unwrap();
}

#[test]
fn a_stranger_s_lease_has_the_same_patience_from_a_checkpoint() {
    let boot = |namespace: &[u8]| ManualClock::with_id(ClockId::of(b"boot", namespace));
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let signer = Signer::generate();
    let open = |clock: &ManualClock, interval| {
        at(clock, interval)
            .signer(signer.clone())
            .on(Arc::clone(&ledger))
            .unwrap()
    };
    let (here, there) = (boot(b"here"), boot(b"there"));
    let elsewhere = open(&there, 2);
    elsewhere.issue("work", TTL).wait().unwrap();
    elsewhere.issue("other", TTL).wait().unwrap();
    await_checkpoint(&*ledger, 2);

    // Of a clock that cannot be compared, so a whole term from when it was first seen.
    let registrar = open(&here, 0);
    here.advance(TTL.checked_sub(Duration::from_nanos(1)).unwrap());
    assert!(registrar.issue("work", TTL).wait().is_err());
    here.advance(Duration::from_nanos(1));
    registrar.issue("work", TTL).wait().unwrap();
}

#[test]
fn ticks_do_not_fall_behind_a_checkpoint() {
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let signer = Signer::generate();
    let boot = ClockId::of(b"boot", b"here");
    let open = |clock: &ManualClock| {
        let builder = at(clock, 0).signer(signer.clone());
        builder.on(Arc::clone(&ledger)).unwrap()
    };
    let (ahead, behind) = (ManualClock::with_id(boot), ManualClock::with_id(boot));
    ahead.advance(Duration::from_millis(9));
    let registrar = open(&ahead);
    registrar.issue("one", TTL).wait().unwrap();
    registrar.checkpoint().unwrap();
    registrar.close().wait().unwrap();
    // Of a core whose clock is a hair behind.
    open(&behind).issue("two", TTL).wait().unwrap();
    let records = ledger.read(0, 9).unwrap();
    let ticks: Vec<_> = records.iter().map(|record| record.tick.unwrap().value).collect();
    assert!(ticks.is_sorted(), "{ticks:?}");
}

#[test]
fn keys_that_were_retired_stay_so_behind_a_checkpoint() {
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let (signer, former) = (Signer::generate(), Signer::generate());
    let clock = ManualClock::new();
    let open = || {
        at(&clock, 0)
            .signer(signer.clone())
            .on(Arc::clone(&ledger))
            .unwrap()
    };
    let registrar = open();
    registrar.trust_key(former.public_key()).wait().unwrap();
    registrar.retire_key(former.public_key()).wait().unwrap();
    registrar.checkpoint().unwrap();
    registrar.close().wait().unwrap();
    let again = open().trust_key(former.public_key()).wait();
    assert!(matches!(refusal(again), LeaseError::InvalidInput { field, .. } if field == "public_key"));
}

#[test]
fn a_checkpoint_can_be_asked_for() {
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let clock = ManualClock::new();
    let registrar = at(&clock, 0).on(Arc::clone(&ledger)).unwrap();
    busy_day(&registrar, &clock);
    assert_eq!(ledger.checkpoints(VIEW).unwrap(), []);
    registrar.checkpoint().unwrap();
    assert_eq!(
        ledger.checkpoints(VIEW).unwrap(),
        [ledger.head().unwrap().sequence]
    );
}

#[test]
fn a_checkpoint_is_kept_only_once_its_records_are_on_disk() {
    let ledger = FaultyLedger::default();
    let clock = ManualClock::new();
    let registrar = at(&clock, 0).on(Arc::new(ledger.clone())).unwrap();
    busy_day(&registrar, &clock);
    ledger.fail_syncs(true);
    assert!(registrar.checkpoint().is_err());
    assert_eq!(ledger.checkpoints(VIEW).unwrap(), []);
    ledger.fail_syncs(false);
    registrar.checkpoint().unwrap();
    assert_eq!(ledger.checkpoints(VIEW).unwrap(), [ledger.durable()]);
}

#[test]
fn a_closed_registrar_writes_the_checkpoint_that_is_asked_for() {
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let clock = ManualClock::new();
    let registrar = at(&clock, 0).on(Arc::clone(&ledger)).unwrap();
    busy_day(&registrar, &clock);
    registrar.close().wait().unwrap();
    registrar.checkpoint().unwrap();
    assert_eq!(
        ledger.checkpoints(VIEW).unwrap(),
        [ledger.head().unwrap().sequence]
    );
}

/// A ledger on disk that counts how often a checkpoint of a view is begun, and keeps whoever begins one.
struct Watched {
    ledger: SqliteLedger,
    begun: AtomicUsize,
    is_held: AtomicBool,
}

impl Watched {
    fn at(path: &Path) -> Arc<Self> {
        Arc::new(Self {
            ledger: SqliteLedger::open(path).unwrap(),
            begun: AtomicUsize::new(0),
            is_held: AtomicBool::new(true),
        })
    }

    fn begun(&self) -> usize {
        self.begun.load(SeqCst)
    }

    fn let_go(&self) {
        self.is_held.store(false, SeqCst);
    }
}

impl Ledger for Watched {
    delegate!(ledger: head, read, enter, sync, epoch, verify);

    fn checkpoints(&self, name: &str) -> Result<Vec<u64>, LedgerError> {
        self.ledger.checkpoints(name)
    }

    fn load_checkpoint(&self, name: &str, sequence: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        self.ledger.load_checkpoint(name, sequence)
    }

    fn save_checkpoint(&self, name: &str, sequence: u64, bytes: &[u8]) -> Result<(), LedgerError> {
        self.begun.fetch_add(1, SeqCst);
        eventually("the checkpoint may be written", || !self.is_held.load(SeqCst));
        self.ledger.save_checkpoint(name, sequence, bytes)
    }

    fn checkpoint_turn(&self) -> Result<Option<CheckpointTurn>, LedgerError> {
        self.ledger.checkpoint_turn()
    }
}

#[test]
fn while_one_writes_a_checkpoint_the_others_leave_it_to_him() {
    const INTERVAL: u64 = 8;
    let (path, _root) = place();
    let ledger = Watched::at(&path);
    let (clock, signer) = (ManualClock::new(), Signer::generate());
    let registrars = [(); 4].map(|()| {
        let builder = at(&clock, INTERVAL).signer(signer.clone());
        builder.on(Arc::clone(&ledger) as Arc<dyn Ledger>).unwrap()
    });
    let issue = |registrar: &Registrar, count| {
        for _ in 0..count {
            let lease = registrar.issue("work", TTL).wait().unwrap();
            let released = registrar.release(&lease.lease_id, ReleaseReason::Completed);
            released.wait().unwrap();
        }
    };
    issue(&registrars[0], INTERVAL);
    eventually("somebody writes", || ledger.begun() == 1);
    // For each of them, one is due many times over.
    for registrar in &registrars {
        issue(registrar, INTERVAL);
    }
    assert_eq!(ledger.begun(), 1);
    // Whoever is asked writes, whoever else does.
    thread::scope(|scope| {
        let asked = scope.spawn(|| registrars[1].checkpoint().unwrap());
        eventually("another one writes", || ledger.begun() == 2);
        ledger.let_go();
        asked.join().unwrap();
    });
    let newest = ledger.checkpoints(VIEW).unwrap()[0];
    eventually("the turn is free", || ledger.checkpoint_turn().unwrap().is_some());
    // Now that it is there, none is due for any of them.
    for registrar in &registrars {
        issue(registrar, 1);
    }
    drop(registrars);
    assert_eq!(ledger.checkpoints(VIEW).unwrap()[0], newest);
    assert_eq!(ledger.begun(), 2);
}

#[test]
fn a_checkpoint_that_somebody_left_when_he_died_is_written_by_the_next_one() {
    let (path, _root) = place();
    let clock = ManualClock::new();
    let registrar = at(&clock, 3).open(&path).unwrap();
    fs::create_dir_all(path.join("checkpoints")).unwrap();
    // All that is left of a turn when its process ends is that its files are closed.
    let turn = fs::File::open(path.join("checkpoints")).unwrap();
    turn.lock().unwrap();
    busy_day(&registrar, &clock);
    assert_eq!(registrar.ledger().checkpoints(VIEW).unwrap(), []);
    drop(turn);
    assert_eq!(registrar.ledger().checkpoints(VIEW).unwrap(), []);
    let last = registrar.issue("more", TTL).wait().unwrap();
    await_checkpoint(registrar.ledger(), 3);
    assert!(state(&registrar).get(&last.lease_id).is_some());
    registrar.close().wait().unwrap();
}

#[test]
fn somebody_who_keeps_the_turn_for_ever_is_not_waited_for_for_ever() {
    let (path, _root) = place();
    let clock = ManualClock::new();
    let registrar = at(&clock, 1).open(&path).unwrap();
    // Opening it has begun one.
    await_checkpoint(registrar.ledger(), 1);
    let mut stopped = None;
    eventually("the turn is free", || {
        stopped = registrar.ledger().checkpoint_turn().unwrap();
        stopped.is_some()
    });
    let lease = registrar.issue("work", TTL).wait().unwrap();
    for times in 2..=32 {
        registrar.renew(&lease.lease_id, TTL * times).wait().unwrap();
    }
    await_checkpoint(registrar.ledger(), 16);
    registrar.close().wait().unwrap();
}

#[test]
fn interval_0_writes_none() {
    let (path, _root) = place();
    let clock = ManualClock::new();
    let registrar = at(&clock, 0).open(&path).unwrap();
    busy_day(&registrar, &clock);
    registrar.close().wait().unwrap();
    assert!(!path.join("checkpoints").exists());
}

/// The checkpoints in a ledger's directory.
fn files(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(path.join("checkpoints")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn no_checkpoint_whatever_it_is_keeps_a_registrar_from_starting() {
    let (path, _root) = place();
    let clock = ManualClock::new();
    let registrar = at(&clock, 3).open(&path).unwrap();
    busy_day(&registrar, &clock);
    await_checkpoint(registrar.ledger(), 3);
    let expected = state(&registrar);
    registrar.close().wait().unwrap();
    drop(registrar);
    let good = files(&path);
    assert!(!good.is_empty());
    let spoilings: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |_| Vec::new(),
        |bytes| bytes[..bytes.len() / 2].to_vec(),
        |mut bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            bytes
        },
        |_| b"somebody else's".to_vec(),
    ];
    for spoiling in spoilings {
        for (path, bytes) in &good {
            fs::write(path, spoiling(bytes.clone())).unwrap();
        }
        let registrar = at(&clock, 0).open(&path).unwrap();
        assert_eq!(state(&registrar), expected);
        registrar.close().wait().unwrap();
    }
    // A file where the folder should be, and a folder where a file should be.
    fs::remove_dir_all(path.join("checkpoints")).unwrap();
    fs::write(path.join("checkpoints"), b"").unwrap();
    let registrar = at(&clock, 1).open(&path).unwrap();
    assert_eq!(state(&registrar), expected);
    registrar.issue("more", TTL).wait().unwrap();
    registrar.close().wait().unwrap();
    drop(registrar);
    fs::remove_file(path.join("checkpoints")).unwrap();
    fs::create_dir_all(path.join("checkpoints").join(format!("{VIEW}@{:020}", 4))).unwrap();
    let registrar = at(&clock, 0).open(&path).unwrap();
    assert_eq!(state(&registrar).active_count(), expected.active_count() + 1);
    registrar.close().wait().unwrap();
}

#[test]
fn a_checkpoint_of_a_tail_that_a_power_cut_took_is_not_believed() {
    let (full, short) = (place(), place());
    let clock = ManualClock::new();
    let registrar = at(&clock, 0).open(&full.0).unwrap();
    registrar.issue("kept", TTL).wait().unwrap();
    // The copy is the ledger as the power cut leaves it.
    SqliteLedger::open(&full.0).unwrap().backup(&short.0).unwrap();
    registrar.issue("lost", TTL).wait().unwrap();
    registrar.close().wait().unwrap();
    drop(registrar);
    let registrar = at(&clock, 1).open(&full.0).unwrap();
    await_checkpoint(registrar.ledger(), 3);
    registrar.close().wait().unwrap();
    drop(registrar);
    for name in ["registrar.key", "checkpoints"] {
        fs::rename(full.0.join(name), short.0.join(name)).unwrap();
    }
    let registrar = at(&clock, 0).open(&short.0).unwrap();
    assert!(!state(&registrar).has_active_lease("lost"));
    assert!(state(&registrar).has_active_lease("kept"));
    registrar.issue("other", TTL).wait().unwrap();
    registrar.close().wait().unwrap();
    drop(registrar);
    // By now the ledger has a record there, and it is another one.
    let registrar = at(&clock, 0).open(&short.0).unwrap();
    assert!(state(&registrar).has_active_lease("other") && !state(&registrar).has_active_lease("lost"));
    registrar.close().wait().unwrap();
}

#[test]
fn what_is_passed_over_is_counted_and_told_also_behind_a_checkpoint() {
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
    let signer = Signer::generate();
    let clock = ManualClock::new();
    let open = |interval| {
        at(&clock, interval)
            .signer(signer.clone())
            .on(Arc::clone(&ledger))
            .unwrap()
    };
    let append = |event_type: &str, actor: &str, payload: Vec<u8>| {
        let record = EventRecord::new(event_type, "s", actor, payload);
        let head = ledger.head().unwrap();
        ledger.append(&head, &[NewRecord::from(record)]).unwrap().sequence
    };
    let registrar = open(0);
    assert_eq!(
        (registrar.refused().unwrap(), registrar.refusals().unwrap()),
        (0, vec![])
    );
    let lease = registrar.issue("work", TTL).wait().unwrap();
    append("order.placed", "shop", vec![0xff]);
    let forged = helpers::lease_issued_payload("forged", "other", "mallory", 1, 2, vec![1; 72]);
    let not_signed = append("lease.issued", "registrar", forged);
    let not_his = helpers::lease_released_payload(&lease.lease_id, "COMPLETED");
    let not_his = append("lease.released", "mallory", not_his);
    let not_read = append("lease.released", "registrar", vec![0xff]);
    let no_key = append(
        "ledger.key_added",
        "registrar",
        vec![0x0a, 0x03, 0x0a, 0x01, 0x07],
    );
    let refusals = registrar.refusals().unwrap();
    let at: Vec<_> = refusals.iter().map(|refusal| refusal.sequence).collect();
    assert_eq!(at, [not_signed, not_his, not_read, no_key]);
    assert!(matches!(refusals[0].error, LeaseError::InvalidSignature { .. }));
    assert!(matches!(refusals[1].error, LeaseError::Unauthorized { .. }));
    assert!(matches!(refusals[2].error, LeaseError::DecodeError(_)));
    assert!(matches!(&refusals[3].error, LeaseError::InvalidInput { field, .. } if field == "public_key"));
    assert_eq!(registrar.refused().unwrap(), 4);
    assert!(matches!(
        refusal(
            registrar
                .release(&lease.lease_id, ReleaseReason::Completed)
                .wait()
                .and_then(|_| registrar
                    .release(&lease.lease_id, ReleaseReason::Completed)
                    .wait())
        ),
        LeaseError::LeaseAlreadyTerminal { .. }
    ));

    let saving = open(1);
    await_checkpoint(&*ledger, no_key);
    drop(saving);
    let resumed = open(0);
    assert_eq!(resumed.refused().unwrap(), 4, "the number is in the checkpoint");
    assert_eq!(resumed.refusals().unwrap(), [], "the reasons are not");
    append("lease.released", "registrar", vec![]);
    assert_eq!(
        (resumed.refused().unwrap(), resumed.refusals().unwrap().len()),
        (5, 1)
    );
}

#[test]
fn a_resumed_registrar_knows_that_the_rules_are_newer_than_its_own() {
    let (path, _root) = place();
    let clock = ManualClock::new();
    let registrar = at(&clock, 1).open(&path).unwrap();
    let raised = EventRecord::of(&LedgerEvent::RulesRaised { version: 2 }, "s", "registrar");
    let ledger = registrar.ledger();
    let head = ledger.append(&ledger.head().unwrap(), &[raised.into()]).unwrap();
    let is_refused = |registrar: &Registrar| {
        let refused = registrar.issue("work", TTL).wait();
        matches!(refused, Err(RegistrarError::NewerRules { found: 2, .. }))
    };
    eventually("a checkpoint behind it", || {
        assert!(is_refused(&registrar));
        ledger
            .checkpoints(VIEW)
            .unwrap()
            .first()
            .is_some_and(|newest| *newest >= head.sequence)
    });
    registrar.close().wait().unwrap();
    drop(registrar);
    assert!(is_refused(&at(&clock, 0).open(&path).unwrap()));
}
