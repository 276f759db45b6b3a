//! The memory wing: strategies, the control-block pool, the owner table, the scope. Four floors, each may use the ones
//! below it: `strategy` (F1), `pool` (F2), `owner` (F3), `scope` (F4).

#[allow(
    unsafe_code,
    reason = "owned memory is raw until it is typed, and C names it by address"
)]
pub(crate) mod owner;
#[allow(unsafe_code, reason = "slots are raw memory behind counted pointers")]
pub(crate) mod pool;
#[allow(unsafe_code, reason = "a strategy hands out raw memory")]
pub mod strategy;

#[allow(
    unsafe_code,
    reason = "a scope places values in raw memory and ends them there"
)]
pub(crate) mod scope;
