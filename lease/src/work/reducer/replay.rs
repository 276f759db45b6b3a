//! Replay: a reducer driven over records that are already in a ledger.

use std::{borrow::Borrow, collections::VecDeque};

use super::{Reducer, ReducerContext};
use crate::work::event::EventRecord;

/// How many refusals a replayer remembers.
const REMEMBERED: usize = 1_000;

/// A record that the reducer refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal<E> {
    /// The record's position in its ledger.
    pub sequence: u64,
    /// Why it was refused.
    pub error: E,
}

/// Drives a [`Reducer`] over a ledger's records and never stops: what the reducer refuses is noted, and the state is as
/// if the record had not been.
///
/// ```
/// use lease::{EventRecord, LeaseReducer, helpers, replay};
///
/// let mut records = vec![
///     EventRecord::new("lease.released", "s", "actor-1", helpers::lease_released_payload("lease-1", "COMPLETED")),
///     EventRecord::new("lease.issued", "s", "registrar",
///         helpers::lease_issued_payload("lease-1", "work-1", "actor-1", 1_000, 2_000, vec![1])),
/// ];
/// records[0].sequence = 1;
/// records[1].sequence = 2;
///
/// let replayed = replay(LeaseReducer::new(), &records);
/// assert_eq!((replayed.applied(), replayed.refused()), (1, 1));
/// assert_eq!(replayed.refusals().next().map(|refusal| refusal.sequence), Some(1));
/// assert!(replayed.state().has_active_lease("work-1"));
/// ```
#[derive(Clone, Debug)]
pub struct Replayer<R: Reducer> {
    reducer: R,
    applied: u64,
    refused: u64,
    refusals: VecDeque<Refusal<R::Error>>,
}

impl<R: Reducer> Replayer<R> {
    /// Replays on top of what `reducer` has seen already.
    pub fn new(reducer: R) -> Self {
        Self {
            reducer,
            applied: 0,
            refused: 0,
            refusals: VecDeque::new(),
        }
    }

    /// Takes one record; its own sequence is the context.
    pub fn apply(&mut self, record: &EventRecord) {
        let sequence = record.sequence;
        match self.reducer.apply(record, &ReducerContext::new(sequence)) {
            Ok(()) => self.applied += 1,
            Err(error) => {
                self.refused += 1;
                if self.refusals.len() == REMEMBERED {
                    self.refusals.pop_front();
                }
                self.refusals.push_back(Refusal { sequence, error });
            }
        }
    }

    /// How many records were taken or ignored.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// How many records were refused, also those that are no longer remembered.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The last 1,000 refusals, oldest first.
    pub fn refusals(&self) -> impl ExactSizeIterator<Item = &Refusal<R::Error>> {
        self.refusals.iter()
    }

    /// The state so far.
    pub fn state(&self) -> &R::State {
        self.reducer.state()
    }

    /// The reducer, with all it has seen.
    pub fn into_reducer(self) -> R {
        self.reducer
    }
}

impl<R: Reducer, B: Borrow<EventRecord>> Extend<B> for Replayer<R> {
    fn extend<I: IntoIterator<Item = B>>(&mut self, records: I) {
        for record in records {
            self.apply(record.borrow());
        }
    }
}

/// Replays `records`, in ledger order, on top of what `reducer` has seen already.
///
/// For a ledger that is read page by page, make a [`Replayer`] and extend it with every page.
pub fn replay<R: Reducer>(
    reducer: R,
    records: impl IntoIterator<Item = impl Borrow<EventRecord>>,
) -> Replayer<R> {
    let mut replayer = Replayer::new(reducer);
    replayer.extend(records);
    replayer
}
