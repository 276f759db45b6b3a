//! The guard of memory that its owner frees.

use std::alloc::Layout;
use std::fmt;
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::ptr::NonNull;

use super::contract::{LeaseObject, TenantId};
use super::error::OwnerError;
use super::hold::Hold;
use super::shared::Place;

/// Memory of an owner's strategy, on record as owned, freed when this guard is dropped.
///
/// Without a type it is a raw region, `[MaybeUninit<u8>]`, as
/// [`LeaseOwner::alloc_owned`](crate::LeaseOwner::alloc_owned) returns it. With one it holds a value, derefs to it,
/// and drops it before the memory goes back. As with `Arc`, its own functions are associated, not methods, so that
/// they never hide the value's.
///
/// ```
/// use lease::{LeaseOwner, OwnedLease};
///
/// let owner = LeaseOwner::new();
/// let mut names = owner.own(vec!["first"])?;
/// names.push("second");
/// assert_eq!(names.len(), 2);
/// assert_eq!(OwnedLease::object(&names).size(), size_of::<Vec<&str>>());
/// drop(names);
/// assert!(owner.is_empty());
/// # Ok::<(), lease::OwnerError>(())
/// ```
///
/// It cannot outlive the owner:
///
/// ```compile_fail,E0505
/// let owner = lease::LeaseOwner::new();
/// let text = owner.own_str("lent for as long as the owner lives").unwrap();
/// drop(owner);
/// assert!(!text.is_empty());
/// ```
#[must_use = "the memory is freed when the guard is dropped"]
pub struct OwnedLease<'owner, T: ?Sized = [MaybeUninit<u8>]> {
    // In this order: the value is dropped, and then, even if that panics, the memory is given back.
    pub(super) value: Value<T>,
    pub(super) hold: Hold<'owner>,
}

/// A value in leased memory, dropped in place.
pub(super) struct Value<T: ?Sized> {
    ptr: NonNull<T>,
    owns: PhantomData<T>,
}

// SAFETY: the lease owns its value, as `Box` does; the hold is a reference to a lock, one to a strategy (both `Sync`),
// and an address that is used only when the guard ends.
unsafe impl<T: ?Sized + Send> Send for OwnedLease<'_, T> {}
// SAFETY: a shared lease gives shared access to the value and to copies of the record, nothing else.
unsafe impl<T: ?Sized + Sync> Sync for OwnedLease<'_, T> {}

impl<T: ?Sized> Drop for Value<T> {
    fn drop(&mut self) {
        // SAFETY: the value was written when the lease was made, nothing has moved out of it, and this is its end.
        unsafe { self.ptr.drop_in_place() };
    }
}

impl<'owner> OwnedLease<'owner> {
    /// A raw region of this layout.
    pub(super) fn region(
        place: Place<'owner>,
        layout: Layout,
        location: &'static Location<'static>,
    ) -> Result<Self, OwnerError> {
        let hold = Hold::new(place, layout, location)?;
        let ptr = NonNull::slice_from_raw_parts(hold.block().ptr().cast(), layout.size());
        Ok(Self {
            value: Value::at(ptr),
            hold,
        })
    }

    /// The region with a value in it.
    pub(super) fn write<T>(self, value: T) -> OwnedLease<'owner, T> {
        let Self { value: bytes, hold } = self;
        assert_eq!(
            hold.block().layout(),
            Layout::new::<T>(),
            "the region was made for another type"
        );
        let ptr = bytes.into_ptr().cast::<T>();
        // SAFETY: the region is as large and as aligned as `T` and belongs to this guard alone.
        unsafe { ptr.write(value) };
        OwnedLease {
            value: Value::at(ptr),
            hold,
        }
    }

    /// The region with these bytes in it.
    pub(super) fn fill(mut self, bytes: &[u8]) -> OwnedLease<'owner, [u8]> {
        self.write_copy_of_slice(bytes);
        let Self { value, hold } = self;
        let ptr = NonNull::slice_from_raw_parts(value.into_ptr().cast::<u8>(), bytes.len());
        OwnedLease {
            value: Value::at(ptr),
            hold,
        }
    }
}

impl<'owner> OwnedLease<'owner, str> {
    /// The region with this text in it.
    pub(super) fn text(region: OwnedLease<'owner>, text: &str) -> Self {
        let OwnedLease { value, hold } = region.fill(text.as_bytes());
        let ptr = as_text(value.into_ptr());
        Self {
            value: Value::at(ptr),
            hold,
        }
    }
}

impl<T: ?Sized> Value<T> {
    /// The value at this place, which is from now on dropped with this.
    pub(super) fn at(ptr: NonNull<T>) -> Self {
        Self {
            ptr,
            owns: PhantomData,
        }
    }

    /// The place, with the value left in it.
    pub(super) fn into_ptr(self) -> NonNull<T> {
        let ptr = self.ptr;
        mem::forget(self);
        ptr
    }
}

/// The same bytes as text, for those that are UTF-8.
pub(super) fn as_text(bytes: NonNull<[u8]>) -> NonNull<str> {
    // SAFETY: the pointer comes from one that is not null.
    unsafe { NonNull::new_unchecked(bytes.as_ptr() as *mut str) }
}

impl<T: ?Sized> OwnedLease<'_, T> {
    /// The tenant's number, the other half of its address at the address layer.
    pub fn tenant_id(this: &Self) -> TenantId {
        this.hold.id()
    }

    /// Where the memory is.
    pub fn object(this: &Self) -> LeaseObject {
        let block = this.hold.block();
        LeaseObject::new(block.address(), block.layout().size(), block.layout().align())
    }

    /// Lets the guard go and hands the memory to the address layer, where the address and the number name it until
    /// [`terminate`](crate::LeaseOwner::terminate). The value in it, if any, is not dropped.
    #[must_use = "the address and the number are all that can end the tenant"]
    pub fn into_raw(this: Self) -> (NonNull<u8>, TenantId) {
        mem::forget(this.value);
        this.hold.into_raw()
    }
}

impl<T: ?Sized> Deref for OwnedLease<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value is initialised and lives until the guard ends; shared access to the guard is shared access
        // to it.
        unsafe { self.value.ptr.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for OwnedLease<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; exclusive access to the guard is exclusive access to the value.
        unsafe { self.value.ptr.as_mut() }
    }
}

impl<T: ?Sized> fmt::Debug for OwnedLease<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedLease")
            .field("tenant", &self.hold.id())
            .field("object", &Self::object(self))
            .finish()
    }
}
