//! What strategies count, as data.

#[cfg(feature = "serde")]
use serde::{Serialize, Serializer};

use super::AllocReason;

/// What a strategy and the layers under it count. `None`: nobody there counts this.
///
/// Read counter by counter, so with other threads at work the figures need not be of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize))]
#[non_exhaustive]
pub struct StrategyStats {
    /// Handed out and not yet given back.
    pub live: Option<Usage>,
    /// The most that was ever live, bytes and blocks each for itself.
    pub peak: Option<Usage>,
    /// The tightest byte budget.
    pub bytes: Option<Budget>,
    /// The tightest budget of live blocks.
    pub blocks: Option<Budget>,
    /// Refused allocations, by reason.
    pub failures: Option<Failures>,
    /// Allocations by size.
    pub sizes: Option<SizeHistogram>,
}

/// An amount of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub struct Usage {
    /// Bytes, as asked for.
    pub bytes: usize,
    /// Blocks.
    pub blocks: usize,
}

impl Usage {
    /// The larger of the two, bytes and blocks each for itself.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.max(other.bytes),
            blocks: self.blocks.max(other.blocks),
        }
    }
}

/// A limit and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub struct Budget {
    /// The most that may be live.
    pub limit: usize,
    /// How much more may become live.
    pub remaining: usize,
}

impl Budget {
    /// The one with less left.
    pub(super) fn tightest(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        [one, other]
            .into_iter()
            .flatten()
            .min_by_key(|budget| budget.remaining)
    }
}

/// How often allocations were refused, by [`AllocReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize))]
#[non_exhaustive]
pub struct Failures {
    /// [`AllocReason::ZeroSize`].
    pub zero_size: u64,
    /// [`AllocReason::OutOfMemory`].
    pub out_of_memory: u64,
    /// [`AllocReason::QuotaBytes`].
    pub quota_bytes: u64,
    /// [`AllocReason::QuotaCount`].
    pub quota_count: u64,
    /// [`AllocReason::TooLarge`].
    pub too_large: u64,
    /// [`AllocReason::AlignmentTooLarge`].
    pub alignment_too_large: u64,
    /// [`AllocReason::Closed`].
    pub closed: u64,
    /// [`AllocReason::NotReady`].
    pub not_ready: u64,
}

impl Failures {
    /// How many reasons there are.
    pub(super) const REASONS: usize = 8;

    /// The place of a reason in an array of counters.
    pub(super) const fn index(reason: AllocReason) -> usize {
        match reason {
            AllocReason::ZeroSize => 0,
            AllocReason::OutOfMemory => 1,
            AllocReason::QuotaBytes { .. } => 2,
            AllocReason::QuotaCount { .. } => 3,
            AllocReason::TooLarge { .. } => 4,
            AllocReason::AlignmentTooLarge { .. } => 5,
            AllocReason::Closed => 6,
            AllocReason::NotReady { .. } => 7,
        }
    }

    pub(super) const fn from_counts(counts: [u64; Self::REASONS]) -> Self {
        let [
            zero_size,
            out_of_memory,
            quota_bytes,
            quota_count,
            too_large,
            alignment_too_large,
            closed,
            not_ready,
        ] = counts;
        Self {
            zero_size,
            out_of_memory,
            quota_bytes,
            quota_count,
            too_large,
            alignment_too_large,
            closed,
            not_ready,
        }
    }

    /// All reasons together.
    pub const fn total(&self) -> u64 {
        self.zero_size
            + self.out_of_memory
            + self.quota_bytes
            + self.quota_count
            + self.too_large
            + self.alignment_too_large
            + self.closed
            + self.not_ready
    }
}

/// How many blocks of which size were handed out, in classes that end at powers of two.
///
/// Serializes as the list of [`rows`](Self::rows).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeHistogram([u64; Self::CLASSES]);

impl SizeHistogram {
    /// One class for each power of two that a size can be rounded up to.
    pub(super) const CLASSES: usize = usize::BITS as usize;

    /// The class of a size of at least 1.
    pub(super) const fn class(size: usize) -> usize {
        (usize::BITS - (size - 1).leading_zeros()) as usize
    }

    pub(super) const fn from_counts(counts: &[u64; Self::CLASSES]) -> Self {
        Self(*counts)
    }

    /// The classes that are not empty, smallest first: the largest size in the class, in bytes, and how many blocks.
    ///
    /// ```
    /// use std::alloc::Layout;
    /// use lease::strategy::{MemoryStrategy, System, Tracked};
    ///
    /// let tracked = Tracked::new(System);
    /// for size in [3, 4, 5] {
    ///     let layout = Layout::array::<u8>(size).unwrap();
    ///     let block = tracked.allocate(layout)?;
    ///     // SAFETY: the block is live, was asked with this layout, and is not used again.
    ///     unsafe { tracked.deallocate(block.cast(), layout) };
    /// }
    /// let sizes = tracked.stats().sizes.unwrap();
    /// assert_eq!(sizes.rows().collect::<Vec<_>>(), [(4, 2), (8, 1)]);
    /// # Ok::<(), lease::strategy::AllocError>(())
    /// ```
    pub fn rows(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(class, count)| (1 << class, *count))
    }
}

#[cfg(feature = "serde")]
impl Serialize for SizeHistogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows())
    }
}
