//! Epochs: numbers that rise even when the last writes before a power cut are lost.

use std::time::{SystemTime, UNIX_EPOCH};

use super::LedgerError;

/// Seconds between 1970 and 2020, both at midnight UTC.
const YEAR_2020: u64 = 1_577_836_800;

/// One past the highest epoch: they have 31 bits, so that a token made of an epoch and 32 bits more fits a signed 64-bit
/// column.
const LIMIT: u32 = 1 << 31;

/// The epoch after `last`: `max(last + 1, seconds since 2020)`.
///
/// The seconds help where `last` itself was restored from an old copy; a clock that is wrong cannot do harm, because the
/// epoch rises by at least one.
pub(super) fn after(last: u32) -> Result<u32, LedgerError> {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    rise(last, since_1970.saturating_sub(YEAR_2020))
}

fn rise(last: u32, seconds: u64) -> Result<u32, LedgerError> {
    // A clock set past 2088 must not use up the epochs at one stroke.
    let seconds = u32::try_from(seconds).ok().filter(|seconds| *seconds < LIMIT / 2);
    let next = last.saturating_add(1).max(seconds.unwrap_or(0));
    if next < LIMIT {
        Ok(next)
    } else {
        Err(LedgerError::EpochsUsedUp { last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_rises_by_the_clock_or_by_one() {
        assert_eq!(rise(0, 500).unwrap(), 500);
        assert_eq!(rise(500, 500).unwrap(), 501);
        assert_eq!(rise(900, 500).unwrap(), 901);
    }

    #[test]
    fn a_clock_far_in_the_future_does_not_use_up_the_epochs() {
        assert_eq!(rise(7, u64::MAX).unwrap(), 8);
        assert_eq!(rise(7, u64::from(LIMIT) - 1).unwrap(), 8);
    }

    #[test]
    fn the_last_epoch_has_no_next() {
        assert_eq!(rise(LIMIT - 2, 0).unwrap(), LIMIT - 1);
        assert!(matches!(rise(LIMIT - 1, 0), Err(LedgerError::EpochsUsedUp { last }) if last == LIMIT - 1));
        assert!(matches!(rise(u32::MAX, 0), Err(LedgerError::EpochsUsedUp { .. })));
    }
}
