//! One ledger for each directory in a process, however often it is opened.
//!
//! Two of them would not see each other's in-process locks as one queue, and would pass for two processes.

use std::collections::HashMap;

use super::{Shared, directory::Identity};
use crate::{
    sync::{Arc, Mutex, OnceLock, Weak, lock},
    work::ledger::LedgerError,
};

/// Locked while its directory is being opened, so that two threads do not open it twice.
type Slot = Arc<Mutex<Weak<Shared>>>;

static OPEN: OnceLock<Mutex<HashMap<Identity, Slot>>> = OnceLock::new();

/// The ledger of this directory if this process has it open, else what `open` gives.
pub(super) fn share(
    directory: Identity,
    open: impl FnOnce() -> Result<Shared, LedgerError>,
) -> Result<Arc<Shared>, LedgerError> {
    let slot = {
        let mut slots = lock(OPEN.get_or_init(Mutex::default));
        // Slots of ledgers that were closed, and that nobody is opening.
        slots.retain(|_, slot| Arc::strong_count(slot) > 1 || lock(slot).strong_count() > 0);
        Arc::clone(slots.entry(directory).or_default())
    };
    let mut current = lock(&slot);
    if let Some(shared) = current.upgrade() {
        return Ok(shared);
    }
    let shared = Arc::new(open()?);
    *current = Arc::downgrade(&shared);
    Ok(shared)
}
