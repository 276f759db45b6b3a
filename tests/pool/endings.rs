//! Pools that end before their leases.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use lease::strategy::AllocReason;
use lease::{Pool, StrongLease};

use crate::support::{Census, Limited, Watched};

#[test]
fn leases_outlive_the_pool_value() {
    let census = Census::default();
    let pool = Pool::new();
    let strong = pool.acquire(census.member(1));
    let unique = pool.acquire_unique(census.member(2));
    let other = pool.acquire(census.member(3));
    let weak = StrongLease::downgrade(&other);
    drop(other);
    drop(pool);
    assert_eq!((strong.id, unique.id), (1, 2));
    assert!(weak.lock().is_none());
    drop((unique, weak));
    assert_eq!(StrongLease::strong_count(&strong.clone()), 2);
    drop(strong);
    assert_eq!(census.alive(), 0);
}

#[test]
fn segments_go_back_with_the_last_lease() {
    let books = Limited::new(usize::MAX, AllocReason::OutOfMemory);
    let pool = Pool::new_in(Watched(Arc::clone(&books)));
    let leases: Vec<_> = (0..10_000_u64).map(|n| pool.acquire(n)).collect();
    let weak = StrongLease::downgrade(&leases[5000]);
    assert!(books.live.load(Ordering::SeqCst) > 1);
    drop(pool);
    drop(leases);
    assert!(
        books.live.load(Ordering::SeqCst) > 1,
        "a weak lease keeps its slot"
    );
    drop(weak);
    assert_eq!(books.live.load(Ordering::SeqCst), 0);
    assert_eq!(Arc::strong_count(&books), 1, "the strategy went too");
}

#[test]
fn an_unused_pool_ends_without_a_trace() {
    let books = Limited::new(usize::MAX, AllocReason::OutOfMemory);
    drop(Pool::<u8, _>::new_in(Watched(Arc::clone(&books))));
    assert_eq!(Arc::strong_count(&books), 1);
}

#[test]
fn the_last_leases_may_go_on_many_threads_while_the_pool_does() {
    for round in 0..200 {
        let books = Limited::new(usize::MAX, AllocReason::OutOfMemory);
        let census = Census::default();
        let pool = Pool::new_in(Watched(Arc::clone(&books)));
        let leases: Vec<_> = (0..4).map(|n| pool.acquire(census.member(n))).collect();
        thread::scope(|scope| {
            for lease in leases {
                scope.spawn(move || drop(lease));
            }
            if round % 2 == 0 {
                drop(pool);
            }
        });
        assert_eq!(census.alive(), 0);
        if round % 2 == 0 {
            assert_eq!(books.live.load(Ordering::SeqCst), 0);
        }
    }
}

#[test]
fn a_payload_may_hold_the_last_reference_to_its_pool() {
    struct Holder {
        _pool: Option<Arc<Pool<Holder>>>,
    }
    let pool = Arc::new(Pool::new());
    let lease = pool.acquire(Holder {
        _pool: Some(Arc::clone(&pool)),
    });
    drop(pool);
    drop(lease);
}
