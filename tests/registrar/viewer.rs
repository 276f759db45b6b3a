//! Whoever only looks sees everything, writes nothing and leaves nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lease::ledger::{Ledger as _, LedgerError, SqliteLedger};
use lease::{
    EventRecord, LeaseError, LeaseReducerState, Registrar, RegistrarError, ReleaseReason, Viewer, helpers,
};
use lease_tests::patience::eventually;
use tempfile::TempDir;

use crate::setup::TTL;

fn place() -> (PathBuf, TempDir) {
    let root = tempfile::tempdir().unwrap();
    (root.path().join("jobs.lease"), root)
}

/// A ledger of two leases that were given back and one that is held, the first one sealed. Returns the registrar.
fn three(path: &Path) -> Registrar {
    let registrar = Registrar::open(path).unwrap();
    for work in ["one", "two"] {
        let lease = registrar.issue(work, TTL).wait().unwrap();
        let released = registrar.release(&lease.lease_id, ReleaseReason::Completed);
        released.wait().unwrap();
        if work == "one" {
            registrar.seal().unwrap();
        }
    }
    registrar.issue("three", TTL).wait().unwrap();
    registrar
}

/// Every file below, and what is in it. The index of the log is SQLite's scratch pad, of which only the length counts.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
            files.insert(path, Vec::new());
        } else if path.ends_with("ledger.db-shm") {
            files.insert(
                path.clone(),
                path.metadata().unwrap().len().to_le_bytes().to_vec(),
            );
        } else {
            files.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    files
}

fn look_at_everything(viewer: &Viewer) {
    assert_eq!(viewer.query(LeaseReducerState::len).unwrap(), 3);
    assert_eq!(viewer.trusted_keys().unwrap().len(), 1);
    assert_eq!(viewer.refused().unwrap(), 0);
    assert_eq!(viewer.refusals().unwrap(), []);
    let head = viewer.verify().unwrap();
    let ledger = viewer.ledger();
    assert_eq!(ledger.head().unwrap(), head);
    assert_eq!(ledger.read(0, 99).unwrap().len() as u64, head.sequence);
    assert_eq!(ledger.seals().unwrap().len(), 1);
    let kept = ledger.checkpoints("lease-registrar-view").unwrap();
    assert!(
        ledger
            .load_checkpoint("lease-registrar-view", kept[0])
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_viewer_leaves_no_trace_beside_a_registrar_or_alone() {
    let (path, _root) = place();
    let registrar = three(&path);
    // The registrar's own threads may be moving the log, so of its files only the names stay for sure.
    let names = |path| files(path).into_keys().collect::<Vec<_>>();
    let open = names(&path);
    let beside = Viewer::open(&path).unwrap();
    look_at_everything(&beside);
    drop(beside);
    assert_eq!(names(&path), open);
    registrar.close().wait().unwrap();
    drop(registrar);

    let closed = files(&path);
    let alone = Viewer::open(&path).unwrap();
    look_at_everything(&alone);
    assert!(files(&path) == closed);
    drop(alone);
    assert!(files(&path) == closed);
}

#[test]
fn a_viewer_sees_what_others_append_and_keeps_nobody_out() {
    let (path, _root) = place();
    let registrar = three(&path);
    let viewer = Viewer::open(&path).unwrap();
    for number in 0..3 {
        let work = format!("more-{number}");
        registrar.issue(&work, TTL).wait().unwrap();
        assert!(viewer.query(|state| state.has_active_lease(&work)).unwrap());
    }
    registrar.seal().unwrap();
    assert_eq!(viewer.verify().unwrap(), registrar.verify().unwrap());
    // A ledger that nobody but the viewer has open begins a new epoch, as if nobody had.
    let epoch = registrar.ledger().epoch().unwrap();
    registrar.close().wait().unwrap();
    drop(registrar);
    eventually("a new epoch", || {
        SqliteLedger::open(&path).unwrap().epoch().unwrap() > epoch
    });
    assert_eq!(viewer.query(LeaseReducerState::len).unwrap(), 6);
}

#[test]
fn a_viewed_ledger_cannot_be_written() {
    let (path, _root) = place();
    let registrar = three(&path);
    let viewer = Viewer::open(&path).unwrap();
    let (ledger, head) = (viewer.ledger(), registrar.ledger().head().unwrap());
    let record = EventRecord::new("note.made", "s", "me", []);
    let refusals = [
        ledger.append(&head, &[record.into()]).err(),
        ledger.sync().err(),
        ledger.seal(&head, b"").err(),
        ledger.save_checkpoint("till", 1, b"state").err(),
    ];
    for refused in refusals {
        assert!(
            matches!(refused, Some(LedgerError::Unwritable { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(registrar.ledger().head().unwrap(), head);
}

#[test]
fn a_viewer_counts_and_tells_what_is_passed_over() {
    let (path, _root) = place();
    let registrar = three(&path);
    let ledger = SqliteLedger::open(&path).unwrap();
    let payload = helpers::lease_issued_payload("forged", "other", "mallory", 1, 2, vec![1; 72]);
    let forged = EventRecord::new("lease.issued", "s", "registrar", payload);
    let head = ledger.append(&ledger.head().unwrap(), &[forged.into()]).unwrap();
    let viewer = Viewer::open(&path).unwrap();
    assert_eq!(viewer.refused().unwrap(), 1);
    let refusals = viewer.refusals().unwrap();
    assert_eq!(refusals[0].sequence, head.sequence);
    assert!(matches!(refusals[0].error, LeaseError::InvalidSignature { .. }));
    assert_eq!(refusals, registrar.refusals().unwrap());
}

#[test]
fn there_is_nothing_to_view_where_there_is_no_ledger_and_none_is_made() {
    let (path, _root) = place();
    let not_a_ledger = |path: &Path| match Viewer::open(path) {
        Err(RegistrarError::Ledger(error)) => matches!(*error, LedgerError::NotALedger { .. }),
        _ => false,
    };
    assert!(not_a_ledger(&path));
    assert!(!path.exists());
}

/// What this process has a file open for: the last octal digit of each descriptor's flags, where 0 is reading.
fn open_for(path: &Path) -> Vec<Option<char>> {
    let mut modes = Vec::new();
    for descriptor in fs::read_dir("/proc/self/fd").unwrap() {
        let descriptor = descriptor.unwrap();
        if fs::read_link(descriptor.path()).is_ok_and(|named| named == path)
            && let Ok(info) = fs::read_to_string(Path::new("/proc/self/fdinfo").join(descriptor.file_name()))
        {
            let flags = info.lines().find(|line| line.starts_with("flags:")).unwrap();
            modes.push(flags.chars().last());
        }
    }
    modes
}

#[test]
fn a_viewer_has_the_database_open_for_reading_only() {
    let (path, _root) = place();
    three(&path).close().wait().unwrap();
    let database = path.canonicalize().unwrap().join("ledger.db");
    eventually("nobody has it open", || open_for(&database).is_empty());
    let viewer = Viewer::open(&path).unwrap();
    look_at_everything(&viewer);
    assert_eq!(open_for(&database), [Some('0')]);
}

#[test]
fn a_copied_ledger_is_not_viewed_as_the_original() {
    let (path, root) = place();
    drop(three(&path));
    let copy = root.path().join("copy.lease");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([&path, &copy])
        .status();
    assert!(copied.unwrap().success());
    match Viewer::open(&copy) {
        Err(RegistrarError::Ledger(error)) => {
            assert!(matches!(*error, LedgerError::LedgerMoved { .. }), "{error:?}");
        }
        other => panic!("{other:?}"),
    }
    look_at_everything(&Viewer::open(&path).unwrap());
}
