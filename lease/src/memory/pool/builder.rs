//! Deciding what a pool is like before it is one.

use super::Pool;
use super::error::PoolBuildError;
use super::recycle::Recycling;
use super::store::Options;
use super::{magazine, segment};
use crate::memory::strategy::{MemoryStrategy, System};
use crate::sync::const_fn;

/// The capacity up to which a pool has all its free slots in one place.
const SMALL: usize = 1024;
/// The least number of shelves that a pool's capacity fills.
const PARTS: usize = 64;

/// Describes a [`Pool`]: its capacity and its segments. Usable in a `const`.
///
/// ```
/// use lease::{AcquireError, Pool};
///
/// static PAIR: Pool<u32> = Pool::builder().capacity(2).build();
///
/// let one = PAIR.acquire(1);
/// let two = PAIR.acquire(2);
/// assert_eq!(PAIR.try_acquire(3).unwrap_err(), AcquireError::Exhausted { capacity: 2 });
/// drop((one, two));
/// assert_eq!(*PAIR.acquire(3), 3);
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct PoolBuilder<T> {
    capacity: Option<usize>,
    segment_bytes: Option<usize>,
    recycle: Option<fn(&mut T)>,
}

impl<T> PoolBuilder<T> {
    /// An unbounded pool whose segments grow with it.
    pub const fn new() -> Self {
        Self {
            capacity: None,
            segment_bytes: None,
            recycle: None,
        }
    }

    /// Keeps payloads: at the last release a payload is not destroyed but reset, and
    /// [`Pool::acquire_recycled`] hands it out again, [`Pool::acquire_recycled_unique`] to be written.
    ///
    /// If `reset` panics, the payload is destroyed, its slot is freed, and the panic goes on as one from a destructor.
    /// Kept payloads are destroyed when the pool is dropped, shut down or shrunk, or when their slot is needed for
    /// another value.
    ///
    /// Each thread of an unbounded pool has the payloads it released last at hand, at most 512, for itself; the others, and
    /// all at its end, go where every thread finds them. A [bounded](Self::capacity) pool has all of them in one place.
    ///
    /// ```
    /// let pool = lease::Pool::builder().recycle(Vec::clear).build();
    /// let mut buffer = pool.acquire_recycled_unique(|| Vec::with_capacity(1000));
    /// buffer.push(1_u8);
    /// drop(buffer);
    ///
    /// let again = pool.acquire_recycled_unique(|| unreachable!("one is kept"));
    /// assert!(again.is_empty());
    /// assert!(again.capacity() >= 1000);
    /// ```
    pub const fn recycle(mut self, reset: fn(&mut T)) -> Self {
        self.recycle = Some(reset);
        self
    }

    /// Bounds the pool: at most `slots` objects on lease at a time. A weak lease keeps its slot in use.
    ///
    /// No thread keeps free slots to itself. A pool of more than 1,024 slots spreads them over shelves with locks of their
    /// own, of 1/64 of the capacity at most; whoever finds no slot looks at all of them, and while somebody waits a release
    /// hands its slot over directly.
    pub const fn capacity(mut self, slots: usize) -> Self {
        self.capacity = Some(slots);
        self
    }

    /// Fixes the size of a segment, the unit in which the pool asks its strategy for memory: a power of two from 16 KiB to
    /// 2 MiB. Segments are aligned to their size. Without this the first segment is small and later ones double.
    pub const fn segment_bytes(mut self, bytes: usize) -> Self {
        self.segment_bytes = Some(bytes);
        self
    }

    const_fn! {
        /// The pool, with segments from the system allocator.
        ///
        /// # Panics
        ///
        /// If the description makes no pool; [`try_build`](Self::try_build) says it as an error. In a `const` or `static` the
        /// panic is a compile error.
        #[track_caller]
        pub const fn build(self) -> Pool<T> {
            self.build_in(System)
        }
    }

    const_fn! {
        /// The pool, with segments from `strategy`.
        ///
        /// # Panics
        ///
        /// As [`build`](Self::build).
        #[track_caller]
        pub const fn build_in<S: MemoryStrategy + 'static>(self, strategy: S) -> Pool<T, S> {
            match self.options() {
                Ok(options) => Pool::with_options(options, strategy),
                Err(PoolBuildError::ZeroCapacity) => panic!("a pool needs a capacity of at least one"),
                Err(PoolBuildError::SegmentBytes { .. }) => {
                    panic!("no segment size: a power of two from 16384 to 2097152")
                }
            }
        }
    }

    /// The pool, with segments from the system allocator.
    ///
    /// # Errors
    ///
    /// What is wrong with the description.
    pub fn try_build(self) -> Result<Pool<T>, PoolBuildError> {
        self.try_build_in(System)
    }

    /// The pool, with segments from `strategy`.
    ///
    /// # Errors
    ///
    /// What is wrong with the description; the strategy has been dropped.
    pub fn try_build_in<S: MemoryStrategy + 'static>(
        self,
        strategy: S,
    ) -> Result<Pool<T, S>, PoolBuildError> {
        Ok(Pool::with_options(self.options()?, strategy))
    }

    const fn options(&self) -> Result<Options, PoolBuildError> {
        if let Some(0) = self.capacity {
            return Err(PoolBuildError::ZeroCapacity);
        }
        let class = match self.segment_bytes {
            None => None,
            Some(given) => match segment::class_of(given) {
                Some(class) => Some(class),
                None => return Err(PoolBuildError::SegmentBytes { given }),
            },
        };
        Ok(Options {
            capacity: self.capacity,
            magazine: if self.capacity.is_some() {
                0
            } else {
                magazine::LARGEST
            },
            shelf: match self.capacity {
                Some(capacity) if capacity > SMALL && self.recycle.is_none() => {
                    let part = capacity / PARTS;
                    if part < magazine::LARGEST {
                        part
                    } else {
                        magazine::LARGEST
                    }
                }
                _ => 0,
            },
            class,
            recycling: match self.recycle {
                Some(reset) => Some(Recycling::of(reset)),
                None => None,
            },
        })
    }
}

impl<T> Default for PoolBuilder<T> {
    fn default() -> Self {
        Self::new()
    }
}
