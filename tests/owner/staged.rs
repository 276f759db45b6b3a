//! A strategy that stops where a test wants to step in: the system allocator with a cue before the next allocation and
//! one after the next free.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::Mutex;

use lease::strategy::{
    AllocError, FreeError, MemoryStrategy, Ownership, StrategyFault, StrategyId, StrategyStatus, System,
};

type Cue = Box<dyn FnOnce() + Send>;

/// Calls each cue once.
#[derive(Default)]
pub(crate) struct Staged {
    before_allocation: Mutex<Option<Cue>>,
    after_free: Mutex<Option<Cue>>,
}

impl Staged {
    pub(crate) fn before_next_allocation(&self, cue: impl FnOnce() + Send + 'static) {
        *self.before_allocation.lock().unwrap() = Some(Box::new(cue));
    }

    pub(crate) fn after_next_free(&self, cue: impl FnOnce() + Send + 'static) {
        *self.after_free.lock().unwrap() = Some(Box::new(cue));
    }
}

fn call(cue: &Mutex<Option<Cue>>) {
    let cue = cue.lock().unwrap().take();
    if let Some(cue) = cue {
        cue();
    }
}

// SAFETY: blocks are `System`'s, which keeps the promises; the cues of the tests do not unwind.
unsafe impl MemoryStrategy for Staged {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        call(&self.before_allocation);
        System.allocate(layout)
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's duties are the callee's.
        unsafe { System.deallocate(ptr, layout) };
        call(&self.after_free);
    }

    unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
        // SAFETY: the caller's duties are the callee's.
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
