//! One at a time inside a process, with a time limit.
//!
//! The write section of a ledger is at least this; a ledger that several processes share adds a lock that they see too.

use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex, lock};

/// How long a writer waits for the section unless told otherwise: longer than any healthy section, shorter than a
/// person's patience.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A lock that gives up after a while.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Debug)]
struct State {
    is_held: bool,
    /// How many wait: with none, whoever leaves need not ask the system to wake somebody.
    waiting: usize,
}

/// Holds the gate; dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Inside<'a>(&'a Gate);

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                is_held: false,
                waiting: 0,
            }),
            left: Condvar::new(),
        }
    }

    /// Waits until nobody is inside; `None` if that took longer than `patience`.
    pub(super) fn enter(&self, patience: Duration) -> Option<Inside<'_>> {
        let asked = Instant::now();
        let mut state = lock(&self.state);
        while state.is_held {
            let left = patience.checked_sub(asked.elapsed())?;
            state.waiting += 1;
            state = match self.left.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
            state.waiting -= 1;
        }
        state.is_held = true;
        Some(Inside(self))
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.is_held = false;
        if state.waiting > 0 {
            self.0.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_lets_one_in_and_gives_up_in_time() {
        let gate = Gate::new();
        let inside = gate.enter(PATIENCE).unwrap();
        assert!(gate.enter(Duration::from_millis(5)).is_none());
        drop(inside);
        assert!(gate.enter(Duration::ZERO).is_some());
    }
}
