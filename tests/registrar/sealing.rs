//! A registrar's history that is sealed.

use std::fs;
use std::sync::Arc;
use std::thread;

use lease::ledger::{Head, Ledger, LedgerError, MemoryLedger, NewRecord, SqliteLedger};
use lease::{
    EventRecord, LeaseReducerState, ManualClock, Registrar, RegistrarError, ReleaseReason, Signer, Viewer,
};
use lease_tests::tamper::tamper;

use crate::setup::TTL;

fn on(ledger: &Arc<MemoryLedger>, signer: &Signer) -> Registrar {
    Registrar::builder()
        .signer(signer.clone())
        .on(ledger.clone())
        .unwrap()
}

fn work(registrar: &Registrar, count: usize) {
    let issued: Vec<_> = (0..count)
        .map(|number| registrar.issue(format!("work-{number}"), TTL))
        .collect();
    for lease in issued {
        let lease = lease.wait().unwrap();
        registrar
            .release(&lease.lease_id, ReleaseReason::Completed)
            .wait()
            .unwrap();
    }
}

/// The record that `verify` names, and what it says.
fn named(registrar: &Registrar) -> (u64, String) {
    match registrar.verify() {
        Err(RegistrarError::Ledger(error)) => match &*error {
            LedgerError::BadRecord { sequence, fault } => (*sequence, fault.to_string()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sealed_ledger_goes_on_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    work(&registrar, 20);
    let early = registrar.signed_head().unwrap();
    let held = registrar.issue("held", TTL).wait().unwrap();
    let sealed = registrar.seal().unwrap();
    registrar.renew(&held.lease_id, TTL * 2).wait().unwrap();
    work(&registrar, 5);
    assert_eq!(registrar.seal().unwrap().sequence(), sealed.sequence() + 11);
    registrar.renew(&held.lease_id, TTL * 3).wait().unwrap();
    registrar.close().wait().unwrap();
    let state = registrar.query(Clone::clone).unwrap();
    drop(registrar);

    let again = Registrar::open(&path).unwrap();
    assert!(again.query(|replayed| *replayed == state).unwrap());
    assert_eq!(again.verify().unwrap().sequence, sealed.sequence() + 12);
    for head in [&early, &sealed] {
        again.verify_against(head).unwrap();
    }
    again
        .release(&held.lease_id, ReleaseReason::Completed)
        .wait()
        .unwrap_err();
    again.revoke(&held.lease_id, "over").wait().unwrap();
    let seals = again.ledger().seals().unwrap();
    assert_eq!(seals[0].statement, sealed.to_bytes());
    assert_eq!(
        Viewer::open(&path).unwrap().verify().unwrap(),
        again.verify().unwrap()
    );
}

#[test]
fn sealing_leaves_a_checkpoint_so_that_opening_reads_no_sealed_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    work(&registrar, 20);
    let held = registrar.issue("held", TTL).wait().unwrap();
    let sealed = registrar.seal().unwrap();
    registrar.renew(&held.lease_id, TTL * 2).wait().unwrap();
    let kept = registrar.ledger().checkpoints("lease-registrar-view").unwrap();
    assert_eq!(kept, [sealed.sequence()]);
    registrar.close().wait().unwrap();
    let state = registrar.query(Clone::clone).unwrap();
    drop(registrar);
    fs::rename(path.join("sealed"), path.join("away")).unwrap();
    let again = Registrar::open(&path).unwrap();
    assert!(again.query(|resumed| *resumed == state).unwrap());
    again.renew(&held.lease_id, TTL * 3).wait().unwrap();
    let missing = again.verify();
    let Err(RegistrarError::Ledger(error)) = &missing else {
        panic!("{missing:?}");
    };
    assert!(matches!(**error, LedgerError::BadSeal { .. }), "{error:?}");
    drop(again);

    let none = Registrar::builder().checkpoint_interval(0);
    let other = folder.path().join("other.lease");
    let registrar = none.open(&other).unwrap();
    work(&registrar, 2);
    registrar.seal().unwrap();
    assert_eq!(
        registrar.ledger().checkpoints("lease-registrar-view").unwrap(),
        [0; 0]
    );
}

#[test]
fn a_seal_without_a_registrar_s_signature_is_named() {
    let signer = Signer::generate();
    let (ledger, other) = (Arc::new(MemoryLedger::new()), Arc::new(MemoryLedger::new()));
    let (registrar, elsewhere) = (on(&ledger, &signer), on(&other, &signer));
    work(&registrar, 3);
    work(&elsewhere, 3);
    let head = registrar.signed_head().unwrap();
    let foreign = elsewhere.signed_head().unwrap().to_bytes();
    for (statement, words) in [(&b""[..], "no signed head"), (&foreign, "something else")] {
        let copy = Arc::new(MemoryLedger::new());
        // Without their keys, so with other hashes.
        let records = ledger
            .read(0, 99)
            .unwrap()
            .into_iter()
            .map(NewRecord::from)
            .collect::<Vec<_>>();
        let end = copy.append(&Head::default(), &records).unwrap();
        let registrar = on(&copy, &signer);
        registrar.verify().unwrap();
        copy.seal(&end, statement).unwrap();
        let (sequence, reason) = named(&registrar);
        assert!(
            sequence == head.sequence() && reason.contains(words),
            "{sequence}: {reason}"
        );
    }
}

#[test]
fn a_sealed_history_that_was_rewritten_is_named_though_its_chain_is_sound() {
    let signer = Signer::generate();
    let ledger = Arc::new(MemoryLedger::new());
    let registrar = on(&ledger, &signer);
    work(&registrar, 3);
    let seal = registrar.seal().unwrap();
    // Without the key: the same issues, but the releases say that somebody else did it.
    let copy = Arc::new(MemoryLedger::new());
    let records: Vec<NewRecord> = ledger
        .read(0, 99)
        .unwrap()
        .into_iter()
        .map(|record| {
            if record.event_type == "lease.released" {
                EventRecord::new(record.event_type, "rewritten", record.actor_id, record.payload).into()
            } else {
                record.into()
            }
        })
        .collect();
    let end = copy.append(&Head::default(), &records).unwrap();
    let liar = on(&copy, &signer);
    liar.verify().unwrap();
    copy.seal(&end, &seal.to_bytes()).unwrap();
    assert!(named(&liar).1.contains("something else"));
}

#[test]
fn a_ledger_that_does_not_verify_is_not_sealed() {
    let ledger = Arc::new(MemoryLedger::new());
    let registrar = on(&ledger, &Signer::generate());
    work(&registrar, 2);
    let payload = lease::helpers::lease_issued_payload("forged", "work", "mallory", 1, 2, vec![1]);
    let forged = EventRecord::new("lease.issued", "s", "registrar", payload);
    let head = ledger.append(&ledger.head().unwrap(), &[forged.into()]).unwrap();
    work(&registrar, 1);
    assert!(registrar.seal().is_err());
    assert_eq!(ledger.seals().unwrap(), []);
    assert_eq!(named(&registrar).0, head.sequence);
}

#[test]
fn what_is_forged_about_a_forgotten_lease_is_not_sealed() {
    let ledger = Arc::new(MemoryLedger::new());
    let clock = ManualClock::new();
    let registrar = Registrar::builder()
        .clock(clock.clone())
        .retain_terminal(TTL)
        .on(ledger.clone())
        .unwrap();
    let forgotten = registrar.issue("early", TTL).wait().unwrap();
    let released = registrar.release(&forgotten.lease_id, ReleaseReason::Completed);
    released.wait().unwrap();
    clock.advance(TTL * 2);
    let later = registrar.issue("later", TTL).wait().unwrap();
    let is_known = |state: &LeaseReducerState| state.get(&forgotten.lease_id).is_some();
    assert!(!registrar.query(is_known).unwrap());
    // A real signature, on something else.
    let signature = later.registrar_signature;
    let payload = lease::helpers::lease_revoked_payload(&forgotten.lease_id, "forged", signature);
    let forged = EventRecord::new("lease.revoked", "s", "registrar", payload);
    let head = ledger.append(&ledger.head().unwrap(), &[forged.into()]).unwrap();
    assert!(registrar.seal().is_err());
    assert_eq!(ledger.seals().unwrap(), []);
    assert_eq!(named(&registrar).0, head.sequence);
}

#[test]
fn a_history_that_was_rewritten_behind_a_registrar_is_named_when_it_is_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    work(&registrar, 2);
    let last = registrar.ledger().head().unwrap().sequence;
    tamper(&path, &format!("DELETE FROM events WHERE sequence = {last}"));
    // Sound in itself, and as long as the history that the registrar has seen.
    let ledger = SqliteLedger::open(&path).unwrap();
    let other = EventRecord::new("note.made", "s", "me", []);
    ledger.append(&ledger.head().unwrap(), &[other.into()]).unwrap();
    assert_eq!(registrar.verify().unwrap().sequence, last);
    let Err(RegistrarError::Ledger(error)) = registrar.seal() else {
        panic!("it was sealed");
    };
    assert!(
        matches!(&*error, LedgerError::BadRecord { sequence, .. } if *sequence == last),
        "{error:?}"
    );
    assert_eq!(ledger.seals().unwrap(), []);
}

#[test]
fn registrars_that_seal_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    thread::scope(|scope| {
        for worker in 0..3 {
            let registrar = registrar.with_actor(format!("worker-{worker}"));
            scope.spawn(move || {
                for round in 0..4 {
                    let lease = registrar.issue(format!("{worker}/{round}"), TTL).wait().unwrap();
                    registrar.seal().unwrap();
                    registrar
                        .release(&lease.lease_id, ReleaseReason::Completed)
                        .wait()
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(registrar.verify().unwrap().sequence, 25);
    assert_eq!(registrar.query(LeaseReducerState::released_count).unwrap(), 12);
}
