//! What expansions may name. Public because a macro's output stands in the user's crate; documented so that the output
//! can be written by hand; not covered by the version's promise.

use crate::memory::owner::LeaseOwner;
use crate::memory::pool::LeaseOutput;
pub use crate::memory::scope::{Storage, handle};
use crate::memory::strategy::MemoryStrategy;
#[cfg(feature = "macros")]
pub use lease_macros::{TrackBorrowed, lease_scope};

/// What `#[derive(LeaseEvent)]` expands to: a table of [`Arm`](event::Arm)s, and per field one
/// [`write`](event::Field::write) and one [`field`](event::Found::field).
#[cfg(feature = "work")]
pub mod event {
    pub use crate::work::event::field::{Field, Form, Single};
    pub use crate::work::event::wire::{Arm, FieldInfo, Found};

    /// Where encoded fields are appended.
    pub type Bytes = Vec<u8>;
}

/// What `#[leased(exclusive, …)]` on a function expands to.
#[cfg(feature = "work")]
pub mod exclusive {
    pub use crate::work::claim::exclusive::{Exclusive, claim};

    /// The name of a work item.
    pub fn work(name: std::fmt::Arguments<'_>) -> String {
        name.to_string()
    }
}

/// Puts memory on record that lives for ever, and passes it on.
///
/// Cannot fail, as no macro form of tracking can: what the owner refuses is not on record.
#[track_caller]
pub fn track_static<T: ?Sized, S: MemoryStrategy>(owner: &LeaseOwner<S>, memory: &'static T) -> &'static T {
    let _refused = owner.track_static(memory);
    memory
}

/// Runs the body of a plain function, which stands in a closure so that its `return` and `?` end there.
pub fn call<T>(body: impl FnOnce() -> T) -> T {
    body()
}

/// Leases what the body of an `owned` function makes.
///
/// # Panics
///
/// As [`LeaseOutput::lease`].
#[track_caller]
pub fn lease_output<R: LeaseOutput>(body: impl FnOnce() -> R::Plain) -> R {
    R::lease(body())
}

/// A value for a `return` that is never reached, and only tells an async block its type.
///
/// # Panics
///
/// Always.
pub const fn unreached<T>() -> T {
    unreachable!()
}

/// As [`unreached`], for what the body of an `owned` function makes.
///
/// # Panics
///
/// Always.
pub const fn unreached_plain<R: LeaseOutput>() -> R::Plain {
    unreachable!()
}
