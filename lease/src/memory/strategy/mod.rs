//! Strategies: where memory comes from.
//!
//! A [`MemoryStrategy`] hands out blocks, takes them back, and can be asked about itself: what it owns, how it feels,
//! whether its books are in order. Strategies are plain values; layers wrap other strategies, and everything above this
//! floor (pools, owner tables, scopes) takes any of them.

#[cfg(feature = "allocator-api2")]
mod allocator;
mod error;
mod forward;
mod identity;
mod quota;
mod stats;
mod status;
mod system;
mod tracked;
mod tracker;
mod validate;

use std::alloc::Layout;
use std::ptr::NonNull;

#[cfg(feature = "allocator-api2")]
pub use self::allocator::{AsAllocator, SharedStrategy};
pub use self::error::{AllocError, AllocReason, FreeError, StrategyFault};
pub use self::identity::StrategyId;
pub use self::quota::Quota;
pub use self::stats::{Budget, Failures, SizeHistogram, StrategyStats, Usage};
pub use self::status::{IllegalMove, StrategyState, StrategyStatus};
pub use self::system::System;
pub use self::tracked::Tracked;
pub use self::tracker::StatusTracker;
pub use self::validate::{Reasons, validate_allocation, validate_deallocation, validate_strategy};

/// A source of memory: thread-safe, layerable, usable behind `dyn` and in a `static`.
///
/// ```
/// use std::alloc::Layout;
/// use lease::strategy::{AllocReason, MemoryStrategy, Quota, System, Tracked};
///
/// static SCRATCH: Tracked<Quota<System>> = Tracked::new(Quota::bytes(4096, System));
///
/// let page = Layout::new::<[u8; 4096]>();
/// let block = SCRATCH.allocate(page)?;
/// let refused = SCRATCH.allocate(page).unwrap_err();
/// assert_eq!(refused.reason, AllocReason::QuotaBytes { limit: 4096, remaining: 0 });
///
/// // SAFETY: the block is live, was asked with this layout, and is not used again.
/// unsafe { SCRATCH.deallocate(block.cast(), page) };
/// assert_eq!(SCRATCH.stats().live.map(|live| live.bytes), Some(0));
/// # Ok::<(), lease::strategy::AllocError>(())
/// ```
///
/// # Safety
///
/// An implementation promises, for every block that `allocate`, `allocate_zeroed`, `grow` or `shrink` returned:
///
/// - it is at least `layout.size()` bytes long, aligned to `layout.align()`, readable and writable, and overlaps no other
///   live block;
/// - it stays valid until it is given to `deallocate` or `try_deallocate`, or `grow` or `shrink` replaces it, or the
///   strategy (and every other value with the same [`identity`](Self::identity)) is dropped;
/// - moving the strategy does not move or invalidate it;
/// - two strategies with equal identities may free each other's blocks.
///
/// No method unwinds, and a refused call changes nothing.
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

    /// As [`allocate`](Self::allocate), with every byte of the block zero up to `layout.size()`.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate).
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.allocate(layout)?;
        // SAFETY: the block was just handed out, is ours alone, and is at least `layout.size()` bytes long.
        unsafe { block.cast::<u8>().write_bytes(0, layout.size()) };
        Ok(block)
    }

    /// Replaces a block by a larger one that begins with the same bytes. The new block may start elsewhere and have
    /// another alignment.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate); the old block is as it was and still the caller's.
    ///
    /// # Safety
    ///
    /// - `ptr` and `old` are as [`deallocate`](Self::deallocate) asks;
    /// - `new.size()` is at least `old.size()`;
    /// - once this succeeds nothing uses the old block.
    unsafe fn grow(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        debug_assert!(new.size() >= old.size(), "`grow` from {old:?} to {new:?}");
        // SAFETY: `ptr` and `old` are as the caller promises.
        unsafe { relocate(self, ptr, old, new) }
    }

    /// Replaces a block by a smaller one that holds its first bytes. The new block may start elsewhere and have another
    /// alignment.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate); the old block is as it was and still the caller's.
    ///
    /// # Safety
    ///
    /// - `ptr` and `old` are as [`deallocate`](Self::deallocate) asks;
    /// - `new.size()` is at most `old.size()`;
    /// - once this succeeds nothing uses the old block.
    unsafe fn shrink(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        debug_assert!(new.size() <= old.size(), "`shrink` from {old:?} to {new:?}");
        // SAFETY: `ptr` and `old` are as the caller promises.
        unsafe { relocate(self, ptr, old, new) }
    }

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

    /// What the strategy counts. Nothing, unless it says more; a layer adds to what the strategy below it counts.
    fn stats(&self) -> StrategyStats {
        StrategyStats::default()
    }
}

/// A block for `new` that begins with the bytes of the old one, which is given back.
///
/// # Safety
///
/// As [`MemoryStrategy::deallocate`], once this has succeeded.
unsafe fn relocate<S: MemoryStrategy + ?Sized>(
    strategy: &S,
    ptr: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    let block = strategy.allocate(new)?;
    let common = old.size().min(new.size());
    // SAFETY: both blocks are live and at least `common` bytes long, and live blocks do not overlap.
    unsafe { block.cast::<u8>().copy_from_nonoverlapping(ptr, common) };
    // SAFETY: `ptr` and `old` are as the caller promises, and the bytes have been copied.
    unsafe { strategy.deallocate(ptr, old) };
    Ok(block)
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
