//! Ledgers: append-only, hash-chained storage of [`EventRecord`]s. Knows nothing of leases.

mod error;

use crate::work::event::EventRecord;

pub use self::error::LedgerError;

/// An append-only, hash-chained list of records, in the order in which they were accepted.
///
/// Sequences start at 1 and have no gaps. Two operations matter: [`append`](Self::append) and [`read`](Self::read);
/// the rest serves several processes on one ledger. Implementations are shared between threads.
pub trait Ledger: Send + Sync {
    /// Where the ledger stands.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage cannot be read.
    fn head(&self) -> Result<Head, LedgerError>;

    /// The records after `after` (0: from the start), oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage cannot be read.
    fn read(&self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError>;

    /// Takes the ledger's write section: until the guard is dropped nobody else's append, here or in another process,
    /// comes between what the holder reads and what it appends.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the section cannot be had in time.
    fn enter(&self) -> Result<Section<'_>, LedgerError>;

    /// Appends a batch, all or nothing, if the head is still `expected`, and returns the new head. The records are
    /// visible to every reader when this returns; they are durable when a [`sync`](Self::sync) that began afterwards
    /// returns.
    ///
    /// # Errors
    ///
    /// [`LedgerError::HeadMoved`] when somebody appended in between, [`LedgerError::KeyUsed`] when a record's unique key
    /// was used before, ever; otherwise the storage failed. Nothing was appended.
    fn append(&self, expected: &Head, batch: &[NewRecord]) -> Result<Head, LedgerError>;

    /// Makes everything that was appended before this call durable.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage could not say so; whether the records survive a power cut is then unknown.
    fn sync(&self) -> Result<(), LedgerError>;

    /// A number that rises whenever the ledger is opened by somebody who has it alone, and at
    /// [`raise_epoch`](Self::raise_epoch): at least 1, below 2^31.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage cannot be read.
    fn epoch(&self) -> Result<u32, LedgerError>;

    /// Raises the epoch, durably, and returns the new one.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage cannot be written.
    fn raise_epoch(&self) -> Result<u32, LedgerError>;
}

/// Where a ledger stands: the last record's sequence and hash (0 and zeros when empty).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Sequence of the last record, 0 when there is none.
    pub sequence: u64,
    /// Hash of the last record, zeros when there is none.
    pub hash: [u8; 32],
}

/// A record to be appended, and the key under which nothing may ever be appended again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// The event; its sequence and hashes are filled in by the ledger.
    pub record: EventRecord,
    /// Refused with [`LedgerError::KeyUsed`] if any record, ever, carried the same key.
    pub unique_key: Option<String>,
}

/// The write section of a ledger, left when this is dropped. See [`Ledger::enter`].
#[must_use = "the write section is left as soon as this is dropped"]
pub struct Section<'a> {
    _held: Box<dyn Hold + 'a>,
}

/// Anything that can be held; a section asks nothing of it but to be dropped.
trait Hold {}

impl<T> Hold for T {}

impl<'a> Section<'a> {
    /// A section that lasts as long as `held` is not dropped: usually a lock's guard.
    pub fn new(held: impl Sized + 'a) -> Self {
        Self {
            _held: Box::new(held),
        }
    }
}

impl std::fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Section")
    }
}
