//! Making the log durable.
//!
//! A sync that failed is never repeated. The kernel may have dropped the pages it could not write and answer the next
//! sync with success; after a failure nothing here says "durable" again.

use std::{
    fs::{File, Metadata},
    path::PathBuf,
};

use super::directory::Identity;
use crate::work::ledger::{LedgerError, rounds::Rounds};

/// Syncs a file whose path must go on naming it.
#[derive(Debug)]
pub(super) struct Syncer {
    file: File,
    path: PathBuf,
    identity: Identity,
    rounds: Rounds<Failure>,
}

/// Why nothing is synced any more.
#[derive(Clone, Debug)]
enum Failure {
    Sync(String),
    Disturbed,
}

impl Syncer {
    pub(super) fn new(file: File, path: PathBuf) -> Result<Self, LedgerError> {
        let metadata = file
            .metadata()
            .map_err(|e| LedgerError::io("look at", &path, e))?;
        Ok(Self {
            file,
            path,
            identity: Identity::of(&metadata),
            rounds: Rounds::new(),
        })
    }

    /// How long the file is, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.file.metadata().as_ref().map_or(0, Metadata::len)
    }

    /// Fails if a sync failed before.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        self.rounds.check().map_err(|failure| self.error(failure))
    }

    /// From now on nothing is called durable: something else found that a sync had failed.
    pub(super) fn distrust(&self, reason: String) {
        self.rounds.fail(Failure::Sync(reason));
    }

    /// Returns when a sync that began after this call has ended well.
    pub(super) fn sync(&self) -> Result<(), LedgerError> {
        self.rounds
            .join(|| self.sync_now())
            .map_err(|failure| self.error(failure))
    }

    fn sync_now(&self) -> Result<(), Failure> {
        self.file
            .sync_data()
            .map_err(|error| Failure::Sync(error.to_string()))?;
        match self.path.symlink_metadata() {
            Ok(metadata) if Identity::of(&metadata) == self.identity => Ok(()),
            _ => Err(Failure::Disturbed),
        }
    }

    fn error(&self, failure: Failure) -> LedgerError {
        match failure {
            Failure::Sync(reason) => LedgerError::SyncFailed { reason },
            Failure::Disturbed => LedgerError::LedgerDisturbed {
                path: self.path.clone(),
            },
        }
    }
}
