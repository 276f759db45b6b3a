//! Several processes on one ledger, and processes that die.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use lease::ledger::{Head, Ledger, LedgerError, SqliteLedger};
use tempfile::TempDir;

use crate::conformance::note;

pub(crate) fn place() -> (PathBuf, TempDir) {
    let root = tempfile::tempdir().unwrap();
    (root.path().join("jobs.lease"), root)
}

/// A process that does `task` on the ledger at `path`. Dropping its standard input ends it.
pub(crate) fn writer(path: &Path, name: &str, task: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ledger-writer"))
        .args([path.as_os_str(), name.as_ref(), task.as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until it says that it is where it should be.
pub(crate) fn settled(child: &mut Child) {
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.as_mut().unwrap());
    out.read_line(&mut line).unwrap();
    assert!(matches!(line.trim_end(), "inside" | "here"), "{line}");
}

/// Ends a process that waits, and expects it to be content.
pub(crate) fn dismiss(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

/// The sequences that a process was told were durable. A killed one may have stopped in the middle of a line.
fn acknowledged(mut child: Child) -> Vec<u64> {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn processes_that_write_at_once_keep_one_chain() {
    let (path, _root) = place();
    let children: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| writer(&path, name, "60"))
        .collect();
    let mut all: Vec<u64> = children.into_iter().flat_map(acknowledged).collect();
    all.sort_unstable();
    assert_eq!(all, (1..=180).collect::<Vec<u64>>());
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!(ledger.verify(&mut ()).unwrap().sequence, 180);
    let mut texts: Vec<_> = ledger
        .read(0, 999)
        .unwrap()
        .into_iter()
        .map(|record| record.payload)
        .collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 180);
}

#[test]
fn the_epoch_stays_while_another_process_has_the_ledger_open() {
    let (path, _root) = place();
    let mut other = writer(&path, "other", "stay");
    settled(&mut other);
    let first = SqliteLedger::open(&path).unwrap().epoch().unwrap();
    let second = SqliteLedger::open(&path).unwrap().epoch().unwrap();
    assert_eq!(first, second);
    dismiss(other);
    let third = SqliteLedger::open(&path).unwrap().epoch().unwrap();
    assert!(third > second);
}

#[test]
fn a_process_among_many_shares_its_syncs() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let shared = || !fs::read(path.join("syncs")).unwrap().is_empty();
    let append = |number: u32| {
        let key = format!("ours/{number}");
        ledger
            .append(&ledger.head().unwrap(), &[note(&key).with_key(key)])
            .unwrap();
        ledger.sync().unwrap();
    };
    (0..20).for_each(append);
    assert!(!shared(), "there is nobody else");
    // Before each of ours, more of others' than eight processes would append in turns.
    for number in 20..24 {
        acknowledged(writer(&path, &format!("other/{number}"), "20"));
        append(number);
    }
    assert!(shared());
}

#[test]
fn a_process_that_was_killed_is_no_longer_there() {
    let (path, _root) = place();
    let mut other = writer(&path, "other", "stay");
    settled(&mut other);
    let first = SqliteLedger::open(&path).unwrap().epoch().unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(SqliteLedger::open(&path).unwrap().epoch().unwrap() > first);
}

#[test]
fn a_process_in_the_section_is_named_to_those_who_wait_in_vain() {
    let (path, _root) = place();
    let patience = Duration::from_millis(200);
    let ledger = SqliteLedger::open_with_patience(&path, patience).unwrap();
    let mut holder = writer(&path, "holder", "hold");
    settled(&mut holder);
    match ledger.append(&Head::default(), &[note("1")]) {
        Err(LedgerError::LedgerBusy { pid, waited }) => {
            assert_eq!((pid, waited), (Some(holder.id()), patience));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(ledger.read(0, 9).unwrap(), []);
    dismiss(holder);
    ledger.append(&Head::default(), &[note("1")]).unwrap();
}

#[test]
fn a_section_whose_process_was_killed_is_free() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let mut holder = writer(&path, "holder", "hold");
    settled(&mut holder);
    holder.kill().unwrap();
    holder.wait().unwrap();
    ledger.append(&Head::default(), &[note("1")]).unwrap();
}

#[test]
fn a_process_that_is_killed_while_it_writes_loses_nothing_acknowledged() {
    let (path, _root) = place();
    let mut promised = Vec::new();
    for round in 0..12_u64 {
        let mut children: Vec<_> = ["a", "b"]
            .iter()
            .map(|name| writer(&path, &format!("{name}{round}"), "100000"))
            .collect();
        // Long enough to be anywhere: opening, deciding, committing, syncing.
        std::thread::sleep(Duration::from_millis(20 + 13 * round));
        for child in &mut children {
            child.kill().unwrap();
        }
        promised.extend(children.into_iter().flat_map(acknowledged));
        let ledger = SqliteLedger::open(&path).unwrap();
        let head = ledger.verify(&mut ()).unwrap();
        assert!(promised.iter().all(|sequence| *sequence <= head.sequence));
    }
    let count = promised.len();
    promised.sort_unstable();
    promised.dedup();
    assert_eq!(promised.len(), count);
    assert!(count > 0);
}

/// The first `count` sequences that a process says were durable, and not a byte more.
fn first_acknowledged(child: &mut Child, count: usize) -> Vec<u64> {
    let out = child.stdout.as_mut().unwrap();
    let (mut text, mut byte) = (String::new(), [0]);
    while text.matches('\n').count() < count {
        out.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    text.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn a_process_that_is_killed_while_it_seals_loses_nothing() {
    let (path, _root) = place();
    let mut promised = Vec::new();
    for round in 0..8_u64 {
        let mut children: Vec<_> = ["a", "b"]
            .iter()
            .map(|name| writer(&path, &format!("{name}{round}"), "seal"))
            .collect();
        // The twentieth is followed by a seal, and the twenty-first comes after it.
        let count = if round % 2 == 0 { 20 } else { 40 };
        promised.extend(first_acknowledged(&mut children[0], count));
        std::thread::sleep(Duration::from_micros(700 * round));
        for child in &mut children {
            child.kill().unwrap();
        }
        promised.extend(children.into_iter().flat_map(acknowledged));
        let ledger = SqliteLedger::open(&path).unwrap();
        let head = ledger.verify(&mut ()).unwrap();
        assert!(promised.iter().all(|sequence| *sequence <= head.sequence));
        let records = ledger.read(0, usize::MAX).unwrap();
        assert_eq!(records.len() as u64, head.sequence);
    }
    let ledger = SqliteLedger::open(&path).unwrap();
    assert!(!ledger.seals().unwrap().is_empty(), "they came to sealing");
    ledger.seal(&ledger.head().unwrap(), b"").unwrap();
    let files = std::fs::read_dir(path.join("sealed")).unwrap().count();
    assert_eq!(
        files,
        ledger.seals().unwrap().len(),
        "nothing is left of those that were killed"
    );
    ledger.verify(&mut ()).unwrap();
}
