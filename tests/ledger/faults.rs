//! Storage that is full, read-only, out of bounds, or fails to sync.

use std::{
    fs,
    os::unix::{
        fs::FileExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::Command,
};

use lease::ledger::{Head, Ledger, LedgerError, SqliteLedger};

use lease_tests::patience::eventually;
use rusqlite::config::DbConfig;
use rustix::fs::{Advice, fadvise};

use crate::{
    conformance::note,
    volumes::{ThinVolume, Volume, may_trace},
};

/// Appends until there is no room, and returns the last head.
fn fill(ledger: &SqliteLedger, mut head: Head) -> Head {
    let text = "x".repeat(30_000);
    loop {
        match ledger.append(&head, &[note(&text).with_key(head.sequence.to_string())]) {
            Ok(next) => head = next,
            Err(LedgerError::StorageFull { .. }) => return head,
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_is_half_written() {
    let Some(volume) = Volume::of("2m") else { return };
    let ledger = SqliteLedger::open(volume.ledger()).unwrap();
    let ballast = volume.path().join("ballast");
    fs::write(&ballast, vec![1; 400_000]).unwrap();
    let head = fill(&ledger, Head::default());
    assert_eq!(ledger.head().unwrap(), head);
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
    assert_eq!(fill(&ledger, head), head);
    // The same handle works on once there is room, and the refused key was not used up.
    fs::remove_file(ballast).unwrap();
    let next = ledger
        .append(&head, &[note("on").with_key(head.sequence.to_string())])
        .unwrap();
    ledger.sync().unwrap();
    assert_eq!(ledger.verify(&mut ()).unwrap(), next);
}

#[test]
fn a_ledger_cannot_be_made_on_a_full_disk_and_can_be_once_there_is_room() {
    let Some(volume) = Volume::of("1m") else { return };
    let ballast = volume.fill();
    match SqliteLedger::open(volume.ledger()) {
        Err(LedgerError::StorageFull { .. }) => {}
        other => panic!("{other:?}"),
    }
    fs::remove_file(ballast).unwrap();
    let ledger = SqliteLedger::open(volume.ledger()).unwrap();
    ledger.append(&Head::default(), &[note("1")]).unwrap();
}

#[test]
fn a_read_only_file_system_is_told_and_the_ledger_is_as_it_was() {
    let Some(volume) = Volume::of("2m") else { return };
    let ledger = SqliteLedger::open(volume.ledger()).unwrap();
    let head = ledger.append(&Head::default(), &[note("1")]).unwrap();
    drop(ledger);
    volume.remount("ro");
    match SqliteLedger::open(volume.ledger()) {
        Err(LedgerError::Unwritable { path }) => assert!(path.starts_with(volume.ledger())),
        other => panic!("{other:?}"),
    }
    match SqliteLedger::open(volume.path().join("new.lease")) {
        Err(LedgerError::Unwritable { path }) => assert!(path.ends_with("new.lease")),
        other => panic!("{other:?}"),
    }
    volume.remount("rw");
    assert_eq!(
        SqliteLedger::open(volume.ledger())
            .unwrap()
            .verify(&mut ())
            .unwrap(),
        head
    );
}

#[test]
fn a_ledger_on_a_read_only_file_system_can_be_looked_at() {
    let Some(volume) = Volume::of("4m") else { return };
    let registrar = lease::Registrar::open(volume.ledger()).unwrap();
    let issue = |work: &str| {
        registrar
            .issue(work, std::time::Duration::from_mins(1))
            .wait()
            .unwrap()
    };
    issue("one");
    registrar.seal().unwrap();
    issue("two");
    registrar.close().wait().unwrap();
    drop(registrar);
    volume.remount("ro");
    // Without the index of the log, as after a reboot, and with it.
    for _ in 0..2 {
        let viewer = lease::Viewer::open(volume.ledger()).unwrap();
        assert_eq!(viewer.query(lease::LeaseReducerState::active_count).unwrap(), 2);
        assert_eq!(viewer.verify().unwrap().sequence, 3);
        drop(viewer);
        volume.remount("rw");
        fs::write(volume.ledger().join("ledger.db-shm"), b"").unwrap();
        volume.remount("ro");
    }
    volume.remount("rw");
}

#[test]
fn somebody_elses_ledger_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("jobs.lease");
    drop(SqliteLedger::open(&path).unwrap());
    fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // A program that `nobody` can reach, whoever owns the build.
    let program = root.path().join("writer");
    fs::copy(env!("CARGO_BIN_EXE_ledger-writer"), &program).unwrap();
    let nobody = 65_534;
    let output = Command::new(&program)
        .arg(&path)
        .args(["nobody", "1"])
        .uid(nobody)
        .gid(nobody)
        .output();
    match output {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains("Unwritable"), "{said}");
        }
        Err(error) => eprintln!("skipped: this process may not become another user: {error}"),
    }
}

/// Appends a note once there is room again. It follows `head`, unless the system has lost from memory what it could not
/// write: then it follows, in a ledger opened anew, the record that was `promised` or one of those after it.
fn works_on(ledger: SqliteLedger, path: &Path, head: &Head, promised: &Head) -> (SqliteLedger, Head) {
    let ledger = match ledger.append(head, &[note("on")]) {
        Ok(next) => return (ledger, next),
        // `SyncFailed`, as a rule; `Damaged` where verifying meets the gap first.
        Err(LedgerError::SyncFailed { .. } | LedgerError::Damaged { .. }) => {
            drop(ledger);
            SqliteLedger::open(path).unwrap()
        }
        Err(LedgerError::HeadMoved { .. }) => ledger,
        Err(other) => panic!("{other:?}"),
    };
    let left = ledger.head().unwrap();
    assert!(left.sequence < head.sequence);
    ledger.verify(&mut promised.clone()).unwrap();
    let next = ledger.append(&left, &[note("on")]).unwrap();
    (ledger, next)
}

#[test]
fn a_sync_that_lies_after_one_that_failed_loses_nothing_acknowledged() {
    let Some(volume) = ThinVolume::new(12) else { return };
    let path = volume.ledger();
    let ledger = SqliteLedger::open(&path).unwrap();
    let mut head = ledger.append(&Head::default(), &[note("1")]).unwrap();
    ledger.sync().unwrap();
    let promised = head;
    let ballast = volume.below.fill();
    // More than the largest page that the tmpfs may have set aside for the image.
    for _ in 0..3 {
        head = ledger.append(&head, &[note(&"2".repeat(1_000_000))]).unwrap();
    }
    let synced = ledger.sync();
    assert!(
        matches!(synced, Err(LedgerError::SyncFailed { .. })),
        "{synced:?}"
    );
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
    let ledger = SqliteLedger::open(&path).unwrap();
    let promised = ledger.append(&Head::default(), &[note("1")]).unwrap();
    ledger.sync().unwrap();
    let ballast = volume.below.fill();
    let mut head = promised;
    for _ in 0..3 {
        head = ledger.append(&head, &[note(&"2".repeat(1_000_000))]).unwrap();
    }
    assert!(matches!(ledger.sync(), Err(LedgerError::SyncFailed { .. })));
    fs::remove_file(ballast).unwrap();
    // What could not be written counts as clean, so it goes when room is wanted; here it is asked to.
    fadvise(fs::File::open(log(&path)).unwrap(), 0, None, Advice::DontNeed).unwrap();
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
        let ledger = SqliteLedger::open(&path).unwrap();
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
fn a_failed_sync_that_nobody_lived_to_tell_of_is_found_by_whoever_opens_the_ledger() {
    let Some(volume) = ThinVolume::new(12) else { return };
    let path = volume.ledger();
    let ledger = SqliteLedger::open(&path).unwrap();
    let mut head = ledger.append(&Head::default(), &[note("1")]).unwrap();
    ledger.sync().unwrap();
    let promised = head;
    let ballast = volume.below.fill();
    for _ in 0..3 {
        head = ledger.append(&head, &[note(&"2".repeat(1_000_000))]).unwrap();
    }
    assert!(matches!(ledger.sync(), Err(LedgerError::SyncFailed { .. })));
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
    let ledger = SqliteLedger::open(&path).unwrap();
    let (ledger, head) = works_on(ledger, &path, &head, &promised);
    ledger.sync().unwrap();
    drop(ledger);
    volume.remount();
    assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), head);
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
    let ledger = SqliteLedger::open(&path).unwrap();
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
    fs::File::open(path.join("ferry")).unwrap().lock().unwrap();
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

/// The first bytes of the log, which change when it begins again.
fn header(path: &Path) -> [u8; 32] {
    let mut header = [0; 32];
    let log = fs::File::open(log(path)).unwrap();
    log.read_exact_at(&mut header, 0).unwrap();
    header
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

/// A ledger that is open here, so that opening it elsewhere syncs nothing.
fn open() -> (PathBuf, SqliteLedger, tempfile::TempDir) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("jobs.lease");
    let ledger = SqliteLedger::open(&path).unwrap();
    (path, ledger, root)
}

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

#[test]
fn a_write_that_fails_anywhere_in_a_commit_leaves_the_ledger_as_it_was() {
    for (error, told) in [("ENOSPC", "StorageFull"), ("EIO", "Storage")] {
        for write in [1, 2, 3, 4, 6, 8, 11] {
            let (path, ledger, _root) = open();
            let output = Command::new("strace")
                .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e"])
                .arg(format!("inject=pwrite64:error={error}:when={write}"))
                .arg("-P")
                .arg(log(&path))
                .arg(env!("CARGO_BIN_EXE_ledger-writer"))
                .args([path.as_os_str(), "writer".as_ref(), "6".as_ref()])
                .output();
            let Ok(output) = output.map_err(|error| eprintln!("skipped: no strace: {error}")) else {
                return;
            };
            let said = String::from_utf8_lossy(&output.stderr);
            if said.contains("strace:") {
                eprintln!("skipped: {said}");
                return;
            }
            assert!(said.contains(told), "write {write}: {said}");
            // What was said to be there is there, and nothing of what was refused.
            let count = String::from_utf8_lossy(&output.stdout).lines().count();
            let head = ledger.verify(&mut ()).unwrap();
            assert_eq!(head.sequence, count as u64, "write {write}");
            // The key of what was refused is free.
            let key = format!("writer/{count}");
            ledger.append(&head, &[note("on").with_key(key)]).unwrap();
            ledger.sync().unwrap();
        }
    }
}

#[test]
fn a_log_with_a_torn_end_is_read_up_to_the_last_whole_commit() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("jobs.lease");
    let ledger = SqliteLedger::open(&path).unwrap();
    let head = ledger.append(&Head::default(), &[note("1")]).unwrap();
    let whole = log(&path).metadata().unwrap().len();
    ledger.append(&head, &[note(&"2".repeat(20_000))]).unwrap();
    drop(ledger);
    let torn = fs::OpenOptions::new().write(true).open(log(&path)).unwrap();
    torn.set_len(whole + 5_000).unwrap();
    // The index of the log is as old as the last power cut.
    fs::remove_file(path.join("ledger.db-shm")).unwrap();
    assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), head);
}

fn log(path: &Path) -> PathBuf {
    path.join("ledger.db-wal")
}
