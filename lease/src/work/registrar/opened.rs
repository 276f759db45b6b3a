//! One registrar for each ledger in a process, however often it is opened.

use std::any::Any;
use std::path::Path;

use crate::sync::{Arc, lock};
use crate::work::ledger::{Ledger, LedgerError, SqliteLedger};
use crate::work::registrar::RegistrarError;
use crate::work::registrar::handle::Shared;
use crate::work::registrar::key_file::KeyFile;

/// The registrar of the ledger at `path`: the one that this process has, or the one that `found` makes of what `open`
/// opens.
pub(super) fn share(
    path: &Path,
    open: impl FnOnce(&Path) -> Result<SqliteLedger, LedgerError>,
    found: impl FnOnce(Arc<dyn Ledger>, KeyFile) -> Result<Arc<Shared>, RegistrarError>,
) -> Result<Arc<Shared>, RegistrarError> {
    let ledger = open(path)?;
    // Held while the registrar is made, so that two threads do not make one each.
    let mut keeper = lock(ledger.keeper());
    if let Some(shared) = keeper
        .upgrade()
        .and_then(|shared| shared.downcast::<Shared>().ok())
        && !shared.0.is_closed()?
    {
        return Ok(shared);
    }
    let shared = found(Arc::new(ledger.clone()), KeyFile::at(ledger.key_path()))?;
    let kept: Arc<dyn Any + Send + Sync> = shared.clone();
    *keeper = Arc::downgrade(&kept);
    Ok(shared)
}
