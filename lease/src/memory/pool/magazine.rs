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
//! The magazines of a recycling pool have slots that keep their payload, and no others. Who ends or shrinks the pool
//! destroys payloads wherever their slots are, so that a slot may come out of such a magazine without one.
//!
//! No user code runs while a magazine is borrowed.

use std::cell::{Cell, UnsafeCell};
use std::mem::{self, ManuallyDrop};
use std::ptr;

use super::control_word::Word;
use super::error::AcquireError;
use super::segment::SlotPtr;
use super::shared::Shared;
use super::store::Growth;

/// The size of a thread's first magazine for a pool.
const FIRST: usize = 64;
/// The size up to which magazines grow.
pub(super) const LARGEST: usize = 512;

/// How many magazines a thread has at hand; pools with tags in a row do not get into each other's way.
const RECENT: usize = 8;

/// The tag of a magazine that was never used; no pool has this identity.
const UNTAGGED: u64 = u64::MAX;

/// The tag to ask for where there is no open pool; no pool has this identity, and no magazine this tag.
pub(super) const NO_POOL: u64 = u64::MAX - 1;

/// What the tags of recycling pools have beside the identity; no identity has it. So those who look for a free slot by
/// the identity alone, or for a place to leave one, pass these magazines by without looking at the slots.
const KEEPS: u64 = 1 << 63;

/// The tag of the magazines in which a pool with this identity has slots that keep their payload.
#[inline]
pub(super) const fn keeping(id: u64) -> u64 {
    id | KEEPS
}

/// One thread's free slots of one pool.
struct Magazine {
    tag: Cell<u64>,
    /// Has room for `limit` slots.
    slots: UnsafeCell<Vec<SlotPtr>>,
    limit: Cell<usize>,
    /// Set with the first tag; the pool's number, so this, never changes for a place in the table.
    shared: Cell<Option<&'static Shared>>,
}

impl Magazine {
    const fn new() -> Self {
        Self {
            tag: Cell::new(UNTAGGED),
            slots: UnsafeCell::new(Vec::new()),
            limit: Cell::new(0),
            shared: Cell::new(None),
        }
    }

    /// Runs `work` on the slots.
    #[inline]
    fn slots<R>(&self, work: impl FnOnce(&mut Vec<SlotPtr>) -> R) -> R {
        // SAFETY: the magazine is its thread's own, and no `work` in this file comes back to a magazine.
        work(unsafe { &mut *self.slots.get() })
    }

    fn pop(&self) -> Option<SlotPtr> {
        self.slots(Vec::pop)
    }

    fn is_full(&self) -> bool {
        self.slots(|slots| slots.len() >= self.limit.get())
    }

    /// Takes a slot back whose payload and weak leases are gone; false if it has to go elsewhere, and nothing happened.
    #[inline]
    fn take_back(&self, slot: SlotPtr, seen: Word) -> bool {
        self.slots(|slots| {
            let len = slots.len();
            if len >= self.limit.get() {
                return false;
            }
            // SAFETY: there is room for `limit` slots.
            let place = unsafe { slots.as_mut_ptr().add(len) };
            // SAFETY: the slot is in use, so its segment exists.
            if !unsafe { slot.word() }.give_back_plain(seen) {
                return false;
            }
            // SAFETY: the place is inside the list's memory.
            unsafe { place.write(slot) };
            // SAFETY: the slot was just written, and there is room for it.
            unsafe { slots.set_len(len + 1) };
            true
        })
    }

    /// Takes a slot back that keeps its payload; false if it has to go elsewhere, and nothing happened.
    fn keep(&self, slot: SlotPtr, seen: Word) -> bool {
        self.slots(|slots| {
            // SAFETY: the slot is in use, so its segment exists.
            let fits = slots.len() < self.limit.get() && unsafe { slot.word() }.give_back_kept(seen);
            if fits {
                // There is room for `limit` slots.
                slots.push(slot);
            }
            fits
        })
    }

    /// Doubles the magazine, up to what the pool allows. Without memory it stays as it is.
    fn grow(&self, largest: usize) {
        let limit = (self.limit.get() * 2).clamp(FIRST.min(largest), largest);
        let has_room = |slots: &mut Vec<_>| slots.try_reserve_exact(limit - slots.len()).is_ok();
        if limit > self.limit.get() && self.slots(has_room) {
            self.limit.set(limit);
        }
    }

    /// Empties the magazine, to be settled.
    fn unload(&self) -> Load {
        self.limit.set(0);
        Load {
            tag: self.tag.replace(UNTAGGED),
            shared: self.shared.get(),
            slots: self.slots(mem::take),
        }
    }

    fn is_stale(&self) -> bool {
        let tag = self.tag.get();
        tag != UNTAGGED && self.shared.get().is_some_and(|shared| shared.tag() != Some(tag))
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
    /// The magazine that was used last.
    last: Recent,
    /// Magazines that were used not long ago, each at the place that its tag says.
    recent: [Recent; RECENT],
    table: UnsafeCell<ManuallyDrop<Vec<Magazine>>>,
    state: Cell<State>,
    /// The thread's shelf in pools that have shelves.
    home: Cell<Option<usize>>,
}

/// A magazine of the table that was used not long ago, and its tag; or untagged.
struct Recent {
    tag: Cell<u64>,
    magazine: Cell<*const Magazine>,
}

impl Recent {
    const fn none() -> Self {
        Self {
            tag: Cell::new(UNTAGGED),
            magazine: Cell::new(ptr::null()),
        }
    }

    /// The magazine, if it has this tag.
    ///
    /// # Safety
    ///
    /// This is part of the cache that has the magazine. Nobody asks for `UNTAGGED`.
    #[inline]
    unsafe fn get(&self, tag: u64) -> Option<&Magazine> {
        if self.tag.get() != tag {
            return None;
        }
        // SAFETY: with a tag it is a magazine in the table; `forget_recent` comes before the table changes.
        Some(unsafe { &*self.magazine.get() })
    }

    fn set(&self, tag: u64, magazine: *const Magazine) {
        self.tag.set(tag);
        self.magazine.set(magazine);
    }
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
            last: Recent::none(),
            recent: [const { Recent::none() }; RECENT],
            table: UnsafeCell::new(ManuallyDrop::new(Vec::new())),
            state: Cell::new(State::Idle),
            home: Cell::new(None),
        }
    }

    /// Where to remember the magazine with this tag.
    #[inline]
    fn place(&self, tag: u64) -> &Recent {
        #[allow(clippy::cast_possible_truncation, reason = "only the low bits are used")]
        &self.recent[tag as usize % RECENT]
    }

    /// The magazine with this tag, if it was used not long ago.
    ///
    /// The last one comes first, although its place is one of the others: the tag takes long to load, and a processor that
    /// guesses the outcome of a comparison goes on without it, where an address made of it would have to wait.
    #[inline]
    fn recent(&self, tag: u64) -> Option<&Magazine> {
        // SAFETY: it is this cache's, and no pool has the tag `UNTAGGED`.
        if let Some(magazine) = unsafe { self.last.get(tag) } {
            return Some(magazine);
        }
        // SAFETY: as above.
        let magazine = unsafe { self.place(tag).get(tag) }?;
        self.last.set(tag, magazine);
        Some(magazine)
    }

    fn forget_recent(&self) {
        for recent in self.recent.iter().chain([&self.last]) {
            recent.set(UNTAGGED, ptr::null());
        }
    }

    /// The magazines.
    fn table(&self) -> &[Magazine] {
        // SAFETY: the cache is its thread's own, and the table only changes in `change_table`.
        unsafe { &*self.table.get() }
    }

    /// Runs `work` on the table while nobody looks at a magazine.
    fn change_table<R>(&self, work: impl FnOnce(&mut Vec<Magazine>) -> R) -> R {
        self.forget_recent();
        // SAFETY: the cache is its thread's own, callers have no magazine in hand, and no `work` in this file comes back.
        work(unsafe { &mut *self.table.get() })
    }

    /// The magazine for this pool, if it has been used by this thread and is not stale.
    fn find(&self, shared: &Shared) -> Option<&Magazine> {
        let magazine = self.table().get(shared.number())?;
        let tag = magazine.tag.get();
        if shared.tag() != Some(tag) {
            return None;
        }
        self.last.set(tag, magazine);
        self.place(tag).set(tag, magazine);
        Some(magazine)
    }

    /// The magazine for this pool, which is made if the thread may have one.
    fn find_or_tag(&self, shared: &'static Shared) -> Option<&Magazine> {
        if self.find(shared).is_none() {
            self.tag(shared);
        }
        self.find(shared)
    }

    /// Takes a slot from the magazine or the store, which then has more for the magazine.
    fn take(&self, shared: &'static Shared) -> Result<SlotPtr, Result<Growth, AcquireError>> {
        if shared.has_shelves() {
            return shared.take_from_shelf(self.home(shared));
        }
        if shared.keeps() {
            // Rather a slot without a payload: those of the magazine all have one.
            let stored = shared.take_from_store(&mut Vec::new(), 0);
            return stored.or_else(|growth| self.find(shared).and_then(Magazine::pop).ok_or(growth));
        }
        let Some(magazine) = self.find_or_tag(shared) else {
            return shared.take_from_store(&mut Vec::new(), 0);
        };
        if let Some(slot) = magazine.pop() {
            return Ok(slot);
        }
        magazine.grow(shared.largest_magazine());
        magazine.slots(|slots| shared.take_from_store(slots, magazine.limit.get() / 2))
    }

    /// Takes a slot that keeps a payload from the magazine or the store, which then has more for the magazine.
    fn take_kept(&self, shared: &'static Shared) -> Option<SlotPtr> {
        let Some(magazine) = self.find_or_tag(shared) else {
            return shared.take_kept(&mut Vec::new(), 0);
        };
        magazine.pop().or_else(|| {
            magazine.grow(shared.largest_magazine());
            magazine.slots(|slots| shared.take_kept(slots, magazine.limit.get() / 2))
        })
    }

    /// Takes a slot back; false if it has to go to the store.
    fn give_back(&self, shared: &'static Shared, slot: SlotPtr, seen: Word) -> bool {
        !shared.keeps()
            && self
                .with_room(shared)
                .is_some_and(|magazine| magazine.take_back(slot, seen))
    }

    /// Takes a slot back that keeps its payload; false if it has to go to the store.
    fn keep(&self, shared: &'static Shared, slot: SlotPtr, seen: Word) -> bool {
        self.with_room(shared)
            .is_some_and(|magazine| magazine.keep(slot, seen))
    }

    /// The magazine for this pool, if the thread may have one, after making room in it.
    fn with_room(&self, shared: &'static Shared) -> Option<&Magazine> {
        let magazine = self.find_or_tag(shared)?;
        if magazine.is_full() {
            magazine.grow(shared.largest_magazine());
        }
        if magazine.is_full() {
            let (tag, keep) = (magazine.tag.get(), magazine.limit.get() / 2);
            if !magazine.slots(|slots| shared.put_into_store(tag, slots, keep)) {
                return None;
            }
        }
        Some(magazine)
    }

    /// The thread's shelf.
    fn home(&self, shared: &Shared) -> usize {
        self.home.get().unwrap_or_else(|| {
            let home = shared.next_home();
            self.home.set(Some(home));
            home
        })
    }

    /// Tags this thread's magazine for the pool, if it may have one; settles what is stale.
    #[cold]
    fn tag(&self, shared: &'static Shared) {
        let Some(tag) = shared.tag() else {
            return;
        };
        if self.state.get() == State::Closed || shared.largest_magazine() == 0 {
            return;
        }
        if self.state.get() == State::Idle {
            self.state.set(State::Open);
            if !at_exit() {
                return self.close();
            }
        }
        // Meeting a new pool is rare enough to look after all the others that have ended.
        while let Some(stale) = self.table().iter().find(|magazine| magazine.is_stale()) {
            stale.unload().settle();
        }
        let number = shared.number();
        let has_place = self.change_table(|table| {
            let missing = (number + 1).saturating_sub(table.len());
            let has_room = table.try_reserve(missing).is_ok();
            if has_room && missing > 0 {
                table.resize_with(number + 1, Magazine::new);
            }
            has_room
        });
        if has_place {
            let magazine = &self.table()[number];
            magazine.shared.set(Some(shared));
            magazine.tag.set(tag);
        }
    }

    /// Settles this thread's magazine for a pool that has ended.
    fn settle(&self, shared: &Shared) {
        self.forget_recent();
        if let Some(magazine) = self.table().get(shared.number()) {
            magazine.unload().settle();
        }
    }

    /// Gives everything to the stores; from now on there are no magazines.
    fn close(&self) {
        self.state.set(State::Closed);
        while let Some(magazine) = self.change_table(Vec::pop) {
            magazine.unload().settle();
        }
        self.change_table(Vec::shrink_to_fit);
    }
}

/// A free slot of this thread's, which now belongs to the caller, if it has the magazine with this tag at hand.
#[inline]
pub(super) fn pop(tag: u64) -> Option<SlotPtr> {
    with(|cache| cache.recent(tag)?.slots(Vec::pop))
}

/// A free slot of this thread's or the store's, which now belongs to the caller; or what the store has to grow by first.
pub(super) fn take(shared: &'static Shared) -> Result<SlotPtr, Result<Growth, AcquireError>> {
    with(|cache| cache.take(shared))
}

/// A free slot of a recycling pool that keeps its payload, of this thread's or the store's, if there is one. It now belongs
/// to the caller.
pub(super) fn take_kept(shared: &'static Shared) -> Option<SlotPtr> {
    with(|cache| cache.take_kept(shared))
}

/// Takes back a slot with a payload that was reset, without weak leases; false if it has to go to the store, and nothing
/// happened. Nothing of the pool may be touched after it is taken back.
///
/// # Safety
///
/// The caller owns the slot, it is one of this pool's, which recycles, and it is not free; `seen` as in [`take_back`].
pub(super) unsafe fn keep(shared: &'static Shared, slot: SlotPtr, seen: Word) -> bool {
    with(|cache| cache.keep(shared, slot, seen))
}

/// Whether this thread has a magazine for the pool at hand.
#[inline]
pub(super) fn is_at_hand(shared: &Shared) -> bool {
    with(|cache| cache.recent(shared.id()).is_some())
}

/// Takes back a slot whose payload and weak leases are gone, if that is done in no time; false if nothing happened.
/// Nothing of the pool may be touched after it is taken back.
///
/// # Safety
///
/// The caller owns the slot, it is one of this pool's, it is not free and needs no more than to be free; `seen` is its word
/// as the caller has last seen it since becoming the owner.
#[inline]
pub(super) unsafe fn take_back(shared: &Shared, slot: SlotPtr, seen: Word) -> bool {
    with(|cache| {
        let magazine = cache.recent(shared.id());
        magazine.is_some_and(|magazine| magazine.take_back(slot, seen))
    })
}

/// Takes back a slot whose payload and weak leases are gone. Nothing of the pool may be touched after this.
///
/// # Safety
///
/// The caller owns the slot, it is one of this pool's, and it is not free; `seen` is its word as the caller has last seen it
/// since becoming the owner.
#[inline]
pub(super) unsafe fn give_back(shared: &'static Shared, slot: SlotPtr, seen: Word) {
    // SAFETY: as the caller says; with a payload that is kept, the word is not plain.
    if !unsafe { take_back(shared, slot, seen) } {
        // SAFETY: the slot was not taken, so the caller's duties hold still.
        unsafe { give_back_slowly(shared, slot) };
    }
}

/// # Safety
///
/// As [`give_back`].
#[cold]
#[inline(never)]
unsafe fn give_back_slowly(shared: &'static Shared, slot: SlotPtr) {
    // SAFETY: the slot is in use, so its segment exists.
    let seen = unsafe { slot.word() }.read().without_weak();
    if shared.has_shelves() {
        let home = with(|cache| cache.home(shared));
        // SAFETY: as the caller says.
        if unsafe { shared.give_to_shelf(home, slot) } {
            return;
        }
    }
    if !with(|cache| cache.give_back(shared, slot, seen)) {
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
