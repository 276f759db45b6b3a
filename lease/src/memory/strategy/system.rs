//! The system allocator as a strategy.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use super::{
    AllocError, AllocReason, FreeError, MemoryStrategy, Ownership, StrategyFault, StrategyId, StrategyStatus,
    relocate,
};

/// The operating system's allocator, always `std::alloc::System`: never the registered global allocator, so that a
/// strategy may itself be registered as one.
///
/// Keeps no books: [`owns`](MemoryStrategy::owns) answers [`Ownership::Unknown`], and a wrong free is not noticed.
///
/// ```
/// use std::alloc::Layout;
/// use lease::strategy::{MemoryStrategy, System};
///
/// let layout = Layout::new::<u64>();
/// let block = System.allocate_zeroed(layout)?;
/// // SAFETY: the block is live and holds eight zero bytes.
/// assert_eq!(unsafe { block.cast::<u64>().read() }, 0);
/// // SAFETY: the block is live, was asked with this layout, and is not used again.
/// unsafe { System.deallocate(block.cast(), layout) };
/// # Ok::<(), lease::strategy::AllocError>(())
/// ```
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
        block_or_error(block, layout)
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

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return Err(AllocError::new(layout, AllocReason::ZeroSize));
        }
        // SAFETY: the size is not zero.
        let block = unsafe { std::alloc::System.alloc_zeroed(layout) };
        block_or_error(block, layout)
    }

    unsafe fn grow(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promises include those of `resize`.
        unsafe { resize(ptr, old, new) }
    }

    unsafe fn shrink(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promises include those of `resize`.
        unsafe { resize(ptr, old, new) }
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

fn block_or_error(block: *mut u8, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
    match NonNull::new(block) {
        Some(block) => Ok(NonNull::slice_from_raw_parts(block, layout.size())),
        None => Err(AllocError::new(layout, AllocReason::OutOfMemory)),
    }
}

/// `realloc` where it can be had: it keeps the alignment it was given.
///
/// # Safety
///
/// `ptr` and `old` are as [`MemoryStrategy::deallocate`] asks, once this has succeeded.
unsafe fn resize(ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
    if old.align() != new.align() || new.size() == 0 {
        // SAFETY: `ptr` and `old` are as the caller promises.
        return unsafe { relocate(&System, ptr, old, new) };
    }
    // SAFETY: `ptr` is a live block of this allocator with layout `old`, and the new size is not zero and, being a
    // layout's, does not overflow when rounded up to the alignment.
    let block = unsafe { std::alloc::System.realloc(ptr.as_ptr(), old, new.size()) };
    block_or_error(block, new)
}
