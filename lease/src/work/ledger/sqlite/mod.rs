//! A ledger in a directory: SQLite for storage, a gate between writers, one sync for many.
//!
//! Several processes share it. What keeps them apart, and what each file in the directory is for, stands in
//! [`docs::ledger`](crate::docs::ledger).

mod backup;
mod checkpointer;
mod common;
mod directory;
mod failure;
mod gate;
mod registry;
mod storage;
mod syncer;

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;

use self::{
    checkpointer::Checkpointer,
    common::Common,
    directory::Directory,
    gate::{Passage, SharedGate},
    storage::Role,
    syncer::Syncer,
};
use super::{
    Fault, Head, Ledger, LedgerError, NewRecord, RecordVerifier, Section, gate::PATIENCE, verify::Walk,
};
use crate::{
    sync::{Arc, Mutex, MutexGuard, lock},
    work::event::EventRecord,
};

/// How many records are read at once while verifying.
const RUN: usize = 256;

/// A ledger in a directory of its own, for any number of processes on one machine.
///
/// Cloning gives another handle on the same ledger, and so does opening the directory again in the same process. The
/// last handle that is dropped closes it. A process that was forked from the one that opened it must not use it and is
/// told so. The files and the crash rules are described in [`docs::ledger`](crate::docs::ledger).
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
    common: Arc<Common>,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    checkpointer: Checkpointer,
    presence: File,
}

impl SqliteLedger {
    /// Opens the ledger in this directory, or makes one if there is nothing or an empty directory.
    ///
    /// # Errors
    ///
    /// The path is no ledger ([`NotALedger`](LedgerError::NotALedger)) or one of a newer format
    /// ([`NewerFormat`](LedgerError::NewerFormat)), is reached through a link or has files with second names
    /// ([`Linked`](LedgerError::Linked)), is open to other users ([`Exposed`](LedgerError::Exposed)), lies on a file
    /// system that is not known to keep locks and syncs ([`UnsupportedFileSystem`](LedgerError::UnsupportedFileSystem));
    /// or the environment fails. Nothing is left half-made: what a failed attempt leaves is empty, and the next one
    /// goes on from there.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        Self::open_with_patience(path, PATIENCE)
    }

    /// The same; this handle waits so long for the write section, now and later, before it gives up.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn open_with_patience(path: impl AsRef<Path>, patience: Duration) -> Result<Self, LedgerError> {
        storage::check_version(rusqlite::version_number())?;
        let directory = Directory::prepare(path.as_ref())?;
        let shared = registry::share(directory.identity(), || Shared::open(directory, patience))?;
        let ledger = Self { shared, patience };
        ledger.check_process()?;
        Ok(ledger)
    }

    /// The directory, as an absolute path without links.
    pub fn path(&self) -> &Path {
        self.shared.common.directory.path()
    }

    /// Where in the directory a signer's key is kept. The ledger itself never reads it.
    pub fn key_path(&self) -> PathBuf {
        self.shared.common.directory.file(directory::KEY)
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
    fn open(directory: Directory, patience: Duration) -> Result<Self, LedgerError> {
        let fresh = !directory.has_database();
        let gate = SharedGate::new(
            directory.open(directory::GATE, fresh)?,
            directory.file(directory::GATE),
        );
        let inside = gate.enter(patience)?;
        directory.check_links()?;
        let database = directory.file(directory::DATABASE);
        let role = if directory.has_database() {
            Role::Write
        } else {
            Role::Create
        };
        let mut writer = storage::connect(&database, role, patience)?;
        storage::establish(&mut writer, &database)?;
        let presence = directory.open(directory::PRESENCE, true)?;
        directory.complete()?;
        let syncer = Syncer::new(
            directory.open(directory::WAL, false)?,
            directory.file(directory::WAL),
        )?;
        announce(&presence, &directory, || {
            storage::raise_epoch(&mut writer, &database)?;
            syncer.sync(|outcome| outcome)
        })?;
        drop(inside);
        let reader = storage::connect(&database, Role::Read, patience)?;
        let common = Arc::new(Common {
            pid: std::process::id(),
            directory,
            database,
            gate,
            syncer,
        });
        Ok(Self {
            checkpointer: Checkpointer::start(Arc::clone(&common))?,
            common,
            writer: Mutex::new(writer),
            reader: Mutex::new(reader),
            presence,
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
        let entries = storage::entries(&*self.reader()?, &self.shared.common.database, after, limit)?;
        Ok(entries.into_iter().map(|(entry, _)| entry.record).collect())
    }

    fn enter(&self) -> Result<Box<dyn Section + '_>, LedgerError> {
        self.check_process()?;
        let common = &self.shared.common;
        let inside = common.gate.enter(self.patience)?;
        common.regain_trust(&inside, || self.verify(&mut ()).map(drop))?;
        let writer = lock(&self.shared.writer);
        writer
            .busy_timeout(self.patience)
            .map_err(self.failed("set the timeout"))?;
        Ok(Box::new(SqliteSection {
            shared: &self.shared,
            patience: self.patience,
            writer,
            _inside: inside,
        }))
    }

    fn sync(&self) -> Result<(), LedgerError> {
        self.check_process()?;
        self.shared.common.sync()
    }

    fn epoch(&self) -> Result<u32, LedgerError> {
        storage::epoch(&*self.reader()?).map_err(self.failed("read the epoch"))
    }

    fn verify(&self, verifier: &mut dyn RecordVerifier) -> Result<Head, LedgerError> {
        let database = &self.shared.common.database;
        let mut walk = Walk::default();
        loop {
            // One look at the storage at a time, so that nobody waits for a long verification; a record that arrives
            // between the last two is caught by looking at records and keys in one transaction.
            let mut reader = self.reader()?;
            let view = reader.transaction().map_err(self.failed("read the records"))?;
            let run = storage::entries(&view, database, walk.head().sequence, RUN)?;
            if run.is_empty() {
                let stray = storage::stray_key(&view).map_err(self.failed("read the unique keys"))?;
                drop(view);
                drop(reader);
                return match stray {
                    None => walk.finish(verifier),
                    Some((key, sequence)) => Err(stray_key(&walk.head(), key, sequence)),
                };
            }
            drop(view);
            drop(reader);
            let unregistered = run.iter().position(|(entry, registered)| {
                entry.unique_key.is_some() && *registered != Some(entry.record.sequence)
            });
            let mut entries: Vec<_> = run.into_iter().map(|(entry, _)| entry).collect();
            let bad = unregistered.map(|index| entries.split_off(index).swap_remove(0));
            walk.advance(&entries, verifier)?;
            if let Some(entry) = bad {
                walk.advance(std::slice::from_ref(&entry), verifier)?;
                return Err(LedgerError::BadRecord {
                    sequence: entry.record.sequence,
                    fault: Fault::KeyNotRegistered {
                        key: entry.unique_key.unwrap_or_default(),
                    },
                });
            }
        }
    }
}

/// A key is registered for a record that does not carry it: that record was replaced, or, past the end, cut off.
fn stray_key(head: &Head, key: String, sequence: u64) -> LedgerError {
    if sequence > head.sequence {
        LedgerError::BadRecord {
            sequence: head.sequence + 1,
            fault: Fault::CutOff {
                key,
                registered: sequence,
            },
        }
    } else {
        LedgerError::BadRecord {
            sequence,
            fault: Fault::KeyNotCarried { key },
        }
    }
}

/// Inside the gate, with the connection that writes.
struct SqliteSection<'a> {
    shared: &'a Shared,
    patience: Duration,
    writer: MutexGuard<'a, Connection>,
    _inside: Passage<'a>,
}

impl SqliteSection<'_> {
    /// What a failed write means for this writer, and for all others.
    fn failed(&self, error: LedgerError) -> LedgerError {
        match self.shared.common.noticed(error) {
            // A lock that SQLite could not get is held by somebody who did not come through the gate.
            LedgerError::LedgerBusy { pid, .. } => LedgerError::LedgerBusy {
                pid,
                waited: self.patience,
            },
            other => other,
        }
    }
}

impl Section for SqliteSection<'_> {
    fn append(&mut self, expected: &Head, batch: &[NewRecord]) -> Result<Head, LedgerError> {
        let common = &self.shared.common;
        let appended = storage::append(&mut self.writer, &common.database, expected, batch);
        let head = appended.map_err(|error| self.failed(error))?;
        if common.syncer.length() > checkpointer::WORTH_IT {
            self.shared.checkpointer.ring();
        }
        Ok(head)
    }

    fn raise_epoch(&mut self) -> Result<u32, LedgerError> {
        let common = &self.shared.common;
        let raised = storage::raise_epoch(&mut self.writer, &common.database);
        let raised = raised.map_err(|error| self.failed(error))?;
        common.sync()?;
        Ok(raised)
    }
}
