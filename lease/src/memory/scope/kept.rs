//! What a scope has to end: values with destructors, closures, and leases of the other rooms.

use super::{Scope, ScopeError, or_panic};
use crate::memory::owner::{BorrowedLease, LeaseOwner};
use crate::memory::pool::Pool;
use crate::memory::strategy::MemoryStrategy;

impl<'s, 'env> Scope<'s, 'env> {
    /// A value with its destructor, which runs when the block ends, after those of later ones.
    ///
    /// Only `Send + 'env`: the destructor runs wherever the future around the block was last polled, and cannot see
    /// memory of the scope.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let shared = Arc::new(String::from("font"));
    /// {
    ///     # let mut scope = lease::__private::Storage::new();
    ///     # let scope = lease::__private::handle(&mut scope);
    ///     let kept = scope.keep(Arc::clone(&shared));
    ///     assert_eq!((kept.len(), Arc::strong_count(&shared)), (4, 2));
    /// }
    /// assert_eq!(Arc::strong_count(&shared), 1);
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`try_keep`](Self::try_keep) returns an error.
    #[track_caller]
    pub fn keep<T: Send + 'env>(&self, value: T) -> &'s mut T {
        or_panic(self.try_keep(value))
    }

    /// As [`keep`](Self::keep), with an error when there is no memory.
    ///
    /// # Errors
    ///
    /// [`ScopeError::Alloc`] or [`ScopeError::Guards`]; the scope is as it was, and `value` is dropped.
    pub fn try_keep<T: Send + 'env>(&self, value: T) -> Result<&'s mut T, ScopeError> {
        self.reserve_guard()?;
        let (place, value) = self.place(value)?;
        // SAFETY: `place` holds the live value, nobody else drops it, and its chunk stays until the guards have ended;
        // the reference given out ends with `'s`, before the storage does.
        unsafe { self.storage.guards.borrow_mut().drop_later(place) };
        Ok(value)
    }

    /// A closure to call when the block ends, after those of later ones.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// let rendered = AtomicU32::new(0);
    /// {
    ///     # let mut scope = lease::__private::Storage::new();
    ///     # let scope = lease::__private::handle(&mut scope);
    ///     scope.defer(|| { rendered.fetch_add(1, Ordering::Relaxed); });
    ///     assert_eq!(rendered.load(Ordering::Relaxed), 0);
    /// }
    /// assert_eq!(rendered.load(Ordering::Relaxed), 1);
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`try_defer`](Self::try_defer) returns an error.
    #[track_caller]
    pub fn defer<F: FnOnce() + Send + 'env>(&self, call: F) {
        or_panic(self.try_defer(call));
    }

    /// As [`defer`](Self::defer), with an error when there is no memory.
    ///
    /// # Errors
    ///
    /// [`ScopeError::Alloc`] or [`ScopeError::Guards`]; the scope is as it was, and `call` is dropped without a call.
    pub fn try_defer<F: FnOnce() + Send + 'env>(&self, call: F) -> Result<(), ScopeError> {
        self.reserve_guard()?;
        let (place, _) = self.place(call)?;
        // SAFETY: `place` holds the live closure, nobody else has a way to it, and its chunk stays until the guards
        // have ended.
        unsafe { self.storage.guards.borrow_mut().call_later(place) };
        Ok(())
    }

    /// A value in a slot of a pool, until the block ends; then the slot goes back.
    ///
    /// For the sole user of the object. To share it, keep a strong lease instead: `scope.keep(pool.acquire(value))`.
    ///
    /// ```
    /// use lease::Pool;
    ///
    /// let pool = Pool::builder().capacity(1).build();
    /// {
    ///     # let mut scope = lease::__private::Storage::new();
    ///     # let scope = lease::__private::handle(&mut scope);
    ///     let buffer: &mut Vec<u8> = scope.lease(&pool, Vec::new());
    ///     buffer.extend(b"leased");
    ///     assert!(scope.try_lease(&pool, Vec::new()).is_err());
    /// }
    /// assert!(pool.try_acquire(Vec::new()).is_ok());
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`try_lease`](Self::try_lease) returns an error.
    #[track_caller]
    pub fn lease<T: Send + Sync + 'env, S: MemoryStrategy>(&self, pool: &Pool<T, S>, value: T) -> &'s mut T {
        or_panic(self.try_lease(pool, value))
    }

    /// As [`lease`](Self::lease), with an error when the pool has no slot or the scope no memory.
    ///
    /// # Errors
    ///
    /// [`ScopeError::Acquire`], [`ScopeError::Alloc`] or [`ScopeError::Guards`]; the scope and the pool are as they were,
    /// and `value` is dropped.
    pub fn try_lease<T: Send + Sync + 'env, S: MemoryStrategy>(
        &self,
        pool: &Pool<T, S>,
        value: T,
    ) -> Result<&'s mut T, ScopeError> {
        let lease = pool.try_acquire_unique(value)?;
        Ok(&mut **self.try_keep(lease)?)
    }

    /// Memory from outside the block, on record as borrowed until the block ends, in
    /// [`LeaseOwner::global`]. The record itself is infallible, as [`LeaseOwner::borrow`] is.
    ///
    /// ```
    /// use lease::LeaseOwner;
    ///
    /// let frame = vec![0_u8; 64];
    /// {
    ///     # let mut scope = lease::__private::Storage::new();
    ///     # let scope = lease::__private::handle(&mut scope);
    ///     scope.borrow(&frame[..]);
    ///     assert!(LeaseOwner::global().tenant(frame.as_ptr()).is_some());
    /// }
    /// assert!(LeaseOwner::global().tenant(frame.as_ptr()).is_none());
    /// ```
    ///
    /// # Panics
    ///
    /// Where [`try_borrow`](Self::try_borrow) returns an error.
    #[track_caller]
    pub fn borrow<T: ?Sized>(&self, memory: &'env T) -> &'s BorrowedLease<'static, 'env> {
        or_panic(self.try_borrow(memory))
    }

    /// As [`borrow`](Self::borrow), with an error when the scope has no memory for the guard.
    ///
    /// # Errors
    ///
    /// [`ScopeError::Alloc`] or [`ScopeError::Guards`]; the scope is as it was, and nothing is on record.
    #[track_caller]
    pub fn try_borrow<T: ?Sized>(
        &self,
        memory: &'env T,
    ) -> Result<&'s BorrowedLease<'static, 'env>, ScopeError> {
        let lent = LeaseOwner::global().borrow(memory);
        Ok(self.try_keep(lent)?)
    }

    fn reserve_guard(&self) -> Result<(), ScopeError> {
        let mut guards = self.storage.guards.borrow_mut();
        guards
            .reserve()
            .map_err(|_| ScopeError::Guards { len: guards.len() })
    }
}
