//! One sync for the commits of several processes.
//!
//! A sync covers what was written before it began, whoever wrote it. So syncs are numbered in a file that all processes
//! share: whoever asks needs one whose number was not taken yet. Whoever finds nobody syncing takes the next number,
//! syncs, and notes that this number is done; the others look now and then whether theirs is. Both numbers stand in one
//! entry, with a checksum: one that was read while it was written is no entry.
//!
//! Nobody's word counts but that of a sync that went well. Who fails, or dies, or is stopped while it syncs, leaves its
//! number undone: the next one takes a later one, and whoever has waited too long syncs for himself, for a while without
//! asking the others.
//!
//! Asking takes two small writes and some looks, which is more than a sync of one's own costs where that is a matter of
//! microseconds: there everybody syncs for himself.

use std::{
    fs::{File, TryLockError},
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

use crate::sync::{Mutex, lock, thread};

/// How long the looks at somebody else's sync are apart.
const PAUSE: Duration = Duration::from_micros(50);

/// How long somebody else's sync is waited for: many times what one takes on a disk where sharing is worth it.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long a sync takes, at least, on a disk where sharing is worth it.
pub(super) const WORTH_SHARING: Duration = Duration::from_micros(500);

/// How long the others are not asked after they were waited for in vain, or were not needed.
const SULK: Duration = Duration::from_secs(1);

/// Shares syncs with the other processes that have this file open.
#[derive(Debug)]
pub(super) struct Convoy {
    file: File,
    worth_sharing: Duration,
    /// Until when the others are not asked.
    alone: Mutex<Option<Instant>>,
}

/// The numbers of the last sync that began and of the last that ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    begun: u64,
    ended: u64,
}

impl Convoy {
    /// A sync that takes less than `worth_sharing` is not shared.
    pub(super) fn new(file: File, worth_sharing: Duration) -> Self {
        Self {
            file,
            worth_sharing,
            alone: Mutex::new(None),
        }
    }

    /// Returns when a `sync` that began after this call has ended well: this process's own, or, and then this is true,
    /// another's.
    ///
    /// # Errors
    ///
    /// What this process's own said.
    pub(super) fn sync<E>(&self, sync: impl Fn() -> Result<(), E>) -> Result<bool, E> {
        let own = || {
            let began = Instant::now();
            sync()?;
            if began.elapsed() < self.worth_sharing {
                self.stay_alone();
            }
            Ok(false)
        };
        if self.is_alone() {
            return own();
        }
        // Where there is no entry to count from, no number will do.
        let needed = self.read().map_or(u64::MAX, Numbers::next);
        let asked = Instant::now();
        loop {
            match self.file.try_lock() {
                Ok(()) => {
                    let numbers = self.read().unwrap_or_default();
                    let is_done = numbers.ended >= needed;
                    let synced = if is_done {
                        Ok(true)
                    } else {
                        self.lead(numbers, own)
                    };
                    // Fails only for a descriptor that cannot be locked, and this one was.
                    let _ = self.file.unlock();
                    return synced;
                }
                Err(TryLockError::WouldBlock) if asked.elapsed() < PATIENCE => thread::sleep(PAUSE),
                Err(_) => {
                    self.stay_alone();
                    return own();
                }
            }
            if self.read().is_some_and(|numbers| numbers.ended >= needed) {
                return Ok(true);
            }
        }
    }

    /// Syncs under the next number.
    fn lead<E>(&self, last: Numbers, own: impl Fn() -> Result<bool, E>) -> Result<bool, E> {
        let begun = last.next();
        self.write(Numbers { begun, ..last });
        let synced = own()?;
        self.write(Numbers { begun, ended: begun });
        Ok(synced)
    }

    fn stay_alone(&self) {
        *lock(&self.alone) = Some(Instant::now() + SULK);
    }

    fn is_alone(&self) -> bool {
        let mut alone = lock(&self.alone);
        *alone = alone.filter(|until| Instant::now() < *until);
        alone.is_some()
    }

    /// The entry, if there is one.
    fn read(&self) -> Option<Numbers> {
        let mut entry = [0; Numbers::LENGTH];
        self.file.read_exact_at(&mut entry, 0).ok()?;
        Numbers::decode(&entry)
    }

    /// If it cannot be written, everybody syncs for himself.
    fn write(&self, numbers: Numbers) {
        let _ = self.file.write_all_at(&numbers.encode(), 0);
    }
}

impl Numbers {
    const LENGTH: usize = 24;

    /// The number of the next sync: above what ended, too, so that nothing that stands there can pass for it.
    fn next(self) -> u64 {
        self.begun.max(self.ended).saturating_add(1)
    }

    fn encode(self) -> [u8; Self::LENGTH] {
        let mut entry = [0; Self::LENGTH];
        entry[..8].copy_from_slice(&self.begun.to_le_bytes());
        entry[8..16].copy_from_slice(&self.ended.to_le_bytes());
        entry[16..].copy_from_slice(&self.checksum().to_le_bytes());
        entry
    }

    fn decode(entry: &[u8; Self::LENGTH]) -> Option<Self> {
        let (words, _) = entry.as_chunks::<8>();
        let numbers = Self {
            begun: u64::from_le_bytes(words[0]),
            ended: u64::from_le_bytes(words[1]),
        };
        (u64::from_le_bytes(words[2]) == numbers.checksum()).then_some(numbers)
    }

    /// No two entries that follow each other, or any mixture of their bytes, have the same.
    fn checksum(self) -> u64 {
        // SplitMix64's constants.
        let mix = |word: u64| {
            let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
        };
        mix(self.begun.wrapping_add(0x9E37_79B9_7F4A_7C15)) ^ mix(self.ended).rotate_left(32)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    /// A convoy as each of several processes has it.
    fn processes<const COUNT: usize>() -> [Arc<Convoy>; COUNT] {
        on_a_disk(Duration::ZERO)
    }

    /// The same on a disk where sharing is worth it from so long a sync on.
    fn on_a_disk<const COUNT: usize>(worth_sharing: Duration) -> [Arc<Convoy>; COUNT] {
        let path = std::env::temp_dir().join(format!("lease-convoy-{}", crate::work::random::hex::<8>()));
        let open = || {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true).truncate(false);
            options.open(&path).unwrap()
        };
        let all = [(); COUNT].map(|()| Arc::new(Convoy::new(open(), worth_sharing)));
        std::fs::remove_file(path).unwrap();
        all
    }

    const WELL: fn() -> Result<(), ()> = || Ok(());

    #[test]
    fn whoever_asks_while_a_sync_runs_is_served_by_a_later_one() {
        let [one, other] = processes();
        one.sync(WELL).unwrap();
        // 1: the first sync has begun; 2: the other one asks; 3: the first may end.
        let stage = Arc::new(AtomicUsize::new(0));
        let until = |stage: &AtomicUsize, reached| {
            while stage.load(SeqCst) < reached {
                thread::yield_now();
            }
        };
        let seen = Arc::clone(&stage);
        let leader = thread::spawn(move || {
            one.sync(|| {
                seen.store(1, SeqCst);
                until(&seen, 3);
                WELL()
            })
        });
        until(&stage, 1);
        let seen = Arc::clone(&stage);
        let follower = thread::spawn(move || {
            seen.store(2, SeqCst);
            other.sync(WELL)
        });
        until(&stage, 2);
        thread::sleep(Duration::from_millis(2));
        stage.store(3, SeqCst);
        assert_eq!(leader.join().unwrap(), Ok(false));
        assert_eq!(
            follower.join().unwrap(),
            Ok(false),
            "nobody else has synced since"
        );
    }

    #[test]
    fn those_who_wait_share_one_sync() {
        let [one, others @ ..] = processes::<5>();
        one.sync(WELL).unwrap();
        let syncs = Arc::new(AtomicUsize::new(0));
        let waiting = Mutex::new(Vec::new());
        let led = one.sync(|| {
            let asking = others.iter().cloned().map(|other| {
                let syncs = Arc::clone(&syncs);
                thread::spawn(move || {
                    other.sync(|| {
                        syncs.fetch_add(1, SeqCst);
                        WELL()
                    })
                })
            });
            lock(&waiting).extend(asking);
            // Time to ask; one that comes later needs a sync of its own, which is allowed.
            thread::sleep(Duration::from_millis(5));
            WELL()
        });
        assert_eq!(led, Ok(false));
        for other in lock(&waiting).drain(..) {
            other.join().unwrap().unwrap();
        }
        assert!(syncs.load(SeqCst) < 4, "{syncs:?}");
    }

    #[test]
    fn a_sync_that_takes_no_time_is_not_shared() {
        let [one, other] = on_a_disk(Duration::from_hours(1));
        let syncs = AtomicUsize::new(0);
        let sync = |convoy: &Convoy| {
            convoy.sync(|| {
                syncs.fetch_add(1, SeqCst);
                WELL()
            })
        };
        for count in 1..=5 {
            assert_eq!(sync(&one), Ok(false));
            assert_eq!(syncs.load(SeqCst), count);
        }
        assert!(one.is_alone() && !other.is_alone());
        let asked = one.read();
        assert_eq!(
            asked,
            Some(Numbers { begun: 1, ended: 1 }),
            "only the first asked"
        );
        // Whoever still asks is neither served nor hindered.
        assert_eq!(sync(&other), Ok(false));
        assert_eq!(sync(&one), Ok(false));
        // A sync that failed says nothing about the disk.
        let [one] = on_a_disk(Duration::from_hours(1));
        assert_eq!(one.sync(|| Err("worn out")), Err("worn out"));
        assert!(!one.is_alone());
    }

    #[test]
    fn the_first_sync_that_begins_after_the_question_serves_it() {
        // Who is not asked in time needs a sync of his own, which is allowed; so it is tried until one is.
        let is_served = (0..200).any(|_| {
            let [leader, follower] = processes();
            leader.file.try_lock().unwrap();
            leader.write(Numbers { begun: 1, ended: 1 });
            let asking = thread::spawn(move || follower.sync(WELL));
            thread::sleep(Duration::from_millis(2));
            leader.write(Numbers { begun: 2, ended: 1 });
            leader.write(Numbers { begun: 2, ended: 2 });
            let served = asking.join().unwrap();
            leader.file.unlock().unwrap();
            served == Ok(true)
        });
        assert!(is_served);
    }

    #[test]
    fn who_was_waited_for_in_vain_is_asked_again_after_a_while() {
        let [one, other] = processes();
        *lock(&one.alone) = Some(Instant::now());
        thread::sleep(Duration::from_millis(1));
        assert_eq!(one.sync(WELL), Ok(false));
        assert!(!one.is_alone());
        assert_eq!(
            other.read(),
            Some(Numbers { begun: 1, ended: 1 }),
            "it is numbered"
        );
    }

    #[test]
    fn a_sync_that_failed_serves_nobody_but_the_next_one_does() {
        let [one, other] = processes();
        assert_eq!(one.sync(|| Err("worn out")), Err("worn out"));
        assert_eq!(other.read(), Some(Numbers { begun: 1, ended: 0 }));
        assert_eq!(other.sync(|| Err("worn out too")), Err("worn out too"));
        assert_eq!(one.sync(|| Ok::<_, &str>(())), Ok(false));
    }

    #[test]
    fn whoever_is_stopped_while_he_syncs_stops_nobody_else() {
        let [stopped, other] = processes();
        stopped.file.try_lock().unwrap();
        stopped.write(Numbers { begun: 7, ended: 6 });
        let asked = Instant::now();
        assert_eq!(other.sync(WELL), Ok(false));
        assert!(asked.elapsed() < Duration::from_secs(10));
        assert!(other.is_alone(), "it does not wait each time");
    }

    #[test]
    fn what_a_power_cut_left_in_the_file_serves_nobody() {
        for (begun, ended) in [(5, 9), (0, u64::MAX - 1), (9, 5)] {
            let [one] = processes();
            one.write(Numbers { begun, ended });
            assert_eq!(one.sync(WELL), Ok(false), "{begun} {ended}");
        }
        let [one] = processes();
        one.file.write_all_at(&[0xFF; Numbers::LENGTH], 0).unwrap();
        assert_eq!(one.read(), None);
        assert_eq!(one.sync(WELL), Ok(false));
        assert_eq!(one.read(), Some(Numbers { begun: 1, ended: 1 }));
    }

    #[test]
    fn an_entry_that_is_read_while_it_is_written_is_none() {
        for begun in [1, 255, 65_535, u64::from(u32::MAX)] {
            let entries = [(begun, begun), (begun + 1, begun), (begun + 1, begun + 1)];
            let entries = entries.map(|(begun, ended)| Numbers { begun, ended }.encode());
            for pair in entries.windows(2) {
                for cut in 1..Numbers::LENGTH {
                    for (first, second) in [(pair[0], pair[1]), (pair[1], pair[0])] {
                        let mut torn = first;
                        torn[cut..].copy_from_slice(&second[cut..]);
                        let is_whole = torn == pair[0] || torn == pair[1];
                        assert_eq!(Numbers::decode(&torn).is_some(), is_whole);
                    }
                }
            }
        }
    }
}
