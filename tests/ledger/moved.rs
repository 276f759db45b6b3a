//! Ledgers that were copied or moved.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use lease::ledger::{Head, Ledger, LedgerError, SqliteLedger};
use tempfile::TempDir;

use crate::conformance::note;

/// A closed ledger of two records, and a copy of its directory.
fn copied() -> (PathBuf, PathBuf, Head, TempDir) {
    let root = tempfile::tempdir().unwrap();
    let (path, copy) = (root.path().join("jobs.lease"), root.path().join("copy.lease"));
    let ledger = SqliteLedger::open(&path).unwrap();
    let head = ledger
        .append(&Head::default(), &[note("1").with_key("k"), note("2")])
        .unwrap();
    drop(ledger);
    copy_all(&path, &copy);
    (path, copy, head, root)
}

fn copy_all(from: &Path, to: &Path) {
    fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn refused(path: &Path) {
    match SqliteLedger::open(path) {
        Err(LedgerError::LedgerMoved { path: named }) => assert!(named.ends_with("ledger.db")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_copy_is_refused_until_it_is_adopted() {
    let (path, copy, head, _root) = copied();
    refused(&copy);
    refused(&copy);
    assert_eq!(SqliteLedger::open(&path).unwrap().head().unwrap(), head);
    let adopted = SqliteLedger::adopt(&copy).unwrap();
    assert_eq!(adopted.verify(&mut ()).unwrap(), head);
    drop(adopted);
    SqliteLedger::open(&copy)
        .unwrap()
        .append(&head, &[note("3")])
        .unwrap();
}

#[test]
fn a_ledger_that_is_renamed_stays_itself() {
    let (path, _copy, head, root) = copied();
    let renamed = root.path().join("renamed.lease");
    fs::rename(&path, &renamed).unwrap();
    assert_eq!(SqliteLedger::open(&renamed).unwrap().head().unwrap(), head);
}

#[test]
fn a_ledger_that_did_not_move_can_be_adopted_too() {
    let (path, _copy, head, _root) = copied();
    assert_eq!(SqliteLedger::adopt(&path).unwrap().head().unwrap(), head);
}

#[test]
fn a_copy_that_is_not_whole_is_not_adopted() {
    let (_path, copy, _head, _root) = copied();
    let database = rusqlite::Connection::open(copy.join("ledger.db")).unwrap();
    let trigger = "SELECT sql FROM sqlite_schema WHERE name = 'events_never_change'";
    let trigger: String = database.query_row(trigger, [], |row| row.get(0)).unwrap();
    let forge = "DROP TRIGGER events_never_change; UPDATE events SET payload = x'FF' WHERE sequence = 2;";
    database.execute_batch(&format!("{forge} {trigger}")).unwrap();
    drop(database);
    assert!(matches!(
        SqliteLedger::adopt(&copy),
        Err(LedgerError::BadRecord { sequence: 2, .. })
    ));
    refused(&copy);
}

#[test]
fn a_backup_is_at_home_where_it_was_made() {
    let (path, copy, head, root) = copied();
    fs::remove_dir_all(copy).unwrap();
    let place = root.path().join("backup.lease");
    SqliteLedger::open(&path).unwrap().backup(&place).unwrap();
    assert_eq!(SqliteLedger::open(&place).unwrap().head().unwrap(), head);
}
