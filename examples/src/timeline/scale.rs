//! Where a moment stands on the picture.

use lease::Lease;

use super::{COUNT, LABEL, WIDTH, ended_at, to_f64};
use crate::time::span;

/// Steps between the marks of the axis, in nanoseconds: such as people count in.
const STEPS: [u64; 28] = [
    1_000,
    10_000,
    100_000,
    1_000_000,
    5_000_000,
    10_000_000,
    50_000_000,
    100_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
    120_000_000_000,
    300_000_000_000,
    600_000_000_000,
    1_800_000_000_000,
    3_600_000_000_000,
    7_200_000_000_000,
    21_600_000_000_000,
    43_200_000_000_000,
    86_400_000_000_000,
    604_800_000_000_000,
    2_592_000_000_000_000,
    31_536_000_000_000_000,
    315_360_000_000_000_000,
];

/// How many marks are not too many.
const MARKS: u64 = 11;

pub(super) struct Scale {
    start: u64,
    end: u64,
    now: u64,
}

impl Scale {
    /// From the first issue to the last end.
    pub(super) fn of(leases: &[&Lease], now: u64) -> Self {
        let start = leases.iter().map(|lease| lease.issued_at).min().unwrap_or(0);
        let end = leases.iter().map(|lease| ended_at(lease)).max().unwrap_or(0);
        Self {
            start,
            end: end.max(start.saturating_add(1)),
            now,
        }
    }

    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    pub(super) const fn now(&self) -> u64 {
        self.now
    }

    pub(super) const fn nanos(&self) -> u64 {
        self.end - self.start
    }

    pub(super) fn x(&self, time: u64) -> f64 {
        let along = to_f64(time.clamp(self.start, self.end) - self.start) / to_f64(self.nanos());
        LABEL + (WIDTH - LABEL - COUNT) * along
    }

    /// Where the present is, if it is on the picture at all.
    pub(super) fn now_x(&self) -> Option<f64> {
        (self.start..self.end)
            .contains(&self.now)
            .then(|| self.x(self.now))
    }

    /// Moments worth a line, and how long after the start they are.
    pub(super) fn marks(&self) -> Vec<(u64, String)> {
        let wide_enough = |step: &&u64| self.nanos() / **step < MARKS;
        let step = STEPS.iter().find(wide_enough).copied();
        let step = step.unwrap_or((self.nanos() / MARKS).max(1));
        (0..=self.nanos() / step)
            .map(|number| {
                let label = if number == 0 {
                    "start".to_owned()
                } else {
                    format!("+{}", span(number * step))
                };
                (self.start + number * step, label)
            })
            .collect()
    }
}
