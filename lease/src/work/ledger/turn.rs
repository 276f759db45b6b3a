//! The turn to write a checkpoint, which one has at a time.

use std::fmt;

/// The turn to write a checkpoint, given back when it is dropped; see
/// [`Ledger::checkpoint_turn`](super::Ledger::checkpoint_turn).
///
/// An implementation of `Ledger` makes it of whatever gives the turn back by being dropped: a lock on a file, a guard, or
/// nothing where it can always be had.
///
/// ```
/// use lease::ledger::CheckpointTurn;
/// use std::sync::Arc;
///
/// let desk = Arc::new(());
/// let turn = CheckpointTurn::new(Arc::clone(&desk));
/// assert_eq!(Arc::strong_count(&desk), 2);
/// drop(turn);
/// assert_eq!(Arc::strong_count(&desk), 1);
/// ```
#[must_use = "the turn is given back as soon as this is dropped"]
pub struct CheckpointTurn {
    _held: Box<dyn Send>,
}

impl CheckpointTurn {
    /// The turn that is had as long as `held` is.
    pub fn new(held: impl Send + 'static) -> Self {
        Self {
            _held: Box::new(held),
        }
    }
}

impl fmt::Debug for CheckpointTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointTurn").finish_non_exhaustive()
    }
}
