//! Recycling: payloads that are reset at the last release and kept in their free slots.
//!
//! The pool's lists and headers do not know the payload's type; they carry what is needed with the type forgotten. A kept
//! payload is only ever touched where its type is known to be alive: by the leases and by the pool value.

use std::fmt;
use std::mem;

use super::segment::SlotPtr;

/// How a pool's payloads are reset and destroyed, their type forgotten.
#[derive(Clone, Copy)]
pub(super) struct Recycling {
    /// A `fn(&mut T)`.
    reset: fn(),
    destroy: unsafe fn(SlotPtr),
}

impl Recycling {
    pub(super) const fn of<T>(reset: fn(&mut T)) -> Self {
        Self {
            // SAFETY: function pointers are of one size; `reset` turns it back before it is called.
            reset: unsafe { mem::transmute::<fn(&mut T), fn()>(reset) },
            destroy: destroy::<T>,
        }
    }

    /// The function that resets a payload.
    ///
    /// # Safety
    ///
    /// `T` is the type this was made for.
    pub(super) unsafe fn reset<T>(self) -> fn(&mut T) {
        // SAFETY: it was a pointer of this type.
        unsafe { mem::transmute::<fn(), fn(&mut T)>(self.reset) }
    }

    /// Destroys the payload that a slot keeps. The slot is empty afterwards, also if the destructor panics.
    ///
    /// # Safety
    ///
    /// The caller owns the slot, or keeps everybody from taking it; it keeps a payload of the type this was made for; the
    /// type is alive.
    pub(super) unsafe fn discard(self, slot: SlotPtr) {
        // SAFETY: the slot's segment exists, as it cannot go before the caller has let go of the slot.
        unsafe { slot.word() }.unkeep();
        // SAFETY: the payload is initialised and nobody else's.
        unsafe { (self.destroy)(slot) };
    }
}

/// # Safety
///
/// The slot holds a `T` that is the caller's to destroy.
unsafe fn destroy<T>(slot: SlotPtr) {
    // SAFETY: as the caller says.
    unsafe { slot.payload::<T>().drop_in_place() };
}

impl fmt::Debug for Recycling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recycling").finish_non_exhaustive()
    }
}
