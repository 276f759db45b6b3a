//! Making the log durable, and what follows when that fails.
//!
//! A sync that failed is not simply tried again: the kernel may have dropped the pages it could not write, and then
//! answers the next sync with success. Reading back proves nothing, because it shows the pages in memory. So nothing is
//! called durable until every byte of the log was written anew and *that* was synced without an error.

use std::{fs::File, path::PathBuf};

use super::{directory::Identity, rewrite};
use crate::{
    sync::{Arc, Mutex, lock},
    work::ledger::{LedgerError, rounds::Rounds},
};

/// Syncs a file whose path must go on naming it.
#[derive(Debug)]
pub(super) struct Syncer {
    /// Exchanged for a fresh descriptor after a failure: the kernel tells each descriptor of each error once.
    file: Mutex<Arc<File>>,
    path: PathBuf,
    identity: Identity,
    rounds: Rounds<Failure>,
}

/// Why nothing is synced any more.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Sync(String),
    Disturbed,
}

impl Syncer {
    pub(super) fn new(file: File, path: PathBuf) -> Result<Self, LedgerError> {
        let metadata = file
            .metadata()
            .map_err(|e| LedgerError::io("look at", &path, e))?;
        Ok(Self {
            file: Mutex::new(Arc::new(file)),
            path,
            identity: Identity::of(&metadata),
            rounds: Rounds::new(),
        })
    }

    /// Fails if a sync failed before.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.rounds.check()
    }

    /// From now on nothing is called durable: something else found that a sync had failed.
    pub(super) fn fail(&self, reason: String) {
        self.rounds.fail(Failure::Sync(reason));
    }

    /// Returns when a sync that began after this call has ended well, and `then` with it.
    pub(super) fn sync(
        &self,
        then: impl Fn(Result<(), Failure>) -> Result<(), Failure>,
    ) -> Result<(), LedgerError> {
        let synced = self.rounds.join(|| then(self.sync_now()));
        synced.map_err(|failure| self.error(failure))
    }

    /// Writes every byte of the log anew, and syncs through the `fresh` descriptor, which then takes the old one's place.
    /// Nobody may write meanwhile.
    pub(super) fn rewrite(&self, fresh: File) -> Result<(), LedgerError> {
        let metadata = fresh
            .metadata()
            .map_err(|e| LedgerError::io("look at", &self.path, e))?;
        if Identity::of(&metadata) != self.identity {
            return Err(self.error(Failure::Disturbed));
        }
        rewrite::rewrite(&fresh, &self.path).map_err(|error| self.error(Failure::Sync(error.to_string())))?;
        *lock(&self.file) = Arc::new(fresh);
        Ok(())
    }

    /// Syncs are possible again.
    pub(super) fn restore(&self) {
        self.rounds.restore();
    }

    pub(super) fn error(&self, failure: Failure) -> LedgerError {
        match failure {
            Failure::Sync(reason) => LedgerError::SyncFailed { reason },
            Failure::Disturbed => LedgerError::LedgerDisturbed {
                path: self.path.clone(),
            },
        }
    }

    fn file(&self) -> Arc<File> {
        Arc::clone(&lock(&self.file))
    }

    fn sync_now(&self) -> Result<(), Failure> {
        self.file()
            .sync_data()
            .map_err(|error| Failure::Sync(error.to_string()))?;
        match self.path.symlink_metadata() {
            Ok(metadata) if Identity::of(&metadata) == self.identity => Ok(()),
            _ => Err(Failure::Disturbed),
        }
    }
}
