//! What all threads of a process share about an open ledger, and whether its storage can be trusted.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;

use super::{
    audit,
    directory::{self, Directory},
    gate::{Passage, SharedGate},
    origin::Origin,
    storage::{self, Role},
    syncer::{Failure, Syncer},
};
use crate::{
    sync::{Mutex, lock},
    work::ledger::LedgerError,
};

/// What to do about a ledger that is another file than it was made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    Refuse,
    Adopt,
}

/// Everything about an open ledger but its connections.
#[derive(Debug)]
pub(super) struct Common {
    /// The process that opened the ledger.
    pub(super) pid: u32,
    pub(super) directory: Directory,
    pub(super) database: PathBuf,
    pub(super) gate: SharedGate,
    pub(super) syncer: Syncer,
}

impl Common {
    /// The ledger in this directory, made if there is none. What another process is making at the same time is waited
    /// for; what one was making when it died is made on.
    pub(super) fn found(directory: Directory, moved: Moved, patience: Duration) -> Result<Self, LedgerError> {
        let fresh = !directory.has_database();
        let gate = directory.open(directory::GATE, fresh)?;
        let gate = SharedGate::new(gate, directory.file(directory::GATE));
        let inside = gate.enter(patience)?;
        directory.check_links()?;
        let database = directory.file(directory::DATABASE);
        let role = if directory.has_database() {
            Role::Write
        } else {
            // A database whose gate is missing is refused, so no power cut may leave one.
            directory.sync()?;
            Role::Create
        };
        let mut connection = storage::connect(&database, role, patience)?;
        storage::establish(&mut connection, &database)?;
        check_origin(connection, &database, moved)?;
        directory.complete()?;
        let log = directory.open(directory::WAL, false)?;
        let syncer = Syncer::new(log, directory.file(directory::WAL))?;
        drop(inside);
        Ok(Self {
            pid: std::process::id(),
            directory,
            database,
            gate,
            syncer,
        })
    }

    /// Makes everything so far durable. A failure is told to every process, and a failure of another process is ours:
    /// that sync may have been the one that lost our bytes.
    pub(super) fn sync(&self) -> Result<(), LedgerError> {
        self.syncer.sync(|outcome| match outcome {
            Ok(()) if self.gate.is_marked() => Err(Failure::Sync("another process's sync failed".to_owned())),
            Err(Failure::Sync(reason)) => {
                self.gate.mark();
                Err(Failure::Sync(reason))
            }
            other => other,
        })
    }

    /// Whether no sync failed, here or elsewhere, since the log was last known to be whole.
    pub(super) fn is_trusted(&self) -> bool {
        self.syncer.check().is_ok() && !self.gate.is_marked()
    }

    /// The same error, after every process was told if it is a failed sync.
    pub(super) fn noticed(&self, error: LedgerError) -> LedgerError {
        if let LedgerError::SyncFailed { reason } = &error {
            self.gate.mark();
            self.syncer.fail(reason.clone());
        }
        error
    }

    /// Makes the storage trusted again if a sync failed: the log is written over itself and synced, and what it holds is
    /// verified. Until that has succeeded the ledger can only be read.
    pub(super) fn regain_trust(
        &self,
        inside: &Passage<'_>,
        verify: impl FnOnce() -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        match self.syncer.check() {
            Err(Failure::Disturbed) => return Err(self.syncer.error(Failure::Disturbed)),
            Ok(()) if !self.gate.is_marked() => return Ok(()),
            _ => {}
        }
        self.syncer.rewrite(self.directory.open(directory::WAL, false)?)?;
        verify()?;
        self.gate.unmark(inside)?;
        self.syncer.restore();
        Ok(())
    }
}

/// A file that is not the one the ledger remembers is refused, or, if it shall be adopted, verified and remembered. The
/// chain speaks for the records; SQLite's own check for the rest of a copy that may have been made at a bad moment.
fn check_origin(connection: Connection, database: &Path, moved: Moved) -> Result<(), LedgerError> {
    let failed = |error| LedgerError::from_sqlite("read where the ledger belongs", database, error);
    let here = Origin::of(database)?;
    if Origin::remembered(&connection).map_err(failed)?.is(&here) {
        return Ok(());
    }
    if moved == Moved::Refuse {
        return Err(LedgerError::LedgerMoved {
            path: database.into(),
        });
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(failed)?;
    if verdict != "ok" {
        return Err(LedgerError::Damaged {
            path: database.into(),
            reason: verdict,
        });
    }
    let connection = Mutex::new(connection);
    audit::verify(&connection, database, &mut ())?;
    let adopted = here.remember(&lock(&connection));
    adopted.map_err(|error| LedgerError::from_sqlite("adopt the ledger", database, error))
}
