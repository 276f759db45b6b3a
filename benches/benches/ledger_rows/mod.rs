//! The rows, the rooms they run in, and the core that is kept busy beside them.

mod commits;
mod contestant;
mod disk;
mod history;
mod peer;
mod plain;
mod processes;
mod replaying;
mod report;
mod resident;
mod section;
mod takeover;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

pub(crate) use self::resident::Counting;

/// Runs what is asked for; in a process that a row has started, its part of that row.
pub(crate) fn run() {
    if processes::is_one_of_them() {
        return processes::take_part();
    }
    if takeover::is_holder() {
        return takeover::hold();
    }
    let room = Room::new();
    report::head(&room.file_system());
    let _busy = Spinner::start();
    let mut missed = commits::run(&room);
    section::run(&room);
    missed += replaying::run(&room);
    missed += resident::run();
    missed += takeover::run(&room);
    println!("{missed} targets missed");
}

/// A folder on a real disk, emptied before and after.
#[derive(Debug)]
pub(crate) struct Room(PathBuf);

impl Room {
    fn new() -> Self {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ledger-bench-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the target folder can be written");
        Self(folder)
    }

    /// A path that no other row uses.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Gives the disk back what is at this path.
    pub(crate) fn clear(&self, name: &str) {
        let _ = fs::remove_dir_all(self.path(name));
    }

    /// What it lies on, as the kernel calls it.
    fn file_system(&self) -> String {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let folder = self.0.canonicalize().unwrap_or_default();
        mounts
            .lines()
            .filter_map(|mount| {
                let mut fields = mount.split(' ').skip(1);
                Some((fields.next()?, fields.next()?))
            })
            .filter(|(place, _)| folder.starts_with(place))
            .max_by_key(|(place, _)| place.len())
            .map_or_else(
                || "an unknown file system".to_owned(),
                |(_, kind)| kind.to_owned(),
            )
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Keeps one core busy: on an idle virtual machine a sync costs many times what it costs on a busy one.
#[derive(Debug)]
struct Spinner {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Spinner {
    fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut turns = 0_u64;
            while !seen.load(Ordering::Relaxed) {
                turns = black_box(turns.wrapping_add(1));
            }
        });
        Self {
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
