//! One sync for the commits of several processes.
//!
//! A sync covers what was written before it began, whoever wrote it. So syncs that ended well are counted in a file that
//! all processes share. Whoever finds nobody syncing syncs, and counts it; the others look now and then. One that runs when
//! somebody asks may have begun before what he wrote, the one after it has not: so he waits until two more are counted than
//! there were. The count stands there with a checksum: one that was read while it was written is no count.
//!
//! Nobody's word counts but that of a sync that went well. Who fails, or dies, or is stopped while he syncs, counts nothing:
//! the next one does, and whoever has waited too long syncs for himself, for a while without asking the others.
//!
//! While somebody looks now and then he does nothing else. Among few that costs more than the sync; among many the
//! processors have other things to do, and are spared most of the syncs.

use std::{
    fs::{File, TryLockError},
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

use crate::sync::{Mutex, lock, thread};

/// How long the looks at somebody else's sync are apart: so long that mostly one is enough.
const PAUSE: Duration = Duration::from_micros(300);

/// How many records others append between two appends of this process where syncs are shared: below, there are too few.
const MANY: u64 = 5;

/// How long somebody else's sync is waited for: many times what one takes on a disk where sharing is worth it.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long the others are not asked after they were waited for in vain.
const SULK: Duration = Duration::from_secs(1);

/// Shares syncs with the other processes that have this file open.
#[derive(Debug)]
pub(super) struct Convoy {
    file: File,
    crowd: Mutex<Crowd>,
    /// Until when the others are not asked.
    alone: Mutex<Option<Instant>>,
}

impl Convoy {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            crowd: Mutex::default(),
            alone: Mutex::new(None),
        }
    }

    /// Takes note that this process has appended everything behind the record `before`, up to `last`.
    pub(super) fn appended(&self, before: u64, last: u64) {
        lock(&self.crowd).appended(before, last);
    }

    /// Returns when a `sync` that began after this call has ended well: this process's own, or, and then this is true,
    /// another's.
    ///
    /// # Errors
    ///
    /// What this process's own said.
    pub(super) fn sync<E>(&self, sync: impl Fn() -> Result<(), E>) -> Result<bool, E> {
        if !lock(&self.crowd).is_many() || self.is_alone() {
            return sync().map(|()| false);
        }
        let asked = Instant::now();
        let mut needed = None;
        loop {
            match self.file.try_lock() {
                Ok(()) => {
                    let synced = if self.has_counted(needed) {
                        Ok(true)
                    } else {
                        self.lead(&sync)
                    };
                    // Fails only for a descriptor that cannot be locked, and this one was.
                    let _ = self.file.unlock();
                    return synced;
                }
                Err(TryLockError::WouldBlock) if asked.elapsed() < PATIENCE => {}
                Err(_) => {
                    *lock(&self.alone) = Some(Instant::now() + SULK);
                    return sync().map(|()| false);
                }
            }
            // Where there is nothing to count from, no count will do.
            needed = needed.or_else(|| self.read()?.checked_add(2));
            thread::sleep(PAUSE);
            if self.has_counted(needed) {
                return Ok(true);
            }
        }
    }

    /// Syncs, and counts it.
    fn lead<E>(&self, sync: impl Fn() -> Result<(), E>) -> Result<bool, E> {
        sync()?;
        // If it cannot be written, everybody syncs for himself.
        let count = Count(self.read().unwrap_or(0).wrapping_add(1));
        let _ = self.file.write_all_at(&count.encode(), 0);
        Ok(false)
    }

    fn is_alone(&self) -> bool {
        let mut alone = lock(&self.alone);
        *alone = alone.filter(|until| Instant::now() < *until);
        alone.is_some()
    }

    fn has_counted(&self, needed: Option<u64>) -> bool {
        needed.is_some_and(|needed| self.read().is_some_and(|count| count >= needed))
    }

    /// The count, if there is one.
    fn read(&self) -> Option<u64> {
        let mut entry = [0; Count::LENGTH];
        self.file.read_exact_at(&mut entry, 0).ok()?;
        Count::decode(&entry).map(|Count(count)| count)
    }
}

/// How much others do, seen from one process.
#[derive(Debug, Default)]
struct Crowd {
    /// The last record of this process.
    last: u64,
    /// How many records others have appended between two appends, in eighths; the last eight weigh most.
    met: u64,
}

impl Crowd {
    fn appended(&mut self, before: u64, last: u64) {
        // Who has been away for long has not met all of them at once.
        let others = before.saturating_sub(self.last).min(4 * MANY);
        self.met = self.met - self.met / 8 + others;
        self.last = last;
    }

    const fn is_many(&self) -> bool {
        self.met >= 8 * MANY
    }
}

/// How many syncs have ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count(u64);

impl Count {
    const LENGTH: usize = 16;

    fn encode(self) -> [u8; Self::LENGTH] {
        let mut entry = [0; Self::LENGTH];
        entry[..8].copy_from_slice(&self.0.to_le_bytes());
        entry[8..].copy_from_slice(&self.checksum().to_le_bytes());
        entry
    }

    fn decode(entry: &[u8; Self::LENGTH]) -> Option<Self> {
        let (words, _) = entry.as_chunks::<8>();
        let count = Self(u64::from_le_bytes(words[0]));
        (u64::from_le_bytes(words[1]) == count.checksum()).then_some(count)
    }

    /// No two counts that follow each other, or any mixture of their bytes, have the same.
    fn checksum(self) -> u64 {
        // SplitMix64.
        let word = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
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

    /// A convoy as each of many processes has it.
    fn processes<const COUNT: usize>() -> [Arc<Convoy>; COUNT] {
        let path = std::env::temp_dir().join(format!("lease-convoy-{}", crate::work::random::hex::<8>()));
        let open = || {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true).truncate(false);
            options.open(&path).unwrap()
        };
        let all = [(); COUNT].map(|()| Arc::new(Convoy::new(open())));
        std::fs::remove_file(path).unwrap();
        for one in &all {
            lock(&one.crowd).met = 8 * MANY;
        }
        all
    }

    fn write(convoy: &Convoy, count: u64) {
        convoy.file.write_all_at(&Count(count).encode(), 0).unwrap();
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
    fn only_among_many_are_the_others_asked() {
        let [one] = processes();
        *lock(&one.crowd) = Crowd::default();
        // Each time, so many others have appended one record before this process appends one.
        let mut last = 0;
        let mut count_after = |others: u64| {
            for _ in 0..40 {
                let before = last + others;
                last = before + 1;
                one.appended(before, last);
            }
            one.sync(WELL).unwrap();
            one.read()
        };
        assert_eq!(count_after(0), None);
        assert_eq!(count_after(3), None);
        assert_eq!(count_after(7), Some(1));
        assert_eq!(count_after(7), Some(2));
        assert_eq!(count_after(1), Some(2));
        // Who comes back after a long time is not among many yet.
        one.appended(last + 1_000_000, last + 1_000_001);
        assert!(!lock(&one.crowd).is_many());
    }

    #[test]
    fn the_first_sync_that_begins_after_the_question_serves_it() {
        // Who is not asked in time needs a sync of his own, which is allowed; so it is tried until one is.
        let is_served = (0..200).any(|_| {
            let [leader, follower] = processes();
            leader.file.try_lock().unwrap();
            write(&leader, 1);
            let asking = thread::spawn(move || follower.sync(WELL));
            thread::sleep(Duration::from_millis(2));
            // The one that was running, and the one after it.
            write(&leader, 2);
            write(&leader, 3);
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
        assert_eq!(other.read(), Some(1), "it is counted");
    }

    #[test]
    fn a_sync_that_failed_serves_nobody_but_the_next_one_does() {
        let [one, other] = processes();
        assert_eq!(one.sync(|| Err("worn out")), Err("worn out"));
        assert_eq!(other.read(), None);
        assert_eq!(other.sync(|| Err("worn out too")), Err("worn out too"));
        assert_eq!(one.sync(|| Ok::<_, &str>(())), Ok(false));
        assert_eq!(other.read(), Some(1));
    }

    #[test]
    fn whoever_is_stopped_while_he_syncs_stops_nobody_else() {
        let [stopped, other] = processes();
        stopped.file.try_lock().unwrap();
        write(&stopped, 6);
        let asked = Instant::now();
        assert_eq!(other.sync(WELL), Ok(false));
        assert!(asked.elapsed() < Duration::from_secs(10));
        assert!(other.is_alone(), "it does not wait each time");
    }

    #[test]
    fn what_a_power_cut_left_in_the_file_serves_nobody() {
        for count in [0, 5, u64::MAX - 1, u64::MAX] {
            let [one, other] = processes();
            write(&one, count);
            assert_eq!(one.sync(WELL), Ok(false), "{count}");
            assert_eq!(one.read(), Some(count.wrapping_add(1)));
            // Also not somebody who has to wait for the one before him.
            write(&one, count);
            one.file.try_lock().unwrap();
            let waiting = thread::spawn(move || other.sync(WELL));
            thread::sleep(4 * PAUSE);
            one.file.unlock().unwrap();
            assert_eq!(waiting.join().unwrap(), Ok(false), "{count}");
        }
        let [one] = processes();
        one.file.write_all_at(&[0xFF; Count::LENGTH], 0).unwrap();
        assert_eq!(one.read(), None);
        assert_eq!(one.sync(WELL), Ok(false));
        assert_eq!(one.read(), Some(1));
    }

    #[test]
    fn a_count_that_is_read_while_it_is_written_is_none() {
        for count in [0, 1, 255, 65_535, u64::from(u32::MAX), u64::MAX] {
            let pair = [count, count.wrapping_add(1)].map(|count| Count(count).encode());
            for cut in 1..Count::LENGTH {
                for (first, second) in [(pair[0], pair[1]), (pair[1], pair[0])] {
                    let mut torn = first;
                    torn[cut..].copy_from_slice(&second[cut..]);
                    let is_whole = torn == pair[0] || torn == pair[1];
                    assert_eq!(Count::decode(&torn).is_some(), is_whole);
                }
            }
        }
    }
}
