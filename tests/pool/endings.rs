//! Pools that end before their leases.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use lease::strategy::AllocReason;
use lease::{AcquireError, LockError, Pool, ShutdownError, StrongLease};

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
            let threads: Vec<_> = leases
                .into_iter()
                .map(|lease| scope.spawn(move || drop(lease)))
                .collect();
            if round % 2 == 0 {
                drop(pool);
            }
            // The scope's own end does not wait for the destructors of thread-locals, which give the slots back.
            for thread in threads {
                thread.join().expect("no panic");
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

#[test]
fn shutdown_is_all_or_nothing() {
    let books = Limited::new(usize::MAX, AllocReason::OutOfMemory);
    let mut pool = Pool::new_in(Watched(Arc::clone(&books)));
    let strong = pool.acquire(1);
    let second = strong.clone();
    let other = pool.acquire(2);
    let weak = StrongLease::downgrade(&other);
    drop(other);
    let unique = pool.acquire_unique(3);
    let handle = StrongLease::handle(&strong);

    let before = pool.stats();
    let Err(ShutdownError::StillLeased { leases }) = pool.shutdown() else {
        panic!("three slots are in use");
    };
    let mut counts: Vec<_> = leases.iter().map(|live| (live.strong, live.weak)).collect();
    counts.sort_unstable();
    assert_eq!(counts, [(0, 0), (0, 1), (2, 0)]);
    assert!(leases.iter().any(|live| live.handle == handle.to_bits()));
    assert_eq!(pool.stats(), before);
    assert!(!pool.is_closed());
    drop(pool.acquire(4));

    drop((strong, second, weak, unique));
    assert_eq!(pool.shutdown(), Ok(()));
    assert_eq!(books.live.load(Ordering::SeqCst), 0);
    assert_eq!(pool.try_acquire(5).unwrap_err(), AcquireError::Closed);
    assert_eq!(pool.try_lock(handle).unwrap_err(), LockError::Stale);
    assert_eq!(pool.shutdown(), Ok(()), "again changes nothing");
}

#[test]
fn shrinking_returns_empty_segments_and_keeps_the_others() {
    let books = Limited::new(usize::MAX, AllocReason::OutOfMemory);
    let mut pool = Pool::new_in(Watched(Arc::clone(&books)));
    let mut leases: Vec<_> = (0..200_000_u64).map(|n| pool.acquire([n; 8])).collect();
    let handles: Vec<_> = leases.iter().map(StrongLease::handle).collect();
    let full = pool.stats();
    assert_eq!(pool.shrink_to_fit(), 0, "nothing is empty");

    let kept = leases.pop().unwrap();
    let kept_handle = *handles.last().unwrap();
    drop(leases);
    let returned = pool.shrink_to_fit();
    let after = pool.stats();
    assert_eq!(after.bytes, full.bytes - returned);
    assert_eq!(after.segments, 1);
    assert_eq!(books.live.load(Ordering::SeqCst), 1);
    assert_eq!(*kept, [199_999; 8]);
    assert!(pool.lock(kept_handle).is_some());
    for handle in &handles[..handles.len() - 1] {
        assert_eq!(pool.try_lock(*handle).unwrap_err(), LockError::Stale);
    }

    let again: Vec<_> = (0..200_000_u64).map(|n| pool.acquire([n; 8])).collect();
    for handle in &handles[..handles.len() - 1] {
        assert!(
            pool.lock(*handle).is_none(),
            "page numbers are used again, generations are not"
        );
    }
    assert!(again.iter().zip(0..).all(|(lease, n)| **lease == [n; 8]));
}

#[test]
fn shrinking_after_a_million_returns_nine_tenths() {
    let mut pool = Pool::new();
    let leases: Vec<_> = (0..1_000_000_u64).map(|n| pool.acquire([n; 8])).collect();
    let full = pool.stats().bytes;
    drop(leases);
    assert!(pool.shrink_to_fit() >= full / 10 * 9);
}
