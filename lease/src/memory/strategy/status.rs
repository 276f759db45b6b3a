//! How a strategy feels: the states, the legal moves between them, and the snapshot.

use std::fmt;

use thiserror::Error;

/// The health of a strategy.
///
/// The legal moves, from the row to the column:
///
/// | from \ to     | Initialized | Active | Transitioning | Error | Closed |
/// |---------------|-------------|--------|---------------|-------|--------|
/// | Initialized   |             | yes    | yes           | yes   | yes    |
/// | Active        |             |        | yes           | yes   | yes    |
/// | Transitioning |             | yes    |               | yes   | yes    |
/// | Error         |             |        | yes           |       | yes    |
/// | Closed        |             |        |               |       |        |
///
/// There is no way back to `Initialized`; `Error` is left through `Transitioning`, by somebody who repairs it; `Closed`
/// is never left. To stay is not a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum StrategyState {
    /// Made, not yet used.
    Initialized,
    /// Serving.
    Active,
    /// Between two states.
    Transitioning,
    /// Broken by a fault of its own; a caller's mistake never leads here.
    Error,
    /// Draining: takes blocks back, hands none out. Terminal.
    Closed,
}

impl StrategyState {
    /// Whether the table above has this move.
    ///
    /// ```
    /// use lease::strategy::StrategyState::{Active, Closed};
    ///
    /// assert!(Active.may_become(Closed));
    /// assert!(!Closed.may_become(Active));
    /// ```
    pub const fn may_become(self, to: Self) -> bool {
        use StrategyState::{Active, Closed, Error, Initialized, Transitioning};
        matches!(
            (self, to),
            (Initialized, Active | Transitioning | Error | Closed)
                | (Active, Transitioning | Error | Closed)
                | (Transitioning, Active | Error | Closed)
                | (Error, Transitioning | Closed)
        )
    }
}

impl fmt::Display for StrategyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Initialized => "initialized",
            Self::Active => "active",
            Self::Transitioning => "transitioning",
            Self::Error => "in error",
            Self::Closed => "closed",
        })
    }
}

/// A move that the table of [`StrategyState`] does not have; the state is as it was.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a strategy that is {from} cannot become {to}")]
#[non_exhaustive]
pub struct IllegalMove {
    /// The state it is in.
    pub from: StrategyState,
    /// The state that was asked for.
    pub to: StrategyState,
}

impl IllegalMove {
    pub(super) const fn new(from: StrategyState, to: StrategyState) -> Self {
        Self { from, to }
    }
}

/// One consistent snapshot of a strategy's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
