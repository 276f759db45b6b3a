//! Which regions meet a given one: the interior index.
//!
//! Every region is filed under the one or two *granules* it touches, and the size of a granule follows the size of the
//! region: 64 bytes, then sixteen times more for each class. So a page-sized buffer and a mapped file each cost two
//! entries, regions that do not overlap fill a granule with few entries, and asking about an address costs one look-up
//! for each class in use (four on a bad day). Nothing here orders the regions, so every growth is one that can fail
//! politely; an ordered map's cannot.
//!
//! Asking about a region looks at the granules it spans, or, where those are more than the entries, at all entries
//! once: O(min(size / 64, entries)) at worst.

use std::ops::ControlFlow;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::hash::AddressHash;

/// A span of addresses, both ends included, so that the last byte of the address space can be in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) first: usize,
    pub(super) last: usize,
}

impl Region {
    /// The region of `size` bytes, which are not none. One that would pass the end of the address space ends there.
    pub(super) fn new(address: usize, size: usize) -> Self {
        debug_assert!(size > 0, "an empty region meets nothing and is not stored");
        Self {
            first: address,
            last: address.saturating_add(size.saturating_sub(1)),
        }
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// No memory for another entry.
#[derive(Debug)]
pub(super) struct NoRoom;

/// Files slots by the regions they stand for.
#[derive(Debug, Default)]
pub(super) struct RegionIndex {
    granules: HashMap<usize, SmallVec<[Entry; 2]>, AddressHash>,
    /// How many regions each class has; what is zero need not be looked at.
    counts: [usize; CLASSES],
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    region: Region,
    slot: usize,
}

const CLASSES: usize = 15;
/// How far an address is shifted to name its granule in each class.
const GRANULE_BITS: [u32; CLASSES] = [6, 10, 14, 18, 22, 26, 30, 34, 38, 42, 46, 50, 54, 58, 62];
/// The low bits of a granule's key, which say its class.
const CLASS_BITS: u32 = 4;

/// The smallest class whose granule is at least as large as the region.
fn class_of(region: Region) -> usize {
    let bits = usize::BITS - (region.last - region.first).leading_zeros();
    GRANULE_BITS
        .iter()
        .position(|&granule| bits <= granule)
        .unwrap_or(CLASSES - 1)
}

/// The granule of `class` that `address` lies in. The shift leaves room for the class below it.
const fn granule(class: usize, address: usize) -> usize {
    match address.checked_shr(GRANULE_BITS[class]) {
        Some(number) => (number << CLASS_BITS) | class,
        None => class,
    }
}

/// The granules of `class` from the region's first to its last.
fn granules(class: usize, region: Region) -> impl Iterator<Item = usize> + Clone {
    (granule(class, region.first)..=granule(class, region.last)).step_by(1 << CLASS_BITS)
}

impl RegionIndex {
    /// Makes room for `additional` regions, as `Vec::reserve` does.
    pub(super) fn reserve(&mut self, additional: usize) {
        self.granules.reserve(additional.saturating_mul(2));
    }

    /// Files `slot` under `region`; on failure nothing is filed.
    pub(super) fn insert(&mut self, region: Region, slot: usize) -> Result<(), NoRoom> {
        let class = class_of(region);
        for granule in granules(class, region) {
            if self.file(granule, Entry { region, slot }).is_err() {
                self.unfile(class, region, slot);
                return Err(NoRoom);
            }
        }
        self.counts[class] += 1;
        Ok(())
    }

    /// Takes back what `insert` filed.
    pub(super) fn remove(&mut self, region: Region, slot: usize) {
        let class = class_of(region);
        self.unfile(class, region, slot);
        self.counts[class] -= 1;
    }

    fn file(&mut self, granule: usize, entry: Entry) -> Result<(), NoRoom> {
        self.granules.try_reserve(1).map_err(|_| NoRoom)?;
        let entries = self.granules.entry(granule).or_default();
        entries.try_reserve(1).map_err(|_| NoRoom)?;
        entries.push(entry);
        Ok(())
    }

    fn unfile(&mut self, class: usize, region: Region, slot: usize) {
        for granule in granules(class, region) {
            if let Some(entries) = self.granules.get_mut(&granule) {
                entries.retain(|entry| entry.slot != slot);
                if entries.is_empty() {
                    self.granules.remove(&granule);
                }
            }
        }
    }

    /// Calls `visit` once for every filed slot whose region meets `wanted`, in no order, until it breaks.
    pub(super) fn search<B>(
        &self,
        wanted: Region,
        mut visit: impl FnMut(usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut look = |class: usize, here: usize, entries: &[Entry]| {
            let met = entries.iter().filter(|entry| entry.region.meets(wanted));
            // A region in two granules is seen in the first of them that `wanted` touches.
            let mut once = met.filter(|entry| here == granule(class, entry.region.first.max(wanted.first)));
            once.try_for_each(|entry| visit(entry.slot))
        };
        let mut too_many = [false; CLASSES];
        for class in (0..CLASSES).filter(|&class| self.counts[class] > 0) {
            let spanned = granules(class, wanted);
            if spanned.clone().nth(self.granules.len()).is_some() {
                too_many[class] = true;
                continue;
            }
            for here in spanned {
                if let Some(entries) = self.granules.get(&here) {
                    look(class, here, entries)?;
                }
            }
        }
        if too_many.contains(&true) {
            for (&here, entries) in &self.granules {
                let class = here % (1 << CLASS_BITS);
                if too_many[class] {
                    look(class, here, entries)?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(index: &RegionIndex, address: usize, size: usize) -> Vec<usize> {
        let mut slots = Vec::new();
        let _: ControlFlow<()> = index.search(Region::new(address, size), |slot| {
            slots.push(slot);
            ControlFlow::Continue(())
        });
        slots.sort_unstable();
        slots
    }

    #[test]
    fn a_region_of_any_size_costs_at_most_two_entries() {
        for bits in 0..62 {
            for size in [1 << bits, (1 << bits) + 1] {
                for address in [64, 4095, (1 << bits) - 1, 0x7f3a_5550_1230] {
                    let mut index = RegionIndex::default();
                    index
                        .insert(Region::new(address, size), 7)
                        .expect("there is memory");
                    let entries: usize = index.granules.values().map(SmallVec::len).sum();
                    assert!(entries <= 2, "{size} bytes at {address:#x}: {entries} entries");
                    index.remove(Region::new(address, size), 7);
                    assert!(index.granules.is_empty() && index.counts == [0; CLASSES]);
                }
            }
        }
    }

    #[test]
    fn the_ends_of_the_address_space_can_be_filed() {
        let mut index = RegionIndex::default();
        let regions = [(0, 1), (usize::MAX, 1), (usize::MAX - 100, 1000), (1, usize::MAX)];
        for (slot, (address, size)) in regions.into_iter().enumerate() {
            index
                .insert(Region::new(address, size), slot)
                .expect("there is memory");
        }
        assert_eq!(met(&index, 0, 1), [0]);
        assert_eq!(met(&index, usize::MAX, 1), [1, 2, 3]);
        assert_eq!(met(&index, 1, 1), [3]);
        assert_eq!(met(&index, 0, usize::MAX), [0, 2, 3]);
        for (slot, (address, size)) in regions.into_iter().enumerate() {
            index.remove(Region::new(address, size), slot);
        }
        assert!(index.granules.is_empty());
    }

    #[test]
    fn a_wide_question_meets_every_entry_once() {
        let mut index = RegionIndex::default();
        for slot in 0..500 {
            index
                .insert(Region::new(slot * 40, 40), slot)
                .expect("there is memory");
        }
        index
            .insert(Region::new(10, 1 << 20), 500)
            .expect("there is memory");
        let all: Vec<_> = (0..=500).collect();
        assert_eq!(met(&index, 0, 1 << 40), all);
        assert_eq!(met(&index, 0, 500 * 40), all);
        assert_eq!(met(&index, 79, 2), [1, 2, 500]);
    }
}
