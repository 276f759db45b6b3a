//! The ledger in a directory keeps the common promises, and its own.

use std::{sync::Arc, thread, time::Duration};

use lease::ledger::{Head, Ledger, LedgerError, SqliteLedger};
use tempfile::TempDir;

use crate::conformance::{Shared, note};

fn open(patience: Duration) -> (Shared, TempDir) {
    let root = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open_with_patience(root.path().join("jobs.lease"), patience).unwrap();
    (Arc::new(ledger), root)
}

crate::conformance::suite!(open);

/// A fresh ledger's directory.
fn place() -> (std::path::PathBuf, TempDir) {
    let root = tempfile::tempdir().unwrap();
    (root.path().join("jobs.lease"), root)
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let head = ledger
        .append(&Head::default(), &[note("1").with_key("k"), note("2")])
        .unwrap();
    let records = ledger.read(0, 9).unwrap();
    drop(ledger);
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!(ledger.head().unwrap(), head);
    assert_eq!(ledger.read(0, 9).unwrap(), records);
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
    assert!(matches!(
        ledger.append(&head, &[note("3").with_key("k")]),
        Err(LedgerError::KeyUsed { .. })
    ));
}

#[test]
fn the_epoch_rises_when_the_ledger_is_opened_alone() {
    let (path, _root) = place();
    let first = SqliteLedger::open(&path).unwrap().epoch().unwrap();
    let second = SqliteLedger::open(&path).unwrap().epoch().unwrap();
    assert!(second > first);
}

#[test]
fn opening_twice_in_one_process_shares_the_ledger() {
    let (path, root) = place();
    let one = SqliteLedger::open(&path).unwrap();
    let epoch = one.epoch().unwrap();
    std::os::unix::fs::symlink(root.path(), root.path().join("detour")).unwrap();
    let section = one.enter().unwrap();
    // A ledger of its own would have to wait at the gate.
    let detour = root.path().join("detour/./jobs.lease");
    let other = SqliteLedger::open_with_patience(detour, Duration::from_millis(50)).unwrap();
    assert_eq!(other.epoch().unwrap(), epoch);
    assert_eq!(other.path(), one.path());
    assert!(matches!(
        other.enter().map(drop),
        Err(LedgerError::LedgerBusy { .. })
    ));
    drop(section);
    drop(one);
    other.append(&Head::default(), &[note("1")]).unwrap();
}

#[test]
fn threads_that_open_at_once_share_one_ledger() {
    let (path, _root) = place();
    let ledgers: Vec<_> = thread::scope(|scope| {
        let opening: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| SqliteLedger::open(&path).unwrap()))
            .collect();
        opening.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let epochs: Vec<_> = ledgers.iter().map(|ledger| ledger.epoch().unwrap()).collect();
    assert!(epochs.windows(2).all(|pair| pair[0] == pair[1]), "{epochs:?}");
}

#[test]
fn the_log_does_not_grow_without_bound() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let mut head = Head::default();
    let text = "x".repeat(100_000);
    // 60 MB in all; the log may be some 16 MiB long before it is worth a checkpoint, and grows on meanwhile.
    let longest = (0..600)
        .map(|_| {
            head = ledger.append(&head, &[note(&text)]).unwrap();
            ledger.sync().unwrap();
            path.join("ledger.db-wal").metadata().unwrap().len()
        })
        .max()
        .unwrap();
    assert!(longest < 40 << 20, "{longest}");
    assert!(path.join("ledger.db").metadata().unwrap().len() > 10 << 20);
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
}

#[test]
fn closing_neither_empties_nor_removes_the_log() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    ledger.append(&Head::default(), &[note("1")]).unwrap();
    let log = || path.join("ledger.db-wal").metadata().unwrap().len();
    let before = log();
    drop(ledger);
    assert!(before > 0);
    assert_eq!(log(), before);
}

#[test]
fn a_forked_child_is_told_so_and_disturbs_nobody() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let head = ledger.append(&Head::default(), &[note("1")]).unwrap();
    // SAFETY: the child only compares process ids, drops a handle whose drop does nothing in it, and exits without
    // unwinding into the test harness; it takes no lock that another thread could have held at the fork.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = |result: Result<(), LedgerError>| matches!(result, Err(LedgerError::Forked { .. }));
        let all = refused(ledger.head().map(drop))
            && refused(ledger.read(0, 1).map(drop))
            && refused(ledger.enter().map(drop))
            && refused(ledger.append(&head, &[note("2")]).map(drop))
            && refused(ledger.sync())
            && refused(ledger.epoch().map(drop))
            && refused(ledger.verify(&mut ()).map(drop));
        drop(ledger);
        // SAFETY: ends the child; has no preconditions.
        unsafe { libc::_exit(i32::from(!all)) };
    }
    let mut status = 0;
    // SAFETY: `child` is a child of this process and `status` outlives the call.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0));
    ledger.append(&head, &[note("2")]).unwrap();
    assert_eq!(ledger.verify(&mut ()).unwrap().sequence, 2);
}

#[test]
fn the_turn_to_write_a_checkpoint_is_one_s_until_it_is_dropped() {
    let (path, _root) = place();
    let (one, other) = (
        SqliteLedger::open(&path).unwrap(),
        SqliteLedger::open(&path).unwrap(),
    );
    let turn = one.checkpoint_turn().unwrap().unwrap();
    assert!(one.checkpoint_turn().unwrap().is_none());
    assert!(other.checkpoint_turn().unwrap().is_none());
    // It is asked for, not obeyed.
    other.save_checkpoint("till", 1, b"state").unwrap();
    drop(turn);
    assert!(other.checkpoint_turn().unwrap().is_some());
}
