//! Models for loom: every ordering of a few threads on a pool of one to three slots. Run with `--cfg loom`.
//!
//! These are the real pool, leases and magazines; only the atomics, locks and thread-locals are loom's. The payload is a
//! loom cell, so that a use that is not ordered after the write, or before the end, is found.

use std::alloc::Layout;
use std::future::Future;
use std::ptr::NonNull;
use std::task::{Context, Waker};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread::{self as loom_thread, JoinHandle};

use super::magazine::end_thread;
use super::recycle::Recycling;
use super::store::Options;
use super::{AcquireError, ControlBlockHandle, Pool, ShutdownError, StrongLease, UniqueLease};
use crate::memory::strategy::{
    AllocError, FreeError, MemoryStrategy, Ownership, StrategyFault, StrategyId, StrategyStatus, System,
};
use crate::sync::global::{AtomicU64, Ordering};

/// What a model counts: blocks and payloads.
#[derive(Debug, Default)]
struct Books {
    blocks: AtomicU64,
    payloads: AtomicU64,
}

impl Books {
    fn assert_empty(&self) {
        assert_eq!(self.payloads.load(Ordering::SeqCst), 0, "payloads are left");
        assert_eq!(self.blocks.load(Ordering::SeqCst), 0, "segments are left");
    }
}

#[derive(Clone, Debug)]
struct Counting(&'static Books);

// SAFETY: blocks are the system allocator's; counting them changes nothing about them.
unsafe impl MemoryStrategy for Counting {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.0.blocks.fetch_add(1, Ordering::SeqCst);
        System.allocate(layout)
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        self.0.blocks.fetch_sub(1, Ordering::SeqCst);
        // SAFETY: the caller's duties are the same.
        unsafe { System.deallocate(ptr, layout) }
    }

    unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
        // SAFETY: the caller's duties are the same.
        unsafe { self.deallocate(ptr, layout) };
        Ok(())
    }

    fn owns(&self, _ptr: NonNull<u8>) -> Ownership {
        Ownership::Unknown
    }

    fn status(&self) -> StrategyStatus {
        StrategyStatus::ACTIVE
    }

    fn validate(&self) -> Result<(), StrategyFault> {
        Ok(())
    }

    fn identity(&self) -> StrategyId {
        StrategyId::SYSTEM
    }
}

/// A payload whose every use loom checks.
struct Payload {
    value: UnsafeCell<usize>,
    books: &'static Books,
}

// SAFETY: loom checks the accesses.
unsafe impl Sync for Payload {}

impl Payload {
    fn new(books: &'static Books, value: usize) -> Self {
        books.payloads.fetch_add(1, Ordering::SeqCst);
        Self {
            value: UnsafeCell::new(value),
            books: books,
        }
    }

    fn value(&self) -> usize {
        self.value.with(|value| {
            // SAFETY: loom checks the access.
            unsafe { *value }
        })
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.value.with_mut(|value| {
            // SAFETY: loom checks the access.
            unsafe { *value = usize::MAX }
        });
        self.books.payloads.fetch_sub(1, Ordering::SeqCst);
    }
}

type ModelPool = Pool<Payload, Counting>;

/// A pool that is open already: its first use is not part of the models.
fn pool(books: &'static Books, capacity: usize, magazine: usize) -> ModelPool {
    let options = Options {
        capacity: Some(capacity),
        magazine,
        shelf: 0,
        class: Some(0),
        recycling: None,
    };
    open(books, options)
}

/// A pool with shelves of one slot each.
fn pool_with_shelves(books: &'static Books, capacity: usize) -> ModelPool {
    let options = Options {
        capacity: Some(capacity),
        magazine: 0,
        shelf: 1,
        class: Some(0),
        recycling: None,
    };
    open(books, options)
}

/// A pool of one slot that keeps its payloads.
fn recycling_pool(books: &'static Books) -> ModelPool {
    let options = Options {
        capacity: Some(1),
        magazine: 0,
        shelf: 0,
        class: Some(0),
        recycling: Some(Recycling::of(|payload: &mut Payload| {
            payload.value.with_mut(|value| {
                // SAFETY: loom checks the access.
                unsafe { *value = 0 }
            });
        })),
    };
    open(books, options)
}

fn open(books: &'static Books, options: Options) -> ModelPool {
    let pool = ModelPool::with_options(options, Counting(books));
    pool.open().expect("memory for a model");
    pool
}

/// Runs a model on fresh books and checks that it leaves nothing behind.
fn model(run: impl Fn(&'static Books) + Send + Sync + 'static) {
    loom::model(move || {
        let books: &'static Books = Box::leak(Box::default());
        run(books);
        end_thread();
        books.assert_empty();
    });
}

mod thread {
    use super::{JoinHandle, end_thread, loom_thread};

    /// A thread whose end, as the pool sees it, is over when it is joined.
    pub(super) fn spawn<R: 'static>(run: impl FnOnce() -> R + 'static) -> JoinHandle<R> {
        loom_thread::spawn(move || {
            let result = run();
            end_thread();
            result
        })
    }
}

#[test]
fn loom_last_strong_against_weak_lock_against_lookup() {
    model(|books| {
        let pool = Arc::new(pool(books, 1, 0));
        let strong = pool.acquire(Payload::new(books, 7));
        let weak = StrongLease::downgrade(&strong);
        let handle = StrongLease::handle(&strong);
        let locker = thread::spawn(move || {
            if let Some(lease) = weak.lock() {
                assert_eq!(lease.value(), 7);
            }
        });
        let looker = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                if let Some(lease) = pool.lock(handle) {
                    assert_eq!(lease.value(), 7);
                }
            })
        };
        drop(strong);
        locker.join().expect("no panic");
        looker.join().expect("no panic");
        assert!(pool.lock(handle).is_none());
        assert_eq!(pool.stats().live, 0);
        drop(pool);
    });
}

#[test]
fn loom_last_strong_against_last_weak_returns_the_slot_once() {
    model(|books| {
        let pool = pool(books, 1, 0);
        let strong = pool.acquire(Payload::new(books, 7));
        let weak = StrongLease::downgrade(&strong);
        let other = weak.clone();
        let one = thread::spawn(move || drop(weak));
        let two = thread::spawn(move || drop(other));
        drop(strong);
        one.join().expect("no panic");
        two.join().expect("no panic");
        let again = pool
            .try_acquire(Payload::new(books, 8))
            .expect("the slot went back");
        assert!(pool.try_acquire(Payload::new(books, 9)).is_err(), "and only once");
        drop(again);
    });
}

#[test]
fn loom_two_first_weak_leases_at_once() {
    model(|books| {
        let pool = pool(books, 1, 0);
        let strong = pool.acquire(Payload::new(books, 7));
        let other = strong.clone();
        let first = thread::spawn(move || drop(StrongLease::downgrade(&other)));
        let weak = StrongLease::downgrade(&strong);
        assert_eq!(weak.lock().expect("alive").value(), 7);
        first.join().expect("no panic");
        assert_eq!(StrongLease::weak_count(&strong), 1);
        drop(strong);
        assert!(weak.release());
    });
}

#[test]
fn loom_a_stale_handle_never_meets_the_next_payload() {
    model(|books| {
        let pool = Arc::new(pool(books, 1, 0));
        let strong = pool.acquire(Payload::new(books, 1));
        let handle = StrongLease::handle(&strong);
        let looker = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.lock(handle).map(|lease| lease.value()))
        };
        let next = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.try_acquire(Payload::new(books, 2)).ok())
        };
        drop(strong);
        assert!(matches!(looker.join().expect("no panic"), None | Some(1)));
        drop(next.join().expect("no panic"));
        drop(pool);
    });
}

/// Looks up the handle that the next payload of a one-slot pool will have, while `enter` brings that payload in.
fn lookup_meets_a_new_payload(books: &'static Books, enter: impl FnOnce(&ModelPool) -> StrongLease<Payload>) {
    let pool = Arc::new(pool(books, 1, 0));
    let before = StrongLease::handle(&pool.acquire(Payload::new(books, 1)));
    let handle = ControlBlockHandle::from_bits(before.to_bits() + (1 << 32));
    let looker = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || {
            if let Some(lease) = pool.lock(handle) {
                assert_eq!(lease.value(), 2);
            }
        })
    };
    let strong = enter(&pool);
    assert_eq!(StrongLease::handle(&strong), handle);
    drop(strong);
    looker.join().expect("no panic");
    drop(pool);
}

#[test]
fn loom_an_acquired_payload_is_whole_for_a_lookup() {
    model(|books| lookup_meets_a_new_payload(books, |pool| pool.acquire(Payload::new(books, 2))));
}

#[test]
fn loom_a_shared_unique_payload_is_whole_for_a_lookup() {
    model(|books| {
        lookup_meets_a_new_payload(books, |pool| {
            UniqueLease::share(pool.acquire_unique(Payload::new(books, 2)))
        });
    });
}

#[test]
fn loom_pool_drop_against_last_releases() {
    model(|books| {
        let pool = pool(books, 3, 0);
        let strong = pool.acquire(Payload::new(books, 1));
        let unique = pool.acquire_unique(Payload::new(books, 2));
        let one = thread::spawn(move || drop(strong));
        let two = thread::spawn(move || drop(unique));
        drop(pool);
        one.join().expect("no panic");
        two.join().expect("no panic");
    });
}

#[test]
fn loom_pool_drop_against_releases_into_magazines() {
    model(|books| {
        let pool = pool(books, 3, 2);
        let strong = pool.acquire(Payload::new(books, 1));
        let unique = pool.acquire_unique(Payload::new(books, 2));
        let worker = thread::spawn(move || {
            drop(strong);
            drop(unique);
        });
        drop(pool);
        worker.join().expect("no panic");
    });
}

/// Payloads without a destructor are released without a second look at the word.
#[test]
fn loom_pool_drop_against_releases_of_plain_payloads() {
    model(|books| {
        let options = Options {
            capacity: Some(3),
            magazine: 2,
            shelf: 0,
            class: Some(0),
            recycling: None,
        };
        let pool = Pool::with_options(options, Counting(books));
        let strong = pool.acquire(1_u64);
        let unique = pool.acquire_unique(2_u64);
        let worker = thread::spawn(move || {
            drop(strong);
            drop(unique);
        });
        drop(pool);
        worker.join().expect("no panic");
    });
}

#[test]
fn loom_pool_drop_against_a_last_weak_lease() {
    model(|books| {
        let pool = pool(books, 2, 2);
        let strong = pool.acquire(Payload::new(books, 1));
        let weak = StrongLease::downgrade(&strong);
        let one = thread::spawn(move || drop(strong));
        let two = thread::spawn(move || drop(weak));
        drop(pool);
        one.join().expect("no panic");
        two.join().expect("no panic");
    });
}

#[test]
fn loom_magazines_overflow_and_hand_over() {
    model(|books| {
        let pool = Arc::new(pool(books, 3, 1));
        let leases: Vec<_> = (0..3).map(|n| pool.acquire(Payload::new(books, n))).collect();
        let releaser = thread::spawn(move || drop(leases));
        let taken = pool.try_acquire(Payload::new(books, 7)).ok();
        assert!(taken.as_ref().is_none_or(|lease| lease.value() == 7));
        releaser.join().expect("no panic");
        drop(taken);
        // The other thread's end has given its magazine back: nothing is lost, nothing is there twice.
        let all: Vec<_> = (0..3).map(|n| pool.acquire(Payload::new(books, n))).collect();
        assert!(pool.try_acquire(Payload::new(books, 3)).is_err());
        drop(all);
        drop(pool);
    });
}

#[test]
fn loom_a_release_reaches_the_thread_that_waits() {
    model(|books| {
        let pool = Arc::new(pool(books, 1, 0));
        let lease = pool.acquire(Payload::new(books, 1));
        let waiter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let lease = pool.acquire_blocking(Payload::new(books, 2)).expect("not closed");
                assert_eq!(lease.value(), 2);
            })
        };
        drop(lease);
        waiter.join().expect("no panic");
        drop(pool);
    });
}

#[test]
fn loom_a_release_leaves_the_shelf_alone_for_the_thread_that_waits() {
    model(|books| {
        let pool = Arc::new(pool_with_shelves(books, 1));
        let lease = pool.acquire(Payload::new(books, 1));
        let waiter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let lease = pool.acquire_blocking(Payload::new(books, 2)).expect("not closed");
                assert_eq!(lease.value(), 2);
            })
        };
        drop(lease);
        waiter.join().expect("no panic");
        drop(pool);
    });
}

#[test]
fn loom_a_slot_on_another_threads_shelf_is_found() {
    model(|books| {
        let pool = Arc::new(pool_with_shelves(books, 2));
        let leases = [1, 2].map(|n| pool.acquire(Payload::new(books, n)));
        let releaser = thread::spawn(move || drop(leases));
        let taken = pool.try_acquire(Payload::new(books, 7)).ok();
        assert!(taken.as_ref().is_none_or(|lease| lease.value() == 7));
        releaser.join().expect("no panic");
        drop(taken);
        // Wherever they were released, all are to be had, and none is there twice.
        let all = [1, 2].map(|n| pool.acquire(Payload::new(books, n)));
        assert!(pool.try_acquire(Payload::new(books, 3)).is_err());
        drop(all);
        drop(pool);
    });
}

#[test]
fn loom_pool_drop_against_releases_onto_shelves() {
    model(|books| {
        let pool = pool_with_shelves(books, 2);
        let strong = pool.acquire(Payload::new(books, 1));
        let unique = pool.acquire_unique(Payload::new(books, 2));
        let worker = thread::spawn(move || {
            drop(strong);
            drop(unique);
        });
        drop(pool);
        worker.join().expect("no panic");
    });
}

#[test]
fn loom_shrinking_against_a_last_release() {
    model(|books| {
        let mut pool = pool(books, 2, 2);
        let lease = pool.acquire(Payload::new(books, 1));
        let handle = StrongLease::handle(&lease);
        let releaser = thread::spawn(move || drop(lease));
        pool.shrink_to_fit();
        releaser.join().expect("no panic");
        assert!(pool.lock(handle).is_none());
        let all = [1, 2].map(|n| pool.acquire(Payload::new(books, n)));
        assert!(pool.try_acquire(Payload::new(books, 3)).is_err());
        drop(all);
        drop(pool);
    });
}

#[test]
fn loom_a_waiter_that_gives_up_passes_its_slot_on() {
    model(|books| {
        let pool = Arc::new(pool(books, 1, 0));
        let lease = pool.acquire(Payload::new(books, 1));
        let quitter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let mut waiting = Box::pin(pool.acquire_async(Payload::new(books, 2)));
                let mut context = Context::from_waker(Waker::noop());
                drop(waiting.as_mut().poll(&mut context));
            })
        };
        drop(lease);
        quitter.join().expect("no panic");
        drop(
            pool.try_acquire(Payload::new(books, 3))
                .expect("nobody has the slot"),
        );
        drop(pool);
    });
}

#[test]
fn loom_close_reaches_the_thread_that_waits() {
    model(|books| {
        let pool = Arc::new(pool(books, 1, 0));
        let lease = pool.acquire(Payload::new(books, 1));
        let waiter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                assert_eq!(
                    pool.acquire_blocking(Payload::new(books, 2)).err(),
                    Some(AcquireError::Closed)
                );
            })
        };
        pool.close();
        assert!(pool.try_acquire(Payload::new(books, 3)).is_err());
        waiter.join().expect("no panic");
        drop(lease);
        drop(pool);
    });
}

/// A pool that nobody has used is opened, closed and waited for at once.
#[test]
fn loom_close_reaches_those_who_wait_in_a_pool_that_was_just_opened() {
    model(|books| {
        let options = Options {
            capacity: Some(1),
            magazine: 0,
            shelf: 0,
            class: Some(0),
            recycling: None,
        };
        let pool = Arc::new(ModelPool::with_options(options, Counting(books)));
        let closer = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.close())
        };
        let waiter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || drop(pool.acquire_blocking(Payload::new(books, 2))))
        };
        // Held until the waiter is done, so that nothing but the end can wake it.
        let held = pool.try_acquire(Payload::new(books, 1));
        waiter.join().expect("no panic");
        closer.join().expect("no panic");
        drop(held);
        drop(pool);
    });
}

#[test]
fn loom_shutdown_counts_weak_leases_that_are_going() {
    model(|books| {
        let mut pool = pool(books, 1, 0);
        let strong = pool.acquire(Payload::new(books, 1));
        let weak = StrongLease::downgrade(&strong);
        let releaser = thread::spawn(move || {
            drop(weak);
            drop(strong);
        });
        if let Err(ShutdownError::StillLeased { leases }) = pool.shutdown() {
            assert!(leases.iter().all(|live| live.weak <= 1));
        }
        releaser.join().expect("no panic");
        drop(pool);
    });
}

#[test]
fn loom_shutdown_against_a_last_release() {
    model(|books| {
        let mut pool = pool(books, 2, 2);
        let lease = pool.acquire(Payload::new(books, 1));
        let handle = StrongLease::handle(&lease);
        let releaser = thread::spawn(move || drop(lease));
        let ended = pool.shutdown().is_ok();
        assert_eq!(books.blocks.load(Ordering::SeqCst), u64::from(!ended));
        releaser.join().expect("no panic");
        assert!(pool.lock(handle).is_none());
        assert_eq!(pool.is_closed(), ended);
        drop(pool);
    });
}

#[test]
fn loom_a_recycled_payload_is_reset_for_the_next_and_ends_with_the_pool() {
    model(|books| {
        let pool = Arc::new(recycling_pool(books));
        let lease = pool.acquire(Payload::new(books, 1));
        let taker = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                if let Ok(lease) = pool.try_acquire_recycled(|| unreachable!("the only payload is kept")) {
                    assert_eq!(lease.value(), 0);
                }
            })
        };
        drop(lease);
        taker.join().expect("no panic");
        assert_eq!(books.payloads.load(Ordering::SeqCst), 1);
        drop(pool);
    });
}

#[test]
fn loom_pool_drop_against_a_payload_that_would_be_kept() {
    model(|books| {
        let pool = recycling_pool(books);
        let lease = pool.acquire(Payload::new(books, 1));
        let releaser = thread::spawn(move || drop(lease));
        drop(pool);
        releaser.join().expect("no panic");
    });
}

#[test]
fn loom_pool_drop_against_a_magazine_that_overflows() {
    model(|books| {
        let pool = pool(books, 2, 1);
        let leases = [1, 2].map(|n| pool.acquire(Payload::new(books, n)));
        let worker = thread::spawn(move || drop(leases));
        drop(pool);
        worker.join().expect("no panic");
    });
}

/// A payload that uses the memory of the only slot, under loom's eyes, when it is made and when it ends.
struct Tenant(Arc<UnsafeCell<()>>);

// SAFETY: loom checks the accesses.
unsafe impl Send for Tenant {}
// SAFETY: loom checks the accesses.
unsafe impl Sync for Tenant {}

impl Tenant {
    fn moves_into(slot: &Arc<UnsafeCell<()>>) -> Self {
        slot.with_mut(|_| ());
        Self(Arc::clone(slot))
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.0.with_mut(|_| ());
    }
}

#[test]
fn loom_a_slot_is_filled_again_only_after_its_last_payload_has_ended() {
    loom::model(|| {
        let options = Options {
            capacity: Some(1),
            magazine: 0,
            shelf: 0,
            class: Some(0),
            recycling: None,
        };
        let pool = Arc::new(Pool::with_options(options, System));
        let slot = Arc::new(UnsafeCell::new(()));
        let strong = pool.acquire_with(|| Tenant::moves_into(&slot));
        let weak = StrongLease::downgrade(&strong);
        let dropper = thread::spawn(move || drop(strong));
        let returner = thread::spawn(move || drop(weak));
        drop(pool.try_acquire_with(|| Tenant::moves_into(&slot)));
        dropper.join().expect("no panic");
        returner.join().expect("no panic");
        drop(pool);
        end_thread();
    });
}
