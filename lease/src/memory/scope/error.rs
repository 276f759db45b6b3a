//! What a scope refuses at run time.

use thiserror::Error;

use crate::memory::pool::AcquireError;
use crate::memory::strategy::AllocError;

/// A scope could not take something in; it is as it was.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScopeError {
    /// The scope's strategy gave no memory.
    #[error(transparent)]
    Alloc(#[from] AllocError),
    /// The pool had no slot to lease.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// A slice longer than any address space.
    #[error("a slice of {len} elements of {element_size} bytes is larger than any address space")]
    TooLong {
        /// How many elements were asked for.
        len: usize,
        /// The size of one, in bytes.
        element_size: usize,
    },
    /// The list of destructors and closures could not grow beyond this length.
    #[error("no memory for a list of more than {len} guards")]
    Guards {
        /// How many the scope has.
        len: usize,
    },
}
