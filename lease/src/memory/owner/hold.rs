//! The hold of a guard on owned memory, without a type: what ends, moves and frees it.

#![allow(
    clippy::result_large_err,
    reason = "a lease that cannot move is given back, and boxing it could fail in turn"
)]

use std::alloc::Layout;
use std::mem;
use std::panic::Location;
use std::ptr::NonNull;

use super::block::Block;
use super::contract::{Contract, TenantId};
use super::error::OwnerError;
use super::record::{Holder, Key, Record};
use super::shared::Place;

/// An `Owned` tenant that this alone may end or move.
pub(super) struct Hold<'owner> {
    place: Place<'owner>,
    key: Key,
    block: Block,
}

impl<'owner> Hold<'owner> {
    /// A fresh block, on record.
    pub(super) fn new(
        place: Place<'owner>,
        layout: Layout,
        location: &'static Location<'static>,
    ) -> Result<Self, OwnerError> {
        let block = Block::allocate(place.strategy, layout)?;
        let record = Record::new(Contract::Owned, block, Holder::Guard, location);
        let inserted = place.table.lock().insert_fresh(record);
        match inserted {
            Ok(key) => Ok(Self { place, key, block }),
            Err(refused) => {
                // SAFETY: the block was allocated above, and nobody has been told of it.
                unsafe { block.deallocate(place.strategy) };
                Err(refused)
            }
        }
    }

    pub(super) fn id(&self) -> TenantId {
        self.key.id
    }

    pub(super) fn block(&self) -> Block {
        self.block
    }

    /// Lets the tenant go to the address layer.
    pub(super) fn into_raw(self) -> (NonNull<u8>, TenantId) {
        self.place.table.lock().hand_over(self.key);
        let raw = (self.block.ptr(), self.key.id);
        mem::forget(self);
        raw
    }

    /// The same tenant on a fresh block elsewhere, with the bytes of the old one, which is freed.
    pub(super) fn migrate(self, to: Place<'_>) -> Result<Hold<'_>, (Self, OwnerError)> {
        // SAFETY: a tenant that a guard holds is ended and moved by that guard only, which is this one; it is borrowed
        // by nobody, and on success forgotten.
        let moved = unsafe { relocate(self.place, self.key, self.block, to, self.block.layout()) };
        match moved {
            Ok((key, block)) => {
                mem::forget(self);
                Ok(Hold {
                    place: to,
                    key,
                    block,
                })
            }
            Err(refused) => Err((self, refused)),
        }
    }

    /// The same tenant and the same block, on the record of another owner.
    pub(super) fn transfer(self, to: Place<'_>) -> Result<Hold<'_>, (Self, OwnerError)> {
        let identities = (self.place.strategy.identity(), to.strategy.identity());
        let moved = match self.place.table.lock_both(to.table) {
            Some((mut from, mut table)) => from.transfer(self.key, &mut table, identities),
            None => Ok(self.key),
        };
        match moved {
            Ok(key) => {
                let block = self.block;
                mem::forget(self);
                Ok(Hold {
                    place: to,
                    key,
                    block,
                })
            }
            Err(refused) => Err((self, refused)),
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        // Off the record first: once the strategy has the block back it may hand it out to somebody else.
        let ended = self.place.table.lock().end(self.key);
        if ended.is_some() {
            // SAFETY: the record held this strategy's block, has just ended, and so ends it once; the guard that alone
            // gave access to the memory is going.
            unsafe { self.block.deallocate(self.place.strategy) };
        }
    }
}

/// Copies a tenant's memory to a fresh block at `to`, rebinds the record, and frees the old block. On failure nothing
/// has changed.
///
/// # Safety
///
/// - `key` is an `Owned` tenant of `from`, `block` is its block, and nobody else can end or move it;
/// - nobody writes to the block during the call, and nobody uses it after success.
pub(super) unsafe fn relocate(
    from: Place<'_>,
    key: Key,
    block: Block,
    to: Place<'_>,
    layout: Layout,
) -> Result<(Key, Block), OwnerError> {
    let fresh = Block::allocate(to.strategy, layout)?;
    // SAFETY: both blocks are live and distinct, the new one is known here only, and the caller keeps the old one
    // still.
    unsafe { block.copy_to(fresh) };
    let rebound = from.table.rebind(key, to.table, fresh);
    match rebound {
        Ok(key) => {
            // SAFETY: the record has left this block, so nobody else frees it, and the caller does not use it again.
            unsafe { block.deallocate(from.strategy) };
            Ok((key, fresh))
        }
        Err(refused) => {
            // SAFETY: the block was allocated above, and nobody has been told of it.
            unsafe { fresh.deallocate(to.strategy) };
            Err(refused)
        }
    }
}
