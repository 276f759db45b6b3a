//! A strategy whose blocks are longer than asked.

use std::alloc::Layout;
use std::ptr::NonNull;

use lease::strategy::{
    AllocError, FreeError, MemoryStrategy, Ownership, StrategyFault, StrategyId, StrategyStatus, System,
};

/// How much longer each block is, in bytes.
const MORE: usize = 40;

/// The system allocator, `MORE` bytes at a time more generous.
#[derive(Clone, Copy, Debug)]
pub struct Generous;

fn longer(layout: Layout) -> Layout {
    let size = layout.size() + MORE;
    Layout::from_size_align(size, layout.align()).expect("tests ask for little")
}

// SAFETY: blocks are `System`'s, which keeps the promises, each under the layout that is `longer` by the same amount.
unsafe impl MemoryStrategy for Generous {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        System.allocate(longer(layout))
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the block was asked of `System` with the longer layout, and the caller gives it up.
        unsafe { System.deallocate(ptr, longer(layout)) }
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
        StrategyId::of(self)
    }
}
