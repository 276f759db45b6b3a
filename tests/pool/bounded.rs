//! Pools with a capacity.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lease::strategy::AllocReason;
use lease::{AcquireError, Pool, PoolBuildError};

use crate::support::{Limited, Watched};

#[test]
fn a_full_pool_refuses_and_serves_again_after_a_release() {
    let pool = Pool::builder().capacity(3).build();
    let mut leases: Vec<_> = (0..3).map(|n| pool.acquire(n)).collect();
    assert_eq!(
        pool.try_acquire(3).unwrap_err(),
        AcquireError::Exhausted { capacity: 3 }
    );
    assert_eq!(
        pool.try_acquire_unique(3).unwrap_err(),
        AcquireError::Exhausted { capacity: 3 }
    );
    assert_eq!(pool.stats().live, 3);
    leases.pop();
    assert_eq!(*pool.acquire(4), 4);
}

#[test]
fn a_refused_constructor_is_not_called() {
    let pool = Pool::builder().capacity(1).build();
    let lease = pool.acquire(1);
    let refused = pool.try_acquire_with(|| panic!("called"));
    assert_eq!(refused.unwrap_err(), AcquireError::Exhausted { capacity: 1 });
    drop(lease);
}

#[test]
#[should_panic(expected = "all 1 slots of the pool are in use")]
fn the_plain_twin_panics_with_the_same_words() {
    let pool = Pool::builder().capacity(1).build();
    let _lease = pool.acquire(1);
    let _second = pool.acquire(2);
}

#[test]
fn every_slot_of_the_capacity_can_be_used_at_once() {
    for capacity in [1, 2, 63, 64, 1000, 5000] {
        let pool = Pool::builder().capacity(capacity).build();
        let leases: Vec<_> = (0..capacity).map(|n| pool.acquire(n)).collect();
        assert!(pool.try_acquire(0).is_err());
        assert_eq!(pool.stats().slots, capacity);
        drop(leases);
        assert_eq!(pool.stats().live, 0);
    }
}

#[test]
fn capacity_holds_between_threads() {
    let pool = Pool::builder().capacity(3).build();
    let (live, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..10_000 {
                    if let Ok(lease) = pool.try_acquire(n) {
                        peak.fetch_max(live.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        live.fetch_sub(1, Ordering::SeqCst);
                        drop(lease);
                    }
                }
            });
        }
    });
    assert!(peak.into_inner() <= 3);
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn a_pool_without_slots_is_refused() {
    let refused = Pool::<u8>::builder().capacity(0).try_build();
    assert_eq!(refused.unwrap_err(), PoolBuildError::ZeroCapacity);
}

#[test]
fn a_closed_pool_refuses_new_objects_and_keeps_old_ones() {
    let pool = Pool::new();
    let lease = pool.acquire(1);
    pool.close();
    assert!(pool.is_closed());
    assert_eq!(pool.try_acquire(2).unwrap_err(), AcquireError::Closed);
    assert!(pool.lock(lease::StrongLease::handle(&lease)).is_some());
    drop(lease);
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn a_pool_can_be_closed_before_its_first_use() {
    let pool = Pool::new();
    pool.close();
    assert_eq!(pool.try_acquire(1).unwrap_err(), AcquireError::Closed);
}

/// Large enough for its threads to have shelves.
const LARGE: usize = 4096;

#[test]
fn all_slots_of_a_large_pool_are_to_be_had_wherever_they_were_released() {
    let pool = Pool::builder().capacity(LARGE).build();
    for _ in 0..20 {
        let leases: Vec<_> = (0..LARGE).map(|n| pool.acquire(n)).collect();
        assert_eq!(
            pool.try_acquire(0).unwrap_err(),
            AcquireError::Exhausted { capacity: LARGE }
        );
        let mut leases = leases.into_iter();
        thread::scope(|scope| {
            for _ in 0..5 {
                let part: Vec<_> = leases.by_ref().take(LARGE / 5 + 1).collect();
                scope.spawn(move || drop(part));
            }
        });
    }
    assert_eq!(pool.stats().slots, LARGE);
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn who_waits_for_a_large_pool_gets_what_lies_on_a_shelf() {
    let pool = Pool::builder().capacity(LARGE).build();
    let mut leases: Vec<_> = (0..LARGE).map(|n| pool.acquire(n)).collect();
    thread::scope(|scope| {
        let last = leases.pop();
        // It has a shelf of its own, and leaves a slot there.
        scope.spawn(move || drop(last)).join().unwrap();
        assert_eq!(*pool.acquire_blocking(7).unwrap(), 7);
        let again = pool.acquire_blocking(8).unwrap();
        let waiter = scope.spawn(|| *pool.acquire_blocking(9).unwrap());
        drop(again);
        assert_eq!(waiter.join().unwrap(), 9);
    });
}

#[test]
fn a_large_pool_never_has_more_on_lease_than_its_capacity() {
    let pool = Pool::builder().capacity(LARGE).build();
    let held: Vec<_> = (0..LARGE - 3).map(|n| pool.acquire(n)).collect();
    let live = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for n in 0..2000 {
                    let lease = if n % 2 == 0 {
                        pool.acquire_blocking(n).ok()
                    } else {
                        pool.try_acquire(n).ok()
                    };
                    if let Some(lease) = lease {
                        assert!(live.fetch_add(1, Ordering::SeqCst) < 3);
                        assert_eq!(*lease, n);
                        live.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    drop(held);
    assert_eq!(pool.stats().live, 0);
    assert_eq!(
        (0..LARGE).map(|n| pool.acquire(n)).collect::<Vec<_>>().len(),
        LARGE
    );
}

#[test]
fn a_large_pool_ends_with_its_last_lease() {
    let limited = Limited::new(usize::MAX, AllocReason::OutOfMemory);
    let pool = Pool::builder()
        .capacity(LARGE)
        .build_in(Watched(Arc::clone(&limited)));
    let leases: Vec<_> = (0..LARGE).map(|n| pool.acquire(n)).collect();
    drop(pool);
    thread::scope(|scope| {
        let mut leases = leases.into_iter();
        for _ in 0..3 {
            let part: Vec<_> = leases.by_ref().take(LARGE / 3 + 1).collect();
            scope.spawn(move || drop(part));
        }
    });
    assert_eq!(limited.live.load(Ordering::SeqCst), 0);
}

#[test]
fn a_large_pool_shrinks_with_what_lies_on_shelves() {
    let mut pool = Pool::builder().capacity(LARGE).segment_bytes(16 << 10).build();
    let mut leases: Vec<_> = (0..LARGE).map(|n| pool.acquire([n; 8])).collect();
    let rest = leases.split_off(1);
    thread::scope(|scope| {
        scope.spawn(move || drop(rest)).join().unwrap();
    });
    pool.shrink_to_fit();
    assert_eq!(pool.stats().segments, 1);
    leases.clear();
    pool.shutdown().unwrap();
    assert_eq!(pool.stats().bytes, 0);
}
