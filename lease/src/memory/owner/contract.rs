//! What a record says: who holds which memory, under which contract.
//!
//! These are plain values, copied out of the table and read-only: asking for one never keeps a lock, and changing one
//! could not change the table.

use std::fmt;
use std::panic::Location;

/// The terms on which memory is on record.
///
/// | contract | the owner frees it | may be stack memory |
/// |---|---|---|
/// | `Owned` | yes, through its strategy | no |
/// | `Borrowed` | no | yes |
/// | `Static` | no | yes |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
pub enum Contract {
    /// The owner's strategy allocated the memory and takes it back.
    Owned,
    /// Somebody else owns the memory; it is on record for as long as it is lent.
    Borrowed,
    /// The memory lives as long as the program; nobody frees it.
    Static,
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Owned => "owned",
            Self::Borrowed => "borrowed",
            Self::Static => "static",
        })
    }
}

/// The rules that follow from a [`Contract`].
///
/// ```
/// use lease::{Contract, LeasePolicy};
///
/// let policy = LeasePolicy::new(Contract::Borrowed);
/// assert!(!policy.frees_memory());
/// assert!(policy.allows_stack_memory());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct LeasePolicy {
    contract: Contract,
}

impl LeasePolicy {
    /// The policy of this contract.
    pub const fn new(contract: Contract) -> Self {
        Self { contract }
    }

    /// The contract behind the rules.
    pub const fn contract(self) -> Contract {
        self.contract
    }

    /// Whether ending the lease gives the memory back to the owner's strategy.
    pub const fn frees_memory(self) -> bool {
        matches!(self.contract, Contract::Owned)
    }

    /// Whether memory on a stack may be under this contract.
    pub const fn allows_stack_memory(self) -> bool {
        !matches!(self.contract, Contract::Owned)
    }
}

/// Where a region is: a start, a size and an alignment, all in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeaseObject {
    address: usize,
    size: usize,
    alignment: usize,
}

impl LeaseObject {
    pub(super) const fn new(address: usize, size: usize, alignment: usize) -> Self {
        Self {
            address,
            size,
            alignment,
        }
    }

    /// The address of the first byte. A number, not a pointer: a record grants no access.
    pub const fn address(self) -> usize {
        self.address
    }

    /// How many bytes the region has.
    pub const fn size(self) -> usize {
        self.size
    }

    /// The alignment that was asked for, in bytes.
    pub const fn alignment(self) -> usize {
        self.alignment
    }

    /// Whether the byte at this pointer's address belongs to the region.
    pub fn contains<T: ?Sized>(self, address: *const T) -> bool {
        address
            .addr()
            .checked_sub(self.address)
            .is_some_and(|offset| offset < self.size)
    }
}

impl fmt::Debug for LeaseObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:#x}+{} (aligned to {})",
            self.address, self.size, self.alignment
        )
    }
}

/// The number of a tenant: given once in the life of a process, never again.
///
/// An address comes back with the next allocation; a `TenantId` does not. Together they tell a stale caller from the
/// tenant that lives there now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct TenantId(u64);

impl TenantId {
    /// The id that these bits name, for callers who kept it as a plain number (a `void *` of a C library).
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The id as a plain number.
    pub const fn to_bits(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.0)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A complete record, as it stood when it was asked for: a [`LeasePolicy`] and a [`LeaseObject`], who holds it, and
/// since which line of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LeaseTenant {
    pub(super) id: TenantId,
    pub(super) policy: LeasePolicy,
    pub(super) object: LeaseObject,
    pub(super) guards: usize,
    pub(super) raw: usize,
    pub(super) borrows: usize,
    #[cfg_attr(feature = "serde", serde(serialize_with = "as_text"))]
    pub(super) location: &'static Location<'static>,
}

impl LeaseTenant {
    /// The tenant's number.
    pub const fn id(&self) -> TenantId {
        self.id
    }

    /// The rules it lives by.
    pub const fn policy(&self) -> LeasePolicy {
        self.policy
    }

    /// Short for `policy().contract()`.
    pub const fn contract(&self) -> Contract {
        self.policy.contract()
    }

    /// Where its memory is.
    pub const fn object(&self) -> LeaseObject {
        self.object
    }

    /// How many guards hold it: at most one for `Owned`, none for `Static`, any number for `Borrowed`.
    pub const fn guards(&self) -> usize {
        self.guards
    }

    /// How often it was put on record at the address layer and not yet ended there; always one for `Static`.
    pub const fn raw_holds(&self) -> usize {
        self.raw
    }

    /// How many borrows of memory inside this region are on record in the same table. Only `Owned` tenants count them.
    pub const fn borrows(&self) -> usize {
        self.borrows
    }

    /// The line that put it on record first.
    pub const fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

#[cfg(feature = "serde")]
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference to the field"
)]
fn as_text<S: serde::Serializer>(
    location: &&'static Location<'static>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(location)
}
