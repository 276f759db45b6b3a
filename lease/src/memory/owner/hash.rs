//! The hash of addresses.
//!
//! Addresses are the worst of keys for a weak hash: their low bits are zero, their high bits are equal, and page-sized
//! blocks differ in a few bits in the middle. Here every bit of the result depends on every bit of the address: the
//! finaliser of `SplitMix64` (Steele, Lea and Flood, 2014; Stafford's variant 13). Nobody outside the process chooses
//! addresses, so nothing need be secret.

use std::hash::{BuildHasherDefault, Hasher};

/// A `BuildHasher` for maps keyed by addresses.
pub(super) type AddressHash = BuildHasherDefault<AddressHasher>;

/// Mixes `usize` keys.
#[derive(Default)]
pub(super) struct AddressHasher(u64);

impl AddressHasher {
    fn mix(&mut self, word: u64) {
        let mut bits = self.0 ^ word;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = bits ^ (bits >> 31);
    }
}

impl Hasher for AddressHasher {
    fn write_usize(&mut self, address: usize) {
        self.mix(address as u64);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.mix(u64::from(byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    /// The maps look at the low bits for the group and at the top seven inside it.
    fn distinct(stride: usize, view: impl Fn(u64) -> u64) -> usize {
        let build = AddressHash::default();
        let hashes = (0..16_384_usize).map(|n| view(build.hash_one(0x7f3a_0000_0000_usize + n * stride)));
        hashes.collect::<HashSet<_>>().len()
    }

    #[test]
    fn every_stride_spreads_as_a_random_function_would() {
        // 16,384 random keys into as many places fill 10,357 of them; a weak hash of aligned addresses fills a few.
        for stride in (0..24).map(|bits| 1 << bits).chain([24, 48, 4_096 + 16, 3 << 20]) {
            let low = distinct(stride, |hash| hash & 0x3fff);
            assert!(low > 9_800, "stride {stride}: only {low} of 16384 low halves");
            let middle = distinct(stride, |hash| (hash >> 25) & 0x3fff);
            assert!(middle > 9_800, "stride {stride}: only {middle} of 16384 middles");
            assert_eq!(
                distinct(stride, |hash| hash >> 57),
                128,
                "stride {stride}: tags unused"
            );
        }
    }
}
