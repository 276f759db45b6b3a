//! Memory that runs out, at every point where the pool asks for some: each time a typed error, nothing changed, and the
//! pool goes on as soon as there is memory again. What cannot say an error needs none.
//!
//! One allocation is not the pool's and cannot be refused: on the first use of an unbounded pool a thread has std register
//! a destructor for it, and std ends the process if it has no memory for that. [`with_a_thread`] has it done before.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod allocator;

use std::cell::Cell;
use std::fmt::Debug;
use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use lease::strategy::{AllocError, AllocReason, Quota, System};
use lease::{AcquireError, Pool, PoolBuilder, ShutdownError, StrongLease, WeakLease};

use self::allocator::{Refusal, refusing};

/// An error that says there was no memory.
trait OutOfMemory: Debug {
    fn is_out_of_memory(&self) -> bool;
}

impl OutOfMemory for AllocError {
    fn is_out_of_memory(&self) -> bool {
        self.reason == AllocReason::OutOfMemory
    }
}

impl OutOfMemory for AcquireError {
    fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Memory(error) if error.is_out_of_memory())
    }
}

impl OutOfMemory for ShutdownError {
    fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Memory(error) if error.is_out_of_memory())
    }
}

/// What became of the points at which memory was refused.
#[derive(Debug, Default)]
struct Points {
    /// The call said so.
    failed: usize,
    /// The call did without.
    survived: usize,
}

/// Calls `work` on `fresh` state again and again, each time with one request for memory more granted, until it needs no
/// more. Where it fails, what `look` sees is as before, and a second call, with memory, succeeds.
fn at_every_point<S, R, E: OutOfMemory, V: Debug + PartialEq>(
    mut fresh: impl FnMut() -> S,
    mut work: impl FnMut(&mut S) -> Result<R, E>,
    look: impl Fn(&S) -> V,
) -> Points {
    let mut points = Points::default();
    for granted in 0..100 {
        for refusal in [Refusal::Once(granted), Refusal::From(granted)] {
            let mut state = fresh();
            let before = look(&state);
            match refusing(refusal, || work(&mut state)) {
                (Ok(_), 0) => return points,
                (Ok(_), _) => points.survived += 1,
                (Err(error), refused) => {
                    assert!(refused > 0, "{error:?} though there was memory");
                    assert!(error.is_out_of_memory(), "{error:?}");
                    assert_eq!(look(&state), before, "{refusal:?} changed something");
                    work(&mut state).expect("there is memory again");
                    points.failed += 1;
                }
            }
        }
    }
    panic!("so much memory is never needed");
}

/// Calls `work`, which cannot say an error, without memory.
fn without_memory<R>(work: impl FnOnce() -> R) -> R {
    refusing(Refusal::From(0), work).0
}

/// Runs a test on a thread that the pool knows already.
fn with_a_thread(test: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(64 << 20).spawn(|| {
        drop(Pool::new().acquire(0));
        test();
    });
    let thread = thread.expect("the system has a thread to spare");
    thread.join().expect("the test passes");
}

/// A pool of `T`s with one small segment, all of whose slots are in use.
fn full<T>(builder: PoolBuilder<T>, make: impl Fn() -> T) -> (Pool<T>, Vec<StrongLease<T>>) {
    let pool = builder.segment_bytes(16 << 10).build();
    let mut leases = vec![pool.acquire(make())];
    leases.extend((1..pool.stats().slots).map(|_| pool.acquire(make())));
    assert_eq!(pool.stats().segments, 1);
    (pool, leases)
}

#[test]
fn opening_a_pool_fails_at_every_point_or_not_at_all() {
    with_a_thread(|| {
        // Their leases are kept, and with them the pools, so that no pool finds what an earlier one has left behind.
        let mut leases = Vec::with_capacity(1000);
        for _ in 0..10 {
            let points = at_every_point(
                || Pool::new_in(Quota::count(100, System)),
                |pool| pool.try_acquire(7).map(|lease| leases.push(lease)),
                Pool::stats,
            );
            assert!(
                points.failed >= 2 * 5,
                "its parts, its lists and its segment: {points:?}"
            );
        }
        assert!(leases.iter().all(|lease| **lease == 7));
    });
}

#[test]
fn a_static_pool_opens_as_soon_as_there_is_memory() {
    static POOL: Pool<u64> = Pool::new();
    with_a_thread(|| {
        for granted in 0.. {
            match refusing(Refusal::From(granted), || POOL.try_acquire(7)) {
                (Ok(lease), _) => return assert_eq!(*lease, 7),
                (Err(error), _) => assert!(error.is_out_of_memory(), "{error:?}"),
            }
        }
    });
}

#[test]
fn growing_fails_at_every_point_or_not_at_all() {
    with_a_thread(|| {
        let points = at_every_point(
            || full(Pool::builder(), || 1_u64),
            |(pool, _)| pool.try_acquire(2),
            |(pool, _)| pool.stats(),
        );
        assert!(
            points.failed >= 2 * 2,
            "a segment and room for its slots: {points:?}"
        );
    });
}

#[test]
fn the_page_table_grows_or_the_acquire_fails() {
    with_a_thread(|| {
        // A chunk of the table covers sixteen segments of this size, so some of these attempts need a new one.
        let mut leases = Vec::with_capacity(1000);
        let mut most = 0;
        for n in 0..6_u8 {
            let points = at_every_point(
                || Pool::builder().segment_bytes(2 << 20).build(),
                |pool| {
                    pool.try_acquire_with(|| (n, MaybeUninit::<[u8; 1 << 20]>::uninit()))
                        .map(|lease| leases.push((n, lease)))
                },
                Pool::stats,
            );
            most = most.max(points.failed);
        }
        assert!(leases.len() > 32, "two chunks");
        assert!(leases.iter().all(|(n, lease)| lease.0 == *n));
        assert!(most > 0);
    });
}

#[test]
fn weak_counts_are_there_or_the_downgrade_fails() {
    with_a_thread(|| {
        let points = at_every_point(
            || {
                let pool = Pool::new();
                (pool.acquire(7), pool)
            },
            |(lease, _)| StrongLease::try_downgrade(lease),
            |(lease, pool)| (pool.stats(), StrongLease::weak_count(lease)),
        );
        assert_eq!(
            (points.failed, points.survived),
            (2, 0),
            "the counts of the segment"
        );

        let pool = Pool::new();
        let lease = pool.acquire(7);
        let first = StrongLease::downgrade(&lease);
        let second = without_memory(|| StrongLease::downgrade(&lease));
        assert_eq!(StrongLease::weak_count(&lease), 2);
        drop((first, second));
    });
}

/// A payload that knows itself.
struct Cyclic {
    me: WeakLease<Cyclic>,
}

#[test]
fn cyclic_construction_fails_before_it_starts() {
    with_a_thread(|| {
        let made = Cell::new(0);
        let points = at_every_point(
            || Pool::builder().segment_bytes(16 << 10).build(),
            |pool| {
                pool.try_acquire_cyclic(|me| {
                    made.set(made.get() + 1);
                    Cyclic { me: me.clone() }
                })
            },
            |pool| (pool.stats().live, made.get()),
        );
        assert!(points.failed >= 3 * 2, "segment, slots and counts: {points:?}");
        let pool = Pool::new();
        let lease = pool.acquire_cyclic(|me| Cyclic { me: me.clone() });
        assert!(StrongLease::ptr_eq(&lease.me.lock().expect("alive"), &lease));
    });
}

/// A payload that counts its ends.
struct Counts(&'static AtomicUsize);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_kept_payload_survives_an_acquire_that_fails() {
    static ENDS: AtomicUsize = AtomicUsize::new(0);
    with_a_thread(|| {
        let points = at_every_point(
            || {
                let pool = Pool::builder().capacity(1).recycle(|_| ()).build();
                drop(pool.acquire(Counts(&ENDS)));
                pool
            },
            |pool| pool.try_acquire_cyclic(|_| Counts(&ENDS)),
            |pool| (pool.stats(), ENDS.load(Ordering::SeqCst)),
        );
        assert_eq!(points.failed, 2, "the counts of the segment");
    });
}

#[test]
fn recycled_and_unique_acquires_fail_at_every_point_or_not_at_all() {
    with_a_thread(|| {
        let fresh = || full(Pool::builder().recycle(Vec::clear), Vec::<u8>::new);
        let recycled = at_every_point(
            fresh,
            |(pool, _)| pool.try_acquire_recycled(Vec::new),
            |(pool, _)| pool.stats(),
        );
        let unique = at_every_point(
            fresh,
            |(pool, _)| pool.try_acquire_unique(Vec::new()),
            |(pool, _)| pool.stats(),
        );
        let both = at_every_point(
            fresh,
            |(pool, _)| pool.try_acquire_recycled_unique(Vec::new),
            |(pool, _)| pool.stats(),
        );
        for points in [recycled, unique, both] {
            assert!(
                points.failed >= 3 * 2,
                "a segment and room for slots of both kinds: {points:?}"
            );
        }

        let (pool, leases) = fresh();
        without_memory(|| drop(leases));
        assert!(without_memory(|| pool.try_acquire_recycled(|| panic!("they are kept"))).is_ok());
    });
}

#[test]
fn waiting_needs_a_place_in_the_queue_or_fails() {
    with_a_thread(|| {
        let points = at_every_point(
            || {
                let pool = Pool::builder().capacity(1).build();
                (pool.acquire(1), pool)
            },
            |(_, pool)| {
                let mut future = pin!(pool.acquire_async(2));
                match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Pending => Ok(()),
                    Poll::Ready(Ok(_)) => panic!("the slot is held"),
                    Poll::Ready(Err(error)) => Err(error),
                }
            },
            |(_, pool)| pool.stats(),
        );
        assert_eq!((points.failed, points.survived), (2, 0));
        let points = at_every_point(
            || {
                let pool = Pool::builder().capacity(1).build();
                (pool.acquire(1), pool)
            },
            |(_, pool)| match pool.acquire_timeout(2, Duration::ZERO) {
                Err(AcquireError::TimedOut { .. }) => Ok(()),
                Err(error) => Err(error),
                Ok(_) => panic!("the slot is held"),
            },
            |(_, pool)| pool.stats(),
        );
        assert_eq!((points.failed, points.survived), (2, 0));
    });
}

#[test]
fn a_hand_over_needs_no_memory() {
    with_a_thread(|| {
        let pool = Pool::builder().capacity(1).build();
        let held = pool.acquire(1);
        let mut context = Context::from_waker(Waker::noop());
        let mut future = pin!(pool.acquire_async(2));
        assert!(future.as_mut().poll(&mut context).is_pending());
        without_memory(|| {
            drop(held);
            assert!(matches!(future.as_mut().poll(&mut context), Poll::Ready(Ok(lease)) if *lease == 2));
        });
    });
}

#[test]
fn releasing_looking_up_and_visiting_need_no_memory() {
    with_a_thread(|| {
        let pool = Pool::new();
        let mut leases: Vec<_> = (0..5000).map(|n| pool.acquire(n)).collect();
        let weak: Vec<_> = leases.iter().map(StrongLease::downgrade).collect();
        let handle = StrongLease::handle(&leases[0]);
        without_memory(|| {
            assert_eq!(pool.iter().count(), 5000);
            assert_eq!(pool.stats().live, 5000);
            assert!(pool.lock(handle).is_some());
            assert!(weak[1].lock().is_some());
            leases.clear();
            for weak in weak {
                assert!(weak.release());
            }
        });
        assert_eq!(pool.stats().live, 0);
        let slots = pool.stats().slots;
        let again: Vec<_> = (0..5000).map(|n| pool.acquire(n)).collect();
        assert_eq!(pool.stats().slots, slots, "none was lost");
        drop(again);
    });
}

#[test]
fn ending_a_pool_and_its_last_leases_need_no_memory() {
    with_a_thread(|| {
        let pool = Pool::new();
        let leases: Vec<_> = (0..5000).map(|n| pool.acquire(n)).collect();
        without_memory(|| {
            pool.close();
            drop(pool);
            drop(leases);
        });
    });
}

#[test]
fn shrinking_needs_no_memory() {
    with_a_thread(|| {
        let mut pool = Pool::builder().segment_bytes(16 << 10).build();
        let mut leases: Vec<_> = (0..20_000_u64).map(|n| pool.acquire(n)).collect();
        let full = pool.stats();
        leases.truncate(1);
        let returned = without_memory(|| pool.shrink_to_fit());
        assert_eq!(pool.stats().bytes, full.bytes - returned);
        assert_eq!(pool.stats().segments, 1);
        assert_eq!(*leases[0], 0);
        leases.extend((1..20_000).map(|n| pool.acquire(n)));
        assert!(leases.iter().zip(0..).all(|(lease, n)| **lease == n));
    });
}

#[test]
fn a_shutdown_lists_what_lives_or_has_no_memory_for_the_list() {
    with_a_thread(|| {
        let points = at_every_point(
            || {
                let pool = Pool::new();
                let leases: Vec<_> = (0..1000).map(|n| pool.acquire(n)).collect();
                (pool, leases)
            },
            |(pool, leases)| match pool.shutdown() {
                Err(ShutdownError::StillLeased { leases: live }) => {
                    assert_eq!(live.len(), leases.len());
                    Ok(())
                }
                Err(error) => Err(error),
                Ok(()) => panic!("a thousand slots are in use"),
            },
            |(pool, _)| (pool.stats(), pool.is_closed()),
        );
        assert_eq!((points.failed, points.survived), (2, 0));

        let mut pool = Pool::new();
        drop((0..1000).map(|n| pool.acquire(n)).collect::<Vec<_>>());
        assert_eq!(without_memory(|| pool.shutdown()), Ok(()));
        assert_eq!(pool.stats().bytes, 0);
    });
}

#[test]
fn payloads_are_kept_without_memory_after_a_shrink_too() {
    with_a_thread(|| {
        let mut pool = Pool::builder().recycle(Vec::clear).build();
        let leases: Vec<_> = (0..100).map(|n| pool.acquire(vec![n])).collect();
        pool.shrink_to_fit();
        without_memory(|| drop(leases));
        assert!(without_memory(|| pool.try_acquire_recycled(|| panic!("they are kept"))).is_ok());
    });
}

#[test]
fn the_shelves_of_a_large_bounded_pool_do_without_memory() {
    with_a_thread(|| {
        let pool = Pool::builder().capacity(4096).build();
        let leases: Vec<_> = (0..4096).map(|n| pool.acquire(n)).collect();
        without_memory(|| drop(leases));
        assert_eq!(pool.stats().live, 0);
        let mut all = Vec::with_capacity(4096);
        without_memory(|| all.extend((0..4096).map(|n| pool.acquire(n))));
        let refused = pool.try_acquire(4096);
        assert_eq!(refused.unwrap_err(), AcquireError::Exhausted { capacity: 4096 });
        drop(all);
    });
}
