//! The mapped lease: a strong lease on a payload that is seen as something else.
//!
//! It keeps two pointers, one to what is seen and one to the slot. One fat pointer would be enough for a lease on a trait
//! object that is its own payload, but stable Rust has no way to make one soundly: unsizing by `CoerceUnsized` is for std's
//! pointers only; a safe function from pointer to pointer may return any pointer, with any vtable or length; and a
//! reference, as it comes from a safe function from reference to reference, may not be used to reach the control word
//! before the payload and the header of its segment.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::Deref;
use std::process;
use std::ptr::NonNull;

use super::control_word::Joined;
use super::release;
use super::segment::SlotPtr;
use super::strong::StrongLease;

/// A strong lease that shows its payload as a trait object, a slice, or a part of it; made by [`StrongLease::map`].
///
/// It counts as one of the payload's strong leases; the payload's own type is forgotten. So leases on payloads of
/// different types, from different pools, can be of one type. There is no weak form: keep a [`WeakLease`](crate::WeakLease)
/// on the payload, and map what it locks.
///
/// There is no `StrongLease<dyn Trait>` and no `StrongLease<[T]>`: stable Rust has no sound way to write the coercion, so
/// this lease keeps a pointer to what it shows beside the one to the slot, and a function: three words, or four when what
/// it shows is unsized. Cloning and dropping cost what they cost for the payload's own lease.
///
/// ```
/// use std::fmt::Display;
/// use lease::{MappedLease, Pool, StrongLease};
///
/// let (numbers, texts) = (Pool::new(), Pool::new());
/// let shown: Vec<MappedLease<dyn Display>> = vec![
///     StrongLease::map(numbers.acquire(7_u32), |number| number as &dyn Display),
///     StrongLease::map(texts.acquire(String::from("seven")), |text| text as &dyn Display),
/// ];
/// assert_eq!(format!("{} {}", &*shown[0], &*shown[1]), "7 seven");
/// ```
pub struct MappedLease<U: ?Sized> {
    value: NonNull<U>,
    slot: SlotPtr,
    /// Gives the strong count up, by someone who knew the payload's type.
    release: unsafe fn(SlotPtr) -> bool,
    seen: PhantomData<U>,
}

// SAFETY: a lease gives `&U` on every thread that has one; the payload behind it is `Send` and `Sync`, or there would be
// no mapped lease. The counts are atomic.
unsafe impl<U: ?Sized + Sync> Send for MappedLease<U> {}
// SAFETY: as above; `&MappedLease` can be cloned into a lease.
unsafe impl<U: ?Sized + Sync> Sync for MappedLease<U> {}

impl<U: ?Sized> MappedLease<U> {
    /// A lease that takes over the strong one and shows what `view` finds.
    pub(super) fn new<T: Send + Sync + 'static>(lease: StrongLease<T>, view: impl FnOnce(&T) -> &U) -> Self
    where
        U: 'static,
    {
        // Good for as long as the payload is lent, whoever's it is: `view` cannot know for how long that will be. The
        // lease lends it shared until its last strong count is given up.
        let value = NonNull::from(view(&lease));
        Self {
            value,
            slot: lease.into_slot(),
            release: release::strong::<T>,
            seen: PhantomData,
        }
    }

    /// Shows something else of what is seen.
    pub fn map<V: ?Sized + 'static>(this: Self, view: impl FnOnce(&U) -> &V) -> MappedLease<V>
    where
        U: 'static,
    {
        let value = NonNull::from(view(&this));
        let (slot, release) = (this.slot, this.release);
        mem::forget(this);
        MappedLease {
            value,
            slot,
            release,
            seen: PhantomData,
        }
    }

    /// Gives the lease up; true if it was the last strong one, so that the payload is gone.
    #[allow(
        clippy::must_use_candidate,
        reason = "releasing is the point, the answer is extra"
    )]
    pub fn release(this: Self) -> bool {
        let (slot, release) = (this.slot, this.release);
        mem::forget(this);
        // SAFETY: the forgotten lease's strong count is given up here, by the payload's own function.
        unsafe { release(slot) }
    }
}

impl<U: ?Sized> Deref for MappedLease<U> {
    type Target = U;

    fn deref(&self) -> &U {
        // SAFETY: it was lent by the payload, or for ever, and the payload is lent shared while there are strong leases.
        unsafe { self.value.as_ref() }
    }
}

impl<U: ?Sized> AsRef<U> for MappedLease<U> {
    fn as_ref(&self) -> &U {
        self
    }
}

impl<U: ?Sized> Clone for MappedLease<U> {
    /// One strong lease more, as [`StrongLease::clone`].
    fn clone(&self) -> Self {
        // SAFETY: the lease keeps the segment.
        match unsafe { self.slot.word() }.join() {
            Joined::Yes => Self {
                value: self.value,
                slot: self.slot,
                release: self.release,
                seen: PhantomData,
            },
            Joined::Dead | Joined::Full => process::abort(),
        }
    }
}

impl<U: ?Sized> Drop for MappedLease<U> {
    fn drop(&mut self) {
        // SAFETY: the lease's strong count is given up once, here, by the payload's own function.
        unsafe { (self.release)(self.slot) };
    }
}

impl<U: ?Sized + fmt::Debug> fmt::Debug for MappedLease<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<U: ?Sized + fmt::Display> fmt::Display for MappedLease<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}
