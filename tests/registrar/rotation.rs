//! Keys that are added, rotated and retired.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use lease::ledger::{Ledger, LedgerError, MemoryLedger, NewRecord, Section};
use lease::{
    Durability, EventRecord, LeaseError, LeaseEvent as _, LedgerEvent, Registrar, RegistrarError,
    ReleaseReason, Signer, Viewer,
};
use lease_tests::delegate;
use lease_tests::faulty::FaultyLedger;
use lease_tests::patience::eventually;

use crate::processes::child;
use crate::setup::{TTL, refusal};

fn on(ledger: &Arc<MemoryLedger>, signer: &Signer) -> Registrar {
    Registrar::builder()
        .signer(signer.clone())
        .on(ledger.clone())
        .unwrap()
}

/// Two registrars with keys of their own on one ledger.
struct Two {
    ledger: Arc<MemoryLedger>,
    first: Registrar,
    second: Registrar,
    keys: [Signer; 2],
}

fn two() -> Two {
    let ledger = Arc::new(MemoryLedger::new());
    let keys = [Signer::generate(), Signer::generate()];
    let first = on(&ledger, &keys[0]);
    first.trust_key(keys[1].public_key()).wait().unwrap();
    let second = on(&ledger, &keys[1]);
    Two {
        ledger,
        first,
        second,
        keys,
    }
}

fn untrusted<T: std::fmt::Debug>(result: &Result<T, RegistrarError>) -> bool {
    matches!(result, Err(RegistrarError::SignerUntrusted { .. }))
}

/// The sequence that `verify` names.
fn named(registrar: &Registrar) -> u64 {
    match registrar.verify() {
        Err(RegistrarError::Ledger(error)) => match &*error {
            LedgerError::BadRecord { sequence, .. } => *sequence,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn append(ledger: &MemoryLedger, record: EventRecord) -> u64 {
    let head = ledger.head().unwrap();
    ledger.append(&head, &[NewRecord::from(record)]).unwrap().sequence
}

#[test]
fn a_registrar_whose_key_was_retired_can_only_read() {
    let Two {
        ledger,
        first,
        second,
        ..
    } = two();
    let lease = second.issue("work", TTL).wait().unwrap();
    first.retire_key(second.public_key()).wait().unwrap();
    let before = ledger.head().unwrap();
    for refused in [
        second.issue("other", TTL).wait().map(drop),
        second.renew(&lease.lease_id, TTL * 2).wait().map(drop),
        second.revoke(&lease.lease_id, "mine").wait().map(drop),
        second
            .release(&lease.lease_id, ReleaseReason::Completed)
            .wait()
            .map(drop),
        second.trust_key(Signer::generate().public_key()).wait(),
        second.signed_head().map(drop),
    ] {
        assert!(untrusted(&refused), "{refused:?}");
    }
    assert_eq!(ledger.head().unwrap(), before);
    assert!(second.query(|state| state.has_active_lease("work")).unwrap());
    second.verify().unwrap();
    assert!(untrusted(
        &Registrar::builder().signer(Signer::generate()).on(ledger)
    ));
}

#[test]
fn what_a_key_signed_before_it_was_retired_stays_valid() {
    let Two {
        first,
        second,
        ledger,
        keys,
    } = two();
    let lease = second.issue("work", TTL).wait().unwrap();
    first.retire_key(second.public_key()).wait().unwrap();
    drop(first);
    let again = on(&ledger, &keys[0]);
    assert!(again.query(|state| state.has_active_lease("work")).unwrap());
    again.renew(&lease.lease_id, TTL * 2).wait().unwrap();
    again.verify().unwrap();
}

#[test]
fn what_a_key_signed_after_it_was_retired_is_not_believed_and_is_named() {
    let Two {
        ledger, second, keys, ..
    } = two();
    let lease = second.issue("work", TTL).wait().unwrap();
    let history = ledger.read(0, 99).unwrap();
    second.revoke(&lease.lease_id, "late").wait().unwrap();
    let revocation = ledger.read(0, 99).unwrap().pop().unwrap();

    let other = Arc::new(MemoryLedger::new());
    for record in history {
        append(&other, record);
    }
    let first = on(&other, &keys[0]);
    let itself = on(&other, &keys[1]);
    first.retire_key(keys[1].public_key()).wait().unwrap();
    first.verify().unwrap();
    let late = append(&other, revocation);
    for reader in [&first, &itself] {
        assert!(reader.query(|state| state.has_active_lease("work")).unwrap());
    }
    assert_eq!(named(&first), late);
}

#[test]
fn the_record_that_added_a_key_does_not_bring_it_back() {
    let Two {
        ledger,
        first,
        second,
        ..
    } = two();
    let added = ledger.read(1, 1).unwrap().remove(0);
    first.retire_key(second.public_key()).wait().unwrap();
    append(&ledger, added);
    assert!(untrusted(&second.issue("work", TTL).wait()));
    let back = refusal(first.trust_key(second.public_key()).wait());
    assert!(back.to_string().contains("retired"), "{back}");
}

#[test]
fn a_retirement_that_nobody_trusted_vouches_for_is_not_believed_and_is_named() {
    let Two {
        ledger,
        first,
        second,
        ..
    } = two();
    let event = LedgerEvent::KeyRetired {
        public_key: first.public_key().to_bytes().to_vec(),
        signature: vec![9; 72],
    };
    let forged = append(&ledger, EventRecord::of(&event, "s", "registrar"));
    assert_eq!(event.event_type(), "ledger.key_retired");
    first.issue("work", TTL).wait().unwrap();
    assert_eq!(named(&second), forged);
}

#[test]
fn a_record_about_keys_counts_in_its_own_ledger_only() {
    let keys = [Signer::generate(), Signer::generate()];
    let (here, there) = (Arc::new(MemoryLedger::new()), Arc::new(MemoryLedger::new()));
    let (first, elsewhere) = (on(&here, &keys[0]), on(&there, &keys[0]));
    elsewhere.trust_key(keys[1].public_key()).wait().unwrap();
    let carried = append(&here, there.read(1, 1).unwrap().remove(0));
    assert!(untrusted(&Registrar::builder().signer(keys[1].clone()).on(here)));
    assert_eq!(named(&first), carried);
}

#[test]
fn a_registrar_does_not_retire_its_own_key_nor_one_that_was_never_trusted() {
    let Two {
        ledger,
        first,
        second,
        ..
    } = two();
    let before = ledger.head().unwrap();
    for (key, words) in [
        (first.public_key(), "rotate"),
        (Signer::generate().public_key(), "never trusted"),
    ] {
        let refused = refusal(first.retire_key(key).wait());
        assert!(
            matches!(&refused, LeaseError::InvalidInput { field, reason } if field == "public_key" && reason.contains(words)),
            "{refused}"
        );
    }
    assert_eq!(ledger.head().unwrap(), before);
    first.trust_key(second.public_key()).wait().unwrap();
    assert_eq!(
        ledger.head().unwrap(),
        before,
        "what is so already needs no record"
    );
    first.retire_key(second.public_key()).wait().unwrap();
    first.retire_key(second.public_key()).wait().unwrap();
    assert_eq!(ledger.head().unwrap().sequence, before.sequence + 1);
}

#[test]
fn two_that_retire_each_other_leave_one() {
    let Two { first, second, .. } = two();
    let one = first.retire_key(second.public_key());
    let other = second.retire_key(first.public_key());
    let outcomes = [one.wait(), other.wait()];
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        1,
        "{outcomes:?}"
    );
    assert_eq!(
        outcomes.iter().filter(|outcome| untrusted(outcome)).count(),
        1,
        "{outcomes:?}"
    );
    first.verify().unwrap();
}

#[test]
fn a_rotated_key_signs_from_then_on_and_the_old_one_no_more() {
    let Two {
        ledger,
        first,
        second,
        keys,
    } = two();
    let old = first.public_key();
    let lease = first.issue("work", TTL).wait().unwrap();
    let next = Signer::generate();
    first.rotate_key(&next).unwrap();
    assert_eq!(first.public_key(), next.public_key());
    first.renew(&lease.lease_id, TTL * 2).wait().unwrap();
    assert!(first.rotate_key(&next).is_err(), "it is the present one");
    assert!(untrusted(
        &Registrar::builder().signer(keys[0].clone()).on(ledger.clone())
    ));
    on(&ledger, &next).revoke(&lease.lease_id, "over").wait().unwrap();
    second.verify().unwrap();
    assert!(
        refusal(second.trust_key(old).wait())
            .to_string()
            .contains("retired")
    );
}

#[test]
fn a_rotation_exchanges_the_key_file() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    let lease = registrar.issue("work", TTL).wait().unwrap();
    // What a process that was killed while it wrote the key leaves behind.
    fs::write(path.join("registrar.new"), "half").unwrap();
    let old = registrar.public_key();
    registrar.rotate_key(&Signer::generate()).unwrap();
    let key = fs::read(path.join("registrar.key")).unwrap();
    let kept = Signer::from_bytes(&key.try_into().unwrap());
    assert_eq!(kept.public_key(), registrar.public_key());
    assert_ne!(kept.public_key(), old);
    let mode = fs::metadata(path.join("registrar.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!path.join("registrar.new").exists());
    registrar.close().wait().unwrap();
    drop(registrar);
    let again = Registrar::open(&path).unwrap();
    again.renew(&lease.lease_id, TTL * 2).wait().unwrap();
    again.verify().unwrap();
}

#[test]
fn a_rotation_whose_file_cannot_be_written_changes_no_signer() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    let (old, file) = (
        registrar.public_key(),
        fs::read(path.join("registrar.key")).unwrap(),
    );
    // A directory with something in it cannot be removed as if it were a left-over file.
    fs::create_dir_all(path.join("registrar.new/in-the-way")).unwrap();
    let refused = registrar.rotate_key(&Signer::generate());
    assert!(
        matches!(refused, Err(RegistrarError::KeyFile { .. })),
        "{refused:?}"
    );
    assert_eq!(registrar.public_key(), old);
    assert_eq!(fs::read(path.join("registrar.key")).unwrap(), file);
    registrar.issue("work", TTL).wait().unwrap();
    fs::remove_dir_all(path.join("registrar.new")).unwrap();
    registrar.rotate_key(&Signer::generate()).unwrap();
    registrar.verify().unwrap();
}

/// A ledger that lets nobody in while the door is held, except past it.
struct Door {
    ledger: Arc<MemoryLedger>,
    lock: Mutex<()>,
    is_somebody_there: AtomicBool,
}

impl Ledger for Door {
    delegate!(ledger: head, read, sync, epoch, verify);

    fn enter(&self) -> Result<Box<dyn Section + '_>, LedgerError> {
        self.is_somebody_there.store(true, Ordering::SeqCst);
        drop(self.lock.lock().unwrap());
        self.ledger.enter()
    }
}

#[test]
fn a_command_that_was_signed_before_its_key_was_retired_is_not_written() {
    let Two {
        ledger, first, keys, ..
    } = two();
    let door = Arc::new(Door {
        ledger: Arc::clone(&ledger),
        lock: Mutex::new(()),
        is_somebody_there: AtomicBool::new(false),
    });
    let second = Registrar::builder()
        .signer(keys[1].clone())
        .on(door.clone())
        .unwrap();
    let held = door.lock.lock().unwrap();
    let late = second.issue("work", TTL);
    eventually("the command is signed and waits", || {
        door.is_somebody_there.load(Ordering::SeqCst)
    });
    first.retire_key(keys[1].public_key()).wait().unwrap();
    let before = ledger.head().unwrap();
    drop(held);
    assert!(untrusted(&late.wait()));
    assert_eq!(ledger.head().unwrap(), before);
}

#[test]
fn another_process_takes_the_rotated_key_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    let mut other = child(&path, "see a key rotated");
    eventually("it has the ledger open", || {
        registrar.query(|state| state.has_active_lease("before")).unwrap()
    });
    registrar.rotate_key(&Signer::generate()).unwrap();
    registrar.issue("rotated", TTL).wait().unwrap();
    assert!(other.wait().unwrap().success());
    assert!(registrar.query(|state| state.has_active_lease("after")).unwrap());
    registrar.verify().unwrap();
}

/// A registrar that does not wait for the disk.
fn buffered() -> (Registrar, FaultyLedger) {
    let ledger = FaultyLedger::default();
    let registrar = Registrar::builder()
        .durability(Durability::Buffered)
        .on(Arc::new(ledger.clone()))
        .unwrap();
    (registrar, ledger)
}

#[test]
fn a_key_is_exchanged_only_once_the_trust_in_it_is_on_disk() {
    let (registrar, ledger) = buffered();
    let (old, next) = (registrar.public_key(), Signer::generate());
    registrar.issue("work", TTL).wait().unwrap();
    ledger.fail_syncs(true);
    let refused = registrar.rotate_key(&next);
    assert!(
        matches!(refused, Err(RegistrarError::OutcomeUnknown(_))),
        "{refused:?}"
    );
    assert_eq!(registrar.public_key(), old);
    ledger.fail_syncs(false);
    registrar.rotate_key(&next).unwrap();
    assert_eq!(registrar.public_key(), next.public_key());
    assert_eq!(registrar.trusted_keys().unwrap(), [next.public_key()]);
}

#[test]
fn a_rotation_that_is_done_is_on_disk() {
    let (registrar, ledger) = buffered();
    registrar.rotate_key(&Signer::generate()).unwrap();
    assert_eq!(ledger.durable(), ledger.head().unwrap().sequence);
}

/// What another process does up to the moment when it has exchanged the key file.
fn exchange(registrar: &Registrar, path: &std::path::Path, next: &Signer) {
    registrar.trust_key(next.public_key()).wait().unwrap();
    fs::write(path.join("registrar.key"), next.to_bytes()).unwrap();
}

#[test]
fn a_rotation_that_ended_before_the_old_key_was_retired_shows_and_can_be_completed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    let (old, next) = (registrar.public_key(), Signer::generate());
    exchange(&registrar, &path, &next);
    registrar.close().wait().unwrap();
    drop(registrar);

    let registrar = Registrar::open(&path).unwrap();
    assert_eq!(registrar.public_key(), next.public_key());
    assert!(
        refusal(registrar.rotate_key(&next))
            .to_string()
            .contains("present")
    );
    assert!(registrar.trusted_keys().unwrap().contains(&old));
    registrar.retire_key(old).wait().unwrap();
    assert_eq!(registrar.trusted_keys().unwrap(), [next.public_key()]);
    let viewer = Viewer::open(&path).unwrap();
    assert_eq!(viewer.trusted_keys().unwrap(), [next.public_key()]);
}

#[test]
fn of_two_that_rotate_at_once_the_second_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    let (old, theirs, ours) = (registrar.public_key(), Signer::generate(), Signer::generate());
    exchange(&registrar, &path, &theirs);
    let refused = registrar.rotate_key(&ours);
    assert!(
        matches!(&refused, Err(RegistrarError::KeyExchanged { public_key, .. }) if *public_key == theirs.public_key()),
        "{refused:?}"
    );
    assert_eq!(registrar.public_key(), old);
    assert_eq!(fs::read(path.join("registrar.key")).unwrap(), theirs.to_bytes());
    // Going on with the key that is there completes what the other has begun.
    registrar.rotate_key(&theirs).unwrap();
    registrar.retire_key(ours.public_key()).wait().unwrap();
    assert_eq!(registrar.public_key(), theirs.public_key());
    assert_eq!(registrar.trusted_keys().unwrap(), [theirs.public_key()]);
    registrar.verify().unwrap();
}

#[test]
fn a_rotation_leaves_a_checkpoint_that_the_new_key_takes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    registrar.issue("work", TTL).wait().unwrap();
    registrar.seal().unwrap();
    registrar.rotate_key(&Signer::generate()).unwrap();
    registrar.close().wait().unwrap();
    let state = registrar.query(Clone::clone).unwrap();
    drop(registrar);
    // What would have to be read without one.
    fs::rename(path.join("sealed"), path.join("away")).unwrap();
    let again = Registrar::open(&path).unwrap();
    assert!(again.query(|resumed| *resumed == state).unwrap());
    again.close().wait().unwrap();
}
