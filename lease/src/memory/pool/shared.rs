//! What a pool value, its leases and its threads share: the store of free slots, the segments, the strategy.
//!
//! A `Shared` outlives its pool value for as long as a lease lives. Its memory is never given back to the system: when
//! the last lease of a dropped pool goes, the `Shared` waits in a process-wide list for the next pool. So a reference to
//! one is always good, and a thread that was about to unlock, or that still remembers the pool in a cache, finds a valid
//! object that merely has another identity. There are as many as there ever were pools at one time.
//!
//! No user code runs under the store's lock: strategies are asked, and segments freed, outside.

use std::alloc::Layout;
use std::mem;
use std::ptr::NonNull;

use crossbeam_utils::CachePadded;

use super::control_word::{Orphaned, Return};
use super::error::{AcquireError, LiveSlot};
use super::handle::ControlBlockHandle;
use super::magazine;
use super::pages::{self, NoPages, PageRange};
use super::recycle::Recycling;
use super::segment::{self, Segment, SlotLayout, SlotPtr};
use super::wait::{Queue, Ticket, Wake};
use crate::memory::strategy::{AllocError, AllocReason, MemoryStrategy, System};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, global, lock};

/// What a builder decided about a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// The most slots in use at a time.
    pub(super) capacity: Option<usize>,
    /// The most slots a thread may keep in its magazine; 0 for none.
    pub(super) magazine: usize,
    /// The class of all segments; without one they grow with the pool.
    pub(super) class: Option<u8>,
    /// Whether and how payloads are kept in their slots.
    pub(super) recycling: Option<Recycling>,
}

/// The part of a pool that its leases can reach.
#[derive(Debug)]
pub(super) struct Shared {
    /// Unique in the process's life; 0 while no pool value has this `Shared`.
    id: AtomicU64,
    /// The most slots a thread may keep in its magazine.
    largest_magazine: AtomicUsize,
    /// This `Shared`'s own place in every thread's table of magazines.
    number: usize,
    /// Padded, so that threads at the lock leave the fields that everybody reads alone.
    store: CachePadded<Mutex<Store>>,
}

/// What the lock guards.
#[derive(Debug)]
struct Store {
    options: Options,
    layout: SlotLayout,
    strategy: Option<Strategy>,
    segments: Vec<NonNull<Segment>>,
    /// Free slots; has room for all that exist, so that giving one back cannot fail.
    free: Vec<SlotPtr>,
    /// Free slots that keep a payload; room as `free`. The slots' own words are what counts.
    kept: Vec<SlotPtr>,
    /// Slots that exist, retired ones included.
    slots: usize,
    retired: usize,
    /// Bytes of all segments.
    bytes: usize,
    /// What is left of a pool whose value was dropped.
    orphans: Option<Orphans>,
    /// Those who wait for a slot. While one of them has nothing, no slot is free.
    queue: Queue,
}

/// A pool without a value.
#[derive(Clone, Copy, Debug)]
struct Orphans {
    /// The identity the pool had.
    id: u64,
    /// Slots that were in use when the value was dropped and still are.
    in_use: usize,
}

// SAFETY: the segments behind the pointers are owned by this store, and everything in them that is shared is atomic.
unsafe impl Send for Store {}

/// The figures that the lock guards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub(super) slots: usize,
    pub(super) retired: usize,
    pub(super) segments: usize,
    pub(super) bytes: usize,
    pub(super) live: usize,
    pub(super) strong: usize,
}

/// A segment the store would like to have.
pub(super) struct Growth {
    class: u8,
    slots: usize,
    /// How many segments there were when it was planned.
    segments: usize,
    strategy: NonNull<dyn MemoryStrategy>,
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

    fn vacant(number: usize) -> Self {
        let options = Options {
            capacity: None,
            magazine: 0,
            class: None,
            recycling: None,
        };
        Self {
            id: AtomicU64::new(0),
            largest_magazine: AtomicUsize::new(0),
            number,
            store: CachePadded::new(Mutex::new(Store::new(options, SlotLayout::of::<()>(), None))),
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    pub(super) fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

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
        if self.id() != tag {
            return false;
        }
        // The oldest go: what was freed last is likely still in this thread's cache.
        let rest = magazine.len() - keep;
        store.free.extend(magazine.drain(..rest));
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
        if self.id() == tag {
            store.free.append(&mut magazine);
        } else if let Some(orphans) = store.orphans
            && orphans.id == tag
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
        pages.assign(self.id(), segment);
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
            Self::hand_on(store, slot);
        }
    }

    /// Takes back a slot that was taken and never used.
    pub(super) fn put_back(&self, slot: SlotPtr) {
        Self::hand_on(self.store(), slot);
    }

    /// Gives a free slot to whoever waits for one, or to the free list.
    fn hand_on(mut store: MutexGuard<'_, Store>, slot: SlotPtr) {
        match store.queue.hand(slot) {
            Ok(wake) => {
                drop(store);
                wake.into_iter().for_each(Wake::wake);
            }
            // SAFETY: the slot is this pool's, and the store is locked, so the segment exists.
            Err(slot) if unsafe { slot.word() }.read().is_kept() => store.kept.push(slot),
            Err(slot) => store.free.push(slot),
        }
    }

    /// A free slot that keeps a payload, if there is one. It now belongs to the caller.
    pub(super) fn take_kept(&self) -> Option<SlotPtr> {
        self.store().kept.pop()
    }

    /// Destroys all payloads that free slots keep. If a destructor panics, the others run all the same.
    ///
    /// # Safety
    ///
    /// The type of the payloads is alive, and nobody can take a slot or end the pool's storage meanwhile.
    unsafe fn discard_kept(&self, recycling: Recycling) {
        struct Sweep<'shared> {
            shared: &'shared Shared,
            recycling: Recycling,
            segment: usize,
            slot: usize,
        }
        impl Sweep<'_> {
            fn run(&mut self) {
                while let Some(segment) = self.shared.segment(self.segment) {
                    // SAFETY: the storage stays, as the caller says.
                    let slots = unsafe { segment.as_ref() }.slots();
                    while self.slot < slots {
                        // SAFETY: the segment exists and has so many slots.
                        let slot = unsafe { Segment::slot(segment, self.slot) };
                        self.slot += 1;
                        // SAFETY: the segment exists.
                        let word = unsafe { slot.word() }.read();
                        if word.is_free() && word.is_kept() {
                            // SAFETY: nobody can take the slot, so it is ours, and the type is alive.
                            unsafe { self.recycling.discard(slot) };
                        }
                    }
                    self.segment += 1;
                    self.slot = 0;
                }
            }
        }
        impl Drop for Sweep<'_> {
            fn drop(&mut self) {
                self.run();
            }
        }
        drop(Sweep {
            shared: self,
            recycling,
            segment: 0,
            slot: 0,
        });
    }

    /// A slot for the caller, or a place in the queue for it.
    ///
    /// # Safety
    ///
    /// The pool value exists until this returns.
    pub(super) unsafe fn take_or_wait(
        &'static self,
        ticket: &mut Ticket,
        closed: &global::AtomicBool,
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
                if closed.load(global::Ordering::Acquire) {
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
                        *ticket.number() = Some(store.queue.join(&mut wake)?);
                        return Ok(None);
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
        if let Some(slot) = left.as_ref().and_then(|waiter| waiter.handed) {
            Self::hand_on(store, slot);
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
        match word.give_back() {
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
            Return::Free => Self::hand_on(store, slot),
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
    fn count_down(&'static self, mut store: MutexGuard<'_, Store>, slots: usize) {
        let orphans = store.orphans.as_mut().expect("only an ended pool has orphans");
        orphans.in_use -= slots;
        if orphans.in_use == 0 {
            self.end(store);
        }
    }

    /// The pool value is gone: marks what is in use, and ends the storage if nothing is.
    pub(super) fn orphan(&'static self) {
        let mut store = self.store();
        let id = self.id();
        self.id.store(0, Ordering::Relaxed);
        let mut in_use = 0;
        store.each_slot(|slot| {
            // SAFETY: the store's segments exist.
            let word = unsafe { slot.word() };
            if word.orphan() == Orphaned::InUse {
                in_use += 1;
            }
        });
        // This call is one of those that the storage waits for: the payloads that are kept end here, while their type is
        // sure to be alive.
        in_use += 1;
        store.orphans = Some(Orphans { id, in_use });
        let recycling = store.options.recycling;
        drop(store);
        let done = scopeguard::guard((), |()| self.count_down(self.store(), 1));
        if let Some(recycling) = recycling {
            // SAFETY: the pool value that is being dropped keeps the type alive; nobody takes slots any more, and the
            // storage waits for the guard.
            unsafe { self.discard_kept(recycling) };
        }
        drop(done);
    }

    /// Frees everything and makes this `Shared` vacant. No slot is in use and there is no pool value.
    fn end(&'static self, mut store: MutexGuard<'_, Store>) {
        let vacant = Store::new(store.options, store.layout, None);
        let ended = mem::replace(&mut *store, vacant);
        drop(store);
        let strategy = ended.strategy.expect("a pool has its strategy until its end");
        // SAFETY: no slot is in use, no pool value is there to look one up, and the store has let go of the segments.
        unsafe { free_segments(ended.segments, strategy.object) };
        drop(strategy);
        registry::put_back(self);
    }

    /// Gives all segments back if no slot is in use; says which are otherwise.
    ///
    /// # Safety
    ///
    /// The caller has the pool value to itself.
    pub(super) unsafe fn drain(&'static self) -> Result<usize, Vec<LiveSlot>> {
        let store = self.store();
        let live = store.live_slots();
        if !live.is_empty() {
            return Err(live);
        }
        let recycling = store.options.recycling;
        drop(store);
        if let Some(recycling) = recycling {
            // SAFETY: the pool value keeps the type alive, and the caller keeps others from taking slots. As none is in
            // use, no payload holds a lease of this pool.
            unsafe { self.discard_kept(recycling) };
        }
        let mut store = self.store();
        // What is in other threads' magazines is stale from here on.
        self.id.store(registry::next_id(), Ordering::Relaxed);
        store.free = Vec::new();
        store.kept = Vec::new();
        store.slots = 0;
        store.retired = 0;
        let bytes = mem::take(&mut store.bytes);
        let segments = mem::take(&mut store.segments);
        let strategy = store
            .strategy
            .as_ref()
            .expect("a pool has its strategy until its end")
            .object;
        drop(store);
        // SAFETY: every slot was free, the caller keeps lookups out, and the store has let go of the segments. The
        // strategy lives as long as the pool value.
        unsafe { free_segments(segments, strategy) };
        Ok(bytes)
    }

    /// Gives back the segments whose slots are all in the store.
    ///
    /// # Safety
    ///
    /// The caller has the pool value to itself.
    pub(super) unsafe fn shrink(&'static self) -> usize {
        magazine::settle(self);
        let recycling = self.store().options.recycling;
        if let Some(recycling) = recycling {
            // SAFETY: the pool value keeps the type alive, and the caller keeps others from taking slots.
            unsafe { self.discard_kept(recycling) };
        }
        let mut store = self.store();
        let emptied = mem::take(&mut store.kept);
        store.free.extend(emptied);
        let empty = store.remove_empty_segments();
        let strategy = store
            .strategy
            .as_ref()
            .expect("a pool has its strategy until its end")
            .object;
        drop(store);
        // SAFETY: every slot was free and the store's, the caller keeps lookups out, and the store has let go of the
        // segments. The strategy lives as long as the pool value.
        unsafe { free_segments(empty, strategy) }
    }

    pub(super) fn figures(&self) -> Figures {
        let store = self.store();
        let (mut live, mut strong) = (0, 0);
        store.each_slot(|slot| {
            // SAFETY: the store's segments exist.
            let word = unsafe { slot.word() }.read();
            live += usize::from(!word.is_free());
            strong += word.strong() as usize;
        });
        Figures {
            slots: store.slots,
            retired: store.retired,
            segments: store.segments.len(),
            bytes: store.bytes,
            live,
            strong,
        }
    }
}

/// Ends segments and gives their memory back; says how much.
///
/// # Safety
///
/// Nothing uses the segments, nobody can look one of their slots up, and they came from this strategy, which exists.
unsafe fn free_segments(segments: Vec<NonNull<Segment>>, strategy: NonNull<dyn MemoryStrategy>) -> usize {
    // SAFETY: the strategy exists.
    let strategy = unsafe { strategy.as_ref() };
    let mut bytes = 0;
    for segment in segments {
        // SAFETY: as the caller says.
        let (block, class) = unsafe { Segment::destroy(segment) };
        bytes += segment::bytes(class);
        // SAFETY: the block came from this strategy with this layout.
        unsafe { strategy.deallocate(block, segment::layout(class)) };
    }
    bytes
}

impl Store {
    const fn new(options: Options, layout: SlotLayout, strategy: Option<Strategy>) -> Self {
        Self {
            options,
            layout,
            strategy,
            segments: Vec::new(),
            free: Vec::new(),
            kept: Vec::new(),
            slots: 0,
            retired: 0,
            bytes: 0,
            orphans: None,
            queue: Queue::new(),
        }
    }

    fn pop(&mut self) -> Option<SlotPtr> {
        self.free.pop().or_else(|| self.kept.pop())
    }

    fn each_slot(&self, mut visit: impl FnMut(SlotPtr)) {
        for &segment in &self.segments {
            // SAFETY: the store's segments exist.
            let slots = unsafe { segment.as_ref() }.slots();
            for index in 0..slots {
                // SAFETY: the segment exists and has so many slots.
                visit(unsafe { Segment::slot(segment, index) });
            }
        }
    }

    fn live_slots(&self) -> Vec<LiveSlot> {
        let mut live = Vec::new();
        for &segment in &self.segments {
            // SAFETY: the store's segments exist.
            let header = unsafe { segment.as_ref() };
            for index in 0..header.slots() {
                // SAFETY: the segment exists and has so many slots.
                let slot = unsafe { Segment::slot(segment, index) };
                // SAFETY: the segment exists.
                let word = unsafe { slot.word() }.read();
                if !word.is_free() {
                    let handle = ControlBlockHandle::<()>::new(word.generation(), header.place_of(slot));
                    live.push(LiveSlot {
                        handle: handle.to_bits(),
                        strong: word.strong() as usize,
                        weak: header.weak_leases(index, word),
                    });
                }
            }
        }
        live
    }

    /// Lets go of the segments whose slots are all here or retired.
    fn remove_empty_segments(&mut self) -> Vec<NonNull<Segment>> {
        // From the highest address down: the lowest slots are given out first, which lets high segments run empty.
        self.free
            .sort_unstable_by_key(|slot| std::cmp::Reverse(slot.addr()));
        let mut empty = Vec::new();
        let mut kept = mem::take(&mut self.segments);
        kept.retain(|&segment| {
            // SAFETY: the store's segments exist.
            let header = unsafe { segment.as_ref() };
            let start = segment.addr().get();
            let above = self
                .free
                .partition_point(|slot| slot.addr() >= start + header.bytes());
            let inside = self.free[above..].partition_point(|slot| slot.addr() >= start);
            let retired = header.slots() - inside;
            let all_free = retired == 0 || inside + retired_slots(segment) == header.slots();
            if all_free {
                self.free.drain(above..above + inside);
                self.slots -= header.slots();
                self.retired -= retired;
                self.bytes -= header.bytes();
                empty.push(segment);
            }
            !all_free
        });
        self.segments = kept;
        self.free.shrink_to(self.slots);
        empty
    }

    /// What to add to a store without free slots.
    fn plan_growth(&self) -> Result<Growth, AcquireError> {
        let room = match self.options.capacity {
            Some(capacity) => match capacity.saturating_sub(self.slots - self.retired) {
                0 => return Err(AcquireError::Exhausted { capacity }),
                room => room,
            },
            None => usize::MAX,
        };
        let class = self.options.class.unwrap_or_else(|| self.growing_class(room));
        let slots = self.layout.slots_in(class).min(room);
        if slots == 0 {
            return Err(AcquireError::PayloadTooLarge {
                size: self.layout.stride(),
                limit: segment::bytes(class),
            });
        }
        Ok(Growth {
            class,
            slots,
            segments: self.segments.len(),
            strategy: self
                .strategy
                .as_ref()
                .expect("a pool has its strategy until its end")
                .object,
        })
    }

    /// The class of the next segment: as large as all before it together, with room for a few slots at least, but not
    /// larger than `room` slots need.
    fn growing_class(&self, room: usize) -> u8 {
        const FEW: usize = 8;
        let fits = |slots: usize| (0..segment::LARGEST).find(|&class| self.layout.slots_in(class) >= slots);
        let doubling = (0..segment::LARGEST).find(|&class| segment::bytes(class) >= self.bytes);
        let wanted = fits(FEW).max(doubling).unwrap_or(segment::LARGEST);
        let wanted = if fits(FEW).is_none() || doubling.is_none() {
            segment::LARGEST
        } else {
            wanted
        };
        wanted.min(fits(room).unwrap_or(segment::LARGEST))
    }

    /// Makes room for one more segment with so many slots in the lists, or changes nothing.
    fn reserve_room(&mut self, slots: usize) -> Result<(), AcquireError> {
        let total = self.slots + slots;
        let free = self.free.try_reserve(total - self.free.len());
        let recycles = self.options.recycling.is_some();
        let kept = self
            .kept
            .try_reserve(if recycles { total - self.kept.len() } else { 0 });
        let segments = self.segments.try_reserve(1);
        if free.is_err() || kept.is_err() || segments.is_err() {
            let layout = Layout::array::<SlotPtr>(total).unwrap_or(Layout::new::<SlotPtr>());
            return Err(AllocError::new(layout, AllocReason::OutOfMemory).into());
        }
        Ok(())
    }
}

/// How many slots of a store's segment are retired.
fn retired_slots(segment: NonNull<Segment>) -> usize {
    // SAFETY: the store's segments exist.
    let slots = unsafe { segment.as_ref() }.slots();
    let retired = (0..slots).filter(|&index| {
        // SAFETY: the segment exists and has so many slots.
        let slot = unsafe { Segment::slot(segment, index) };
        // SAFETY: the segment exists.
        unsafe { slot.word() }.read().is_retired()
    });
    retired.count()
}

/// A strategy, its type forgotten: leases know their payload's type only.
#[derive(Debug)]
struct Strategy {
    object: NonNull<dyn MemoryStrategy>,
}

impl Strategy {
    fn new<S: MemoryStrategy + 'static>(strategy: S) -> Result<Self, (S, AllocError)> {
        let layout = Layout::new::<S>();
        let place = if layout.size() == 0 {
            NonNull::dangling()
        } else {
            match System.allocate(layout) {
                Ok(block) => block.cast::<S>(),
                Err(error) => return Err((strategy, error)),
            }
        };
        // SAFETY: the place was just allocated for an `S`, or needs no memory.
        unsafe { place.write(strategy) };
        Ok(Self { object: place })
    }

    fn get(&self) -> &dyn MemoryStrategy {
        // SAFETY: the object is initialised and ours until we are dropped.
        unsafe { self.object.as_ref() }
    }
}

impl Drop for Strategy {
    fn drop(&mut self) {
        let layout = Layout::for_value(self.get());
        // SAFETY: the object is ours and is not used again.
        unsafe { self.object.drop_in_place() };
        if layout.size() != 0 {
            // SAFETY: its memory came from `System` with this layout.
            unsafe { System.deallocate(self.object.cast(), layout) };
        }
    }
}

// SAFETY: a `MemoryStrategy` is `Send + Sync`, and we own it.
unsafe impl Send for Strategy {}

/// The process-wide list of `Shared`s without a pool.
mod registry {
    use super::{AllocError, AllocReason, Layout, MemoryStrategy, Shared, System, global};
    use crate::sync::Sequence;

    struct Vacant {
        list: Vec<&'static Shared>,
        /// How many exist: the room that the list must have, because putting back cannot fail.
        issued: usize,
    }

    static VACANT: global::Mutex<Vacant> = global::Mutex::new(Vacant {
        list: Vec::new(),
        issued: 0,
    });

    static IDS: Sequence = Sequence::new();

    pub(super) fn next_id() -> u64 {
        IDS.next()
    }

    pub(super) fn take() -> Result<&'static Shared, AllocError> {
        let layout = Layout::new::<Shared>();
        let mut vacant = global::lock(&VACANT);
        if let Some(shared) = vacant.list.pop() {
            return Ok(shared);
        }
        let room = vacant.issued + 1;
        if vacant.list.try_reserve(room).is_err() {
            return Err(AllocError::new(layout, AllocReason::OutOfMemory));
        }
        let place = System.allocate(layout)?.cast::<Shared>();
        // SAFETY: the memory was just allocated for it.
        unsafe { place.write(Shared::vacant(vacant.issued)) };
        vacant.issued = room;
        // SAFETY: it is initialised, never freed, and used through shared references only.
        Ok(unsafe { place.as_ref() })
    }

    pub(super) fn put_back(shared: &'static Shared) {
        if cfg!(any(loom, shuttle)) {
            // A model's lock is of no use to the next run of the model.
            return;
        }
        global::lock(&VACANT).list.push(shared);
    }
}
