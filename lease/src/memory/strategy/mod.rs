//! Strategies: where memory comes from.
//!
//! A [`MemoryStrategy`] hands out blocks, takes them back, and can be asked about itself: what it owns, how it feels,
//! whether its books are in order. Strategies are plain values; layers wrap other strategies, and everything above this
//! floor (pools, owner tables, scopes) takes any of them.

mod error;
mod status;
mod system;

use std::alloc::Layout;
use std::ptr::NonNull;

pub use self::error::{AllocError, AllocReason, FreeError, StrategyFault};
pub use self::status::{StrategyId, StrategyState, StrategyStatus};
pub use self::system::System;

/// A source of memory: thread-safe, layerable, usable behind `dyn` and in a `static`.
///
/// # Safety
///
/// An implementation promises, for every block that `allocate`, `allocate_zeroed`, `grow` or `shrink` returned:
///
/// - it is at least `layout.size()` bytes long, aligned to `layout.align()`, readable and writable, and overlaps no other
///   live block;
/// - it stays valid until it is given to `deallocate` or `try_deallocate`, or `grow` or `shrink` replaces it, or the
///   strategy (and every clone or reference with the same [`identity`](Self::identity)) is dropped;
/// - moving the strategy does not move or invalidate it;
/// - two strategies with equal identities may free each other's blocks.
///
/// No method unwinds.
pub unsafe trait MemoryStrategy: Send + Sync {
    /// A block for `layout`. A layout of size 0 is refused with [`AllocReason::ZeroSize`].
    ///
    /// # Errors
    ///
    /// [`AllocError`] with the layout asked and the reason; nothing changed.
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError>;

    /// Takes a block back, trusting the caller.
    ///
    /// # Safety
    ///
    /// - `ptr` is the start of a block that a strategy of this identity handed out and that has not been given back;
    /// - `layout` is the layout it was asked with (after `grow` or `shrink`: the new one);
    /// - nothing uses the block afterwards.
    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout);

    /// Takes a block back after checking what this strategy can check.
    ///
    /// # Errors
    ///
    /// [`FreeError`] says what is wrong with the pointer; nothing changed.
    ///
    /// # Safety
    ///
    /// - nothing uses the block afterwards;
    /// - where [`owns`](Self::owns) answers [`Ownership::Unknown`], the duties of [`deallocate`](Self::deallocate) hold.
    unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError>;

    /// What this strategy knows about an address.
    fn owns(&self, ptr: NonNull<u8>) -> Ownership;

    /// How the strategy feels, as one consistent snapshot.
    fn status(&self) -> StrategyStatus;

    /// Checks the strategy's own books. May be called from hooks and from inside a strategy.
    ///
    /// # Errors
    ///
    /// The first fault that was found.
    fn validate(&self) -> Result<(), StrategyFault>;

    /// Who would have to free this strategy's blocks. See [`StrategyId`].
    fn identity(&self) -> StrategyId;
}

/// What a strategy knows about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ownership {
    /// The start of a live block of this layout.
    Live(Layout),
    /// Inside a live block that starts here.
    Interior(NonNull<u8>),
    /// The start of a block that was handed out once and has been given back.
    Freed,
    /// Not this strategy's memory.
    Foreign,
    /// This strategy keeps no record of what it handed out (as the system allocator).
    Unknown,
}

// SAFETY: every method forwards to the strategy behind the reference, which keeps the promises; moving a reference
// moves no block, and the identity is the referent's.
unsafe impl<S: MemoryStrategy + ?Sized> MemoryStrategy for &S {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        (**self).allocate(layout)
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's duties are the inner strategy's, word for word.
        unsafe { (**self).deallocate(ptr, layout) }
    }

    unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
        // SAFETY: the caller's duties are the inner strategy's, word for word.
        unsafe { (**self).try_deallocate(ptr, layout) }
    }

    fn owns(&self, ptr: NonNull<u8>) -> Ownership {
        (**self).owns(ptr)
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
}
