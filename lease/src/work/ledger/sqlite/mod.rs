//! A ledger in a directory: SQLite for storage, a gate between writers, one sync for many.
//!
//! Several processes share it. What keeps them apart, and what each file in the directory is for, stands in
//! [`docs::ledger`](crate::docs::ledger).

mod audit;
mod backup;
mod checkpoint_files;
mod checkpointer;
mod common;
mod convoy;
mod directory;
mod failure;
mod frames;
mod gate;
mod holder;
mod live;
mod origin;
mod registry;
mod rewrite;
mod sealing;
mod seals;
mod section;
mod storage;
mod syncer;
mod view;
mod witness;

use std::{
    any::Any,
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;

pub(crate) use self::view::SqliteView;
use self::{
    checkpointer::Checkpointer,
    common::{Common, Moved},
    directory::Directory,
    live::Life,
    storage::Role,
};
use super::{
    CheckpointTurn, Head, Ledger, LedgerError, Liveness, RecordVerifier, Seal, Section, gate::PATIENCE,
};
use crate::{
    sync::{Arc, Mutex, MutexGuard, Weak, atomic::AtomicI64, lock},
    work::event::EventRecord,
};

/// A ledger in a directory of its own, for any number of processes on one machine.
///
/// Cloning gives another handle on the same ledger, and so does opening the directory again in the same process. The
/// last handle that is dropped closes it. A process that was forked from the one that opened it, or was opening it, must
/// not use it and is [told so](LedgerError::Forked). The files and the crash rules are described in
/// [`docs::ledger`](crate::docs::ledger).
///
/// ```
/// use lease::EventRecord;
/// use lease::ledger::{Ledger, SqliteLedger};
///
/// # let root = std::env::temp_dir().join(format!("lease-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&root)?;
/// let jobs = SqliteLedger::open(root.join("jobs.lease"))?;
/// let head = jobs.append(&jobs.head()?, &[EventRecord::new("note.made", "s", "me", "hello").into()])?;
/// jobs.sync()?; // survives a power cut from here on
/// drop(jobs);
///
/// let again = SqliteLedger::open(root.join("jobs.lease"))?;
/// assert_eq!(again.verify(&mut ())?, head);
/// # drop(again);
/// # std::fs::remove_dir_all(&root)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteLedger {
    shared: Arc<Shared>,
    patience: Duration,
}

/// What the handles of one process share.
struct Shared {
    writer: Mutex<Connection>,
    /// How long the log was after the last commit of this process, in pages.
    log: Arc<AtomicI64>,
    reader: Mutex<Connection>,
    checkpointer: Checkpointer,
    presence: File,
    life: Life,
    /// What a higher floor keeps with the ledger for as long as somebody there has it.
    keeper: Mutex<Weak<dyn Any + Send + Sync>>,
    /// After the connections, because it may hold the database open.
    common: Arc<Common>,
}

impl SqliteLedger {
    /// Opens the ledger in this directory, or makes one if there is nothing or an empty directory.
    ///
    /// # Errors
    ///
    /// The path is no ledger ([`NotALedger`](LedgerError::NotALedger)) or one of a newer format
    /// ([`NewerFormat`](LedgerError::NewerFormat)), is reached through a link or has files with second names
    /// ([`Linked`](LedgerError::Linked)), is open to other users ([`Exposed`](LedgerError::Exposed)), lies on a file
    /// system that is not known to keep locks and syncs ([`UnsupportedFileSystem`](LedgerError::UnsupportedFileSystem)),
    /// or was copied here ([`LedgerMoved`](LedgerError::LedgerMoved)); its history is not what was written
    /// ([`BadRecord`](LedgerError::BadRecord)); the SQLite that is linked is too old
    /// ([`OldSqlite`](LedgerError::OldSqlite)); somebody else is in the write section for too long
    /// ([`LedgerBusy`](LedgerError::LedgerBusy)), or a sync failed ([`SyncFailed`](LedgerError::SyncFailed)); or the
    /// environment fails. Nothing is left half-made: what a failed attempt leaves is empty, and the next one goes on from
    /// there.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        Self::open_with_patience(path, PATIENCE)
    }

    /// The same; this handle waits so long for the write section, now and later, before it gives up.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn open_with_patience(path: impl AsRef<Path>, patience: Duration) -> Result<Self, LedgerError> {
        Self::open_as(Directory::prepare(path.as_ref())?, Moved::Refuse, patience)
    }

    /// Opens the ledger in this directory, and makes none if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and [`NotALedger`](LedgerError::NotALedger) when there is nothing or an empty
    /// directory.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        Self::open_as(Directory::existing(path.as_ref())?, Moved::Refuse, PATIENCE)
    }

    /// Opens a ledger that was copied or moved to another file system, and makes it at home where it is now.
    ///
    /// A copy goes on with the history and the numbers of its original. Adopt one only when the original is gone: of two
    /// that live on, both would hand out the same numbers. To have a second ledger, use [`backup`](Self::backup).
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and [`BadRecord`](LedgerError::BadRecord) or [`Damaged`](LedgerError::Damaged) when
    /// the copy is not whole; then it stays as it is.
    pub fn adopt(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        Self::open_as(Directory::prepare(path.as_ref())?, Moved::Adopt, PATIENCE)
    }

    fn open_as(directory: Directory, moved: Moved, patience: Duration) -> Result<Self, LedgerError> {
        storage::check_version(rusqlite::version_number())?;
        let opened = registry::share(directory.identity(), || Shared::open(directory, moved, patience));
        let shared = opened.map_err(|error| error.after(patience))?;
        Ok(Self { shared, patience })
    }

    /// The directory, as an absolute path without links.
    pub fn path(&self) -> &Path {
        self.shared.common.directory.path()
    }

    /// Where in the directory a signer's key is kept. The ledger itself never reads it.
    pub fn key_path(&self) -> PathBuf {
        self.shared.common.directory.file(directory::KEY)
    }

    /// The one thing that a higher floor keeps with this ledger, however often it is opened in this process.
    pub(crate) fn keeper(&self) -> &Mutex<Weak<dyn Any + Send + Sync>> {
        &self.shared.keeper
    }

    /// SQLite's locks belong to the process that took them; a forked child has none and would believe it had.
    fn check_process(&self) -> Result<(), LedgerError> {
        let (opened_by, pid) = (self.shared.common.pid, std::process::id());
        if opened_by == pid {
            Ok(())
        } else {
            Err(LedgerError::Forked { opened_by, pid })
        }
    }

    fn failed(&self, action: &'static str) -> impl Fn(rusqlite::Error) -> LedgerError {
        move |error| LedgerError::from_sqlite(action, &self.shared.common.database, error)
    }

    fn reader(&self) -> Result<MutexGuard<'_, Connection>, LedgerError> {
        self.check_process()?;
        Ok(lock(&self.shared.reader))
    }
}

impl Drop for SqliteLedger {
    fn drop(&mut self) {
        if self.check_process().is_err() {
            // Closing SQLite's files here could disturb the process that they belong to.
            std::mem::forget(Arc::clone(&self.shared));
        }
    }
}

impl Shared {
    fn open(directory: Directory, moved: Moved, patience: Duration) -> Result<Self, LedgerError> {
        let common = Common::found(directory, moved, patience)?;
        let presence = common.directory.open(directory::PRESENCE, true)?;
        let inside = common.gate.enter(patience)?;
        common.doubt(&inside)?;
        let connect = |role| storage::connect(&common.database, role, patience);
        common.regain_trust(&inside, patience, || {
            let reader = Mutex::new(connect(Role::Read)?);
            audit::verify(&reader, &common.database, &mut ()).map(drop)
        })?;
        let mut writer = connect(Role::Write)?;
        let reader = Mutex::new(connect(Role::Read)?);
        announce(&presence, &common.directory, || {
            storage::raise_epoch(&mut writer, &common.database)?;
            common.sync()
        })?;
        drop(inside);
        let life = Life::begin(&common.directory.live())?;
        let log = Arc::new(AtomicI64::new(0));
        storage::watch_log(&mut writer, &common.database, Arc::clone(&log))?;
        let common = Arc::new(common);
        Ok(Self {
            checkpointer: Checkpointer::start(Arc::clone(&common))?,
            common,
            writer: Mutex::new(writer),
            log,
            reader,
            presence,
            life,
            keeper: Mutex::new(Weak::<()>::new()),
        })
    }
}

/// Locks the presence file for as long as it is open, and calls `alone` first if nobody else had. Called under the
/// gate, so nobody else is arriving.
fn announce(
    presence: &File,
    directory: &Directory,
    alone: impl FnOnce() -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    let failed = |error| LedgerError::io("lock", &directory.file(directory::PRESENCE), error);
    match presence.try_lock() {
        Ok(()) => alone()?,
        Err(std::fs::TryLockError::WouldBlock) => {}
        Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
    }
    presence.lock_shared().map_err(failed)
}

impl Drop for Shared {
    fn drop(&mut self) {
        // By name, because a child that is being forked at this moment holds the same open file until it execs.
        let _ = self.presence.unlock();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("directory", &self.common.directory)
            .finish_non_exhaustive()
    }
}

impl Ledger for SqliteLedger {
    fn head(&self) -> Result<Head, LedgerError> {
        storage::head(&*self.reader()?).map_err(self.failed("read the head"))
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
        seals::records(&*self.reader()?, &self.shared.common.database, after, limit)
    }

    fn version(&self) -> Result<Option<u64>, LedgerError> {
        let version = storage::version(&*self.reader()?);
        Ok(Some(version.map_err(self.failed("look for new records"))?))
    }

    fn enter(&self) -> Result<Box<dyn Section + '_>, LedgerError> {
        Ok(Box::new(self.section()?))
    }

    fn sync(&self) -> Result<(), LedgerError> {
        self.check_process()?;
        self.shared.common.sync()
    }

    fn epoch(&self) -> Result<u32, LedgerError> {
        storage::epoch(&*self.reader()?).map_err(self.failed("read the epoch"))
    }

    fn incarnation(&self) -> Option<&str> {
        Some(self.shared.life.incarnation())
    }

    fn liveness(&self, incarnation: &str) -> Liveness {
        match self.check_process() {
            Ok(()) => live::look(&self.shared.common.directory.live(), incarnation),
            Err(_) => Liveness::Unknown,
        }
    }

    fn incarnations(&self) -> Result<Vec<String>, LedgerError> {
        self.check_process()?;
        live::all(&self.shared.common.directory.live())
    }

    fn verify(&self, verifier: &mut dyn RecordVerifier) -> Result<Head, LedgerError> {
        self.check_process()?;
        audit::verify(&self.shared.reader, &self.shared.common.database, verifier)
    }

    fn seal(&self, through: &Head, statement: &[u8]) -> Result<(), LedgerError> {
        self.seal_through(through, statement)
    }

    fn seals(&self) -> Result<Vec<Seal>, LedgerError> {
        let runs = seals::all(&*self.reader()?).map_err(self.failed("read the seals"))?;
        runs.iter()
            .map(|run| Ok(seals::open(&self.shared.common.database, run)?.into_seal()))
            .collect()
    }

    fn checkpoints(&self, name: &str) -> Result<Vec<u64>, LedgerError> {
        checkpoint_files::list(&self.shared.common.directory, name)
    }

    fn load_checkpoint(&self, name: &str, sequence: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        checkpoint_files::load(&self.shared.common.directory, name, sequence)
    }

    fn save_checkpoint(&self, name: &str, sequence: u64, bytes: &[u8]) -> Result<(), LedgerError> {
        self.check_process()?;
        checkpoint_files::save(&self.shared.common.directory, name, sequence, bytes)
    }

    fn checkpoint_turn(&self) -> Result<Option<CheckpointTurn>, LedgerError> {
        self.check_process()?;
        let turn = checkpoint_files::turn(&self.shared.common.directory)?;
        Ok(turn.map(CheckpointTurn::new))
    }
}
