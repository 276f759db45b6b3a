//! What a pool can refuse.

use std::alloc::Layout;
use std::time::Duration;

use thiserror::Error;

use crate::memory::strategy::{AllocError, AllocReason};

/// No lease could be handed out; nothing changed (a payload that was passed by value has been dropped).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// A bounded pool has every slot in use.
    #[error("all {capacity} slots of the pool are in use")]
    Exhausted {
        /// The pool's capacity in slots.
        capacity: usize,
    },
    /// The pool has been closed.
    #[error("the pool is closed")]
    Closed,
    /// No slot was given back in time.
    #[error("no slot was given back within {timeout:?}")]
    TimedOut {
        /// How long the caller was ready to wait.
        timeout: Duration,
    },
    /// The pool could not get memory to grow.
    #[error("the pool cannot grow: {0}")]
    Memory(#[from] AllocError),
    /// The strategy never serves segments of this layout.
    #[error("the strategy cannot serve a segment of {} bytes aligned to its size: {reason}", layout.size())]
    SegmentUnsupported {
        /// The segment's layout.
        layout: Layout,
        /// What the strategy said.
        reason: AllocReason,
    },
    /// One payload with its control word does not fit into the pool's segments.
    #[error("a slot of {size} bytes does not fit into a segment of {limit} bytes")]
    PayloadTooLarge {
        /// The slot's size in bytes.
        size: usize,
        /// The segment's size in bytes.
        limit: usize,
    },
    /// All page numbers of the process are in use: its pools together hold 32 GiB.
    #[error("the pools of this process hold all {pages} pages that handles can name")]
    PagesExhausted {
        /// How many pages of 16 KiB there are.
        pages: u32,
    },
}

/// A handle did not lead to a live object; nothing changed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockError {
    /// The null handle.
    #[error("the handle is null")]
    Null,
    /// The object it named is gone.
    #[error("the object behind the handle is gone")]
    Stale,
    /// The handle belongs to another pool.
    #[error("the handle belongs to another pool")]
    Foreign,
    /// No pool ever gave out this handle.
    #[error("the handle was never given out")]
    Unknown,
    /// The object has as many strong leases as can be counted.
    #[error("the payload already has {limit} strong leases")]
    TooManyLeases {
        /// The limit.
        limit: u32,
    },
}

/// A payload has as many strong leases as can be counted; nothing changed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloneError {
    /// The strong count is at its limit.
    #[error("the payload already has {limit} strong leases")]
    TooManyLeases {
        /// The limit.
        limit: u32,
    },
}

/// A [`PoolBuilder`](crate::PoolBuilder) describes no pool.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolBuildError {
    /// A pool without slots.
    #[error("a pool needs a capacity of at least one")]
    ZeroCapacity,
    /// Segments are powers of two from 16 KiB to 2 MiB.
    #[error("{given} bytes is no segment size: a power of two from 16384 to 2097152")]
    SegmentBytes {
        /// What was asked for.
        given: usize,
    },
}

/// A pool could not be shut down; nothing changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Some of its slots are still in use.
    #[error("{} slots of the pool are still in use", leases.len())]
    StillLeased {
        /// Each of them.
        leases: Vec<LiveSlot>,
    },
    /// Some of its slots are still in use, and there is no memory to list them.
    #[error("slots of the pool are still in use, and cannot be listed: {0}")]
    Memory(#[from] AllocError),
}

/// A slot that is still in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveSlot {
    /// [`ControlBlockHandle::to_bits`](crate::ControlBlockHandle::to_bits) of the object.
    pub handle: u64,
    /// Its strong leases. With neither strong nor weak leases it is held by a unique one, or its payload is just being
    /// destroyed.
    pub strong: usize,
    /// Its weak leases.
    pub weak: usize,
}
