//! Where the leases lie: each in a slot that does not move, chained to those it has something in common with.
//!
//! A slot's number is its key in every index, so an index entry takes eight bytes and no copy of an id. Slots lie in
//! pages, so that growing moves nothing and doubles nothing. A chain runs through the slots themselves: entering and
//! leaving one takes constant time and no memory.

use std::ops::{Index, IndexMut};

use super::Lease;

/// The number of a slot.
pub(super) type Key = u32;

/// No slot.
pub(super) const NONE: Key = Key::MAX;

/// Slots in a page.
const PAGE: usize = 128;

/// A lease and its places in the chains.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) lease: Lease,
    /// On the lease's clock, when the record was written that issued or renewed it last, if it is active and that record
    /// had a tick of that clock.
    pub(super) sign_of_life: Option<u64>,
    links: [Link; CHAINS],
    /// The buckets of the calendars that it is in.
    pub(super) buckets: [u32; 2],
}

impl Slot {
    pub(super) const fn new(lease: Lease, sign_of_life: Option<u64>) -> Self {
        Self {
            lease,
            sign_of_life,
            links: [Link::OUT; CHAINS],
            buckets: [NONE; 2],
        }
    }
}

/// How many chains a slot may be in at once.
const CHAINS: usize = 5;

/// What the slots of a chain have in common.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chained {
    /// The leases of one actor.
    Actor,
    /// The active leases of one session.
    Session,
    /// All active leases.
    Active,
    /// A bucket of the calendar of those ends that judge.
    Due,
    /// A bucket of the calendar of wall-clock ends.
    Wall,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: Key,
    next: Key,
}

impl Link {
    const OUT: Self = Self {
        previous: NONE,
        next: NONE,
    };
}

/// The two ends of a chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    pub(super) first: Key,
    last: Key,
}

impl Chain {
    pub(super) const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
    };

    pub(super) const fn is_empty(self) -> bool {
        self.first == NONE
    }
}

/// All slots.
#[derive(Clone, Debug, Default)]
pub(super) struct Slab {
    pages: Vec<Vec<Option<Slot>>>,
    vacant: Vec<Key>,
    len: usize,
}

impl Slab {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Puts a slot somewhere; its key stays the same until it is removed.
    ///
    /// # Panics
    ///
    /// When there are 2^32 - 1 slots: at 500 bytes each, two terabytes.
    pub(super) fn insert(&mut self, slot: Slot) -> Key {
        self.len += 1;
        if let Some(key) = self.vacant.pop() {
            *self.place(key) = Some(slot);
            return key;
        }
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        let full = self.pages.len() - 1;
        let page = &mut self.pages[full];
        let key = Key::try_from(full * PAGE + page.len())
            .ok()
            .filter(|key| *key != NONE);
        page.push(Some(slot));
        key.expect("a slot for every lease")
    }

    /// Takes a slot out that is in no chain any more.
    pub(super) fn remove(&mut self, key: Key) -> Option<Lease> {
        let slot = self.place(key).take()?;
        self.len -= 1;
        self.vacant.push(key);
        Some(slot.lease)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.pages.iter().flatten().flatten()
    }

    fn place(&mut self, key: Key) -> &mut Option<Slot> {
        let key = key as usize;
        &mut self.pages[key / PAGE][key % PAGE]
    }

    /// Puts a slot at the end of a chain.
    pub(super) fn append(&mut self, chain: &mut Chain, chained: Chained, key: Key) {
        self[key].links[chained as usize] = Link {
            previous: chain.last,
            next: NONE,
        };
        match chain.last {
            NONE => chain.first = key,
            last => self[last].links[chained as usize].next = key,
        }
        chain.last = key;
    }

    /// Takes a slot out of the chain that it is in.
    pub(super) fn unlink(&mut self, chain: &mut Chain, chained: Chained, key: Key) {
        let Link { previous, next } = std::mem::replace(&mut self[key].links[chained as usize], Link::OUT);
        match previous {
            NONE => chain.first = next,
            previous => self[previous].links[chained as usize].next = next,
        }
        match next {
            NONE => chain.last = previous,
            next => self[next].links[chained as usize].previous = previous,
        }
    }

    /// The keys of a chain, from the first to the last.
    pub(super) fn keys(&self, chain: Chain, chained: Chained) -> impl Iterator<Item = Key> {
        let some = |key: Key| (key != NONE).then_some(key);
        std::iter::successors(some(chain.first), move |key| {
            some(self[*key].links[chained as usize].next)
        })
    }

    /// The leases of a chain.
    pub(super) fn chained(&self, chain: Chain, chained: Chained) -> Vec<&Lease> {
        self.keys(chain, chained).map(|key| &self[key].lease).collect()
    }
}

impl Index<Key> for Slab {
    type Output = Slot;

    fn index(&self, key: Key) -> &Slot {
        let key = key as usize;
        self.pages[key / PAGE][key % PAGE]
            .as_ref()
            .expect("indexes name slots that are taken")
    }
}

impl IndexMut<Key> for Slab {
    fn index_mut(&mut self, key: Key) -> &mut Slot {
        self.place(key)
            .as_mut()
            .expect("indexes name slots that are taken")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::work::registrar::LeaseState;

    /// A slot with an active lease, and nothing else to say.
    pub(in super::super) fn slot(token: u64, expires_at: u64) -> Slot {
        let lease = Lease {
            lease_id: String::new(),
            work_id: String::new(),
            actor_id: String::new(),
            state: LeaseState::Active,
            issued_at: 0,
            expires_at,
            issued_at_tick: None,
            expires_at_tick: None,
            registrar_signature: Vec::new(),
            renewal_count: 0,
            last_renewed_at: None,
            release_reason: None,
            revocation_reason: None,
            terminated_at: None,
            fencing_token: token,
            session_id: "".into(),
        };
        Slot::new(lease, None)
    }

    #[test]
    fn a_slot_that_was_left_is_taken_again() {
        let mut slab = Slab::default();
        let kept = slab.insert(slot(1, 1));
        for token in 2..1_000 {
            let key = slab.insert(slot(token, 1));
            assert_eq!(slab.len(), 2);
            assert_eq!(slab.remove(key).unwrap().fencing_token, token);
            assert!(slab.remove(key).is_none());
        }
        assert_eq!(slab[kept].lease.fencing_token, 1);
        assert_eq!((slab.len(), slab.pages.len(), slab.pages[0].len()), (1, 1, 2));
    }

    #[test]
    fn whoever_leaves_a_chain_leaves_the_others_in_order() {
        for gone in 0..3 {
            let (mut slab, mut chain) = (Slab::default(), Chain::EMPTY);
            let mut keys: Vec<_> = (0..3).map(|token| slab.insert(slot(token, 1))).collect();
            for key in &keys {
                slab.append(&mut chain, Chained::Active, *key);
            }
            slab.unlink(&mut chain, Chained::Active, keys.remove(gone));
            keys.push(slab.insert(slot(9, 1)));
            slab.append(&mut chain, Chained::Active, keys[2]);
            assert_eq!(slab.keys(chain, Chained::Active).collect::<Vec<_>>(), keys);
            for key in keys {
                slab.unlink(&mut chain, Chained::Active, key);
            }
            assert!(chain.is_empty() && slab.keys(chain, Chained::Active).next().is_none());
        }
    }
}
