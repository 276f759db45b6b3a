//! The directory that is a ledger: what is in it, and whether it may be used at all.
//!
//! Everything here happens before SQLite sees the path. The database and its `-shm` file are only looked at from
//! outside, never opened: closing any descriptor of them would drop the locks that SQLite holds for this process.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, OFlags, StatxAttributes, StatxFlags, fstatfs, statx, syncfs};

use super::seals;
use crate::work::ledger::LedgerError;

/// The database.
pub(super) const DATABASE: &str = "ledger.db";
/// Its write-ahead log, as SQLite names it.
pub(super) const WAL: &str = "ledger.db-wal";
/// Its shared index of the log, as SQLite names it.
pub(super) const SHM: &str = "ledger.db-shm";
/// Its journal from the moment of creation, as SQLite names it.
const JOURNAL: &str = "ledger.db-journal";
/// Locked by whoever is in the write section.
pub(super) const GATE: &str = "gate";
/// Locked by whoever moves the log into the database.
pub(super) const FERRY: &str = "ferry";
/// Numbers the syncs of the log, locked by whoever syncs it.
pub(super) const SYNCS: &str = "syncs";
/// Locked, shared, by everyone who has the ledger open.
pub(super) const PRESENCE: &str = "presence";
/// The signer's key.
pub(super) const KEY: &str = "registrar.key";
/// One file for each living process.
const LIVE: &str = "live";

/// One file for each checkpoint of a reducer's state.
pub(super) const CHECKPOINTS: &str = "checkpoints";

/// Every plain file that may stand in a ledger's directory.
const FILES: [&str; 9] = [DATABASE, WAL, SHM, JOURNAL, GATE, FERRY, SYNCS, PRESENCE, KEY];

/// File systems on which locks, renames and syncs were seen to mean what they say, by the number that `statfs` gives.
const ADMITTED: [(u64, &str); 6] = [
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0x2FC1_2FC1, "zfs"),
    (0x0102_1994, "tmpfs"),
    (0x794C_7630, "overlayfs"),
];

/// A canonical path to a directory that passed every check, and which directory that was.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    identity: Identity,
    /// As long as this is open no other directory can come to have the same identity.
    opened: File,
}

/// Which file or directory something is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    /// What is under this name.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        path.symlink_metadata().map(|metadata| Self::of(&metadata))
    }
}

impl Directory {
    /// The directory at `path` if it holds a ledger, or at least the beginning of one.
    pub(super) fn existing(path: &Path) -> Result<Self, LedgerError> {
        match path.symlink_metadata() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(not_a_ledger(path, "there is nothing"));
            }
            Err(error) => return Err(LedgerError::io("look at", path, error)),
        }
        let directory = Self::at(path)?;
        if directory.has_database() {
            Ok(directory)
        } else {
            Err(not_a_ledger(path, "it holds no database"))
        }
    }

    /// The ledger's directory at `path`, made if there is nothing there.
    pub(super) fn prepare(path: &Path) -> Result<Self, LedgerError> {
        make(path)?;
        Self::at(path)
    }

    fn at(path: &Path) -> Result<Self, LedgerError> {
        let metadata = look(path)?;
        if metadata.is_symlink() {
            return Err(LedgerError::Linked { path: path.into() });
        }
        if !metadata.is_dir() {
            return Err(not_a_ledger(path, "it is a file"));
        }
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(LedgerError::Exposed {
                path: path.into(),
                mode,
            });
        }
        let canonical = fs::canonicalize(path).map_err(|e| LedgerError::io("resolve the path", path, e))?;
        let opened = File::open(&canonical).map_err(|e| LedgerError::io("open", &canonical, e))?;
        let directory = Self {
            path: canonical,
            identity: Identity::of(&metadata),
            opened,
        };
        directory.check_file_system()?;
        directory.check_contents()?;
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the files of the living are.
    pub(super) fn live(&self) -> PathBuf {
        self.file(LIVE)
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens one of our own files (never SQLite's, the log excepted) for reading and writing.
    pub(super) fn open(&self, name: &str, create: bool) -> Result<File, LedgerError> {
        let path = self.file(name);
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(|e| LedgerError::io("open", &path, e))
    }

    /// Whether a database was begun here; it may still be blank.
    pub(super) fn has_database(&self) -> bool {
        self.file(DATABASE).symlink_metadata().is_ok()
    }

    pub(super) fn is_empty(&self) -> Result<bool, LedgerError> {
        match fs::read_dir(&self.path) {
            Ok(mut entries) => Ok(entries.next().is_none()),
            Err(error) => Err(LedgerError::io("read the directory", &self.path, error)),
        }
    }

    /// Makes every entry so far durable.
    pub(super) fn sync(&self) -> Result<(), LedgerError> {
        sync(&self.path)
    }

    /// Makes the directory of liveness files, and then it and every other entry durable. It is made last: where it is,
    /// the directory's own name was made durable before, whoever made that and whatever became of him.
    pub(super) fn complete(&self) -> Result<(), LedgerError> {
        let live = self.live();
        if live.symlink_metadata().is_err() {
            self.sync_name()?;
            make(&live)?;
        }
        self.sync()
    }

    /// A private folder in it, made if there is none; its name is durable.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, LedgerError> {
        let folder = self.file(name);
        make(&folder)?;
        if !look(&folder)?.is_dir() {
            return Err(LedgerError::Linked { path: folder });
        }
        // Also of a folder that is there: whoever made it may not have lived to do this.
        self.sync()?;
        Ok(folder)
    }

    fn sync_name(&self) -> Result<(), LedgerError> {
        let Some(parent) = self.path.parent() else {
            return Ok(());
        };
        match sync(parent) {
            // One that may be entered but not read is synced with everything else.
            Err(LedgerError::Unwritable { .. }) => File::open(&self.path)
                .and_then(|directory| syncfs(directory).map_err(io::Error::from))
                .map_err(|e| LedgerError::io("sync the file system of", &self.path, e)),
            synced => synced,
        }
    }

    /// Refuses a link, a file with a second name, and a file mounted over one of ours: each would give the same ledger
    /// two sets of locks, or one name two ledgers.
    pub(super) fn check_links(&self) -> Result<(), LedgerError> {
        for name in FILES {
            self.check_link(name, |metadata| metadata.is_file() && metadata.nlink() == 1)?;
        }
        self.check_link(LIVE, Metadata::is_dir)?;
        // A file in their place is nobody else's folder, and keeps nobody from opening the ledger.
        self.check_link(CHECKPOINTS, |metadata| !metadata.is_symlink())?;
        self.check_link(seals::FOLDER, |metadata| !metadata.is_symlink())
    }

    /// Refuses what stands under this name if it is not what it should be, or elsewhere.
    fn check_link(&self, name: &str, is_right: impl Fn(&Metadata) -> bool) -> Result<(), LedgerError> {
        let path = self.file(name);
        match path.symlink_metadata() {
            Ok(metadata) if is_right(&metadata) && !self.is_elsewhere(&path, &metadata)? => Ok(()),
            Ok(_) => Err(LedgerError::Linked { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(LedgerError::io("look at", &path, error)),
        }
    }

    /// Whether something is mounted at this path, so that others may see another file there.
    fn is_elsewhere(&self, path: &Path, metadata: &Metadata) -> Result<bool, LedgerError> {
        Ok(metadata.dev() != self.identity.device || is_mount(path)?)
    }

    fn check_file_system(&self) -> Result<(), LedgerError> {
        let unknown = |error: rustix::io::Errno| LedgerError::io("look at", &self.path, error.into());
        let magic = fstatfs(&self.opened).map_err(unknown)?.f_type;
        // The kernel's word is signed on some machines; the numbers are not.
        #[allow(
            clippy::useless_conversion,
            reason = "the width of the kernel's word depends on the machine"
        )]
        let magic = u64::try_from(magic).unwrap_or(0) & 0xFFFF_FFFF;
        if ADMITTED.iter().any(|(admitted, _)| *admitted == magic) {
            Ok(())
        } else {
            Err(LedgerError::UnsupportedFileSystem {
                path: self.path.clone(),
                magic,
            })
        }
    }

    /// A directory without our files must be empty, else it belongs to somebody else; one with a database has its gate,
    /// because the gate is made first.
    fn check_contents(&self) -> Result<(), LedgerError> {
        if self.has_database() {
            return match look(&self.file(GATE)) {
                Ok(_) => self.check_links(),
                Err(_) => Err(not_a_ledger(&self.path, "its gate is missing")),
            };
        }
        let unreadable = |error| LedgerError::io("read the directory", &self.path, error);
        for entry in fs::read_dir(&self.path).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let ours = FILES.iter().chain([&LIVE]).any(|file| *file == name);
            if !ours {
                return Err(not_a_ledger(&self.path, "it holds other files and no ledger"));
            }
        }
        self.check_links()
    }
}

/// Makes a private directory if there is nothing.
fn make(directory: &Path) -> Result<(), LedgerError> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(LedgerError::io("create the directory", directory, error))
        }
        _ => Ok(()),
    }
}

/// Makes a directory's entries durable.
pub(super) fn sync(directory: &Path) -> Result<(), LedgerError> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(|e| LedgerError::io("sync the directory", directory, e))
}

fn look(path: &Path) -> Result<Metadata, LedgerError> {
    path.symlink_metadata()
        .map_err(|e| LedgerError::io("look at", path, e))
}

/// Whether a file of its own is mounted at `path`.
fn is_mount(path: &Path) -> Result<bool, LedgerError> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    match statx(CWD, path, flags, StatxFlags::BASIC_STATS) {
        Ok(stat) => Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(rustix::io::Errno::NOSYS) => Ok(false),
        Err(error) => Err(LedgerError::io("look at", path, error.into())),
    }
}

fn not_a_ledger(path: &Path, reason: &str) -> LedgerError {
    LedgerError::NotALedger {
        path: path.into(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn who_is_on_the_wrong_file_system_is_told_every_right_one() {
        let refused = LedgerError::UnsupportedFileSystem {
            path: PathBuf::from("here"),
            magic: 0x9FA0,
        };
        for (_, name) in ADMITTED {
            assert!(refused.to_string().contains(name), "{name}");
        }
    }
}
