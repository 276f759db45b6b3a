//! The owner table: memory under contract.
//!
//! A [`LeaseOwner`] keeps a record of memory: what it allocated itself ([`Contract::Owned`]), what others lent
//! ([`Contract::Borrowed`]), what lives for ever ([`Contract::Static`]). A record is a statement that can be asked
//! about; it grants no access.
//!
//! There are two layers. *Guards* ([`OwnedLease`], [`BorrowedLease`], [`Recorded`]) are safe and typed, and end their
//! record when they are dropped. *Addresses*, for C and for tools, come with a [`TenantId`]; asking by address is
//! safe, changing by address is `unsafe`, and what a guard holds is refused.

mod address;
mod block;
#[forbid(unsafe_code)]
mod borrowed;
#[forbid(unsafe_code)]
mod contract;
mod end;
#[forbid(unsafe_code)]
mod error;
#[forbid(unsafe_code)]
mod hash;
mod hold;
#[cfg(all(test, loom))]
mod models;
mod moving;
mod owned;
#[forbid(unsafe_code)]
mod record;
#[forbid(unsafe_code)]
mod regions;
#[forbid(unsafe_code)]
mod report;
#[forbid(unsafe_code)]
mod shared;
#[forbid(unsafe_code)]
mod table;
#[forbid(unsafe_code)]
mod track;

use std::alloc::Layout;
use std::panic::Location;
use std::ptr::NonNull;

use self::block::Block;
use self::record::{Holder, Key, next_tenant};
use self::shared::{Place, SharedTable};
use self::table::Table;
use crate::memory::strategy::{MemoryStrategy, System};
use crate::sync::OnceLock;

pub use self::borrowed::{BorrowedLease, Recorded};
pub use self::contract::{Contract, LeaseObject, LeasePolicy, LeaseTenant, TenantId};
pub use self::error::OwnerError;
pub use self::moving::{PlainBytes, Relocatable, Unmoved};
pub use self::owned::OwnedLease;
pub use self::report::{ContractTotals, LeakReport, OwnerReport};
pub use self::track::{BorrowedFields, TrackBorrowed, Tracking};

/// A table of memory under contract, over the strategy that its owned memory comes from.
///
/// ```
/// use std::alloc::Layout;
/// use lease::{Contract, LeaseOwner, OwnedLease};
///
/// let owner = LeaseOwner::with_capacity(128);
/// let region = owner.alloc_owned(Layout::new::<[u64; 512]>())?;
/// let frame = [0_u8; 1500];
/// let lent = owner.borrow(&frame);
///
/// // Whose is the byte in the middle of the region?
/// let tenant = owner.find(&raw const region[100]).expect("it is on record");
/// assert_eq!(tenant.id(), OwnedLease::tenant_id(&region));
/// assert_eq!(tenant.contract(), Contract::Owned);
///
/// println!("{owner:?}"); // a table that a person can read
/// drop((region, lent));
/// assert!(owner.is_empty());
/// # Ok::<(), lease::OwnerError>(())
/// ```
///
/// Owners are shared by reference between threads. No lock is held while a strategy, a destructor, a hook or any other
/// code of the caller's runs. The one exception is the program's global allocator, where the table's own memory comes
/// from: it must not use an owner itself.
///
/// An owner that ends with owned memory on record (an address that nobody terminated, a guard that was leaked) frees
/// it, without running destructors, and tells the [hook](Self::on_leak).
pub struct LeaseOwner<S: MemoryStrategy = System> {
    table: SharedTable,
    on_leak: Option<LeakHook>,
    strategy: S,
}

type LeakHook = Box<dyn Fn(&LeakReport) + Send + Sync>;

impl LeaseOwner {
    /// An owner over the system allocator.
    pub fn new() -> Self {
        Self::with_strategy(System)
    }

    /// An owner over the system allocator, with room for this many tenants before its table grows.
    ///
    /// # Panics
    ///
    /// As `Vec::with_capacity`, if the room is beyond all bounds.
    pub fn with_capacity(tenants: usize) -> Self {
        Self::with_capacity_in(tenants, System)
    }

    /// The owner that the whole process shares, over the system allocator: what the macros use when none is named.
    ///
    /// ```
    /// use lease::LeaseOwner;
    ///
    /// static VERSION: [u8; 4] = *b"1.0\0";
    /// LeaseOwner::global().track_static(&VERSION)?;
    /// assert!(LeaseOwner::global().tenant(&VERSION).is_some());
    /// # Ok::<(), lease::OwnerError>(())
    /// ```
    pub fn global() -> &'static Self {
        static GLOBAL: OnceLock<LeaseOwner> = OnceLock::new();
        GLOBAL.get_or_init(Self::new)
    }
}

impl<S: MemoryStrategy + Default> Default for LeaseOwner<S> {
    fn default() -> Self {
        Self::with_strategy(S::default())
    }
}

impl<S: MemoryStrategy> LeaseOwner<S> {
    /// An owner whose memory comes from this strategy.
    pub fn with_strategy(strategy: S) -> Self {
        Self::with_capacity_in(0, strategy)
    }

    /// An owner whose memory comes from this strategy, with room for this many tenants before its table grows.
    ///
    /// # Panics
    ///
    /// As `Vec::with_capacity`, if the room is beyond all bounds.
    pub fn with_capacity_in(tenants: usize, strategy: S) -> Self {
        Self {
            table: SharedTable::new(Table::with_capacity(tenants)),
            on_leak: None,
            strategy,
        }
    }

    /// The strategy that owned memory comes from.
    pub fn strategy(&self) -> &S {
        &self.strategy
    }

    fn table(&self) -> &SharedTable {
        &self.table
    }

    fn place(&self) -> Place<'_> {
        Place {
            table: &self.table,
            strategy: &self.strategy,
        }
    }

    // Memory under contract.

    /// Allocates a region and puts it on record as owned. The bytes are not initialised.
    ///
    /// # Errors
    ///
    /// [`OwnerError::Alloc`] for a size of zero and when the strategy has no such block, [`OwnerError::NoRoom`] when
    /// the table cannot grow, and [`OwnerError::Overlap`] when the strategy hands out memory that is on record as
    /// owned or static: it was freed behind the owner's back.
    #[track_caller]
    pub fn alloc_owned(&self, layout: Layout) -> Result<OwnedLease<'_>, OwnerError> {
        OwnedLease::region(self.place(), layout, Location::caller())
    }

    /// Moves a value into leased memory; the guard derefs to it and drops it.
    ///
    /// ```
    /// let owner = lease::LeaseOwner::new();
    /// let mut scores = owner.own([3, 1, 2])?;
    /// scores.sort();
    /// assert_eq!(*scores, [1, 2, 3]);
    /// # Ok::<(), lease::OwnerError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`alloc_owned`](Self::alloc_owned); the value is dropped. [`own_with`](Self::own_with) makes it only when
    /// there is a place for it.
    #[track_caller]
    pub fn own<T>(&self, value: T) -> Result<OwnedLease<'_, T>, OwnerError> {
        Ok(self.alloc_owned(Layout::new::<T>())?.write(value))
    }

    /// Makes a value for leased memory that is already there. If `make` panics, the memory goes back.
    ///
    /// # Errors
    ///
    /// As [`alloc_owned`](Self::alloc_owned); `make` has not been called.
    #[track_caller]
    pub fn own_with<T>(&self, make: impl FnOnce() -> T) -> Result<OwnedLease<'_, T>, OwnerError> {
        let region = self.alloc_owned(Layout::new::<T>())?;
        Ok(region.write(make()))
    }

    /// Copies bytes into leased memory.
    ///
    /// # Errors
    ///
    /// As [`alloc_owned`](Self::alloc_owned); there is no lease of no bytes.
    #[track_caller]
    pub fn own_bytes(&self, bytes: &[u8]) -> Result<OwnedLease<'_, [u8]>, OwnerError> {
        Ok(self.alloc_owned(Layout::for_value(bytes))?.fill(bytes))
    }

    /// Copies text into leased memory.
    ///
    /// # Errors
    ///
    /// As [`alloc_owned`](Self::alloc_owned); there is no lease of no bytes.
    #[track_caller]
    pub fn own_str(&self, text: &str) -> Result<OwnedLease<'_, str>, OwnerError> {
        Ok(OwnedLease::text(self.alloc_owned(Layout::for_value(text))?, text))
    }

    /// Puts memory on record as borrowed, and keeps it borrowed, until the guard is dropped.
    ///
    /// Of a slice or a `str` that is its contents, of anything else the value itself: of a `&Vec<T>`, its three words.
    /// Borrows of the same region are one tenant, counted; an empty region is not stored. This cannot fail: a borrow
    /// that cannot be put on record, for want of memory or because it crosses the border of an owned region, is
    /// counted in [`OwnerReport::untracked`].
    ///
    /// ```
    /// let owner = lease::LeaseOwner::new();
    /// let samples = [1.0_f32, 2.0];
    /// let lent = owner.borrow(&samples);
    /// let also = owner.borrow(&samples);
    /// assert_eq!(owner.tenant(&samples).unwrap().guards(), 2);
    /// drop((lent, also));
    /// assert_eq!(owner.tenant(&samples), None);
    /// ```
    #[track_caller]
    pub fn borrow<'mem, T: ?Sized>(&self, memory: &'mem T) -> BorrowedLease<'_, 'mem> {
        BorrowedLease::new(&self.table, memory, Location::caller())
    }

    /// Puts memory on record as borrowed, by its address alone, until the guard is dropped.
    ///
    /// As [`borrow`](Self::borrow), but the memory itself is not kept borrowed; this is what
    /// `#[leased(borrowed)]` expands to on a function.
    ///
    /// ```
    /// let owner = lease::LeaseOwner::new();
    /// let mut frame = [0_u8; 64];
    /// let recorded = owner.record(&frame);
    /// frame[0] = 1; // still the caller's to write to
    /// assert!(owner.find(&raw const frame[10]).is_some());
    /// drop(recorded);
    /// assert!(owner.is_empty());
    /// ```
    #[track_caller]
    pub fn record<T: ?Sized>(&self, memory: &T) -> Recorded<'_> {
        Recorded::new(&self.table, memory, Location::caller())
    }

    /// Puts memory on record that lives for ever; however often, it is one tenant. An empty region gets
    /// a number and is not stored.
    ///
    /// # Errors
    ///
    /// [`OwnerError::Overlap`] if the memory is on record as owned, so that somebody will free it, and
    /// [`OwnerError::NoRoom`] when the table cannot grow.
    #[track_caller]
    pub fn track_static<T: ?Sized>(&self, memory: &'static T) -> Result<TenantId, OwnerError> {
        let block = Block::elsewhere(NonNull::from(memory).cast(), Layout::for_value(memory));
        let key = self
            .table
            .lock()
            .lend(Contract::Static, block, Holder::Raw, Location::caller())?;
        Ok(stored_or_next(key))
    }

    // Asking.

    /// The tenant that starts at this address. Any pointer will do; only its address is looked at. O(1).
    ///
    /// Where several start there, the answer is the one that says most: `Owned` before `Static` before `Borrowed`, then
    /// the widest, then the oldest.
    pub fn tenant<T: ?Sized>(&self, address: *const T) -> Option<LeaseTenant> {
        self.table.lock().starting_at(address.addr())
    }

    /// Where the memory is that starts at this address; see [`tenant`](Self::tenant).
    pub fn object<T: ?Sized>(&self, address: *const T) -> Option<LeaseObject> {
        self.tenant(address).map(|tenant| tenant.object())
    }

    /// The rules for the memory that starts at this address; see [`tenant`](Self::tenant).
    pub fn policy<T: ?Sized>(&self, address: *const T) -> Option<LeasePolicy> {
        self.tenant(address).map(|tenant| tenant.policy())
    }

    /// The tenant whose region this address lies in, at its start or inside. Of several, the one that says most, as in
    /// [`tenant`](Self::tenant).
    ///
    /// One look-up for each class of sizes that is on record (64 bytes, 1 KiB, 16 KiB, and so on by sixteens).
    pub fn find<T: ?Sized>(&self, address: *const T) -> Option<LeaseTenant> {
        self.table.lock().covering(address.addr())
    }

    /// How many tenants are on record.
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// Whether nothing is on record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every tenant as it stands now, oldest first.
    pub fn tenants(&self) -> impl ExactSizeIterator<Item = LeaseTenant> + use<S> {
        self.report().tenants.into_iter()
    }

    /// Every tenant and the figures of this owner, all of one moment. O(n log n).
    pub fn report(&self) -> OwnerReport {
        OwnerReport::of(&self.table)
    }
}

/// The number of a stored region, or a fresh one for an empty region, under which nothing will ever be found.
fn stored_or_next(key: Option<Key>) -> TenantId {
    key.map_or_else(next_tenant, |key| key.id)
}
