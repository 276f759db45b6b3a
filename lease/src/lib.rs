//! A *lease* is a checked right to use something for a bounded time.
//!
//! Programs lease four kinds of things: objects that many hold and nobody owns, memory under a contract, memory from a
//! chosen place, and work that only one may do. This crate gives them one vocabulary, one RAII discipline and one set of
//! attribute macros. A misuse is a compile error where the compiler can see it, and elsewhere a typed error that changed
//! nothing.
//!
//! | you lease | you write | you hold | ends |
//! |---|---|---|---|
//! | an object | `#[leased(owned)] struct Session` | `SessionLease`, `SessionWeak`, an 8-byte handle | last strong lease dropped |
//! | memory you do not own | `#[leased(borrowed)] fn send(#[lease] buf: &[u8])` | a record in the owner table | the call or guard ends |
//! | memory from a strategy | `LeaseOwner::with_strategy(Tracked::new(Quota::bytes(n, System)))` | [`OwnedLease`] | guard dropped |
//! | anything, for a block or a call | `lease_scope!(\|scope\| { … })`, `#[leased(scoped)]` | `&'scope mut T` | the block ends, however it ends |
//! | exclusive work | `#[leased(exclusive, work = "invoice/{id}", ttl = "30s")]` | `Claim` with a fencing token | return, error, panic, cancel, crash, or time |
//!
//! # Objects
//!
//! A [`Pool`] keeps values in slots. A [`StrongLease`] is one pointer wide and derefs to the value, a [`WeakLease`] keeps
//! nobody alive, a [`ControlBlockHandle`] is a plain number that C, a database or a socket may keep: looked up later it
//! gives the very object or nothing, never another one in the same slot.
//!
#![cfg_attr(feature = "macros", doc = "```")]
#![cfg_attr(not(feature = "macros"), doc = "```ignore")]
//! use lease::{ControlBlockHandle, Leased, leased};
//!
//! #[leased(owned, capacity = 10_000)]
//! struct Session { user: u64 }
//!
//! let session: SessionLease = Session::lease(Session { user: 7 });
//! let weak: SessionWeak = SessionLease::downgrade(&session);
//! let key: u64 = SessionLease::handle(&session).to_bits();
//! assert_eq!(weak.lock().map(|session| session.user), Some(7));
//!
//! drop(session);
//! assert!(weak.lock().is_none());
//! assert!(Session::pool().lock(ControlBlockHandle::from_bits(key)).is_none());
//! ```
//!
//! # Memory under contract
//!
//! A [`LeaseOwner`] is a table of memory regions, each owned, borrowed or static. Guards keep the records true; the
//! table can be asked who holds what, prints itself, and reports what was left behind.
//!
//! ```
//! use lease::LeaseOwner;
//! use lease::strategy::{Quota, System, Tracked};
//!
//! let owner = LeaseOwner::with_strategy(Tracked::new(Quota::bytes(4096, System)));
//! let mut page = owner.own([0_u8; 4000])?;
//! page[0] = 1;
//! let refused = owner.own([0_u8; 4000]).unwrap_err();
//! assert!(refused.to_string().contains("96"), "says what is left: {refused}");
//! # Ok::<(), lease::OwnerError>(())
//! ```
//!
//! # Scopes
//!
//! What is put into a scope lives until its block ends, and nothing of it can leave. The block is spliced, not wrapped in
//! a closure: `?`, `return`, `break` and `.await` mean what they mean outside.
//!
#![cfg_attr(feature = "macros", doc = "```")]
#![cfg_attr(not(feature = "macros"), doc = "```ignore")]
//! use lease::lease_scope;
//!
//! fn longest(text: &str) -> Option<usize> {
//!     lease_scope!(|scope| {
//!         let words = scope.alloc_slice_from_iter(text.split_whitespace());
//!         words.sort_by_key(|word| word.len());
//!         Some(words.last()?.len())
//!     })
//! }
//! assert_eq!(longest("a bounded time"), Some(7));
//! assert_eq!(longest(""), None);
//! ```
//!
#![cfg_attr(
    feature = "work",
    doc = r#"
# Exclusive work

A [`Registrar`] issues signed, time-bounded claims from an append-only, hash-chained ledger: at most one holder for each
work item, in any number of processes. A [`Claim`] renews itself, knows when it can no longer be trusted, and carries a
fencing token that rises with every issue, so that what it protects can refuse a holder who woke up too late.

```
use std::time::Duration;
use lease::{ClaimError, Fence, Registrar, ReleaseReason};

let jobs = Registrar::in_memory()?;
let claim = jobs.try_claim("nightly/report", Duration::from_secs(60)).wait()?;
let busy = jobs.try_claim("nightly/report", Duration::from_secs(60)).wait();
assert!(matches!(busy, Err(ClaimError::Busy(_))));

let fence = Fence::new();
fence.admit(claim.fencing_token())?;
claim.release(ReleaseReason::Completed).wait()?;
# Ok::<(), Box<dyn std::error::Error>>(())
```
"#
)]
//!
//! # What happens when …
//!
//! | | objects | memory | scopes | work |
//! |---|---|---|---|---|
//! | a call fails | unchanged, typed error | unchanged, typed error | unchanged, typed error | unchanged, typed error |
//! | the holder panics | lease dropped | guard dropped | ended in reverse order | released as `ABORTED` |
//! | a future is dropped | lease dropped | guard dropped | ended in reverse order | released as `VOLUNTARY` |
//! | a guard is forgotten | the object lives on | a stale record, evicted and counted | cannot be | renewed until `at_most` or the end of the process |
//! | the process dies | gone with it | gone with it | gone with it | taken back by the next who asks; older tokens are refused |
//!
//! # Features
//!
//! A feature only adds.
//!
//! | feature | adds |
//! |---|---|
//! | `macros` (default) | `#[leased]`, `lease_scope!`, `#[derive(LeaseEvent)]` |
//! | `work` | events, reducers, the registrar with its ledger in memory, claims |
//! | `sqlite` | `work`, and the ledger on disk: `Registrar::open` (Linux) |
//! | `serde` | leases, ticks, heads, public keys, contracts and reports as data |
//! | `allocator-api2` | strategies as allocators |
//! | `tracing` | events under the target `lease`: a record that was appended (debug), a claim that was lost, memory that its owner freed because nobody had (warnings) |
//! | `metrics` | the counters `lease_records_total`, by `type`, of the records that this process appended, and `lease_claims_lost_total` |

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
        AcquireError, CloneError, ControlBlockHandle, Iter, LeaseOutput, Leased, LiveSlot, LockError,
        MappedLease, Pool, PoolBuildError, PoolBuilder, PoolStats, ShutdownError, StrongLease, UniqueLease,
        WeakLease,
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
    reducer::{
        Checkpoint, CheckpointError, Reducer, ReducerContext, Refusal, RefusedCheckpoint, Replayer,
        TypedReducer, replay,
    },
    registrar::{
        Busy, Completion, Durability, FencingToken, Lease, LeaseChange, LeaseConflict, LeaseError,
        LeaseReducer, LeaseReducerState, LeaseState, LeaseSummary, LedgerEvent, PublicKey, Registrar,
        RegistrarBuilder, RegistrarError, ReleaseReason, SignedHead, SignedHeadError, Signer, Viewer,
        helpers,
    },
    tick::{ClockId, Tick},
};

// The README's program is a documentation test like any other; it needs everything it shows.
#[cfg(all(doctest, feature = "macros", feature = "work"))]
#[doc = include_str!("../../README.md")]
struct Readme;
