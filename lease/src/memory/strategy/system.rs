//! The system allocator as a strategy.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use super::{
    AllocError, AllocReason, FreeError, MemoryStrategy, Ownership, StrategyFault, StrategyId, StrategyStatus,
};

/// The operating system's allocator, always `std::alloc::System`: never the registered global allocator, so that a
/// strategy may itself be registered as one.
///
/// Keeps no books: [`owns`](MemoryStrategy::owns) answers [`Ownership::Unknown`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct System;

// SAFETY: `std::alloc::System` keeps the `GlobalAlloc` contract, which promises exactly what this trait asks for; the
// type is a zero-size name for it, so moving it moves nothing and all its values may free each other's blocks.
unsafe impl MemoryStrategy for System {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Err(AllocError::new(layout, AllocReason::ZeroSize));
        }
        // SAFETY: the size is not zero.
        let block = unsafe { std::alloc::System.alloc(layout) };
        match NonNull::new(block) {
            Some(block) => Ok(NonNull::slice_from_raw_parts(block, layout.size())),
            None => Err(AllocError::new(layout, AllocReason::OutOfMemory)),
        }
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller gives a live block of this allocator and the layout it was asked with.
        unsafe { std::alloc::System.dealloc(ptr.as_ptr(), layout) }
    }

    unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
        // SAFETY: `owns` is `Unknown`, so the caller keeps the duties of `deallocate`.
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
