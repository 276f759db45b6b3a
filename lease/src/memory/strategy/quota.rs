//! A limit on what may be live at once.
//!
//! What is asked is reserved before the strategy below is called and given back after the block has gone back to it, so
//! the strategy below never holds more for this layer than the limits say, not even for a moment. The counters are
//! exact, and `Relaxed`: they bound amounts and publish nothing; the memory itself is passed on by the strategy below.

use std::alloc::Layout;
use std::fmt;
use std::ptr::NonNull;

use crossbeam_utils::CachePadded;

use super::{
    AllocError, AllocReason, Budget, FreeError, MemoryStrategy, Ownership, StrategyFault, StrategyId,
    StrategyStats, StrategyStatus, Usage,
};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::const_fn;

/// The limit that no amount of memory reaches.
const UNLIMITED: usize = usize::MAX;

/// A layer that refuses what would pass a limit of live bytes, of live blocks, or both.
///
/// Bytes count as asked for, without what the strategy below adds. An allocation that another thread is about to give
/// back, or that will be refused for its other limit or by the strategy below, counts until it is.
///
/// ```
/// use std::alloc::Layout;
/// use lease::strategy::{AllocReason, MemoryStrategy, Quota, System};
///
/// let quota = Quota::bytes(100, System);
/// let refused = quota.allocate(Layout::new::<[u8; 101]>()).unwrap_err();
/// assert_eq!(refused.reason, AllocReason::QuotaBytes { limit: 100, remaining: 100 });
/// ```
pub struct Quota<S> {
    used: CachePadded<Used>,
    max_bytes: usize,
    max_blocks: usize,
    inner: S,
}

struct Used {
    bytes: AtomicUsize,
    blocks: AtomicUsize,
}

impl<S: MemoryStrategy> Quota<S> {
    const_fn! {
        /// At most `limit` live bytes.
        pub const fn bytes(limit: usize, inner: S) -> Self {
            Self::new(limit, UNLIMITED, inner)
        }
    }

    const_fn! {
        /// At most `limit` live blocks.
        ///
        /// ```
        /// use std::alloc::Layout;
        /// use lease::strategy::{AllocReason, MemoryStrategy, Quota, System};
        ///
        /// let quota = Quota::count(0, System);
        /// let refused = quota.allocate(Layout::new::<u8>()).unwrap_err();
        /// assert_eq!(refused.reason, AllocReason::QuotaCount { limit: 0 });
        /// ```
        pub const fn count(limit: usize, inner: S) -> Self {
            Self::new(UNLIMITED, limit, inner)
        }
    }

    const_fn! {
        /// At most `bytes` live bytes in at most `count` live blocks. `usize::MAX` is no limit.
        pub const fn new(bytes: usize, count: usize, inner: S) -> Self {
            Self {
                used: CachePadded::new(Used {
                    bytes: AtomicUsize::new(0),
                    blocks: AtomicUsize::new(0),
                }),
                max_bytes: bytes,
                max_blocks: count,
                inner,
            }
        }
    }

    /// The strategy below.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    /// Sets `layout.size()` bytes and one block aside for what `allocate` returns, or for nothing if it fails.
    fn reserving(
        &self,
        layout: Layout,
        allocate: impl FnOnce() -> Result<NonNull<[u8]>, AllocError>,
    ) -> Result<NonNull<[u8]>, AllocError> {
        self.take_bytes(layout, layout.size())?;
        if take(&self.used.blocks, 1, self.max_blocks).is_err() {
            give_back(&self.used.bytes, layout.size());
            let limit = self.max_blocks;
            return Err(AllocError::new(layout, AllocReason::QuotaCount { limit }));
        }
        allocate().inspect_err(|_| self.give_back(layout))
    }

    fn take_bytes(&self, layout: Layout, amount: usize) -> Result<(), AllocError> {
        take(&self.used.bytes, amount, self.max_bytes).map_err(|remaining| {
            let limit = self.max_bytes;
            AllocError::new(layout, AllocReason::QuotaBytes { limit, remaining })
        })
    }

    fn give_back(&self, layout: Layout) {
        give_back(&self.used.bytes, layout.size());
        give_back(&self.used.blocks, 1);
    }
}

/// Counts `amount` in if that stays within the limit; else says how much is left.
fn take(used: &AtomicUsize, amount: usize, limit: usize) -> Result<(), usize> {
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
        used.checked_add(amount).filter(|after| *after <= limit)
    })
    .map(drop)
    .map_err(|used| limit.saturating_sub(used))
}

fn give_back(used: &AtomicUsize, amount: usize) {
    used.fetch_sub(amount, Ordering::Relaxed);
}

fn budget(used: &AtomicUsize, limit: usize) -> Option<Budget> {
    let remaining = limit.saturating_sub(used.load(Ordering::Relaxed));
    (limit != UNLIMITED).then_some(Budget { limit, remaining })
}

// SAFETY: blocks come from and go to the inner strategy under the layouts the caller names, and the inner strategy keeps
// the promises; the counters never decide about a block that exists. The identity is this layer's own, so nobody else's
// blocks are given back here.
unsafe impl<S: MemoryStrategy> MemoryStrategy for Quota<S> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.reserving(layout, || self.inner.allocate(layout))
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the block came from the inner strategy with this layout, and the caller gives it up.
        unsafe { self.inner.deallocate(ptr, layout) };
        self.give_back(layout);
    }

    unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
        // SAFETY: `owns` is the inner strategy's, so the caller's duties are the callee's.
        unsafe { self.inner.try_deallocate(ptr, layout) }?;
        self.give_back(layout);
        Ok(())
    }

    fn owns(&self, ptr: NonNull<u8>) -> Ownership {
        self.inner.owns(ptr)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.reserving(layout, || self.inner.allocate_zeroed(layout))
    }

    unsafe fn grow(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let more = new.size() - old.size();
        self.take_bytes(new, more)?;
        // SAFETY: the block came from the inner strategy with the layout `old`; the rest is the caller's promise.
        unsafe { self.inner.grow(ptr, old, new) }.inspect_err(|_| give_back(&self.used.bytes, more))
    }

    unsafe fn shrink(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the block came from the inner strategy with the layout `old`; the rest is the caller's promise.
        let block = unsafe { self.inner.shrink(ptr, old, new) }?;
        give_back(&self.used.bytes, old.size() - new.size());
        Ok(block)
    }

    fn status(&self) -> StrategyStatus {
        self.inner.status()
    }

    fn validate(&self) -> Result<(), StrategyFault> {
        let books = [
            ("live bytes and their limit", &self.used.bytes, self.max_bytes),
            ("live blocks and their limit", &self.used.blocks, self.max_blocks),
        ];
        for (what, used, limit) in books {
            let used = used.load(Ordering::Relaxed);
            // More was given back than taken: the count went below zero, and no address space is that large.
            if used > limit || used > isize::MAX.unsigned_abs() {
                return Err(StrategyFault::Inconsistent {
                    what,
                    left: used as u64,
                    right: limit as u64,
                });
            }
        }
        self.inner.validate()
    }

    fn identity(&self) -> StrategyId {
        StrategyId::of(self)
    }

    fn stats(&self) -> StrategyStats {
        let below = self.inner.stats();
        let live = Usage {
            bytes: self.used.bytes.load(Ordering::Relaxed),
            blocks: self.used.blocks.load(Ordering::Relaxed),
        };
        StrategyStats {
            live: Some(live),
            // What is reserved here may not have reached the figures below yet.
            peak: below.peak.map(|peak| peak.max(live)),
            bytes: Budget::tightest(budget(&self.used.bytes, self.max_bytes), below.bytes),
            blocks: Budget::tightest(budget(&self.used.blocks, self.max_blocks), below.blocks),
            ..below
        }
    }
}

impl<S: MemoryStrategy + fmt::Debug> fmt::Debug for Quota<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota")
            .field("bytes", &budget(&self.used.bytes, self.max_bytes))
            .field("blocks", &budget(&self.used.blocks, self.max_blocks))
            .field("inner", &self.inner)
            .finish()
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use crate::memory::strategy::System;
    use crate::sync::{Arc, thread};

    const LAYOUT: Layout = Layout::new::<u64>();

    /// Takes a block if it can, and what it was told if not.
    fn visit(quota: &Quota<System>) -> Result<(), AllocReason> {
        let block = quota.allocate(LAYOUT).map_err(|error| error.reason)?;
        let live = quota.stats().live.unwrap();
        assert!(live.bytes <= quota.max_bytes, "{live:?} passes the limit");
        assert!(live.blocks <= quota.max_blocks, "{live:?} passes the limit");
        // SAFETY: the block is live, was asked with this layout, and is not used again.
        unsafe { quota.deallocate(block.cast(), LAYOUT) };
        Ok(())
    }

    #[test]
    fn loom_a_quota_is_never_passed_and_all_comes_back() {
        loom::model(|| {
            let quota = Arc::new(Quota::new(12, 2, System));
            let other = Arc::clone(&quota);
            let there = thread::spawn(move || visit(&other));
            let outcomes = [visit(&quota), there.join().unwrap()];
            assert!(outcomes.contains(&Ok(())), "one of two fits");
            for refused in outcomes.into_iter().filter_map(Result::err) {
                assert_eq!(
                    refused,
                    AllocReason::QuotaBytes {
                        limit: 12,
                        remaining: 4
                    }
                );
            }
            assert_eq!(quota.stats().live, Some(Usage::default()));
        });
    }

    #[test]
    fn loom_a_refusal_for_the_count_gives_the_bytes_back() {
        loom::model(|| {
            let quota = Arc::new(Quota::new(UNLIMITED, 1, System));
            let other = Arc::clone(&quota);
            let there = thread::spawn(move || visit(&other));
            let outcomes = [visit(&quota), there.join().unwrap()];
            assert!(outcomes.contains(&Ok(())), "one of two fits");
            for refused in outcomes.into_iter().filter_map(Result::err) {
                assert_eq!(refused, AllocReason::QuotaCount { limit: 1 });
            }
            assert_eq!(quota.stats().live, Some(Usage::default()));
        });
    }
}
