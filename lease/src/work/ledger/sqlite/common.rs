//! What all threads of a process share about an open ledger, and whether its storage can be trusted.

use std::path::PathBuf;

use super::{
    directory::{self, Directory},
    gate::{Passage, SharedGate},
    syncer::{Failure, Syncer},
};
use crate::work::ledger::LedgerError;

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
