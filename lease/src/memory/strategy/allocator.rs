//! The door to collections: a strategy as an allocator of `allocator-api2`.

use std::alloc::Layout;
use std::fmt;
use std::num::NonZero;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError as NoMemory, Allocator};

use super::{AllocError, MemoryStrategy, System};
use crate::sync::Arc;

/// A strategy that serves the collections of `allocator-api2` and of those who speak it, such as `hashbrown`.
///
/// Strategies refuse size 0; allocators must serve it. This wrapper does, without asking the strategy. The strategy sees
/// each layout as the collection named it, on the way out and on the way back.
///
/// An allocator's clone must be able to free what the original handed out, so only an `AsAllocator` of a
/// [`SharedStrategy`] is `Clone`.
///
/// ```
/// use lease::strategy::{AsAllocator, MemoryStrategy, System, Tracked};
/// # use allocator_api2::vec::Vec;
///
/// let tracked = Tracked::new(System);
/// {
///     let mut numbers = Vec::new_in(AsAllocator::new(&tracked));
///     numbers.extend([1_u32, 2, 3]);
///     assert_eq!(tracked.stats().live.map(|live| live.blocks), Some(1));
/// }
/// assert_eq!(tracked.stats().live.map(|live| live.blocks), Some(0));
/// ```
pub struct AsAllocator<S>(S);

/// A strategy whose clones are the same strategy: they have the same
/// [`identity`](MemoryStrategy::identity), and keep what was handed out alive.
///
/// # Safety
///
/// A clone may free the original's blocks and the other way round, and a block stays valid as long as one of them lives.
pub unsafe trait SharedStrategy: MemoryStrategy + Clone {}

// SAFETY: all values of `System` are one and the same.
unsafe impl SharedStrategy for System {}
// SAFETY: the clone refers to the same strategy, which the reference keeps borrowed.
unsafe impl<S: MemoryStrategy + ?Sized> SharedStrategy for &S {}
// SAFETY: the clone owns the same strategy, which lives as long as one of the owners.
unsafe impl<S: MemoryStrategy + ?Sized> SharedStrategy for Arc<S> {}

impl<S: MemoryStrategy> AsAllocator<S> {
    /// Serves collections from this strategy.
    pub const fn new(strategy: S) -> Self {
        Self(strategy)
    }

    /// The strategy.
    pub const fn strategy(&self) -> &S {
        &self.0
    }
}

/// What stands for a block of size 0: an aligned address that is never read.
fn empty(layout: Layout) -> NonNull<[u8]> {
    let align = NonZero::new(layout.align()).expect("an alignment is at least 1");
    NonNull::slice_from_raw_parts(NonNull::without_provenance(align), 0)
}

/// The block without what the strategy added: who holds a longer one may give it back by its whole length, and the
/// strategy was not asked with that.
fn exact(block: Result<NonNull<[u8]>, AllocError>, layout: Layout) -> Result<NonNull<[u8]>, NoMemory> {
    let block = block.map_err(|_| NoMemory)?;
    Ok(NonNull::slice_from_raw_parts(block.cast(), layout.size()))
}

// SAFETY: blocks are the strategy's, no longer than asked, valid until they are given back or the strategy is gone, whatever moves; `Clone`
// exists only where a clone is the same strategy; blocks of size 0 have no memory that could become invalid.
unsafe impl<S: MemoryStrategy> Allocator for AsAllocator<S> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        if layout.size() == 0 {
            return Ok(empty(layout));
        }
        exact(self.0.allocate(layout), layout)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        if layout.size() == 0 {
            return Ok(empty(layout));
        }
        exact(self.0.allocate_zeroed(layout), layout)
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        if layout.size() > 0 {
            // SAFETY: a live block of this allocator whose size is not 0 is a live block of the strategy.
            unsafe { self.0.deallocate(ptr, layout) }
        }
    }

    unsafe fn grow(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        if old.size() == 0 {
            return Allocator::allocate(self, new);
        }
        // SAFETY: a live block of this allocator whose size is not 0 is a live block of the strategy; the caller
        // promises that the new size is no smaller.
        let block = unsafe { self.0.grow(ptr, old, new) };
        exact(block, new)
    }

    unsafe fn shrink(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, NoMemory> {
        if new.size() == 0 {
            // SAFETY: the caller gives the old block up for an empty one.
            unsafe { Allocator::deallocate(self, ptr, old) };
            return Ok(empty(new));
        }
        // SAFETY: the old block is no smaller than the new one, so its size is not 0 and it is the strategy's.
        let block = unsafe { self.0.shrink(ptr, old, new) };
        exact(block, new)
    }
}

impl<S: SharedStrategy> Clone for AsAllocator<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: fmt::Debug> fmt::Debug for AsAllocator<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsAllocator").field(&self.0).finish()
    }
}
