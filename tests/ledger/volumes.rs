//! File systems of a test's own, which can be filled, fail and turn read-only.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// A small file system of its own, unmounted in the end.
pub(crate) struct Volume(tempfile::TempDir);

impl Volume {
    /// `None`, and a line that says so, where mounting is not allowed.
    pub(crate) fn of(size: &str) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=700");
        let mount = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        if run(Command::new("mount").args(mount).arg(place.path())) {
            Some(Self(place))
        } else {
            eprintln!("skipped: this process may not mount a file system");
            None
        }
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.path().join("jobs.lease")
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn remount(&self, option: &str) {
        let option = format!("remount,{option}");
        // Busy for as long as a child that another test is starting holds copies of this process's descriptors.
        let mut tries = 0..100;
        while !run(Command::new("mount").args(["-o", &option]).arg(self.0.path())) {
            assert!(tries.next().is_some(), "{option}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Takes all the room that is left; removing the file gives it back.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.0.path().join("ballast");
        let mut ballast = fs::File::create(&path).unwrap();
        while ballast.write_all(&[1; 4096]).is_ok() {}
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(self.0.path()));
    }
}

pub(crate) fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// An ext4 in a file on a tmpfs.
///
/// Without a journal it is a thin volume: once the tmpfs is full, the ext4 takes writes for which there is no room below, fails
/// the next sync, and calls the one after that a success. (With a journal it turns read-only at once.)
pub(crate) struct ThinVolume {
    pub(crate) below: Volume,
    place: tempfile::TempDir,
}

impl ThinVolume {
    /// Room for so many mebibytes; the file system believes in twice as many.
    pub(crate) fn new(room: u64) -> Option<Self> {
        Self::formatted(room, "^has_journal")
    }

    /// The same with a journal.
    pub(crate) fn journaled(room: u64) -> Option<Self> {
        Self::formatted(room, "has_journal")
    }

    fn formatted(room: u64, feature: &str) -> Option<Self> {
        let below = Volume::of(&format!("{room}m"))?;
        let image = below.0.path().join("image");
        let place = tempfile::tempdir().unwrap();
        fs::File::create(&image).unwrap().set_len(room << 21).unwrap();
        let format = ["-q", "-m", "0", "-O", feature];
        if !run(Command::new("mkfs.ext4").args(format).arg(&image)) {
            eprintln!("skipped: there is no mkfs.ext4");
            return None;
        }
        let volume = Self { below, place };
        if volume.mount() {
            Some(volume)
        } else {
            eprintln!("skipped: this process may not mount a loop device");
            None
        }
    }

    fn mount(&self) -> bool {
        let image = self.below.0.path().join("image");
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(image)
            .arg(self.place.path()))
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.place.path().join("jobs.lease")
    }

    /// Mounts it with other options where it is, and says whether the kernel did.
    pub(crate) fn change(&self, options: &str) -> bool {
        let options = format!("remount,{options}");
        run(Command::new("mount")
            .args(["-o", &options])
            .arg(self.place.path()))
    }

    /// Forgets what is only in memory, as far as that can be done without cutting the power.
    pub(crate) fn remount(&self) {
        let mut tries = 0..100;
        while !run(Command::new("umount").arg(self.place.path())) {
            assert!(tries.next().is_some());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(self.mount());
    }
}

impl Drop for ThinVolume {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(self.place.path()));
    }
}

/// Whether system calls can be made to fail; if not, a line that says so.
pub(crate) fn may_trace() -> bool {
    let may = run(Command::new("strace").args(["-o", "/dev/null", "true"]));
    if !may {
        eprintln!("skipped: strace is missing or may not trace");
    }
    may
}
