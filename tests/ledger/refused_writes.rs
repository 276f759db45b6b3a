//! Writes that the storage refuses or tears: it is full, read-only, somebody else's, or fails at any moment.

use std::{fs, os::unix::process::CommandExt, process::Command};

use lease::ledger::{Head, Ledger, LedgerError, SqliteLedger};

use crate::{
    conformance::note,
    failed_syncs::{log, open},
    volumes::Volume,
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
fn a_ledger_whose_log_was_removed_is_not_looked_at_on_a_read_only_file_system_and_left_alone() {
    let Some(volume) = Volume::of("4m") else { return };
    drop(lease::Registrar::open(volume.ledger()).unwrap());
    let names = || {
        let entries = fs::read_dir(volume.ledger()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort_unstable();
        names
    };
    let kept = |file: &str| volume.path().join(file);
    let files = ["ledger.db-wal", "ledger.db-shm"];
    for file in files {
        fs::rename(volume.ledger().join(file), kept(file)).unwrap();
        let left = names();
        volume.remount("ro");
        match lease::Viewer::open(volume.ledger()) {
            Err(lease::RegistrarError::Ledger(error)) => {
                assert!(matches!(*error, LedgerError::Storage { .. }), "{error:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(names(), left);
        volume.remount("rw");
    }
    for file in files {
        fs::rename(kept(file), volume.ledger().join(file)).unwrap();
    }
    lease::Viewer::open(volume.ledger()).unwrap().verify().unwrap();
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
