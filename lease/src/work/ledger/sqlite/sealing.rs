//! Sealing: history leaves the database for a file.
//!
//! The order is what makes it safe to be killed anywhere, or to lose power:
//!
//! 1. the records are written to a file of another name, checked on the way, and the file is synced;
//! 2. inside the gate the file gets its name, the folder is synced, and the run is noted in the database. From here on
//!    it is sealed;
//! 3. the rows are removed, so many at a time that no writer waits for long.
//!
//! Killed before the note: a file that nobody knows, which the next sealing removes. Killed after it: rows that are
//! still there, which the next sealing removes. Commits are kept in order, so a removal never survives without the note.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior};

use super::{SqliteLedger, directory, seals, storage};
use crate::{
    sync::{lock, thread},
    work::ledger::{
        Fault, Head, LedgerError,
        chain::sound,
        check_statement,
        seal::{Run, Writer},
    },
};

/// How many records are read, and how many rows removed, at once: some milliseconds' work.
const PAGE: u32 = 1_000;

/// A run on its way into a file. One process seals at a time, so one name is enough.
const UNFINISHED: &str = "unfinished";

impl SqliteLedger {
    /// See [`Ledger::seal`](crate::ledger::Ledger::seal).
    pub(super) fn seal_through(&self, through: &Head, statement: &[u8]) -> Result<(), LedgerError> {
        check_statement(statement)?;
        self.check_process()?;
        let folder = self.shared.common.directory.folder(seals::FOLDER)?;
        let alone = self.seal_alone(&folder)?;
        let before = {
            let reader = lock(&self.shared.reader);
            let last = seals::last(&reader).map_err(self.failed("read the seals"))?;
            last.map_or_else(Head::default, |run| run.head)
        };
        // What a process that died here has left.
        self.clear(&folder)?;
        self.remove_rows()?;
        if through.sequence <= before.sequence {
            return self.is_sealed(through, &before);
        }
        let run = Run {
            first: before.sequence + 1,
            head: *through,
        };
        let unfinished = folder.join(UNFINISHED);
        let sealed = self
            .write(&unfinished, run, &before, statement)
            .and_then(|()| self.note(&unfinished, &folder, run));
        if let Err(error) = sealed {
            // The first error is the one to tell; the next sealing removes what is left.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        self.shared.common.sync()?;
        // It is sealed. Rows that cannot be removed now, say because the disk is full, are removed by the next sealing.
        let _ = self.remove_rows();
        self.shared.checkpointer.ring();
        drop(alone);
        Ok(())
    }

    /// The right to seal, among all processes.
    fn seal_alone(&self, folder: &Path) -> Result<Alone, LedgerError> {
        const PAUSE: Duration = Duration::from_millis(5);
        let asked = Instant::now();
        let file = File::open(folder).map_err(|e| LedgerError::io("open", folder, e))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Alone(file)),
                Err(TryLockError::WouldBlock) if asked.elapsed() < self.patience => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(LedgerError::LedgerBusy {
                        pid: None,
                        waited: self.patience,
                    });
                }
                Err(TryLockError::Error(error)) => return Err(LedgerError::io("lock", folder, error)),
            }
        }
    }

    /// Removes files that were not noted. Nobody else is making one.
    fn clear(&self, folder: &Path) -> Result<(), LedgerError> {
        let database = &self.shared.common.database;
        let noted = seals::all(&lock(&self.shared.reader)).map_err(self.failed("read the seals"))?;
        let noted: Vec<_> = noted.iter().map(|run| seals::file_of(database, run)).collect();
        let failed = |error| LedgerError::io("read the directory", folder, error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if !noted.contains(&path) {
                fs::remove_file(&path).map_err(|e| LedgerError::io("remove", &path, e))?;
            }
        }
        Ok(())
    }

    /// Whether the ledger stood at this head, which is not past the last seal.
    fn is_sealed(&self, head: &Head, last: &Head) -> Result<(), LedgerError> {
        let database = &self.shared.common.database;
        let sequence = head.sequence;
        if head == last {
            return Ok(());
        }
        let found = match sequence.checked_sub(1) {
            Some(before) => seals::records(&lock(&self.shared.reader), database, before, 1)?,
            None => Vec::new(),
        };
        if found.first().is_some_and(|record| record.hash == head.hash) {
            Ok(())
        } else {
            Err(LedgerError::NoSuchHead { sequence })
        }
    }

    /// Writes the run to a file and syncs it. Every record is checked on the way: its hash, and that it continues the
    /// one before it.
    fn write(&self, path: &Path, run: Run, before: &Head, statement: &[u8]) -> Result<(), LedgerError> {
        let failed = |error| LedgerError::io("write", path, error);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let writer = Writer::begin(BufWriter::new(file), run, before.hash, statement);
        let mut writer = writer.map_err(failed)?;
        let mut at = *before;
        while at.sequence < run.head.sequence {
            let left = run.head.sequence - at.sequence;
            let limit = u64::from(PAGE).min(left);
            let page = {
                let reader = lock(&self.shared.reader);
                storage::entries(
                    &reader,
                    &self.shared.common.database,
                    at.sequence,
                    usize::try_from(limit).unwrap_or(1),
                )?
            };
            if page.is_empty() {
                return Err(no_such(&run.head));
            }
            for (entry, _) in page {
                if entry.record.previous_hash != at.hash || entry.record.sequence != at.sequence + 1 {
                    return Err(LedgerError::BadRecord {
                        sequence: at.sequence + 1,
                        fault: Fault::Unlinked,
                    });
                }
                at = entry.head();
                sound(entry.record.clone(), entry.unique_key.as_deref())?;
                writer.push(entry).map_err(failed)?;
            }
        }
        if at != run.head {
            return Err(no_such(&run.head));
        }
        let mut out = writer.finish().map_err(failed)?;
        out.flush().map_err(failed)?;
        out.get_ref().sync_all().map_err(failed)
    }

    /// Gives the file its name and notes the run; both are done when this returns, or neither counts.
    fn note(&self, unfinished: &Path, folder: &Path, run: Run) -> Result<(), LedgerError> {
        let named = seals::file_of(&self.shared.common.database, &run);
        self.inside(|writer| {
            fs::rename(unfinished, &named).map_err(|e| LedgerError::io("name", &named, e))?;
            directory::sync(folder)?;
            let transaction = writer
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(self.failed("note the seal"))?;
            seals::note(&transaction, &run).map_err(self.failed("note the seal"))?;
            transaction.commit().map_err(self.failed("note the seal"))
        })
    }

    /// Removes the rows that are sealed.
    fn remove_rows(&self) -> Result<(), LedgerError> {
        loop {
            let removed = self.inside(|writer| {
                seals::remove_rows(writer, PAGE).map_err(self.failed("remove sealed records"))
            })?;
            if removed == 0 {
                return Ok(());
            }
        }
    }

    /// Does something inside the gate, with the connection that writes.
    fn inside<T>(
        &self,
        act: impl FnOnce(&mut Connection) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut section = self.section()?;
        let done = act(&mut section.writer);
        done.map_err(|error| section.failed(error))
    }
}

/// Holds the lock on the folder of sealed files.
struct Alone(File);

impl Drop for Alone {
    fn drop(&mut self) {
        // By name, because a child that is being forked at this moment holds the same open file until it execs.
        let _ = self.0.unlock();
    }
}

fn no_such(head: &Head) -> LedgerError {
    LedgerError::NoSuchHead {
        sequence: head.sequence,
    }
}
