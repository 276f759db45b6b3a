//! Waiting for what another thread or process does.

use std::time::{Duration, Instant};

/// Returns once `is_true` says so. That it happens is the promise, not how fast.
///
/// # Panics
///
/// If it does not happen in 20 seconds.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "never happened: {what}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
