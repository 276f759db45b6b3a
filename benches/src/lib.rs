//! Peers side by side; each bench is run by hand.
//!
//! Absolute times on a shared machine say little. So every row runs all its sides in the same rounds, one after another in
//! a turning order, and what counts is the median over the rounds of the ratio of two sides in one round.

use std::env;
use std::hint::black_box;
use std::time::Instant;

/// Time one operation takes in one round, in nanoseconds.
pub type Nanos = f64;

/// One contestant in a row.
pub struct Side<'row> {
    name: &'static str,
    /// The most that our time may be of this side's, if that is a goal.
    target: Option<f64>,
    round: Box<dyn FnMut() -> Nanos + 'row>,
}

impl std::fmt::Debug for Side<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Side")
            .field("name", &self.name)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl<'row> Side<'row> {
    /// A contestant whose `round` says what one operation took.
    pub fn new(name: &'static str, round: impl FnMut() -> Nanos + 'row) -> Self {
        Self {
            name,
            target: None,
            round: Box::new(round),
        }
    }

    /// A contestant against which our ratio has a goal.
    #[must_use]
    pub fn target(mut self, ratio: f64) -> Self {
        self.target = Some(ratio);
        self
    }
}

/// How often a row is run whose rounds are long.
const ROUNDS: usize = 15;
/// How often a row is run whose rounds are so short that few of them are interrupted.
const SHORT_ROUNDS: usize = 101;

/// Prints the head of a table.
pub fn head(title: &str) {
    println!(
        "\n{title}: medians of interleaved rounds, ns per operation; spread is the middle half of the ratios"
    );
    println!(
        "{:<46} {:<18} {:>8} {:>7} {:>14} {:>7}  verdict",
        "row", "side", "ns", "ratio", "spread", "target"
    );
}

/// Whether a row is to be run: arguments of the program choose rows by the start of their names; without any, all are.
pub fn is_wanted(name: &str) -> bool {
    let mut wanted = env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .peekable();
    wanted.peek().is_none() || wanted.any(|prefix| name.starts_with(&prefix))
}

/// Runs a row, if it [is wanted](is_wanted), and prints it: us first, then each peer with our ratio to it. Returns how
/// many targets were missed.
///
/// # Panics
///
/// Without sides.
pub fn row(name: &str, sides: Vec<Side<'_>>) -> usize {
    rounds(ROUNDS, name, sides)
}

/// As [`row`], for rounds of some 100 µs.
///
/// # Panics
///
/// Without sides.
pub fn short_row(name: &str, sides: Vec<Side<'_>>) -> usize {
    rounds(SHORT_ROUNDS, name, sides)
}

fn rounds(rounds: usize, name: &str, mut sides: Vec<Side<'_>>) -> usize {
    if !is_wanted(name) {
        return 0;
    }
    let mut times: Vec<Vec<Nanos>> = vec![Vec::new(); sides.len()];
    for round in 0..=rounds {
        for turn in 0..sides.len() {
            let side = (turn + round) % sides.len();
            let time = (sides[side].round)();
            // The first round warms up.
            if round > 0 {
                times[side].push(time);
            }
        }
    }
    let mut missed = 0;
    println!(
        "{name:<46} {:<18} {:>8.1}",
        sides[0].name,
        quantile(times[0].clone(), 0.5)
    );
    for (side, theirs) in sides.iter().zip(&times).skip(1) {
        let ratios: Vec<f64> = times[0]
            .iter()
            .zip(theirs)
            .map(|(ours, theirs)| ours / theirs)
            .collect();
        let ratio = quantile(ratios.clone(), 0.5);
        let spread = format!(
            "{:.2} to {:.2}",
            quantile(ratios.clone(), 0.25),
            quantile(ratios, 0.75)
        );
        let verdict = side.target.map_or_else(String::new, |target| {
            let ok = ratio <= target;
            missed += usize::from(!ok);
            format!("{target:>7.2}  {}", if ok { "ok" } else { "miss" })
        });
        println!(
            "{:<46} {:<18} {:>8.1} {ratio:>7.2} {spread:>14} {verdict}",
            "",
            side.name,
            quantile(theirs.clone(), 0.5)
        );
    }
    missed
}

/// The figure below which this part of all figures lies; 0.5 is the median.
///
/// # Panics
///
/// Without figures.
pub fn quantile(mut of: Vec<f64>, at: f64) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position among a handful of rounds"
    )]
    let position = ((of.len() - 1) as f64 * at).round() as usize;
    of[position]
}

/// Times `count` calls of `operation`.
pub fn each<R>(count: u32, mut operation: impl FnMut(u32) -> R) -> Nanos {
    let start = Instant::now();
    for n in 0..count {
        black_box(operation(n));
    }
    since(start, count)
}

/// The time since `start`, per operation.
pub fn since(start: Instant, count: u32) -> Nanos {
    start.elapsed().as_secs_f64() * 1e9 / f64::from(count)
}
