//! Storage that is full, read-only, out of bounds, or fails to sync.

use std::{
    fs,
    io::Write,
    os::unix::{fs::FileExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use lease::ledger::{Head, Ledger, LedgerError, SqliteLedger};

use lease_tests::patience::eventually;

use crate::conformance::note;

/// A small file system of its own, unmounted in the end.
struct Volume(tempfile::TempDir);

impl Volume {
    /// `None`, and a line that says so, where mounting is not allowed.
    fn of(size: &str) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=700");
        let mount = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        if run(Command::new("mount").args(mount).arg(place.path())) {
            Some(Self(place))
        } else {
            eprintln!("skipped: this process may not mount a file system");
            None
        }
    }

    fn ledger(&self) -> PathBuf {
        self.0.path().join("jobs.lease")
    }

    fn remount(&self, option: &str) {
        let option = format!("remount,{option}");
        // Busy for as long as a child that another test is starting holds copies of this process's descriptors.
        let mut tries = 0..100;
        while !run(Command::new("mount").args(["-o", &option]).arg(self.0.path())) {
            assert!(tries.next().is_some(), "{option}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Takes all the room that is left; removing the file gives it back.
    fn fill(&self) -> PathBuf {
        let path = self.0.path().join("ballast");
        let mut ballast = fs::File::create(&path).unwrap();
        while ballast.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(self.0.path()));
    }
}

fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

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
    let ballast = volume.0.path().join("ballast");
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
    match SqliteLedger::open(volume.0.path().join("new.lease")) {
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

/// An ext4 in a file on a tmpfs: once the tmpfs is full, the ext4 takes writes for which there is no room below, fails
/// the next sync, and calls the one after that a success. (With a journal it would turn read-only at once.)
struct ThinVolume {
    below: Volume,
    place: tempfile::TempDir,
}

impl ThinVolume {
    /// Room for so many mebibytes; the file system believes in twice as many.
    fn new(room: u64) -> Option<Self> {
        let below = Volume::of(&format!("{room}m"))?;
        let image = below.0.path().join("image");
        let place = tempfile::tempdir().unwrap();
        fs::File::create(&image).unwrap().set_len(room << 21).unwrap();
        let format = ["-q", "-m", "0", "-O", "^has_journal"];
        if !run(Command::new("mkfs.ext4").args(format).arg(&image)) {
            eprintln!("skipped: there is no mkfs.ext4");
            return None;
        }
        let volume = Self { below, place };
        if volume.mount() {
            Some(volume)
        } else {
            eprintln!("skipped: this process may not mount a loop device");
            None
        }
    }

    fn mount(&self) -> bool {
        let image = self.below.0.path().join("image");
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(image)
            .arg(self.place.path()))
    }

    /// Forgets what is only in memory, as far as that can be done without cutting the power.
    fn remount(&self) {
        let mut tries = 0..100;
        while !run(Command::new("umount").arg(self.place.path())) {
            assert!(tries.next().is_some());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(self.mount());
    }
}

impl Drop for ThinVolume {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(self.place.path()));
    }
}

/// Appends a note once there is room again. It follows `head`, unless the system has lost from memory what it could not
/// write: then it follows, in a ledger opened anew, the record that was `promised` or one of those after it.
fn works_on(ledger: SqliteLedger, path: &Path, head: &Head, promised: &Head) -> (SqliteLedger, Head) {
    let ledger = match ledger.append(head, &[note("on")]) {
        Ok(next) => return (ledger, next),
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
    let path = volume.place.path().join("jobs.lease");
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
fn a_checkpoint_whose_sync_lies_after_one_that_failed_loses_nothing_acknowledged() {
    let Some(volume) = ThinVolume::new(48) else { return };
    let path = volume.place.path().join("jobs.lease");
    let ledger = SqliteLedger::open(&path).unwrap();
    let mut head = ledger.append(&Head::default(), &[note("1")]).unwrap();
    // Nothing behind what this reader sees moves into the database while it looks.
    let reader = rusqlite::Connection::open(path.join("ledger.db")).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM events")
        .unwrap();
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
    let header = || {
        let mut header = [0; 32];
        fs::File::open(log(&path))
            .unwrap()
            .read_exact_at(&mut header, 0)
            .unwrap();
        header
    };
    let before = header();
    let (ledger, mut head) = works_on(ledger, &path, &head, &promised);
    eventually(
        "the log begins again, because all of it is in the database",
        || {
            head = ledger.append(&head, &[note("4")]).unwrap();
            header() != before
        },
    );
    ledger.sync().unwrap();
    drop(ledger);
    volume.remount();
    assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), head);
}

#[test]
fn a_failed_sync_that_nobody_lived_to_tell_of_is_found_by_whoever_opens_the_ledger() {
    let Some(volume) = ThinVolume::new(12) else { return };
    let path = volume.place.path().join("jobs.lease");
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

/// What a process says that writes six notes into an open ledger while the system fails some `fdatasync`s of the log, by
/// which it is made durable, and some `fsync`s, by which it is proved again.
fn says_while_syncs_fail(path: &Path, fdatasync: &str, fsync: &str) -> Option<String> {
    if !run(Command::new("strace").args(["-o", "/dev/null", "true"])) {
        eprintln!("skipped: strace is missing or may not trace");
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
