//! Replay: a reducer driven over records that are already in a ledger.

use std::{borrow::Borrow, collections::VecDeque};

use super::{CheckpointError, Position, Reducer, ReducerContext};
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

/// The refusals so far: all counted, the last ones remembered.
#[derive(Clone, Debug)]
pub(crate) struct Refusals<E> {
    count: u64,
    last: VecDeque<Refusal<E>>,
}

impl<E> Refusals<E> {
    /// Goes on after `count` refusals that nobody remembers.
    pub(crate) const fn after(count: u64) -> Self {
        Self {
            count,
            last: VecDeque::new(),
        }
    }

    pub(crate) fn note(&mut self, sequence: u64, error: E) {
        self.count += 1;
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(Refusal { sequence, error });
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Oldest first.
    pub(crate) fn last(&self) -> impl ExactSizeIterator<Item = &Refusal<E>> {
        self.last.iter()
    }
}

/// A checkpoint that was passed over when a replay was resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedCheckpoint {
    /// The record at which it says to stand; 0 if the checkpoints could not be listed.
    pub sequence: u64,
    /// Why it was not taken.
    pub error: CheckpointError,
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
    position: Position,
    applied: u64,
    refusals: Refusals<R::Error>,
    refused_checkpoints: Vec<RefusedCheckpoint>,
}

impl<R: Reducer> Replayer<R> {
    /// Replays on top of what `reducer` has seen already. To [catch up](Self::catch_up) on a ledger afterwards, begin with
    /// a fresh one: that reads from the first record.
    pub fn new(reducer: R) -> Self {
        Self::at(Position::default(), reducer, Vec::new())
    }

    /// Replays from behind a checkpoint.
    pub(crate) const fn at(
        position: Position,
        reducer: R,
        refused_checkpoints: Vec<RefusedCheckpoint>,
    ) -> Self {
        Self {
            reducer,
            position,
            applied: 0,
            refusals: Refusals::after(0),
            refused_checkpoints,
        }
    }

    /// Takes one record; its own sequence is the context.
    pub fn apply(&mut self, record: &EventRecord) {
        let sequence = record.sequence;
        self.position = Position {
            sequence,
            hash: record.hash,
        };
        match self.reducer.apply(record, &ReducerContext::new(sequence)) {
            Ok(()) => self.applied += 1,
            Err(error) => self.refusals.note(sequence, error),
        }
    }

    /// The last record that is in the state.
    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    pub(crate) const fn reducer(&self) -> &R {
        &self.reducer
    }

    /// The position of the last record that is in the state, 0 before the first.
    pub const fn sequence(&self) -> u64 {
        self.position.sequence
    }

    /// The checkpoints that were passed over, newest first; empty unless this replay was
    /// [resumed](Self::resume).
    pub fn refused_checkpoints(&self) -> &[RefusedCheckpoint] {
        &self.refused_checkpoints
    }

    /// How many records were taken or ignored since the replay began.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// How many records were refused, also those that are no longer remembered.
    pub fn refused(&self) -> u64 {
        self.refusals.count()
    }

    /// The last 1,000 refusals, oldest first.
    pub fn refusals(&self) -> impl ExactSizeIterator<Item = &Refusal<R::Error>> {
        self.refusals.last()
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
/// To replay a ledger, make a [`Replayer`] and let it [catch up](Replayer::catch_up).
#[must_use = "the state is in what it returns"]
pub fn replay<R: Reducer>(
    reducer: R,
    records: impl IntoIterator<Item = impl Borrow<EventRecord>>,
) -> Replayer<R> {
    let mut replayer = Replayer::new(reducer);
    replayer.extend(records);
    replayer
}
