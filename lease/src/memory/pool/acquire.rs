//! Bringing objects into a pool: by value, by constructor, recycled, cyclic, unique, at once or after waiting.

use std::future;
use std::mem;
use std::task::Poll;
#[cfg(not(loom))]
use std::time::{Duration, Instant};

use super::error::AcquireError;
use super::segment::SlotPtr;
use super::strong::StrongLease;
use super::unique::UniqueLease;
use super::wait::{Ticket, Wake};
use super::weak::{self, WeakLease};
use super::{Pool, magazine, release};
use crate::memory::strategy::MemoryStrategy;
use crate::sync::atomic::Ordering;
use crate::sync::thread;

impl<T, S: MemoryStrategy + 'static> Pool<T, S> {
    /// Moves `value` into the pool.
    ///
    /// # Panics
    ///
    /// If the pool is full, closed, or out of memory; [`try_acquire`](Self::try_acquire) says it as an error.
    #[inline]
    #[track_caller]
    pub fn acquire(&self, value: T) -> StrongLease<T> {
        expect(self.try_acquire(value))
    }

    /// Moves `value` into the pool.
    ///
    /// # Errors
    ///
    /// If the pool is full, closed, or out of memory; or if its memory strategy does not serve it:
    /// [`AcquireError::SegmentUnsupported`], [`AcquireError::PayloadTooLarge`], [`AcquireError::PagesExhausted`]. The
    /// value has been dropped; to keep it, make it in [`try_acquire_with`](Self::try_acquire_with).
    #[inline]
    pub fn try_acquire(&self, value: T) -> Result<StrongLease<T>, AcquireError> {
        self.try_acquire_with(|| value)
    }

    /// Makes a value in the pool. `make` may use the pool; if it panics, the slot goes back.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire), without calling `make`.
    #[inline]
    #[track_caller]
    pub fn acquire_with(&self, make: impl FnOnce() -> T) -> StrongLease<T> {
        expect(self.try_acquire_with(make))
    }

    /// Makes a value in the pool. `make` may use the pool; if it panics, the slot goes back.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire), without calling `make`.
    #[inline]
    pub fn try_acquire_with(&self, make: impl FnOnce() -> T) -> Result<StrongLease<T>, AcquireError> {
        let slot = self.take()?;
        self.fill(slot, make);
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
        Ok(self.move_in(slot, value))
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
        Ok(self.move_in(slot, value))
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
        Ok(self.move_in(slot, value))
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
        let slot = self.take_any()?;
        let unused = PutBack { pool: self, slot };
        // What can fail comes first: a payload that the slot keeps is destroyed only for another one.
        // SAFETY: the slot is ours, and the pool is borrowed.
        let count = unsafe { weak::count_before_payload::<T>(slot) }?;
        self.vacate(slot);
        // SAFETY: the slot is ours and free; its implicit weak count is given up by the guard, or kept by the lease.
        let weak = unsafe { weak::before_payload::<T>(slot, count) };
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

    /// An object that was recycled, or, if there is none, a new one; see [`PoolBuilder::recycle`](super::PoolBuilder::recycle).
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_recycled(&self, make: impl FnOnce() -> T) -> StrongLease<T> {
        expect(self.try_acquire_recycled(make))
    }

    /// An object that was recycled, or, if there is none, a new one; see [`PoolBuilder::recycle`](super::PoolBuilder::recycle).
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire), without calling `make`.
    pub fn try_acquire_recycled(&self, make: impl FnOnce() -> T) -> Result<StrongLease<T>, AcquireError> {
        let slot = self.take_filled(make)?;
        // SAFETY: the pool exists, so its segments do.
        unsafe { slot.word() }.publish_filled();
        // SAFETY: the slot holds a payload, and the published strong count is this lease's.
        Ok(unsafe { StrongLease::from_slot(slot) })
    }

    /// An object that was recycled, or, if there is none, a new one, for sole use: a buffer to be written, for instance.
    ///
    /// ```
    /// use lease::{Pool, UniqueLease};
    ///
    /// let pool = Pool::builder().recycle(Vec::clear).build();
    /// for request in ["first", "second"] {
    ///     let mut buffer = pool.acquire_recycled_unique(|| Vec::with_capacity(1000));
    ///     buffer.extend_from_slice(request.as_bytes());
    ///     let answer = UniqueLease::share(buffer);
    ///     assert_eq!(*answer, request.as_bytes());
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_recycled_unique(&self, make: impl FnOnce() -> T) -> UniqueLease<T> {
        expect(self.try_acquire_recycled_unique(make))
    }

    /// An object that was recycled, or, if there is none, a new one, for sole use.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire), without calling `make`.
    pub fn try_acquire_recycled_unique(
        &self,
        make: impl FnOnce() -> T,
    ) -> Result<UniqueLease<T>, AcquireError> {
        let slot = self.take_filled(make)?;
        // SAFETY: the pool exists, so its segments do.
        unsafe { slot.word() }.reserve_filled();
        // SAFETY: the slot holds a payload, is reserved, and ours.
        Ok(unsafe { UniqueLease::from_slot(slot) })
    }

    /// Moves `value` into the pool for sole use.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    #[track_caller]
    pub fn acquire_unique(&self, value: T) -> UniqueLease<T> {
        expect(self.try_acquire_unique(value))
    }

    /// Moves `value` into the pool for sole use.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_unique(&self, value: T) -> Result<UniqueLease<T>, AcquireError> {
        let slot = self.take()?;
        self.fill(slot, || value);
        // SAFETY: the pool exists, so its segments do.
        unsafe { slot.word() }.reserve();
        // SAFETY: the slot holds a payload, is reserved, and ours.
        Ok(unsafe { UniqueLease::from_slot(slot) })
    }

    /// A free slot, owned by the caller, without a payload.
    #[inline]
    fn take(&self) -> Result<SlotPtr, AcquireError> {
        // `Relaxed`: a thread whose magazine has this tag has met the pool before.
        match magazine::pop(self.tag.load(Ordering::Relaxed)) {
            Some(slot) => Ok(slot),
            None => self.take_slowly(),
        }
    }

    #[cold]
    #[inline(never)]
    fn take_slowly(&self) -> Result<SlotPtr, AcquireError> {
        let slot = self.take_any()?;
        let unused = PutBack { pool: self, slot };
        self.vacate(slot);
        mem::forget(unused);
        Ok(slot)
    }

    /// A free slot, owned by the caller, with a payload: one that was kept, or else a new one.
    fn take_filled(&self, make: impl FnOnce() -> T) -> Result<SlotPtr, AcquireError> {
        // `Relaxed`, as in `take`.
        let slot = match magazine::pop(magazine::keeping(self.tag.load(Ordering::Relaxed))) {
            Some(slot) => slot,
            None => self.take_kept_slowly()?,
        };
        // SAFETY: the pool exists, so its segments do.
        if !unsafe { slot.word() }.read().is_kept() {
            self.fill(slot, make);
        }
        Ok(slot)
    }

    /// A free slot, owned by the caller, rather one that keeps a payload.
    #[cold]
    #[inline(never)]
    fn take_kept_slowly(&self) -> Result<SlotPtr, AcquireError> {
        if self.options.recycling.is_some()
            && !self.is_closed()
            && let Some(shared) = self.shared()
            && let Some(slot) = magazine::take_kept(shared)
        {
            return Ok(slot);
        }
        self.take_any()
    }

    /// A free slot, owned by the caller, which may keep a payload.
    fn take_any(&self) -> Result<SlotPtr, AcquireError> {
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

    /// The first lease on a value that is moved into a slot of the caller's, which may keep a payload.
    fn move_in(&self, slot: SlotPtr, value: T) -> StrongLease<T> {
        self.fill(slot, || {
            self.vacate(slot);
            value
        });
        // SAFETY: the slot holds a payload now.
        unsafe { Self::publish(slot) }
    }

    /// Makes the payload of a slot that the caller owns, which has none by the time it is made.
    #[inline]
    fn fill(&self, slot: SlotPtr, make: impl FnOnce() -> T) {
        let unused = PutBack { pool: self, slot };
        let value = make();
        // SAFETY: the slot is ours and has room for a `T`.
        unsafe { slot.payload::<T>().write(value) };
        mem::forget(unused);
    }

    /// The first lease on a payload.
    ///
    /// # Safety
    ///
    /// The caller owns the slot, which holds a payload.
    #[inline]
    unsafe fn publish(slot: SlotPtr) -> StrongLease<T> {
        // SAFETY: the pool exists, so its segments do.
        unsafe { slot.word() }.publish();
        // SAFETY: the slot holds a payload, and the published strong count is this lease's.
        unsafe { StrongLease::from_slot(slot) }
    }
}

#[inline]
#[track_caller]
fn expect<L>(result: Result<L, AcquireError>) -> L {
    match result {
        Ok(lease) => lease,
        Err(error) => refuse(&error),
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn refuse(error: &AcquireError) -> ! {
    panic!("{error}")
}

/// Puts a slot back that turned out not to be needed.
struct PutBack<'pool, T, S: MemoryStrategy + 'static> {
    pool: &'pool Pool<T, S>,
    slot: SlotPtr,
}

impl<T, S: MemoryStrategy + 'static> Drop for PutBack<'_, T, S> {
    #[cold]
    fn drop(&mut self) {
        let shared = self.pool.shared().expect("a pool with slots is open");
        shared.put_back(self.slot);
    }
}
