//! The strong lease: shared use of a payload that lives as long as one of them.

use std::borrow::Borrow;
use std::cmp;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::mem;
use std::ops::Deref;
use std::process;
use std::ptr::NonNull;

use super::control_word::{Joined, MAX_STRONG};
use super::error::CloneError;
use super::handle::ControlBlockHandle;
use super::mapped::MappedLease;
use super::release;
use super::segment::SlotPtr;
use super::weak::{self, WeakLease};
use crate::memory::strategy::AllocError;
use crate::sync::atomic::Ordering;

/// Shared use of an object in a pool; the object lives until its last strong lease is dropped.
///
/// Dereferences to the payload. So that nothing shadows the payload's own methods, everything about the lease itself is
/// an associated function, as with [`Arc`](std::sync::Arc): `StrongLease::downgrade(&lease)`. One pointer wide, and
/// `Option<StrongLease<T>>` is no larger. Leases may outlive the [`Pool`](crate::Pool) value and may be dropped on any
/// thread.
///
/// ```
/// use lease::{Pool, StrongLease};
///
/// let pool = Pool::new();
/// let greeting = pool.acquire(String::from("hello"));
/// let same = greeting.clone();
/// assert_eq!(same.len(), 5);
/// assert_eq!(StrongLease::strong_count(&greeting), 2);
/// assert!(!StrongLease::release(same), "one is left");
/// assert!(StrongLease::release(greeting), "that was the last");
/// ```
///
/// A lease is shared between threads only if its payload can be:
///
/// ```compile_fail,E0277
/// let pool = lease::Pool::new();
/// let lease = pool.acquire(std::rc::Rc::new(1));
/// std::thread::spawn(move || drop(lease));
/// ```
///
/// and it lends its payload shared only:
///
/// ```compile_fail,E0596
/// let pool = lease::Pool::new();
/// let mut lease = pool.acquire(String::new());
/// lease.push('x');
/// ```
pub struct StrongLease<T> {
    slot: SlotPtr,
    payload: PhantomData<T>,
}

// SAFETY: a lease gives `&T` on every thread that has one (`Sync`), and the last one destroys the payload wherever it is
// dropped (`Send`). The counts are atomic.
unsafe impl<T: Send + Sync> Send for StrongLease<T> {}
// SAFETY: as above; `&StrongLease` can be cloned into a lease.
unsafe impl<T: Send + Sync> Sync for StrongLease<T> {}

impl<T> StrongLease<T> {
    /// A lease that takes over one strong count of the slot.
    ///
    /// # Safety
    ///
    /// The slot holds an initialised `T` and a strong count that nobody else gives up.
    #[inline]
    pub(super) unsafe fn from_slot(slot: SlotPtr) -> Self {
        Self {
            slot,
            payload: PhantomData,
        }
    }

    /// A weak lease on the same payload. The first one in a segment allocates the segment's weak counts.
    ///
    /// # Panics
    ///
    /// If there is no memory for the weak counts; [`try_downgrade`](Self::try_downgrade) says it as an error.
    #[track_caller]
    pub fn downgrade(this: &Self) -> WeakLease<T> {
        match Self::try_downgrade(this) {
            Ok(weak) => weak,
            Err(error) => panic!("{error}"),
        }
    }

    /// A weak lease on the same payload.
    ///
    /// # Errors
    ///
    /// If there is no memory for the weak counts of the segment, which are allocated at first use.
    pub fn try_downgrade(this: &Self) -> Result<WeakLease<T>, AllocError> {
        // SAFETY: the lease holds a strong count of a slot of `T`.
        unsafe { weak::downgrade(this.slot) }
    }

    /// The handle of the payload.
    #[inline]
    pub fn handle(this: &Self) -> ControlBlockHandle<T> {
        // SAFETY: the lease keeps the segment.
        let word = unsafe { this.slot.word() }.read();
        // SAFETY: the lease keeps the segment.
        let segment = unsafe { this.slot.segment(word.class()) };
        ControlBlockHandle::new(word.generation(), segment.place_of(this.slot))
    }

    /// Gives the lease up; true if it was the last strong one, so that the payload is gone.
    #[allow(
        clippy::must_use_candidate,
        reason = "releasing is the point, the answer is extra"
    )]
    #[inline]
    pub fn release(this: Self) -> bool {
        let slot = this.slot;
        mem::forget(this);
        // SAFETY: the forgotten lease's strong count is given up here.
        unsafe { release::strong::<T>(slot) }
    }

    /// Whether two leases are on the same payload.
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        this.slot == other.slot
    }

    /// How many strong leases there are; other threads may change it at any time.
    pub fn strong_count(this: &Self) -> usize {
        // SAFETY: the lease keeps the segment.
        unsafe { this.slot.word() }.read().strong() as usize
    }

    /// How many weak leases there are; other threads may change it at any time.
    pub fn weak_count(this: &Self) -> usize {
        // SAFETY: the lease keeps the segment.
        let word = unsafe { this.slot.word() }.read();
        if !word.has_weak() {
            return 0;
        }
        // SAFETY: the lease keeps the segment.
        let segment = unsafe { this.slot.segment(word.class()) };
        // One of them is the strong leases' own.
        segment
            .weak_count::<T>(this.slot)
            .map_or(0, |count| count.load(Ordering::Acquire) as usize - 1)
    }

    /// One strong lease more.
    ///
    /// # Errors
    ///
    /// If the payload has as many strong leases as can be counted, 16,777,216.
    pub fn try_clone(this: &Self) -> Result<Self, CloneError> {
        // SAFETY: the lease keeps the segment.
        match unsafe { this.slot.word() }.join_if_live() {
            Joined::Yes => Ok(Self {
                slot: this.slot,
                payload: PhantomData,
            }),
            Joined::Dead | Joined::Full => Err(CloneError::TooManyLeases { limit: MAX_STRONG }),
        }
    }

    /// A lease on the same payload that shows it as something else: as a trait object, as a slice, or a part of it. The
    /// explicit form of what a coercion does to an `Arc`. If `view` panics, the lease is dropped.
    ///
    /// ```
    /// use lease::{MappedLease, Pool, StrongLease};
    ///
    /// let pool = Pool::new();
    /// let lease = pool.acquire([3, 1, 2]);
    /// let slice: MappedLease<[i32]> = StrongLease::map(lease.clone(), |array| &array[..]);
    /// assert_eq!(slice.iter().max(), Some(&3));
    /// let last: MappedLease<i32> = StrongLease::map(lease, |array| &array[2]);
    /// assert_eq!(*last, 2);
    /// ```
    pub fn map<U: ?Sized + 'static>(this: Self, view: impl FnOnce(&T) -> &U) -> MappedLease<U>
    where
        T: Send + Sync + 'static,
    {
        MappedLease::new(this, view)
    }

    /// Gives the strong count to the caller.
    pub(super) fn into_slot(self) -> SlotPtr {
        let slot = self.slot;
        mem::forget(self);
        slot
    }

    /// Turns the lease into a pointer to its payload, which stays leased until [`from_raw`](Self::from_raw).
    ///
    /// ```
    /// use lease::{Pool, StrongLease};
    ///
    /// let pool = Pool::new();
    /// let raw = StrongLease::into_raw(pool.acquire(7_u32));
    /// // SAFETY: `raw` comes from `into_raw` and is taken back once.
    /// let lease = unsafe { StrongLease::from_raw(raw) };
    /// assert_eq!(*lease, 7);
    /// ```
    #[must_use = "without `from_raw` the payload stays leased for ever"]
    pub fn into_raw(this: Self) -> *const T {
        let payload = this.slot.payload::<T>();
        mem::forget(this);
        payload.as_ptr()
    }

    /// Takes a lease back from [`into_raw`](Self::into_raw).
    ///
    /// # Safety
    ///
    /// - `payload` came from `into_raw` of a lease on a `T`;
    /// - each `into_raw` is taken back at most once.
    pub unsafe fn from_raw(payload: *const T) -> Self {
        // SAFETY: pointers from `into_raw` are not null.
        let payload = unsafe { NonNull::new_unchecked(payload.cast_mut()) };
        // SAFETY: the pointer came from a slot's `payload`.
        let slot = unsafe { SlotPtr::of_payload(payload) };
        // SAFETY: `into_raw` left its strong count for this lease.
        unsafe { Self::from_slot(slot) }
    }
}

impl<T> Deref for StrongLease<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the payload is initialised, and while there are strong leases it is only lent shared.
        unsafe { self.slot.payload::<T>().as_ref() }
    }
}

impl<T> Clone for StrongLease<T> {
    /// One atomic step. Aborts the process if the payload has 16,777,216 strong leases already, as `Arc` does at its
    /// limit: so many can only come from leaking them. [`StrongLease::try_clone`] says it as an error.
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: the lease keeps the segment.
        match unsafe { self.slot.word() }.join() {
            Joined::Yes => Self {
                slot: self.slot,
                payload: PhantomData,
            },
            Joined::Dead | Joined::Full => process::abort(),
        }
    }
}

impl<T> Drop for StrongLease<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the lease's strong count is given up once, here.
        unsafe { release::strong::<T>(self.slot) };
    }
}

impl<T: fmt::Debug> fmt::Debug for StrongLease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: fmt::Display> fmt::Display for StrongLease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl<T> AsRef<T> for StrongLease<T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T> Borrow<T> for StrongLease<T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T: PartialEq> PartialEq for StrongLease<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for StrongLease<T> {}

impl<T: PartialOrd> PartialOrd for StrongLease<T> {
    fn partial_cmp(&self, other: &Self) -> Option<cmp::Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: Ord> Ord for StrongLease<T> {
    fn cmp(&self, other: &Self) -> cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: Hash> Hash for StrongLease<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}
