//! What an owner refuses.

use thiserror::Error;

use super::contract::{Contract, LeaseObject, TenantId};
use crate::memory::strategy::{AllocError, StrategyId};

/// An owner refused, and nothing changed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnerError {
    /// The strategy has no such memory to give; a size of zero is refused here too.
    #[error(transparent)]
    Alloc(#[from] AllocError),
    /// The table cannot grow: there is no memory for one more record.
    #[error("no memory for a record beside the {tenants} that the table holds")]
    NoRoom {
        /// How many records the table holds.
        tenants: usize,
    },
    /// The region meets another one that it may not meet.
    #[error("{contract} region {object:?} overlaps the {other_contract} region {other:?} of tenant {tenant}")]
    Overlap {
        /// The contract that was asked for.
        contract: Contract,
        /// The region that was asked for.
        object: LeaseObject,
        /// Who is there already.
        tenant: TenantId,
        /// Under which contract.
        other_contract: Contract,
        /// And where.
        other: LeaseObject,
    },
    /// No such tenant starts at this address: it has ended, moved, or was never there.
    #[error("tenant {tenant} is not on record at {address:#x}")]
    NotTracked {
        /// The address that was given.
        address: usize,
        /// The tenant that was given.
        tenant: TenantId,
    },
    /// A guard holds the tenant, and only the guard may end or move it.
    #[error("tenant {tenant} is held by a guard")]
    HeldByGuard {
        /// The tenant.
        tenant: TenantId,
    },
    /// Another call is moving the tenant at this moment.
    #[error("tenant {tenant} is being moved by another call")]
    Busy {
        /// The tenant.
        tenant: TenantId,
    },
    /// Only owned memory can be reallocated or migrated.
    #[error("tenant {tenant} is {contract}, and only owned memory can be moved")]
    NotOwned {
        /// The tenant.
        tenant: TenantId,
        /// Its contract.
        contract: Contract,
    },
    /// The other owner's strategy could not free this memory.
    #[error(
        "tenant {tenant} cannot be transferred: its memory belongs to {from:?}, the other owner uses {to:?}"
    )]
    StrategyMismatch {
        /// The tenant.
        tenant: TenantId,
        /// Whose memory it is.
        from: StrategyId,
        /// Who would have to free it.
        to: StrategyId,
    },
}
