//! Checkpoints of reducers, as files beside the database: `checkpoints/NAME@SEQUENCE`.
//!
//! One is there whole or not at all: written to a temporary file, synced, renamed, and the directory synced. They are a
//! shortcut for readers, so no lock guards them: of two processes that write one at the same place, whichever renames last
//! has it, whole, and whoever reads one that is being removed takes an older one. Without any of them the ledger is as whole as with them. The lock
//! on the folder only spares processes to write what another one is writing.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::directory::{self, Directory};
use crate::{
    sync::Sequence,
    work::ledger::{KEPT_CHECKPOINTS, LedgerError, check_checkpoint_name},
};

/// What ends the name of a file that is being written.
const UNFINISHED: &str = ".new";

/// The positions of the checkpoints under this name, newest first.
pub(super) fn list(directory: &Directory, name: &str) -> Result<Vec<u64>, LedgerError> {
    let mut sequences: Vec<_> = files(directory, name)?
        .into_iter()
        .filter_map(|file| (!file.is_unfinished).then_some(file.sequence))
        .collect();
    sequences.sort_unstable_by(|one, other| other.cmp(one));
    Ok(sequences)
}

/// The bytes of one of them; `None` if it was removed meanwhile.
pub(super) fn load(directory: &Directory, name: &str, sequence: u64) -> Result<Option<Vec<u8>>, LedgerError> {
    let path = directory
        .file(directory::CHECKPOINTS)
        .join(file_name(name, sequence));
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(&path)?
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read
            .map(Some)
            .map_err(|error| LedgerError::io("read the checkpoint", &path, error)),
    }
}

/// The lock on the folder.
pub(super) struct Turn(File);

impl Drop for Turn {
    fn drop(&mut self) {
        // By name, because a child that is being forked at this moment holds the same open file until it execs.
        let _ = self.0.unlock();
    }
}

/// The turn to write one, `None` while somebody else has it.
pub(super) fn turn(directory: &Directory) -> Result<Option<Turn>, LedgerError> {
    let folder = directory.file(directory::CHECKPOINTS);
    let opened = match File::open(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::open(directory.folder(directory::CHECKPOINTS)?)
        }
        opened => opened,
    };
    let file = opened.map_err(|error| LedgerError::io("open", &folder, error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Turn(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(LedgerError::io("lock", &folder, error)),
    }
}

/// Writes one, and removes those that are no longer needed.
pub(super) fn save(
    directory: &Directory,
    name: &str,
    sequence: u64,
    bytes: &[u8],
) -> Result<(), LedgerError> {
    static ATTEMPT: Sequence = Sequence::new();
    check_checkpoint_name(name)?;
    let folder = directory.folder(directory::CHECKPOINTS)?;
    let path = folder.join(file_name(name, sequence));
    // Nobody else's: another process with this id is dead, and what it left is in nobody's use.
    let own = format!(".{}-{}{UNFINISHED}", std::process::id(), ATTEMPT.next());
    let unfinished = folder.join(file_name(name, sequence) + &own);
    let written = write(&unfinished, bytes).and_then(|()| {
        fs::rename(&unfinished, &path)?;
        File::open(&folder)?.sync_all()
    });
    finish(directory, name, sequence, written, &unfinished)
}

/// Puts things in order after a checkpoint was written, or not.
fn finish(
    directory: &Directory,
    name: &str,
    sequence: u64,
    written: io::Result<()>,
    unfinished: &Path,
) -> Result<(), LedgerError> {
    let Err(error) = written else {
        return remove_old(directory, name);
    };
    if error.kind() == io::ErrorKind::NotFound && sequence < oldest_kept(directory, name)? {
        // Others have written newer ones meanwhile, and removed this one already.
        return Ok(());
    }
    // The first error is the one to tell; the next checkpoint removes what is left.
    let _ = fs::remove_file(unfinished);
    Err(LedgerError::io("write the checkpoint", unfinished, error))
}

/// The position of the oldest one that is kept, 0 while there is room for more.
fn oldest_kept(directory: &Directory, name: &str) -> Result<u64, LedgerError> {
    let kept = list(directory, name)?;
    Ok(kept.get(KEPT_CHECKPOINTS - 1).copied().unwrap_or(0))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Keeps the newest, and of the unfinished ones those that may still become one of them.
fn remove_old(directory: &Directory, name: &str) -> Result<(), LedgerError> {
    let oldest = oldest_kept(directory, name)?;
    for file in files(directory, name)? {
        // One that cannot be removed only takes room.
        if file.sequence < oldest {
            let _ = fs::remove_file(file.path);
        }
    }
    Ok(())
}

/// A file in the folder that bears the name.
struct Named {
    path: PathBuf,
    sequence: u64,
    is_unfinished: bool,
}

fn files(directory: &Directory, name: &str) -> Result<Vec<Named>, LedgerError> {
    let folder = directory.file(directory::CHECKPOINTS);
    let failed = |error| LedgerError::io("read the directory", &folder, error);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let prefix = escaped(name) + "@";
    let mut named = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let file_name = entry.file_name();
        let Some(rest) = file_name.to_str().and_then(|file| file.strip_prefix(&prefix)) else {
            continue;
        };
        let (digits, ending) = rest.split_at_checked(DIGITS).unwrap_or((rest, ""));
        let is_unfinished = ending.ends_with(UNFINISHED);
        if let Ok(sequence) = digits.parse()
            && (is_unfinished || ending.is_empty())
        {
            named.push(Named {
                path: entry.path(),
                sequence,
                is_unfinished,
            });
        }
    }
    Ok(named)
}

/// As many as the largest position has.
const DIGITS: usize = 20;

fn file_name(name: &str, sequence: u64) -> String {
    format!("{}@{sequence:0DIGITS$}", escaped(name))
}

/// The name in letters, digits, `-` and `_`, everything else as `%` and two hexadecimal digits, so that no two names
/// share a file and none leaves the folder.
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for digit in [byte >> 4, byte & 15] {
                escaped.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it comes when another process has written two newer ones while this one was being written.
    #[test]
    fn a_checkpoint_that_others_have_overtaken_is_no_failure() {
        let place =
            std::env::temp_dir().join(format!("lease-checkpoints-{}", crate::work::random::hex::<8>()));
        let directory = Directory::prepare(&place).unwrap();
        let unfinished = directory
            .folder(directory::CHECKPOINTS)
            .unwrap()
            .join(file_name("till", 1) + ".1-1.new");
        write(&unfinished, b"one").unwrap();
        for sequence in [2, 3] {
            save(&directory, "till", sequence, b"newer").unwrap();
        }
        let renamed = || fs::rename(&unfinished, unfinished.with_extension(""));
        assert_eq!(renamed().unwrap_err().kind(), io::ErrorKind::NotFound);
        finish(&directory, "till", 1, renamed(), &unfinished).unwrap();
        assert_eq!(list(&directory, "till").unwrap(), [3, 2]);
        // One that would be kept was not removed by anybody who may.
        assert!(finish(&directory, "till", 4, renamed(), &unfinished).is_err());
        fs::remove_dir_all(place).unwrap();
    }
}
