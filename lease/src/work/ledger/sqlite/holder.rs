//! Who holds the lock on a file, by the system's own word.
//!
//! It is asked only when somebody has waited in vain, so that nobody has to leave his name wherever he goes in: a write
//! each time would cost more than the lock does. The system names a process as the one who asks sees it, and does not
//! name one that he cannot see, such as one in another container.

use std::{fs, fs::File, os::unix::fs::MetadataExt as _, path::Path};

/// The process that holds an exclusive lock on `file`, which lies in `folder`.
pub(super) fn of(file: &File, folder: &Path) -> Option<u32> {
    let folder = File::open(folder).ok()?;
    // The system calls a file's device by a number that not every file system tells. That of a lock of our own shows it.
    folder.lock_shared().ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let (ours, inode) = (folder.metadata().ok()?.ino(), file.metadata().ok()?.ino());
    let us = std::process::id();
    let mut own = all(&locks).filter(|lock| lock.pid == us && lock.inode == ours);
    let device = own.next()?.device;
    let is_clear = own.all(|other| other.device == device);
    let mut holders =
        all(&locks).filter(|lock| lock.is_exclusive && lock.inode == inode && lock.device == device);
    holders.next().filter(|_| is_clear).map(|holder| holder.pid)
}

/// A lock on a whole file that somebody holds.
struct Held<'a> {
    is_exclusive: bool,
    pid: u32,
    device: &'a str,
    inode: u64,
}

/// Those that this text is about.
fn all(locks: &str) -> impl Iterator<Item = Held<'_>> {
    locks.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        // Those who still wait for one have an arrow before the kind.
        let [_, "FLOCK", _, mode, pid, place, ..] = fields.as_slice() else {
            return None;
        };
        let (device, inode) = place.rsplit_once(':')?;
        Some(Held {
            is_exclusive: *mode == "WRITE",
            pid: pid.parse().ok()?,
            device,
            inode: inode.parse().ok()?,
        })
    })
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn only_who_holds_the_whole_file_is_seen() {
        let text = "1: FLOCK  ADVISORY  WRITE 17 fe:00:4711 0 EOF\n\
                    1: -> FLOCK  ADVISORY  WRITE 18 fe:00:4711 0 EOF\n\
                    2: POSIX  ADVISORY  WRITE 19 fe:00:4711 120 120\n\
                    3: FLOCK  ADVISORY  READ 20 00:2d:4712 0 EOF\n\
                    4: FLOCK  ADVISORY  WRITE -1 fe:00:4711 0 EOF\n\
                    5: LEASE";
        let seen: Vec<_> = all(text)
            .map(|held| (held.is_exclusive, held.pid, held.device, held.inode))
            .collect();
        assert_eq!(seen, [(true, 17, "fe:00", 4711), (false, 20, "00:2d", 4712)]);
    }

    #[test]
    fn the_holder_of_a_lock_is_named_while_he_holds_it() {
        let folder = std::env::temp_dir().join(format!("lease-holder-{}", crate::work::random::hex::<8>()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("gate");
        let file = File::create(&path).unwrap();
        assert_eq!(of(&file, &folder), None);
        file.lock().unwrap();
        let other = File::open(&path).unwrap();
        assert_eq!(of(&other, &folder), Some(std::process::id()));
        file.unlock().unwrap();
        assert_eq!(of(&other, &folder), None);
        other.lock_shared().unwrap();
        assert_eq!(of(&file, &folder), None);
        fs::remove_dir_all(folder).unwrap();
    }
}
