//! What can go wrong between a strategy and its caller.

use std::alloc::Layout;

use thiserror::Error;

use super::StrategyState;

/// No block could be handed out; nothing changed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("cannot allocate {} bytes aligned to {}: {reason}", layout.size(), layout.align())]
#[non_exhaustive]
pub struct AllocError {
    /// What was asked for.
    pub layout: Layout,
    /// Why it was refused.
    pub reason: AllocReason,
}

impl AllocError {
    /// An error for this layout and reason.
    pub const fn new(layout: Layout, reason: AllocReason) -> Self {
        Self { layout, reason }
    }
}

/// Why an allocation was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocReason {
    /// The caller asked for nothing.
    #[error("a size of zero has no address to lease")]
    ZeroSize,
    /// The source below has no memory left.
    #[error("out of memory")]
    OutOfMemory,
    /// A byte quota is used up.
    #[error("the quota of {limit} bytes has {remaining} left")]
    QuotaBytes {
        /// The quota in bytes.
        limit: usize,
        /// What is left of it, in bytes.
        remaining: usize,
    },
    /// A quota of live blocks is used up.
    #[error("the quota of {limit} live blocks is used up")]
    QuotaCount {
        /// The quota in blocks.
        limit: usize,
    },
    /// The strategy serves blocks up to a limit only.
    #[error("blocks are at most {limit} bytes")]
    TooLarge {
        /// The largest block, in bytes.
        limit: usize,
    },
    /// The strategy serves alignments up to a limit only.
    #[error("alignments are at most {limit} bytes")]
    AlignmentTooLarge {
        /// The largest alignment, in bytes.
        limit: usize,
    },
    /// The strategy has been closed.
    #[error("the strategy is closed")]
    Closed,
    /// The strategy is in a state in which it hands nothing out.
    #[error("the strategy is {state}")]
    NotReady {
        /// The state it is in.
        state: StrategyState,
    },
}

/// A block could not be taken back; nothing changed. Names addresses, not pointers, so that it may go anywhere.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FreeError {
    /// The null pointer, which is nobody's memory.
    #[error("the null pointer is nobody's memory")]
    Null,
    /// Not this strategy's memory.
    #[error("{address:#x} was not allocated by this strategy")]
    Foreign {
        /// What was given.
        address: usize,
    },
    /// Inside a block, not its start.
    #[error("{address:#x} points inside the block that starts at {start:#x}")]
    Interior {
        /// What was given.
        address: usize,
        /// Where the block starts.
        start: usize,
    },
    /// Given back before.
    #[error("{address:#x} was already freed")]
    AlreadyFreed {
        /// What was given.
        address: usize,
    },
    /// The block was asked for with another layout.
    #[error("{address:#x} was allocated as {allocated:?}, not {given:?}")]
    LayoutMismatch {
        /// What was given.
        address: usize,
        /// The layout it was asked with.
        allocated: Layout,
        /// The layout it was given back with.
        given: Layout,
    },
}

/// A strategy's own books are not in order.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StrategyFault {
    /// The strategy is in its error state.
    #[error("the strategy is in its error state after {errors} errors")]
    Unhealthy {
        /// How many errors it counted.
        errors: u32,
    },
    /// Two counters that must agree do not.
    #[error("{what}: {left} does not agree with {right}")]
    Inconsistent {
        /// Which books.
        what: &'static str,
        /// The one side.
        left: u64,
        /// The other side.
        right: u64,
    },
}
