//! Per-thread magazines: arrays of free slots that a thread takes from and gives back to without asking anyone.
//!
//! Each thread has one magazine per pool it uses, found by the pool's number in a table. A magazine that runs empty is
//! half filled from the pool's store, one that runs full is half emptied into it, under the store's lock; each time it
//! grows, from 64 to 512 slots, so that the lock is paid for by ever more operations in ever larger bursts. A slot that
//! is released on another thread than it was acquired on finds its way home in those batches.
//!
//! A magazine is tagged with the identity of the pool its slots belong to. When the pool ends, or gives its memory back,
//! the identity changes and the magazine is stale: its slots are not used again. Two rules make that safe:
//!
//! - A release compares the tag *before* it marks its slot free. Whoever ends a pool changes the identity after it has
//!   seen every slot free or counted it, so a slot cannot enter a magazine of a later identity.
//! - After the slot is marked free, a release touches nothing but the thread's own memory.
//!
//! When the thread ends, its magazines go to their stores. After that, destructors of other thread-locals go straight to
//! the store.
//!
//! A release and a pool's end may still miss each other by a moment; see [`Shared::settle`] for how they make it up.
//!
//! No user code runs while a magazine is borrowed.

use std::cell::{Cell, UnsafeCell};
use std::mem::{self, ManuallyDrop};

use super::control_word::{Return, Word};
use super::error::AcquireError;
use super::segment::SlotPtr;
use super::shared::Shared;
use super::store::Growth;

/// The size of a thread's first magazine for a pool.
const FIRST: usize = 64;
/// The size up to which magazines grow.
pub(super) const LARGEST: usize = 512;

/// The tag of a magazine that was never used; no pool has this identity.
const UNTAGGED: u64 = u64::MAX;

/// One thread's free slots of one pool.
struct Magazine {
    tag: u64,
    /// Set with the first tag; the pool's number, so this, never changes for a place in the table.
    shared: Option<&'static Shared>,
    /// Has room for `limit` slots.
    slots: Vec<SlotPtr>,
    limit: usize,
}

impl Magazine {
    const fn new() -> Self {
        Self {
            tag: UNTAGGED,
            shared: None,
            slots: Vec::new(),
            limit: 0,
        }
    }

    /// Doubles the magazine, up to what the pool allows. Without memory it stays as it is.
    fn grow(&mut self, largest: usize) {
        let limit = (self.limit * 2).clamp(FIRST.min(largest), largest);
        if limit > self.limit && self.slots.try_reserve_exact(limit - self.slots.len()).is_ok() {
            self.limit = limit;
        }
    }

    /// Empties the magazine, to be settled once it is no longer borrowed.
    fn unload(&mut self) -> Load {
        let load = Load {
            tag: self.tag,
            shared: self.shared,
            slots: mem::take(&mut self.slots),
        };
        self.tag = UNTAGGED;
        self.limit = 0;
        load
    }

    fn is_stale(&self) -> bool {
        self.tag != UNTAGGED && self.shared.is_some_and(|shared| shared.id() != self.tag)
    }
}

/// What was in a magazine.
struct Load {
    tag: u64,
    shared: Option<&'static Shared>,
    slots: Vec<SlotPtr>,
}

impl Load {
    /// Hands the slots to whom they belong: the pool of the tag, if it still is. That may be the end of its storage, so
    /// a strategy may run.
    fn settle(self) {
        if let Some(shared) = self.shared
            && !self.slots.is_empty()
        {
            shared.settle(self.tag, self.slots);
        }
    }
}

/// One thread's magazines, by the number of the pool.
struct Cache {
    table: UnsafeCell<ManuallyDrop<Vec<Magazine>>>,
    state: Cell<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing to do at the thread's end yet.
    Idle,
    /// The thread's end will empty the magazines.
    Open,
    /// The thread has ended, as far as we are concerned.
    Closed,
}

impl Cache {
    const fn new() -> Self {
        Self {
            table: UnsafeCell::new(ManuallyDrop::new(Vec::new())),
            state: Cell::new(State::Idle),
        }
    }

    /// Runs `work` on the table.
    #[inline]
    fn table<R>(&self, work: impl FnOnce(&mut Vec<Magazine>) -> R) -> R {
        // SAFETY: the cache is its thread's own, and no `work` in this file calls back into a cache.
        work(unsafe { &mut *self.table.get() })
    }

    /// The magazine for this pool, if it has been used by this thread and is not stale.
    #[inline]
    fn current<'a>(table: &'a mut [Magazine], shared: &Shared) -> Option<&'a mut Magazine> {
        let magazine = table.get_mut(shared.number())?;
        (magazine.tag == shared.id()).then_some(magazine)
    }

    #[inline]
    fn pop(&self, shared: &Shared) -> Option<SlotPtr> {
        self.table(|table| Self::current(table, shared)?.slots.pop())
    }

    /// Takes a slot from the store, and more for the magazine.
    fn refill(&self, shared: &'static Shared) -> Result<SlotPtr, Result<Growth, AcquireError>> {
        self.tag(shared);
        self.table(|table| match Self::current(table, shared) {
            Some(magazine) => {
                magazine.grow(shared.largest_magazine());
                shared.take_from_store(&mut magazine.slots, magazine.limit / 2)
            }
            None => shared.take_from_store(&mut Vec::new(), 0),
        })
    }

    /// Takes a slot back whose payload and weak leases are gone; false if it has to go to the store.
    #[inline]
    fn give_back(&self, shared: &Shared, slot: SlotPtr, seen: Word) -> bool {
        self.table(|table| match Self::current(table, shared) {
            Some(magazine) if magazine.slots.len() < magazine.limit => {
                // SAFETY: the slot is in use, so its segment exists.
                match unsafe { slot.word() }.give_back(seen) {
                    Return::Free => {
                        magazine.slots.push(slot);
                        true
                    }
                    Return::Orphaned | Return::UsedUp => false,
                }
            }
            _ => false,
        })
    }

    /// Makes room for a slot that is about to be given back; false if there is to be none.
    fn make_room(&self, shared: &'static Shared) -> bool {
        self.tag(shared);
        self.table(|table| {
            let Some(magazine) = Self::current(table, shared) else {
                return false;
            };
            if magazine.slots.len() >= magazine.limit {
                magazine.grow(shared.largest_magazine());
            }
            if magazine.slots.len() >= magazine.limit {
                let keep = magazine.limit / 2;
                return shared.put_into_store(magazine.tag, &mut magazine.slots, keep);
            }
            true
        })
    }

    /// Tags this thread's magazine for the pool, if it may have one; settles what is stale.
    fn tag(&self, shared: &'static Shared) {
        let id = shared.id();
        if self.state.get() == State::Closed || shared.largest_magazine() == 0 || id == 0 {
            return;
        }
        if self.table(|table| Self::current(table, shared).is_some()) {
            return;
        }
        if self.state.get() == State::Idle {
            self.state.set(State::Open);
            if !at_exit() {
                return self.close();
            }
        }
        // Meeting a new pool is rare enough to look after all the others that have ended.
        let stale =
            |table: &mut Vec<Magazine>| table.iter_mut().find(|it| it.is_stale()).map(Magazine::unload);
        while let Some(load) = self.table(stale) {
            load.settle();
        }
        self.table(|table| {
            let number = shared.number();
            if table.len() <= number {
                if table.try_reserve(number + 1 - table.len()).is_err() {
                    return;
                }
                table.resize_with(number + 1, Magazine::new);
            }
            table[number].shared = Some(shared);
            table[number].tag = id;
        });
    }

    /// Settles this thread's magazine for a pool that has ended.
    fn settle(&self, shared: &Shared) {
        if let Some(load) = self.table(|table| table.get_mut(shared.number()).map(Magazine::unload)) {
            load.settle();
        }
    }

    /// Gives everything to the stores; from now on there are no magazines.
    fn close(&self) {
        self.state.set(State::Closed);
        while let Some(mut magazine) = self.table(Vec::pop) {
            magazine.unload().settle();
        }
        self.table(Vec::shrink_to_fit);
    }
}

/// A free slot of this thread's, which now belongs to the caller.
#[inline]
pub(super) fn pop(shared: &Shared) -> Option<SlotPtr> {
    with(|cache| cache.pop(shared))
}

/// A free slot of the store's, which now belongs to the caller; or what the store has to grow by first.
#[cold]
pub(super) fn refill(shared: &'static Shared) -> Result<SlotPtr, Result<Growth, AcquireError>> {
    with(|cache| cache.refill(shared))
}

/// Takes back a slot whose payload and weak leases are gone. Nothing of the pool may be touched after this.
///
/// # Safety
///
/// The caller owns the slot, it is one of this pool's, and it is not free; `seen` is its word as the caller has last seen it
/// since becoming the owner.
#[inline]
pub(super) unsafe fn give_back(shared: &'static Shared, slot: SlotPtr, seen: Word) {
    if !with(|cache| cache.give_back(shared, slot, seen)) {
        // SAFETY: the slot was not taken, so the caller's duties hold still.
        unsafe { give_back_slowly(shared, slot) };
    }
}

/// # Safety
///
/// As [`give_back`].
#[cold]
unsafe fn give_back_slowly(shared: &'static Shared, slot: SlotPtr) {
    // SAFETY: the slot is in use, so its segment exists.
    let seen = || unsafe { slot.word() }.read();
    if !with(|cache| cache.make_room(shared) && cache.give_back(shared, slot, seen())) {
        // SAFETY: the slot was not taken, so the caller's duties hold still.
        unsafe { shared.give_back(slot) };
    }
}

/// Settles this thread's magazine of a pool that has ended.
pub(super) fn settle(shared: &Shared) {
    with(|cache| cache.settle(shared));
}

#[cfg(not(any(loom, shuttle)))]
mod local {
    use std::ptr;

    use super::Cache;

    /// Empties the magazines when the thread ends. Apart from the cache, so that the cache itself needs no destructor:
    /// it is there for other thread-locals' destructors, and reaching it costs nothing.
    struct Exit;

    impl Drop for Exit {
        fn drop(&mut self) {
            CACHE.with(Cache::close);
        }
    }

    thread_local! {
        static CACHE: Cache = const { Cache::new() };
        static EXIT: Exit = const { Exit };
    }

    #[inline]
    pub(super) fn with<R>(work: impl FnOnce(&Cache) -> R) -> R {
        // Only the address is taken inside `with`, which is then small enough to be inlined.
        let cache = CACHE.with(ptr::from_ref);
        // SAFETY: a thread-local without a destructor is there until its thread's very end, and this is its thread.
        work(unsafe { &*cache })
    }

    /// Has the magazines emptied when this thread ends; false if it is too late for that.
    pub(super) fn at_exit() -> bool {
        EXIT.try_with(|_| ()).is_ok()
    }
}

#[cfg(any(loom, shuttle))]
mod local {
    use super::Cache;

    impl Drop for Cache {
        fn drop(&mut self) {
            self.close();
        }
    }

    #[cfg(loom)]
    loom::thread_local! {
        static CACHE: Cache = Cache::new();
    }

    #[cfg(shuttle)]
    shuttle::thread_local! {
        static CACHE: Cache = Cache::new();
    }

    pub(super) fn with<R>(work: impl FnOnce(&Cache) -> R) -> R {
        CACHE.with(work)
    }

    /// The models' thread-locals have destructors of their own.
    pub(super) fn at_exit() -> bool {
        true
    }

    /// Ends this thread's part in the model: loom's `join` does not wait for destructors.
    #[cfg(all(test, loom))]
    pub(in super::super) fn end_thread() {
        CACHE.with(Cache::close);
    }
}

#[cfg(all(test, loom))]
pub(super) use local::end_thread;
use local::{at_exit, with};
