//! Keeps the log from growing: a thread of its own moves it into the database.
//!
//! Writers never checkpoint, because a checkpoint syncs twice and they would hold the gate meanwhile. Most of the work
//! is done beside them; only the last step, emptying the log, takes the gate, so that no commit comes in between. The
//! thread has a connection only while it works, so that a ledger which was closed is no longer open.

use std::time::Duration;

use super::{
    common::Common,
    storage::{self, Role},
};
use crate::{
    sync::{Arc, Condvar, Mutex, lock, thread},
    work::ledger::LedgerError,
};

/// The length of the log at which it is worth a checkpoint, in bytes.
pub(super) const WORTH_IT: u64 = 4 << 20;

/// How long emptying the log may wait, for readers and at the gate, before it is left to the next time.
const PATIENCE: Duration = Duration::from_millis(250);

/// The bell of the checkpointing thread; dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Checkpointer(Arc<Bell>);

#[derive(Debug)]
struct Bell {
    call: Mutex<Call>,
    rung: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Rest,
    Checkpoint,
    Leave,
}

impl Checkpointer {
    pub(super) fn start(common: Arc<Common>) -> Result<Self, LedgerError> {
        let bell = Arc::new(Bell {
            call: Mutex::new(Call::Rest),
            rung: Condvar::new(),
        });
        let (inside, path) = (Arc::clone(&bell), common.database.clone());
        thread::Builder::new()
            .name("lease-checkpoint".to_owned())
            .spawn(move || {
                while inside.wait() == Call::Checkpoint {
                    run(&common);
                    if common.syncer.length() > WORTH_IT {
                        // A long reader is in the way; asking at every commit would only be noise.
                        thread::sleep(PATIENCE);
                    }
                }
            })
            .map_err(|error| LedgerError::io("start a thread for", &path, error))?;
        Ok(Self(bell))
    }

    /// Asks for a checkpoint; returns at once.
    pub(super) fn ring(&self) {
        self.0.call(Call::Checkpoint);
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.0.call(Call::Leave);
    }
}

impl Bell {
    fn call(&self, call: Call) {
        *lock(&self.call) = call;
        self.rung.notify_one();
    }

    fn wait(&self) -> Call {
        let mut call = lock(&self.call);
        while *call == Call::Rest {
            call = match self.rung.wait(call) {
                Ok(call) => call,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
        std::mem::replace(&mut *call, Call::Rest)
    }
}

/// Moves the log into the database, then empties it if that was all of it. What fails is left to the next time.
fn run(common: &Common) {
    if !common.is_trusted() {
        return;
    }
    let Ok(connection) = storage::connect(&common.database, Role::Write, PATIENCE) else {
        return;
    };
    let emptied =
        storage::checkpoint(&connection, "PASSIVE").and_then(|()| match common.gate.enter(PATIENCE) {
            Ok(_inside) if common.is_trusted() => storage::checkpoint(&connection, "TRUNCATE"),
            _ => Ok(()),
        });
    if let Err(error) = emptied {
        // A failed sync has to be told to everyone; the rest is nobody's loss.
        let _ = common.noticed(LedgerError::from_sqlite("checkpoint", &common.database, error));
    }
}
