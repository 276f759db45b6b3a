//! What may be opened as a ledger, and what is left untouched when it may not.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use lease::ledger::{Head, Ledger, LedgerError, SqliteLedger};
use tempfile::TempDir;

use crate::conformance::note;

fn place() -> (PathBuf, TempDir) {
    let root = tempfile::tempdir().unwrap();
    (root.path().join("jobs.lease"), root)
}

/// A closed ledger with one record.
fn closed() -> (PathBuf, Head, TempDir) {
    let (path, root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let head = ledger.append(&Head::default(), &[note("1")]).unwrap();
    (path, head, root)
}

fn refusal(path: &Path) -> LedgerError {
    SqliteLedger::open(path).map(drop).unwrap_err()
}

fn assert_foreign(path: &Path, why: &str) {
    match refusal(path) {
        LedgerError::NotALedger { path: named, reason } => {
            assert!(named.starts_with(path), "{named:?}");
            assert!(reason.contains(why), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

fn assert_linked(path: &Path, file: &str) {
    match refusal(path) {
        LedgerError::Linked { path } => assert!(path.ends_with(file), "{path:?}"),
        other => panic!("{other:?}"),
    }
}

/// Every path below `root` with its bytes.
fn tree(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(tree(&path));
            found.push((path, Vec::new()));
        } else {
            let bytes = fs::read(&path).unwrap_or_default();
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

fn change(path: &Path, statements: &str) {
    let database = rusqlite::Connection::open(path.join("ledger.db")).unwrap();
    database.execute_batch(statements).unwrap();
}

#[test]
fn a_new_ledger_is_a_private_directory() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(ledger.path(), path.canonicalize().unwrap());
    assert!(path.join("live").is_dir());
    assert!(path.join("gate").is_file());
}

#[test]
fn an_empty_private_directory_becomes_a_ledger() {
    let (path, _root) = place();
    fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
    SqliteLedger::open(&path).unwrap();
}

#[test]
fn a_ledger_whose_making_was_interrupted_is_made_on() {
    for files in [
        &["gate"][..],
        &["gate", "ledger.db"],
        &["gate", "ledger.db", "presence"],
    ] {
        let (path, _root) = place();
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        for file in files {
            fs::write(path.join(file), "").unwrap();
        }
        let ledger = SqliteLedger::open(&path).unwrap();
        ledger.append(&Head::default(), &[note("1")]).unwrap();
    }
}

#[test]
fn a_directory_that_others_may_enter_is_refused() {
    let (path, head, _root) = closed();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o750)).unwrap();
    assert!(matches!(refusal(&path), LedgerError::Exposed { mode: 0o750, .. }));
    fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(SqliteLedger::open(&path).unwrap().head().unwrap(), head);
}

#[test]
fn a_directory_with_other_files_is_left_alone() {
    let (path, root) = place();
    fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
    fs::write(path.join("thesis.tex"), "years of work").unwrap();
    let before = tree(root.path());
    assert_foreign(&path, "other files");
    assert_eq!(tree(root.path()), before);
}

#[test]
fn a_plain_file_is_no_ledger() {
    let (path, root) = place();
    fs::write(&path, "hello").unwrap();
    let before = tree(root.path());
    assert_foreign(&path, "it is a file");
    assert_eq!(tree(root.path()), before);
}

#[test]
fn a_missing_parent_is_named() {
    let (path, root) = place();
    match refusal(&path.join("deeper")) {
        LedgerError::Io {
            path: named, source, ..
        } => {
            assert_eq!(named, path.join("deeper"));
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(tree(root.path()), []);
}

#[test]
fn a_database_that_is_no_sqlite_file_is_refused_and_kept() {
    let (path, _head, _root) = closed();
    for file in ["ledger.db-wal", "ledger.db-shm"] {
        fs::remove_file(path.join(file)).unwrap();
    }
    fs::write(
        path.join("ledger.db"),
        "not a database, but somebody's bytes ".repeat(40),
    )
    .unwrap();
    let bytes = fs::read(path.join("ledger.db")).unwrap();
    assert_foreign(&path, "no SQLite file");
    assert_eq!(fs::read(path.join("ledger.db")).unwrap(), bytes);
}

#[test]
fn another_programs_database_is_refused() {
    let (path, _root) = place();
    fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
    fs::write(path.join("gate"), "").unwrap();
    change(
        &path,
        "CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('Lady Lynda')",
    );
    let bytes = fs::read(path.join("ledger.db")).unwrap();
    assert_foreign(&path, "another program's");
    assert_eq!(fs::read(path.join("ledger.db")).unwrap(), bytes);
}

#[test]
fn a_newer_format_is_named_and_left_alone() {
    let (path, head, _root) = closed();
    change(&path, "PRAGMA user_version = 2");
    match refusal(&path) {
        LedgerError::NewerFormat { found, supported } => assert_eq!((found, supported), (2, 1)),
        other => panic!("{other:?}"),
    }
    change(&path, "PRAGMA user_version = 1");
    assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), head);
}

#[test]
fn a_ledger_without_one_of_its_triggers_is_refused() {
    for trigger in [
        "events_never_change",
        "events_leave_once_sealed",
        "events_only_grow",
        "unique_keys_never_leave",
    ] {
        let (path, _head, _root) = closed();
        change(&path, &format!("DROP TRIGGER {trigger}"));
        assert_foreign(&path, "altered");
    }
}

#[test]
fn a_ledger_in_another_journal_mode_is_refused() {
    let (path, _head, _root) = closed();
    change(&path, "PRAGMA journal_mode = DELETE");
    assert_foreign(&path, "journal mode");
}

#[test]
fn a_ledger_without_its_gate_is_refused() {
    let (path, _head, _root) = closed();
    fs::remove_file(path.join("gate")).unwrap();
    assert_foreign(&path, "gate is missing");
    assert!(!path.join("gate").exists());
}

#[test]
fn a_link_to_a_ledger_is_refused() {
    let (path, _head, root) = closed();
    let link = root.path().join("link.lease");
    symlink(&path, &link).unwrap();
    assert_linked(&link, "link.lease");
    let dangling = root.path().join("dangling.lease");
    symlink(root.path().join("nowhere"), &dangling).unwrap();
    assert_linked(&dangling, "dangling.lease");
    assert!(!root.path().join("nowhere").exists());
}

#[test]
fn a_linked_file_of_a_ledger_is_refused() {
    for file in [
        "ledger.db",
        "ledger.db-wal",
        "ledger.db-shm",
        "gate",
        "ferry",
        "syncs",
        "presence",
    ] {
        let (path, _head, root) = closed();
        let elsewhere = root.path().join("elsewhere");
        fs::rename(path.join(file), &elsewhere).unwrap();
        symlink(&elsewhere, path.join(file)).unwrap();
        assert_linked(&path, file);
    }
}

#[test]
fn a_linked_folder_of_a_ledger_is_refused() {
    for folder in ["live", "sealed", "checkpoints"] {
        let (path, head, root) = closed();
        let (place, elsewhere) = (path.join(folder), root.path().join("elsewhere"));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, &place).unwrap();
        assert_linked(&path, folder);
        fs::remove_file(&place).unwrap();
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        let ledger = SqliteLedger::open(&path).unwrap();
        assert_eq!(ledger.verify(&mut ()).unwrap(), head);
    }
}

#[test]
fn a_file_with_a_second_name_is_refused() {
    for file in [
        "ledger.db",
        "ledger.db-wal",
        "ledger.db-shm",
        "gate",
        "ferry",
        "syncs",
        "presence",
    ] {
        let (path, head, root) = closed();
        let second = root.path().join("second");
        fs::hard_link(path.join(file), &second).unwrap();
        assert_linked(&path, file);
        fs::remove_file(second).unwrap();
        assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), head);
    }
}

#[test]
fn a_file_system_without_a_name_here_is_refused() {
    // `/proc` cannot hold a directory of ours, but one of its own is private enough to get as far as this check.
    let path = Path::new("/proc/self/map_files");
    match refusal(path) {
        LedgerError::UnsupportedFileSystem { magic, .. } => assert_eq!(magic, 0x9FA0),
        LedgerError::Exposed { .. } | LedgerError::Io { .. } => panic!("no such directory here"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_cannot_be_changed_or_removed() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let head = ledger
        .append(&Head::default(), &[note("1").with_key("k"), note("2")])
        .unwrap();
    let database = rusqlite::Connection::open(path.join("ledger.db")).unwrap();
    for statement in [
        "UPDATE events SET payload = x'00' WHERE sequence = 1",
        "DELETE FROM events",
        "DELETE FROM events WHERE sequence = 2",
        "INSERT OR REPLACE INTO events SELECT 1, previous_hash, hash, 'forged', '', '', x'', 0, NULL, NULL, NULL, NULL \
         FROM events WHERE sequence = 1",
        "INSERT INTO events SELECT 9, previous_hash, hash, 'gap', '', '', x'', 0, NULL, NULL, NULL, NULL \
         FROM events WHERE sequence = 1",
        "UPDATE unique_keys SET key = 'other'",
        "DELETE FROM unique_keys",
        "INSERT OR REPLACE INTO unique_keys VALUES ('k', 7)",
    ] {
        let refused = database.execute(statement, []).unwrap_err().to_string();
        assert!(
            refused.contains("only grows") || refused.contains("used once"),
            "{statement}: {refused}"
        );
    }
    drop(database);
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
}

#[test]
fn a_lock_that_did_not_come_through_the_gate_is_waited_for_and_reported() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open_with_patience(&path, Duration::from_millis(100)).unwrap();
    let stranger = rusqlite::Connection::open(path.join("ledger.db")).unwrap();
    stranger.execute_batch("BEGIN IMMEDIATE").unwrap();
    match ledger.append(&Head::default(), &[note("1")]) {
        Err(LedgerError::LedgerBusy { pid, waited }) => {
            assert_eq!((pid, waited), (None, Duration::from_millis(100)));
        }
        other => panic!("{other:?}"),
    }
    stranger.execute_batch("ROLLBACK").unwrap();
    ledger.append(&Head::default(), &[note("1")]).unwrap();
    drop(ledger);
    stranger.execute_batch("BEGIN IMMEDIATE").unwrap();
    match SqliteLedger::open_with_patience(&path, Duration::from_millis(100)) {
        Err(LedgerError::LedgerBusy { pid, waited }) => {
            assert_eq!((pid, waited), (None, Duration::from_millis(100)));
        }
        other => panic!("{other:?}"),
    }
}
