//! How the insides work: formats, protocols, limits. For those who operate or change this crate; using it needs none of
//! it.

#[cfg(feature = "work")]
#[doc = include_str!("checkpoints.md")]
pub mod checkpoints {}

#[cfg(feature = "work")]
#[doc = include_str!("events.md")]
pub mod events {}

#[cfg(feature = "work")]
#[doc = include_str!("ledger.md")]
pub mod ledger {}
