//! What can go wrong with a ledger.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

use super::{Fault, SealFault};

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
    /// The storage could not say that it is durable, here or in another process: whether records since the last good
    /// sync survive a power cut is unknown. Nothing more is appended until the storage has proved itself again.
    ///
    /// What a sync has failed to write the system may drop from memory. While some of it is missing there, everybody who
    /// has the ledger open is told so, and in this way whatever the gap would otherwise look like; the ledger then has to
    /// be closed everywhere, and who opens it next gets what is left, which is at least what was synced. What is found to
    /// be bad although memory has all of the log is so on the disk, and is called [`Damaged`](Self::Damaged) or
    /// [`BadRecord`](Self::BadRecord).
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
    /// Sealed records cannot be had.
    #[error("the sealed records in {} cannot be read: {fault}", .path.display())]
    BadSeal {
        /// Where they are, or should be.
        path: PathBuf,
        /// What is wrong with them.
        fault: SealFault,
    },
    /// The ledger never stood where the caller thinks it did.
    #[error("the ledger has no record {sequence} with the hash that was given")]
    NoSuchHead {
        /// The sequence that the caller named.
        sequence: u64,
    },
    /// This kind of ledger keeps its records where they are.
    #[error("this ledger cannot be sealed")]
    CannotSeal,
    /// There is no ledger at this path, and something else is.
    #[error("{} is not a ledger: {reason}", .path.display())]
    NotALedger {
        /// Where.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The ledger was written by a newer version of this crate.
    #[error(
        "the ledger has format {found}, this version knows {supported} and older ones: it was written by a newer version of this crate, update it"
    )]
    NewerFormat {
        /// The ledger's format.
        found: i32,
        /// The newest format known here.
        supported: i32,
    },
    /// A symbolic link, a file with a second name, or a file mounted on its own, where a ledger has its only copy.
    #[error("{} is a link, has a second name or is mounted on its own", .path.display())]
    Linked {
        /// Which.
        path: PathBuf,
    },
    /// Other users may look into the ledger's directory.
    #[error("{} is open to other users: its mode is {mode:o}, not 700", .path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Locks or syncs may not mean on this file system what they have to.
    #[error("{} lies on a file system that is not admitted (its number is {magic:#x}): use ext4, xfs, btrfs, zfs, tmpfs or overlayfs", .path.display())]
    UnsupportedFileSystem {
        /// The directory.
        path: PathBuf,
        /// The number that `statfs` gives for the file system.
        magic: u64,
    },
    /// The SQLite that this program is linked with can lose commits.
    #[error("SQLite {} is too old, {} is needed", dotted(*.found), dotted(*.needed))]
    OldSqlite {
        /// Its version, as a number.
        found: i32,
        /// The oldest that will do.
        needed: i32,
    },
    /// The database is another file than the ledger was made as: a copy, perhaps of one that lives on.
    #[error("{} was copied or moved here; adopt it if the original is gone", .path.display())]
    LedgerMoved {
        /// The database.
        path: PathBuf,
    },
    /// The ledger's files were removed or exchanged while it was open. It has to be opened anew.
    #[error("{} was moved or replaced while the ledger was open: close it everywhere and open it anew", .path.display())]
    LedgerDisturbed {
        /// Which file.
        path: PathBuf,
    },
    /// The storage cannot be read as what it was.
    #[error("{} is damaged: {reason}", .path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What the storage says.
        reason: String,
    },
    /// There is no room for more.
    #[error("the storage is full: {}", .path.display())]
    StorageFull {
        /// What could not grow.
        path: PathBuf,
    },
    /// The storage may only be read.
    #[error("{} cannot be written", .path.display())]
    Unwritable {
        /// What cannot be written.
        path: PathBuf,
    },
    /// The ledger was opened by another process, from which this one was forked. One on disk can be opened again by the
    /// child once that has become another program.
    #[error("the ledger was opened by process {opened_by} and cannot be used in its fork {pid}")]
    Forked {
        /// The process that opened it.
        opened_by: u32,
        /// The process that asks.
        pid: u32,
    },
    /// The operating system failed.
    #[error("could not {action} {}", .path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database failed.
    #[error("could not {action}: {}", .path.display())]
    Storage {
        /// What was to be done.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no epoch above this one.
    #[error("the ledger's epochs are used up at {last}")]
    EpochsUsedUp {
        /// The last epoch.
        last: u32,
    },
}

/// A version of SQLite as people write it.
fn dotted(version: i32) -> String {
    format!(
        "{}.{}.{}",
        version / 1_000_000,
        version / 1_000 % 1_000,
        version % 1_000
    )
}

#[cfg(feature = "sqlite")]
impl LedgerError {
    /// The system failed to do `action` to `path`.
    pub(super) fn io(action: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::StorageFull { path },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::Unwritable { path },
            _ => Self::Io { action, path, source },
        }
    }
}
