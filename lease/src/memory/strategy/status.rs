//! How a strategy feels, and who it is.

use std::ptr;

/// The health of a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StrategyState {
    /// Made, not yet used.
    Initialized,
    /// Serving.
    Active,
    /// Broken by a fault of its own; a caller's mistake never leads here.
    Error,
    /// Between two states.
    Transitioning,
    /// Draining: takes blocks back, hands none out. Terminal.
    Closed,
}

/// One consistent snapshot of a strategy's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StrategyStatus {
    /// The state it is in.
    pub state: StrategyState,
    /// How often the state changed.
    pub transitions: u32,
    /// How many errors of its own it met; a caller's mistakes are not counted.
    pub errors: u32,
}

impl StrategyStatus {
    /// The status of a strategy that is always ready and keeps no books.
    pub const ACTIVE: Self = Self {
        state: StrategyState::Active,
        transitions: 0,
        errors: 0,
    };
}

/// Who would have to free a strategy's blocks: two strategies with equal identities may free each other's.
///
/// `System` is always itself; any other strategy is known by its address, so the identity of a strategy that is not
/// behind a reference, `Box` or `Arc` holds only until it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StrategyId(usize);

impl StrategyId {
    /// The system allocator's identity.
    pub const SYSTEM: Self = Self(0);

    /// The identity of the strategy at this address.
    pub fn of<S: ?Sized>(strategy: &S) -> Self {
        Self(ptr::from_ref(strategy).addr())
    }
}
