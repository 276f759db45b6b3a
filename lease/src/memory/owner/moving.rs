//! Guards that change owners.

#![allow(
    clippy::result_large_err,
    reason = "a lease that cannot move is given back, and boxing it could fail in turn"
)]

use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::LeaseOwner;
use super::error::OwnerError;
use super::hold::Hold;
use super::owned::{OwnedLease, Value};
use super::shared::Place;
use crate::memory::strategy::MemoryStrategy;

/// A lease that could not move, given back as it was, and the reason.
#[derive(Debug)]
pub struct Unmoved<L> {
    lease: L,
    error: OwnerError,
}

impl<L> Unmoved<L> {
    /// Why the lease could not move.
    pub fn error(&self) -> OwnerError {
        self.error
    }

    /// The lease, where it was.
    pub fn into_lease(self) -> L {
        self.lease
    }
}

impl<L> fmt::Display for Unmoved<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<L: fmt::Debug> std::error::Error for Unmoved<L> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

/// Ends the lease and keeps the reason.
impl<L> From<Unmoved<L>> for OwnerError {
    fn from(unmoved: Unmoved<L>) -> Self {
        unmoved.error
    }
}

/// What can lie in an [`OwnedLease`] and be found again when its bytes have moved: every sized type, slices, `str`.
///
/// Sealed: the method is for this crate.
pub trait Relocatable: sealed::At {}

/// Relocatable data that is its bytes, so that copying them makes a second one.
///
/// # Safety
///
/// - A copy of the bytes is a valid value, independent of the first.
/// - Nobody writes to the bytes through a shared reference: no cells, no atomics.
pub unsafe trait PlainBytes: Relocatable {}

mod sealed {
    use std::ptr::NonNull;

    use super::super::owned::as_text;

    pub trait At {
        /// The same kind of pointer to memory that starts elsewhere.
        fn at(like: NonNull<Self>, start: NonNull<u8>) -> NonNull<Self>;
    }

    impl<T> At for T {
        fn at(_: NonNull<Self>, start: NonNull<u8>) -> NonNull<Self> {
            start.cast()
        }
    }

    impl<T> At for [T] {
        fn at(like: NonNull<Self>, start: NonNull<u8>) -> NonNull<Self> {
            NonNull::slice_from_raw_parts(start.cast(), like.len())
        }
    }

    impl At for str {
        fn at(like: NonNull<Self>, start: NonNull<u8>) -> NonNull<Self> {
            let bytes = like.as_ptr() as *mut [u8];
            as_text(NonNull::slice_from_raw_parts(start, bytes.len()))
        }
    }
}

impl<T: sealed::At + ?Sized> Relocatable for T {}

// SAFETY: any bytes are valid, initialised or not, and own nothing.
unsafe impl PlainBytes for [MaybeUninit<u8>] {}
// SAFETY: any initialised bytes are valid and own nothing; a copy is initialised where the first is.
unsafe impl PlainBytes for [u8] {}
// SAFETY: a copy of UTF-8 is UTF-8, and owns nothing.
unsafe impl PlainBytes for str {}

impl<'owner, T: Relocatable + ?Sized> OwnedLease<'owner, T> {
    /// Hands the lease to another owner; the value stays where it is, the tenant keeps its number.
    ///
    /// # Errors
    ///
    /// The lease as it was, with [`OwnerError::StrategyMismatch`] if the strategies have different
    /// [identities](MemoryStrategy::identity), or [`OwnerError::Overlap`] or [`OwnerError::NoRoom`] from the other
    /// table.
    pub fn transfer<S: MemoryStrategy>(
        this: Self,
        to: &LeaseOwner<S>,
    ) -> Result<OwnedLease<'_, T>, Unmoved<Self>> {
        Self::change(this, to.place(), Hold::transfer)
    }

    /// Moves the lease, value and all, to the memory of another owner's strategy; the tenant keeps its number.
    ///
    /// ```
    /// use lease::{LeaseOwner, OwnedLease};
    ///
    /// let (here, there) = (LeaseOwner::new(), LeaseOwner::new());
    /// let text = here.own_str("on the move")?;
    /// let text = OwnedLease::migrate(text, &there)?;
    /// assert_eq!(&*text, "on the move");
    /// assert!(here.is_empty() && there.len() == 1);
    /// # Ok::<(), lease::OwnerError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The lease as it was, with the reason as of [`alloc_owned`](LeaseOwner::alloc_owned) at the other owner.
    pub fn migrate<S: MemoryStrategy>(
        this: Self,
        to: &LeaseOwner<S>,
    ) -> Result<OwnedLease<'_, T>, Unmoved<Self>> {
        Self::change(this, to.place(), Hold::migrate)
    }

    fn change<'to>(
        this: Self,
        to: Place<'to>,
        change: impl FnOnce(Hold<'owner>, Place<'to>) -> Result<Hold<'to>, (Hold<'owner>, OwnerError)>,
    ) -> Result<OwnedLease<'to, T>, Unmoved<Self>> {
        let Self { value, hold } = this;
        let ptr = value.into_ptr();
        match change(hold, to) {
            Ok(hold) => {
                let value = Value::at(T::at(ptr, hold.block().ptr()));
                Ok(OwnedLease { value, hold })
            }
            Err((hold, error)) => Err(Unmoved {
                lease: Self {
                    value: Value::at(ptr),
                    hold,
                },
                error,
            }),
        }
    }
}

impl<T: PlainBytes + ?Sized> OwnedLease<'_, T> {
    /// A second lease with a copy of these bytes, of another owner's strategy or the same.
    ///
    /// A typed value is cloned as values are: `to.own(T::clone(&lease))`.
    ///
    /// # Errors
    ///
    /// As [`alloc_owned`](LeaseOwner::alloc_owned) at the other owner.
    #[track_caller]
    pub fn clone_into<'to, S: MemoryStrategy>(
        this: &Self,
        to: &'to LeaseOwner<S>,
    ) -> Result<OwnedLease<'to, T>, OwnerError> {
        let block = this.hold.block();
        let OwnedLease { value, hold } = to.alloc_owned(block.layout())?;
        let start = value.into_ptr().cast();
        // SAFETY: both blocks are live and distinct; the shared borrow of this lease keeps writers out, and nobody
        // knows the new block yet.
        unsafe { block.copy_to(hold.block()) };
        Ok(OwnedLease {
            value: Value::at(T::at(NonNull::from(&**this), start)),
            hold,
        })
    }
}
