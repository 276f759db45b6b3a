//! The lock around a table, and the order in which two of them are taken.
//!
//! Nobody's code runs under the lock: strategies, payloads and hooks are called with it released. Only the global
//! allocator, which the table's own memory comes from, is called with it held.

use std::fmt;

use super::block::Block;
use super::error::OwnerError;
use super::record::Key;
use super::table::Table;
use crate::memory::strategy::MemoryStrategy;
use crate::sync::{Mutex, MutexGuard, Sequence, lock};

static OWNERS: Sequence = Sequence::new();

/// A table that threads share.
pub(super) struct SharedTable {
    number: u64,
    table: Mutex<Table>,
}

impl SharedTable {
    pub(super) fn new(table: Table) -> Self {
        Self {
            number: OWNERS.next(),
            table: Mutex::new(table),
        }
    }

    /// The owner's number, which also says whose lock is taken first.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// Both locks, always the lower number's first, so that two transfers in opposite directions cannot block each
    /// other. Nothing if both are the same table.
    pub(super) fn lock_both<'a>(
        &'a self,
        other: &'a Self,
    ) -> Option<(MutexGuard<'a, Table>, MutexGuard<'a, Table>)> {
        if self.number == other.number {
            return None;
        }
        Some(if self.number < other.number {
            let first = self.lock();
            (first, other.lock())
        } else {
            let first = other.lock();
            (self.lock(), first)
        })
    }
}

impl SharedTable {
    /// Rebinds a tenant to a fresh block of another table's strategy, or of its own, in one step.
    pub(super) fn rebind(&self, key: Key, to: &Self, block: Block) -> Result<Key, OwnerError> {
        if let Some((mut from, mut to)) = self.lock_both(to) {
            let rebound = to.insert_fresh(from.copy(key, block))?;
            from.end(key);
            Ok(rebound)
        } else {
            let mut table = self.lock();
            let copy = table.copy(key, block);
            let rebound = table.insert_fresh(copy)?;
            table.end(key);
            Ok(rebound)
        }
    }
}

impl fmt::Debug for SharedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTable")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// A table and the strategy that its `Owned` blocks belong to.
#[derive(Clone, Copy)]
pub(super) struct Place<'owner> {
    pub(super) table: &'owner SharedTable,
    pub(super) strategy: &'owner dyn MemoryStrategy,
}
