//! The health of a strategy in one atomic word.
//!
//! The word packs state, transition count and error count, so a snapshot is one load and never mixes two moments, and
//! every change is one compare-and-swap: it happens as a whole or not at all.
//!
//! Orderings: a change is `AcqRel` and a snapshot `Acquire`. Each pairs with the changes before it, so whoever sees
//! `Active` also sees what was set up before the move to `Active`. Tried under loom.

use std::fmt;

use super::status::{IllegalMove, StrategyState, StrategyStatus};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::const_fn;

const STATE_BITS: u32 = 3;
const TRANSITION_BITS: u32 = 29;

const STATES: [StrategyState; 5] = [
    StrategyState::Initialized,
    StrategyState::Active,
    StrategyState::Transitioning,
    StrategyState::Error,
    StrategyState::Closed,
];

/// A strategy's health, shared between threads without a lock.
///
/// For those who write a strategy: keep one, move it as the table of [`StrategyState`] allows, and return
/// [`status`](Self::status) from [`MemoryStrategy::status`](super::MemoryStrategy::status). Record faults of your own
/// only: a caller's mistake (size 0, a foreign pointer) says nothing about the strategy's health.
///
/// ```
/// use lease::strategy::{StatusTracker, StrategyState};
///
/// static HEALTH: StatusTracker = StatusTracker::new();
///
/// HEALTH.transition(StrategyState::Active)?;
/// HEALTH.record_error();
/// HEALTH.record_error();
/// let status = HEALTH.status();
/// assert_eq!((status.state, status.transitions, status.errors), (StrategyState::Error, 2, 2));
/// assert!(HEALTH.transition(StrategyState::Active).is_err());
/// # Ok::<(), lease::strategy::IllegalMove>(())
/// ```
pub struct StatusTracker(AtomicU64);

impl StatusTracker {
    /// The most transitions that are counted; the count stays there.
    pub const MAX_TRANSITIONS: u32 = (1 << TRANSITION_BITS) - 1;

    const_fn! {
        /// A tracker in state `Initialized`.
        pub const fn new() -> Self {
            Self(AtomicU64::new(0))
        }
    }

    /// State and counts at one moment.
    pub fn status(&self) -> StrategyStatus {
        unpack(self.0.load(Ordering::Acquire))
    }

    /// Moves to another state and returns the status just after the move.
    ///
    /// Of several threads that ask for the same move, one makes it; the others find it made.
    ///
    /// # Errors
    ///
    /// [`IllegalMove`] when the table has no such move from the present state; nothing changed.
    pub fn transition(&self, to: StrategyState) -> Result<StrategyStatus, IllegalMove> {
        self.change(|status| {
            if status.state.may_become(to) {
                Ok(moved(status, to))
            } else {
                Err(IllegalMove::new(status.state, to))
            }
        })
    }

    /// Counts one error of the strategy's own, and moves to `Error` unless it is there or closed. Returns the status
    /// just after.
    ///
    /// The count stops at `u32::MAX`.
    pub fn record_error(&self) -> StrategyStatus {
        let outcome = self.change(|status| {
            let after = if status.state.may_become(StrategyState::Error) {
                moved(status, StrategyState::Error)
            } else {
                status
            };
            Ok::<_, std::convert::Infallible>(StrategyStatus {
                errors: status.errors.saturating_add(1),
                ..after
            })
        });
        match outcome {
            Ok(status) => status,
        }
    }

    fn change<E>(
        &self,
        decide: impl Fn(StrategyStatus) -> Result<StrategyStatus, E>,
    ) -> Result<StrategyStatus, E> {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            let after = decide(unpack(word))?;
            match self
                .0
                .compare_exchange_weak(word, pack(after), Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Ok(after),
                Err(found) => word = found,
            }
        }
    }
}

impl Default for StatusTracker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StatusTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StatusTracker").field(&self.status()).finish()
    }
}

fn moved(status: StrategyStatus, to: StrategyState) -> StrategyStatus {
    StrategyStatus {
        state: to,
        transitions: (status.transitions + 1).min(StatusTracker::MAX_TRANSITIONS),
        ..status
    }
}

/// Errors above transitions above the state.
fn pack(status: StrategyStatus) -> u64 {
    let state = STATES
        .iter()
        .position(|state| *state == status.state)
        .expect("the table lists every state");
    u64::from(status.errors) << (STATE_BITS + TRANSITION_BITS)
        | u64::from(status.transitions) << STATE_BITS
        | state as u64
}

fn unpack(word: u64) -> StrategyStatus {
    let field = |from: u32, bits: u32| (word >> from) & ((1 << bits) - 1);
    let narrow = |value: u64| u32::try_from(value).expect("each field has at most 32 bits");
    StrategyStatus {
        state: STATES[narrow(field(0, STATE_BITS)) as usize],
        transitions: narrow(field(STATE_BITS, TRANSITION_BITS)),
        errors: narrow(field(STATE_BITS + TRANSITION_BITS, u32::BITS)),
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn packing_loses_nothing() {
        for state in STATES {
            for transitions in [0, 1, StatusTracker::MAX_TRANSITIONS] {
                for errors in [0, 1, u32::MAX] {
                    let status = StrategyStatus {
                        state,
                        transitions,
                        errors,
                    };
                    assert_eq!(unpack(pack(status)), status);
                }
            }
        }
    }

    #[test]
    fn counts_stop_at_their_largest_value() {
        let full = StrategyStatus {
            state: StrategyState::Active,
            transitions: StatusTracker::MAX_TRANSITIONS,
            errors: u32::MAX,
        };
        let tracker = StatusTracker(AtomicU64::new(pack(full)));
        let after = tracker.record_error();
        assert_eq!(
            after,
            StrategyStatus {
                state: StrategyState::Error,
                ..full
            }
        );
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use super::*;
    use crate::sync::atomic::AtomicU32;
    use crate::sync::{Arc, thread};

    #[test]
    fn loom_who_sees_active_sees_what_was_set_up_before() {
        loom::model(|| {
            let shared = Arc::new((StatusTracker::new(), AtomicU32::new(0)));
            let reader = Arc::clone(&shared);
            // Waits, because loom lets no bare look of one thread come between the load and the compare-and-swap of
            // another; on a thread of its own, because a thread that waits is shown nothing older than it has seen.
            let reading = thread::spawn(move || {
                while reader.0.status().state != StrategyState::Active {
                    thread::yield_now();
                }
                reader.1.load(Ordering::Relaxed)
            });
            shared.1.store(7, Ordering::Relaxed);
            shared.0.transition(StrategyState::Active).unwrap();
            assert_eq!(reading.join().unwrap(), 7);
        });
    }

    #[test]
    fn loom_errors_at_once_are_all_counted_and_move_once() {
        loom::model(|| {
            let tracker = Arc::new(StatusTracker::new());
            tracker.transition(StrategyState::Active).unwrap();
            let threads = [(); 2].map(|()| {
                let tracker = Arc::clone(&tracker);
                thread::spawn(move || tracker.record_error())
            });
            let seen = tracker.status();
            let consistent = match seen.errors {
                0 => seen.state == StrategyState::Active && seen.transitions == 1,
                _ => seen.state == StrategyState::Error && seen.transitions == 2,
            };
            assert!(consistent, "{seen:?} mixes two moments");
            for thread in threads {
                thread.join().unwrap();
            }
            let status = tracker.status();
            assert_eq!((status.errors, status.transitions), (2, 2));
        });
    }

    #[test]
    fn loom_nothing_leaves_closed_and_one_of_two_closers_closes() {
        loom::model(|| {
            let tracker = Arc::new(StatusTracker::new());
            let closers = [(); 2].map(|()| {
                let tracker = Arc::clone(&tracker);
                thread::spawn(move || tracker.transition(StrategyState::Closed).is_ok())
            });
            let activated = tracker.transition(StrategyState::Active).is_ok();
            let closed = closers.map(|thread| thread.join().unwrap());
            assert_eq!(closed.iter().filter(|closed| **closed).count(), 1);
            let status = tracker.status();
            assert_eq!(status.state, StrategyState::Closed);
            assert_eq!(status.transitions, 1 + u32::from(activated));
        });
    }
}
