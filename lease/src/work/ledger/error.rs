//! What can go wrong with a ledger.

use thiserror::Error;

/// A ledger could not do what was asked; nothing was half-done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Somebody else appended since the caller last looked.
    #[error("the ledger's head is at {actual}, not at {expected}")]
    HeadMoved {
        /// The sequence that the caller expected.
        expected: u64,
        /// The sequence it has.
        actual: u64,
    },
    /// A record, perhaps long ago, carried the same unique key.
    #[error("the unique key `{key}` was used before")]
    KeyUsed {
        /// The key.
        key: String,
    },
}
