//! How the insides work: formats, protocols, limits. For those who operate or change this crate; using it needs none of
//! it.

#[doc = include_str!("control_word.md")]
pub mod control_word {}

#[cfg(feature = "work")]
#[doc = include_str!("checkpoints.md")]
pub mod checkpoints {}

#[cfg(feature = "work")]
#[doc = include_str!("events.md")]
pub mod events {}

#[cfg(feature = "work")]
#[doc = include_str!("ledger.md")]
pub mod ledger {}
