//! Pools with a capacity.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use lease::{AcquireError, Pool, PoolBuildError};

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
