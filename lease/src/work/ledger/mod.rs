//! Ledgers: append-only, hash-chained storage of [`EventRecord`]s.
//!
//! A ledger keeps records in the order in which they were accepted and hands them out again; it knows nothing of
//! leases. [`MemoryLedger`] lives as long as its handle, for tests and for programs that need no history.
//! `SqliteLedger` (feature `sqlite`, Linux) is a directory that any number of processes share and that survives them.
//! Both keep the same promises, and one suite of tests holds them to it.
//!
//! # Writing
//!
//! ```text
//! enter ── catch up ── decide ── append ── leave ── sync ── acknowledge
//! └─────────── the section: one writer, everywhere ┘
//! ```
//!
//! A writer that must decide on what it read takes the [section](Ledger::enter), so that nobody's record comes between
//! the reading and the appending. It syncs outside: one [`sync`](Ledger::sync) covers everybody's earlier records, and
//! while one writer waits for the disk the next is already deciding.
//!
//! # Reading back
//!
//! Every record carries the hash of the one before it. [`Ledger::verify`] walks that chain from the first record to the
//! last, and shows each record to a [`RecordVerifier`], through which a higher floor checks what the ledger cannot know.
//!
//! A history that has grown long is [sealed](Ledger::seal): its prefix moves into a compact form that never changes
//! again, and is read and verified as before.

mod chain;
mod epoch;
mod error;
mod gate;
mod memory;
mod presence;
// Only the ledger on disk has something worth sharing; the tests look at the protocol alone, without SQLite.
#[cfg(any(feature = "sqlite", test))]
mod rounds;
mod seal;
#[cfg(feature = "sqlite")]
mod sqlite;
mod turn;
mod verify;

#[cfg(all(feature = "sqlite", not(target_os = "linux")))]
compile_error!("the feature `sqlite` is for Linux: its crash rules were checked on no other system");

use crate::work::event::EventRecord;

pub(crate) use self::chain::check_links;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteLedger;
#[cfg(feature = "sqlite")]
pub(crate) use self::sqlite::SqliteView;
pub use self::{
    error::LedgerError,
    memory::MemoryLedger,
    presence::{Liveness, Remains},
    seal::{MAX_STATEMENT, Seal, SealFault},
    turn::CheckpointTurn,
    verify::{Fault, Objection, RecordVerifier},
};

/// The longest text column of a record, and the longest unique key, in bytes.
pub const MAX_TEXT: usize = 1024;

/// The longest payload of a record, in bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// An append-only, hash-chained list of records, in the order in which they were accepted.
///
/// Sequences start at 1 and have no gaps. Implementations are shared between threads; one that keeps its records in
/// storage is shared between processes too. Reading is always allowed, also while a section is held.
///
/// ```
/// use lease::EventRecord;
/// use lease::ledger::{Ledger, MemoryLedger, NewRecord};
///
/// let ledger = MemoryLedger::new();
/// let empty = ledger.head()?;
/// let head = ledger.append(&empty, &[EventRecord::new("note.made", "s", "me", "hello").into()])?;
/// ledger.sync()?;
///
/// assert_eq!(head.sequence, 1);
/// assert_eq!(ledger.read(0, 10)?[0].payload, b"hello");
/// assert_eq!(ledger.verify(&mut ())?, head);
///
/// let keyed = NewRecord::from(EventRecord::new("note.made", "s", "me", "once")).with_key("once");
/// let head = ledger.append(&head, &[keyed.clone()])?;
/// assert!(ledger.append(&head, &[keyed]).is_err());
/// # Ok::<(), lease::ledger::LedgerError>(())
/// ```
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

    /// A number that changes with every record that is appended, also by another process, for those who would otherwise
    /// read again and again to find nothing new. It says nothing else, and may change for nothing. `None` where asking
    /// costs as much as reading, as here.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage cannot be read.
    fn version(&self) -> Result<Option<u64>, LedgerError> {
        Ok(None)
    }

    /// Takes the ledger's write section: until it is dropped nobody else's append, here or in another process, comes
    /// between what the holder reads and what it appends.
    ///
    /// A thread that enters again while it is inside waits for itself, and is told so when the time is up.
    ///
    /// # Errors
    ///
    /// [`LedgerError::LedgerBusy`] when the section cannot be had in time, [`LedgerError::SyncFailed`] when a sync failed
    /// and the storage has not proved itself since, which this call attempts.
    fn enter(&self) -> Result<Box<dyn Section + '_>, LedgerError>;

    /// Appends a batch in a section of its own: [`Section::append`] for a writer who has nothing to decide.
    ///
    /// # Errors
    ///
    /// Those of [`enter`](Self::enter) and of [`Section::append`]; nothing was appended.
    fn append(&self, expected: &Head, batch: &[NewRecord]) -> Result<Head, LedgerError> {
        self.enter()?.append(expected, batch)
    }

    /// Makes everything that was appended before this call durable, whoever appended it.
    ///
    /// # Errors
    ///
    /// [`LedgerError::SyncFailed`] when the storage could not say so: whether records since the last good sync survive
    /// a power cut is then unknown.
    fn sync(&self) -> Result<(), LedgerError>;

    /// A number that rises whenever the ledger is opened by somebody who has it alone, and at
    /// [`Section::raise_epoch`]: at least 1, below 2^31.
    ///
    /// What is numbered by epoch first and count second never repeats, even if a power cut took the last counts.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage cannot be read.
    fn epoch(&self) -> Result<u32, LedgerError>;

    /// What this process is called here for as long as it has the ledger open: at most 64 bytes, and never anybody
    /// else's name. `None` where nobody can outlive anybody.
    fn incarnation(&self) -> Option<&str> {
        None
    }

    /// Whether that incarnation still has the ledger open. What is no name of one is unknown.
    fn liveness(&self, incarnation: &str) -> Liveness {
        let _ = incarnation;
        Liveness::Unknown
    }

    /// The incarnations that are alive or not yet [buried](Remains::bury), in no order.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage cannot be read.
    fn incarnations(&self) -> Result<Vec<String>, LedgerError> {
        Ok(Vec::new())
    }

    /// Walks the chain from the first record to the last and returns the head it ends in; each record is also shown to
    /// `verifier`. `&mut ()` checks the chain alone, `&mut head` that a head which was kept elsewhere is in it.
    ///
    /// Cost: every record is read and hashed once. Records that are appended meanwhile may or may not be covered.
    ///
    /// # Errors
    ///
    /// [`LedgerError::BadRecord`] names the first bad record and what is wrong with it, [`LedgerError::BadSeal`] sealed
    /// records that are missing or damaged; otherwise the storage cannot be read.
    fn verify(&self, verifier: &mut dyn RecordVerifier) -> Result<Head, LedgerError>;

    /// Moves the records up to and including `through` into a compact form of their own, for ever. They are read and
    /// verified as before; their unique keys hold as before. What was sealed already stays as it is.
    ///
    /// The ledger keeps `statement` with them and gives it back in [`seals`](Self::seals); a registrar puts a signed
    /// head there, and misses it in a seal that was made past it: seal a registrar's ledger through the registrar.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NoSuchHead`] when the ledger never stood at `through`, [`LedgerError::BadRecord`] when what is to
    /// be sealed is not what was written, [`LedgerError::TooLong`] for a statement of more than
    /// [`MAX_STATEMENT`] bytes, [`LedgerError::CannotSeal`] where there is no such form, as here; otherwise the storage
    /// failed. Nothing was sealed; but after [`LedgerError::SyncFailed`] it may have been, which [`seals`](Self::seals)
    /// tells.
    fn seal(&self, through: &Head, statement: &[u8]) -> Result<(), LedgerError> {
        let _ = (through, statement);
        Err(LedgerError::CannotSeal)
    }

    /// What was sealed, oldest first: together the prefix up to the last one's head.
    ///
    /// # Errors
    ///
    /// [`LedgerError::BadSeal`] when sealed records are missing, damaged or others than those that were sealed.
    fn seals(&self) -> Result<Vec<Seal>, LedgerError> {
        Ok(Vec::new())
    }

    /// The positions of the checkpoints that are kept under a name, newest first.
    ///
    /// To the ledger a checkpoint is bytes; [`Replayer::resume`](crate::Replayer::resume) knows what to make of them. A
    /// ledger that keeps none has none, as here.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage cannot be read.
    fn checkpoints(&self, name: &str) -> Result<Vec<u64>, LedgerError> {
        let _ = name;
        Ok(Vec::new())
    }

    /// The bytes of a checkpoint that [`checkpoints`](Self::checkpoints) named; `None` if it is gone by now.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage cannot be read.
    fn load_checkpoint(&self, name: &str, sequence: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let _ = (name, sequence);
        Ok(None)
    }

    /// Keeps bytes under a name as the checkpoint at a position, whole or not at all. The newest two of a name are
    /// kept; nothing is kept here.
    ///
    /// # Errors
    ///
    /// [`LedgerError::TooLong`] when the name has more than 64 bytes; otherwise the storage failed. The checkpoints are
    /// those that there were before.
    fn save_checkpoint(&self, name: &str, sequence: u64, bytes: &[u8]) -> Result<(), LedgerError> {
        let _ = (name, sequence, bytes);
        Ok(())
    }

    /// The turn to write a checkpoint, of whatever name, had until it is dropped or its process ends; `None` while
    /// somebody else has it, here or in another process. It is for those who would write the same one at the same time:
    /// [`save_checkpoint`](Self::save_checkpoint) asks nobody for it. Whoever keeps it, because he was stopped for instance,
    /// is not waited for for ever: a registrar for whom one is due many times over writes it without. Where no other
    /// process writes, as here, it can always be had.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage failed.
    fn checkpoint_turn(&self) -> Result<Option<CheckpointTurn>, LedgerError> {
        Ok(Some(CheckpointTurn::new(())))
    }
}

/// How many checkpoints of a name are kept: one to start from, and one more should that one be damaged.
const KEPT_CHECKPOINTS: usize = 2;

/// The longest name of a reducer that keeps checkpoints, in bytes.
const MAX_CHECKPOINT_NAME: usize = 64;

fn check_statement(statement: &[u8]) -> Result<(), LedgerError> {
    if statement.len() <= MAX_STATEMENT {
        return Ok(());
    }
    Err(LedgerError::TooLong {
        field: "statement",
        length: statement.len(),
        limit: MAX_STATEMENT,
    })
}

fn check_checkpoint_name(name: &str) -> Result<(), LedgerError> {
    if name.len() <= MAX_CHECKPOINT_NAME {
        return Ok(());
    }
    Err(LedgerError::TooLong {
        field: "checkpoint name",
        length: name.len(),
        limit: MAX_CHECKPOINT_NAME,
    })
}

/// The write section of a ledger, left when this is dropped. See [`Ledger::enter`].
#[must_use = "the write section is left as soon as this is dropped"]
pub trait Section {
    /// The records after `after`, as [`Ledger::read`] gives them; no other can come in behind the last one while the
    /// section is held.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage cannot be read, or not be written either.
    fn read(&mut self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError>;

    /// Appends a batch, all or nothing, if the head is still `expected`, and returns the new head. The records are
    /// visible to every reader when this returns; they are durable when a [`sync`](Ledger::sync) that began afterwards
    /// returns.
    ///
    /// # Errors
    ///
    /// [`LedgerError::HeadMoved`] when somebody appended in between, [`LedgerError::KeyUsed`] when a record's unique key
    /// was used before, ever, [`LedgerError::TooLong`] when a column is over its limit; otherwise the storage failed.
    /// Nothing was appended.
    fn append(&mut self, expected: &Head, batch: &[NewRecord]) -> Result<Head, LedgerError>;

    /// Raises the epoch, durably, and returns the new one.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the storage cannot be written, or there is no higher epoch.
    fn raise_epoch(&mut self) -> Result<u32, LedgerError>;
}

/// Where a ledger stands: the last record's sequence and hash (0 and zeros when empty).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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

impl NewRecord {
    /// The same record under this unique key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }
}

impl From<EventRecord> for NewRecord {
    /// A record without a unique key.
    fn from(record: EventRecord) -> Self {
        Self {
            record,
            unique_key: None,
        }
    }
}
