//! A strategy behind a pointer is the same strategy.

use std::alloc::Layout;
use std::ptr::NonNull;

use super::{
    AllocError, FreeError, MemoryStrategy, Ownership, StrategyFault, StrategyId, StrategyStats,
    StrategyStatus,
};
use crate::sync::Arc;

macro_rules! forward {
    ($($pointer:ty),+) => {$(
        // SAFETY: every method forwards to the strategy behind the pointer, which keeps the promises; moving the
        // pointer does not move it, and the identity is its own.
        unsafe impl<S: MemoryStrategy + ?Sized> MemoryStrategy for $pointer {
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                (**self).allocate(layout)
            }

            unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller's duties are the callee's, word for word.
                unsafe { (**self).deallocate(ptr, layout) }
            }

            unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
                // SAFETY: the caller's duties are the callee's, word for word.
                unsafe { (**self).try_deallocate(ptr, layout) }
            }

            fn owns(&self, ptr: NonNull<u8>) -> Ownership {
                (**self).owns(ptr)
            }

            fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                (**self).allocate_zeroed(layout)
            }

            unsafe fn grow(
                &self,
                ptr: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's duties are the callee's, word for word.
                unsafe { (**self).grow(ptr, old, new) }
            }

            unsafe fn shrink(
                &self,
                ptr: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's duties are the callee's, word for word.
                unsafe { (**self).shrink(ptr, old, new) }
            }

            fn status(&self) -> StrategyStatus {
                (**self).status()
            }

            fn validate(&self) -> Result<(), StrategyFault> {
                (**self).validate()
            }

            fn identity(&self) -> StrategyId {
                (**self).identity()
            }

            fn stats(&self) -> StrategyStats {
                (**self).stats()
            }
        }
    )+};
}

forward!(&S, Box<S>, Arc<S>);
