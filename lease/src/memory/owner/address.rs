//! The address layer: memory named by where it is and by its tenant's number, for C and for tools.
//!
//! What moves memory marks its tenant busy, works with the lock released, and takes the lock again to rebind the
//! record; until then every other call on that tenant is refused. What only ends or re-files a record is one step
//! under the lock. So of several calls on one tenant one wins, and the others are told.

use std::alloc::Layout;
use std::mem;
use std::panic::Location;
use std::ptr::NonNull;

use super::block::Block;
use super::contract::{Contract, TenantId};
use super::error::OwnerError;
use super::hold::relocate;
use super::record::{Holder, Key, Need};
use super::shared::SharedTable;
use super::{LeaseOwner, stored_or_next};
use crate::memory::strategy::MemoryStrategy;

/// The address layer. Guards are the safe way; these are for callers who hold an address and a number, such as C.
///
/// A pointer is taken for its address only, its provenance plays no part: the owner keeps the allocation's own.
impl<S: MemoryStrategy> LeaseOwner<S> {
    /// Puts memory on record as borrowed until as many [`terminate`](Self::terminate)s.
    ///
    /// The same region again is the same tenant, counted. An empty region gets a number and is not stored.
    ///
    /// # Errors
    ///
    /// [`OwnerError::Overlap`] if it crosses the border of an owned region, [`OwnerError::NoRoom`] when the table
    /// cannot grow.
    #[track_caller]
    pub fn track_borrowed(&self, address: NonNull<u8>, layout: Layout) -> Result<TenantId, OwnerError> {
        let block = Block::elsewhere(address, layout);
        let key = self
            .table()
            .lock()
            .lend(Contract::Borrowed, block, Holder::Raw, Location::caller())?;
        Ok(stored_or_next(key))
    }

    /// Ends a tenant: owned memory is freed, borrowed and static memory is only taken off the record.
    ///
    /// ```
    /// use lease::{LeaseOwner, OwnedLease, OwnerError};
    ///
    /// let owner = LeaseOwner::new();
    /// let (address, tenant) = OwnedLease::into_raw(owner.own_bytes(b"for C to keep")?);
    /// // SAFETY: nobody uses the bytes any more.
    /// let first = unsafe { owner.terminate(address.as_ptr(), tenant) };
    /// assert_eq!(first, Ok(()));
    /// // SAFETY: as above.
    /// let second = unsafe { owner.terminate(address.as_ptr(), tenant) };
    /// assert!(matches!(second, Err(OwnerError::NotTracked { .. })));
    /// # Ok::<(), OwnerError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OwnerError::NotTracked`] if the tenant is not at this address, [`OwnerError::HeldByGuard`] if only guards
    /// hold it, [`OwnerError::Busy`] while another call moves it.
    ///
    /// # Safety
    ///
    /// If the tenant is `Owned`, nothing uses its memory afterwards.
    pub unsafe fn terminate<T: ?Sized>(&self, address: *const T, tenant: TenantId) -> Result<(), OwnerError> {
        let mut table = self.table().lock();
        let key = table.permit(address.addr(), tenant, Need::End)?;
        let ended = table.release(key, Holder::Raw);
        drop(table);
        if let Some(block) = ended.and_then(|record| record.owned_block()) {
            // SAFETY: the record held this strategy's block, has just ended, and so ends it once; the caller stops
            // using the memory.
            unsafe { block.deallocate(self.strategy()) };
        }
        Ok(())
    }

    /// Gives owned memory another size or alignment, and says where it is now. As many bytes as fit are kept; the
    /// tenant keeps its number.
    ///
    /// Borrows on record inside the old region stay on record, no longer counted on the tenant.
    ///
    /// # Errors
    ///
    /// As [`terminate`](Self::terminate) and [`alloc_owned`](Self::alloc_owned), and [`OwnerError::NotOwned`]. The
    /// lease is then as it was, memory included.
    ///
    /// # Safety
    ///
    /// - nobody writes to the memory during the call;
    /// - after success nothing uses the old address.
    pub unsafe fn realloc<T: ?Sized>(
        &self,
        address: *const T,
        tenant: TenantId,
        layout: Layout,
    ) -> Result<NonNull<u8>, OwnerError> {
        let moving = Moving::begin(self.table(), address.addr(), tenant)?;
        let (key, block) = (moving.key, moving.block);
        // SAFETY: the busy mark keeps the block on record and alive; the caller neither writes to it now nor uses it
        // afterwards.
        let (_, fresh) = unsafe { relocate(self.place(), key, block, self.place(), layout) }?;
        moving.succeed();
        Ok(fresh.ptr())
    }

    /// Hands a tenant to another owner, memory and number unchanged. To the same owner it does nothing.
    ///
    /// It is one step: no thread sees the tenant in both tables or in neither.
    ///
    /// # Errors
    ///
    /// As [`terminate`](Self::terminate), but a single guard is enough for [`OwnerError::HeldByGuard`];
    /// [`OwnerError::StrategyMismatch`] if the memory is owned and the strategies have different
    /// [identities](MemoryStrategy::identity); [`OwnerError::Overlap`] and [`OwnerError::NoRoom`] from the other
    /// table. Both are then as they were.
    ///
    /// # Safety
    ///
    /// Whoever uses the memory knows that it is freed when `to` ends, if nobody ends the tenant before.
    pub unsafe fn transfer<T: ?Sized, O: MemoryStrategy>(
        &self,
        address: *const T,
        tenant: TenantId,
        to: &LeaseOwner<O>,
    ) -> Result<(), OwnerError> {
        let identities = (self.strategy().identity(), to.strategy().identity());
        let Some((mut table, mut other)) = self.table().lock_both(to.table()) else {
            return self
                .table()
                .lock()
                .permit(address.addr(), tenant, Need::Move)
                .map(drop);
        };
        let key = table.permit(address.addr(), tenant, Need::Move)?;
        table.transfer(key, &mut other, identities).map(drop)
    }

    /// Moves owned memory to another owner's strategy, and says where it is now. The tenant keeps its number.
    ///
    /// # Errors
    ///
    /// As [`realloc`](Self::realloc), with the other owner's strategy and table. Both owners are then as they were.
    ///
    /// # Safety
    ///
    /// - nobody writes to the memory during the call;
    /// - after success nothing uses the old address.
    pub unsafe fn migrate<T: ?Sized, O: MemoryStrategy>(
        &self,
        address: *const T,
        tenant: TenantId,
        to: &LeaseOwner<O>,
    ) -> Result<NonNull<u8>, OwnerError> {
        let moving = Moving::begin(self.table(), address.addr(), tenant)?;
        let (key, block) = (moving.key, moving.block);
        // SAFETY: the busy mark keeps the block on record and alive; the caller neither writes to it now nor uses it
        // afterwards.
        let (_, fresh) = unsafe { relocate(self.place(), key, block, to.place(), block.layout()) }?;
        moving.succeed();
        Ok(fresh.ptr())
    }
}

/// A tenant whose memory this call alone may move; the mark is cleared again when the call fails.
struct Moving<'owner> {
    table: &'owner SharedTable,
    key: Key,
    block: Block,
}

impl<'owner> Moving<'owner> {
    fn begin(table: &'owner SharedTable, address: usize, tenant: TenantId) -> Result<Self, OwnerError> {
        let (key, block) = table.lock().begin_move(address, tenant)?;
        Ok(Self { table, key, block })
    }

    /// The record stands elsewhere, unmarked. The key is void: by now another call may have brought the tenant back to
    /// this very place, and a mark that is found here is that call's.
    fn succeed(self) {
        mem::forget(self);
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.table.lock().end_move(self.key);
    }
}
