//! Payloads that count their ends, and strategies that fail when told to.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lease::strategy::{
    AllocError, AllocReason, FreeError, MemoryStrategy, Ownership, StrategyFault, StrategyId, StrategyStatus,
    System,
};

/// Counts how many payloads are alive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census(Arc<AtomicUsize>);

/// A payload that is counted from its making to its end.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) id: u64,
    census: Census,
}

impl Census {
    pub(crate) fn member(&self, id: u64) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted {
            id,
            census: self.clone(),
        }
    }

    pub(crate) fn alive(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.census.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The system allocator with a limit on live blocks, and a count of them.
#[derive(Debug)]
pub(crate) struct Limited {
    pub(crate) limit: AtomicUsize,
    pub(crate) live: AtomicUsize,
    pub(crate) refusal: AllocReason,
}

impl Limited {
    pub(crate) fn new(limit: usize, refusal: AllocReason) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            live: AtomicUsize::new(0),
            refusal,
        })
    }
}

/// A strategy that shares its counters with the test.
#[derive(Clone, Debug)]
pub(crate) struct Watched(pub(crate) Arc<Limited>);

// SAFETY: blocks are the system allocator's; counting them changes nothing about them.
unsafe impl MemoryStrategy for Watched {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if self.0.live.load(Ordering::SeqCst) >= self.0.limit.load(Ordering::SeqCst) {
            return Err(AllocError::new(layout, self.0.refusal));
        }
        let block = System.allocate(layout)?;
        self.0.live.fetch_add(1, Ordering::SeqCst);
        Ok(block)
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        self.0.live.fetch_sub(1, Ordering::SeqCst);
        // SAFETY: the caller's duties are the same.
        unsafe { System.deallocate(ptr, layout) }
    }

    unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
        // SAFETY: the caller's duties are the same.
        unsafe { self.deallocate(ptr, layout) };
        Ok(())
    }

    fn owns(&self, _ptr: NonNull<u8>) -> Ownership {
        Ownership::Unknown
    }

    fn status(&self) -> StrategyStatus {
        StrategyStatus::ACTIVE
    }

    fn validate(&self) -> Result<(), StrategyFault> {
        Ok(())
    }

    fn identity(&self) -> StrategyId {
        StrategyId::SYSTEM
    }
}

/// Runs a test whose payloads are too large for a test thread's stack.
pub(crate) fn with_a_large_stack(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(64 << 20)
            .spawn_scoped(scope, test);
        thread
            .expect("the system has a thread to spare")
            .join()
            .expect("the test passes");
    });
}
