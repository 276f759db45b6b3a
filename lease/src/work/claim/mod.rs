//! Claims: leases on work as guards.
//!
//! A [`Claim`] holds one work item for as long as it lives. It renews itself, knows from the clock whether it can still
//! be trusted, carries the fencing token that a protected resource compares ([`Fence`]), and gives the work item back
//! when it is dropped. This floor knows the registrar's commands and no storage.

mod builder;
mod error;
pub(crate) mod exclusive;
mod fence;
mod guard;
mod hold;
mod lost;
mod renewer;

pub use self::{
    builder::ClaimBuilder,
    error::ClaimError,
    exclusive::ExclusiveOutput,
    fence::{Fence, FenceError},
    guard::Claim,
    lost::Lost,
};
