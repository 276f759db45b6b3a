//! Figures about what passes through.
//!
//! Every counter is a `Relaxed` atomic of its own: they describe and decide nothing, so they need no order among each
//! other. The price is one or two shared cache lines per call.

use std::alloc::Layout;
use std::fmt;
use std::ptr::NonNull;

use crossbeam_utils::CachePadded;

use super::{
    AllocError, Failures, FreeError, MemoryStrategy, Ownership, SizeHistogram, StrategyFault, StrategyId,
    StrategyStats, StrategyStatus, Usage,
};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{const_fn, counters};

/// A layer that counts: live and peak memory, refusals by reason, allocations by size.
///
/// A refusal counts wherever below it was decided. Growing and shrinking a block is not an allocation, so it moves the
/// live and peak figures but not the sizes.
///
/// ```
/// use std::alloc::Layout;
/// use lease::strategy::{MemoryStrategy, Quota, System, Tracked};
///
/// let tracked = Tracked::new(Quota::bytes(8, System));
/// assert!(tracked.allocate(Layout::new::<u128>()).is_err());
/// let stats = tracked.stats();
/// assert_eq!(stats.failures.map(|failures| failures.quota_bytes), Some(1));
/// assert_eq!(stats.bytes.map(|budget| budget.remaining), Some(8));
/// ```
pub struct Tracked<S> {
    counts: CachePadded<Counts>,
    inner: S,
}

struct Counts {
    live: Amount,
    peak: Amount,
    failures: [AtomicU64; Failures::REASONS],
    sizes: [AtomicU64; SizeHistogram::CLASSES],
}

struct Amount {
    bytes: AtomicUsize,
    blocks: AtomicUsize,
}

impl Amount {
    const_fn! {
        const fn new() -> Self {
            Self {
                bytes: AtomicUsize::new(0),
                blocks: AtomicUsize::new(0),
            }
        }
    }

    fn read(&self) -> Usage {
        Usage {
            bytes: self.bytes.load(Ordering::Relaxed),
            blocks: self.blocks.load(Ordering::Relaxed),
        }
    }
}

impl Counts {
    // The sums wrap, as the counters do: after a wrong free they are wrong, which `validate` says and no call should.
    fn add_bytes(&self, more: usize) {
        let live = self
            .live
            .bytes
            .fetch_add(more, Ordering::Relaxed)
            .wrapping_add(more);
        self.peak.bytes.fetch_max(live, Ordering::Relaxed);
    }

    fn allocated(&self, layout: Layout) {
        self.add_bytes(layout.size());
        let blocks = self.live.blocks.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.peak.blocks.fetch_max(blocks, Ordering::Relaxed);
        self.sizes[SizeHistogram::class(layout.size())].fetch_add(1, Ordering::Relaxed);
    }

    fn freed(&self, layout: Layout) {
        self.live.bytes.fetch_sub(layout.size(), Ordering::Relaxed);
        self.live.blocks.fetch_sub(1, Ordering::Relaxed);
    }

    fn refused(&self, error: &AllocError) {
        self.failures[Failures::index(error.reason)].fetch_add(1, Ordering::Relaxed);
    }
}

impl<S: MemoryStrategy> Tracked<S> {
    const_fn! {
        /// Counts what passes through to `inner`.
        pub const fn new(inner: S) -> Self {
            Self {
                counts: CachePadded::new(Counts {
                    live: Amount::new(),
                    peak: Amount::new(),
                    failures: counters(),
                    sizes: counters(),
                }),
                inner,
            }
        }
    }

    /// The strategy below.
    pub const fn inner(&self) -> &S {
        &self.inner
    }

    fn counting(
        &self,
        layout: Layout,
        outcome: Result<NonNull<[u8]>, AllocError>,
    ) -> Result<NonNull<[u8]>, AllocError> {
        match &outcome {
            Ok(_) => self.counts.allocated(layout),
            Err(error) => self.counts.refused(error),
        }
        outcome
    }
}

// SAFETY: blocks come from and go to the inner strategy under the layouts the caller names, and the inner strategy keeps
// the promises; the identity is this layer's own, so nobody else's blocks are given back here.
unsafe impl<S: MemoryStrategy> MemoryStrategy for Tracked<S> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.counting(layout, self.inner.allocate(layout))
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the block came from the inner strategy with this layout, and the caller gives it up.
        unsafe { self.inner.deallocate(ptr, layout) };
        self.counts.freed(layout);
    }

    unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
        // SAFETY: `owns` is the inner strategy's, so the caller's duties are the callee's.
        unsafe { self.inner.try_deallocate(ptr, layout) }?;
        self.counts.freed(layout);
        Ok(())
    }

    fn owns(&self, ptr: NonNull<u8>) -> Ownership {
        self.inner.owns(ptr)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.counting(layout, self.inner.allocate_zeroed(layout))
    }

    unsafe fn grow(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the block came from the inner strategy with the layout `old`; the rest is the caller's promise.
        unsafe { self.inner.grow(ptr, old, new) }
            .inspect(|_| self.counts.add_bytes(new.size() - old.size()))
            .inspect_err(|error| self.counts.refused(error))
    }

    unsafe fn shrink(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the block came from the inner strategy with the layout `old`; the rest is the caller's promise.
        let block =
            unsafe { self.inner.shrink(ptr, old, new) }.inspect_err(|error| self.counts.refused(error))?;
        self.counts
            .live
            .bytes
            .fetch_sub(old.size() - new.size(), Ordering::Relaxed);
        Ok(block)
    }

    fn status(&self) -> StrategyStatus {
        self.inner.status()
    }

    fn validate(&self) -> Result<(), StrategyFault> {
        let live = self.counts.live.read();
        let most = isize::MAX.unsigned_abs();
        // More was given back than taken: the count went below zero, and no address space is that large.
        for (what, count) in [("live bytes", live.bytes), ("live blocks", live.blocks)] {
            if count > most {
                return Err(StrategyFault::Inconsistent {
                    what,
                    left: count as u64,
                    right: most as u64,
                });
            }
        }
        self.inner.validate()
    }

    fn identity(&self) -> StrategyId {
        StrategyId::of(self)
    }

    fn stats(&self) -> StrategyStats {
        let live = self.counts.live.read();
        let peak = self.counts.peak.read();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StrategyStats {
            live: Some(live),
            // A thread that has raised the live figure may not have raised the peak yet.
            peak: Some(peak.max(live)),
            failures: Some(Failures::from_counts(self.counts.failures.each_ref().map(count))),
            sizes: Some(SizeHistogram::from_counts(
                &self.counts.sizes.each_ref().map(count),
            )),
            ..self.inner.stats()
        }
    }
}

impl<S: MemoryStrategy + fmt::Debug> fmt::Debug for Tracked<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Tracked")
            .field("live", &stats.live)
            .field("peak", &stats.peak)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
