//! What every ledger promises, one subject a file. Each function is one promise, given a fresh ledger; `suite!` makes the
//! tests of an implementation from all of them.

pub(crate) mod append;
pub(crate) mod checkpoints;
pub(crate) mod read;
pub(crate) mod seals;
pub(crate) mod section;

use std::sync::Arc;
use std::time::Duration;

use lease::ledger::{Head, Ledger, LedgerError, NewRecord};
use lease::{ClockId, EventRecord, Tick};

/// One test for each promise; `$open` gives a fresh ledger with this patience, and what keeps it alive.
macro_rules! suite {
    ($open:path) => {
        crate::conformance::suite!($open:
            append::a_fresh_ledger_is_empty,
            append::sequences_start_at_one_and_have_no_gaps,
            append::every_column_comes_back_as_it_went_in,
            append::numbers_go_up_to_the_largest_u64,
            append::what_the_caller_puts_into_the_ledgers_columns_is_ignored,
            read::reading_starts_after_and_stops_at_the_limit,
            read::reading_past_the_end_gives_nothing,
            read::the_version_changes_with_what_is_appended_and_not_with_reading,
            append::each_record_links_to_the_one_before_it,
            append::equal_histories_have_equal_heads,
            append::an_append_behind_a_stale_head_changes_nothing,
            append::an_append_behind_another_history_changes_nothing,
            append::a_key_is_used_once_for_ever,
            append::a_key_twice_in_a_batch_is_refused_whole,
            append::a_refused_batch_uses_up_no_key,
            append::a_column_over_its_limit_is_refused_whole,
            append::columns_at_their_limits_are_kept,
            append::an_empty_batch_moves_nothing,
            append::an_empty_batch_behind_a_stale_head_is_refused,
            read::reading_goes_on_while_a_section_is_held,
            section::a_section_reads_what_is_there_and_what_it_appended,
            section::a_second_writer_waits_for_the_section_and_gives_up,
            section::a_section_is_free_again_once_it_is_left,
            section::writers_on_many_threads_lose_nothing,
            section::concurrent_syncs_all_return,
            section::the_epoch_rises_when_it_is_raised,
            section::the_epoch_stays_when_records_are_appended,
            read::verify_walks_everything_and_gives_the_head,
            read::verify_finds_a_head_that_the_ledger_does_not_reach,
            read::verify_finds_a_head_of_another_history,
            read::verify_names_the_record_that_the_verifier_refuses,
            read::a_verifier_may_look_at_the_ledger_it_verifies,
            seals::sealed_records_are_read_and_verified_as_before,
            seals::a_ledger_is_sealed_as_often_as_one_likes,
            seals::appending_goes_on_after_everything_was_sealed,
            seals::a_key_holds_for_ever_after_its_record_was_sealed,
            seals::a_head_that_never_was_is_not_sealed,
            seals::what_is_sealed_already_stays_as_it_is,
            seals::a_seal_gives_its_statement_back,
            seals::verify_finds_a_head_of_another_history_in_what_is_sealed,
            seals::verify_names_the_record_that_the_verifier_refuses_in_what_is_sealed,
            checkpoints::a_checkpoint_comes_back_as_it_went_in,
            checkpoints::the_newest_two_checkpoints_of_a_name_are_kept,
            checkpoints::names_of_checkpoints_are_told_apart_whatever_they_are,
            checkpoints::a_name_over_its_limit_keeps_no_checkpoint,
        );
    };
    ($open:path: $($subject:ident :: $promise:ident),+ $(,)?) => {
        $(
            #[test]
            fn $promise() {
                let (ledger, _kept) = $open(crate::conformance::PATIENCE);
                crate::conformance::$subject::$promise(&ledger);
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

fn bad_record<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> (u64, String) {
    match result {
        Err(LedgerError::BadRecord { sequence, fault }) => (sequence, fault.to_string()),
        other => panic!("{other:?}"),
    }
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
