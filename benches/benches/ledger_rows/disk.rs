//! The disk alone: a page and `fdatasync`, over and over, in the same rounds as everything else.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// A file that is synced.
#[derive(Debug)]
pub(crate) struct Disk {
    file: File,
    pages: u64,
}

impl Disk {
    const PAGE: [u8; 4096] = [7; 4096];

    pub(crate) fn new(path: &Path) -> Self {
        Self {
            file: File::create(path).expect("a file"),
            pages: 0,
        }
    }

    /// Syncs a second, one page at a time, each behind the last.
    pub(crate) fn rate(&mut self, duration: Duration) -> f64 {
        let start = Instant::now();
        let mut count = 0_u32;
        while start.elapsed() < duration {
            let at = self.pages * Self::PAGE.len() as u64;
            self.file.write_all_at(&Self::PAGE, at).expect("room");
            self.file.sync_data().expect("a sync");
            self.pages += 1;
            count += 1;
        }
        f64::from(count) / start.elapsed().as_secs_f64()
    }
}
