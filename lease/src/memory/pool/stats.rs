//! What a pool says about itself.

/// A pool's figures at one moment; under concurrent use each is right for itself, not all for one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Slots in use: by a strong, unique or weak lease.
    pub live: usize,
    /// Strong leases.
    pub strong: usize,
    /// Slots that exist, in use or not.
    pub slots: usize,
    /// Slots that have used up their generations and are not given out again.
    pub retired: usize,
    /// Segments.
    pub segments: usize,
    /// Bytes of all segments.
    pub bytes: usize,
    /// The most slots in use at a time, if the pool is bounded.
    pub capacity: Option<usize>,
}
