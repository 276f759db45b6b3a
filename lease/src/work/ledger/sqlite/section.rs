//! The write section of the ledger in a directory.

use std::time::Duration;

use rusqlite::Connection;

use super::{
    Shared, SqliteLedger, audit, checkpointer,
    gate::Passage,
    seals,
    storage::{self, Role},
};
use crate::{
    sync::{Arc, MutexGuard, atomic::Ordering::Relaxed, lock},
    work::{
        event::EventRecord,
        ledger::{Head, LedgerError, NewRecord, Section},
    },
};

impl SqliteLedger {
    pub(super) fn section(&self) -> Result<SqliteSection<'_>, LedgerError> {
        self.check_process()?;
        let common = &self.shared.common;
        let inside = common.gate.enter(self.patience)?;
        let regained = common.regain_trust(&inside, self.patience, || {
            audit::verify(&self.shared.reader, &common.database, &mut ()).map(drop)
        })?;
        let mut writer = lock(&self.shared.writer);
        if regained {
            // The system has yet to tell the old one's descriptors of the failure that is over.
            let mut fresh = storage::connect(&common.database, Role::Write, self.patience)?;
            storage::watch_log(&mut fresh, &common.database, Arc::clone(&self.shared.log))?;
            *writer = fresh;
        }
        writer
            .busy_timeout(self.patience)
            .map_err(self.failed("set the timeout"))?;
        Ok(SqliteSection {
            shared: &self.shared,
            patience: self.patience,
            writer,
            inside,
        })
    }
}

/// Inside the gate, with the connection that writes. From the first look at the records to the next append there is one
/// transaction, so what is read is not read again to be written behind.
pub(super) struct SqliteSection<'a> {
    shared: &'a Shared,
    patience: Duration,
    pub(super) writer: MutexGuard<'a, Connection>,
    inside: Passage<'a>,
}

impl SqliteSection<'_> {
    fn begin(&self) -> Result<(), LedgerError> {
        if self.writer.is_autocommit() {
            let begun = storage::begin(&self.writer, &self.shared.common.database);
            return begun.map_err(|error| self.failed(error));
        }
        Ok(())
    }

    /// What a failed write means for this writer, and for all others.
    pub(super) fn failed(&self, error: LedgerError) -> LedgerError {
        let error = match error {
            // SQLite does not tell why the system refused.
            LedgerError::Storage { path, .. } if self.inside.is_read_only() => {
                LedgerError::Unwritable { path }
            }
            error => error,
        };
        self.shared.common.noticed(error).after(self.patience)
    }
}

impl Drop for SqliteSection<'_> {
    fn drop(&mut self) {
        storage::give_up(&self.writer);
    }
}

impl Section for SqliteSection<'_> {
    fn read(&mut self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
        self.begin()?;
        seals::records(&self.writer, &self.shared.common.database, after, limit)
    }

    fn append(&mut self, expected: &Head, batch: &[NewRecord]) -> Result<Head, LedgerError> {
        self.begin()?;
        let appended = storage::append(&self.writer, &self.shared.common.database, expected, batch);
        let head = appended.map_err(|error| {
            storage::give_up(&self.writer);
            self.failed(error)
        })?;
        let syncer = &self.shared.common.syncer;
        syncer.appended(expected.sequence, head.sequence);
        // Stored by this thread.
        if self.shared.log.load(Relaxed) > checkpointer::WORTH_IT {
            self.shared.checkpointer.ring();
        }
        Ok(head)
    }

    fn raise_epoch(&mut self) -> Result<u32, LedgerError> {
        storage::give_up(&self.writer);
        let common = &self.shared.common;
        let raised = storage::raise_epoch(&mut self.writer, &common.database);
        let raised = raised.map_err(|error| self.failed(error))?;
        common.sync()?;
        Ok(raised)
    }
}
