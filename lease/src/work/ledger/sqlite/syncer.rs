//! Making the log durable, once for everybody who asks meanwhile.
//!
//! A caller needs a sync that *begins* after its call, because only that one covers its frames. So the syncs are
//! numbered: whoever calls while number `n` runs waits for `n + 1`, which one of the waiters leads for all of them.
//!
//! A sync that failed is never repeated. The kernel may have dropped the pages it could not write and answer the next
//! sync with success; after a failure nothing here says "durable" again.

use std::{
    fs::{File, Metadata},
    path::PathBuf,
};

use super::directory::Identity;
use crate::{
    sync::{Condvar, Mutex, lock},
    work::ledger::LedgerError,
};

/// Syncs a file whose path must go on naming it.
#[derive(Debug)]
pub(super) struct Syncer {
    file: File,
    path: PathBuf,
    identity: Identity,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the last sync that began.
    begun: u64,
    /// The number of the last sync that ended well.
    ended: u64,
    running: bool,
    failed: Option<Failure>,
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
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        })
    }

    /// How long the file is, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.file.metadata().as_ref().map_or(0, Metadata::len)
    }

    /// Fails if a sync failed before.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        match &lock(&self.state).failed {
            None => Ok(()),
            Some(failure) => Err(self.error(failure)),
        }
    }

    /// From now on nothing is called durable: something else found that a sync had failed.
    pub(super) fn distrust(&self, reason: String) {
        lock(&self.state).failed.get_or_insert(Failure::Sync(reason));
        self.changed.notify_all();
    }

    /// Returns when a sync that began after this call has ended well.
    pub(super) fn sync(&self) -> Result<(), LedgerError> {
        let mut state = lock(&self.state);
        let needed = state.begun + 1;
        loop {
            if let Some(failure) = &state.failed {
                return Err(self.error(failure));
            }
            if state.ended >= needed {
                return Ok(());
            }
            if state.running {
                state = match self.changed.wait(state) {
                    Ok(state) => state,
                    Err(poisoned) => poisoned.into_inner(),
                };
                continue;
            }
            state.begun += 1;
            state.running = true;
            let number = state.begun;
            drop(state);
            let outcome = self.sync_now();
            state = lock(&self.state);
            state.running = false;
            match outcome {
                Ok(()) => state.ended = number,
                Err(failure) => {
                    state.failed.get_or_insert(failure);
                }
            }
            self.changed.notify_all();
        }
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

    fn error(&self, failure: &Failure) -> LedgerError {
        match failure {
            Failure::Sync(reason) => LedgerError::SyncFailed {
                reason: reason.clone(),
            },
            Failure::Disturbed => LedgerError::LedgerDisturbed {
                path: self.path.clone(),
            },
        }
    }
}
