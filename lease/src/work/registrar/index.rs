//! Finding slots by text: hash tables that hold keys only, the text being in the slot.
//!
//! Each entry keeps half of its hash, so that a table grows, and looks past strangers, without reading a slot. Hashes
//! are keyed at random for each state: who names leases cannot aim at one bucket.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher as _;

use super::slab::Key;

/// A hash of text, to be handed to the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash(u32);

impl Hash {
    /// The table takes its bucket from the low bits and its tag from the high ones: give both something of the half.
    const fn spread(self) -> u64 {
        (self.0 as u64) << 32 | self.0 as u64
    }
}

/// What hashes all texts of one state.
#[derive(Clone, Debug, Default)]
pub(super) struct Hasher(DefaultHashBuilder);

impl Hasher {
    pub(super) fn hash(&self, text: &str) -> Hash {
        let hash = self.0.hash_one(text);
        #[allow(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
        Hash((hash ^ hash >> 32) as u32)
    }
}

/// Values under texts that are found through a key.
#[derive(Clone, Debug)]
pub(super) struct Table<V>(HashTable<(Hash, V)>);

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self(HashTable::new())
    }
}

impl<V: Copy> Table<V> {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self(HashTable::with_capacity(capacity))
    }

    /// The value of which `is_it` holds.
    pub(super) fn find(&self, hash: Hash, mut is_it: impl FnMut(V) -> bool) -> Option<V> {
        self.0
            .find(hash.spread(), |(entry, value)| *entry == hash && is_it(*value))
            .map(|(_, value)| *value)
    }

    pub(super) fn find_mut(&mut self, hash: Hash, mut is_it: impl FnMut(V) -> bool) -> Option<&mut V> {
        self.0
            .find_mut(hash.spread(), |(entry, value)| *entry == hash && is_it(*value))
            .map(|(_, value)| value)
    }

    /// Adds a value that is not in the table.
    pub(super) fn insert(&mut self, hash: Hash, value: V) {
        self.0
            .insert_unique(hash.spread(), (hash, value), |(entry, _)| entry.spread());
    }

    pub(super) fn remove(&mut self, hash: Hash, mut is_it: impl FnMut(V) -> bool) {
        let found = self
            .0
            .find_entry(hash.spread(), |(entry, value)| *entry == hash && is_it(*value));
        if let Ok(found) = found {
            found.remove();
        }
    }
}

/// A table from text to slot.
pub(super) type Keys = Table<Key>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_hash_are_told_apart() {
        let (hash, mut table) = (Hash(7), Table::default());
        for value in [1, 2, 3] {
            table.insert(hash, value);
        }
        *table.find_mut(hash, |value| value == 2).unwrap() = 9;
        table.remove(hash, |value| value == 3);
        table.remove(hash, |value| value == 4);
        let left: Vec<_> = [1, 2, 3, 9]
            .into_iter()
            .filter(|sought| table.find(hash, |value| value == *sought) == Some(*sought))
            .collect();
        assert_eq!(left, [1, 9]);
        assert_eq!(table.find(Hash(8), |_| true), None);
        assert!(table.find_mut(Hash(8), |_| true).is_none());
        table.remove(Hash(8), |_| true);
        assert!(table.find(hash, |_| true).is_some());
    }

    #[test]
    fn a_table_that_grows_keeps_every_value() {
        let mut table = Table::default();
        for value in 0..10_000 {
            table.insert(Hash(value / 2), value);
        }
        for value in 0..10_000 {
            assert_eq!(table.find(Hash(value / 2), |found| found == value), Some(value));
        }
    }
}
