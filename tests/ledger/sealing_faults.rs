//! Sealing while the storage fails: either it is sealed or it is as it was, and the next sealing goes on from there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lease::ledger::{Head, Ledger, LedgerError, NewRecord, SqliteLedger};

use crate::{
    conformance::note,
    volumes::{Volume, may_trace},
};

/// A ledger with so many notes of a kilobyte.
fn filled(path: &Path, count: u64) -> (SqliteLedger, Head) {
    let ledger = SqliteLedger::open(path).unwrap();
    let text = "x".repeat(1_000);
    let batch: Vec<NewRecord> = (0..count)
        .map(|number| note(&text).with_key(format!("key-{number}")))
        .collect();
    let head = ledger.append(&Head::default(), &batch).unwrap();
    ledger.sync().unwrap();
    (ledger, head)
}

fn files(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path.join("sealed")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Nothing is sealed, nothing is left, and everything is there.
fn assert_as_it_was(ledger: &SqliteLedger, head: &Head) {
    assert_eq!(ledger.seals().unwrap(), []);
    assert!(files(ledger.path()).is_empty());
    assert_eq!(ledger.verify(&mut ()).unwrap(), *head);
}

#[test]
fn sealing_on_a_full_disk_is_told_and_works_once_there_is_room() {
    let Some(volume) = Volume::of("4m") else { return };
    let (ledger, head) = filled(&volume.ledger(), 1_000);
    let ballast = volume.fill();
    match ledger.seal(&head, b"said") {
        Err(LedgerError::StorageFull { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_as_it_was(&ledger, &head);
    // Room for a part of it.
    let room = ballast.metadata().unwrap().len() - 300_000;
    fs::OpenOptions::new()
        .write(true)
        .open(&ballast)
        .unwrap()
        .set_len(room)
        .unwrap();
    match ledger.seal(&head, b"said") {
        Err(LedgerError::StorageFull { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_as_it_was(&ledger, &head);
    fs::remove_file(ballast).unwrap();
    ledger.seal(&head, b"said").unwrap();
    assert_eq!(ledger.seals().unwrap().len(), 1);
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
}

/// Seals in another process while the system fails one call, and says how that ended.
fn seal_with_fault(path: &Path, call: &str, error: &str, number: usize) -> Option<Result<(), String>> {
    if !may_trace() {
        return None;
    }
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={call}"))
        .arg("-e")
        .arg(format!("inject={call}:error={error}:when={number}"))
        .arg(env!("CARGO_BIN_EXE_ledger-writer"))
        .args([path.as_os_str(), "sealer".as_ref(), "seal-once".as_ref()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{call} {number}: {said}");
    Some(if output.status.success() {
        Ok(())
    } else {
        Err(said)
    })
}

/// Each call of each kind that sealing makes fails once.
fn assert_whole_at_every(call: &str, error: &str, up_to: usize, typed: &[&str]) {
    let mut told = 0;
    for number in 1..=up_to {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("jobs.lease");
        let (ledger, head) = filled(&path, 300);
        let Some(ended) = seal_with_fault(&path, call, error, number) else {
            return;
        };
        if let Err(said) = ended {
            assert!(
                typed.iter().any(|word| said.contains(word)),
                "{call} {number}: {said}"
            );
            told += 1;
        } else {
            assert_eq!(ledger.seals().unwrap().len(), 1, "{call} {number}");
        }
        assert_eq!(ledger.verify(&mut ()).unwrap(), head, "{call} {number}");
        // The next one is not hindered by what is left, and nothing is left after it.
        ledger.seal(&head, b"").unwrap();
        assert_eq!(ledger.seals().unwrap().len(), 1, "{call} {number}");
        assert_eq!(files(&path).len(), 1, "{call} {number}");
        assert_eq!(ledger.verify(&mut ()).unwrap(), head, "{call} {number}");
        let next = ledger.append(&head, &[note("on")]).unwrap();
        ledger.sync().unwrap();
        drop(ledger);
        assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), next);
    }
    assert!(told > 0, "no {call} was told of");
}

#[test]
fn sealing_is_whole_or_nothing_wherever_a_write_fails() {
    assert_whole_at_every("write", "ENOSPC", 2, &["StorageFull"]);
    // SQLite names the reason for its own files where it knows one.
    assert_whole_at_every("pwrite64", "ENOSPC", 12, &["StorageFull", "Storage"]);
}

#[test]
fn sealing_is_whole_or_nothing_wherever_a_sync_fails() {
    assert_whole_at_every("fsync", "EIO", 8, &["Io {", "SyncFailed"]);
    assert_whole_at_every("fdatasync", "EIO", 2, &["SyncFailed"]);
}

#[test]
fn sealing_is_whole_or_nothing_if_the_file_cannot_get_its_name() {
    assert_whole_at_every("rename,renameat,renameat2", "EIO", 1, &["Io {"]);
}
