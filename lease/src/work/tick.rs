//! Points on a monotonic clock, as the ledger writes them.

use std::{fmt, time::Duration};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Which clock counted a tick: boot id and time namespace, hashed to 16 bytes. Ticks of different clocks cannot be
/// compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClockId(pub [u8; 16]);

impl fmt::Debug for ClockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockId(")?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// A point on a monotonic clock: the seed's `HtfTick`.
///
/// Ticks have no order of their own, because two of different clocks or rates cannot be compared; the methods say what
/// they do then.
///
/// ```
/// use lease::{ClockId, Tick};
/// use std::time::Duration;
///
/// let boot = ClockId([1; 16]);
/// let start = Tick::new(1_000, 1_000_000, boot);
/// let end = start.saturating_add(Duration::from_millis(1));
/// assert_eq!(end.value(), 2_000);
/// assert!(!start.has_reached(&end));
/// assert_eq!(start.until(&end), Some(Duration::from_millis(1)));
///
/// let elsewhere = Tick::new(5_000, 1_000_000, ClockId([2; 16]));
/// assert!(!elsewhere.is_comparable(&end));
/// assert_eq!(elsewhere.until(&end), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tick {
    /// How far the clock has counted.
    pub value: u64,
    /// How many counts make a second, in hertz. 0 means "no ticks".
    pub rate: u64,
    /// Which clock counted.
    pub clock: ClockId,
}

impl Tick {
    /// A tick of this clock.
    pub const fn new(value: u64, rate: u64, clock: ClockId) -> Self {
        Self { value, rate, clock }
    }

    /// How far the clock has counted.
    pub const fn value(&self) -> u64 {
        self.value
    }

    /// Whether the two are of the same clock and rate, and the rate is not 0.
    pub fn is_comparable(&self, other: &Self) -> bool {
        self.rate != 0 && self.rate == other.rate && self.clock == other.clock
    }

    /// Whether this is at or past `end`; false if they cannot be compared.
    pub fn has_reached(&self, end: &Self) -> bool {
        self.is_comparable(end) && self.value >= end.value
    }

    /// The time from this tick to `later`, rounded down to nanoseconds: zero if it has passed, `None` if they cannot be
    /// compared.
    pub fn until(&self, later: &Self) -> Option<Duration> {
        self.is_comparable(later)
            .then(|| ticks_to_duration(later.value.saturating_sub(self.value), self.rate))
    }

    /// The tick `duration` later, rounded up so that it never comes early; stops at the last tick there is.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let ticks = duration
            .as_nanos()
            .saturating_mul(u128::from(self.rate))
            .div_ceil(NANOS_PER_SECOND);
        Self {
            value: self
                .value
                .saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX)),
            ..self
        }
    }
}

/// `rate` is not 0.
fn ticks_to_duration(ticks: u64, rate: u64) -> Duration {
    let fraction = u128::from(ticks % rate) * NANOS_PER_SECOND / u128::from(rate);
    Duration::from_secs(ticks / rate)
        .saturating_add(Duration::from_nanos(u64::try_from(fraction).unwrap_or(u64::MAX)))
}
