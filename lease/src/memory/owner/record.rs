//! One tenant of the table, and the key by which its holders know it.

use std::cmp::Reverse;
use std::panic::Location;

use super::block::Block;
use super::contract::{Contract, LeaseObject, LeasePolicy, LeaseTenant, TenantId};
use super::error::OwnerError;
use super::regions::Region;
use crate::sync::Sequence;

static TENANTS: Sequence = Sequence::new();

/// A number for a tenant.
pub(super) fn next_tenant() -> TenantId {
    TenantId::from_bits(TENANTS.next())
}

/// A record's place and its tenant: finds the record in O(1), or finds that it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) slot: usize,
    pub(super) id: TenantId,
}

/// Who put a region on record, and so who may take it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A guard, which ends the record when it is dropped.
    Guard,
    /// A caller at the address layer.
    Raw,
}

/// One tenant.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) id: TenantId,
    pub(super) contract: Contract,
    pub(super) block: Block,
    pub(super) region: Region,
    pub(super) guards: usize,
    pub(super) raw: usize,
    /// A call is moving the memory with the lock released.
    pub(super) busy: bool,
    /// For `Owned`: the holds of `Borrowed` regions inside.
    pub(super) borrows: usize,
    /// For `Borrowed`: the `Owned` record around it.
    pub(super) parent: Option<Key>,
    pub(super) location: &'static Location<'static>,
    /// The next record that starts at the same address.
    pub(super) next: Option<usize>,
}

impl Record {
    /// A tenant with a number of its own, on a block that is not empty.
    pub(super) fn new(
        contract: Contract,
        block: Block,
        holder: Holder,
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            id: next_tenant(),
            contract,
            block,
            region: Region::new(block.address(), block.layout().size()),
            guards: usize::from(holder == Holder::Guard),
            raw: usize::from(holder == Holder::Raw),
            busy: false,
            borrows: 0,
            parent: None,
            location,
            next: None,
        }
    }

    /// Whether the address layer may do this to the tenant now.
    pub(super) fn permit(&self, need: Need) -> Result<(), OwnerError> {
        let tenant = self.id;
        if self.busy {
            return Err(OwnerError::Busy { tenant });
        }
        if self.raw == 0 || (self.guards > 0 && need != Need::End) {
            return Err(OwnerError::HeldByGuard { tenant });
        }
        if need == Need::MoveMemory && self.contract != Contract::Owned {
            return Err(OwnerError::NotOwned {
                tenant,
                contract: self.contract,
            });
        }
        Ok(())
    }

    /// The block, if ending the tenant means giving it back.
    pub(super) fn owned_block(&self) -> Option<Block> {
        (self.contract == Contract::Owned).then_some(self.block)
    }

    pub(super) fn holds(&self) -> usize {
        self.guards + self.raw
    }

    pub(super) fn object(&self) -> LeaseObject {
        LeaseObject::new(
            self.block.address(),
            self.block.layout().size(),
            self.block.layout().align(),
        )
    }

    pub(super) fn tenant(&self) -> LeaseTenant {
        LeaseTenant {
            id: self.id,
            policy: LeasePolicy::new(self.contract),
            object: self.object(),
            guards: self.guards,
            raw: self.raw,
            borrows: self.borrows,
            location: self.location,
        }
    }

    /// How much a record says about an address that several cover, least first: who frees it, then who promises it
    /// for longest, then the widest, then the oldest.
    pub(super) fn rank(&self) -> (u8, Reverse<usize>, TenantId) {
        let contract = match self.contract {
            Contract::Owned => 0,
            Contract::Static => 1,
            Contract::Borrowed => 2,
        };
        (contract, Reverse(self.block.layout().size()), self.id)
    }
}

/// What a call at the address layer needs of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// End one raw hold.
    End,
    /// Move the record to another table.
    Move,
    /// Move the memory: only the owner of it may.
    MoveMemory,
}
