//! A ledger's directory as it is seen by somebody who writes nothing into it, and need not be able to.
//!
//! No gate is entered, no lock of ours is taken, no file is made, and nobody is told: SQLite alone keeps what is read
//! apart from what is written. So a view never waits for a writer and keeps none out, and the directory may be mounted
//! read-only. What it can do is what a [`Ledger`] does without writing. A log that somebody has removed, as other programs
//! do, is the one thing that SQLite makes anew, if it may.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{
    audit, checkpoint_files,
    directory::{DATABASE, Directory},
    origin::Origin,
    seals,
    storage::{self, Role},
};
use crate::{
    sync::{Arc, Mutex, MutexGuard, lock},
    work::{
        event::EventRecord,
        ledger::{Head, Ledger, LedgerError, RecordVerifier, Seal, Section, gate::PATIENCE},
    },
};

/// A ledger on disk that is only read.
#[derive(Debug)]
pub(crate) struct SqliteView {
    /// The process that opened it.
    pid: u32,
    connection: Arc<Mutex<Connection>>,
    database: PathBuf,
    /// After the connection, so that no other directory comes to be this one before that is closed.
    directory: Directory,
}

impl SqliteView {
    /// Looks at the ledger in this directory.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteLedger::open_existing`](super::SqliteLedger::open_existing), as far as they are about what is
    /// there.
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        storage::check_version(rusqlite::version_number())?;
        let directory = Directory::existing(path)?;
        let database = directory.file(DATABASE);
        let connection = storage::connect(&database, Role::Look, PATIENCE)?;
        if storage::is_blank(&connection, &database)? {
            return Err(LedgerError::NotALedger {
                path: path.into(),
                reason: "its database is empty".to_owned(),
            });
        }
        let failed = |error| LedgerError::from_sqlite("read where the ledger belongs", &database, error);
        if !Origin::remembered(&connection)
            .map_err(failed)?
            .is(&Origin::of(&database)?)
        {
            return Err(LedgerError::LedgerMoved { path: database });
        }
        Ok(Self {
            pid: std::process::id(),
            connection: Arc::new(Mutex::new(connection)),
            database,
            directory,
        })
    }

    /// SQLite's locks belong to the process that took them.
    fn check_process(&self) -> Result<(), LedgerError> {
        let (opened_by, pid) = (self.pid, std::process::id());
        if opened_by == pid {
            Ok(())
        } else {
            Err(LedgerError::Forked { opened_by, pid })
        }
    }

    fn connection(&self) -> Result<MutexGuard<'_, Connection>, LedgerError> {
        self.check_process()?;
        Ok(lock(&self.connection))
    }

    fn failed(&self, action: &'static str) -> impl Fn(rusqlite::Error) -> LedgerError {
        move |error| LedgerError::from_sqlite(action, &self.database, error)
    }

    fn unwritable<T>(&self) -> Result<T, LedgerError> {
        Err(LedgerError::Unwritable {
            path: self.database.clone(),
        })
    }
}

impl Drop for SqliteView {
    fn drop(&mut self) {
        if self.check_process().is_err() {
            // Closing SQLite's files here could disturb the process that they belong to.
            std::mem::forget(Arc::clone(&self.connection));
        }
    }
}

impl Ledger for SqliteView {
    fn head(&self) -> Result<Head, LedgerError> {
        storage::head(&*self.connection()?).map_err(self.failed("read the head"))
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
        seals::records(&*self.connection()?, &self.database, after, limit)
    }

    fn enter(&self) -> Result<Box<dyn Section + '_>, LedgerError> {
        self.unwritable()
    }

    fn sync(&self) -> Result<(), LedgerError> {
        self.unwritable()
    }

    fn epoch(&self) -> Result<u32, LedgerError> {
        storage::epoch(&*self.connection()?).map_err(self.failed("read the epoch"))
    }

    fn verify(&self, verifier: &mut dyn RecordVerifier) -> Result<Head, LedgerError> {
        self.check_process()?;
        audit::verify(&self.connection, &self.database, verifier)
    }

    fn seal(&self, _: &Head, _: &[u8]) -> Result<(), LedgerError> {
        self.unwritable()
    }

    fn seals(&self) -> Result<Vec<Seal>, LedgerError> {
        let runs = seals::all(&*self.connection()?).map_err(self.failed("read the seals"))?;
        runs.iter()
            .map(|run| Ok(seals::open(&self.database, run)?.into_seal()))
            .collect()
    }

    fn checkpoints(&self, name: &str) -> Result<Vec<u64>, LedgerError> {
        checkpoint_files::list(&self.directory, name)
    }

    fn load_checkpoint(&self, name: &str, sequence: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        checkpoint_files::load(&self.directory, name, sequence)
    }

    fn save_checkpoint(&self, _: &str, _: u64, _: &[u8]) -> Result<(), LedgerError> {
        self.unwritable()
    }
}
