//! A *lease* is a checked right to use something for a bounded time.
//!
//! The crate page is written with the README; see there.

#![deny(unsafe_code)]

// The macros name the crate they expand for; inside it that name has to work too.
extern crate self as lease;

pub mod __private;
pub mod docs;
#[cfg(feature = "macros")]
#[forbid(unsafe_code)]
mod macros;
mod memory;
#[forbid(unsafe_code)]
mod sync;
#[cfg(feature = "work")]
#[forbid(unsafe_code)]
mod work;

#[cfg(all(feature = "macros", feature = "work"))]
pub use lease_macros::LeaseEvent;
#[cfg(feature = "macros")]
pub use macros::leased;
pub use memory::{
    owner::{
        BorrowedFields, BorrowedLease, Contract, ContractTotals, LeakReport, LeaseObject, LeaseOwner,
        LeasePolicy, LeaseTenant, OwnedLease, OwnerError, OwnerReport, PlainBytes, Recorded, Relocatable,
        TenantId, TrackBorrowed, Tracking, Unmoved,
    },
    pool::{
        AcquireError, CloneError, ControlBlockHandle, LeaseOutput, Leased, LockError, Pool, PoolBuildError,
        PoolBuilder, PoolStats, StrongLease, UniqueLease, WeakLease,
    },
    scope::{Scope, ScopeError, ScopeReport},
    strategy,
};
#[cfg(feature = "work")]
pub use work::{
    claim::{Claim, ClaimBuilder, ClaimError, ExclusiveOutput, Fence, FenceError, Lost},
    clock::{Clock, ManualClock, SystemClock},
    event::{EventError, EventRecord, LeaseEvent},
    ledger::{self, Ledger},
    reducer::{Reducer, ReducerContext, Refusal, Replayer, TypedReducer, replay},
    registrar::{
        Busy, Completion, Durability, FencingToken, Lease, LeaseChange, LeaseConflict, LeaseError,
        LeaseReducer, LeaseReducerState, LeaseState, LeaseSummary, LedgerEvent, PublicKey, Registrar,
        RegistrarBuilder, RegistrarError, ReleaseReason, Signer, helpers,
    },
    tick::{ClockId, Tick},
};
