//! The ledgers that this process has open, so that opening one twice gives the same registrar.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::sync::{Arc, Mutex, OnceLock, Weak, lock};
use crate::work::ledger::{Ledger, LedgerError, SqliteLedger};
use crate::work::registrar::RegistrarError;
use crate::work::registrar::handle::Shared;
use crate::work::registrar::key_file::KeyFile;

type Opened = Mutex<HashMap<PathBuf, Weak<Shared>>>;

/// The registrar of the ledger at `path`: the one that this process has, or the one that `found` makes of what `open`
/// opens.
pub(super) fn share(
    path: &Path,
    open: impl FnOnce(&Path) -> Result<SqliteLedger, LedgerError>,
    found: impl FnOnce(Arc<dyn Ledger>, KeyFile) -> Result<Arc<Shared>, RegistrarError>,
) -> Result<Arc<Shared>, RegistrarError> {
    static OPENED: OnceLock<Opened> = OnceLock::new();
    // Held while a ledger is opened, so that two threads do not open it side by side.
    let mut opened = lock(OPENED.get_or_init(Opened::default));
    if let Ok(directory) = fs::canonicalize(path)
        && let Some(shared) = opened.get(&directory).and_then(Weak::upgrade)
        && !shared.0.is_closed()?
    {
        return Ok(shared);
    }
    let ledger = open(path)?;
    let directory = ledger.path().to_owned();
    let key = KeyFile::at(ledger.key_path());
    let shared = found(Arc::new(ledger), key)?;
    opened.retain(|_, shared| shared.strong_count() > 0);
    opened.insert(directory, Arc::downgrade(&shared));
    Ok(shared)
}
