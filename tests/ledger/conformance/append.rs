//! Appending: columns and keys, all or nothing.

use std::sync::Arc;

use lease::ledger::{Head, LedgerError, MAX_PAYLOAD, MAX_TEXT, NewRecord};
use lease::{ClockId, EventRecord, Tick};

use super::{Shared, content, filled, note, notes, stale, used};

pub(crate) fn a_fresh_ledger_is_empty(ledger: &Shared) {
    assert_eq!(content(ledger), (Head::default(), vec![]));
    assert_eq!(ledger.verify(&mut ()).unwrap(), Head::default());
}

pub(crate) fn sequences_start_at_one_and_have_no_gaps(ledger: &Shared) {
    let first = filled(ledger, 2);
    let second = ledger.append(&first, &notes(3)).unwrap();
    let (head, records) = content(ledger);
    assert_eq!(head, second);
    let sequences: Vec<_> = records.iter().map(|record| record.sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5]);
}

pub(crate) fn every_column_comes_back_as_it_went_in(ledger: &Shared) {
    let tick = Tick::new(5, 1_000, ClockId([9; 16]));
    let odd = "a\0b'\"; DROP TABLE events; \u{1f980}";
    let records = [
        EventRecord::new("note.made", "session-1", "actor-1", [0, 255, 0]).at(7, Some(tick)),
        EventRecord::new("", "", "", []),
        EventRecord::new(odd, odd, odd, odd),
    ];
    let batch: Vec<NewRecord> = records.iter().cloned().map(NewRecord::from).collect();
    ledger.append(&Head::default(), &batch).unwrap();
    for (mut stored, written) in ledger.read(0, 9).unwrap().into_iter().zip(records) {
        (stored.sequence, stored.previous_hash, stored.hash) = (0, [0; 32], [0; 32]);
        assert_eq!(stored, written);
    }
}

pub(crate) fn numbers_go_up_to_the_largest_u64(ledger: &Shared) {
    let clock = ClockId([255; 16]);
    let numbers = [0, 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX];
    let batch: Vec<NewRecord> = numbers
        .iter()
        .map(|&number| {
            note("")
                .record
                .at(number, Some(Tick::new(number, number, clock)))
                .into()
        })
        .collect();
    ledger.append(&Head::default(), &batch).unwrap();
    for (record, number) in ledger.read(0, 9).unwrap().into_iter().zip(numbers) {
        assert_eq!(record.wall, number);
        assert_eq!(record.tick, Some(Tick::new(number, number, clock)));
    }
    ledger.verify(&mut ()).unwrap();
}

pub(crate) fn what_the_caller_puts_into_the_ledgers_columns_is_ignored(ledger: &Shared) {
    let mut forged = note("1");
    (
        forged.record.sequence,
        forged.record.hash,
        forged.record.previous_hash,
    ) = (77, [7; 32], [8; 32]);
    let head = ledger.append(&Head::default(), &[forged]).unwrap();
    let stored = ledger.read(0, 1).unwrap().remove(0);
    assert_eq!(
        (stored.sequence, stored.hash, stored.previous_hash),
        (1, head.hash, [0; 32])
    );
    ledger.verify(&mut ()).unwrap();
}

pub(crate) fn each_record_links_to_the_one_before_it(ledger: &Shared) {
    filled(ledger, 3);
    let head = filled(ledger, 2);
    let records = ledger.read(0, 9).unwrap();
    let mut previous = [0; 32];
    for record in &records {
        assert_eq!(record.previous_hash, previous);
        assert_ne!(record.hash, previous);
        previous = record.hash;
    }
    assert_eq!(head.hash, previous);
}

pub(crate) fn equal_histories_have_equal_heads(ledger: &Shared) {
    let reference: Shared = Arc::new(lease::ledger::MemoryLedger::new());
    let batch = [note("a").with_key("k"), note("b")];
    let one = ledger.append(&Head::default(), &batch).unwrap();
    let half = reference.append(&Head::default(), &batch[..1]).unwrap();
    assert_eq!(reference.append(&half, &batch[1..]).unwrap(), one);
}

pub(crate) fn an_append_behind_a_stale_head_changes_nothing(ledger: &Shared) {
    let first = filled(ledger, 1);
    filled(ledger, 2);
    let before = content(ledger);
    stale(ledger.append(&first, &[note("late").with_key("late")]), (1, 3));
    stale(ledger.append(&Head::default(), &[note("late")]), (0, 3));
    assert_eq!(content(ledger), before);
    ledger
        .append(&before.0, &[note("late").with_key("late")])
        .unwrap();
}

pub(crate) fn an_append_behind_another_history_changes_nothing(ledger: &Shared) {
    let mut head = filled(ledger, 1);
    let before = content(ledger);
    head.hash[0] ^= 1;
    stale(ledger.append(&head, &[note("elsewhere")]), (1, 1));
    assert_eq!(content(ledger), before);
}

pub(crate) fn a_key_is_used_once_for_ever(ledger: &Shared) {
    let head = ledger
        .append(&Head::default(), &[note("1").with_key("k")])
        .unwrap();
    let head = ledger.append(&head, &notes(3)).unwrap();
    let before = content(ledger);
    used(ledger.append(&head, &[note("2").with_key("k")]), "k");
    assert_eq!(content(ledger), before);
    // Keys are bytes: no folding, no trimming, and the empty key is one too.
    ledger
        .append(
            &head,
            &[
                note("3").with_key("K"),
                note("4").with_key(" k"),
                note("5").with_key(""),
            ],
        )
        .unwrap();
    used(
        ledger.append(&ledger.head().unwrap(), &[note("6").with_key("")]),
        "",
    );
}

pub(crate) fn a_key_twice_in_a_batch_is_refused_whole(ledger: &Shared) {
    let batch = [note("1"), note("2").with_key("k"), note("3").with_key("k")];
    used(ledger.append(&Head::default(), &batch), "k");
    assert_eq!(content(ledger), (Head::default(), vec![]));
}

pub(crate) fn a_refused_batch_uses_up_no_key(ledger: &Shared) {
    let head = ledger
        .append(&Head::default(), &[note("1").with_key("old")])
        .unwrap();
    used(
        ledger.append(&head, &[note("2").with_key("new"), note("3").with_key("old")]),
        "old",
    );
    ledger.append(&head, &[note("2").with_key("new")]).unwrap();
}

pub(crate) fn a_column_over_its_limit_is_refused_whole(ledger: &Shared) {
    let long = "x".repeat(MAX_TEXT + 1);
    let payload = vec![0; MAX_PAYLOAD + 1];
    let cases: [(&str, NewRecord); 5] = [
        ("event_type", EventRecord::new(&*long, "s", "a", []).into()),
        ("session_id", EventRecord::new("t", &*long, "a", []).into()),
        ("actor_id", EventRecord::new("t", "s", &*long, []).into()),
        ("payload", EventRecord::new("t", "s", "a", payload).into()),
        ("unique_key", note("").with_key(&*long)),
    ];
    for (name, bad) in cases {
        match ledger.append(&Head::default(), &[note("good").with_key("good"), bad]) {
            Err(LedgerError::TooLong { field, length, limit }) => {
                assert_eq!((field, length), (name, limit + 1));
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(content(ledger), (Head::default(), vec![]));
    }
    ledger
        .append(&Head::default(), &[note("good").with_key("good")])
        .unwrap();
}

pub(crate) fn columns_at_their_limits_are_kept(ledger: &Shared) {
    let long = "x".repeat(MAX_TEXT);
    let record = EventRecord::new(&*long, &*long, &*long, vec![1; MAX_PAYLOAD]);
    ledger
        .append(&Head::default(), &[NewRecord::from(record).with_key(&*long)])
        .unwrap();
    let stored = ledger.read(0, 1).unwrap().remove(0);
    assert_eq!((stored.payload.len(), stored.event_type), (MAX_PAYLOAD, long));
    ledger.verify(&mut ()).unwrap();
}

pub(crate) fn an_empty_batch_moves_nothing(ledger: &Shared) {
    let head = filled(ledger, 2);
    assert_eq!(ledger.append(&head, &[]).unwrap(), head);
    assert_eq!(ledger.head().unwrap(), head);
}

pub(crate) fn an_empty_batch_behind_a_stale_head_is_refused(ledger: &Shared) {
    filled(ledger, 2);
    stale(ledger.append(&Head::default(), &[]), (0, 2));
}
