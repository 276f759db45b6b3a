//! Types that say which of their fields hold borrowed memory.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;

use smallvec::SmallVec;

use super::LeaseOwner;
use super::borrowed::Recorded;
use super::contract::LeaseTenant;
use super::shared::SharedTable;
use crate::memory::strategy::MemoryStrategy;

/// A type with fields whose memory is borrowed from elsewhere.
///
/// `#[leased(borrowed)]` writes this for the fields marked `#[lease]`; by hand it is as short:
///
/// ```
/// use lease::{BorrowedFields, LeaseOwner, TrackBorrowed};
///
/// struct Frame<'a> { header: &'a [u8], body: &'a mut [u8], number: u64 }
///
/// impl TrackBorrowed for Frame<'_> {
///     fn borrowed_fields(&self, fields: &mut BorrowedFields<'_>) {
///         fields.record(self.header);
///         fields.record(&*self.body);
///     }
/// }
///
/// let owner = LeaseOwner::new();
/// let (header, mut body) = ([0_u8; 16], [0_u8; 1024]);
/// let frame = Frame { header: &header, body: &mut body, number: 7 };
/// let tracked = frame.track(&owner);
/// assert_eq!((owner.len(), tracked.number), (2, 7));
/// drop(tracked);
/// assert!(owner.is_empty());
/// ```
pub trait TrackBorrowed {
    /// Names the memory of each marked field. Called once for each [`track`](Self::track), without any lock held.
    fn borrowed_fields(&self, fields: &mut BorrowedFields<'_>);

    /// Puts the memory of the marked fields on record for as long as the guard lives.
    ///
    /// Cannot fail; what cannot be put on record is counted in the owner's report.
    #[track_caller]
    fn track<'a, S: MemoryStrategy>(&'a self, owner: &'a LeaseOwner<S>) -> Tracking<'a, Self> {
        let mut fields = BorrowedFields {
            table: owner.table(),
            records: SmallVec::new(),
            location: Location::caller(),
        };
        self.borrowed_fields(&mut fields);
        Tracking {
            value: self,
            records: fields.records,
        }
    }
}

/// Takes down the memory that [`TrackBorrowed::borrowed_fields`] names.
pub struct BorrowedFields<'owner> {
    table: &'owner SharedTable,
    records: SmallVec<[Recorded<'owner>; 2]>,
    location: &'static Location<'static>,
}

impl BorrowedFields<'_> {
    /// Puts this memory on record as borrowed. For a slice or a `str` that is its contents, for anything else the value
    /// itself: of a `&Vec<T>`, its three words.
    pub fn record<T: ?Sized>(&mut self, memory: &T) {
        if self.records.try_reserve(1).is_ok() {
            self.records
                .push(Recorded::new(self.table, memory, self.location));
        } else {
            self.table.lock().untracked += 1;
        }
    }
}

impl fmt::Debug for BorrowedFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BorrowedFields").field(&self.records).finish()
    }
}

/// A value whose borrowed fields are on record; derefs to the value.
///
/// Made by [`TrackBorrowed::track`]. Outlives neither the value nor the owner, and frees nothing.
#[must_use = "the records end when the guard is dropped"]
pub struct Tracking<'a, T: ?Sized> {
    value: &'a T,
    records: SmallVec<[Recorded<'a>; 2]>,
}

impl<T: ?Sized> Tracking<'_, T> {
    /// The tenants under which the fields are on record, in the order in which they were named. Fields without a
    /// record (empty ones, above all) are left out.
    pub fn tenants(this: &Self) -> impl Iterator<Item = LeaseTenant> {
        this.records.iter().filter_map(Recorded::tenant)
    }
}

impl<T: ?Sized> Deref for Tracking<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
    }
}

impl<T: ?Sized> fmt::Debug for Tracking<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracking")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}
