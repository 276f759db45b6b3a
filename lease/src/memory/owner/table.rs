//! The table itself: records, and the rules that say which may stand beside which.
//!
//! Nothing here touches the memory that is on record, takes a lock, or calls anybody's code; the owner holds the lock
//! around each call. Every call that can fail fails before it changes anything: room is made first, rules are checked
//! next, and the rest cannot fail.
//!
//! Invariants: every live record is in the chain of its start address and in the region index, and nowhere else;
//! `Owned` regions are disjoint; a `Borrowed` region that meets an `Owned` one lies inside it, has it as `parent`, and
//! its holds are counted in the parent's `borrows`; a `Static` region meets no `Owned` one. A guard may keep its
//! [`Key`] for longer than the record lives: no other tenant ever has its number.

use std::ops::ControlFlow;
use std::panic::Location;

use hashbrown::HashMap;

use super::block::Block;
use super::contract::{Contract, LeaseTenant, TenantId};
use super::error::OwnerError;
use super::hash::AddressHash;
use super::record::{Holder, Key, Need, Record};
use super::regions::{NoRoom, Region, RegionIndex};
use crate::memory::strategy::StrategyId;

/// The records of one owner.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    vacant: Option<usize>,
    live: usize,
    starts: HashMap<usize, usize, AddressHash>,
    regions: RegionIndex,
    /// Borrows that were still on record when their memory was handed out again.
    pub(super) stale_borrows: u64,
    /// Borrows that could not be put on record.
    pub(super) untracked: u64,
}

#[derive(Debug)]
enum Slot {
    Vacant { next: Option<usize> },
    Live(Record),
}

impl Table {
    pub(super) fn with_capacity(tenants: usize) -> Self {
        let mut table = Self::default();
        table.slots.reserve(tenants);
        table.starts.reserve(tenants);
        table.regions.reserve(tenants);
        table
    }

    pub(super) fn len(&self) -> usize {
        self.live
    }

    pub(super) fn tenants(&self) -> impl Iterator<Item = LeaseTenant> {
        self.records().map(Record::tenant)
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Live(record) => Some(record),
            Slot::Vacant { .. } => None,
        })
    }

    // Asking.

    /// The tenant that starts at this address; of several, the one that says most. O(1).
    pub(super) fn starting_at(&self, address: usize) -> Option<LeaseTenant> {
        self.chain(address)
            .map(|(_, record)| record)
            .min_by_key(|record| record.rank())
            .map(Record::tenant)
    }

    /// The tenant whose region covers this address; of several, the one that says most.
    pub(super) fn covering(&self, address: usize) -> Option<LeaseTenant> {
        let mut best: Option<&Record> = None;
        let _: ControlFlow<()> = self.regions.search(
            Region {
                first: address,
                last: address,
            },
            |slot| {
                if let Some(record) = self.live(slot)
                    && best.is_none_or(|best| record.rank() < best.rank())
                {
                    best = Some(record);
                }
                ControlFlow::Continue(())
            },
        );
        best.map(Record::tenant)
    }

    /// The tenant behind a key, unless it has ended.
    pub(super) fn tenant(&self, key: Key) -> Option<LeaseTenant> {
        self.get(key).map(Record::tenant)
    }

    /// The tenant at this address, if the address layer may do this to it now.
    pub(super) fn permit(&self, address: usize, id: TenantId, need: Need) -> Result<Key, OwnerError> {
        let found = self.chain(address).find(|(_, record)| record.id == id);
        let (slot, record) = found.ok_or(OwnerError::NotTracked { address, tenant: id })?;
        record.permit(need)?;
        Ok(Key { slot, id })
    }

    // Putting on record.

    /// Puts a block on record that its strategy has just handed out.
    ///
    /// Borrows of the same memory are stale by that alone: they end here, and are counted.
    pub(super) fn insert_fresh(&mut self, record: Record) -> Result<Key, OwnerError> {
        let parent = self.check(&record, |_| true)?;
        let region = record.region;
        let key = self.insert(record, parent)?;
        while let ControlFlow::Break(stale) = self.regions.search(region, |slot| match self.live(slot) {
            Some(record) if record.contract == Contract::Borrowed => ControlFlow::Break(slot),
            _ => ControlFlow::Continue(()),
        }) {
            self.remove(stale);
            self.stale_borrows += 1;
        }
        Ok(key)
    }

    /// Puts a tenant of another table on record here, under its own number.
    ///
    /// Borrows that are already here and lie inside an `Owned` newcomer are live ones: they go on, counted on it.
    pub(super) fn insert_moved(&mut self, record: Record) -> Result<Key, OwnerError> {
        let region = record.region;
        let parent = self.check(&record, |borrowed| region.contains(borrowed))?;
        let owned = record.contract == Contract::Owned;
        let key = self.insert(record, parent)?;
        if owned {
            self.set_parent_within(region, Some(key));
        }
        Ok(key)
    }

    /// Counts one more hold of a region that is not the owner's to free. An empty one is not stored.
    pub(super) fn lend(
        &mut self,
        contract: Contract,
        block: Block,
        holder: Holder,
        location: &'static Location<'static>,
    ) -> Result<Option<Key>, OwnerError> {
        if block.layout().size() == 0 {
            return Ok(None);
        }
        let known = self
            .chain(block.address())
            .find(|(_, record)| record.contract == contract && record.block.layout() == block.layout());
        if let Some((slot, id)) = known.map(|(slot, record)| (slot, record.id)) {
            // Static memory has no holders to count: it is on record, or it is not.
            if contract == Contract::Borrowed {
                self.count(slot, |holds| holds + 1, holder);
            }
            return Ok(Some(Key { slot, id }));
        }
        let record = Record::new(contract, block, holder, location);
        let parent = self.check(&record, |_| true)?;
        self.insert(record, parent).map(Some)
    }

    /// Changes the count of one kind of hold by one, and the parent's count of it.
    fn count(&mut self, slot: usize, change: impl Fn(usize) -> usize, holder: Holder) {
        let Some(record) = self.live_mut(slot) else { return };
        let holds = match holder {
            Holder::Guard => &mut record.guards,
            Holder::Raw => &mut record.raw,
        };
        *holds = change(*holds);
        if let Some(parent) = record.parent.and_then(|parent| self.get_mut(parent)) {
            parent.borrows = change(parent.borrows);
        }
    }

    /// Whether the newcomer may stand among the records it meets, and which `Owned` one it stands in. `beneath` says
    /// which borrowed regions an `Owned` newcomer may cover.
    fn check(&self, new: &Record, beneath: impl Fn(Region) -> bool) -> Result<Option<Key>, OwnerError> {
        use Contract::{Borrowed, Owned, Static};
        let mut parent = None;
        let met = self.regions.search(new.region, |slot| {
            let Some(other) = self.live(slot) else {
                return ControlFlow::Continue(());
            };
            let allowed = match (new.contract, other.contract) {
                (Owned, Owned | Static) | (Static, Owned) => false,
                (Owned, Borrowed) => beneath(other.region),
                (Borrowed, Owned) => {
                    parent = Some(Key { slot, id: other.id });
                    other.region.contains(new.region)
                }
                (Borrowed | Static, Borrowed | Static) => true,
            };
            if allowed {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(other)
            }
        });
        match met {
            ControlFlow::Continue(()) => Ok(parent),
            ControlFlow::Break(other) => Err(OwnerError::Overlap {
                contract: new.contract,
                object: new.object(),
                tenant: other.id,
                other_contract: other.contract,
                other: other.object(),
            }),
        }
    }

    /// Files a record that has passed `check`. Fails only for want of memory, and then changes nothing.
    fn insert(&mut self, mut record: Record, parent: Option<Key>) -> Result<Key, OwnerError> {
        let no_room = OwnerError::NoRoom { tenants: self.live };
        let slot = self.vacant.unwrap_or(self.slots.len());
        if self.vacant.is_none() {
            self.slots.try_reserve(1).map_err(|_| no_room)?;
        }
        self.starts.try_reserve(1).map_err(|_| no_room)?;
        self.regions
            .insert(record.region, slot)
            .map_err(|NoRoom| no_room)?;

        let key = Key { slot, id: record.id };
        record.next = self.starts.insert(record.block.address(), slot);
        record.borrows = 0;
        record.parent = parent;
        if let Some(parent) = parent.and_then(|parent| self.get_mut(parent)) {
            parent.borrows += record.holds();
        }
        match self.slots.get_mut(slot) {
            Some(place) => {
                if let Slot::Vacant { next } = *place {
                    self.vacant = next;
                }
                *place = Slot::Live(record);
            }
            None => self.slots.push(Slot::Live(record)),
        }
        self.live += 1;
        Ok(key)
    }

    // Taking off the record.

    /// Ends one hold. The record, if that was the last one.
    pub(super) fn release(&mut self, key: Key, holder: Holder) -> Option<Record> {
        if self.get(key)?.holds() == 1 {
            return self.remove(key.slot);
        }
        self.count(key.slot, |holds| holds - 1, holder);
        None
    }

    /// Ends a tenant, however many hold it.
    pub(super) fn end(&mut self, key: Key) -> Option<Record> {
        self.get(key)?;
        self.remove(key.slot)
    }

    fn remove(&mut self, slot: usize) -> Option<Record> {
        self.live(slot)?;
        let vacated = Slot::Vacant { next: self.vacant };
        let Slot::Live(record) = std::mem::replace(self.slots.get_mut(slot)?, vacated) else {
            return None;
        };
        self.vacant = Some(slot);
        self.live -= 1;
        self.regions.remove(record.region, slot);
        self.unchain(record.block.address(), slot, record.next);
        if let Some(parent) = record.parent.and_then(|parent| self.get_mut(parent)) {
            parent.borrows -= record.holds();
        }
        if record.borrows > 0 {
            self.set_parent_within(record.region, None);
        }
        Some(record)
    }

    /// Takes everything off the record, and leaves the memory that was owned to the caller.
    pub(super) fn into_owned_blocks(self) -> impl Iterator<Item = (LeaseTenant, Block)> {
        self.slots.into_iter().filter_map(|slot| match slot {
            Slot::Live(record) => Some((record.tenant(), record.owned_block()?)),
            Slot::Vacant { .. } => None,
        })
    }

    // Moving.

    /// Marks a tenant whose memory the address layer is about to move with the lock released: until `end_move` nobody
    /// else may end or move it.
    pub(super) fn begin_move(&mut self, address: usize, id: TenantId) -> Result<(Key, Block), OwnerError> {
        let key = self.permit(address, id, Need::MoveMemory)?;
        let record = self
            .get_mut(key)
            .ok_or(OwnerError::NotTracked { address, tenant: id })?;
        record.busy = true;
        Ok((key, record.block))
    }

    /// Clears the mark again, if the tenant is still there.
    pub(super) fn end_move(&mut self, key: Key) {
        if let Some(record) = self.get_mut(key) {
            record.busy = false;
        }
    }

    /// Hands a tenant to another table, under its own number. `identities` are this strategy's and the other's.
    pub(super) fn transfer(
        &mut self,
        key: Key,
        to: &mut Self,
        (from_strategy, to_strategy): (StrategyId, StrategyId),
    ) -> Result<Key, OwnerError> {
        let record = self.held(key);
        if record.contract == Contract::Owned && from_strategy != to_strategy {
            return Err(OwnerError::StrategyMismatch {
                tenant: key.id,
                from: from_strategy,
                to: to_strategy,
            });
        }
        let moved = to.insert_moved(record.clone())?;
        self.end(key);
        Ok(moved)
    }

    /// The guard lets go, and the address layer takes over.
    pub(super) fn hand_over(&mut self, key: Key) {
        if let Some(record) = self.get_mut(key) {
            (record.guards, record.raw) = (0, 1);
        }
    }

    /// A copy of a tenant, to stand on another block.
    pub(super) fn copy(&self, key: Key, block: Block) -> Record {
        let region = Region::new(block.address(), block.layout().size());
        Record {
            block,
            region,
            busy: false,
            ..self.held(key).clone()
        }
    }

    // Finding.

    fn live(&self, slot: usize) -> Option<&Record> {
        match self.slots.get(slot)? {
            Slot::Live(record) => Some(record),
            Slot::Vacant { .. } => None,
        }
    }

    fn live_mut(&mut self, slot: usize) -> Option<&mut Record> {
        match self.slots.get_mut(slot)? {
            Slot::Live(record) => Some(record),
            Slot::Vacant { .. } => None,
        }
    }

    fn get(&self, key: Key) -> Option<&Record> {
        self.live(key.slot).filter(|record| record.id == key.id)
    }

    /// The record of a caller whom the table has promised that nobody else ends it.
    fn held(&self, key: Key) -> &Record {
        self.get(key)
            .expect("what a guard holds or a call has marked is ended by that alone")
    }

    fn get_mut(&mut self, key: Key) -> Option<&mut Record> {
        self.live_mut(key.slot).filter(|record| record.id == key.id)
    }

    /// The records that start at this address, latest first.
    fn chain(&self, address: usize) -> impl Iterator<Item = (usize, &Record)> {
        let mut next = self.starts.get(&address).copied();
        std::iter::from_fn(move || {
            let slot = next?;
            let record = self.live(slot)?;
            next = record.next;
            Some((slot, record))
        })
    }

    fn unchain(&mut self, address: usize, slot: usize, next: Option<usize>) {
        let before = self
            .chain(address)
            .find(|(_, record)| record.next == Some(slot))
            .map(|(before, _)| before);
        if let Some(before) = before.and_then(|before| self.live_mut(before)) {
            before.next = next;
        } else if let Some(next) = next {
            self.starts.insert(address, next);
        } else {
            self.starts.remove(&address);
        }
    }

    fn set_parent_within(&mut self, region: Region, parent: Option<Key>) {
        let Self { slots, regions, .. } = self;
        let mut borrows = 0;
        let _: ControlFlow<()> = regions.search(region, |slot| {
            if let Some(Slot::Live(record)) = slots.get_mut(slot)
                && record.contract == Contract::Borrowed
            {
                record.parent = parent;
                borrows += record.holds();
            }
            ControlFlow::Continue(())
        });
        if let Some(parent) = parent.and_then(|parent| self.get_mut(parent)) {
            parent.borrows = borrows;
        }
    }
}
