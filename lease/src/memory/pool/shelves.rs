//! Shelves: free slots of a large bounded pool, spread over a few locks.
//!
//! A bounded pool must not leave free slots where a thread in need cannot get at them, so it has no magazines. If it is
//! large, its threads have shelves instead: each takes from and gives to one of them, and only what does not fit goes to
//! the store. Who finds the store empty looks at all shelves; who waits empties them, after saying so: a release that
//! finds somebody waiting leaves the shelf alone and hands its slot over through the store.
//!
//! A slot is marked free and shelved under the shelf's lock. Nobody who holds a shelf's lock asks for the store's; the other
//! way round is fine. Who takes all shelves' locks takes them in their order, and has the store's.

use crossbeam_utils::CachePadded;

use super::segment::SlotPtr;
use crate::sync::{Mutex, MutexGuard, lock};

/// How many threads go without sharing a shelf.
const COUNT: usize = if cfg!(any(loom, shuttle)) { 2 } else { 16 };

/// One shelf.
#[derive(Debug)]
pub(super) struct Shelf {
    slots: Vec<SlotPtr>,
    /// The most slots it may have; 0 while it may not be used.
    limit: usize,
}

impl Shelf {
    pub(super) fn pop(&mut self) -> Option<SlotPtr> {
        self.slots.pop()
    }

    /// Room for one more slot; false if there is none.
    pub(super) fn make_room(&mut self) -> bool {
        self.slots.len() < self.limit
            && self
                .slots
                .try_reserve_exact(self.limit - self.slots.len())
                .is_ok()
    }

    /// Puts a slot there, for which room was made.
    pub(super) fn push(&mut self, slot: SlotPtr) {
        debug_assert!(self.slots.len() < self.slots.capacity());
        self.slots.push(slot);
    }

    /// Moves slots from a list until the shelf is half full.
    pub(super) fn fill_from(&mut self, free: &mut Vec<SlotPtr>) {
        let wanted = (self.limit / 2).saturating_sub(self.slots.len()).min(free.len());
        if wanted > 0 && self.make_room() {
            self.slots.extend(free.drain(free.len() - wanted..));
        }
    }

    /// Moves slots to a list that has room for them, until the shelf is half full at most.
    pub(super) fn spill_into(&mut self, free: &mut Vec<SlotPtr>) {
        let surplus = self.slots.len().saturating_sub(self.limit / 2);
        free.extend(self.slots.drain(..surplus));
    }
}

/// The shelves of a pool.
#[derive(Debug)]
pub(super) struct Shelves([CachePadded<Mutex<Shelf>>; COUNT]);

impl Shelves {
    pub(super) fn new() -> Self {
        let shelf = |_| {
            CachePadded::new(Mutex::new(Shelf {
                slots: Vec::new(),
                limit: 0,
            }))
        };
        Self(std::array::from_fn(shelf))
    }

    /// Sets the limit of all shelves; they are empty.
    pub(super) fn open(&self, limit: usize) {
        self.each(|shelf| shelf.limit = limit);
    }

    /// Lets no slot in any more, and forgets those that are there. A release that comes too late for the shelf sees what the
    /// caller does to its slot after this.
    pub(super) fn close(&self) {
        self.each(|shelf| {
            shelf.limit = 0;
            shelf.slots = Vec::new();
        });
    }

    /// Forgets all slots.
    pub(super) fn clear(&self) {
        self.each(|shelf| shelf.slots.clear());
    }

    /// The shelf of a thread.
    pub(super) fn of(&self, home: usize) -> MutexGuard<'_, Shelf> {
        lock(&self.0[home % COUNT])
    }

    /// A slot from any shelf.
    pub(super) fn pop_any(&self) -> Option<SlotPtr> {
        (0..COUNT).find_map(|home| self.of(home).pop())
    }

    /// A slot from any shelf, if there is one on any of them at one moment.
    pub(super) fn pop_any_at_once(&self) -> Option<SlotPtr> {
        let mut shelves = self.0.each_ref().map(|shelf| lock(shelf));
        shelves.iter_mut().find_map(|shelf| shelf.pop())
    }

    /// Moves all slots to a list that has room for them.
    pub(super) fn unload_into(&self, free: &mut Vec<SlotPtr>) {
        self.each(|shelf| free.append(&mut shelf.slots));
    }

    fn each(&self, mut work: impl FnMut(&mut Shelf)) {
        (0..COUNT).for_each(|home| work(&mut self.of(home)));
    }
}
