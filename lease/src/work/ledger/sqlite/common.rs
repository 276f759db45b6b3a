//! What all threads of a process share about an open ledger, and whether its storage can be trusted.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::Connection;

use super::{
    audit,
    convoy::Convoy,
    directory::{self, Directory},
    frames,
    gate::{Passage, SharedGate},
    origin::Origin,
    rewrite,
    storage::{self, Reach, Role},
    syncer::{Failure, Syncer},
    witness::Witness,
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
    /// Entered by whoever moves the log into the database, beside writers or, to write the log anew, instead of them.
    pub(super) ferry: SharedGate,
    pub(super) syncer: Syncer,
    /// The database, and the same past the memory, once they were needed. Closing any descriptor of it would take away
    /// the locks that SQLite has on it for this process, so they stay open until no connection is left.
    proof: Mutex<Option<(File, Option<File>)>>,
}

impl Common {
    /// The ledger in this directory, made if there is none. What another process is making at the same time is waited
    /// for; what one was making when it died is made on.
    pub(super) fn found(directory: Directory, moved: Moved, patience: Duration) -> Result<Self, LedgerError> {
        let fresh = !directory.has_database();
        let gate = directory.open(directory::GATE, fresh)?;
        let gate = SharedGate::new(gate, directory.file(directory::GATE));
        let inside = gate.enter(patience)?;
        gate.reserve(&inside)?;
        directory.check_links()?;
        let database = directory.file(directory::DATABASE);
        let role = if directory.has_database() {
            Role::Write
        } else {
            // A database whose gate is missing is refused, so no power cut may leave one.
            directory.sync()?;
            Role::Create
        };
        let opened = storage::connect(&database, role, patience).and_then(|mut connection| {
            storage::establish(&mut connection, &database)?;
            check_origin(connection, &database, moved)
        });
        if let Err(error) = opened {
            if gate.is_marked()
                && let Ok(log) = directory.open(directory::WAL, false)
            {
                look_for_loss(&database, &log, patience)?;
            }
            return Err(error);
        }
        directory.complete()?;
        let log = directory.open(directory::WAL, false)?;
        let ferry = directory.open(directory::FERRY, true)?;
        let ferry = SharedGate::new(ferry, directory.file(directory::FERRY));
        let witness = Witness::of(&directory)?;
        let convoy = Convoy::new(directory.open(directory::SYNCS, true)?);
        let syncer = Syncer::new(log, directory.file(directory::WAL), witness, convoy);
        drop(inside);
        Ok(Self {
            pid: std::process::id(),
            directory,
            database,
            gate,
            ferry,
            syncer,
            proof: Mutex::new(None),
        })
    }

    /// Makes everything so far durable. A failure is told to every process, and a failure of another process is ours:
    /// that sync may have been the one that lost our bytes.
    pub(super) fn sync(&self) -> Result<(), LedgerError> {
        self.syncer.sync(|outcome| match outcome {
            Ok(()) if self.gate.is_marked() => Err(Failure::Sync("another process's sync failed".to_owned())),
            Err(Failure::Sync(reason)) => {
                self.tell();
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
            self.tell();
            self.syncer.fail(reason.clone());
        }
        error
    }

    /// Marks a failed sync that nobody could tell of, because the process that it failed was killed before it heard of it:
    /// then memory has more than the disk. Asking the disk brings there what is merely not written yet.
    pub(super) fn doubt(&self, _inside: &Passage<'_>) -> Result<(), LedgerError> {
        let log = self.directory.open(directory::WAL, false)?;
        let is_on_disk = match rewrite::past_memory(&self.directory.file(directory::WAL)) {
            Ok(Some(disk)) => rewrite::is_on_disk(&log, &disk),
            Ok(None) => Ok(true),
            Err(error) => Err(error),
        };
        if !is_on_disk.unwrap_or(false) {
            self.tell();
        }
        Ok(())
    }

    /// Tells every process that a sync failed.
    fn tell(&self) {
        // If even this fails the others are not told, but each of them is told by the system at its own next sync.
        let _ = self.gate.mark();
    }

    /// Does the work of the ferry, which has a mark for so long, and says whether it was done. Whoever finds the mark and
    /// nobody on the ferry knows that one was killed there, perhaps in a sync that failed: then the system tells nobody,
    /// and believes the next one. So the disk itself is asked whether it has what was moved, before the log is given up.
    pub(super) fn ferry(
        &self,
        patience: Duration,
        work: impl FnOnce() -> Result<bool, LedgerError>,
    ) -> Result<bool, LedgerError> {
        let alone = self.ferry.enter(Duration::ZERO)?;
        self.ferry.reserve(&alone)?;
        if self.ferry.is_marked() {
            let _inside = self.gate.enter(patience)?;
            if !self.is_trusted() {
                return Ok(false);
            }
            self.settle(patience).map_err(|error| self.noticed(error))?;
        }
        self.ferry.mark()?;
        // Told to everybody before the mark goes.
        let done = work().map_err(|error| self.noticed(error));
        self.ferry.unmark(&alone)?;
        done
    }

    /// Looks whether the files are still those that were opened, and makes the storage trusted again if a sync failed: the
    /// log is written over itself and synced, the database is seen to have on the disk what was moved into it, and what
    /// both hold is verified. Until that has succeeded the ledger can only be read. Says whether it had to.
    ///
    /// What memory has lost is found before anything is verified. So what is found to be bad then is so on the disk, and
    /// is called what it is.
    pub(super) fn regain_trust(
        &self,
        inside: &Passage<'_>,
        patience: Duration,
        verify: impl FnOnce() -> Result<(), LedgerError>,
    ) -> Result<bool, LedgerError> {
        self.syncer.look()?;
        match self.syncer.check() {
            Err(disturbed @ Failure::Disturbed(_)) => return Err(disturbed.into()),
            Ok(()) if !self.gate.is_marked() => return Ok(false),
            _ => {}
        }
        // Nobody may copy from the log while its pages are dropped.
        let alone = self.ferry.enter(patience)?;
        self.syncer.rewrite(self.directory.open(directory::WAL, false)?)?;
        self.settle(patience)?;
        verify()?;
        self.ferry.unmark(&alone)?;
        self.gate.unmark(inside)?;
        self.syncer.restore();
        Ok(true)
    }

    /// Moves the log, which the disk has by now, into the database and looks whether that came to the disk too: the sync
    /// that failed may have been a checkpoint's, and the next one, which would be believed, gives the log up.
    fn settle(&self, patience: Duration) -> Result<(), LedgerError> {
        let failed = |error: io::Error| LedgerError::from(Failure::Sync(error.to_string()));
        let log = self.directory.open(directory::WAL, false)?;
        let connection = look_for_loss(&self.database, &log, patience)?;
        let checkpoint = || {
            let moved = storage::checkpoint(&connection, Reach::Beside);
            moved.map_err(|error| LedgerError::from_sqlite("checkpoint", &self.database, error))
        };
        // The first sync may only be told of the old error.
        let moved = checkpoint().or_else(|_| checkpoint())?;
        if moved.is_busy {
            return Err(failed(io::Error::other("somebody else is moving the log")));
        }
        let mut proof = lock(&self.proof);
        if proof.is_none() {
            let file = self.directory.open(directory::DATABASE, false)?;
            *proof = Some((file, rewrite::past_memory(&self.database).map_err(failed)?));
        }
        let Some((file, disk)) = &*proof else {
            return Ok(());
        };
        // What memory loses of it the log has still. It may lose more while it is mended.
        for attempt in 0..rewrite::ATTEMPTS {
            let unmoved = frames::unmoved(&log, &moved, file).map_err(failed)?;
            if unmoved.is_empty() && attempt > 0 {
                return Ok(());
            }
            rewrite::write(file, &unmoved).map_err(failed)?;
            if let Some(disk) = disk {
                rewrite::mend(file, disk).map_err(failed)?;
            }
        }
        Err(failed(io::Error::other(
            "the database does not keep what is moved into it",
        )))
    }
}

/// Fails if memory has less of the log than SQLite's index knows; otherwise returns a connection that has looked at no
/// page yet. Nobody may write meanwhile.
fn look_for_loss(database: &Path, log: &File, patience: Duration) -> Result<Connection, LedgerError> {
    let connection = storage::connect(database, Role::Blind, patience)?;
    let known = storage::checkpoint(&connection, Reach::Look);
    let known = known.map_err(|error| LedgerError::from_sqlite("look at the log", database, error))?;
    let whole = frames::whole(log).map_err(|error| Failure::Sync(error.to_string()))?;
    if whole < known.pages {
        let known = known.pages;
        let lost = format!(
            "memory has lost what was in the log, {whole} of {known} pages are whole; \
             who opens the ledger when nobody has it open gets what is left"
        );
        return Err(Failure::Sync(lost).into());
    }
    Ok(connection)
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
