//! Points on a monotonic clock, as the ledger writes them.

use std::fmt;

/// Which clock counted a tick: boot id and time namespace, hashed to 16 bytes. Ticks of different clocks cannot be
/// compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
}
