//! Reducers: events folded into state. No clock and no IO on this floor: the same records always give the same state.

mod checkpoint;
pub(crate) mod codec;
mod replay;
mod typed;

pub use self::{
    checkpoint::{Checkpoint, CheckpointError},
    replay::{Refusal, RefusedCheckpoint, Replayer, replay},
    typed::TypedReducer,
};
pub(crate) use self::{
    checkpoint::{Position, Unsealed, seal, unseal},
    replay::Refusals,
};
use crate::work::event::EventRecord;

/// Folds records into state, one at a time, in ledger order.
///
/// `apply` is deterministic, and atomic: a refused record leaves the state equal to what it was. A record that is none
/// of the reducer's business is `Ok` and changes nothing. Whoever has an event family of its own implements
/// [`TypedReducer`] instead and is handed the enum.
pub trait Reducer {
    /// What the records add up to.
    type State;
    /// Why a record is refused.
    type Error;

    /// A name that stays the same for ever: what the state is stored under.
    fn name(&self) -> &'static str;

    /// Takes one record.
    ///
    /// # Errors
    ///
    /// When the record breaks a rule; the state is as if it had not been.
    fn apply(&mut self, event: &EventRecord, context: &ReducerContext) -> Result<(), Self::Error>;

    /// The state so far.
    fn state(&self) -> &Self::State;

    /// The state so far, for upkeep such as pruning.
    fn state_mut(&mut self) -> &mut Self::State;

    /// Goes back to the state before the first record.
    fn reset(&mut self);
}

/// Where a record stands in what is being folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReducerContext {
    /// The record's position in its ledger, from 1.
    pub sequence: u64,
}

impl ReducerContext {
    /// The context of the record at this position.
    pub const fn new(sequence: u64) -> Self {
        Self { sequence }
    }
}
