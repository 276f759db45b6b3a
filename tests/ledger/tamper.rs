//! Rows that were changed behind the ledger's back are found and named.

use std::path::PathBuf;

use lease::ledger::{Head, Ledger, LedgerError, NewRecord, SqliteLedger};
use lease_tests::tamper::{hex, insert, tamper};
use tempfile::TempDir;

use crate::conformance::note;

/// A closed ledger of 20 records, every one with a key.
fn written() -> (PathBuf, Head, TempDir) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("jobs.lease");
    let ledger = SqliteLedger::open(&path).unwrap();
    let batch: Vec<NewRecord> = (1..=20)
        .map(|n| note(&n.to_string()).with_key(format!("key-{n}")))
        .collect();
    let head = ledger.append(&Head::default(), &batch).unwrap();
    (path, head, root)
}

/// The verdict on such a ledger after `statements`.
fn verdict(statements: &str) -> (u64, String) {
    let (path, mut head, _root) = written();
    tamper(&path, statements);
    let ledger = SqliteLedger::open(&path).unwrap();
    match ledger.verify(&mut head) {
        Err(LedgerError::BadRecord { sequence, fault }) => (sequence, fault.to_string()),
        other => panic!("{statements}: {other:?}"),
    }
}

fn assert_found(statements: &str, sequence: u64, fault: &str) {
    let found = verdict(statements);
    assert!(
        found.0 == sequence && found.1.contains(fault),
        "{statements}: {found:?}"
    );
}

#[test]
fn an_untouched_ledger_verifies() {
    let (path, mut head, _root) = written();
    tamper(&path, "");
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!(ledger.verify(&mut head.clone()).unwrap(), head);
    assert_eq!(ledger.verify(&mut head).unwrap().sequence, 20);
}

#[test]
fn every_altered_column_is_named() {
    for change in [
        "event_type = 'note.burnt'",
        "session_id = 'x'",
        "actor_id = 'x'",
        "payload = x'FF'",
        "wall = -1",
        "tick = 1, tick_rate = 1, tick_clock = zeroblob(16)",
    ] {
        assert_found(
            &format!("UPDATE events SET {change} WHERE sequence = 7"),
            7,
            "do not match its hash",
        );
    }
    assert_found(
        "UPDATE events SET hash = zeroblob(32) WHERE sequence = 7",
        7,
        "do not match its hash",
    );
    assert_found(
        "UPDATE events SET previous_hash = zeroblob(32) WHERE sequence = 7",
        7,
        "does not link",
    );
}

#[test]
fn a_column_that_no_ledger_writes_is_named() {
    assert_found(
        "UPDATE events SET hash = x'00' WHERE sequence = 7",
        7,
        "column hash cannot be read",
    );
    assert_found(
        "UPDATE events SET tick = 1 WHERE sequence = 7",
        7,
        "column tick_rate cannot be read",
    );
    assert_found(
        "UPDATE events SET actor_id = CAST(x'FF' AS TEXT) WHERE sequence = 7",
        7,
        "column actor_id cannot be read",
    );
}

#[test]
fn a_deleted_row_is_named() {
    assert_found(
        "DELETE FROM events WHERE sequence = 7",
        7,
        "missing, the next one is 8",
    );
    assert_found(
        "DELETE FROM events WHERE sequence = 1",
        1,
        "missing, the next one is 2",
    );
    assert_found(
        "DELETE FROM events WHERE sequence = 7; DELETE FROM unique_keys WHERE sequence = 7",
        7,
        "missing, the next one is 8",
    );
}

#[test]
fn a_deleted_row_whose_gap_was_closed_is_named() {
    assert_found(
        "DELETE FROM events WHERE sequence = 7; DELETE FROM unique_keys WHERE sequence = 7;
         UPDATE events SET sequence = sequence - 1 WHERE sequence > 7;
         UPDATE unique_keys SET sequence = sequence - 1 WHERE sequence > 7",
        7,
        "does not link",
    );
}

#[test]
fn swapped_rows_are_named() {
    assert_found(
        "UPDATE events SET sequence = 99 WHERE sequence = 7;
         UPDATE events SET sequence = 7 WHERE sequence = 8;
         UPDATE events SET sequence = 8 WHERE sequence = 99",
        7,
        "does not link",
    );
}

#[test]
fn a_cut_tail_is_found_by_the_keys_that_are_left() {
    let (path, _head, _root) = written();
    tamper(&path, "DELETE FROM events WHERE sequence > 15");
    match SqliteLedger::open(&path).unwrap().verify(&mut ()) {
        Err(LedgerError::BadRecord { sequence, fault }) => {
            assert_eq!(sequence, 16);
            assert!(
                fault
                    .to_string()
                    .contains("record 16 registered the unique key `key-16`"),
                "{fault}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cut_tail_without_traces_is_found_by_a_head_kept_outside() {
    let cut = "DELETE FROM events WHERE sequence > 15; DELETE FROM unique_keys WHERE sequence > 15";
    assert_found(cut, 16, "a head kept outside is at 20, the ledger ends at 15");
    // Without one, nothing can tell it from a ledger that never went further; the docs say so.
    let (path, _head, _root) = written();
    tamper(&path, cut);
    assert_eq!(
        SqliteLedger::open(&path)
            .unwrap()
            .verify(&mut ())
            .unwrap()
            .sequence,
        15
    );
}

#[test]
fn a_row_that_was_inserted_with_every_later_hash_is_found_by_a_head_kept_outside() {
    let (path, mut head, _root) = written();
    insert(&path, 6, &note("inserted").record);
    let ledger = SqliteLedger::open(&path).unwrap();
    // In itself the history is sound; the docs say so.
    assert_eq!(ledger.verify(&mut ()).unwrap().sequence, 21);
    assert_eq!(
        ledger.read(6, 1).unwrap()[0].payload,
        note("inserted").record.payload
    );
    match ledger.verify(&mut head) {
        Err(LedgerError::BadRecord { sequence: 20, fault }) => {
            assert!(fault.to_string().contains("differs from the head"), "{fault}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_row_that_was_inserted_without_the_later_hashes_is_named() {
    let (path, _head, _root) = written();
    let hashes: Vec<[u8; 32]> = {
        let ledger = SqliteLedger::open(&path).unwrap();
        ledger
            .read(0, 99)
            .unwrap()
            .iter()
            .map(|record| record.hash)
            .collect()
    };
    insert(&path, 6, &note("inserted").record);
    // The record itself links and gives its hash; those behind it are as they were written.
    for (before, sequence) in hashes.windows(2).skip(5).zip(8..) {
        let [previous, hash] = [hex(&before[0]), hex(&before[1])];
        let restore = format!(
            "UPDATE events SET previous_hash = x'{previous}', hash = x'{hash}' WHERE sequence = {sequence}"
        );
        tamper(&path, &restore);
    }
    match SqliteLedger::open(&path).unwrap().verify(&mut ()) {
        Err(LedgerError::BadRecord { sequence: 8, fault }) => {
            assert!(fault.to_string().contains("does not link"), "{fault}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_freed_key_is_named() {
    assert_found(
        "DELETE FROM unique_keys WHERE key = 'key-7'",
        7,
        "`key-7` is not registered",
    );
    assert_found(
        "UPDATE unique_keys SET sequence = 8 WHERE key = 'key-7'",
        7,
        "`key-7` is not registered",
    );
    assert_found(
        "INSERT INTO unique_keys VALUES ('key-x', 7)",
        7,
        "`key-x` is registered as its own",
    );
}

#[test]
fn the_first_of_several_faults_is_named() {
    assert_found(
        "UPDATE events SET payload = x'' WHERE sequence IN (9, 12); DELETE FROM unique_keys WHERE key = 'key-11'",
        9,
        "do not match",
    );
    assert_found(
        "UPDATE events SET payload = x'' WHERE sequence = 12; DELETE FROM unique_keys WHERE key = 'key-11'",
        11,
        "not registered",
    );
}

#[test]
fn an_altered_record_is_not_handed_out() {
    let (path, _head, _root) = written();
    tamper(&path, "UPDATE events SET payload = x'FF' WHERE sequence = 7");
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!(ledger.read(0, 6).unwrap().len(), 6);
    assert!(matches!(
        ledger.read(0, 7),
        Err(LedgerError::BadRecord { sequence: 7, .. })
    ));
    assert_eq!(ledger.read(7, 99).unwrap().len(), 13);
}
