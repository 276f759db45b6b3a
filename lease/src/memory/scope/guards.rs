//! What a scope still has to do when it ends: destructors and closures, run from the newest to the oldest.
//!
//! Each entry is a pointer into the scope's arena and the function that ends what lies there. The entries themselves
//! hold no user data, so they may move; what they point to does not.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use smallvec::{CollectionAllocErr, SmallVec};

/// How many entries lie on the block's frame before the list needs memory of its own.
const INLINE: usize = 4;

struct Guard {
    data: NonNull<u8>,
    end: unsafe fn(NonNull<u8>),
}

// SAFETY: both ways to make a guard ask for a `Send` value, so ending it on another thread is that value's own promise.
unsafe impl Send for Guard {}

/// The list of a scope's guards.
pub(super) struct Guards(SmallVec<[Guard; INLINE]>);

impl Guards {
    pub(super) fn new() -> Self {
        Self(SmallVec::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes sure that the next guard has a place, so that adding it cannot fail half-way.
    pub(super) fn reserve(&mut self) -> Result<(), CollectionAllocErr> {
        self.0.try_reserve(1)
    }

    /// The value at `data` will be dropped.
    ///
    /// # Safety
    ///
    /// - `data` points to a live value that nobody else drops, and that lives until [`end_all`](Self::end_all);
    /// - nothing uses it once `end_all` runs.
    pub(super) unsafe fn drop_later<T: Send>(&mut self, data: NonNull<T>) {
        unsafe fn end<T>(data: NonNull<u8>) {
            // SAFETY: `data` is the live `T` of `drop_later`, dropped here and nowhere else.
            unsafe { data.cast::<T>().drop_in_place() }
        }
        self.0.push(Guard {
            data: data.cast(),
            end: end::<T>,
        });
    }

    /// The closure at `data` will be called.
    ///
    /// # Safety
    ///
    /// As for [`drop_later`](Self::drop_later), with a call in place of the drop.
    pub(super) unsafe fn call_later<F: FnOnce() + Send>(&mut self, data: NonNull<F>) {
        unsafe fn end<F: FnOnce()>(data: NonNull<u8>) {
            // SAFETY: `data` is the live `F` of `call_later`, moved out here and nowhere else.
            let call = unsafe { data.cast::<F>().read() };
            call();
        }
        self.0.push(Guard {
            data: data.cast(),
            end: end::<F>,
        });
    }

    /// Ends everything, newest first. One that panics does not stop the others; the first panic is returned.
    pub(super) fn end_all(&mut self) -> Option<Box<dyn Any + Send>> {
        let mut first = None;
        while let Some(Guard { data, end }) = self.0.pop() {
            // SAFETY: the guard was made with this `end` for this `data`, and popping it makes this the only call.
            let outcome = catch_unwind(AssertUnwindSafe(|| unsafe { end(data) }));
            if let Err(panic) = outcome {
                match first {
                    None => first = Some(panic),
                    Some(_) => discard(panic),
                }
            }
        }
        first
    }
}

/// Drops what a panic carried. Its destructor is the user's too; what that throws in turn is given up on.
pub(super) fn discard(panic: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(again);
    }
}
