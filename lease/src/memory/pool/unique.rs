//! The unique lease: sole and mutable use of a payload, before it is shared.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};

use super::release;
use super::segment::SlotPtr;
use super::strong::StrongLease;

/// Sole, mutable use of an object in a pool; [`share`](Self::share) turns it into a [`StrongLease`] in place.
///
/// No handle leads to the object before it is shared. Cheaper than a strong lease: nothing has to be counted.
///
/// ```
/// use lease::{Pool, UniqueLease};
///
/// let pool = Pool::new();
/// let mut list = pool.acquire_unique(vec![3, 1, 2]);
/// list.sort();
/// let shared = UniqueLease::share(list);
/// assert_eq!(*shared, [1, 2, 3]);
/// ```
pub struct UniqueLease<T> {
    slot: SlotPtr,
    /// Invariant: what is written through the lease is read as the pool's own `T`, by whoever finds it there.
    payload: PhantomData<*mut T>,
}

// SAFETY: `Send` as for a `Box`; `Sync` is needed too, because a lease that is shared on this thread can be looked up by
// handle through a pool value that stayed on another.
unsafe impl<T: Send + Sync> Send for UniqueLease<T> {}
// SAFETY: `&UniqueLease` gives `&T` and nothing else.
unsafe impl<T: Sync> Sync for UniqueLease<T> {}

impl<T> UniqueLease<T> {
    /// A lease that takes over the slot.
    ///
    /// # Safety
    ///
    /// The slot is reserved, holds an initialised `T`, and the caller owns it.
    #[inline]
    pub(super) unsafe fn from_slot(slot: SlotPtr) -> Self {
        Self {
            slot,
            payload: PhantomData,
        }
    }

    /// Turns sole use into shared use; the payload stays where it is.
    #[inline]
    pub fn share(this: Self) -> StrongLease<T> {
        let slot = this.slot;
        mem::forget(this);
        // SAFETY: the forgotten lease owned the slot.
        unsafe { slot.word() }.share();
        // SAFETY: the payload is initialised, and the strong count is the new lease's.
        unsafe { StrongLease::from_slot(slot) }
    }
}

impl<T> Deref for UniqueLease<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the payload is initialised and lent mutably only through `&mut self`.
        unsafe { self.slot.payload::<T>().as_ref() }
    }
}

impl<T> DerefMut for UniqueLease<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the payload is initialised and nobody else can reach it.
        unsafe { self.slot.payload::<T>().as_mut() }
    }
}

impl<T> Drop for UniqueLease<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the lease owns the slot and gives it up once, here.
        unsafe { release::unique::<T>(self.slot) };
    }
}

impl<T: fmt::Debug> fmt::Debug for UniqueLease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: fmt::Display> fmt::Display for UniqueLease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}
