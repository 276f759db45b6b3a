//! Types with a pool of their own, and functions whose results are leased on the way out.

use super::Pool;
use super::error::AcquireError;
use super::strong::StrongLease;
use crate::memory::strategy::MemoryStrategy;

/// A type with a static pool of its own. `#[leased(owned)]` implements it; by hand it is a few lines:
///
/// ```
/// use lease::{Leased, Pool, strategy::System};
///
/// struct Session { user: u32 }
///
/// impl Leased for Session {
///     type Strategy = System;
///
///     fn pool() -> &'static Pool<Self> {
///         static POOL: Pool<Session> = Pool::new();
///         &POOL
///     }
/// }
///
/// let session = Session::lease(Session { user: 7 });
/// assert_eq!(session.user, 7);
/// assert_eq!(Session::pool().stats().live, 1);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no pool of its own",
    label = "not a leased type",
    note = "put `#[leased(owned)]` on the type, or make a `Pool<{Self}>` value and acquire from that"
)]
pub trait Leased: Sized + Send + Sync + 'static {
    /// Where the pool's memory comes from.
    type Strategy: MemoryStrategy + 'static;

    /// The type's pool.
    fn pool() -> &'static Pool<Self, Self::Strategy>;

    /// Leases a value from the type's pool.
    ///
    /// # Panics
    ///
    /// As [`Pool::acquire`].
    #[track_caller]
    fn lease(value: Self) -> StrongLease<Self> {
        Self::pool().acquire(value)
    }

    /// Leases a value from the type's pool.
    ///
    /// # Errors
    ///
    /// As [`Pool::try_acquire`].
    fn try_lease(value: Self) -> Result<StrongLease<Self>, AcquireError> {
        Self::pool().try_acquire(value)
    }
}

/// What a function under `#[leased(owned)]` may return: a lease, or a lease in `Result` or `Option`, nested at will.
///
/// The function's body makes the plain value; it is leased on the way out. Where the pool refuses, a `Result` around the
/// lease carries the refusal as its own error type; without one the refusal is a panic, as that of [`Pool::acquire`].
///
/// ```
/// use lease::{AcquireError, LeaseOutput, Leased, Pool, StrongLease, strategy::System};
///
/// #[derive(Debug)]
/// struct Ticket(u32);
///
/// impl Leased for Ticket {
///     type Strategy = System;
///     fn pool() -> &'static Pool<Self> {
///         static POOL: Pool<Ticket> = Pool::builder().capacity(1).build();
///         &POOL
///     }
/// }
///
/// type Output = Result<StrongLease<Ticket>, AcquireError>;
/// let first = Output::try_lease(Ok(Ticket(1)))?;
/// assert_eq!(first.as_ref().unwrap().0, 1);
/// let second = Output::try_lease(Ok(Ticket(2)))?;
/// assert_eq!(second.unwrap_err(), AcquireError::Exhausted { capacity: 1 });
/// # Ok::<(), AcquireError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something `#[leased(owned)]` can return",
    label = "no lease in this return type",
    note = "return `StrongLease<T>` of a type with `#[leased(owned)]`, or that in a `Result` or `Option`",
    note = "the error of a `Result` needs `From<AcquireError>`, so that a full pool can be reported",
    note = "to run the body in a lease scope instead, write `#[leased(scoped)]`"
)]
pub trait LeaseOutput: Sized {
    /// What the body makes: the same type with the payload in place of its lease.
    type Plain;

    /// Leases what the body made.
    ///
    /// # Errors
    ///
    /// The pool's refusal, where no `Result` inside can carry it.
    fn try_lease(plain: Self::Plain) -> Result<Self, AcquireError>;

    /// Leases what the body made.
    ///
    /// # Panics
    ///
    /// With the pool's refusal, where no `Result` inside can carry it.
    #[track_caller]
    fn lease(plain: Self::Plain) -> Self {
        match Self::try_lease(plain) {
            Ok(leased) => leased,
            Err(error) => panic!("{error}"),
        }
    }
}

impl<T: Leased> LeaseOutput for StrongLease<T> {
    type Plain = T;

    fn try_lease(plain: T) -> Result<Self, AcquireError> {
        T::try_lease(plain)
    }
}

impl<L: LeaseOutput, E: From<AcquireError>> LeaseOutput for Result<L, E> {
    type Plain = Result<L::Plain, E>;

    fn try_lease(plain: Self::Plain) -> Result<Self, AcquireError> {
        Ok(plain.and_then(|plain| Ok(L::try_lease(plain)?)))
    }
}

impl<L: LeaseOutput> LeaseOutput for Option<L> {
    type Plain = Option<L::Plain>;

    fn try_lease(plain: Self::Plain) -> Result<Self, AcquireError> {
        plain.map(L::try_lease).transpose()
    }
}
