//! Making the log durable, and what follows when that fails.
//!
//! A sync that failed is not simply tried again: the kernel may have dropped the pages it could not write, and then
//! answers the next sync with success. Reading back proves nothing, because it shows the pages in memory. So nothing is
//! called durable until every byte of the log was written anew and *that* was synced without an error.

use std::{fs::File, path::PathBuf};

use super::{convoy::Convoy, rewrite, witness::Witness};
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
    witness: Witness,
    rounds: Rounds<Failure>,
    convoy: Convoy,
}

/// Why nothing is synced any more.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Sync(String),
    Disturbed(PathBuf),
}

impl From<Failure> for LedgerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sync(reason) => Self::SyncFailed { reason },
            Failure::Disturbed(path) => Self::LedgerDisturbed { path },
        }
    }
}

impl Syncer {
    pub(super) fn new(file: File, path: PathBuf, witness: Witness, convoy: Convoy) -> Self {
        Self {
            file: Mutex::new(Arc::new(file)),
            path,
            witness,
            rounds: Rounds::new(),
            convoy,
        }
    }

    /// Fails if a sync failed before.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.rounds.check()
    }

    /// Fails, from now on, if the ledger's files are others than were opened.
    pub(super) fn look(&self) -> Result<(), LedgerError> {
        match self.undisturbed() {
            Err(failure) => {
                self.rounds.fail(failure.clone());
                Err(failure.into())
            }
            Ok(()) => Ok(()),
        }
    }

    /// From now on nothing is called durable: something else found that a sync had failed.
    pub(super) fn fail(&self, reason: String) {
        self.rounds.fail(Failure::Sync(reason));
    }

    /// Takes note that this process has appended everything behind the record `before`, up to `last`.
    pub(super) fn appended(&self, before: u64, last: u64) {
        self.convoy.appended(before, last);
    }

    /// Returns when a sync that began after this call has ended well, and `then` with it.
    pub(super) fn sync(
        &self,
        then: impl Fn(Result<(), Failure>) -> Result<(), Failure>,
    ) -> Result<(), LedgerError> {
        let synced = self.rounds.join(|| then(self.sync_now()));
        synced.map_err(LedgerError::from)
    }

    /// Writes every byte of the log anew, and syncs through the `fresh` descriptor, which then takes the old one's place.
    /// Nobody may write meanwhile.
    pub(super) fn rewrite(&self, fresh: File) -> Result<(), LedgerError> {
        rewrite::rewrite(&fresh, &self.path).map_err(|error| Failure::Sync(error.to_string()))?;
        *lock(&self.file) = Arc::new(fresh);
        Ok(())
    }

    /// Syncs are possible again.
    pub(super) fn restore(&self) {
        self.rounds.restore();
    }

    fn file(&self) -> Arc<File> {
        Arc::clone(&lock(&self.file))
    }

    /// A sync of this process, or of another one, which looked at its files as we do: both have to be the ledger's.
    fn sync_now(&self) -> Result<(), Failure> {
        let by_another = self.convoy.sync(|| {
            self.file()
                .sync_data()
                .map_err(|error| Failure::Sync(error.to_string()))?;
            self.undisturbed()
        })?;
        if by_another { self.undisturbed() } else { Ok(()) }
    }

    fn undisturbed(&self) -> Result<(), Failure> {
        match self.witness.disturbed() {
            Some(path) => Err(Failure::Disturbed(path.to_owned())),
            None => Ok(()),
        }
    }
}
