//! What can go wrong with a ledger.

use std::time::Duration;

use thiserror::Error;

use super::Fault;

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
    /// A column of a record is over its limit.
    #[error("{field} has {length} bytes, the limit is {limit}")]
    TooLong {
        /// Which column.
        field: &'static str,
        /// How long it is, in bytes.
        length: usize,
        /// How long it may be, in bytes.
        limit: usize,
    },
    /// The write section could not be had in time.
    #[error(
        "the ledger's write section was held by {} for longer than {waited:?}",
        match .pid { Some(pid) => format!("process {pid}"), None => "somebody else".to_owned() }
    )]
    LedgerBusy {
        /// The process inside it, if that is known.
        pid: Option<u32>,
        /// How long this caller waited.
        waited: Duration,
    },
    /// The storage could not say that it is durable, now or at an earlier sync, and is not trusted again until it is
    /// opened anew: whether records since the last good sync survive a power cut is unknown.
    #[error("the ledger could not be synced: {reason}")]
    SyncFailed {
        /// What the system said.
        reason: String,
    },
    /// The history is not what was written.
    #[error("record {sequence} is bad: {fault}")]
    BadRecord {
        /// The first record that is wrong.
        sequence: u64,
        /// What is wrong with it.
        fault: Fault,
    },
    /// There is no epoch above this one.
    #[error("the ledger's epochs are used up at {last}")]
    EpochsUsedUp {
        /// The last epoch.
        last: u32,
    },
}
