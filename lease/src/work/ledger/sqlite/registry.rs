//! One ledger for each directory in a process, however often it is opened.
//!
//! Two of them would not see each other's in-process locks as one queue, and would pass for two processes.
//!
//! A child that was forked has its parent's slots, and among them those in which a thread was opening a ledger that is not
//! there to go on. It is told so by the process that the slot is of, and never waits for one.

use std::collections::HashMap;

use super::{Shared, directory::Identity};
use crate::{
    sync::{Arc, Mutex, OnceLock, Weak, lock},
    work::ledger::LedgerError,
};

struct Slot {
    /// Whose it is.
    pid: u32,
    /// Locked while the directory is being opened, so that two threads do not open it twice.
    current: Mutex<Weak<Shared>>,
}

impl Slot {
    fn new(pid: u32) -> Self {
        Self {
            pid,
            current: Mutex::default(),
        }
    }
}

static OPEN: OnceLock<Mutex<HashMap<Identity, Arc<Slot>>>> = OnceLock::new();

/// The ledger of this directory if this process has it open, else what `open` gives.
pub(super) fn share(
    directory: Identity,
    open: impl FnOnce() -> Result<Shared, LedgerError>,
) -> Result<Arc<Shared>, LedgerError> {
    let pid = std::process::id();
    let slot = {
        let mut slots = lock(OPEN.get_or_init(Mutex::default));
        // Slots of ledgers that were closed, and that nobody is opening.
        slots.retain(|_, slot| Arc::strong_count(slot) > 1 || lock(&slot.current).strong_count() > 0);
        let slot = slots.entry(directory).or_insert_with(|| Arc::new(Slot::new(pid)));
        Arc::clone(slot)
    };
    if slot.pid != pid {
        let opened_by = slot.pid;
        return Err(LedgerError::Forked { opened_by, pid });
    }
    let mut current = lock(&slot.current);
    if let Some(shared) = current.upgrade() {
        return Ok(shared);
    }
    let shared = Arc::new(open()?);
    *current = Arc::downgrade(&shared);
    Ok(shared)
}
