//! The control-block pool: objects on lease, with strong, weak and unique leases and handles that cannot lie.
//!
//! A [`Pool`] puts a payload and its control word together into one slot of a segment. From then on nothing goes through
//! the pool value any more: a lease is one pointer to the slot, and finds the word, the segment and the free lists from
//! there. One word decides everything about a slot; `control_word` has its states, and the other files compose them:
//!
//! - `segment`, `pages`: where slots live, and how a handle's number leads there;
//! - `shared`, `magazine`: what outlives the pool value, the store of free slots, and each thread's share of them;
//! - `recycle`: payloads that stay in their slots; `wait`: the queue of a bounded pool; `iter`: visiting what is on lease;
//! - `strong`, `weak`, `unique`, `handle`, `release`: the leases;
//! - `leased`: types that have a static pool of their own.

mod builder;
mod control_word;
mod error;
mod handle;
mod iter;
mod leased;
mod magazine;
#[cfg(all(test, loom))]
mod models;
mod pages;
mod recycle;
mod release;
mod segment;
mod shared;
mod stats;
mod strong;
mod unique;
mod wait;
mod weak;

use std::fmt;
use std::future;
use std::marker::PhantomData;
use std::mem;
use std::process;
use std::ptr::{self, NonNull};
use std::task::Poll;
#[cfg(not(loom))]
use std::time::{Duration, Instant};

pub use self::builder::PoolBuilder;
use self::control_word::Lookup;
pub use self::error::{AcquireError, CloneError, LiveSlot, LockError, PoolBuildError, ShutdownError};
pub use self::handle::ControlBlockHandle;
pub use self::iter::Iter;
pub use self::leased::{LeaseOutput, Leased};
use self::segment::{Segment, SlotLayout, SlotPtr};
use self::shared::{Options, Shared};
pub use self::stats::PoolStats;
pub use self::strong::StrongLease;
pub use self::unique::UniqueLease;
use self::wait::{Ticket, Wake};
pub use self::weak::WeakLease;
use crate::memory::strategy::{MemoryStrategy, System};
use crate::sync::{global, thread};

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
pub struct Pool<T, S: MemoryStrategy + 'static = System> {
    /// Null until first use; never changes after that.
    shared: global::AtomicPtr<Shared>,
    /// The strategy, until first use.
    strategy: global::Mutex<Option<S>>,
    options: Options,
    closed: global::AtomicBool,
    /// Invariant: a pool takes in and gives out payloads of exactly one type.
    payload: PhantomData<*mut T>,
}

// SAFETY: any thread with the pool can take part in any payload, by handle, and be the one to destroy it.
unsafe impl<T: Send + Sync, S: MemoryStrategy + 'static> Send for Pool<T, S> {}
// SAFETY: as above; the pool's own state is behind atomics and locks.
unsafe impl<T: Send + Sync, S: MemoryStrategy + 'static> Sync for Pool<T, S> {}

impl<T> Pool<T> {
    /// An unbounded pool on the system allocator.
    pub const fn new() -> Self {
        PoolBuilder::new().build()
    }

    /// Describes a pool that is bounded, or has segments of a certain size.
    pub const fn builder() -> PoolBuilder<T> {
        PoolBuilder::new()
    }
}

impl<T, S: MemoryStrategy + 'static> Pool<T, S> {
    /// An unbounded pool on this strategy.
    pub const fn new_in(strategy: S) -> Self {
        PoolBuilder::new().build_in(strategy)
    }

    const fn with_options(options: Options, strategy: S) -> Self {
        Self {
            shared: global::AtomicPtr::new(ptr::null_mut()),
            strategy: global::Mutex::new(Some(strategy)),
            options,
            closed: global::AtomicBool::new(false),
            payload: PhantomData,
        }
    }

    /// Moves `value` into the pool.
    ///
    /// # Panics
    ///
    /// If the pool is full, closed, or out of memory; [`try_acquire`](Self::try_acquire) says it as an error.
    #[track_caller]
    pub fn acquire(&self, value: T) -> StrongLease<T> {
        expect(self.try_acquire(value))
    }

    /// Moves `value` into the pool.
    ///
    /// # Errors
    ///
    /// If the pool is full, closed, or out of memory. The value has been dropped; to keep it, make it in
    /// [`try_acquire_with`](Self::try_acquire_with).
    pub fn try_acquire(&self, value: T) -> Result<StrongLease<T>, AcquireError> {
        self.try_acquire_with(|| value)
    }

    /// Makes a value in the pool. `make` may use the pool; if it panics, the slot goes back.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire), without calling `make`.
    #[track_caller]
    pub fn acquire_with(&self, make: impl FnOnce() -> T) -> StrongLease<T> {
        expect(self.try_acquire_with(make))
    }

    /// Makes a value in the pool. `make` may use the pool; if it panics, the slot goes back.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire), without calling `make`.
    pub fn try_acquire_with(&self, make: impl FnOnce() -> T) -> Result<StrongLease<T>, AcquireError> {
        let slot = self.fill(self.take()?, make);
        // SAFETY: the slot holds a payload now.
        Ok(unsafe { Self::publish(slot) })
    }

    /// Moves `value` into the pool, waiting until a slot is free. First come, first served.
    ///
    /// # Errors
    ///
    /// If the pool is closed, also while waiting, or out of memory.
    ///
    /// ```
    /// use std::thread;
    /// use lease::Pool;
    ///
    /// let pool = Pool::builder().capacity(1).build();
    /// let lease = pool.acquire(1);
    /// thread::scope(|scope| {
    ///     scope.spawn(|| assert_eq!(*pool.acquire_blocking(2).unwrap(), 2));
    ///     drop(lease);
    /// });
    /// ```
    pub fn acquire_blocking(&self, value: T) -> Result<StrongLease<T>, AcquireError> {
        let slot = self.wait(|| {
            thread::park();
            Ok(())
        })?;
        let slot = self.fill(slot, || value);
        // SAFETY: the slot holds a payload now.
        Ok(unsafe { Self::publish(slot) })
    }

    /// Moves `value` into the pool, waiting for a free slot for at most `timeout`. First come, first served.
    ///
    /// # Errors
    ///
    /// [`AcquireError::TimedOut`], or as [`acquire_blocking`](Self::acquire_blocking).
    ///
    /// ```
    /// use std::time::Duration;
    /// use lease::{AcquireError, Pool};
    ///
    /// let pool = Pool::builder().capacity(1).build();
    /// let _lease = pool.acquire(1);
    /// let timeout = Duration::from_millis(5);
    /// assert_eq!(pool.acquire_timeout(2, timeout).unwrap_err(), AcquireError::TimedOut { timeout });
    /// ```
    #[cfg(not(loom))]
    pub fn acquire_timeout(&self, value: T, timeout: Duration) -> Result<StrongLease<T>, AcquireError> {
        let start = Instant::now();
        let slot = self.wait(|| match timeout.checked_sub(start.elapsed()) {
            Some(left) if !left.is_zero() => {
                thread::park_timeout(left);
                Ok(())
            }
            _ => Err(AcquireError::TimedOut { timeout }),
        })?;
        let slot = self.fill(slot, || value);
        // SAFETY: the slot holds a payload now.
        Ok(unsafe { Self::publish(slot) })
    }

    /// Moves `value` into the pool, waiting until a slot is free. First come, first served, among threads and tasks.
    ///
    /// Needs no particular runtime. A future that is dropped while it waits passes its place on; put the runtime's own
    /// timeout around it to bound the wait.
    ///
    /// # Errors
    ///
    /// As [`acquire_blocking`](Self::acquire_blocking).
    pub async fn acquire_async(&self, value: T) -> Result<StrongLease<T>, AcquireError> {
        let slot = {
            let mut ticket = Ticket::new(self.open()?);
            future::poll_fn(|context| {
                match self.take_or_wait(&mut ticket, Wake::Task(context.waker().clone())) {
                    Ok(Some(slot)) => Poll::Ready(Ok(slot)),
                    Ok(None) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(error)),
                }
            })
            .await?
        };
        let slot = self.fill(slot, || value);
        // SAFETY: the slot holds a payload now.
        Ok(unsafe { Self::publish(slot) })
    }

    /// Makes a value that can hold weak leases on itself, as [`Arc::new_cyclic`](std::sync::Arc::new_cyclic).
    ///
    /// Until `make` returns, the weak lease it is given cannot be locked. If it panics, the slot goes back as soon as the
    /// weak leases it made are gone.
    ///
    /// ```
    /// use lease::{Pool, WeakLease};
    ///
    /// struct Gadget { me: WeakLease<Gadget>, id: u32 }
    ///
    /// let pool = Pool::new();
    /// let gadget = pool.acquire_cyclic(|me| Gadget { me: me.clone(), id: 7 });
    /// assert_eq!(gadget.me.lock().unwrap().id, 7);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_cyclic(&self, make: impl FnOnce(&WeakLease<T>) -> T) -> StrongLease<T> {
        expect(self.try_acquire_cyclic(make))
    }

    /// Makes a value that can hold weak leases on itself, as [`acquire_cyclic`](Self::acquire_cyclic).
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire), without calling `make`.
    pub fn try_acquire_cyclic(
        &self,
        make: impl FnOnce(&WeakLease<T>) -> T,
    ) -> Result<StrongLease<T>, AcquireError> {
        let shared = self.open()?;
        let slot = self.take()?;
        let unused = PutBack { shared, slot };
        self.vacate(slot);
        // SAFETY: the slot is ours and free; its implicit weak count is given up by the guard, or kept by the lease.
        let weak = unsafe { weak::before_payload::<T>(slot) }?;
        mem::forget(unused);
        let class = {
            // SAFETY: the pool exists, so its segments do.
            unsafe { slot.word() }.read().class()
        };
        let unmade = scopeguard::guard((), |()| {
            // SAFETY: the implicit weak count is this guard's to give up.
            unsafe { release::weak::<T>(slot, class) };
        });
        let value = make(&weak);
        // SAFETY: the slot is ours, without a payload yet, and has room for a `T`.
        unsafe { slot.payload::<T>().write(value) };
        scopeguard::ScopeGuard::into_inner(unmade);
        // SAFETY: the pool exists, so its segments do.
        unsafe { slot.word() }.share();
        // SAFETY: the payload is initialised, and the strong count is the new lease's.
        Ok(unsafe { StrongLease::from_slot(slot) })
    }

    /// An object that was recycled, or, if there is none, a new one; see [`PoolBuilder::recycle`].
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_recycled(&self, make: impl FnOnce() -> T) -> StrongLease<T> {
        expect(self.try_acquire_recycled(make))
    }

    /// An object that was recycled, or, if there is none, a new one; see [`PoolBuilder::recycle`].
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire), without calling `make`.
    pub fn try_acquire_recycled(&self, make: impl FnOnce() -> T) -> Result<StrongLease<T>, AcquireError> {
        if self.is_closed() {
            return Err(AcquireError::Closed);
        }
        let slot = match self.shared().and_then(Shared::take_kept) {
            Some(slot) => slot,
            None => self.take()?,
        };
        // SAFETY: the pool exists, so its segments do.
        let kept = unsafe { slot.word() }.read().is_kept();
        let slot = if kept { slot } else { self.fill(slot, make) };
        // SAFETY: the slot holds a payload.
        Ok(unsafe { Self::publish(slot) })
    }

    /// Moves `value` into the pool for sole use.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_unique(&self, value: T) -> UniqueLease<T> {
        expect(self.try_acquire_unique(value))
    }

    /// Moves `value` into the pool for sole use.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_unique(&self, value: T) -> Result<UniqueLease<T>, AcquireError> {
        let slot = self.fill(self.take()?, || value);
        // SAFETY: the pool exists, so its segments do.
        unsafe { slot.word() }.reserve();
        // SAFETY: the slot holds a payload, is reserved, and ours.
        Ok(unsafe { UniqueLease::from_slot(slot) })
    }

    /// A strong lease on the object that the handle names, if it is still alive.
    ///
    /// # Aborts
    ///
    /// If the payload has 16,777,216 strong leases already, as [`StrongLease::clone`].
    pub fn lock(&self, handle: ControlBlockHandle<T>) -> Option<StrongLease<T>> {
        self.try_lock(handle).ok()
    }

    /// A strong lease on the object that the handle names.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn try_lock(&self, handle: ControlBlockHandle<T>) -> Result<StrongLease<T>, LockError> {
        let slot = self.locate(handle)?;
        // SAFETY: the slot is one of this pool's, whose segments stay while it is borrowed.
        match unsafe { slot.word() }.join_generation(handle.generation()) {
            // SAFETY: the strong count that was just added is the new lease's; while it was above 0 the payload was
            // initialised.
            Lookup::Locked => Ok(unsafe { StrongLease::from_slot(slot) }),
            Lookup::Stale => Err(LockError::Stale),
            Lookup::NeverIssued => Err(LockError::Unknown),
            Lookup::Full => process::abort(),
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
        self.closed.store(true, global::Ordering::Release);
        if let Some(shared) = self.shared() {
            shared.wake_all();
        }
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(global::Ordering::Acquire)
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
    /// Which slots are in use.
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
            unsafe { shared.drain() }.map_err(|leases| ShutdownError::StillLeased { leases })?;
        }
        self.close();
        Ok(())
    }

    /// Gives segments without a used slot back to the strategy; says how many bytes.
    ///
    /// Empties this thread's cache of free slots first. What other threads have in theirs, at most 512 slots each, keeps
    /// its segments. Sorts the list of free slots.
    pub fn shrink_to_fit(&mut self) -> usize {
        // SAFETY: the pool value is borrowed mutably.
        self.shared().map_or(0, |shared| unsafe { shared.shrink() })
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

    fn shared(&self) -> Option<&'static Shared> {
        let shared = NonNull::new(self.shared.load(global::Ordering::Acquire))?;
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
        let mut strategy = global::lock(&self.strategy);
        let Some(given) = strategy.take() else {
            return Ok(self
                .shared()
                .expect("whoever took the strategy has opened the pool"));
        };
        match Shared::open(self.options, SlotLayout::of::<T>(), given) {
            Ok(shared) => {
                self.shared
                    .store(ptr::from_ref(shared).cast_mut(), global::Ordering::Release);
                Ok(shared)
            }
            Err((given, error)) => {
                *strategy = Some(given);
                Err(AcquireError::Memory(error))
            }
        }
    }

    /// A free slot, owned by the caller.
    fn take(&self) -> Result<SlotPtr, AcquireError> {
        if self.is_closed() {
            return Err(AcquireError::Closed);
        }
        // SAFETY: the pool value is borrowed.
        unsafe { self.open()?.take() }
    }

    /// A free slot, owned by the caller; or a place in the queue.
    fn take_or_wait(&self, ticket: &mut Ticket, wake: Wake) -> Result<Option<SlotPtr>, AcquireError> {
        // SAFETY: the pool value is borrowed.
        unsafe { self.open()?.take_or_wait(ticket, &self.closed, wake) }
    }

    /// A free slot, owned by the caller; `pause` until there is one.
    fn wait(&self, mut pause: impl FnMut() -> Result<(), AcquireError>) -> Result<SlotPtr, AcquireError> {
        let mut ticket = Ticket::new(self.open()?);
        loop {
            match self.take_or_wait(&mut ticket, Wake::this_thread())? {
                Some(slot) => return Ok(slot),
                None => pause()?,
            }
        }
    }

    /// Destroys the payload that a slot of the caller keeps, if it does.
    fn vacate(&self, slot: SlotPtr) {
        if let Some(recycling) = self.options.recycling
            // SAFETY: the pool exists, so its segments do.
            && unsafe { slot.word() }.read().is_kept()
        {
            // SAFETY: the slot is the caller's, and the pool keeps the type alive.
            unsafe { recycling.discard(slot) };
        }
    }

    /// Makes the payload of a slot that the caller owns.
    fn fill(&self, slot: SlotPtr, make: impl FnOnce() -> T) -> SlotPtr {
        let shared = self.shared().expect("a pool with slots is open");
        let unused = PutBack { shared, slot };
        self.vacate(slot);
        let value = make();
        // SAFETY: the slot is ours and has room for a `T`.
        unsafe { slot.payload::<T>().write(value) };
        mem::forget(unused);
        slot
    }

    /// The first lease on a payload.
    ///
    /// # Safety
    ///
    /// The caller owns the slot, which holds a payload.
    unsafe fn publish(slot: SlotPtr) -> StrongLease<T> {
        // SAFETY: the pool exists, so its segments do.
        unsafe { slot.word() }.publish();
        // SAFETY: the slot holds a payload, and the published strong count is this lease's.
        unsafe { StrongLease::from_slot(slot) }
    }

    /// The slot that a handle names, if this pool has it.
    fn locate(&self, handle: ControlBlockHandle<T>) -> Result<SlotPtr, LockError> {
        if handle.is_null() {
            return Err(LockError::Null);
        }
        let place = handle.place();
        let entry = pages::entry(place.page()).ok_or(LockError::Unknown)?;
        let owner = entry.owner();
        if owner == 0 || self.shared().is_none_or(|shared| shared.id() != owner) {
            return Err(if handle.generation() < entry.floor() {
                LockError::Stale
            } else if owner == 0 {
                LockError::Unknown
            } else {
                LockError::Foreign
            });
        }
        let segment = entry.segment().ok_or(LockError::Unknown)?;
        // SAFETY: the page is this pool's, whose segments stay while it is borrowed, and all have slots of `T`.
        unsafe { Segment::slot_at::<T>(segment, place) }.ok_or(LockError::Unknown)
    }
}

#[track_caller]
fn expect<L>(result: Result<L, AcquireError>) -> L {
    match result {
        Ok(lease) => lease,
        Err(error) => panic!("{error}"),
    }
}

/// Puts a slot back that turned out not to be needed.
struct PutBack {
    shared: &'static Shared,
    slot: SlotPtr,
}

impl Drop for PutBack {
    fn drop(&mut self) {
        self.shared.put_back(self.slot);
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
