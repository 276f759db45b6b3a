//! Syncs of the log that fail, or lie after one that failed: nothing acknowledged is lost, and what memory loses is told.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use lease::ledger::{Head, Ledger, LedgerError, SqliteLedger};
use rustix::fs::{Advice, fadvise};

use crate::{
    conformance::note,
    volumes::{ThinVolume, may_trace},
};

/// Longer than it takes to prove a small volume, also on a busy machine.
pub(crate) const LONG: Duration = Duration::from_mins(2);

/// Appends a note after `head` once there is room again, unless the system has lost from memory what it could not write:
/// then after what is left, in a ledger opened anew, which is the record that was `promised` or one of those after it.
pub(crate) fn works_on(
    ledger: SqliteLedger,
    path: &Path,
    head: &Head,
    promised: &Head,
) -> (SqliteLedger, Head) {
    match ledger.append(head, &[note("on")]) {
        Ok(next) => return (ledger, next),
        Err(LedgerError::SyncFailed { reason }) => assert!(reason.contains("has lost"), "{reason}"),
        Err(other) => panic!("{other:?}"),
    }
    drop(ledger);
    let ledger = open_what_is_left(path);
    let left = ledger.verify(&mut promised.clone()).unwrap();
    assert!(left.sequence < head.sequence);
    let next = ledger.append(&left, &[note("on")]).unwrap();
    (ledger, next)
}

/// Opens a ledger that nobody has open. What memory loses while it is read for the first time is told, too.
fn open_what_is_left(path: &Path) -> SqliteLedger {
    match SqliteLedger::open_with_patience(path, LONG) {
        Err(LedgerError::SyncFailed { reason }) if reason.contains("has lost") => {
            SqliteLedger::open_with_patience(path, LONG).unwrap()
        }
        opened => opened.unwrap(),
    }
}

/// A ledger whose volume could not keep what was appended last.
struct Unsynced {
    ledger: SqliteLedger,
    head: Head,
    /// The last record that was synced.
    promised: Head,
    /// What fills the volume below; without it there is room again.
    ballast: PathBuf,
}

impl Unsynced {
    fn on(volume: &ThinVolume) -> Self {
        let ledger = SqliteLedger::open(volume.ledger()).unwrap();
        let promised = ledger.append(&Head::default(), &[note("1")]).unwrap();
        ledger.sync().unwrap();
        let ballast = volume.below.fill();
        let mut head = promised;
        // More than the largest page that the tmpfs may have set aside for the image.
        for _ in 0..3 {
            head = ledger.append(&head, &[note(&"2".repeat(1_000_000))]).unwrap();
        }
        let synced = ledger.sync();
        assert!(
            matches!(synced, Err(LedgerError::SyncFailed { .. })),
            "{synced:?}"
        );
        Self {
            ledger,
            head,
            promised,
            ballast,
        }
    }

    /// Makes room, and has the system drop what it could not write: that counts as clean, so it goes when memory is wanted.
    fn lose_from_memory(&self, path: &Path) {
        fs::remove_file(&self.ballast).unwrap();
        fadvise(fs::File::open(log(path)).unwrap(), 0, None, Advice::DontNeed).unwrap();
    }
}

#[test]
fn a_sync_that_lies_after_one_that_failed_loses_nothing_acknowledged() {
    let Some(volume) = ThinVolume::new(12) else { return };
    let path = volume.ledger();
    let Unsynced {
        ledger,
        head,
        promised,
        ballast,
    } = Unsynced::on(&volume);
    // No room yet, so what the log holds cannot be written anew; reading goes on.
    assert!(matches!(
        ledger.enter().map(drop),
        Err(LedgerError::SyncFailed { .. })
    ));
    assert!(matches!(ledger.sync(), Err(LedgerError::SyncFailed { .. })));
    assert_eq!(ledger.head().unwrap(), head);
    fs::remove_file(ballast).unwrap();
    let (ledger, head) = works_on(ledger, &path, &head, &promised);
    ledger.sync().unwrap();
    drop(ledger);
    volume.remount();
    assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), head);
}

#[test]
fn what_the_system_drops_from_memory_after_a_failed_sync_takes_nothing_acknowledged_along() {
    let Some(volume) = ThinVolume::new(12) else { return };
    let path = volume.ledger();
    let unsynced = Unsynced::on(&volume);
    unsynced.lose_from_memory(&path);
    let Unsynced {
        ledger,
        head,
        promised,
        ..
    } = unsynced;
    for _ in 0..2 {
        match ledger.append(&head, &[note("on")]) {
            Err(LedgerError::SyncFailed { reason }) => assert!(reason.contains("has lost"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    drop(ledger);
    let ledger = SqliteLedger::open(&path).unwrap();
    let left = ledger.verify(&mut promised.clone()).unwrap();
    assert!(left.sequence < head.sequence, "{left:?}");
    let next = ledger.append(&left, &[note("on")]).unwrap();
    ledger.sync().unwrap();
    drop(ledger);
    volume.remount();
    assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), next);
}

#[test]
fn whoever_opens_a_ledger_while_others_have_it_open_is_told_what_memory_lost() {
    let Some(volume) = ThinVolume::new(12) else { return };
    let path = volume.ledger();
    let unsynced = Unsynced::on(&volume);
    unsynced.lose_from_memory(&path);
    let output = Command::new(env!("CARGO_BIN_EXE_ledger-writer"))
        .args([path.as_os_str(), "writer".as_ref(), "1".as_ref()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("SyncFailed") && said.contains("has lost"), "{said}");
}

#[test]
fn a_failed_sync_that_nobody_lived_to_tell_of_is_found_by_whoever_opens_the_ledger() {
    let Some(volume) = ThinVolume::new(12) else { return };
    let path = volume.ledger();
    let Unsynced {
        ledger,
        promised,
        ballast,
        ..
    } = Unsynced::on(&volume);
    drop(ledger);
    // As if the process had been killed in the sync: no other knows.
    let gate = fs::OpenOptions::new()
        .write(true)
        .open(path.join("gate"))
        .unwrap();
    gate.write_all_at(b".", 16).unwrap();
    match SqliteLedger::open(&path) {
        Err(LedgerError::SyncFailed { .. }) => {}
        other => panic!("{other:?}"),
    }
    gate.write_all_at(b".", 16).unwrap();
    drop(gate);
    fs::remove_file(ballast).unwrap();
    let ledger = open_what_is_left(&path);
    // Where memory has lost something, this one does not know that there was more.
    let head = ledger.verify(&mut promised.clone()).unwrap();
    let (ledger, head) = works_on(ledger, &path, &head, &promised);
    ledger.sync().unwrap();
    drop(ledger);
    volume.remount();
    assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), head);
}

/// What a process says that writes six notes into an open ledger while the system fails some `fdatasync`s of the log, by
/// which it is made durable, and some `fsync`s, by which it is proved again.
fn says_while_syncs_fail(path: &Path, fdatasync: &str, fsync: &str) -> Option<String> {
    if !may_trace() {
        return None;
    }
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"])
        .args(["-e", &format!("inject=fdatasync:error=EIO:when={fdatasync}")])
        .args(["-e", &format!("inject=fsync:error=EIO:when={fsync}")])
        .arg("-P")
        .arg(log(path))
        .arg(env!("CARGO_BIN_EXE_ledger-writer"))
        .args([path.as_os_str(), "writer".as_ref(), "6".as_ref()])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

/// More calls than there are: none of them fails.
const NONE: &str = "1000";

#[test]
fn after_a_failed_sync_one_note_is_unknown_and_the_log_is_written_anew() {
    let (path, ledger, _root) = open();
    let Some(said) = says_while_syncs_fail(&path, "3", NONE) else {
        return;
    };
    assert_eq!(said, "1\n2\nunknown\n4\n5\n6\n");
    assert_eq!(ledger.verify(&mut ()).unwrap().sequence, 6);
    ledger.sync().unwrap();
}

#[test]
fn a_rewriting_that_meets_the_old_error_is_tried_once_more() {
    let (path, _ledger, _root) = open();
    let Some(said) = says_while_syncs_fail(&path, "3", "1") else {
        return;
    };
    assert_eq!(said, "1\n2\nunknown\n4\n5\n6\n");
}

#[test]
fn while_syncs_go_on_failing_the_ledger_can_only_be_read() {
    let (path, ledger, _root) = open();
    let Some(said) = says_while_syncs_fail(&path, "3+", "1+") else {
        return;
    };
    assert_eq!(said, "1\n2\nunknown\nrefused\nrefused\nrefused\n");
    assert_eq!(ledger.verify(&mut ()).unwrap().sequence, 3);
}

#[test]
fn a_failed_sync_stops_every_process_until_one_has_written_the_log_anew() {
    let (path, ledger, _root) = open();
    if says_while_syncs_fail(&path, "3+", "1+").is_none() {
        return;
    }
    // The system would sync for this process; but what it syncs may be what the other one lost.
    match ledger.sync() {
        Err(LedgerError::SyncFailed { reason }) => assert!(reason.contains("another process"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let head = ledger.append(&ledger.head().unwrap(), &[note("on")]).unwrap();
    ledger.sync().unwrap();
    assert_eq!(head.sequence, 4);
    drop(ledger);
    assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), head);
}

/// A ledger that is open here, so that opening it elsewhere syncs nothing.
pub(crate) fn open() -> (PathBuf, SqliteLedger, tempfile::TempDir) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("jobs.lease");
    let ledger = SqliteLedger::open(&path).unwrap();
    (path, ledger, root)
}

/// Where SQLite keeps the log of the ledger at this path.
pub(crate) fn log(path: &Path) -> PathBuf {
    path.join("ledger.db-wal")
}
