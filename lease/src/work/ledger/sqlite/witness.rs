//! Seeing that a ledger's files are still the ones that were opened.
//!
//! SQLite goes on with files that have lost their names, and a process that comes later finds others under them: then two
//! writers each have a log of their own, or the same log and an index each, and overwrite what the other was promised.
//! So before anything is appended, and again before anything is called durable, the names are looked at. A directory
//! whose own stamp is as it was has the names that it had, so mostly that is all that is looked at.

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::directory::{self, Directory, Identity};
use crate::{
    sync::{Mutex, lock},
    work::ledger::LedgerError,
};

/// How long the system may give the same time to two changes: many times what any of them does.
const SAME_TIME: Duration = Duration::from_secs(1);

/// The files on which writers have to agree.
const WATCHED: [&str; 4] = [
    directory::GATE,
    directory::DATABASE,
    directory::WAL,
    directory::SHM,
];

/// Which file was under each name when the ledger was opened.
#[derive(Debug)]
pub(super) struct Witness {
    directory: PathBuf,
    files: Vec<(PathBuf, Identity)>,
    /// The directory's stamp before all names were seen to be right, if a later change cannot have left it as it was.
    settled: Mutex<Option<Stamp>>,
}

/// What every change of a name in a directory changes, and which directory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    identity: Identity,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Witness {
    /// Takes note of the files as they are. Called under the gate, when all of them are there.
    pub(super) fn of(directory: &Directory) -> Result<Self, LedgerError> {
        let files = WATCHED.iter().map(|name| {
            let path = directory.file(name);
            let identity = Identity::at(&path).map_err(|error| LedgerError::io("look at", &path, error))?;
            Ok((path, identity))
        });
        Ok(Self {
            directory: directory.path().to_owned(),
            files: files.collect::<Result<_, LedgerError>>()?,
            settled: Mutex::new(None),
        })
    }

    /// The first name that is gone, or names another file by now.
    pub(super) fn disturbed(&self) -> Option<&Path> {
        let metadata = self.directory.symlink_metadata().ok();
        let stamp = metadata.as_ref().map(Stamp::of);
        let mut settled = lock(&self.settled);
        if stamp.is_some() && stamp == *settled {
            return None;
        }
        *settled = None;
        let now = SystemTime::now();
        let is_gone = |(path, identity): &&(PathBuf, Identity)| Identity::at(path).ok() != Some(*identity);
        let disturbed = self.files.iter().find(is_gone);
        if disturbed.is_none() {
            *settled = stamp.filter(|stamp| stamp.is_older_than(now));
        }
        disturbed.map(|(path, _)| path.as_path())
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            identity: Identity::of(metadata),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a change at `now` would be given another time.
    fn is_older_than(&self, now: SystemTime) -> bool {
        let (seconds, nanos) = self.changed;
        let (Ok(seconds), Ok(nanos)) = (seconds.try_into(), nanos.try_into()) else {
            return false;
        };
        let changed = UNIX_EPOCH + Duration::new(seconds, nanos);
        now.duration_since(changed).is_ok_and(|age| age > SAME_TIME)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::fs;

    use super::*;
    use crate::sync::thread;

    /// A witness of files that have been let alone for so long that their directory alone is looked at.
    fn settled() -> (PathBuf, Witness) {
        let path = std::env::temp_dir().join(format!("lease-witness-{}", crate::work::random::hex::<8>()));
        let directory = Directory::prepare(&path).unwrap();
        for name in WATCHED {
            fs::write(path.join(name), name).unwrap();
        }
        let witness = Witness::of(&directory).unwrap();
        assert_eq!(witness.disturbed(), None);
        assert_eq!(
            *lock(&witness.settled),
            None,
            "the directory was changed just now"
        );
        while lock(&witness.settled).is_none() {
            thread::sleep(Duration::from_millis(50));
            assert_eq!(witness.disturbed(), None);
        }
        (path, witness)
    }

    #[test]
    fn a_name_that_changes_hands_after_a_long_time_is_noticed() {
        let (path, witness) = settled();
        for name in WATCHED {
            let (file, away) = (path.join(name), path.join("away"));
            fs::rename(&file, &away).unwrap();
            fs::write(&file, name).unwrap();
            assert_eq!(witness.disturbed(), Some(file.as_path()));
            fs::rename(&away, &file).unwrap();
            assert_eq!(witness.disturbed(), None, "it is back");
        }
        fs::remove_file(path.join(directory::WAL)).unwrap();
        assert_eq!(witness.disturbed(), Some(path.join(directory::WAL).as_path()));
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_stamp_counts_only_once_a_change_would_be_given_another_time() {
        let path = std::env::temp_dir();
        let mut stamp = Stamp::of(&path.symlink_metadata().unwrap());
        stamp.changed = (1_000, 5);
        let at = |seconds, nanos| UNIX_EPOCH + Duration::new(seconds, nanos);
        assert!(stamp.is_older_than(at(1_001, 6)));
        assert!(!stamp.is_older_than(at(1_001, 5)));
        assert!(!stamp.is_older_than(at(1_000, 5)));
        assert!(
            !stamp.is_older_than(at(900, 0)),
            "the machine's clock was set back"
        );
        stamp.changed = (-1, 0);
        assert!(!stamp.is_older_than(at(1_000, 0)));
    }

    #[test]
    fn another_directory_under_the_same_name_is_noticed() {
        let (path, witness) = settled();
        let away = path.with_extension("away");
        fs::rename(&path, &away).unwrap();
        assert!(witness.disturbed().is_some());
        fs::remove_dir_all(away).unwrap();
    }
}
