//! Keeps the log from growing: a thread of its own moves it into the database.
//!
//! Writers never checkpoint, because a checkpoint syncs twice and they would hold the gate meanwhile. Most of the work
//! is done beside them; only the last step takes the gate, so that no commit comes in between and the next one begins at
//! the log's start. All processes notice at once that the log is long; one takes the ferry and does the work, the others find it done. The
//! thread has a connection only while it works, so that a ledger which was closed is no longer open.

use std::time::Duration;

use rusqlite::Connection;

use super::{
    common::Common,
    storage::{self, Reach, Role},
};
use crate::{
    sync::{Arc, Condvar, Mutex, lock, thread},
    work::ledger::LedgerError,
};

/// The length of the log at which it is worth a checkpoint, in pages of 4 KiB.
pub(super) const WORTH_IT: i64 = 4_096;

/// How long the last step may wait, for readers and at the gate, before it is left to the next time.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long to leave a log alone that somebody else is moving, or that a long reader holds.
const PAUSE: Duration = Duration::from_millis(50);

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
                    if !run(&common) {
                        // Every commit asks again, which would only be noise.
                        thread::sleep(PAUSE);
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

/// Moves the log into the database, and says whether that was all of it. What fails is left to the next time: a failed
/// sync was told to everyone, and the rest is nobody's loss.
fn run(common: &Common) -> bool {
    let moved = common.ferry(PATIENCE, || {
        let connection = storage::connect(&common.database, Role::Write, PATIENCE)?;
        move_log(common, &connection)
    });
    moved.unwrap_or(false)
}

fn move_log(common: &Common, connection: &Connection) -> Result<bool, LedgerError> {
    let failed = |error| LedgerError::from_sqlite("checkpoint", &common.database, error);
    let checkpoint = |reach| storage::checkpoint(connection, reach).map_err(failed);
    // Reading opens the files. A failed sync that somebody was told of before is marked by now; one that fails from here
    // on is told to these descriptors too, and ends the checkpoint. Asked the other way round, it could slip through.
    storage::head(connection).map_err(failed)?;
    if !common.is_trusted() {
        return Ok(false);
    }
    if checkpoint(Reach::Beside)?.is_busy {
        return Ok(false);
    }
    let _inside = common.gate.enter(PATIENCE)?;
    if !common.is_trusted() {
        return Ok(false);
    }
    let is_short = checkpoint(Reach::Look)?.pages <= WORTH_IT;
    Ok(is_short || !checkpoint(Reach::Whole)?.is_busy)
}
