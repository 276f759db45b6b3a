//! The rows a to k, and what the pool is to reach in them.

mod one_thread;
mod recycling;
mod resident;
mod two_threads;
mod waiting;

use std::hint::black_box;

use lease_benches::{Nanos, Side, head};

/// An object of 64 bytes.
pub(crate) type Payload = [u64; 8];

/// The most our time may be of a peer's, where the peer's allocator matters.
#[derive(Debug)]
pub(crate) struct Targets {
    pub(crate) acquire: Option<f64>,
    pub(crate) unique: Option<f64>,
    pub(crate) random_order: f64,
    pub(crate) two_threads: Option<f64>,
    pub(crate) bursts: f64,
    pub(crate) handed_over: f64,
}

impl Targets {
    /// Beside the system's allocator.
    #[allow(dead_code, reason = "each of the two benches uses one")]
    pub(crate) const MALLOC: Self = Self {
        acquire: Some(0.65),
        unique: Some(0.20),
        random_order: 0.33,
        two_threads: Some(0.66),
        bursts: 0.35,
        handed_over: 0.20,
    };

    /// Beside mimalloc.
    #[allow(dead_code, reason = "each of the two benches uses one")]
    pub(crate) const MIMALLOC: Self = Self {
        acquire: None,
        unique: None,
        random_order: 0.60,
        two_threads: None,
        bursts: 0.60,
        handed_over: 0.30,
    };
}

/// A value that the compiler cannot know.
pub(crate) fn payload(n: u32) -> Payload {
    [u64::from(black_box(n)); 8]
}

/// A contestant against which there may be a goal.
pub(crate) fn side<'row>(
    name: &'static str,
    target: Option<f64>,
    round: impl FnMut() -> Nanos + 'row,
) -> Side<'row> {
    let side = Side::new(name, round);
    match target {
        Some(target) => side.target(target),
        None => side,
    }
}

/// Runs all rows.
pub(crate) fn run(allocator: &str, targets: &Targets) {
    if resident::is_child() {
        return;
    }
    head(&format!("pool, peers on {allocator}"));
    let mut missed = one_thread::run(targets);
    missed += two_threads::run(targets);
    missed += waiting::run();
    missed += recycling::run();
    missed += resident::run();
    println!("{missed} targets missed");
}
