//! What lies on the block's frame: the arena, the guards, the strategy.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::resume_unwind;

use super::arena::Arena;
use super::guards::{Guards, discard};
use super::{Scope, ScopeReport};
use crate::memory::strategy::{MemoryStrategy, System};
use crate::sync::panicking;

/// The storage of one scope: lives on the frame of the block, ends with it, however it ends.
///
/// `lease_scope!` declares one and hands it to [`handle`]; the two lines can be written by hand.
///
/// Invariant in `'env`, and its destructor may use everything that lives for `'env`: the compiler therefore keeps what
/// is kept or deferred here alive until the storage is gone, and refuses memory of the scope itself, which is not.
///
/// ```
/// use lease::__private::{Storage, handle};
///
/// let mut storage = Storage::new();
/// let scope = handle(&mut storage);
/// assert_eq!(*scope.alloc(7), 7);
/// ```
pub struct Storage<'env, S: MemoryStrategy + ?Sized = System> {
    pub(super) guards: RefCell<Guards>,
    pub(super) arena: Arena,
    /// Invariance: a storage must not pass for one whose guards live longer, nor shorter.
    env: PhantomData<fn(&'env ()) -> &'env ()>,
    pub(super) strategy: S,
}

impl Storage<'_> {
    /// Storage over the system allocator. Takes no memory before the first allocation.
    pub fn new() -> Self {
        Self::with_strategy(System)
    }
}

impl Default for Storage<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: MemoryStrategy> Storage<'_, S> {
    /// Storage over any strategy. Takes no memory before the first allocation.
    ///
    /// ```
    /// use lease::__private::{Storage, handle};
    /// use lease::strategy::System;
    ///
    /// let mut storage = Storage::with_strategy(&System);
    /// let scope = handle(&mut storage);
    /// assert_eq!(scope.alloc_str("leased"), "leased");
    /// ```
    pub fn with_strategy(strategy: S) -> Self {
        Self {
            guards: RefCell::new(Guards::new()),
            arena: Arena::new(),
            env: PhantomData,
            strategy,
        }
    }
}

impl<S: MemoryStrategy + ?Sized> Storage<'_, S> {
    pub(super) fn report(&self) -> ScopeReport {
        ScopeReport {
            used: self.arena.used(),
            reserved: self.arena.reserved(),
            chunks: self.arena.chunks(),
            guards: self.guards.borrow().len(),
        }
    }
}

impl<S: MemoryStrategy + ?Sized> Drop for Storage<'_, S> {
    /// Ends the guards from the newest to the oldest, then gives the memory back.
    ///
    /// A guard's panic goes on from here once all have ended, unless the thread is unwinding already.
    fn drop(&mut self) {
        let storage = scopeguard::guard(self, |storage| {
            // SAFETY: the handle's `'s` is over, so no reference into the arena is left; the guards have ended; and
            // the strategy is the field that every allocation went to.
            unsafe { storage.arena.release(&storage.strategy) }
        });
        let panic = storage.guards.borrow_mut().end_all();
        match panic {
            // A second panic would abort and take the frames above with it; the hook has reported this one.
            Some(panic) if panicking() => discard(panic),
            Some(panic) => resume_unwind(panic),
            None => {}
        }
    }
}

impl<S: MemoryStrategy + ?Sized> fmt::Debug for Storage<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Storage").field(&self.report()).finish()
    }
}

/// The handle to a storage; exclusive, so that there is one at a time.
pub fn handle<'s, 'env, S: MemoryStrategy>(storage: &'s mut Storage<'env, S>) -> Scope<'s, 'env> {
    Scope { storage }
}
