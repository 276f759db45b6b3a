//! A strategy without its type: leases know their payload's type only, and still have to reach the strategy.

use std::alloc::Layout;
use std::ptr::NonNull;

use crate::memory::strategy::{AllocError, MemoryStrategy, System};

/// An owned strategy of some type, in memory of the system's.
#[derive(Debug)]
pub(super) struct Strategy {
    object: NonNull<dyn MemoryStrategy>,
}

impl Strategy {
    /// Moves a strategy to where it stays; without memory for that it comes back.
    pub(super) fn new<S: MemoryStrategy + 'static>(strategy: S) -> Result<Self, (S, AllocError)> {
        let layout = Layout::new::<S>();
        let place = if layout.size() == 0 {
            NonNull::dangling()
        } else {
            match System.allocate(layout) {
                Ok(block) => block.cast::<S>(),
                Err(error) => return Err((strategy, error)),
            }
        };
        // SAFETY: the place was just allocated for an `S`, or needs no memory.
        unsafe { place.write(strategy) };
        Ok(Self { object: place })
    }

    /// A pointer to the strategy, good until this is dropped.
    pub(super) const fn pointer(&self) -> NonNull<dyn MemoryStrategy> {
        self.object
    }

    fn get(&self) -> &dyn MemoryStrategy {
        // SAFETY: the object is initialised and ours until we are dropped.
        unsafe { self.object.as_ref() }
    }
}

impl Drop for Strategy {
    fn drop(&mut self) {
        let layout = Layout::for_value(self.get());
        // SAFETY: the object is ours and is not used again.
        unsafe { self.object.drop_in_place() };
        if layout.size() != 0 {
            // SAFETY: its memory came from `System` with this layout.
            unsafe { System.deallocate(self.object.cast(), layout) };
        }
    }
}

// SAFETY: a `MemoryStrategy` is `Send + Sync`, and we own it.
unsafe impl Send for Strategy {}
