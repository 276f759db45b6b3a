//! The registrar: who holds which work item, decided by events.
//!
//! The pure half is here whole: [`Lease`] and its states, the events that change it ([`LeaseChange`]), the rules
//! ([`LeaseReducer`]), and what can be asked of the result ([`LeaseReducerState`]).

mod change;
mod conflicts;
mod error;
pub mod helpers;
mod lease;
mod limits;
mod reducer;
mod state;

pub use self::{
    change::LeaseChange,
    conflicts::LeaseConflict,
    error::LeaseError,
    lease::{Lease, LeaseState, LeaseSummary, ReleaseReason},
    reducer::LeaseReducer,
    state::LeaseReducerState,
};
