//! A ledger keeps its promises when the power is cut.
//!
//! Several processes work on a ledger under `strace`, which notes every change to a file with its bytes, every sync,
//! and every promise that a process passed on to the world. From that trace follows, for each moment, what is certainly
//! on the disk and what may have been lost; [`disk`] and [`cut`] say which disks are imagined. Images of such disks are
//! drawn at random, opened, and held to what was promised before the cut.
//!
//! What is assumed of a disk: a sync that succeeds tells the truth; a sector of 512 bytes is written whole or not at
//! all, and a write damages no sector beside it. What is not assumed: any order between writes, lengths, names, or files
//! before they are synced, also where real file systems keep one.
//!
//! `POWERCUT_IMAGES` says how many images are drawn of each load, `POWERCUT_SEED` which.

#[cfg(test)]
mod cut;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod survivors;
#[cfg(test)]
mod trace;

#[cfg(test)]
mod tests {
    use std::{
        path::{Path, PathBuf},
        process::Command,
        sync::LazyLock,
    };

    use tempfile::TempDir;

    use crate::{
        cut::{Dice, image},
        disk::Disk,
        survivors::{History, Promises, examine, history},
        trace::{Call, Event, record},
    };

    /// Which syncs a disk does not do.
    type Lie = fn(&Call) -> bool;

    fn setting(name: &str, otherwise: u64) -> u64 {
        std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
    }

    /// A place in memory, where syncs cost nothing, if there is one with enough room.
    fn place() -> TempDir {
        static PARENT: LazyLock<PathBuf> = LazyLock::new(|| {
            let memory = Path::new("/dev/shm");
            let room = Command::new("df")
                .args(["--output=avail", "-k"])
                .arg(memory)
                .output();
            let room = room.ok().and_then(|said| String::from_utf8(said.stdout).ok());
            let room = room.and_then(|said| said.lines().last()?.trim().parse::<u64>().ok());
            if room.is_some_and(|kibibytes| kibibytes > 1 << 20) {
                memory.into()
            } else {
                std::env::temp_dir()
            }
        });
        tempfile::tempdir_in(&*PARENT).unwrap()
    }

    /// What was done to a ledger, and what was in it in the end.
    struct Recording {
        events: Vec<Event>,
        history: History,
    }

    impl Recording {
        fn of(load: &str) -> Option<Self> {
            let root = place();
            let mut program = Command::new(env!("CARGO_BIN_EXE_powercut-load"));
            let events = record(root.path(), program.arg(load).arg(root.path()))?;
            let history = history(root.path());
            println!("{load}: {} events, {} records", events.len(), history.len());
            Some(Self { events, history })
        }

        /// Cuts the power `count` times, and tells what was broken then.
        fn cut(&self, count: u64, is_lie: Lie) -> Vec<String> {
            let weight = |event: &Event| match event {
                // Most is at stake around syncs and promises, and where names change.
                Event::Begin(_, Call::Write { .. } | Call::SetLength { .. }) => 1,
                Event::End { .. } | Event::Begin(..) => 8,
            };
            let total: u64 = self.events.iter().map(weight).sum();
            let seed = setting("POWERCUT_SEED", 1);
            let mut dice = Dice(seed);
            let (mut disk, mut promises) = (Disk::new(is_lie), Promises::default());
            let (mut broken, mut due) = (Vec::new(), 0);
            for (position, event) in self.events.iter().enumerate() {
                disk.follow(event);
                if let Event::Begin(_, Call::Say { line }) = event {
                    promises.hear(line);
                }
                // `count` images in all, spread by weight.
                due += weight(event) * count;
                while due >= total {
                    due -= total;
                    let drawn = dice.0;
                    if let Err(what) = try_image(&disk, &mut dice, &promises, &self.history) {
                        broken.push(format!("after event {position}, dice {drawn:#x}: {what}"));
                    }
                }
            }
            broken
        }
    }

    fn try_image(disk: &Disk, dice: &mut Dice, promises: &Promises, history: &History) -> Result<(), String> {
        let place = place();
        let root = place.path().join("image");
        image(disk, dice, &root);
        examine(&root, promises, history)
    }

    fn honest(_: &Call) -> bool {
        false
    }

    fn nothing_is_lost(load: &str) {
        if let Some(recording) = Recording::of(load) {
            nothing_of_it_is_lost(load, &recording);
        }
    }

    fn nothing_of_it_is_lost(load: &str, recording: &Recording) {
        let count = setting("POWERCUT_IMAGES", 30);
        let broken = recording.cut(count, honest);
        println!("{load}: {count} power cuts, {} promises broken", broken.len());
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }

    #[test]
    fn a_power_cut_while_a_ledger_is_founded_and_leased_from_breaks_no_promise() {
        nothing_is_lost("founding");
    }

    #[test]
    fn a_power_cut_while_the_log_moves_into_the_database_breaks_no_promise() {
        nothing_is_lost("filling");
    }

    #[test]
    fn a_power_cut_during_a_backup_breaks_no_promise() {
        nothing_is_lost("copying");
    }

    #[test]
    fn a_power_cut_while_history_is_sealed_breaks_no_promise() {
        nothing_is_lost("sealing");
    }

    #[test]
    fn a_power_cut_while_many_share_their_syncs_breaks_no_promise() {
        let Some(recording) = Recording::of("crowding") else {
            return;
        };
        let is_shared = |event: &&Event| match event {
            Event::Begin(_, Call::Write { path, .. }) => path.ends_with("syncs"),
            _ => false,
        };
        let shared = recording.events.iter().filter(is_shared).count();
        println!("crowding: {shared} syncs are counted for others");
        assert!(shared > 0);
        nothing_of_it_is_lost("crowding", &recording);
    }

    /// The images can show losses: each kind of sync is missed if it is left out.
    #[test]
    fn on_a_disk_that_only_claims_to_sync_promises_are_broken() {
        let lies: [(&str, Lie); 3] = [
            ("the syncs of the log", |call| {
                matches!(call, Call::Sync { data: true, .. })
            }),
            (
                "the syncs of names",
                |call| matches!(call, Call::Sync { path, .. } if is_directory(path)),
            ),
            ("all syncs", |call| matches!(call, Call::Sync { .. })),
        ];
        let Some(recording) = Recording::of("founding") else {
            return;
        };
        let count = setting("POWERCUT_IMAGES", 30);
        for (lie, is_lie) in lies {
            let broken = recording.cut(count, is_lie);
            println!(
                "without {lie}: {count} power cuts, {} broke promises",
                broken.len()
            );
            assert!(!broken.is_empty(), "{lie} are not missed");
        }
    }

    fn is_directory(path: &Path) -> bool {
        path.as_os_str().is_empty() || path.extension().is_some_and(|extension| extension == "lease")
    }
}
