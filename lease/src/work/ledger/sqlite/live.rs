//! Who lives: one file for each incarnation, locked for as long as its process has the ledger open.
//!
//! An incarnation is called after its file: the name, which is random, and the inode. The file is locked before anybody
//! can know that inode, and never unlocked, only closed; so whoever can lock it knows that every descriptor of it is
//! gone. A file that is missing, or is another one than the name says, proves nothing.
//!
//! Only who holds the lock removes a file, and only the one that has this name. Both its maker and whoever takes it for
//! dead look again, under the lock, whether the name still stands for it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::directory::Identity;
use crate::work::{
    ledger::{LedgerError, Liveness, Remains},
    random,
};

/// Bytes of randomness in the name of a file.
const RANDOM: usize = 8;

/// The proof that this process lives.
#[derive(Debug)]
pub(super) struct Life {
    incarnation: String,
    /// Closed, not unlocked: a child that was forked from this process may be at work for it.
    _file: File,
}

impl Life {
    /// Begins one in this folder.
    pub(super) fn begin(folder: &Path) -> Result<Self, LedgerError> {
        loop {
            let name = random::hex::<RANDOM>();
            let path = folder.join(&name);
            let failed = |action| {
                let path = &path;
                move |error| LedgerError::io(action, path, error)
            };
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .map_err(failed("create"))?;
            match file.try_lock() {
                Ok(()) if is_at(&path, &file) => {
                    let inode = file.metadata().map_err(failed("look at"))?.ino();
                    let incarnation = format!("{name}-{inode:x}");
                    return Ok(Self {
                        incarnation,
                        _file: file,
                    });
                }
                // Somebody took it for a dead one's before it was locked.
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
            }
        }
    }

    /// What it is called.
    pub(super) fn incarnation(&self) -> &str {
        &self.incarnation
    }
}

/// The incarnations that have a file in this folder.
pub(super) fn all(folder: &Path) -> Result<Vec<String>, LedgerError> {
    let failed = |error| LedgerError::io("read the directory", folder, error);
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // One that vanishes meanwhile was buried.
        let (Some(name), Ok(metadata)) = (entry.file_name().to_str().map(str::to_owned), entry.metadata())
        else {
            continue;
        };
        if is_name(&name) {
            all.push(format!("{name}-{:x}", metadata.ino()));
        }
    }
    Ok(all)
}

/// Whether this incarnation lives.
pub(super) fn look(folder: &Path, incarnation: &str) -> Liveness {
    let Some((name, inode)) = parse(incarnation) else {
        return Liveness::Unknown;
    };
    let path = folder.join(name);
    // Whatever stands there instead of the file, it must not keep us.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(&path);
    let Ok(file) = opened else {
        return Liveness::Unknown;
    };
    if !file
        .metadata()
        .is_ok_and(|found| found.is_file() && found.ino() == inode)
    {
        return Liveness::Unknown;
    }
    match file.try_lock() {
        Ok(()) if is_at(&path, &file) => Liveness::Dead(Box::new(Body { path, _file: file })),
        Err(TryLockError::WouldBlock) => Liveness::Alive,
        Ok(()) | Err(TryLockError::Error(_)) => Liveness::Unknown,
    }
}

/// The file of a dead incarnation, locked.
#[derive(Debug)]
struct Body {
    path: PathBuf,
    _file: File,
}

impl Remains for Body {
    fn bury(self: Box<Self>) -> Result<(), LedgerError> {
        fs::remove_file(&self.path).map_err(|error| LedgerError::io("remove", &self.path, error))
    }
}

/// Whether the path still names this file.
fn is_at(path: &Path, file: &File) -> bool {
    match (path.symlink_metadata(), file.metadata()) {
        (Ok(named), Ok(opened)) => Identity::of(&named) == Identity::of(&opened),
        _ => false,
    }
}

/// The name and the inode; what comes from a record need not be one of ours, and must not lead out of the folder.
fn parse(incarnation: &str) -> Option<(&str, u64)> {
    let (name, inode) = incarnation.split_once('-')?;
    let inode = u64::from_str_radix(inode, 16).ok()?;
    is_name(name).then_some((name, inode))
}

fn is_name(name: &str) -> bool {
    name.len() == 2 * RANDOM && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_own_are_looked_for() {
        assert_eq!(parse("0123456789abcdef-1f"), Some(("0123456789abcdef", 0x1f)));
        for foreign in [
            "",
            "host/17/0123456789abcdef",
            "../../etc/passwd-1f",
            "0123456789abcdef",
            "0123456789abcdef-",
            "0123456789ABCDEF-1f",
            "0123456789abcdef-1f+",
            "0123456789abcdef-10000000000000000",
        ] {
            assert_eq!(parse(foreign), None, "{foreign}");
        }
    }
}
