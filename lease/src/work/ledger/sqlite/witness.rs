//! Seeing that a ledger's files are still the ones that were opened.
//!
//! SQLite goes on with files that have lost their names, and a process that comes later finds others under them: then two
//! writers each have a log of their own, or the same log and an index each, and overwrite what the other was promised.
//! So before anything is appended, and again before anything is called durable, the names are looked at.

use std::path::{Path, PathBuf};

use super::directory::{self, Directory, Identity};
use crate::work::ledger::LedgerError;

/// The files on which writers have to agree.
const WATCHED: [&str; 4] = [
    directory::GATE,
    directory::DATABASE,
    directory::WAL,
    directory::SHM,
];

/// Which file was under each name when the ledger was opened.
#[derive(Debug)]
pub(super) struct Witness(Vec<(PathBuf, Identity)>);

impl Witness {
    /// Takes note of the files as they are. Called under the gate, when all of them are there.
    pub(super) fn of(directory: &Directory) -> Result<Self, LedgerError> {
        let files = WATCHED.iter().map(|name| {
            let path = directory.file(name);
            let identity = Identity::at(&path).map_err(|error| LedgerError::io("look at", &path, error))?;
            Ok((path, identity))
        });
        files.collect::<Result<_, _>>().map(Self)
    }

    /// The first name that is gone, or names another file by now.
    pub(super) fn disturbed(&self) -> Option<&Path> {
        let is_gone = |(path, identity): &&(PathBuf, Identity)| Identity::at(path).ok() != Some(*identity);
        self.0.iter().find(is_gone).map(|(path, _)| path.as_path())
    }
}
