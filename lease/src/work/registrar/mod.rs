//! The registrar: who holds which work item, decided by events.
//!
//! The pure half: [`Lease`] and its states, the events that change it ([`LeaseChange`]), the rules
//! ([`LeaseReducer`]), what can be asked of the result ([`LeaseReducerState`]), and what becomes of a command
//! (`decide`). The other half gets commands to it: [`Registrar`] queues them, one writer thread a process decides,
//! appends, applies, syncs and answers through a [`Completion`].

mod audit;
mod builder;
mod busy;
mod calendar;
mod change;
mod checkpoint;
mod checkpoints;
mod closed;
pub(crate) mod command;
mod completion;
mod conflicts;
pub(crate) mod core;
mod decide;
mod error;
mod expiry;
mod failure;
mod fate;
mod handle;
pub mod helpers;
mod index;
#[cfg(feature = "sqlite")]
mod key_file;
mod key_ring;
mod key_source;
mod lease;
mod ledger_event;
mod limits;
#[cfg(feature = "sqlite")]
mod opened;
mod owed;
mod projection;
mod reading;
mod reducer;
pub(crate) mod reply;
mod resume;
mod session;
mod signed_head;
mod signer;
mod signing;
mod slab;
mod state;
mod tail;
#[cfg(feature = "serde")]
mod text_forms;
mod token;
mod viewer;
mod visit;
mod waiting;
mod writer;

pub(crate) use self::completion::{Completer, wake};
pub use self::{
    builder::{Durability, RegistrarBuilder},
    busy::Busy,
    change::LeaseChange,
    completion::Completion,
    conflicts::LeaseConflict,
    error::LeaseError,
    failure::RegistrarError,
    handle::Registrar,
    lease::{Lease, LeaseState, LeaseSummary, ReleaseReason},
    ledger_event::LedgerEvent,
    reducer::LeaseReducer,
    signed_head::{SignedHead, SignedHeadError},
    signer::{PublicKey, Signer},
    state::LeaseReducerState,
    token::FencingToken,
    viewer::Viewer,
};
