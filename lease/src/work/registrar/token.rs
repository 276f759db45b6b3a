//! Fencing tokens: numbers that only rise, so that whatever a claim protects can tell a late writer from the holder.
//!
//! 31 bits of ledger epoch over 32 bits of offset: the epoch rises whenever somebody finds the ledger unattended, so a
//! token that a power cut took from the ledger is never given again.

use std::fmt;

/// The fencing token of one lease: what a holder shows with every write.
///
/// Of one ledger, later leases have greater tokens; tokens of different ledgers cannot be compared, which is why this
/// has no order. Keep [`get`](Self::get) beside the data (it fits a signed 64-bit column) and refuse writes with a
/// smaller one:
///
/// ```sql
/// UPDATE invoice SET state = ?1, fence = ?2 WHERE id = ?3 AND fence <= ?2
/// ```
///
/// Where the resource is not a database, [`Fence`](crate::Fence) does the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FencingToken {
    value: u64,
    ledger: LedgerId,
}

/// Which ledger a token comes from: the hash of its first record.
pub(crate) type LedgerId = [u8; 32];

impl FencingToken {
    pub(crate) const fn new(value: u64, ledger: LedgerId) -> Self {
        Self { value, ledger }
    }

    /// The number, below 2^63.
    pub const fn get(self) -> u64 {
        self.value
    }

    /// Whether both tokens come from the same ledger, so that their numbers can be compared.
    pub fn is_same_ledger(&self, other: &Self) -> bool {
        self.ledger == other.ledger
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl fmt::Debug for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FencingToken({})", self.value)
    }
}

/// Where tokens end: they fit a signed SQL bigint.
pub(crate) const TOKEN_END: u64 = 1 << 63;

/// The bits of a token below its epoch.
const OFFSET_BITS: u32 = 32;

/// The epoch in which a token was given.
pub(crate) const fn epoch_of(token: u64) -> u32 {
    (token >> OFFSET_BITS) as u32
}

/// The token after `last` in `epoch`, or `None` when the epoch has no more of them and has to be raised.
///
/// A `last` beyond the epoch, from a ledger whose epoch was lost, still only rises.
pub(crate) fn next_token(last: u64, epoch: u32) -> Option<u64> {
    let first = (u64::from(epoch) << OFFSET_BITS) + 1;
    if last < first {
        return Some(first);
    }
    last.checked_add(1)
        .filter(|next| next >> OFFSET_BITS == last >> OFFSET_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_start_at_their_epoch_and_rise_by_one() {
        assert_eq!(next_token(0, 3), Some((3 << 32) + 1));
        assert_eq!(next_token((3 << 32) + 1, 3), Some((3 << 32) + 2));
    }

    #[test]
    fn a_raised_epoch_jumps_over_every_token_before_it() {
        assert_eq!(next_token((3 << 32) + 900, 4), Some((4 << 32) + 1));
    }

    #[test]
    fn a_used_up_epoch_asks_to_be_raised() {
        assert_eq!(next_token((3 << 32) + u64::from(u32::MAX), 3), None);
    }

    #[test]
    fn a_token_beyond_the_epoch_is_still_exceeded() {
        assert_eq!(next_token((9 << 32) + 5, 3), Some((9 << 32) + 6));
    }

    #[test]
    fn no_token_is_followed_by_a_lesser_one() {
        for last in [TOKEN_END - 1, TOKEN_END, u64::MAX - 1, u64::MAX] {
            assert!(next_token(last, 3).is_none_or(|next| next > last), "{last}");
        }
    }

    #[test]
    fn the_last_token_fits_a_signed_column() {
        let last = next_token(0, (1 << 31) - 1).unwrap();
        assert!(i64::try_from(last).is_ok());
    }
}
