//! Events: what happened, as it is written down.
//!
//! An event family is a plain enum with [`#[derive(LeaseEvent)]`](derive@crate::LeaseEvent); its wire form is one
//! Protocol Buffers `oneof`, an arm per variant. An [`EventRecord`] is one event in its envelope. This floor knows
//! neither leases nor ledgers: the registrar's own family is declared here as any user's is.

mod error;
mod family;
pub(crate) mod field;
mod part;
mod record;
pub(crate) mod wire;

pub(crate) use self::family::{kind_in, read};
pub use self::{error::EventError, family::LeaseEvent, record::EventRecord};
