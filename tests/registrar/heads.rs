//! Heads that are signed and kept outside, and what they reveal.

use std::path::PathBuf;
use std::sync::Arc;

use lease::ledger::{Head, Ledger, LedgerError, MemoryLedger};
use lease::{
    EventRecord, LeaseChange, LeaseEvent as _, LeaseReducerState, Registrar, RegistrarError, ReleaseReason,
    SignedHead, SignedHeadError, Signer, Viewer,
};
use lease_tests::tamper::{insert, tamper};
use tempfile::TempDir;

use crate::setup::TTL;

fn on(ledger: &Arc<MemoryLedger>, signer: &Signer) -> Registrar {
    Registrar::builder()
        .signer(signer.clone())
        .on(ledger.clone())
        .unwrap()
}

/// The record that is named, and what is said of it.
fn bad_record(result: Result<Head, RegistrarError>) -> (u64, String) {
    match result {
        Err(RegistrarError::Ledger(error)) => match &*error {
            LedgerError::BadRecord { sequence, fault } => (*sequence, fault.to_string()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn bad_head(result: Result<Head, RegistrarError>) -> SignedHeadError {
    match result {
        Err(RegistrarError::SignedHead(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn work(registrar: &Registrar, count: usize) {
    for number in 0..count {
        let lease = registrar.issue(format!("work-{number}"), TTL).wait().unwrap();
        registrar
            .release(&lease.lease_id, ReleaseReason::Completed)
            .wait()
            .unwrap();
    }
}

#[test]
fn a_ledger_that_went_on_still_contains_its_signed_head() {
    let registrar = Registrar::in_memory().unwrap();
    work(&registrar, 3);
    let kept = registrar.signed_head().unwrap();
    assert_eq!(kept.sequence(), 7);
    assert_eq!(registrar.verify_against(&kept).unwrap(), kept.head());
    work(&registrar, 2);
    assert_eq!(registrar.verify_against(&kept).unwrap().sequence, 11);
    assert_eq!(
        kept.head(),
        SignedHead::from_bytes(&kept.to_bytes()).unwrap().head()
    );
}

/// A closed ledger of 21 records, and its signed head.
fn written() -> (PathBuf, SignedHead, TempDir) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    work(&registrar, 10);
    let kept = registrar.signed_head().unwrap();
    registrar.close().wait().unwrap();
    (path, kept, root)
}

fn verdict(statements: &str) -> (u64, String) {
    let (path, kept, _root) = written();
    tamper(&path, statements);
    bad_record(Viewer::open(&path).unwrap().verify_against(&kept))
}

#[test]
fn a_tail_that_was_cut_without_a_trace_is_named() {
    let cut = "DELETE FROM events WHERE sequence > 15; DELETE FROM unique_keys WHERE sequence > 15";
    let (sequence, words) = verdict(cut);
    assert_eq!(sequence, 16);
    assert!(
        words.contains("a head kept outside is at 21, the ledger ends at 15"),
        "{words}"
    );
    let (path, kept, _root) = written();
    tamper(&path, cut);
    let registrar = Registrar::open(&path).unwrap();
    assert_eq!(
        registrar.verify().unwrap().sequence,
        15,
        "without the head nobody could tell"
    );
    assert!(registrar.verify_against(&kept).is_err());
}

#[test]
fn rows_that_were_altered_deleted_or_reordered_are_named() {
    for (statements, sequence) in [
        ("UPDATE events SET payload = x'00' WHERE sequence = 7", 7),
        ("UPDATE events SET actor_id = 'mallory' WHERE sequence IN (9, 12)", 9),
        ("DELETE FROM events WHERE sequence = 8", 8),
        (
            "UPDATE events SET sequence = 99 WHERE sequence = 7; UPDATE events SET sequence = 7 WHERE sequence = 8;
             UPDATE events SET sequence = 8 WHERE sequence = 99",
            7,
        ),
    ] {
        assert_eq!(verdict(statements).0, sequence, "{statements}");
    }
}

#[test]
fn a_row_that_was_inserted_with_every_later_hash_is_found() {
    let (path, kept, _root) = written();
    let registrar = Registrar::open(&path).unwrap();
    let issued = registrar.ledger().read(1, 1).unwrap().remove(0);
    assert_eq!(issued.event_type, "lease.issued");
    drop(registrar);
    // Without a signature there is nothing to see in the record itself, only that the head is another one.
    let unsigned = EventRecord::new("note.made", "s", "mallory", "inserted");
    insert(&path, 9, &unsigned);
    let registrar = Registrar::open(&path).unwrap();
    registrar.verify().unwrap();
    let (sequence, words) = bad_record(registrar.verify_against(&kept));
    assert_eq!(sequence, 21);
    assert!(words.contains("differs from the head"), "{words}");
    drop(registrar);
    // One that needs a signature is named, whether it has none of the kind or somebody else's.
    let (path, kept, _root) = written();
    let forged = EventRecord::new("lease.issued", issued.session_id, issued.actor_id, issued.payload);
    insert(&path, 9, &forged);
    let viewer = Viewer::open(&path).unwrap();
    assert_eq!(bad_record(viewer.verify()).0, 10);
    assert_eq!(bad_record(viewer.verify_against(&kept)).0, 10);
    let refused = viewer.query(LeaseReducerState::len).unwrap();
    assert_eq!(refused, 10, "what nobody signed counts for nothing");
}

#[test]
fn a_history_that_was_rewritten_by_the_holder_of_the_key_is_found_by_the_head_only() {
    let signer = Signer::generate();
    let (told, retold) = (Arc::new(MemoryLedger::new()), Arc::new(MemoryLedger::new()));
    let registrar = on(&told, &signer);
    work(&registrar, 3);
    let kept = registrar.signed_head().unwrap();
    // The same beginning, and then something else under the same key.
    let first = told.read(0, 1).unwrap().remove(0);
    retold.append(&Head::default(), &[first.into()]).unwrap();
    let liar = on(&retold, &signer);
    work(&liar, 5);
    liar.verify().unwrap();
    let (sequence, words) = bad_record(liar.verify_against(&kept));
    assert_eq!(sequence, 7);
    assert!(words.contains("differs from the head"), "{words}");
}

#[test]
fn a_head_of_another_ledger_is_refused() {
    let signer = Signer::generate();
    let (one, other) = (on(&Arc::default(), &signer), on(&Arc::default(), &signer));
    work(&one, 1);
    work(&other, 1);
    let refused = bad_head(one.verify_against(&other.signed_head().unwrap()));
    assert!(
        matches!(refused, SignedHeadError::OtherLedger { .. }),
        "{refused}"
    );
}

#[test]
fn a_forged_head_is_refused_where_it_is_read() {
    let registrar = Registrar::in_memory().unwrap();
    work(&registrar, 1);
    let mut bytes = registrar.signed_head().unwrap().to_bytes();
    bytes[33] += 1;
    let refused = SignedHead::from_bytes(&bytes);
    assert!(
        matches!(refused, Err(SignedHeadError::Forged { sequence: 4, .. })),
        "{refused:?}"
    );
}

#[test]
fn a_head_of_a_branch_is_refused_and_one_of_a_key_that_was_trusted_there_is_not() {
    let (mine, theirs) = (Signer::generate(), Signer::generate());
    let ledger = Arc::new(MemoryLedger::new());
    let registrar = on(&ledger, &mine);
    work(&registrar, 1);
    // The stranger signs the head of a copy on which he trusts himself; the copy begins with the same record.
    let copy = Arc::new(MemoryLedger::new());
    copy.append(&Head::default(), &[ledger.read(0, 1).unwrap().remove(0).into()])
        .unwrap();
    let accomplice = on(&copy, &mine);
    accomplice.trust_key(theirs.public_key()).wait().unwrap();
    let stranger = on(&copy, &theirs);
    stranger.retire_key(mine.public_key()).wait().unwrap();
    let refused = registrar.verify_against(&stranger.signed_head().unwrap());
    assert!(
        matches!(&refused, Err(RegistrarError::Ledger(_))),
        "another history: {refused:?}"
    );

    // One of this very history, by a key that came to be trusted only later.
    registrar.trust_key(theirs.public_key()).wait().unwrap();
    let late = on(&ledger, &theirs).signed_head().unwrap();
    registrar.verify_against(&late).unwrap();
    registrar.retire_key(theirs.public_key()).wait().unwrap();
    registrar.verify_against(&late).unwrap();
}

#[test]
fn a_head_keeps_its_worth_when_its_key_is_rotated() {
    let registrar = Registrar::in_memory().unwrap();
    work(&registrar, 1);
    let kept = registrar.signed_head().unwrap();
    registrar.rotate_key(&Signer::generate()).unwrap();
    registrar.verify_against(&kept).unwrap();
    let next = registrar.signed_head().unwrap();
    assert_ne!(next.public_key(), kept.public_key());
    registrar.verify_against(&next).unwrap();
}

/// The same issue under a signature that is genuine, but of another one.
fn with_signature_of(payload: &[u8], other: &[u8]) -> Vec<u8> {
    let (mut change, other) = (
        LeaseChange::decode(payload).unwrap(),
        LeaseChange::decode(other).unwrap(),
    );
    let (
        LeaseChange::Issued {
            registrar_signature, ..
        },
        LeaseChange::Issued {
            registrar_signature: theirs,
            ..
        },
    ) = (&mut change, other)
    else {
        panic!("both are issues");
    };
    *registrar_signature = theirs;
    change.encode()
}

#[test]
fn many_signatures_are_verified_and_the_first_forged_one_is_named() {
    let ledger = Arc::new(MemoryLedger::new());
    let registrar = on(&ledger, &Signer::generate());
    let issued: Vec<_> = (0..700)
        .map(|number| registrar.issue(format!("work-{number}"), TTL))
        .collect();
    for lease in issued {
        lease.wait().unwrap();
    }
    registrar.verify().unwrap();
    let history = ledger.read(0, 999).unwrap();
    for bad in [vec![2], vec![300, 301], vec![257, 600], vec![701]] {
        let copy = Arc::new(MemoryLedger::new());
        let batch: Vec<_> = history
            .iter()
            .cloned()
            .map(|mut record| {
                if bad.contains(&record.sequence) {
                    let neighbour = if record.sequence == 701 {
                        700
                    } else {
                        record.sequence + 1
                    };
                    let neighbour = &history[usize::try_from(neighbour).unwrap() - 1];
                    record.payload = with_signature_of(&record.payload, &neighbour.payload);
                }
                record.into()
            })
            .collect();
        copy.append(&Head::default(), &batch).unwrap();
        assert_eq!(bad_record(Viewer::on(copy).verify()).0, bad[0]);
    }
}
