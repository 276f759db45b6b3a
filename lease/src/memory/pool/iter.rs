//! Visiting the objects on lease.

use std::fmt;
use std::iter::FusedIterator;
use std::mem::needs_drop;
use std::process;
use std::ptr::NonNull;

use super::Pool;
use super::control_word::Joined;
use super::segment::Segment;
use super::strong::StrongLease;
use crate::memory::strategy::{MemoryStrategy, System};

/// Leases on the objects in a pool, one after another; made by [`Pool::iter`].
///
/// Weakly consistent: an object that is there during the whole iteration is visited once, one that comes or goes
/// meanwhile may or may not be. Like [`StrongLease::clone`] it aborts the process at an object that has 16,777,216 strong
/// leases already.
#[must_use = "iterators do nothing unless they are used"]
pub struct Iter<'pool, T, S: MemoryStrategy + 'static = System> {
    pool: &'pool Pool<T, S>,
    /// Which of the pool's segments comes next. While the pool is borrowed, segments only join at the end.
    next_segment: usize,
    current: Option<NonNull<Segment>>,
    next_slot: usize,
}

// SAFETY: the iterator is a place in the pool; it gives leases, as the pool itself does by handle.
unsafe impl<T: Send + Sync, S: MemoryStrategy + 'static> Send for Iter<'_, T, S> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync, S: MemoryStrategy + 'static> Sync for Iter<'_, T, S> {}

impl<'pool, T, S: MemoryStrategy + 'static> Iter<'pool, T, S> {
    pub(super) const fn new(pool: &'pool Pool<T, S>) -> Self {
        Self {
            pool,
            next_segment: 0,
            current: None,
            next_slot: 0,
        }
    }
}

impl<T, S: MemoryStrategy + 'static> Pool<T, S> {
    /// Shows all live objects to `visit`, one after another.
    ///
    /// Having the pool to itself keeps others from acquiring, not from using and dropping their leases: it is as weakly
    /// consistent as [`iter`](Self::iter). But what nobody can overwrite can be looked at without a lease: where payloads
    /// have no destructor and are not recycled, no count is touched, and the visit costs what reading the memory costs.
    ///
    /// ```
    /// let mut pool = lease::Pool::new();
    /// let leases: Vec<_> = (1..=3).map(|n| pool.acquire(n)).collect();
    /// let mut sum = 0;
    /// pool.for_each(|n| sum += n);
    /// assert_eq!(sum, 6);
    /// # drop(leases);
    /// ```
    pub fn for_each(&mut self, mut visit: impl FnMut(&T)) {
        if needs_drop::<T>() || self.options.recycling.is_some() {
            return self.iter().for_each(|lease| visit(&lease));
        }
        let Some(shared) = self.shared() else {
            return;
        };
        let mut index = 0;
        while let Some(segment) = shared.segment(index) {
            // SAFETY: the pool keeps its segments while it is borrowed.
            let slots = unsafe { Segment::typed_slots::<T>(segment) };
            for slot in slots {
                // SAFETY: the segment exists.
                if unsafe { slot.word() }.read().strong() > 0 {
                    // SAFETY: while there was a strong lease the payload was initialised. Its last lease may be dropped
                    // meanwhile, but that runs nothing and writes nothing, and the slot is not filled again while the
                    // pool is borrowed mutably.
                    visit(unsafe { slot.payload::<T>().as_ref() });
                }
            }
            index += 1;
        }
    }
}

impl<T, S: MemoryStrategy + 'static> Iterator for Iter<'_, T, S> {
    type Item = StrongLease<T>;

    fn next(&mut self) -> Option<StrongLease<T>> {
        loop {
            if let Some(segment) = self.current {
                // SAFETY: the pool keeps its segments while it is borrowed.
                let slots = unsafe { segment.as_ref() }.slots();
                while self.next_slot < slots {
                    // SAFETY: the segment exists and has so many slots.
                    let slot = unsafe { Segment::slot(segment, self.next_slot) };
                    self.next_slot += 1;
                    // SAFETY: the segment exists.
                    match unsafe { slot.word() }.join_if_live() {
                        // SAFETY: the strong count that was just added is the new lease's; while it was above 0 the
                        // payload was initialised, and all payloads of this pool are `T`s.
                        Joined::Yes => return Some(unsafe { StrongLease::from_slot(slot) }),
                        Joined::Dead => {}
                        Joined::Full => process::abort(),
                    }
                }
            }
            self.current = self
                .pool
                .shared()
                .and_then(|shared| shared.segment(self.next_segment));
            if self.current.is_none() {
                // No segment has this number, so that none that joins later is visited after the end.
                self.next_segment = usize::MAX;
                return None;
            }
            self.next_segment += 1;
            self.next_slot = 0;
        }
    }
}

impl<T, S: MemoryStrategy + 'static> FusedIterator for Iter<'_, T, S> {}

impl<T, S: MemoryStrategy + 'static> fmt::Debug for Iter<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}
