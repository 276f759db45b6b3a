//! How a pool ends or gives memory back: dropped with leases left, shut down, shrunk.

use std::cell::Cell;
use std::iter;
use std::mem;
use std::ptr::NonNull;

use super::control_word::Orphaned;
use super::error::ShutdownError;
use super::recycle::Recycling;
use super::segment::{self, Segment};
use super::shared::Shared;
use super::store::{Orphans, Store};
use super::{magazine, registry};
use crate::memory::strategy::MemoryStrategy;
use crate::sync::MutexGuard;

impl Shared {
    /// The pool value is gone: marks what is in use, and ends the storage if nothing is.
    pub(super) fn orphan(&'static self) {
        let mut store = self.store();
        let tag = self.tag();
        self.set_id(0);
        self.shelves.close();
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
        store.orphans = Some(Orphans { tag, in_use });
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
    pub(super) fn end(&'static self, mut store: MutexGuard<'_, Store>) {
        let vacant = Store::new(store.options, store.layout, None);
        let ended = mem::replace(&mut *store, vacant);
        drop(store);
        let strategy = ended.strategy.expect("a pool has its strategy until its end");
        // SAFETY: no slot is in use, no pool value is there to look one up, and the store has let go of the segments.
        unsafe { free_segments(ended.segments, strategy.pointer()) };
        drop(strategy);
        registry::put_back(self);
    }

    /// Gives all segments back, unless a slot is in use.
    ///
    /// # Safety
    ///
    /// The caller has the pool value to itself.
    pub(super) unsafe fn drain(&'static self) -> Result<(), ShutdownError> {
        let store = self.store();
        let leases = store.live_slots()?;
        if !leases.is_empty() {
            return Err(ShutdownError::StillLeased { leases });
        }
        let recycling = store.options.recycling;
        drop(store);
        if let Some(recycling) = recycling {
            // SAFETY: the pool value keeps the type alive, and the caller keeps others from taking slots. As none is in
            // use, no payload holds a lease of this pool.
            unsafe { self.discard_kept(recycling) };
        }
        // SAFETY: every slot is free, and the caller keeps lookups out and others from taking slots.
        unsafe { self.free_all(self.store()) };
        Ok(())
    }

    /// Gives all segments back, also those of slots in other threads' magazines, and has a new identity after that; says
    /// how many bytes.
    ///
    /// # Safety
    ///
    /// The pool value exists and nobody else uses it; every slot is free, and none keeps a payload.
    unsafe fn free_all(&'static self, mut store: MutexGuard<'_, Store>) -> usize {
        // What is in other threads' magazines is stale from here on.
        self.set_id(registry::next_id());
        self.shelves.clear();
        store.free = Vec::new();
        store.kept = Vec::new();
        store.slots = 0;
        store.retired = 0;
        store.bytes = 0;
        let segments = mem::take(&mut store.segments);
        let strategy = store.strategy();
        drop(store);
        // SAFETY: every slot was free, the caller keeps lookups out, and the store has let go of the segments. The
        // strategy lives as long as the pool value.
        unsafe { free_segments(segments, strategy) }
    }

    /// Gives back the segments whose slots are all in the store; if no slot is in use, all segments.
    ///
    /// With slots in use, those in other threads' magazines stay: a release that is under way on another thread may be
    /// about to put its slot there, so the magazines cannot be declared stale and their slots taken.
    ///
    /// # Safety
    ///
    /// The caller has the pool value to itself.
    pub(super) unsafe fn shrink(&'static self) -> usize {
        let recycling = self.store().options.recycling;
        if let Some(recycling) = recycling {
            // SAFETY: the pool value keeps the type alive, and the caller keeps others from taking slots.
            unsafe { self.discard_kept(recycling) };
        }
        let mut store = loop {
            magazine::settle(self);
            let mut store = self.store();
            // What was released meanwhile, by the destructors or on other threads. Its slots must not go with a payload.
            let Some(slot) = store.kept.pop() else {
                break store;
            };
            store.free.push(slot);
            drop(store);
            // SAFETY: the segments stay as long as this has not looked for those to give back.
            if unsafe { slot.word() }.read().is_kept()
                && let Some(recycling) = recycling
            {
                // SAFETY: the slot is free, and the caller keeps others from taking it; the pool value keeps the type alive.
                unsafe { recycling.discard(slot) };
            }
        };
        if store.is_idle() {
            // SAFETY: every slot is free, and payloads that were kept are destroyed; the caller has the pool to itself.
            return unsafe { self.free_all(store) };
        }
        self.shelves.unload_into(&mut store.free);
        let (empty, strategy) = (store.set_empty_segments_apart(), store.strategy());
        drop(store);
        let next = || self.store().segments.pop();
        // SAFETY: every slot was free and the store's, the caller keeps lookups out and others from adding segments, and
        // the store lets go of them one by one. The strategy lives as long as the pool value.
        unsafe { free_segments(iter::from_fn(next).take(empty), strategy) }
    }

    /// Destroys all payloads that free slots keep, whichever list or magazine the slots are in. If a destructor panics, the
    /// others run all the same.
    ///
    /// # Safety
    ///
    /// The type of the payloads is alive, the pool's storage stays, and nobody takes slots.
    unsafe fn discard_kept(&'static self, recycling: Recycling) {
        // Dropped after a panic too, and then goes on with the rest.
        let kept = KeptPayloads {
            shared: self,
            recycling,
            segment: Cell::new(0),
            slot: Cell::new(0),
        };
        kept.destroy_all();
    }
}

/// Ends segments and gives their memory back; says how much.
///
/// # Safety
///
/// Nothing uses the segments, nobody can look one of their slots up, and they came from this strategy, which exists.
unsafe fn free_segments(
    segments: impl IntoIterator<Item = NonNull<Segment>>,
    strategy: NonNull<dyn MemoryStrategy>,
) -> usize {
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

/// The payloads that the free slots of a pool keep, from some slot on; dropping this destroys them.
struct KeptPayloads {
    shared: &'static Shared,
    recycling: Recycling,
    segment: Cell<usize>,
    /// In that segment.
    slot: Cell<usize>,
}

impl KeptPayloads {
    fn destroy_all(&self) {
        while let Some(segment) = self.shared.segment(self.segment.get()) {
            // SAFETY: the storage stays; that is the duty of `discard_kept`'s caller.
            let slots = unsafe { segment.as_ref() }.slots();
            while self.slot.get() < slots {
                // SAFETY: the segment exists and has so many slots.
                let slot = unsafe { Segment::slot(segment, self.slot.get()) };
                self.slot.set(self.slot.get() + 1);
                // SAFETY: the segment exists.
                let word = unsafe { slot.word() }.read();
                if word.is_free() && word.is_kept() {
                    // SAFETY: nobody takes slots, so one that is free stays so; that its payload's type is alive is the duty
                    // of `discard_kept`'s caller.
                    unsafe { self.recycling.discard(slot) };
                }
            }
            self.segment.set(self.segment.get() + 1);
            self.slot.set(0);
        }
    }
}

impl Drop for KeptPayloads {
    fn drop(&mut self) {
        self.destroy_all();
    }
}
