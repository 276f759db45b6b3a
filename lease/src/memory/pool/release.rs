//! How a slot ends: payload first, then the implicit weak lease, then the slot itself.
//!
//! The strong leases of a payload together hold one implicit weak lease, if there are weak leases at all. Whoever gives
//! up the last strong lease destroys the payload; whoever gives up the last weak lease, or the payload where there is
//! none, returns the slot. Each is exactly one thread, decided by one atomic step.

use std::marker::PhantomData;
use std::mem::{self, needs_drop};

use scopeguard::ScopeGuard;

use super::control_word::{StrongRelease, Word};
use super::magazine;
use super::recycle::Recycling;
use super::segment::SlotPtr;
use crate::sync::atomic::Ordering;

/// Gives up a strong lease; true if it was the last, so that the payload is gone.
///
/// # Safety
///
/// The caller gives up a strong count of this slot, whose payload is a `T`.
#[inline]
pub(super) unsafe fn strong<T>(slot: SlotPtr) -> bool {
    // SAFETY: the strong count keeps the segment.
    let word = unsafe { slot.word() };
    match word.leave() {
        StrongRelease::Plain(before) => {
            // SAFETY: the last strong lease is gone, so the payload is ours alone, and the word is plain.
            unsafe { end_plain::<T>(slot, before) };
            true
        }
        StrongRelease::Shared => false,
        StrongRelease::Last(before) => {
            // SAFETY: the last strong lease is gone, so the payload is ours alone.
            unsafe { end::<T>(slot, before) };
            true
        }
    }
}

/// Destroys the payload of a slot with a sole owner and returns the slot.
///
/// # Safety
///
/// The caller owns the slot, which holds an initialised `T` and has no leases of any kind.
#[inline]
pub(super) unsafe fn unique<T>(slot: SlotPtr) {
    // SAFETY: the owner keeps the segment.
    let seen = unsafe { slot.word() }.read();
    if seen.is_plain() {
        // SAFETY: the payload is the caller's alone, and the word is plain.
        unsafe { end_plain::<T>(slot, seen) };
    } else {
        // SAFETY: the payload is the caller's alone.
        unsafe { end::<T>(slot, seen) };
    }
}

/// Destroys the payload of a slot without weak leases and returns the slot; what is not as simple goes to [`end`].
///
/// # Safety
///
/// As [`end`], and the word is plain.
#[inline]
unsafe fn end_plain<T>(slot: SlotPtr, seen: Word) {
    // SAFETY: the slot is in use, so its segment exists.
    let shared = unsafe { slot.segment_by_plain(seen) }.shared();
    if needs_drop::<T>() {
        // Pools that recycle have no magazines under their identity.
        if !magazine::is_at_hand(shared) {
            // SAFETY: as the caller says.
            return unsafe { end::<T>(slot, seen) };
        }
        let rest = AfterPayload::<T> {
            slot,
            class: seen.class(),
            has_weak: false,
            payload: PhantomData,
        };
        // SAFETY: as the caller says.
        unsafe { slot.payload::<T>().drop_in_place() };
        drop(rest);
    // No code of the payload's runs, so what was seen is fresh.
    // SAFETY: the payload needs no end, and there are no weak leases, so the slot is ours.
    } else if !unsafe { magazine::take_back(shared, slot, seen) } {
        // SAFETY: as the caller says.
        unsafe { end::<T>(slot, seen) };
    }
}

/// Destroys or resets a payload, then does what is left to do. `seen` is the slot's word as it was when the caller became
/// the owner of the payload.
///
/// # Safety
///
/// The payload is an initialised `T`, the caller's alone; there are no strong leases.
#[cold]
#[inline(never)]
unsafe fn end<T>(slot: SlotPtr, seen: Word) {
    // SAFETY: the slot is in use, so its segment exists.
    let segment = unsafe { slot.segment(seen.class()) };
    let (recycling, shared) = (segment.recycling(), segment.shared());
    let rest = AfterPayload::<T> {
        slot,
        class: seen.class(),
        has_weak: seen.has_weak(),
        payload: PhantomData,
    };
    match recycling {
        // SAFETY: as the caller says.
        None => unsafe { slot.payload::<T>().drop_in_place() },
        Some(recycling) => {
            // SAFETY: as the caller says; the pool's recycling was made for its payloads.
            unsafe { reset::<T>(slot, recycling) };
            // SAFETY: the slot is in use, so its segment exists.
            let word = unsafe { slot.word() };
            // SAFETY: there are no strong leases, and without weak ones, which a plain word says, the slot is ours.
            if unsafe { magazine::keep(shared, slot, word.read()) } {
                return mem::forget(rest);
            }
            word.keep();
        }
    }
    drop(rest);
}

/// Resets a payload. If the reset panics, the payload is destroyed.
///
/// # Safety
///
/// The payload is an initialised `T`, the caller's alone, and `recycling` was made for `T`.
#[cold]
#[inline(never)]
unsafe fn reset<T>(slot: SlotPtr, recycling: Recycling) {
    let mut payload = scopeguard::guard(slot.payload::<T>(), |payload| {
        // SAFETY: the payload is initialised, the caller's alone, and not kept.
        unsafe { payload.drop_in_place() };
    });
    // SAFETY: it was made for `T`.
    let reset = unsafe { recycling.reset::<T>() };
    // SAFETY: the payload is initialised and the caller's alone.
    reset(unsafe { payload.as_mut() });
    ScopeGuard::into_inner(payload);
}

/// Gives up a weak lease; true if it was the last of all, so that the slot has gone back.
///
/// # Safety
///
/// The caller gives up a weak count of this slot of payload type `T` and class `class`.
pub(super) unsafe fn weak<T>(slot: SlotPtr, class: u8) -> bool {
    // SAFETY: the weak count keeps the segment.
    let segment = unsafe { slot.segment(class) };
    let count = segment.weak_count::<T>(slot).expect("a weak lease is counted");
    // `Release` hands this holder's use of the slot to the last one, `Acquire` takes over everybody else's.
    if count.fetch_sub(1, Ordering::AcqRel) != 1 {
        return false;
    }
    // SAFETY: the slot is still in use, by us alone.
    let seen = unsafe { slot.word() }.read().without_weak();
    // SAFETY: no strong and no weak lease is left, so the slot is ours.
    unsafe { magazine::give_back(segment.shared(), slot, seen) };
    true
}

/// What is left to do once the payload is gone, also if its destructor panicked.
///
/// Holds no reference to the segment: the segment may be gone before the call that returns the slot is over.
struct AfterPayload<T> {
    slot: SlotPtr,
    class: u8,
    has_weak: bool,
    payload: PhantomData<T>,
}

impl<T> Drop for AfterPayload<T> {
    #[inline]
    fn drop(&mut self) {
        if self.has_weak {
            // SAFETY: the strong leases' implicit weak lease is ours to give up.
            unsafe { weak::<T>(self.slot, self.class) };
        } else {
            // SAFETY: the slot is in use, by us alone, so its segment exists.
            let segment = unsafe { self.slot.segment(self.class) };
            // SAFETY: the slot is in use, by us alone.
            let seen = unsafe { self.slot.word() }.read();
            // SAFETY: the payload is gone or kept, and there are no weak leases, so the slot is ours.
            unsafe { magazine::give_back(segment.shared(), self.slot, seen) };
        }
    }
}
