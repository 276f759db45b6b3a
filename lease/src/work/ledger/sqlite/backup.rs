//! Copying a ledger while it is in use.

use std::{
    fs::{self, File},
    path::Path,
};

use rusqlite::Connection;

use super::{
    SqliteLedger,
    directory::{self, DATABASE, Directory, GATE},
    origin::Origin,
    seals,
    storage::{self, Role},
};
use crate::work::ledger::{Head, Ledger, LedgerError, seal::Run};

/// The copy until it is whole. It is no name of a ledger's, so a directory with a copy that was interrupted is never
/// taken for one.
const UNFINISHED: &str = "backup.unfinished";

impl SqliteLedger {
    /// Copies the ledger as it stands now into `into`, which must not exist or be empty, and returns the head of the
    /// copy. Writers go on meanwhile.
    ///
    /// The copy is a ledger of its own: opened, it begins a new epoch. It has every record and every unique key, but
    /// not the signer's key, which whoever keeps backups may not be meant to have. To restore, open the copy and back it
    /// up into the place where the ledger shall be.
    ///
    /// # Errors
    ///
    /// [`NotALedger`](LedgerError::NotALedger) when `into` holds something, [`BadRecord`](LedgerError::BadRecord) when
    /// the copy does not verify, because the ledger does not; or the environment fails. Except for a copy that does not
    /// verify, what a failed attempt leaves is no ledger.
    pub fn backup(&self, into: impl AsRef<Path>) -> Result<Head, LedgerError> {
        self.check_process()?;
        let directory = Directory::prepare(into.as_ref())?;
        if !directory.is_empty()? {
            return Err(LedgerError::NotALedger {
                path: into.as_ref().into(),
                reason: "a backup needs an empty directory".to_owned(),
            });
        }
        let unfinished = directory.file(UNFINISHED);
        let sealed = self.copy_to(&unfinished)?;
        copy_sealed(&self.shared.common.database, &directory, &sealed)?;
        directory.open(GATE, true)?;
        let finished = directory.file(DATABASE);
        fs::rename(&unfinished, &finished).map_err(|e| LedgerError::io("name the copy", &finished, e))?;
        directory.complete()?;
        Self::open(into)?.verify(&mut ())
    }

    /// Copies the database, and says what the copy notes as sealed.
    fn copy_to(&self, path: &Path) -> Result<Vec<Run>, LedgerError> {
        let database = &self.shared.common.database;
        let source = storage::connect(database, Role::Write, self.patience)?;
        let failed = |error| LedgerError::from_sqlite("copy the ledger", path, error);
        let name = path.to_str().ok_or_else(|| LedgerError::NotALedger {
            path: path.into(),
            reason: "SQLite can only copy to a name in UTF-8".to_owned(),
        })?;
        source.execute("VACUUM INTO ?1", [name]).map_err(failed)?;
        // The copy has no log yet. Closing this connection empties and removes the one it makes, so that the database
        // alone is the copy.
        let copy = Connection::open(path).map_err(failed)?;
        storage::switch_to_log(&copy).map_err(failed)?;
        let origin = Origin::of(path)?;
        origin.remember(&copy).map_err(failed)?;
        let sealed = seals::all(&copy).map_err(failed)?;
        copy.close().map_err(|(_, error)| failed(error))?;
        // Nobody has this file open, so there are no locks to lose by opening it.
        let synced = File::open(path).and_then(|copy| copy.sync_all());
        synced.map_err(|e| LedgerError::io("sync", path, e))?;
        Ok(sealed)
    }
}

/// Copies the files of these runs. They never change and never go, so it is enough that they are there.
fn copy_sealed(from: &Path, into: &Directory, runs: &[Run]) -> Result<(), LedgerError> {
    if runs.is_empty() {
        return Ok(());
    }
    let folder = into.folder(seals::FOLDER)?;
    for run in runs {
        let source = seals::file_of(from, run);
        // Of one that is missing or damaged there is no copy.
        seals::open(from, run)?;
        let copy = seals::file_of(&into.file(DATABASE), run);
        let copied = fs::copy(&source, &copy).and_then(|_| File::open(&copy)?.sync_all());
        copied.map_err(|e| LedgerError::io("copy", &source, e))?;
    }
    directory::sync(&folder)
}
