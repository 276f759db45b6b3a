//! What an owner says about itself: as data, as a table for people, and at its end.

use std::fmt;

use super::LeaseOwner;
use super::contract::{Contract, LeaseTenant};
use super::shared::SharedTable;
use crate::memory::strategy::MemoryStrategy;

/// An owner's records and figures, as they stood together at one moment.
///
/// Its `Display` is the table that the owner's `Debug` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OwnerReport {
    /// The owner's number in this process.
    pub owner: u64,
    /// What is under the contract `Owned`.
    pub owned: ContractTotals,
    /// What is under the contract `Borrowed`.
    pub borrowed: ContractTotals,
    /// What is under the contract `Static`.
    pub statics: ContractTotals,
    /// Borrows that were still on record when their memory was handed out again: guards were leaked, or the memory
    /// went away before its [`Recorded`](crate::Recorded).
    pub stale_borrows: u64,
    /// Borrows that could not be put on record: there was no memory for it, or they crossed the border of an owned
    /// region.
    pub untracked: u64,
    /// Every tenant, oldest first.
    pub tenants: Vec<LeaseTenant>,
}

/// How much is under one contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ContractTotals {
    /// How many tenants.
    pub tenants: usize,
    /// How many bytes they have together; where regions overlap, each counts.
    pub bytes: usize,
}

impl OwnerReport {
    pub(super) fn of(shared: &SharedTable) -> Self {
        let mut report = Self {
            owner: shared.number(),
            owned: ContractTotals::default(),
            borrowed: ContractTotals::default(),
            statics: ContractTotals::default(),
            stale_borrows: 0,
            untracked: 0,
            tenants: Vec::new(),
        };
        loop {
            // The list grows outside the lock, and the table may have grown meanwhile.
            let expected = shared.lock().len();
            report.tenants.reserve(expected);
            let table = shared.lock();
            if table.len() > report.tenants.capacity() {
                continue;
            }
            report.tenants.extend(table.tenants());
            report.stale_borrows = table.stale_borrows;
            report.untracked = table.untracked;
            break;
        }
        report.tenants.sort_unstable_by_key(LeaseTenant::id);
        for tenant in &report.tenants {
            let totals = match tenant.contract() {
                Contract::Owned => &mut report.owned,
                Contract::Borrowed => &mut report.borrowed,
                Contract::Static => &mut report.statics,
            };
            totals.tenants += 1;
            totals.bytes = totals.bytes.saturating_add(tenant.object().size());
        }
        report
    }
}

impl fmt::Display for OwnerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            owned,
            borrowed,
            statics,
            ..
        } = self;
        write!(f, "owner {}: ", self.owner)?;
        write!(f, "{} owned ({}), ", owned.tenants, Bytes(owned.bytes))?;
        write!(f, "{} borrowed ({}), ", borrowed.tenants, Bytes(borrowed.bytes))?;
        write!(f, "{} static ({})", statics.tenants, Bytes(statics.bytes))?;
        if self.stale_borrows > 0 {
            write!(f, ", {} stale borrows", self.stale_borrows)?;
        }
        if self.untracked > 0 {
            write!(f, ", {} borrows untracked", self.untracked)?;
        }
        write_tenants(f, &self.tenants)
    }
}

/// Owned memory that was still on record when its owner ended. It has been freed.
///
/// Comes from [`LeaseOwner::on_leak`] and [`LeaseOwner::close`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LeakReport {
    /// The owner's number in this process.
    pub owner: u64,
    /// How many bytes were freed.
    pub bytes: usize,
    /// The tenants, oldest first, each with the line that allocated it.
    pub tenants: Vec<LeaseTenant>,
}

impl LeakReport {
    /// Whether nothing was left.
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }
}

impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "owner {} ended with {} leaks ({})",
            self.owner,
            self.tenants.len(),
            Bytes(self.bytes)
        )?;
        write_tenants(f, &self.tenants)
    }
}

fn write_tenants(f: &mut fmt::Formatter<'_>, tenants: &[LeaseTenant]) -> fmt::Result {
    if tenants.is_empty() {
        return Ok(());
    }
    write!(
        f,
        "\n{:>8}  {:8}  {:>18}  {:>12}  {:>6}  {:12}  since",
        "tenant", "contract", "address", "bytes", "align", "held by"
    )?;
    for tenant in tenants {
        write!(f, "\n{tenant}")?;
    }
    Ok(())
}

/// One line of the table.
impl fmt::Display for LeaseTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = self.object();
        write!(
            f,
            "{:>8}  {:8}  {:#18x}  {:>12}  {:>6}  {:12}  {}",
            self.id(),
            self.contract(),
            object.address(),
            object.size(),
            object.alignment(),
            HeldBy(self).to_string(),
            self.location(),
        )?;
        match self.borrows() {
            0 => Ok(()),
            borrows => write!(f, ", lent out {borrows} times"),
        }
    }
}

struct HeldBy<'a>(&'a LeaseTenant);

impl fmt::Display for HeldBy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.contract(), self.0.guards(), self.0.raw_holds()) {
            (Contract::Static, ..) => f.write_str("the program"),
            (_, 0, 1) => f.write_str("its address"),
            (_, 1, 0) => f.write_str("a guard"),
            (_, guards, 0) => write!(f, "{guards} guards"),
            (_, guards, raw) => write!(f, "{}", guards + raw),
        }
    }
}

/// A number of bytes as a person would say it.
struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = (self.0.max(1).ilog2() / 10).min(4);
        let name = ["bytes", "KiB", "MiB", "GiB", "TiB"][unit as usize];
        if unit == 0 {
            return write!(f, "{} {name}", self.0);
        }
        // Tenths, rounded down: a region is never shown larger than it is.
        let tenths = (self.0 as u128 * 10) >> (10 * unit);
        write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
    }
}

impl<S: MemoryStrategy> fmt::Debug for LeaseOwner<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.report(), f)
    }
}
