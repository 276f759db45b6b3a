//! Guards of memory that somebody else owns.
//!
//! Both are statements and nothing more: they give no access, so they hold no pointer, are `Send` and `Sync`, and a
//! leaked one costs a stale record, never a dangling read. Neither can fail: what cannot be put on record is not, and
//! the owner's report counts it.

use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::NonNull;

use super::block::Block;
use super::contract::{Contract, LeaseTenant};
use super::record::{Holder, Key};
use super::shared::SharedTable;

/// Memory on record as borrowed until this guard is dropped, known by its address only.
///
/// Made by [`LeaseOwner::record`](crate::LeaseOwner::record). It does not hold the borrow, so the caller may go on
/// using a `&mut` to the memory; in exchange nothing stops the memory from going away first. Where the compiler should,
/// take a [`BorrowedLease`].
#[must_use = "the record ends when the guard is dropped"]
pub struct Recorded<'owner> {
    table: &'owner SharedTable,
    key: Option<Key>,
}

impl<'owner> Recorded<'owner> {
    pub(super) fn new<T: ?Sized>(
        table: &'owner SharedTable,
        memory: &T,
        location: &'static Location<'static>,
    ) -> Self {
        let block = Block::elsewhere(
            NonNull::from(memory).cast(),
            std::alloc::Layout::for_value(memory),
        );
        let mut records = table.lock();
        let key = records
            .lend(Contract::Borrowed, block, Holder::Guard, location)
            .unwrap_or_else(|_| {
                records.untracked += 1;
                None
            });
        Self { table, key }
    }

    /// The tenant under which the memory is on record: nothing for an empty region, for one that could not be stored,
    /// and for one whose memory has been handed out again since.
    pub fn tenant(&self) -> Option<LeaseTenant> {
        self.table.lock().tenant(self.key?)
    }
}

impl Drop for Recorded<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.table.lock().release(key, Holder::Guard);
        }
    }
}

impl fmt::Debug for Recorded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("tenant", &self.tenant())
            .finish()
    }
}

/// Memory on record as borrowed, which cannot go away or be written to while this guard lives.
///
/// Made by [`LeaseOwner::borrow`](crate::LeaseOwner::borrow).
///
/// ```compile_fail,E0505
/// let owner = lease::LeaseOwner::new();
/// let buffer = vec![0_u8; 64];
/// let lent = owner.borrow(&buffer[..]);
/// drop(buffer); // the memory is still lent
/// drop(lent);
/// ```
#[must_use = "the record ends when the guard is dropped"]
pub struct BorrowedLease<'owner, 'mem> {
    record: Recorded<'owner>,
    memory: PhantomData<&'mem ()>,
}

impl<'owner, 'mem> BorrowedLease<'owner, 'mem> {
    pub(super) fn new<T: ?Sized>(
        table: &'owner SharedTable,
        memory: &'mem T,
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            record: Recorded::new(table, memory, location),
            memory: PhantomData,
        }
    }

    /// The tenant under which the memory is on record: nothing for an empty region and for one that could not be
    /// stored.
    pub fn tenant(&self) -> Option<LeaseTenant> {
        self.record.tenant()
    }
}

impl fmt::Debug for BorrowedLease<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BorrowedLease")
            .field("tenant", &self.tenant())
            .finish()
    }
}
