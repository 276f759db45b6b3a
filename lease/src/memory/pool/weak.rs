//! The weak lease: remembers an object without keeping it alive.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::process;

use super::control_word::Joined;
use super::release;
use super::segment::SlotPtr;
use super::strong::StrongLease;
use crate::memory::strategy::AllocError;
use crate::sync::atomic::{AtomicU32, Ordering};

/// The most weak leases one slot may have; the rest of the count is headroom, as with strong leases.
const MAX_WEAK: u32 = u32::MAX / 2;

/// Remembers an object in a pool without keeping it alive; [`lock`](Self::lock) gives a strong lease while it lives.
///
/// A weak lease keeps the slot (not the payload) in use. Objects that never had one pay nothing for them.
///
/// ```
/// use lease::{Pool, StrongLease};
///
/// let pool = Pool::new();
/// let strong = pool.acquire("alive");
/// let weak = StrongLease::downgrade(&strong);
/// assert_eq!(weak.lock().as_deref(), Some(&"alive"));
/// drop(strong);
/// assert!(weak.lock().is_none());
/// assert!(weak.release(), "nothing else held the slot, so it went back");
/// ```
///
/// There is nothing to look at through a weak lease itself:
///
/// ```compile_fail,E0614
/// let pool = lease::Pool::new();
/// let strong = pool.acquire(1);
/// let weak = lease::StrongLease::downgrade(&strong);
/// let one = *weak;
/// ```
pub struct WeakLease<T> {
    slot: SlotPtr,
    /// A weak lease can become a strong one, which may destroy a `T`.
    payload: PhantomData<T>,
}

// SAFETY: a weak lease can be made a strong one wherever it is, so what holds for `StrongLease` holds here.
unsafe impl<T: Send + Sync> Send for WeakLease<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for WeakLease<T> {}

/// A weak lease on the payload of a slot.
///
/// # Safety
///
/// The caller holds a strong count of this slot, whose payload is a `T`, until this returns.
pub(super) unsafe fn downgrade<T>(slot: SlotPtr) -> Result<WeakLease<T>, AllocError> {
    // SAFETY: the caller's strong count keeps the segment.
    let word = unsafe { slot.word() };
    let seen = word.read();
    // SAFETY: the caller's strong count keeps the segment.
    let segment = unsafe { slot.segment(seen.class()) };
    let count = segment.ensure_weak_count::<T>(slot)?;
    if seen.has_weak() {
        add_one(count);
    } else {
        // Count first, flag second: a lease that is counted under a flag of somebody else must not find the implicit
        // one missing. If another thread was first with the flag, it has brought the implicit one.
        count.fetch_add(2, Ordering::Relaxed);
        if !word.mark_weak() {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
    Ok(WeakLease {
        slot,
        payload: PhantomData,
    })
}

/// The weak count of a slot whose payload is still to be made.
///
/// # Safety
///
/// The caller owns the slot, which is of payload type `T` and in a pool that exists for `'a`.
pub(super) unsafe fn count_before_payload<'a, T>(slot: SlotPtr) -> Result<&'a AtomicU32, AllocError> {
    // SAFETY: the pool keeps its segments while it exists.
    let class = unsafe { slot.word() }.read().class();
    // SAFETY: the pool keeps its segments while it exists.
    unsafe { slot.segment(class) }.ensure_weak_count::<T>(slot)
}

/// The first weak lease on a slot whose payload is still being made.
///
/// # Safety
///
/// The caller owns the slot, which is free, of payload type `T` and in a pool that exists; `count` is its weak count. The
/// caller will give up the implicit weak count of the strong leases, or make the first strong lease.
pub(super) unsafe fn before_payload<T>(slot: SlotPtr, count: &AtomicU32) -> WeakLease<T> {
    // The strong leases' implicit one, and this one.
    count.store(2, Ordering::Relaxed);
    // SAFETY: the pool keeps its segments while it exists.
    unsafe { slot.word() }.reserve_with_weak();
    WeakLease {
        slot,
        payload: PhantomData,
    }
}

/// `Relaxed`: whoever adds holds a count already, or a strong lease whose implicit one is counted.
fn add_one(count: &AtomicU32) {
    if count.fetch_add(1, Ordering::Relaxed) >= MAX_WEAK {
        process::abort();
    }
}

impl<T> WeakLease<T> {
    fn class(&self) -> u8 {
        // SAFETY: the lease keeps the segment.
        unsafe { self.slot.word() }.read().class()
    }

    /// A strong lease, if the object is still alive.
    ///
    /// # Aborts
    ///
    /// If the payload has 16,777,216 strong leases already, as [`StrongLease::clone`].
    #[inline]
    pub fn lock(&self) -> Option<StrongLease<T>> {
        // SAFETY: the lease keeps the segment.
        match unsafe { self.slot.word() }.join_if_live() {
            // SAFETY: the strong count that was just added is the new lease's; while it was above 0 the payload was
            // initialised.
            Joined::Yes => Some(unsafe { StrongLease::from_slot(self.slot) }),
            Joined::Dead => None,
            Joined::Full => process::abort(),
        }
    }

    /// Gives the lease up; true if nothing else held the slot any more, so that it went back to the pool.
    #[allow(
        clippy::must_use_candidate,
        reason = "releasing is the point, the answer is extra"
    )]
    pub fn release(self) -> bool {
        let (slot, class) = (self.slot, self.class());
        mem::forget(self);
        // SAFETY: the forgotten lease's weak count is given up here.
        unsafe { release::weak::<T>(slot, class) }
    }

    /// Whether two leases are on the same object.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.slot == other.slot
    }
}

impl<T> Clone for WeakLease<T> {
    /// One atomic step. Aborts the process at 2,147,483,647 weak leases, as `Arc` does at its limit.
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: the lease keeps the segment.
        let segment = unsafe { self.slot.segment(self.class()) };
        add_one(
            segment
                .weak_count::<T>(self.slot)
                .expect("a weak lease is counted"),
        );
        Self {
            slot: self.slot,
            payload: PhantomData,
        }
    }
}

impl<T> Drop for WeakLease<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the lease's weak count is given up once, here.
        unsafe { release::weak::<T>(self.slot, self.class()) };
    }
}

impl<T> fmt::Debug for WeakLease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the lease keeps the segment.
        let word = unsafe { self.slot.word() }.read();
        f.debug_struct("WeakLease")
            .field("strong", &word.strong())
            .finish_non_exhaustive()
    }
}
