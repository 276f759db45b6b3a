//! What every ledger promises. Each function is one promise, given a fresh ledger; `suite!` makes the tests of an
//! implementation from all of them.

use std::{
    sync::{Arc, Barrier, mpsc},
    thread,
    time::{Duration, Instant},
};

use lease::{
    ClockId, EventRecord, Tick,
    ledger::{
        Head, Ledger, LedgerError, MAX_PAYLOAD, MAX_STATEMENT, MAX_TEXT, NewRecord, Objection, RecordVerifier,
    },
};

/// One test for each promise; `$open` gives a fresh ledger with this patience, and what keeps it alive.
macro_rules! suite {
    ($open:path) => {
        crate::conformance::suite!($open:
            a_fresh_ledger_is_empty,
            sequences_start_at_one_and_have_no_gaps,
            every_column_comes_back_as_it_went_in,
            numbers_go_up_to_the_largest_u64,
            what_the_caller_puts_into_the_ledgers_columns_is_ignored,
            reading_starts_after_and_stops_at_the_limit,
            reading_past_the_end_gives_nothing,
            each_record_links_to_the_one_before_it,
            equal_histories_have_equal_heads,
            an_append_behind_a_stale_head_changes_nothing,
            an_append_behind_another_history_changes_nothing,
            a_key_is_used_once_for_ever,
            a_key_twice_in_a_batch_is_refused_whole,
            a_refused_batch_uses_up_no_key,
            a_column_over_its_limit_is_refused_whole,
            columns_at_their_limits_are_kept,
            an_empty_batch_moves_nothing,
            an_empty_batch_behind_a_stale_head_is_refused,
            reading_goes_on_while_a_section_is_held,
            a_section_reads_what_is_there_and_what_it_appended,
            a_second_writer_waits_for_the_section_and_gives_up,
            a_section_is_free_again_once_it_is_left,
            writers_on_many_threads_lose_nothing,
            concurrent_syncs_all_return,
            the_epoch_rises_when_it_is_raised,
            the_epoch_stays_when_records_are_appended,
            verify_walks_everything_and_gives_the_head,
            verify_finds_a_head_that_the_ledger_does_not_reach,
            verify_finds_a_head_of_another_history,
            verify_names_the_record_that_the_verifier_refuses,
            a_verifier_may_look_at_the_ledger_it_verifies,
            sealed_records_are_read_and_verified_as_before,
            a_ledger_is_sealed_as_often_as_one_likes,
            appending_goes_on_after_everything_was_sealed,
            a_key_holds_for_ever_after_its_record_was_sealed,
            a_head_that_never_was_is_not_sealed,
            what_is_sealed_already_stays_as_it_is,
            a_seal_gives_its_statement_back,
            verify_finds_a_head_of_another_history_in_what_is_sealed,
            verify_names_the_record_that_the_verifier_refuses_in_what_is_sealed,
            a_checkpoint_comes_back_as_it_went_in,
            the_newest_two_checkpoints_of_a_name_are_kept,
            names_of_checkpoints_are_told_apart_whatever_they_are,
            a_name_over_its_limit_keeps_no_checkpoint,
        );
    };
    ($open:path: $($promise:ident),+ $(,)?) => {
        $(
            #[test]
            fn $promise() {
                let (ledger, _kept) = $open(crate::conformance::PATIENCE);
                crate::conformance::$promise(&ledger);
            }
        )+
    };
}
pub(crate) use suite;

pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) type Shared = Arc<dyn Ledger>;

pub(crate) fn note(text: &str) -> NewRecord {
    EventRecord::new("note.made", "session", "actor", text).into()
}

fn notes(count: usize) -> Vec<NewRecord> {
    (1..=count).map(|number| note(&number.to_string())).collect()
}

fn filled(ledger: &Shared, count: usize) -> Head {
    ledger.append(&ledger.head().unwrap(), &notes(count)).unwrap()
}

/// Everything that can be seen of a ledger's content.
fn content(ledger: &Shared) -> (Head, Vec<EventRecord>) {
    (ledger.head().unwrap(), ledger.read(0, usize::MAX).unwrap())
}

fn stale(result: Result<Head, LedgerError>, sequences: (u64, u64)) {
    match result {
        Err(LedgerError::HeadMoved { expected, actual }) => assert_eq!((expected, actual), sequences),
        other => panic!("{other:?}"),
    }
}

fn used(result: Result<Head, LedgerError>, name: &str) {
    match result {
        Err(LedgerError::KeyUsed { key }) => assert_eq!(key, name),
        other => panic!("{other:?}"),
    }
}

fn bad_record<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> (u64, String) {
    match result {
        Err(LedgerError::BadRecord { sequence, fault }) => (sequence, fault.to_string()),
        other => panic!("{other:?}"),
    }
}

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

pub(crate) fn reading_starts_after_and_stops_at_the_limit(ledger: &Shared) {
    filled(ledger, 10);
    let sequences = |after, limit| -> Vec<u64> {
        let records = ledger.read(after, limit).unwrap();
        records.iter().map(|record| record.sequence).collect()
    };
    assert_eq!(sequences(0, 3), [1, 2, 3]);
    assert_eq!(sequences(3, 3), [4, 5, 6]);
    assert_eq!(sequences(8, 3), [9, 10]);
    assert_eq!(sequences(4, 0), [0; 0]);
}

pub(crate) fn reading_past_the_end_gives_nothing(ledger: &Shared) {
    filled(ledger, 2);
    for after in [2, 3, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        assert_eq!(ledger.read(after, usize::MAX).unwrap(), []);
    }
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

pub(crate) fn reading_goes_on_while_a_section_is_held(ledger: &Shared) {
    let mut head = filled(ledger, 1);
    let mut section = ledger.enter().unwrap();
    assert_eq!(ledger.head().unwrap(), head);
    head = section.append(&head, &notes(2)).unwrap();
    assert_eq!(content(ledger).0, head);
    assert_eq!(ledger.read(1, 9).unwrap().len(), 2);
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
    head = section.append(&head, &notes(1)).unwrap();
    drop(section);
    assert_eq!(ledger.head().unwrap(), head);
}

pub(crate) fn a_section_reads_what_is_there_and_what_it_appended(ledger: &Shared) {
    varied(ledger, 300);
    ledger.seal(&head_at(ledger, 270), b"").unwrap();
    let before = content(ledger).1;
    let mut section = ledger.enter().unwrap();
    assert_eq!(section.read(0, 999).unwrap(), before);
    assert_eq!(section.read(265, 10).unwrap(), before[265..275]);
    assert_eq!(section.read(300, 9).unwrap(), []);
    let head = section.append(&ledger.head().unwrap(), &[note("new")]).unwrap();
    assert_eq!(section.read(299, 9).unwrap().len(), 2);
    // What was only read leaves nothing behind.
    drop(section);
    assert_eq!(ledger.head().unwrap(), head);
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
}

pub(crate) fn a_second_writer_waits_for_the_section_and_gives_up(ledger: &Shared) {
    let section = ledger.enter().unwrap();
    let other = Arc::clone(ledger);
    let began = Instant::now();
    let refused = thread::spawn(move || other.append(&Head::default(), &[note("other")]).map(drop));
    match refused.join().unwrap() {
        Err(LedgerError::LedgerBusy { pid, waited }) => {
            assert_eq!(pid, Some(std::process::id()));
            assert_eq!(waited, PATIENCE);
        }
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() >= PATIENCE);
    drop(section);
    assert_eq!(content(ledger), (Head::default(), vec![]));
}

pub(crate) fn a_section_is_free_again_once_it_is_left(ledger: &Shared) {
    for _ in 0..3 {
        let section = ledger.enter().unwrap();
        let (other, at_the_door) = (Arc::clone(ledger), Arc::new(Barrier::new(2)));
        let door = Arc::clone(&at_the_door);
        let waiting = thread::spawn(move || {
            door.wait();
            other.enter().map(drop)
        });
        at_the_door.wait();
        drop(section);
        waiting.join().unwrap().unwrap();
    }
}

pub(crate) fn writers_on_many_threads_lose_nothing(ledger: &Shared) {
    const THREADS: usize = 4;
    const EACH: usize = 25;
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut section = ledger.enter().unwrap();
                    let head = ledger.head().unwrap();
                    let text = format!("{thread}/{number}");
                    section.append(&head, &[note(&text).with_key(&*text)]).unwrap();
                    drop(section);
                    ledger.sync().unwrap();
                }
            });
        }
    });
    let head = ledger.verify(&mut ()).unwrap();
    assert_eq!(head.sequence, (THREADS * EACH) as u64);
    let mut written: Vec<_> = ledger
        .read(0, usize::MAX)
        .unwrap()
        .into_iter()
        .map(|r| r.payload)
        .collect();
    written.sort();
    written.dedup();
    assert_eq!(written.len(), THREADS * EACH);
}

pub(crate) fn concurrent_syncs_all_return(ledger: &Shared) {
    filled(ledger, 1);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..20).for_each(|_| ledger.sync().unwrap()));
        }
    });
}

pub(crate) fn the_epoch_rises_when_it_is_raised(ledger: &Shared) {
    let first = ledger.epoch().unwrap();
    assert!(first >= 1);
    let second = ledger.enter().unwrap().raise_epoch().unwrap();
    assert!(second > first);
    assert_eq!(ledger.epoch().unwrap(), second);
    let third = ledger.enter().unwrap().raise_epoch().unwrap();
    assert!(third > second && third < 1 << 31);
}

pub(crate) fn the_epoch_stays_when_records_are_appended(ledger: &Shared) {
    let epoch = ledger.epoch().unwrap();
    filled(ledger, 3);
    ledger.sync().unwrap();
    assert_eq!(ledger.epoch().unwrap(), epoch);
}

pub(crate) fn verify_walks_everything_and_gives_the_head(ledger: &Shared) {
    struct Counts(u64, Option<Head>);
    impl RecordVerifier for Counts {
        fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
            for record in records {
                self.0 += 1;
                assert_eq!(record.sequence, self.0);
            }
            Ok(())
        }
        fn finish(&mut self, head: &Head) -> Result<(), Objection> {
            self.1 = Some(*head);
            Ok(())
        }
    }
    // More than one run of any implementation.
    let head = filled(ledger, 1_000);
    let mut counts = Counts(0, None);
    assert_eq!(ledger.verify(&mut counts).unwrap(), head);
    assert_eq!((counts.0, counts.1), (1_000, Some(head)));
}

pub(crate) fn verify_finds_a_head_that_the_ledger_does_not_reach(ledger: &Shared) {
    let mut ahead = filled(ledger, 3);
    ahead.sequence += 2;
    let (sequence, fault) = bad_record(ledger.verify(&mut ahead));
    assert_eq!(sequence, 4);
    assert!(fault.contains("the tail was cut"), "{fault}");
}

pub(crate) fn verify_finds_a_head_of_another_history(ledger: &Shared) {
    let mut known = filled(ledger, 2);
    filled(ledger, 2);
    assert_eq!(ledger.verify(&mut known).unwrap().sequence, 4);
    known.hash[0] ^= 1;
    assert_eq!(bad_record(ledger.verify(&mut known)).0, 2);
}

pub(crate) fn verify_names_the_record_that_the_verifier_refuses(ledger: &Shared) {
    struct Dislikes(&'static [u8]);
    impl RecordVerifier for Dislikes {
        fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
            match records.iter().find(|record| record.payload == self.0) {
                Some(record) => Err(Objection::new(record.sequence, "not to my taste")),
                None => Ok(()),
            }
        }
    }
    filled(ledger, 700);
    let verdict = bad_record(ledger.verify(&mut Dislikes(b"613")));
    assert_eq!(verdict, (613, "not to my taste".to_owned()));
    let either = ledger.verify(&mut (Dislikes(b"613"), Dislikes(b"612")));
    assert_eq!(bad_record(either).0, 612);
}

/// As [`content`], but read piece by piece.
fn pieces(ledger: &Shared, size: usize) -> Vec<EventRecord> {
    let mut records: Vec<EventRecord> = Vec::new();
    loop {
        let after = records.last().map_or(0, |record| record.sequence);
        let piece = ledger.read(after, size).unwrap();
        if piece.is_empty() {
            return records;
        }
        // A short piece is the last one: whoever reads in pieces may rely on it.
        let is_last = piece.len() < size;
        records.extend(piece);
        if is_last {
            return records;
        }
    }
}

/// Records of every kind, some with keys.
fn varied(ledger: &Shared, count: usize) -> Head {
    let batch: Vec<NewRecord> = (0..count)
        .map(|number| {
            let tick = Tick::new(number as u64, 1_000, ClockId([u8::from(number % 2 == 0); 16]));
            let record = EventRecord::new(format!("note.{}", number % 3), "s", "a", vec![7; number % 40]);
            let new = NewRecord::from(record.at(u64::MAX - number as u64, (number % 5 > 0).then_some(tick)));
            let sequence = ledger.head().unwrap().sequence;
            if number % 4 == 0 {
                new.with_key(format!("{sequence}/{number}"))
            } else {
                new
            }
        })
        .collect();
    ledger.append(&ledger.head().unwrap(), &batch).unwrap()
}

fn head_at(ledger: &Shared, sequence: u64) -> Head {
    let record = ledger.read(sequence - 1, 1).unwrap().remove(0);
    Head {
        sequence: record.sequence,
        hash: record.hash,
    }
}

pub(crate) fn sealed_records_are_read_and_verified_as_before(ledger: &Shared) {
    varied(ledger, 900);
    let before = content(ledger);
    for sequence in [1, 600, 900] {
        ledger.seal(&head_at(ledger, sequence), b"").unwrap();
        assert_eq!(content(ledger), before, "sealed to {sequence}");
        assert_eq!(ledger.verify(&mut before.0.clone()).unwrap(), before.0);
        for size in [1_000, 900, 256, 7] {
            assert_eq!(pieces(ledger, size), before.1, "in pieces of {size}");
        }
        assert_eq!(ledger.read(598, 4).unwrap(), before.1[598..602]);
    }
}

pub(crate) fn a_ledger_is_sealed_as_often_as_one_likes(ledger: &Shared) {
    let mut heads = Vec::new();
    for round in 0..5 {
        let head = varied(ledger, 100 + round);
        ledger.seal(&head, &[round.try_into().unwrap()]).unwrap();
        heads.push(head);
    }
    let seals = ledger.seals().unwrap();
    assert_eq!(seals.iter().map(|seal| seal.head).collect::<Vec<_>>(), heads);
    let mut next = 1;
    for seal in seals {
        assert_eq!(seal.first, next);
        next = seal.head.sequence + 1;
    }
    assert_eq!(ledger.verify(&mut ()).unwrap(), heads[4]);
    assert_eq!(pieces(ledger, 64).len(), 510);
}

pub(crate) fn appending_goes_on_after_everything_was_sealed(ledger: &Shared) {
    let head = varied(ledger, 20);
    ledger.seal(&head, b"").unwrap();
    assert_eq!(ledger.head().unwrap(), head);
    stale(ledger.append(&Head::default(), &[note("stale")]), (0, 20));
    let next = ledger.append(&head, &[note("next")]).unwrap();
    assert_eq!(next.sequence, 21);
    let record = ledger.read(20, 9).unwrap().remove(0);
    assert_eq!((record.sequence, record.previous_hash), (21, head.hash));
    assert_eq!(ledger.verify(&mut ()).unwrap(), next);
}

pub(crate) fn a_key_holds_for_ever_after_its_record_was_sealed(ledger: &Shared) {
    let head = ledger
        .append(&Head::default(), &[note("1").with_key("k")])
        .unwrap();
    let head = ledger.append(&head, &[note("2").with_key("l")]).unwrap();
    ledger.seal(&head, b"").unwrap();
    let before = content(ledger);
    used(ledger.append(&head, &[note("3").with_key("k")]), "k");
    used(
        ledger.append(&head, &[note("3").with_key("m"), note("4").with_key("l")]),
        "l",
    );
    assert_eq!(content(ledger), before);
    ledger.append(&head, &[note("3").with_key("m")]).unwrap();
    ledger.verify(&mut ()).unwrap();
}

pub(crate) fn a_head_that_never_was_is_not_sealed(ledger: &Shared) {
    let head = varied(ledger, 10);
    ledger.seal(&head_at(ledger, 4), b"").unwrap();
    let before = content(ledger);
    let mut wrong = Vec::new();
    for sequence in [1, 4, 5, 10] {
        let mut other = head_at(ledger, sequence);
        other.hash[31] ^= 1;
        wrong.push(other);
    }
    for sequence in [0, 11, u64::MAX] {
        wrong.push(Head { sequence, ..head });
    }
    for head in wrong {
        let refused = ledger.seal(&head, b"");
        assert!(
            matches!(refused, Err(LedgerError::NoSuchHead { sequence }) if sequence == head.sequence),
            "{head:?}: {refused:?}"
        );
    }
    assert_eq!(content(ledger), before);
    assert_eq!(ledger.seals().unwrap().len(), 1);
    ledger.seal(&head, b"").unwrap();
}

pub(crate) fn what_is_sealed_already_stays_as_it_is(ledger: &Shared) {
    ledger.seal(&Head::default(), b"nothing").unwrap();
    assert_eq!(ledger.seals().unwrap(), []);
    varied(ledger, 10);
    ledger.seal(&head_at(ledger, 6), b"first").unwrap();
    let before = ledger.seals().unwrap();
    for sequence in [1, 3, 6] {
        ledger.seal(&head_at(ledger, sequence), b"second").unwrap();
    }
    assert_eq!(ledger.seals().unwrap(), before);
}

pub(crate) fn a_seal_gives_its_statement_back(ledger: &Shared) {
    let head = varied(ledger, 3);
    let long = vec![9; MAX_STATEMENT + 1];
    match ledger.seal(&head, &long) {
        Err(LedgerError::TooLong { field, length, limit }) => {
            assert_eq!(
                (field, length, limit),
                ("statement", MAX_STATEMENT + 1, MAX_STATEMENT)
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(ledger.seals().unwrap(), []);
    ledger.seal(&head_at(ledger, 1), b"").unwrap();
    ledger.seal(&head, &long[1..]).unwrap();
    let statements: Vec<_> = ledger
        .seals()
        .unwrap()
        .into_iter()
        .map(|seal| seal.statement.len())
        .collect();
    assert_eq!(statements, [0, MAX_STATEMENT]);
}

pub(crate) fn verify_finds_a_head_of_another_history_in_what_is_sealed(ledger: &Shared) {
    let head = varied(ledger, 600);
    let mut kept = head_at(ledger, 300);
    ledger.seal(&head, b"").unwrap();
    ledger.verify(&mut kept).unwrap();
    kept.hash[0] ^= 1;
    assert_eq!(bad_record(ledger.verify(&mut kept)).0, 300);
}

pub(crate) fn verify_names_the_record_that_the_verifier_refuses_in_what_is_sealed(ledger: &Shared) {
    struct Dislikes(u64);
    impl RecordVerifier for Dislikes {
        fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
            match records.iter().find(|record| record.sequence == self.0) {
                Some(_) => Err(Objection::new(self.0, "not to my taste")),
                None => Ok(()),
            }
        }
    }
    varied(ledger, 700);
    ledger.seal(&head_at(ledger, 650), b"").unwrap();
    for sequence in [613, 660] {
        assert_eq!(bad_record(ledger.verify(&mut Dislikes(sequence))).0, sequence);
    }
}

pub(crate) fn a_verifier_may_look_at_the_ledger_it_verifies(ledger: &Shared) {
    /// Asks another thread to look, so that a lock held here shows as silence and not as a deadlock.
    struct Looks {
        ask: mpsc::Sender<()>,
        seen: mpsc::Receiver<u64>,
    }
    impl Looks {
        fn look(&self, at: u64) -> Result<(), Objection> {
            let silent = |_| Objection::new(at, "the ledger does not answer");
            self.ask.send(()).unwrap();
            self.seen.recv_timeout(PATIENCE * 10).map(drop).map_err(silent)
        }
    }
    impl RecordVerifier for Looks {
        fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
            self.look(records[0].sequence)
        }

        fn finish(&mut self, head: &Head) -> Result<(), Objection> {
            self.look(head.sequence)
        }
    }
    let head = filled(ledger, 3);
    thread::scope(|scope| {
        let ((ask, asked), (answer, seen)) = (mpsc::channel(), mpsc::channel());
        scope.spawn(move || {
            for () in asked {
                // Whoever asked may have given up.
                let _ = answer.send(ledger.head().unwrap().sequence);
            }
        });
        assert_eq!(ledger.verify(&mut Looks { ask, seen }).unwrap(), head);
    });
}

pub(crate) fn a_checkpoint_comes_back_as_it_went_in(ledger: &Shared) {
    assert_eq!(ledger.checkpoints("till").unwrap(), []);
    assert_eq!(ledger.load_checkpoint("till", 7).unwrap(), None);
    ledger.save_checkpoint("till", 3, b"").unwrap();
    assert_eq!(ledger.load_checkpoint("till", 3).unwrap().unwrap(), b"");
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    ledger.save_checkpoint("till", 7, b"first try").unwrap();
    ledger.save_checkpoint("till", 7, &bytes).unwrap();
    assert_eq!(ledger.checkpoints("till").unwrap(), [7, 3]);
    assert_eq!(ledger.load_checkpoint("till", 7).unwrap().unwrap(), bytes);
    assert_eq!(ledger.head().unwrap().sequence, 0, "a checkpoint is no record");
}

pub(crate) fn the_newest_two_checkpoints_of_a_name_are_kept(ledger: &Shared) {
    for sequence in [5, 900, 20, u64::MAX] {
        ledger
            .save_checkpoint("till", sequence, &sequence.to_le_bytes())
            .unwrap();
        ledger.save_checkpoint("shop", 1, b"shop").unwrap();
    }
    assert_eq!(ledger.checkpoints("till").unwrap(), [u64::MAX, 900]);
    assert_eq!(
        ledger.load_checkpoint("till", 900).unwrap().unwrap(),
        900_u64.to_le_bytes()
    );
    assert_eq!(ledger.load_checkpoint("till", 20).unwrap(), None);
    assert_eq!(ledger.checkpoints("shop").unwrap(), [1]);
}

pub(crate) fn names_of_checkpoints_are_told_apart_whatever_they_are(ledger: &Shared) {
    let longest = "\u{0}".repeat(64);
    let names = [
        "", "a", "a@1", "a.b", "A", "../a", "a/../b", "%61", "ä", ".", "..", "a%", &longest,
    ];
    for name in names {
        ledger.save_checkpoint(name, 3, name.as_bytes()).unwrap();
    }
    for name in names {
        assert_eq!(ledger.checkpoints(name).unwrap(), [3], "{name:?}");
        assert_eq!(
            ledger.load_checkpoint(name, 3).unwrap().unwrap(),
            name.as_bytes(),
            "{name:?}"
        );
    }
}

pub(crate) fn a_name_over_its_limit_keeps_no_checkpoint(ledger: &Shared) {
    let name = "x".repeat(65);
    let refused = ledger.save_checkpoint(&name, 1, b"state");
    assert!(matches!(
        refused,
        Err(LedgerError::TooLong {
            length: 65,
            limit: 64,
            ..
        })
    ));
    assert_eq!(ledger.checkpoints(&name).unwrap(), []);
}
