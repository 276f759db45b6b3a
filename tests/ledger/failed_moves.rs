//! Moving the log into the database while syncs of the database fail, lie, or kill: the log is not given up before the
//! database has it.

use std::{
    fs::{self, File},
    os::unix::{fs::FileExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::Command,
};

use lease::ledger::{Head, Ledger, LedgerError, SqliteLedger};
use lease_tests::patience::eventually;
use rusqlite::config::DbConfig;

use crate::{
    conformance::note,
    failed_syncs::{LONG, log, open, works_on},
    volumes::{ThinVolume, may_trace},
};

/// Nothing behind what this reader sees moves into the database while it looks.
fn reader(path: &Path) -> rusqlite::Connection {
    let reader = rusqlite::Connection::open(path.join("ledger.db")).unwrap();
    reader
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM events")
        .unwrap();
    reader
}

/// A ledger whose checkpoint failed to sync the database; by now there is room for it.
struct FailedCheckpoint {
    ledger: SqliteLedger,
    head: Head,
    promised: Head,
    /// How the log begins.
    header: [u8; 32],
    volume: ThinVolume,
}

impl FailedCheckpoint {
    fn new() -> Option<Self> {
        let volume = ThinVolume::new(48)?;
        let path = volume.ledger();
        let ledger = SqliteLedger::open_with_patience(&path, LONG).unwrap();
        let mut head = ledger.append(&Head::default(), &[note("1")]).unwrap();
        let reader = reader(&path);
        for _ in 0..16 {
            head = ledger.append(&head, &[note(&"2".repeat(1_000_000))]).unwrap();
        }
        ledger.sync().unwrap();
        let promised = head;
        // Room for what comes into the log, none for the database.
        let ballast = volume.below.fill();
        let length = ballast.metadata().unwrap().len();
        fs::OpenOptions::new()
            .write(true)
            .open(&ballast)
            .unwrap()
            .set_len(length - (2 << 20))
            .unwrap();
        drop(reader);
        head = ledger.append(&head, &[note(&"3".repeat(600_000))]).unwrap();
        eventually("the checkpoint fails", || ledger.sync().is_err());
        fs::remove_file(ballast).unwrap();
        Some(Self {
            ledger,
            head,
            promised,
            header: header(&path),
            volume,
        })
    }
}

/// Appends until the log begins again, because all of it is in the database, and everything is on the disk.
fn assert_moved(volume: &ThinVolume, before: [u8; 32], ledger: SqliteLedger, mut head: Head) {
    let path = volume.ledger();
    eventually("the log begins again", || {
        head = ledger.append(&head, &[note("4")]).unwrap();
        header(&path) != before
    });
    ledger.sync().unwrap();
    drop(ledger);
    volume.remount();
    assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), head);
}

#[test]
fn a_checkpoint_whose_sync_lies_after_one_that_failed_loses_nothing_acknowledged() {
    let Some(failed) = FailedCheckpoint::new() else {
        return;
    };
    let path = failed.volume.ledger();
    let (ledger, head) = works_on(failed.ledger, &path, &failed.head, &failed.promised);
    assert_moved(&failed.volume, failed.header, ledger, head);
}

#[test]
fn a_checkpoint_whose_failing_sync_nobody_lived_to_tell_of_loses_nothing_acknowledged() {
    let Some(failed) = FailedCheckpoint::new() else {
        return;
    };
    drop(failed.ledger);
    let path = failed.volume.ledger();
    // As if the process had been killed in the sync: no other knows, and its mark is on the ferry.
    for (file, mark) in [("gate", b"."), ("ferry", b"!")] {
        let file = fs::OpenOptions::new().write(true).open(path.join(file)).unwrap();
        file.write_all_at(mark, 16).unwrap();
    }
    let ledger = SqliteLedger::open_with_patience(&path, LONG).unwrap();
    let head = ledger.head().unwrap();
    let (ledger, head) = works_on(ledger, &path, &head, &failed.promised);
    assert_moved(&failed.volume, failed.header, ledger, head);
}

#[test]
fn who_is_killed_while_moving_the_log_leaves_a_mark_which_the_next_one_takes_away() {
    if !may_trace() {
        return;
    }
    let (path, ledger, _root) = open();
    let reader = reader(&path);
    let mut head = Head::default();
    for _ in 0..17 {
        head = ledger.append(&head, &[note(&"1".repeat(1_000_000))]).unwrap();
    }
    drop(ledger);
    // Whoever is on the ferry cannot move anything, and leaves.
    File::open(path.join("ferry")).unwrap().lock().unwrap();
    drop(reader);
    let killed = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"])
        .args(["-e", "inject=fsync,fdatasync:signal=KILL:when=1", "-P"])
        .arg(path.join("ledger.db"))
        .arg(env!("CARGO_BIN_EXE_ledger-writer"))
        .args([path.as_os_str(), "writer".as_ref(), "1000".as_ref()])
        .output()
        .unwrap();
    assert_eq!(killed.status.signal(), Some(9), "{killed:?}");
    let mark = || fs::read(path.join("ferry")).unwrap()[16];
    assert_eq!(mark(), b'!');
    let before = header(&path);
    let ledger = SqliteLedger::open(&path).unwrap();
    let mut head = ledger.head().unwrap();
    eventually("the log begins again", || {
        head = ledger.append(&head, &[note("on")]).unwrap();
        header(&path) != before
    });
    eventually("the mark is gone", || mark() == b'.');
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
}

/// A ledger whose log was moved and stands yet, and whose database has zeros where a page of a record was. The database
/// stays open, for closing it would take SQLite's locks away.
fn without_a_page() -> (PathBuf, SqliteLedger, Head, File, tempfile::TempDir) {
    let (path, ledger, root) = open();
    let mut head = Head::default();
    for _ in 0..4 {
        head = ledger.append(&head, &[note(&"1".repeat(100_000))]).unwrap();
    }
    let connection = rusqlite::Connection::open(path.join("ledger.db")).unwrap();
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    let (pages, moved): (i64, i64) = connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok((row.get(1)?, row.get(2)?))
        })
        .unwrap();
    assert_eq!(pages, moved);
    drop(connection);
    let database = File::options()
        .read(true)
        .write(true)
        .open(path.join("ledger.db"))
        .unwrap();
    let pages = database.metadata().unwrap().len() / 4096;
    database.write_all_at(&[0; 4096], pages / 2 * 4096).unwrap();
    (path, ledger, head, database, root)
}

/// As if a sync had failed elsewhere.
fn mark(path: &Path) {
    let gate = File::options().write(true).open(path.join("gate")).unwrap();
    gate.write_all_at(b"!", 16).unwrap();
}

#[test]
fn what_memory_loses_of_the_database_is_taken_from_the_log_again() {
    let (path, ledger, head, _database, _root) = without_a_page();
    mark(&path);
    let before = header(&path);
    let head = ledger.append(&head, &[note("on")]).unwrap();
    assert_ne!(header(&path), before, "the log is given up");
    ledger.sync().unwrap();
    drop(ledger);
    assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), head);
}

#[test]
fn a_database_that_is_bad_whatever_memory_lost_is_called_so_although_a_sync_failed() {
    let (path, ledger, head, _database, _root) = without_a_page();
    // The log begins again, so that nothing in it speaks for that page.
    let before = header(&path);
    let head = ledger.append(&head, &[note("on")]).unwrap();
    assert_ne!(header(&path), before);
    mark(&path);
    let refused = ledger.append(&head, &[note("on")]).err();
    let is_told = |error: Option<&LedgerError>| {
        matches!(
            error,
            Some(LedgerError::Damaged { .. } | LedgerError::BadRecord { .. })
        )
    };
    assert!(is_told(refused.as_ref()), "{refused:?}");
    drop(ledger);
    let refused = SqliteLedger::open(&path).err();
    assert!(is_told(refused.as_ref()), "{refused:?}");
}

/// The first bytes of the log, which change when it begins again.
fn header(path: &Path) -> [u8; 32] {
    let mut header = [0; 32];
    let log = File::open(log(path)).unwrap();
    log.read_exact_at(&mut header, 0).unwrap();
    header
}
