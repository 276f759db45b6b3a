//! The store of a pool: what the lock of its `Shared` guards. Free slots, segments, figures; no lock, no waiting.

use std::alloc::Layout;
use std::cmp::Reverse;
use std::collections::TryReserveError;
use std::mem;
use std::ptr::NonNull;

use super::erased::Strategy;
use super::error::{AcquireError, LiveSlot};
use super::handle::ControlBlockHandle;
use super::recycle::Recycling;
use super::segment::{self, Segment, SlotLayout, SlotPtr};
use super::wait::Queue;
use crate::memory::strategy::{AllocError, AllocReason, MemoryStrategy};

/// What a builder decided about a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// The most slots in use at a time.
    pub(super) capacity: Option<usize>,
    /// The most slots a thread may keep in its magazine; 0 for none.
    pub(super) magazine: usize,
    /// The most slots on a shelf; 0 for none.
    pub(super) shelf: usize,
    /// The class of all segments; without one they grow with the pool.
    pub(super) class: Option<u8>,
    /// Whether and how payloads are kept in their slots.
    pub(super) recycling: Option<Recycling>,
}

/// What the lock guards.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) options: Options,
    pub(super) layout: SlotLayout,
    pub(super) strategy: Option<Strategy>,
    pub(super) segments: Vec<NonNull<Segment>>,
    /// Free slots; has room for all that exist, so that giving one back cannot fail.
    pub(super) free: Vec<SlotPtr>,
    /// Free slots that keep a payload, unless it was destroyed there; room as `free`. The slots' own words are what counts.
    pub(super) kept: Vec<SlotPtr>,
    /// Slots that exist, retired ones included.
    pub(super) slots: usize,
    pub(super) retired: usize,
    /// Bytes of all segments.
    pub(super) bytes: usize,
    /// What is left of a pool whose value was dropped.
    pub(super) orphans: Option<Orphans>,
    /// Those who wait for a slot. While one of them has nothing, no slot is free.
    pub(super) queue: Queue,
}

/// A pool without a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orphans {
    /// The tag its magazines had.
    pub(super) tag: Option<u64>,
    /// Slots that were in use when the value was dropped and still are.
    pub(super) in_use: usize,
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
    pub(super) class: u8,
    pub(super) slots: usize,
    /// How many segments there were when it was planned.
    pub(super) segments: usize,
    pub(super) strategy: NonNull<dyn MemoryStrategy>,
}

impl Store {
    pub(super) const fn new(options: Options, layout: SlotLayout, strategy: Option<Strategy>) -> Self {
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

    /// The pool's strategy, which exists until its storage ends.
    pub(super) fn strategy(&self) -> NonNull<dyn MemoryStrategy> {
        let strategy = self.strategy.as_ref();
        strategy.expect("a pool has its strategy until its end").pointer()
    }

    /// The list for what comes out of magazines.
    pub(super) fn shelved(&mut self) -> &mut Vec<SlotPtr> {
        if self.options.recycling.is_some() {
            &mut self.kept
        } else {
            &mut self.free
        }
    }

    /// A free slot, rather one without a payload.
    pub(super) fn pop(&mut self) -> Option<SlotPtr> {
        self.free.pop().or_else(|| self.kept.pop())
    }

    pub(super) fn each_slot(&self, mut visit: impl FnMut(SlotPtr)) {
        for &segment in &self.segments {
            // SAFETY: the store's segments exist.
            let slots = unsafe { segment.as_ref() }.slots();
            for index in 0..slots {
                // SAFETY: the segment exists and has so many slots.
                visit(unsafe { Segment::slot(segment, index) });
            }
        }
    }

    /// Whether no slot is in use, and none keeps a payload.
    pub(super) fn is_idle(&self) -> bool {
        let mut idle = true;
        self.each_slot(|slot| {
            // SAFETY: the store's segments exist.
            let word = unsafe { slot.word() }.read();
            idle &= word.is_free() && !word.is_kept();
        });
        idle
    }

    /// The slots in use, while none comes into use.
    pub(super) fn live_slots(&self) -> Result<Vec<LiveSlot>, AllocError> {
        let mut in_use = 0;
        self.each_slot(|slot| {
            // SAFETY: the store's segments exist.
            in_use += usize::from(!unsafe { slot.word() }.read().is_free());
        });
        let mut live = Vec::new();
        if live.try_reserve_exact(in_use).is_err() {
            return Err(out_of_memory::<LiveSlot>(in_use));
        }
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
        Ok(live)
    }

    pub(super) fn figures(&self) -> Figures {
        let (mut live, mut strong) = (0, 0);
        self.each_slot(|slot| {
            // SAFETY: the store's segments exist.
            let word = unsafe { slot.word() }.read();
            live += usize::from(!word.is_free());
            strong += word.strong() as usize;
        });
        Figures {
            slots: self.slots,
            retired: self.retired,
            segments: self.segments.len(),
            bytes: self.bytes,
            live,
            strong,
        }
    }

    /// Moves the segments whose slots are all here or retired to the end of the list, and lets go of their slots; says how
    /// many there are. No slot that is here keeps a payload.
    pub(super) fn set_empty_segments_apart(&mut self) -> usize {
        // Nothing here needs memory, which a pool that is to shrink may not get.
        // From the highest address down: the lowest slots are given out first, which lets high segments run empty.
        self.free.sort_unstable_by_key(|slot| Reverse(slot.addr()));
        let mut segments = mem::take(&mut self.segments);
        let mut kept = 0;
        for at in 0..segments.len() {
            let segment = segments[at];
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
            } else {
                segments.swap(at, kept);
                kept += 1;
            }
        }
        let empty = segments.len() - kept;
        self.segments = segments;
        shrink(&mut self.free, self.slots);
        if self.options.recycling.is_some() {
            shrink(&mut self.kept, self.slots);
        }
        empty
    }

    /// What to add to a store without free slots.
    pub(super) fn plan_growth(&self) -> Result<Growth, AcquireError> {
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
            strategy: self.strategy(),
        })
    }

    /// The class of the next segment: as large as all before it together, with room for a few slots at least, but not
    /// larger than `room` slots need.
    fn growing_class(&self, room: usize) -> u8 {
        const FEW: usize = 8;
        let smallest = |suffices: &dyn Fn(u8) -> bool| {
            let class = (0..segment::LARGEST).find(|&class| suffices(class));
            class.unwrap_or(segment::LARGEST)
        };
        let few = smallest(&|class| self.layout.slots_in(class) >= FEW);
        let doubling = smallest(&|class| segment::bytes(class) >= self.bytes);
        let enough = smallest(&|class| self.layout.slots_in(class) >= room);
        few.max(doubling).min(enough)
    }

    /// Makes room for one more segment with so many slots in the lists, or changes nothing.
    pub(super) fn reserve_room(&mut self, slots: usize) -> Result<(), AcquireError> {
        let total = self.slots + slots;
        let free = grow(&mut self.free, total);
        let recycles = self.options.recycling.is_some();
        let kept = grow(&mut self.kept, if recycles { total } else { 0 });
        let segments = self.segments.try_reserve(1);
        if free.is_err() || kept.is_err() || segments.is_err() {
            return Err(out_of_memory::<SlotPtr>(total).into());
        }
        Ok(())
    }
}

/// No memory for a list of so many.
fn out_of_memory<T>(count: usize) -> AllocError {
    let layout = Layout::array::<T>(count).unwrap_or(Layout::new::<T>());
    AllocError::new(layout, AllocReason::OutOfMemory)
}

/// Makes room for so many slots in a list, or changes nothing.
///
/// A list is short when its pool grows, but its room is not: an allocator that cannot enlarge a block where it is would
/// copy all of it, and make memory resident that no slot was ever put into.
fn grow(list: &mut Vec<SlotPtr>, room: usize) -> Result<(), TryReserveError> {
    if list.capacity() < room {
        let mut larger = Vec::new();
        larger.try_reserve_exact(room.max(list.capacity() * 2))?;
        larger.append(list);
        *list = larger;
    }
    Ok(())
}

/// Gives back the room that a list has beyond so many slots, unless there is no memory for the smaller list.
fn shrink(list: &mut Vec<SlotPtr>, room: usize) {
    let mut smaller = Vec::new();
    if list.capacity() > room && smaller.try_reserve_exact(room).is_ok() {
        smaller.append(list);
        *list = smaller;
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
