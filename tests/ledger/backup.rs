//! Copies of a ledger.

use std::{fs, path::PathBuf};

use lease::ledger::{Head, Ledger, LedgerError, SqliteLedger};
use tempfile::TempDir;

use crate::conformance::note;

/// A ledger with two records, and a place for its copy.
fn two() -> (SqliteLedger, PathBuf, TempDir) {
    let root = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(root.path().join("jobs.lease")).unwrap();
    ledger
        .append(&Head::default(), &[note("1").with_key("k"), note("2")])
        .unwrap();
    let copy = root.path().join("copy.lease");
    (ledger, copy, root)
}

#[test]
fn a_backup_has_every_record_and_every_key() {
    let (ledger, place, _root) = two();
    let head = ledger.backup(&place).unwrap();
    assert_eq!(head, ledger.head().unwrap());
    let copy = SqliteLedger::open(&place).unwrap();
    assert_eq!(copy.read(0, 9).unwrap(), ledger.read(0, 9).unwrap());
    assert_eq!(copy.verify(&mut head.clone()).unwrap(), head);
    assert!(matches!(
        copy.append(&head, &[note("3").with_key("k")]),
        Err(LedgerError::KeyUsed { .. })
    ));
}

#[test]
fn a_backup_and_its_original_go_on_apart() {
    let (ledger, place, _root) = two();
    let head = ledger.backup(&place).unwrap();
    let copy = SqliteLedger::open(&place).unwrap();
    assert!(copy.epoch().unwrap() > ledger.epoch().unwrap());
    let one = ledger.append(&head, &[note("here")]).unwrap();
    let other = copy.append(&head, &[note("there")]).unwrap();
    assert_ne!(one, other);
    assert_eq!(ledger.verify(&mut ()).unwrap(), one);
    assert_eq!(copy.verify(&mut ()).unwrap(), other);
}

#[test]
fn a_backup_of_a_backup_restores() {
    let (ledger, place, root) = two();
    let head = ledger.backup(&place).unwrap();
    let restored = root.path().join("restored.lease");
    SqliteLedger::open(&place).unwrap().backup(&restored).unwrap();
    assert_eq!(
        SqliteLedger::open(&restored).unwrap().verify(&mut ()).unwrap(),
        head
    );
}

#[test]
fn a_backup_needs_an_empty_place() {
    let (ledger, place, _root) = two();
    ledger.backup(&place).unwrap();
    let kept = SqliteLedger::open(&place).unwrap().head().unwrap();
    ledger.append(&kept, &[note("3")]).unwrap();
    for full in [&place, &ledger.path().to_owned()] {
        match ledger.backup(full) {
            Err(LedgerError::NotALedger { reason, .. }) => assert!(reason.contains("empty"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(SqliteLedger::open(&place).unwrap().head().unwrap(), kept);
}

#[test]
fn a_backup_that_was_interrupted_is_no_ledger() {
    let (ledger, place, _root) = two();
    ledger.backup(&place).unwrap();
    // As it is when the process dies before the copy is named.
    fs::rename(place.join("ledger.db"), place.join("backup.unfinished")).unwrap();
    for file in ["ledger.db-wal", "ledger.db-shm"] {
        fs::remove_file(place.join(file)).unwrap();
    }
    assert!(matches!(
        SqliteLedger::open(&place),
        Err(LedgerError::NotALedger { .. })
    ));
}
