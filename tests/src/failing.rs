//! A strategy whose N-th allocation fails.

use std::alloc::Layout;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use lease::strategy::{
    AllocError, AllocReason, FreeError, MemoryStrategy, Ownership, StrategyFault, StrategyId, StrategyStats,
    StrategyStatus,
};

/// A layer that is out of memory for a range of the requests it sees; growing and shrinking are requests too.
#[derive(Debug)]
pub struct Failing<S> {
    inner: S,
    refused: Range<u64>,
    requests: AtomicU64,
}

impl<S> Failing<S> {
    /// Only request `number` fails, counted from 0.
    pub const fn at(number: u64, inner: S) -> Self {
        Self::during(number..number + 1, inner)
    }

    /// Request `number`, counted from 0, and all later ones fail.
    pub const fn from(number: u64, inner: S) -> Self {
        Self::during(number..u64::MAX, inner)
    }

    const fn during(refused: Range<u64>, inner: S) -> Self {
        Self {
            inner,
            refused,
            requests: AtomicU64::new(0),
        }
    }

    /// Whether a request has been refused.
    pub fn has_failed(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > self.refused.start
    }

    fn request(&self, layout: Layout) -> Result<(), AllocError> {
        if self
            .refused
            .contains(&self.requests.fetch_add(1, Ordering::Relaxed))
        {
            return Err(AllocError::new(layout, AllocReason::OutOfMemory));
        }
        Ok(())
    }
}

// SAFETY: what is not refused is the inner strategy's, which keeps the promises.
unsafe impl<S: MemoryStrategy> MemoryStrategy for Failing<S> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.request(layout)?;
        self.inner.allocate(layout)
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's duties are the callee's.
        unsafe { self.inner.deallocate(ptr, layout) }
    }

    unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
        // SAFETY: the caller's duties are the callee's.
        unsafe { self.inner.try_deallocate(ptr, layout) }
    }

    fn owns(&self, ptr: NonNull<u8>) -> Ownership {
        self.inner.owns(ptr)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.request(layout)?;
        self.inner.allocate_zeroed(layout)
    }

    unsafe fn grow(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.request(new)?;
        // SAFETY: the caller's duties are the callee's.
        unsafe { self.inner.grow(ptr, old, new) }
    }

    unsafe fn shrink(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.request(new)?;
        // SAFETY: the caller's duties are the callee's.
        unsafe { self.inner.shrink(ptr, old, new) }
    }

    fn status(&self) -> StrategyStatus {
        self.inner.status()
    }

    fn validate(&self) -> Result<(), StrategyFault> {
        self.inner.validate()
    }

    fn identity(&self) -> StrategyId {
        StrategyId::of(self)
    }

    fn stats(&self) -> StrategyStats {
        self.inner.stats()
    }
}
