//! A block of a strategy and the layout it was asked with, which is all it takes to give it back.

use std::alloc::Layout;
use std::ptr::NonNull;

use crate::memory::strategy::{AllocError, AllocReason, MemoryStrategy};

/// The start of a region, with its provenance, and its layout.
///
/// Dropping one does nothing: who ends a block says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    ptr: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a block is a pointer and two numbers; what is done with the pointer is unsafe and answers for threads there.
unsafe impl Send for Block {}

impl Block {
    /// A block that is only a statement: the memory at `ptr` is somebody else's.
    pub(super) fn elsewhere(ptr: NonNull<u8>, layout: Layout) -> Self {
        Self { ptr, layout }
    }

    /// A fresh block of this strategy.
    pub(super) fn allocate(strategy: &dyn MemoryStrategy, layout: Layout) -> Result<Self, AllocError> {
        if layout.size() == 0 {
            return Err(AllocError::new(layout, AllocReason::ZeroSize));
        }
        let ptr = strategy.allocate(layout)?.cast();
        Ok(Self { ptr, layout })
    }

    /// Gives the block back.
    ///
    /// # Safety
    ///
    /// - it came from `allocate` with a strategy of the same identity, and has not been given back;
    /// - nothing uses its memory afterwards.
    pub(super) unsafe fn deallocate(self, strategy: &dyn MemoryStrategy) {
        // SAFETY: the caller gives a live block of this strategy and its layout, and stops using it.
        unsafe { strategy.deallocate(self.ptr, self.layout) };
    }

    /// Copies as many bytes as both blocks have.
    ///
    /// # Safety
    ///
    /// - both blocks are live, and do not overlap;
    /// - nobody writes to either meanwhile, and nobody reads `to`.
    pub(super) unsafe fn copy_to(self, to: Self) {
        let bytes = self.layout.size().min(to.layout.size());
        // SAFETY: both blocks are live for at least `bytes`, do not overlap, and are the caller's to read and write.
        unsafe { self.ptr.copy_to_nonoverlapping(to.ptr, bytes) };
    }

    pub(super) fn ptr(self) -> NonNull<u8> {
        self.ptr
    }

    pub(super) fn layout(self) -> Layout {
        self.layout
    }

    pub(super) fn address(self) -> usize {
        self.ptr.addr().get()
    }
}
