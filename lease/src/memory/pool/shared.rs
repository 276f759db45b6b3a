//! What a pool value, its leases and its threads share: the store of free slots, the segments, the strategy.
//!
//! A `Shared` outlives its pool value for as long as a lease lives. Its memory is never given back to the system: when
//! the last lease of a dropped pool goes, the `Shared` waits in a process-wide list for the next pool. So a reference to
//! one is always good, and a thread that was about to unlock, or that still remembers the pool in a cache, finds a valid
//! object that merely has another identity. There are as many as there ever were pools at one time.
//!
//! No user code runs under the store's lock: strategies are asked, segments freed, and waiters woken outside.

use std::ptr::NonNull;

use crossbeam_utils::CachePadded;

use super::control_word::Return;
use super::erased::Strategy;
use super::error::AcquireError;
use super::pages::{self, NoPages, PageRange};
use super::segment::{self, Segment, SlotLayout, SlotPtr};
use super::shelves::Shelves;
use super::store::{Figures, Growth, Options, Store};
use super::wait::{Ticket, Wake};
use super::{magazine, registry};
use crate::memory::strategy::{AllocError, AllocReason, MemoryStrategy};
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, lock};

/// The part of a pool that its leases can reach.
#[derive(Debug)]
pub(super) struct Shared {
    /// Unique in the process's life; 0 while no pool value has this `Shared`.
    id: AtomicU64,
    /// The most slots a thread may keep in its magazine.
    largest_magazine: AtomicUsize,
    /// The most slots on a shelf.
    shelf: AtomicUsize,
    /// Whether payloads are kept in their slots.
    keeps: AtomicBool,
    /// Whether somebody waits with nothing handed over yet. Changes under the store's lock.
    is_wanted: AtomicBool,
    /// Which shelf the next thread to use one is given.
    next_home: AtomicUsize,
    /// This `Shared`'s own place in every thread's table of magazines.
    number: usize,
    /// Padded, so that threads at the lock leave the fields that everybody reads alone.
    store: CachePadded<Mutex<Store>>,
    /// Free slots that are not in the store, of pools that have shelves.
    pub(super) shelves: Shelves,
}

impl Shared {
    /// A `Shared` for a new pool; on failure the strategy comes back.
    pub(super) fn open<S: MemoryStrategy + 'static>(
        options: Options,
        layout: SlotLayout,
        strategy: S,
    ) -> Result<&'static Self, (S, AllocError)> {
        let this = match registry::take() {
            Ok(this) => this,
            Err(error) => return Err((strategy, error)),
        };
        match Strategy::new(strategy) {
            Ok(strategy) => {
                let mut store = this.store();
                *store = Store::new(options, layout, Some(strategy));
                this.largest_magazine.store(options.magazine, Ordering::Relaxed);
                this.shelf.store(options.shelf, Ordering::Relaxed);
                this.keeps.store(options.recycling.is_some(), Ordering::Relaxed);
                this.is_wanted.store(false, Ordering::Relaxed);
                this.shelves.open(options.shelf);
                this.id.store(registry::next_id(), Ordering::Release);
                drop(store);
                Ok(this)
            }
            Err(failed) => {
                registry::put_back(this);
                Err(failed)
            }
        }
    }

    pub(super) fn vacant(number: usize) -> Self {
        let options = Options {
            capacity: None,
            magazine: 0,
            shelf: 0,
            class: None,
            recycling: None,
        };
        Self {
            id: AtomicU64::new(0),
            largest_magazine: AtomicUsize::new(0),
            shelf: AtomicUsize::new(0),
            keeps: AtomicBool::new(false),
            is_wanted: AtomicBool::new(false),
            next_home: AtomicUsize::new(0),
            number,
            store: CachePadded::new(Mutex::new(Store::new(options, SlotLayout::of::<()>(), None))),
            shelves: Shelves::new(),
        }
    }

    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    #[inline]
    pub(super) fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    /// What this pool's magazines are tagged with, while there is a pool value.
    pub(super) fn tag(&self) -> Option<u64> {
        match self.id() {
            0 => None,
            id if self.keeps() => Some(magazine::keeping(id)),
            id => Some(id),
        }
    }

    pub(super) fn keeps(&self) -> bool {
        self.keeps.load(Ordering::Relaxed)
    }

    /// Makes everything in magazines stale. Under the store's lock, whose holders are the ones who must agree on it.
    pub(super) fn set_id(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
    }

    #[inline]
    pub(super) const fn number(&self) -> usize {
        self.number
    }

    pub(super) fn largest_magazine(&self) -> usize {
        self.largest_magazine.load(Ordering::Relaxed)
    }

    /// A free slot, which now belongs to the caller.
    ///
    /// # Safety
    ///
    /// The pool value exists until this returns.
    pub(super) unsafe fn take(&'static self) -> Result<SlotPtr, AcquireError> {
        loop {
            let growth = match magazine::take(self) {
                Ok(slot) => return Ok(slot),
                Err(growth) => growth?,
            };
            // SAFETY: the pool value exists, so its strategy does.
            unsafe { self.grow(&growth) }?;
        }
    }

    pub(super) fn has_shelves(&self) -> bool {
        self.shelf.load(Ordering::Relaxed) != 0
    }

    /// A shelf for a thread that has none yet.
    pub(super) fn next_home(&self) -> usize {
        self.next_home.fetch_add(1, Ordering::Relaxed)
    }

    /// A slot for the caller, from its shelf, the store or another shelf; or what to grow by first.
    pub(super) fn take_from_shelf(&self, home: usize) -> Result<SlotPtr, Result<Growth, AcquireError>> {
        if let Some(slot) = self.shelves.of(home).pop() {
            return Ok(slot);
        }
        let growth = {
            let mut store = self.store();
            if let Some(slot) = store.pop() {
                self.shelves.of(home).fill_from(&mut store.free);
                return Ok(slot);
            }
            store.plan_growth()
        };
        match growth {
            Err(AcquireError::Exhausted { .. }) => {
                self.shelves.pop_any().map_or_else(|| self.take_anywhere(), Ok)
            }
            _ => Err(growth),
        }
    }

    /// A slot for the caller from wherever there is one at one moment. Whoever looks at one place after the other may miss a
    /// slot that is given back where it has looked while the last one is taken where it has not.
    #[cold]
    fn take_anywhere(&self) -> Result<SlotPtr, Result<Growth, AcquireError>> {
        let mut store = self.store();
        let slot = store.pop().or_else(|| self.shelves.pop_any_at_once());
        slot.ok_or_else(|| store.plan_growth())
    }

    /// Takes a slot back, as [`Self::give_back`], unless it is wanted elsewhere or there is more to do; then nothing
    /// happened.
    ///
    /// # Safety
    ///
    /// As [`Self::give_back`].
    pub(super) unsafe fn give_to_shelf(&self, home: usize, slot: SlotPtr) -> bool {
        let mut mine = self.shelves.of(home);
        if !mine.make_room() {
            drop(mine);
            let mut store = self.store();
            if store.queue.is_wanting() {
                return false;
            }
            mine = self.shelves.of(home);
            mine.spill_into(&mut store.free);
        }
        // Under the shelf's lock: whoever waits says so before looking at the mine.
        if self.is_wanted.load(Ordering::Relaxed) || !mine.make_room() {
            return false;
        }
        // SAFETY: the slot is in use, so its segment exists.
        let word = unsafe { slot.word() };
        if !word.give_back_plain(word.read().without_weak()) {
            return false;
        }
        mine.push(slot);
        true
    }

    /// Hands what is on the shelves to those who wait.
    fn serve_from_shelves(&self) {
        while let Some(slot) = self.shelves.pop_any() {
            self.put_back(slot);
        }
    }

    /// A slot for the caller, and up to `more` moved into the caller's magazine; or what to grow by first.
    pub(super) fn take_from_store(
        &self,
        magazine: &mut Vec<SlotPtr>,
        more: usize,
    ) -> Result<SlotPtr, Result<Growth, AcquireError>> {
        let mut store = self.store();
        let Some(slot) = store.pop() else {
            return Err(store.plan_growth());
        };
        let rest = store.free.len() - more.min(store.free.len());
        magazine.extend(store.free.drain(rest..));
        Ok(slot)
    }

    /// Moves all but `keep` slots of a magazine with this tag into the store; false if it has become stale.
    pub(super) fn put_into_store(&self, tag: u64, magazine: &mut Vec<SlotPtr>, keep: usize) -> bool {
        let mut store = self.store();
        if self.tag() != Some(tag) {
            return false;
        }
        // The oldest go: what was freed last is likely still in this thread's cache.
        let rest = magazine.len() - keep;
        store.shelved().extend(magazine.drain(..rest));
        true
    }

    /// Takes over the slots of a magazine with this tag.
    ///
    /// If the tag is the pool's, they go to the store. If that pool has ended and some of its slots are still counted,
    /// these may be among them: a slot that was given back at the very moment of the end was counted by it, but its mark
    /// was overwritten (see [`ControlWord::give_back`](super::control_word::ControlWord::give_back)). It is counted down
    /// here. Otherwise the slots' memory is gone.
    pub(super) fn settle(&'static self, tag: u64, mut magazine: Vec<SlotPtr>) {
        let mut store = self.store();
        if self.tag() == Some(tag) {
            store.shelved().append(&mut magazine);
        } else if let Some(orphans) = store.orphans
            && orphans.tag == Some(tag)
        {
            // SAFETY: the storage of that pool is still there, as some of its slots are counted.
            let counted = magazine
                .drain(..)
                .filter(|slot| !unsafe { slot.word() }.read().is_orphan())
                .count();
            self.count_down(store, counted);
        }
    }

    /// Gets a segment and enters it, unless others have changed the pool meanwhile so that it is not needed.
    ///
    /// # Safety
    ///
    /// The pool value exists until this returns.
    #[cold]
    unsafe fn grow(&'static self, growth: &Growth) -> Result<(), AcquireError> {
        // SAFETY: the strategy lives in `Shared` until the last lease or the pool value is gone; the latter exists.
        let strategy = unsafe { growth.strategy.as_ref() };
        let layout = segment::layout(growth.class);
        let block = strategy.allocate(layout).map_err(|error| match error.reason {
            reason @ (AllocReason::TooLarge { .. } | AllocReason::AlignmentTooLarge { .. }) => {
                AcquireError::SegmentUnsupported { layout, reason }
            }
            _ => AcquireError::Memory(error),
        })?;
        let block = block.cast::<u8>();
        let entered = self.enter(block, growth);
        if !matches!(entered, Ok(true)) {
            // SAFETY: the block was just allocated with this layout, and nothing was put into it.
            unsafe { strategy.deallocate(block, layout) };
        }
        entered.map(drop)
    }

    /// Makes a segment of the block; false if the pool no longer needs it.
    fn enter(&'static self, block: NonNull<u8>, growth: &Growth) -> Result<bool, AcquireError> {
        let mut store = self.store();
        if store.options.capacity.is_some() && store.segments.len() != growth.segments {
            return Ok(false);
        }
        store.reserve_room(growth.slots)?;
        let pages = PageRange::reserve(growth.class).map_err(|error| match error {
            NoPages::Exhausted => AcquireError::PagesExhausted {
                pages: pages::PAGE_COUNT,
            },
            NoPages::Memory(error) => AcquireError::Memory(error),
        })?;
        let (class, slots, layout) = (growth.class, growth.slots, store.layout);
        let recycling = store.options.recycling;
        // SAFETY: the block has the layout of the class and is ours; the plan counted slots that fit.
        let segment = unsafe { Segment::create(block, class, slots, layout, pages, recycling, self) };
        // SAFETY: the segment was just made.
        pages.assign(self.id(), unsafe { Segment::first_page(segment) });
        for index in (0..slots).rev() {
            // SAFETY: the segment exists and has so many slots.
            let slot = unsafe { Segment::slot(segment, index) };
            store.free.push(slot);
        }
        store.segments.push(segment);
        store.slots += slots;
        store.bytes += segment::bytes(class);
        drop(store);
        self.serve_queue();
        Ok(true)
    }

    /// Hands free slots to those who wait.
    fn serve_queue(&self) {
        loop {
            let mut store = self.store();
            if !store.queue.is_wanting() {
                return;
            }
            let Some(slot) = store.pop() else {
                return;
            };
            self.hand_on(store, slot);
        }
    }

    /// Takes back a slot that was taken and never used.
    pub(super) fn put_back(&self, slot: SlotPtr) {
        self.hand_on(self.store(), slot);
    }

    /// Gives a free slot to whoever waits for one, or to the free list.
    fn hand_on(&self, mut store: MutexGuard<'_, Store>, slot: SlotPtr) {
        match store.queue.hand(slot) {
            Ok(wake) => {
                self.is_wanted.store(store.queue.is_wanting(), Ordering::Relaxed);
                drop(store);
                wake.into_iter().for_each(Wake::wake);
            }
            // SAFETY: the slot is this pool's, and the store is locked, so the segment exists.
            Err(slot) if unsafe { slot.word() }.read().is_kept() => store.kept.push(slot),
            Err(slot) => store.free.push(slot),
        }
    }

    /// A free slot that keeps a payload, if there is one, for the caller, and up to `more` moved into the caller's magazine.
    pub(super) fn take_kept(&self, magazine: &mut Vec<SlotPtr>, more: usize) -> Option<SlotPtr> {
        let mut store = self.store();
        let slot = store.kept.pop()?;
        let rest = store.kept.len() - more.min(store.kept.len());
        magazine.extend(store.kept.drain(rest..));
        Some(slot)
    }

    /// A slot for the caller, or a place in the queue for it.
    ///
    /// # Safety
    ///
    /// The pool value exists until this returns.
    pub(super) unsafe fn take_or_wait(
        &'static self,
        ticket: &mut Ticket,
        closed: &AtomicBool,
        wake: Wake,
    ) -> Result<Option<SlotPtr>, AcquireError> {
        // Outlives the lock: what comes back into it is dropped without it.
        let mut wake = Some(wake);
        loop {
            let growth = {
                let mut store = self.store();
                if let Some(number) = *ticket.number()
                    && let Some(waiter) = store.queue.collect(number)
                {
                    drop(store);
                    *ticket.number() = None;
                    return Ok(waiter.handed);
                }
                // Under the lock: `close` wakes those it finds in the queue, later ones find the pool closed here.
                if closed.load(Ordering::Acquire) {
                    return Err(AcquireError::Closed);
                }
                if let Some(slot) = store.pop() {
                    return Ok(Some(slot));
                }
                match (store.plan_growth(), *ticket.number()) {
                    (Ok(growth), _) => growth,
                    (Err(AcquireError::Exhausted { .. }), Some(number)) => {
                        store.queue.wait_on(number, &mut wake);
                        return Ok(None);
                    }
                    (Err(AcquireError::Exhausted { .. }), None) => {
                        let number = store.queue.join(&mut wake)?;
                        *ticket.number() = Some(number);
                        self.is_wanted.store(true, Ordering::Relaxed);
                        drop(store);
                        if !self.has_shelves() {
                            return Ok(None);
                        }
                        self.serve_from_shelves();
                        let Some(waiter) = self.store().queue.collect(number) else {
                            return Ok(None);
                        };
                        *ticket.number() = None;
                        return Ok(waiter.handed);
                    }
                    (Err(error), _) => return Err(error),
                }
            };
            // SAFETY: the pool value exists, so its strategy does.
            unsafe { self.grow(&growth) }?;
        }
    }

    /// Leaves the queue; what was handed over meanwhile goes to the next.
    pub(super) fn leave_queue(&self, number: u64) {
        let mut store = self.store();
        let left = store.queue.leave(number);
        self.is_wanted.store(store.queue.is_wanting(), Ordering::Relaxed);
        if let Some(slot) = left.as_ref().and_then(|waiter| waiter.handed) {
            self.hand_on(store, slot);
        } else {
            drop(store);
        }
    }

    /// Wakes all who wait, to find the pool closed.
    pub(super) fn wake_all(&self) {
        loop {
            let wake = self.store().queue.wake_any();
            match wake {
                Some(wake) => wake.wake(),
                None => return,
            }
        }
    }

    /// The segment at this place of the list, which only grows while the pool is borrowed.
    pub(super) fn segment(&self, index: usize) -> Option<NonNull<Segment>> {
        self.store().segments.get(index).copied()
    }

    /// Takes back a slot whose payload and weak leases are gone. Nothing of the pool may be touched after this.
    ///
    /// # Safety
    ///
    /// The caller owns the slot, it is one of this pool's, and it is not free.
    pub(super) unsafe fn give_back(&'static self, slot: SlotPtr) {
        let mut store = self.store();
        // SAFETY: the slot is in use, so its segment exists.
        let word = unsafe { slot.word() };
        match word.give_back(word.read()) {
            Return::UsedUp | Return::Orphaned if word.read().is_kept() => {
                let recycling = store
                    .options
                    .recycling
                    .expect("only a recycling pool keeps payloads");
                drop(store);
                let again = scopeguard::guard((), |()| {
                    // SAFETY: the slot is still the caller's, and no longer keeps a payload.
                    unsafe { self.give_back(slot) };
                });
                // SAFETY: the slot is the caller's, who had a lease on a payload of this type.
                unsafe { recycling.discard(slot) };
                drop(again);
            }
            Return::Free => self.hand_on(store, slot),
            Return::UsedUp => {
                word.retire();
                store.retired += 1;
                // A bounded pool may have another slot in its place: whoever is first shall look.
                let wake = store.queue.wake_first();
                drop(store);
                wake.into_iter().for_each(Wake::wake);
            }
            Return::Orphaned => {
                self.count_down(store, 1);
                magazine::settle(self);
            }
        }
    }

    /// So many slots less are in use after the pool's end.
    pub(super) fn count_down(&'static self, mut store: MutexGuard<'_, Store>, slots: usize) {
        let orphans = store.orphans.as_mut().expect("only an ended pool has orphans");
        orphans.in_use -= slots;
        if orphans.in_use == 0 {
            self.end(store);
        }
    }

    pub(super) fn figures(&self) -> Figures {
        self.store().figures()
    }
}
