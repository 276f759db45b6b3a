//! Storage that turns read-only while the ledger is open.

use std::{
    path::Path,
    process::{Command, Output},
};

use lease::ledger::{Ledger, LedgerError, SqliteLedger};

use crate::{
    conformance::note,
    volumes::{ThinVolume, may_trace},
};

fn assert_unwritable<T: std::fmt::Debug>(result: Result<T, LedgerError>, path: &Path) {
    match result {
        Err(LedgerError::Unwritable { path: named }) => assert!(named.starts_with(path), "{named:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_system_that_turns_read_only_under_an_open_ledger_is_told_and_only_read_from() {
    let Some(volume) = ThinVolume::journaled(12) else {
        return;
    };
    let path = volume.ledger();
    let ledger = SqliteLedger::open(&path).unwrap();
    let head = ledger.append(&ledger.head().unwrap(), &[note("1")]).unwrap();
    ledger.sync().unwrap();
    assert!(!volume.change("ro"), "files are open for writing");
    // What ext4 does to itself after an error.
    assert!(volume.change("abort"));
    assert_unwritable(ledger.append(&head, &[note("2")]), &path);
    let sealed = ledger.seal(&head, b"");
    assert_unwritable(sealed, &path);
    assert_unwritable(ledger.save_checkpoint("notes", 1, b"state"), &path);
    match ledger.sync() {
        Err(LedgerError::SyncFailed { reason }) => assert!(reason.contains("Read-only"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_unwritable(ledger.enter().map(drop), &path);
    assert_eq!(ledger.head().unwrap(), head);
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
    drop(ledger);
    assert_unwritable(SqliteLedger::open(&path), &path);
    volume.remount();
    let ledger = SqliteLedger::open(&path).unwrap();
    let next = ledger.append(&head, &[note("2")]).unwrap();
    ledger.sync().unwrap();
    assert_eq!(ledger.verify(&mut ()).unwrap(), next);
}

/// Runs the writer while the system refuses the `number`-th call of these kinds in each of its threads.
fn write_with_fault(path: &Path, calls: &str, error: &str, number: usize) -> Option<Output> {
    if !may_trace() {
        return None;
    }
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={calls}"))
        .arg("-e")
        .arg(format!("inject={calls}:error={error}:when={number}"))
        .arg(env!("CARGO_BIN_EXE_ledger-writer"))
        .args([path.as_os_str(), "writer".as_ref(), "3".as_ref()])
        .output()
        .unwrap();
    Some(output)
}

#[test]
fn any_write_that_is_refused_as_read_only_is_told_and_nothing_is_half_done() {
    let root = tempfile::tempdir().unwrap();
    let mut told = 0;
    // From the first write of a new ledger on.
    for number in 1..=40 {
        let path = root.path().join(format!("{number}.lease"));
        let Some(output) = write_with_fault(&path, "pwrite64", "EROFS", number) else {
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        let acknowledged = String::from_utf8_lossy(&output.stdout).lines().count() as u64;
        if output.status.success() {
            // That one was only for the message of those who wait in vain, or there are no more of them.
            assert_eq!(acknowledged, 3, "write {number}");
        } else {
            let is_typed = ["Unwritable", "Storage", "Io {"]
                .iter()
                .any(|word| said.contains(word));
            assert!(is_typed && !said.contains("panicked"), "write {number}: {said}");
            told += 1;
        }
        let ledger = SqliteLedger::open(&path).unwrap();
        let head = ledger.verify(&mut ()).unwrap();
        assert_eq!(head.sequence, acknowledged, "write {number}");
        // The key of what was refused is free.
        let key = format!("writer/{acknowledged}");
        ledger.append(&head, &[note("on").with_key(key)]).unwrap();
        ledger.sync().unwrap();
    }
    assert!(told > 10, "{told} writes were told of");
}
