//! Which leases are due: ends in order, coarsely.
//!
//! A calendar is a list of buckets by their first end, each a chain of slots in no order. A bucket is split when it has
//! too many of them, so whoever asks for what is due until some point looks through whole buckets that are due, and
//! through one that is so in part: as many steps as there are answers, plus one bucket, plus the way to it. Entering
//! costs a look at the last bucket when ends come in rising order, as they mostly do; leaving costs nothing but the
//! unlinking.

use std::collections::BTreeMap;

use super::slab::{Chain, Chained, Key, NONE, Slab, Slot};
use crate::work::tick::ClockId;

/// Which ticks can be compared: those of one clock and rate. `None` stands for the wall clock, which judges leases
/// without ticks.
pub(super) type Timebase = Option<(ClockId, u64)>;

/// How many slots a bucket has at most, unless they all have one end.
const BUCKET: usize = 64;

/// Which of a lease's ends a calendar goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The one that judges it: in ticks, if it has ticks.
    Judged,
    /// The one on the wall clock.
    Wall,
}

impl End {
    const fn chained(self) -> Chained {
        match self {
            Self::Judged => Chained::Due,
            Self::Wall => Chained::Wall,
        }
    }

    fn of(self, slot: &Slot) -> u64 {
        match (self, slot.lease.expires_at_tick) {
            (Self::Judged, Some(end)) => end.value,
            _ => slot.lease.expires_at,
        }
    }
}

#[derive(Clone, Debug)]
struct Bucket {
    /// No slot in it ends before this, and none of an earlier bucket ends at this or later.
    start: u64,
    /// No slot in it ends after this.
    latest: u64,
    chain: Chain,
    len: usize,
}

/// The ends of some slots.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    end: End,
    buckets: Vec<Bucket>,
    vacant: Vec<u32>,
    /// Buckets by their start.
    by_start: BTreeMap<u64, u32>,
    /// The bucket with the latest start; it alone stays when it is empty.
    last: u32,
}

impl Calendar {
    pub(super) const fn new(end: End) -> Self {
        Self {
            end,
            buckets: Vec::new(),
            vacant: Vec::new(),
            by_start: BTreeMap::new(),
            last: NONE,
        }
    }

    /// Whether no slot is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.by_start.values().all(|bucket| self.bucket(*bucket).len == 0)
    }

    /// Enters a slot that is in no bucket of this calendar.
    pub(super) fn enter(&mut self, slab: &mut Slab, key: Key) {
        let end = self.end.of(&slab[key]);
        let number = self.bucket_for(end);
        self.add(slab, number, key, end);
        let bucket = self.bucket(number);
        if bucket.len > BUCKET && bucket.start != bucket.latest {
            self.split(slab, number);
        }
    }

    /// Takes a slot out again.
    pub(super) fn leave(&mut self, slab: &mut Slab, key: Key) {
        let number = slab[key].buckets[self.end as usize];
        let chained = self.end.chained();
        let bucket = &mut self.buckets[number as usize];
        slab.unlink(&mut bucket.chain, chained, key);
        bucket.len -= 1;
        if bucket.len == 0 && number != self.last {
            self.by_start.remove(&bucket.start);
            self.vacant.push(number);
        }
    }

    /// The keys of the slots whose end is `until` or before, by end and then by token.
    pub(super) fn due(&self, slab: &Slab, until: u64) -> impl Iterator<Item = Key> {
        let chained = self.end.chained();
        self.by_start.range(..=until).flat_map(move |(_, number)| {
            let keys = slab.keys(self.bucket(*number).chain, chained);
            let mut due: Vec<_> = keys
                .map(|key| (self.end.of(&slab[key]), slab[key].lease.fencing_token, key))
                .filter(|(end, ..)| *end <= until)
                .collect();
            due.sort_unstable();
            due.into_iter().map(|(_, _, key)| key)
        })
    }

    fn bucket(&self, number: u32) -> &Bucket {
        &self.buckets[number as usize]
    }

    /// The bucket for this end, which has room for it or is split afterwards.
    fn bucket_for(&mut self, end: u64) -> u32 {
        let number = if self.last != NONE && self.bucket(self.last).start <= end {
            self.last
        } else {
            match self.by_start.range(..=end).next_back() {
                Some((_, number)) => *number,
                None => return self.open(end),
            }
        };
        let bucket = self.bucket(number);
        // Ends that rise fill bucket after bucket, and move nobody.
        if bucket.len >= BUCKET && bucket.latest < end {
            return self.open(end);
        }
        number
    }

    /// A new bucket that starts at `start`, where none does.
    fn open(&mut self, start: u64) -> u32 {
        let bucket = Bucket {
            start,
            latest: start,
            chain: Chain::EMPTY,
            len: 0,
        };
        let number = if let Some(number) = self.vacant.pop() {
            self.buckets[number as usize] = bucket;
            number
        } else {
            self.buckets.push(bucket);
            u32::try_from(self.buckets.len() - 1).expect("fewer buckets than slots")
        };
        self.by_start.insert(start, number);
        if self.last == NONE || self.bucket(self.last).start < start {
            // The one before is not empty, or it would have taken what this one is for.
            self.last = number;
        }
        number
    }

    fn add(&mut self, slab: &mut Slab, number: u32, key: Key, end: u64) {
        let bucket = &mut self.buckets[number as usize];
        slab.append(&mut bucket.chain, self.end.chained(), key);
        bucket.len += 1;
        bucket.latest = bucket.latest.max(end);
        slab[key].buckets[self.end as usize] = number;
    }

    /// Moves the later half of a bucket with several ends into one of its own.
    fn split(&mut self, slab: &mut Slab, number: u32) {
        let chained = self.end.chained();
        let mut ends: Vec<_> = slab
            .keys(self.bucket(number).chain, chained)
            .map(|key| (self.end.of(&slab[key]), key))
            .collect();
        ends.sort_unstable();
        let middle = ends[ends.len() / 2].0;
        // Slots of one end stay together, so the cut goes before the middle one's, or behind it if that is the first.
        let mut cut = ends.partition_point(|(end, _)| *end < middle);
        if cut == 0 {
            cut = ends.partition_point(|(end, _)| *end <= middle);
        }
        let bucket = &mut self.buckets[number as usize];
        bucket.latest = ends[cut - 1].0;
        let Some(&(start, _)) = ends.get(cut) else {
            // They have one end after all: from now on the bucket is for it alone.
            self.by_start.remove(&bucket.start);
            bucket.start = bucket.latest;
            self.by_start.insert(bucket.start, number);
            return;
        };
        let later = self.open(start);
        for (end, key) in ends.drain(cut..) {
            let bucket = &mut self.buckets[number as usize];
            slab.unlink(&mut bucket.chain, chained, key);
            bucket.len -= 1;
            self.add(slab, later, key, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::registrar::slab::tests::slot;

    /// A generator good enough to mix things up.
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *state >> 33
    }

    fn agrees(calendar: &Calendar, slab: &Slab, inside: &BTreeMap<u64, (u64, Key)>, until: u64) {
        let mut expected: Vec<_> = inside
            .iter()
            .filter(|(_, (end, _))| *end <= until)
            .map(|(token, (end, key))| (*end, *token, *key))
            .collect();
        expected.sort_unstable();
        let expected: Vec<_> = expected.into_iter().map(|(_, _, key)| key).collect();
        assert_eq!(
            calendar.due(slab, until).collect::<Vec<_>>(),
            expected,
            "until {until}"
        );
        assert_eq!(calendar.is_empty(), inside.is_empty());
    }

    #[test]
    fn whatever_enters_and_leaves_the_due_ones_are_those_that_end_by_then() {
        // Few ends and many, so that buckets of one end and of many are split, emptied and opened anew.
        for (ends, seed) in [(3, 1), (40, 2), (5_000, 3), (u64::MAX, 4)] {
            let (mut random, mut slab) = (seed, Slab::default());
            let mut calendar = Calendar::new(End::Judged);
            let mut inside = BTreeMap::new();
            for token in 0..3_000_u64 {
                let is_phase_of_leaving = token / 500 % 2 == 1;
                if next(&mut random) % 4 < if is_phase_of_leaving { 3 } else { 1 }
                    && let Some((&gone, &(_, key))) = inside
                        .iter()
                        .nth(usize::try_from(next(&mut random)).unwrap() % inside.len().max(1))
                {
                    calendar.leave(&mut slab, key);
                    slab.remove(key);
                    inside.remove(&gone);
                } else {
                    let end = (next(&mut random) << 31 ^ next(&mut random)) % ends;
                    let key = slab.insert(slot(token, end));
                    calendar.enter(&mut slab, key);
                    inside.insert(token, (end, key));
                }
                if token % 97 == 0 {
                    for until in [0, 1, ends / 3, ends / 2, ends, u64::MAX] {
                        agrees(&calendar, &slab, &inside, until);
                    }
                }
            }
        }
    }

    #[test]
    fn no_bucket_outgrows_its_size_but_one_of_a_single_end() {
        let mut slab = Slab::default();
        let mut calendar = Calendar::new(End::Wall);
        for token in 0..2_000 {
            let end = if token % 2 == 0 { 7 } else { token };
            let key = slab.insert(slot(token, end));
            calendar.enter(&mut slab, key);
        }
        for bucket in &calendar.buckets {
            assert!(
                bucket.len <= BUCKET || bucket.start == bucket.latest,
                "{bucket:?}"
            );
        }
        assert!(calendar.by_start.len() < 2_000 / BUCKET * 4);
    }

    /// It would be sorted anew for each that enters.
    #[test]
    fn a_bucket_that_came_to_have_one_end_is_one_for_it_alone() {
        let mut slab = Slab::default();
        let mut calendar = Calendar::new(End::Judged);
        let keys: Vec<_> = [3, 9]
            .into_iter()
            .chain([7; 200])
            .zip(0..)
            .map(|(end, token)| slab.insert(slot(token, end)))
            .collect();
        for key in &keys[..3] {
            calendar.enter(&mut slab, *key);
        }
        for key in &keys[..2] {
            calendar.leave(&mut slab, *key);
        }
        for key in &keys[3..] {
            calendar.enter(&mut slab, *key);
        }
        let [bucket] = &calendar.buckets[..] else {
            panic!("{:?}", calendar.buckets)
        };
        assert_eq!((bucket.start, bucket.latest, bucket.len), (7, 7, 200));
        assert_eq!(calendar.by_start.keys().collect::<Vec<_>>(), [&7]);
    }

    #[test]
    fn the_earliest_and_the_latest_end_are_ends_like_others() {
        let mut slab = Slab::default();
        let mut calendar = Calendar::new(End::Judged);
        let late = slab.insert(slot(1, u64::MAX));
        let early = slab.insert(slot(2, 0));
        calendar.enter(&mut slab, late);
        calendar.enter(&mut slab, early);
        assert_eq!(calendar.due(&slab, 0).collect::<Vec<_>>(), [early]);
        assert_eq!(calendar.due(&slab, u64::MAX).collect::<Vec<_>>(), [early, late]);
    }
}
