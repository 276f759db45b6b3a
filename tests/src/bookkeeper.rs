//! A strategy that remembers every block it handed out: what layers and scopes do to it can be read afterwards.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lease::strategy::{
    AllocError, AllocReason, FreeError, MemoryStrategy, Ownership, StatusTracker, StrategyFault, StrategyId,
    StrategyState, StrategyStats, StrategyStatus, System, Usage,
};

/// A strategy over [`System`] that knows what it owns: a reference for those who write their own.
///
/// Follows its [`StatusTracker`]: the first block makes it active, [`close`](Self::close) stops it, a trusted free that
/// its books contradict puts it in error.
#[derive(Debug, Default)]
pub struct Bookkeeper {
    blocks: Mutex<BTreeMap<usize, Block>>,
    status: StatusTracker,
}

#[derive(Clone, Copy, Debug)]
enum Block {
    Live(Layout),
    Freed,
}

impl Bookkeeper {
    /// Empty books.
    pub fn new() -> Self {
        Self::default()
    }

    /// The layouts of the live blocks, in no order that matters.
    pub fn live(&self) -> Vec<Layout> {
        self.lock()
            .values()
            .filter_map(|block| match block {
                Block::Live(layout) => Some(*layout),
                Block::Freed => None,
            })
            .collect()
    }

    /// Hands nothing out any more.
    pub fn close(&self) {
        // Closing twice is closing once.
        let _ = self.status.transition(StrategyState::Closed);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Block>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Strikes a live block off, or says what is wrong with the address.
    fn strike_off(&self, ptr: NonNull<u8>, given: Layout) -> Result<(), FreeError> {
        let address = ptr.addr().get();
        match self.owns(ptr) {
            Ownership::Live(allocated) if allocated == given => {
                self.lock().insert(address, Block::Freed);
                Ok(())
            }
            Ownership::Live(allocated) => Err(FreeError::LayoutMismatch {
                address,
                allocated,
                given,
            }),
            Ownership::Interior(start) => Err(FreeError::Interior {
                address,
                start: start.addr().get(),
            }),
            Ownership::Freed => Err(FreeError::AlreadyFreed { address }),
            _ => Err(FreeError::Foreign { address }),
        }
    }
}

// SAFETY: blocks are `System`'s, which keeps the promises; one goes back only when the books say that it is live under
// this very layout.
unsafe impl MemoryStrategy for Bookkeeper {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let closed = AllocError::new(layout, AllocReason::Closed);
        if self.status().state == StrategyState::Closed {
            return Err(closed);
        }
        let block = System.allocate(layout)?;
        // Another thread may have made it active before, which is as good.
        let _ = self.status.transition(StrategyState::Active);
        self.lock()
            .insert(block.cast::<u8>().addr().get(), Block::Live(layout));
        Ok(block)
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        match self.strike_off(ptr, layout) {
            // SAFETY: the books say that the block is live under this layout, and the caller gives it up.
            Ok(()) => unsafe { System.deallocate(ptr, layout) },
            Err(_) => {
                self.status.record_error();
            }
        }
    }

    unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
        self.strike_off(ptr, layout)?;
        // SAFETY: the books say that the block is live under this layout, and the caller gives it up.
        unsafe { System.deallocate(ptr, layout) };
        Ok(())
    }

    fn owns(&self, ptr: NonNull<u8>) -> Ownership {
        let address = ptr.addr().get();
        let blocks = self.lock();
        let Some((start, block)) = blocks.range(..=address).next_back() else {
            return Ownership::Foreign;
        };
        let offset = address - start;
        match *block {
            Block::Live(layout) if offset == 0 => Ownership::Live(layout),
            // SAFETY: `offset` is less than the block's size, so the start is in the same block.
            Block::Live(layout) if offset < layout.size() => Ownership::Interior(unsafe { ptr.sub(offset) }),
            Block::Freed if offset == 0 => Ownership::Freed,
            _ => Ownership::Foreign,
        }
    }

    fn status(&self) -> StrategyStatus {
        self.status.status()
    }

    fn validate(&self) -> Result<(), StrategyFault> {
        let status = self.status();
        match status.state {
            StrategyState::Error => Err(StrategyFault::Unhealthy {
                errors: status.errors,
            }),
            _ => Ok(()),
        }
    }

    fn identity(&self) -> StrategyId {
        StrategyId::of(self)
    }

    fn stats(&self) -> StrategyStats {
        let live = self.live();
        let mut stats = StrategyStats::default();
        stats.live = Some(Usage {
            bytes: live.iter().map(Layout::size).sum(),
            blocks: live.len(),
        });
        stats
    }
}
