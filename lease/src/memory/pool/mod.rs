//! The control-block pool: objects on lease, with strong, weak and unique leases and handles that cannot lie.
//!
//! A [`Pool`] puts a payload and its control word together into one slot of a segment. From then on nothing goes through
//! the pool value any more: a lease is one pointer to the slot, and finds the word, the segment and the free lists from
//! there. One word decides everything about a slot; `control_word` has its states, and the other files compose them:
//!
//! - `segment`, `pages`: where slots live, and how a handle's number leads there;
//! - `shared`, `store`, `magazine`, `shelves`: what outlives the pool value, the store of free slots, and each thread's
//!   share of them;
//!   `registry`, `erased`: where a `Shared` and its strategy come from; `ending`: how both go;
//! - `acquire`: bringing objects in; `recycle`: payloads that stay in their slots; `wait`: the queue of a bounded pool; `iter`: visiting what is on lease;
//! - `strong`, `weak`, `unique`, `mapped`, `handle`, `release`: the leases;
//! - `leased`: types that have a static pool of their own.

mod acquire;
mod builder;
mod control_word;
mod ending;
mod erased;
mod error;
mod handle;
mod iter;
mod leased;
mod magazine;
mod mapped;
#[cfg(all(test, loom))]
mod models;
mod pages;
mod recycle;
mod registry;
mod release;
#[cfg(all(test, not(any(loom, shuttle))))]
mod retirement;
#[cfg(all(test, shuttle))]
mod schedules;
mod segment;
mod shared;
mod shelves;
mod stats;
mod store;
mod strong;
mod unique;
mod wait;
mod weak;

use std::fmt;
use std::marker::PhantomData;
use std::process;
use std::ptr::{self, NonNull};

pub use self::builder::PoolBuilder;
use self::control_word::{MAX_STRONG, Missed};
pub use self::error::{AcquireError, CloneError, LiveSlot, LockError, PoolBuildError, ShutdownError};
pub use self::handle::ControlBlockHandle;
pub use self::iter::Iter;
pub use self::leased::{LeaseOutput, Leased};
use self::magazine::NO_POOL;
pub use self::mapped::MappedLease;
use self::segment::{Segment, SlotLayout, SlotPtr};
use self::shared::Shared;
pub use self::stats::PoolStats;
use self::store::Options;
pub use self::strong::StrongLease;
pub use self::unique::UniqueLease;
pub use self::weak::WeakLease;
use crate::memory::strategy::{MemoryStrategy, System};
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use crate::sync::{Mutex, const_fn, lock};

/// A pool of objects on lease.
///
/// `acquire` moves a value into a slot and gives a [`StrongLease`] on it; the last strong lease destroys the value and,
/// unless weak leases remain, returns the slot. Leases may outlive the pool value, on any thread.
///
/// A pool can be a `static`: making one allocates nothing. What its leases share with it is made at the first `acquire`,
/// because it has to outlive the pool value; each use then costs one load to find it.
///
/// ```
/// use lease::{Pool, StrongLease};
///
/// static NAMES: Pool<String> = Pool::new();
///
/// let name = NAMES.acquire(String::from("Ada"));
/// let handle = StrongLease::handle(&name);
/// assert_eq!(NAMES.lock(handle).unwrap().as_str(), "Ada");
/// drop(name);
/// assert!(NAMES.lock(handle).is_none());
/// ```
///
/// Memory comes from the strategy `S`, in segments aligned to their own size. One process's pools together hold at most
/// 32 GiB of segments: so much can be named by handles.
///
/// Segments come from `S`, what belongs to them from the system's allocator; the lists of free slots, and what a thread notes
/// about pools, come from the global allocator. Wherever memory can be refused, an `acquire` says so, with one exception: when
/// a thread first comes to an unbounded pool, std notes that something is to be done at the thread's end, and aborts the
/// process if there is no memory for the note. A `#[global_allocator]` that itself uses a pool is not supported.
pub struct Pool<T, S: MemoryStrategy + 'static = System> {
    /// The identity of the pool while it is open, else [`NO_POOL`]: the tag of magazines to acquire from, and the owner of
    /// pages to look up in. Changes under the strategy's lock.
    tag: AtomicU64,
    /// Null until first use; never changes after that.
    shared: AtomicPtr<Shared>,
    /// The strategy, until first use.
    strategy: Mutex<Option<S>>,
    options: Options,
    closed: AtomicBool,
    /// Invariant: a pool takes in and gives out payloads of exactly one type.
    payload: PhantomData<*mut T>,
}

// SAFETY: any thread with the pool can take part in any payload, by handle, and be the one to destroy it.
unsafe impl<T: Send + Sync, S: MemoryStrategy + 'static> Send for Pool<T, S> {}
// SAFETY: as above; the pool's own state is behind atomics and locks.
unsafe impl<T: Send + Sync, S: MemoryStrategy + 'static> Sync for Pool<T, S> {}

impl<T> Pool<T> {
    const_fn! {
        /// An unbounded pool on the system allocator.
        pub const fn new() -> Self {
            PoolBuilder::new().build()
        }
    }

    /// Describes a pool that is bounded, or has segments of a certain size.
    pub const fn builder() -> PoolBuilder<T> {
        PoolBuilder::new()
    }
}

impl<T, S: MemoryStrategy + 'static> Pool<T, S> {
    const_fn! {
        /// An unbounded pool on this strategy.
        pub const fn new_in(strategy: S) -> Self {
            PoolBuilder::new().build_in(strategy)
        }
    }

    const_fn! {
        const fn with_options(options: Options, strategy: S) -> Self {
            Self {
                tag: AtomicU64::new(NO_POOL),
                shared: AtomicPtr::new(ptr::null_mut()),
                strategy: Mutex::new(Some(strategy)),
                options,
                closed: AtomicBool::new(false),
                payload: PhantomData,
            }
        }
    }

    /// A strong lease on the object that the handle names, if it is still alive.
    ///
    /// # Aborts
    ///
    /// If the payload has 16,777,216 strong leases already, as [`StrongLease::clone`].
    #[inline]
    pub fn lock(&self, handle: ControlBlockHandle<T>) -> Option<StrongLease<T>> {
        let slot = self.slot_of(handle)?;
        // SAFETY: the slot is one of this pool's, whose segments stay while it is borrowed.
        match unsafe { slot.word() }.join_generation(handle.generation()) {
            // SAFETY: the strong count that was just added is the new lease's; while it was above 0 the payload was
            // initialised.
            Ok(()) => Some(unsafe { StrongLease::from_slot(slot) }),
            Err(Missed::Gone(_)) => None,
            Err(Missed::Full) => process::abort(),
        }
    }

    /// A strong lease on the object that the handle names.
    ///
    /// # Errors
    ///
    /// Why there is none.
    #[inline]
    pub fn try_lock(&self, handle: ControlBlockHandle<T>) -> Result<StrongLease<T>, LockError> {
        let Some(slot) = self.slot_of(handle) else {
            return Err(self.why_no_slot(handle));
        };
        let generation = handle.generation();
        // SAFETY: the slot is one of this pool's, whose segments stay while it is borrowed.
        match unsafe { slot.word() }.join_generation(generation) {
            // SAFETY: the strong count that was just added is the new lease's; while it was above 0 the payload was
            // initialised.
            Ok(()) => Ok(unsafe { StrongLease::from_slot(slot) }),
            Err(Missed::Gone(seen)) if seen.has_issued(generation) => Err(LockError::Stale),
            Err(Missed::Gone(_)) => Err(LockError::Unknown),
            Err(Missed::Full) => Err(LockError::TooManyLeases { limit: MAX_STRONG }),
        }
    }

    /// Refuses every `acquire` that starts after this, and those that wait. Objects on lease stay, and can still be locked.
    ///
    /// ```
    /// use lease::{AcquireError, Pool};
    ///
    /// let pool = Pool::new();
    /// let lease = pool.acquire(1);
    /// pool.close();
    /// assert_eq!(pool.try_acquire(2).unwrap_err(), AcquireError::Closed);
    /// assert_eq!(*lease, 1);
    /// ```
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        // Under the lock under which the pool is opened: whoever has opened it is seen here, and whoever opens it later,
        // or finds it open because of that, sees it closed before waiting.
        let shared = {
            let _strategy = lock(&self.strategy);
            self.tag.store(NO_POOL, Ordering::Release);
            self.shared()
        };
        if let Some(shared) = shared {
            shared.wake_all();
        }
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Leases on all live objects, one after another; see [`Iter`].
    ///
    /// ```
    /// let pool = lease::Pool::new();
    /// let leases: Vec<_> = (1..=3).map(|n| pool.acquire(n)).collect();
    /// assert_eq!(pool.iter().map(|lease| *lease).sum::<i32>(), 6);
    /// # drop(leases);
    /// ```
    pub const fn iter(&self) -> Iter<'_, T, S> {
        Iter::new(self)
    }

    /// Closes the pool and gives all its memory back, or, if a slot is still in use, changes nothing.
    ///
    /// Handles from before stay stale for ever. Takes the pool for itself, so a `static` pool can only be
    /// [closed](Self::close). Visits every slot.
    ///
    /// # Errors
    ///
    /// Which slots are in use, or that there is no memory to list them.
    ///
    /// ```
    /// use lease::{Pool, ShutdownError};
    ///
    /// let mut pool = Pool::new();
    /// let lease = pool.acquire(1);
    /// let Err(ShutdownError::StillLeased { leases }) = pool.shutdown() else { panic!() };
    /// assert_eq!(leases[0].strong, 1);
    /// drop(lease);
    /// pool.shutdown()?;
    /// assert_eq!(pool.stats().bytes, 0);
    /// # Ok::<(), ShutdownError>(())
    /// ```
    pub fn shutdown(&mut self) -> Result<(), ShutdownError> {
        if let Some(shared) = self.shared() {
            // SAFETY: the pool value is borrowed mutably.
            unsafe { shared.drain() }?;
        }
        self.close();
        Ok(())
    }

    /// Gives segments without a used slot back to the strategy; says how many bytes.
    ///
    /// A pool of which nothing is on lease gives everything back. Otherwise it empties this thread's cache of free slots;
    /// what other threads have in theirs, at most 512 slots each, keeps its segments. Visits every slot, and sorts the list
    /// of free slots.
    pub fn shrink_to_fit(&mut self) -> usize {
        let Some(shared) = self.shared() else {
            return 0;
        };
        // SAFETY: the pool value is borrowed mutably.
        let bytes = unsafe { shared.shrink() };
        if !self.is_closed() {
            self.tag.store(shared.id(), Ordering::Relaxed);
        }
        bytes
    }

    /// The pool's figures. Visits every slot.
    pub fn stats(&self) -> PoolStats {
        let capacity = self.options.capacity;
        let Some(figures) = self.shared().map(Shared::figures) else {
            return PoolStats {
                capacity,
                ..PoolStats::default()
            };
        };
        PoolStats {
            live: figures.live,
            strong: figures.strong,
            slots: figures.slots,
            retired: figures.retired,
            segments: figures.segments,
            bytes: figures.bytes,
            capacity,
        }
    }

    #[inline]
    fn shared(&self) -> Option<&'static Shared> {
        let shared = NonNull::new(self.shared.load(Ordering::Acquire))?;
        // SAFETY: it was made from a `&'static Shared` in `open_first`.
        Some(unsafe { shared.as_ref() })
    }

    fn open(&self) -> Result<&'static Shared, AcquireError> {
        match self.shared() {
            Some(shared) => Ok(shared),
            None => self.open_first(),
        }
    }

    #[cold]
    fn open_first(&self) -> Result<&'static Shared, AcquireError> {
        let mut strategy = lock(&self.strategy);
        let Some(given) = strategy.take() else {
            return Ok(self
                .shared()
                .expect("whoever took the strategy has opened the pool"));
        };
        match Shared::open(self.options, SlotLayout::of::<T>(), given) {
            Ok(shared) => {
                self.shared
                    .store(ptr::from_ref(shared).cast_mut(), Ordering::Release);
                if !self.is_closed() {
                    self.tag.store(shared.id(), Ordering::Release);
                }
                Ok(shared)
            }
            Err((given, error)) => {
                *strategy = Some(given);
                Err(AcquireError::Memory(error))
            }
        }
    }

    /// The slot that a handle names, if this pool has it.
    #[inline]
    fn slot_of(&self, handle: ControlBlockHandle<T>) -> Option<SlotPtr> {
        let place = handle.place();
        let entry = pages::entry(place.page())?;
        let owner = entry.owner();
        // The tag is the identity, at hand; but a closed pool has none. Page 0, the null handle's, has no owner.
        if owner != self.tag.load(Ordering::Relaxed) && !self.has_identity(owner) {
            return None;
        }
        // SAFETY: the page is this pool's.
        let page = unsafe { entry.page() };
        // SAFETY: the page is this pool's, whose segments stay while it is borrowed, and all have slots of `T`.
        unsafe { Segment::slot_at::<T>(page, place.offset_in_page()) }
    }

    #[cold]
    fn has_identity(&self, owner: u64) -> bool {
        owner != 0 && self.shared().is_some_and(|shared| shared.id() == owner)
    }

    /// Why the pool has no slot for a handle.
    #[cold]
    fn why_no_slot(&self, handle: ControlBlockHandle<T>) -> LockError {
        if handle.is_null() {
            return LockError::Null;
        }
        let Some(entry) = pages::entry(handle.place().page()) else {
            return LockError::Unknown;
        };
        let owner = entry.owner();
        if self.has_identity(owner) {
            // One of ours, but no slot starts there.
            LockError::Unknown
        } else if entry.has_passed(handle.generation()) {
            LockError::Stale
        } else if owner == 0 {
            LockError::Unknown
        } else {
            LockError::Foreign
        }
    }
}

impl<'pool, T, S: MemoryStrategy + 'static> IntoIterator for &'pool Pool<T, S> {
    type Item = StrongLease<T>;
    type IntoIter = Iter<'pool, T, S>;

    fn into_iter(self) -> Iter<'pool, T, S> {
        self.iter()
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, S: MemoryStrategy + 'static> Drop for Pool<T, S> {
    /// Objects on lease stay; the pool's memory goes with the last of them.
    fn drop(&mut self) {
        if let Some(shared) = self.shared() {
            shared.orphan();
        }
    }
}

impl<T, S: MemoryStrategy + 'static> fmt::Debug for Pool<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Pool")
            .field("live", &stats.live)
            .field("strong", &stats.strong)
            .field("slots", &stats.slots)
            .field("capacity", &stats.capacity)
            .field("segments", &stats.segments)
            .field("bytes", &stats.bytes)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
