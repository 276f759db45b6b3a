//! The handle: an 8-byte name for an object on lease that cannot lie.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use super::pages;

/// A plain number that names one object on lease, and never another one.
///
/// A handle keeps nobody alive and grants no access: [`Pool::lock`](crate::Pool::lock) gives a strong lease for it, or
/// nothing if the object is gone. It survives the slot (generations tell the old from the new), the segment (page
/// numbers keep a floor under their generations) and the pool. It may be stored anywhere a `u64` may, also on the other
/// side of an FFI border; a number that was never given out is told apart like a stale one.
///
/// ```
/// use lease::{ControlBlockHandle, Pool, StrongLease};
///
/// let pool = Pool::new();
/// let lease = pool.acquire("ready");
/// let bits: u64 = StrongLease::handle(&lease).to_bits();
///
/// let handle = ControlBlockHandle::from_bits(bits);
/// assert_eq!(pool.lock(handle).as_deref(), Some(&"ready"));
/// drop(lease);
/// assert!(pool.lock(handle).is_none());
/// ```
#[repr(transparent)]
pub struct ControlBlockHandle<T> {
    /// Generation in the upper half; page number and granule in the lower.
    bits: u64,
    payload: PhantomData<fn() -> T>,
}

impl<T> ControlBlockHandle<T> {
    /// The handle that names nothing; its bits are 0.
    pub const NULL: Self = Self::from_bits(0);

    pub(super) fn new(generation: u32, place: pages::Place) -> Self {
        Self::from_bits((u64::from(generation) << 32) | u64::from(place.to_bits()))
    }

    /// The handle as a number. 0 is the null handle.
    pub const fn to_bits(self) -> u64 {
        self.bits
    }

    /// The handle for a number, whether or not such a handle was ever given out. 0 is the null handle.
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            bits,
            payload: PhantomData,
        }
    }

    /// Whether this is the null handle.
    pub const fn is_null(self) -> bool {
        self.bits == 0
    }

    pub(super) const fn generation(self) -> u32 {
        (self.bits >> 32) as u32
    }

    pub(super) const fn place(self) -> pages::Place {
        #[allow(clippy::cast_possible_truncation, reason = "the lower half is the place")]
        pages::Place::from_bits(self.bits as u32)
    }
}

impl<T> Clone for ControlBlockHandle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ControlBlockHandle<T> {}

impl<T> PartialEq for ControlBlockHandle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits
    }
}

impl<T> Eq for ControlBlockHandle<T> {}

impl<T> Hash for ControlBlockHandle<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits.hash(state);
    }
}

impl<T> Default for ControlBlockHandle<T> {
    fn default() -> Self {
        Self::NULL
    }
}

impl<T> fmt::Debug for ControlBlockHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_null() {
            f.write_str("ControlBlockHandle(null)")
        } else {
            let place = self.place();
            write!(
                f,
                "ControlBlockHandle({}:{:#x}@{})",
                place.page(),
                place.offset_in_page(),
                self.generation()
            )
        }
    }
}
