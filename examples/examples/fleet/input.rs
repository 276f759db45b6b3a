//! The work items: every file below a directory.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::args::{Args, registry_sources};
use crate::failure::Failure;

/// One file to be read, and the name under which it is claimed.
pub(crate) struct Item {
    /// The work item: short whatever the path is, because ids are at most 128 bytes.
    pub(crate) work: String,
    /// Where the file is.
    pub(crate) path: PathBuf,
}

/// The directory that is to be read.
pub(crate) fn directory(args: &Args) -> Result<PathBuf, Failure> {
    let named = args
        .dir
        .clone()
        .or_else(registry_sources)
        .ok_or(Failure::NoRegistry)?;
    let directory = named.canonicalize().map_err(|error| Failure::Input {
        path: named.clone(),
        error,
    })?;
    match std::fs::read_dir(&directory) {
        Ok(_) => Ok(directory),
        Err(error) => Err(Failure::Input { path: named, error }),
    }
}

/// All files below `directory`, in the order of their paths, at most `limit`.
///
/// A folder inside that cannot be read fails the run: a file nobody saw would make the proof a lie.
pub(crate) fn items(directory: &Path, limit: Option<u64>) -> Result<Vec<Item>, Failure> {
    let mut items = Vec::new();
    let most = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    for entry in WalkDir::new(directory).sort_by_file_name() {
        let entry = entry.map_err(|error| Failure::Input {
            path: error.path().unwrap_or(directory).to_owned(),
            error: error.into(),
        })?;
        if items.len() == most {
            break;
        }
        if entry.file_type().is_file() {
            let path = entry.into_path();
            let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
            items.push(Item {
                work: format!("file/{}", &hash[..32]),
                path,
            });
        }
    }
    if items.is_empty() {
        return Err(Failure::Empty {
            path: directory.to_owned(),
        });
    }
    Ok(items)
}
