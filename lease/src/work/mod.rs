//! The work wing: exclusive work as events in a ledger.
//!
//! Floors, each may use the ones below it: `random`, `event`, `tick`, `clock` (F1); `reducer`, `ledger`, and above
//! both `follow` (F2); `registrar` (F3); `claim` (F4). `ledger` knows nothing of leases, `reducer` has no clock and no IO, `claim` no SQL.

pub(crate) mod claim;
pub(crate) mod clock;
pub(crate) mod event;
pub(crate) mod follow;
pub mod ledger;
pub(crate) mod observe;
mod random;
pub(crate) mod reducer;
pub(crate) mod registrar;
pub(crate) mod tick;
