//! Files that are exchanged or removed under an open ledger.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lease::ledger::{Head, Ledger, LedgerError, SqliteLedger};
use tempfile::TempDir;

use crate::conformance::note;

/// The files on which writers have to agree.
const FILES: [&str; 4] = ["gate", "ledger.db", "ledger.db-wal", "ledger.db-shm"];

/// An open ledger with one record that was acknowledged.
fn open() -> (SqliteLedger, Head, PathBuf, TempDir) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("jobs.lease");
    let ledger = SqliteLedger::open(&path).unwrap();
    let head = ledger
        .append(&Head::default(), &[note("1").with_key("k")])
        .unwrap();
    ledger.sync().unwrap();
    (ledger, head, path, root)
}

/// Neither appends nor calls anything durable, and names the file.
fn assert_disturbed(ledger: &SqliteLedger, head: &Head, file: &str) {
    let tries = [
        ledger.append(head, &[note("2")]).map(drop),
        ledger.sync(),
        ledger.enter().map(drop),
    ];
    for tried in tries {
        match tried {
            Err(LedgerError::LedgerDisturbed { path }) => {
                assert!(path.ends_with(file), "{path:?} for {file}");
            }
            other => panic!("{file}: {other:?}"),
        }
    }
}

fn move_away(path: &Path, file: &str) -> PathBuf {
    let kept = path.with_extension("kept");
    fs::rename(path.join(file), &kept).unwrap();
    kept
}

#[test]
fn a_file_that_is_removed_under_an_open_ledger_is_missed() {
    for file in FILES {
        let (ledger, head, path, _root) = open();
        let kept = move_away(&path, file);
        assert_disturbed(&ledger, &head, file);
        drop(ledger);
        fs::rename(kept, path.join(file)).unwrap();
        let ledger = SqliteLedger::open(&path).unwrap();
        assert_eq!(ledger.verify(&mut ()).unwrap(), head, "{file}");
        ledger.append(&head, &[note("2")]).unwrap();
        ledger.sync().unwrap();
    }
}

#[test]
fn a_file_that_is_exchanged_under_an_open_ledger_is_noticed() {
    for file in FILES {
        let (ledger, head, path, _root) = open();
        let kept = move_away(&path, file);
        fs::copy(&kept, path.join(file)).unwrap();
        assert_disturbed(&ledger, &head, file);
        drop(ledger);
        fs::rename(kept, path.join(file)).unwrap();
        assert_eq!(
            SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(),
            head,
            "{file}"
        );
    }
}

#[test]
fn a_database_that_is_exchanged_while_syncs_are_due_is_not_called_durable() {
    let (ledger, head, path, root) = open();
    let head = ledger.append(&head, &[note("2")]).unwrap();
    let other = root.path().join("other.lease");
    drop(SqliteLedger::open(&other).unwrap());
    fs::rename(other.join("ledger.db"), path.join("ledger.db")).unwrap();
    assert_disturbed(&ledger, &head, "ledger.db");
}

#[test]
fn a_ledger_whose_directory_is_removed_says_so_and_another_may_take_its_place() {
    let (ledger, head, path, _root) = open();
    fs::remove_dir_all(&path).unwrap();
    assert_disturbed(&ledger, &head, "gate");
    // The old one is still open here; the new one is not taken for it, whatever number its directory has.
    let fresh = SqliteLedger::open(&path).unwrap();
    assert_eq!(fresh.head().unwrap(), Head::default());
    let first = fresh
        .append(&Head::default(), &[note("new").with_key("k")])
        .unwrap();
    fresh.sync().unwrap();
    assert_disturbed(&ledger, &head, "gate");
    drop(ledger);
    drop(fresh);
    assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), first);
}

#[test]
fn a_file_that_is_mounted_on_its_own_is_refused() {
    let mount = |from: &Path, onto: &Path| {
        let mounted = Command::new("mount").arg("--bind").args([from, onto]).output();
        mounted.is_ok_and(|output| output.status.success())
    };
    for file in ["ledger.db", "ledger.db-wal", "gate", "presence"] {
        let (ledger, head, path, root) = open();
        drop(ledger);
        let (place, elsewhere) = (path.join(file), root.path().join("elsewhere"));
        fs::copy(&place, &elsewhere).unwrap();
        // Another file, and then the very same one: both have locks of their own only by chance.
        for from in [&elsewhere, &place] {
            if !mount(from, &place) {
                eprintln!("skipped: this process may not mount");
                return;
            }
            let refused = SqliteLedger::open(&path).map(drop);
            assert!(Command::new("umount").arg(&place).status().unwrap().success());
            match refused {
                Err(LedgerError::Linked { path }) => assert!(path.ends_with(file), "{path:?}"),
                other => panic!("{file}: {other:?}"),
            }
        }
        assert_eq!(SqliteLedger::open(&path).unwrap().verify(&mut ()).unwrap(), head);
    }
}
