//! Many threads on one pool: nothing is lost, nothing grows.

use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;

use lease::{Pool, StrongLease};

use crate::support::{Census, Counted};

#[test]
fn short_lived_threads_do_not_grow_a_pool() {
    let pool = Pool::new();
    drop(pool.acquire([0_u64; 8]));
    for _ in 0..2000 {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                for n in 0..500 {
                    drop(pool.acquire([n; 8]));
                }
            });
            worker.join().expect("no panic");
        });
    }
    // A thread is joined before its thread-locals' destructors have run, so a few may be on their way.
    assert!(pool.stats().slots < 2000, "{pool:?}");
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn leases_released_on_another_thread_come_home() {
    let pool = Pool::new();
    let census = Census::default();
    let (sender, receiver) = mpsc::sync_channel::<StrongLease<Counted>>(100);
    thread::scope(|scope| {
        scope.spawn(move || {
            for (n, lease) in (0..).zip(receiver) {
                assert_eq!(lease.id, n);
            }
        });
        for n in 0..100_000 {
            sender
                .send(pool.acquire(census.member(n)))
                .expect("the receiver lives");
        }
        drop(sender);
    });
    assert_eq!(census.alive(), 0);
    assert!(pool.stats().slots < 10_000, "{pool:?}");
}

#[test]
fn bursts_larger_than_a_magazine_lose_nothing() {
    let pool = Pool::new();
    for round in 1..5_usize {
        let leases: Vec<_> = (0..round * 3000).map(|n| pool.acquire(n)).collect();
        assert_eq!(pool.stats().live, round * 3000);
        assert!(leases.iter().enumerate().all(|(n, lease)| **lease == n));
    }
    let slots = pool.stats().slots;
    let all: Vec<_> = (0..slots).map(|n| pool.acquire(n)).collect();
    assert_eq!(pool.stats().slots, slots, "every slot was still to be had");
    drop(all);
}

#[test]
fn thread_locals_of_others_may_release_at_the_threads_end() {
    static POOL: Pool<u64> = Pool::new();
    thread_local! {
        static KEPT: RefCell<Vec<StrongLease<u64>>> = const { RefCell::new(Vec::new()) };
    }
    struct AcquiresAtTheEnd;
    impl Drop for AcquiresAtTheEnd {
        fn drop(&mut self) {
            let lease = POOL.acquire(1);
            assert_eq!(*lease, 1);
        }
    }
    thread_local! {
        static LAST_WORDS: AcquiresAtTheEnd = const { AcquiresAtTheEnd };
    }
    for _ in 0..20 {
        let worker = thread::spawn(|| {
            // Before and after the pool's own thread-local is there, so that one of them outlives it.
            LAST_WORDS.with(|_| ());
            KEPT.with(|kept| kept.borrow_mut().extend((0..700).map(|n| POOL.acquire(n))));
        });
        worker.join().expect("no panic");
    }
    assert_eq!(POOL.stats().live, 0);
    assert!(POOL.stats().slots < 5000);
}

#[test]
fn pools_that_come_and_go_do_not_mix_their_slots() {
    let census = Census::default();
    let mut kept = Vec::new();
    for round in 0..200_u64 {
        let pool = Pool::new();
        let leases: Vec<_> = (0..100)
            .map(|n| pool.acquire(census.member(round * 100 + n)))
            .collect();
        let other = Pool::new();
        let text = other.acquire(round.to_string());
        drop(pool);
        kept.extend(leases.into_iter().step_by(10));
        assert_eq!(*text, round.to_string());
    }
    assert_eq!(census.alive(), 2000);
    assert!(
        kept.iter()
            .enumerate()
            .all(|(n, lease)| lease.id == (n as u64) * 10)
    );
    kept.clear();
    assert_eq!(census.alive(), 0);
}

#[test]
fn shrinking_an_idle_pool_takes_what_other_threads_keep() {
    let mut pool = Pool::new();
    let mut leases: Vec<_> = (0..100_000).map(|n| Some(pool.acquire([n; 8]))).collect();
    let handle = StrongLease::handle(leases[7].as_ref().unwrap());
    thread::scope(|scope| {
        let (released, is_released) = mpsc::channel();
        let (shrunk, is_shrunk) = mpsc::channel::<()>();
        let worker = scope.spawn(move || {
            // The last ones, which stay with this thread, lie all over the pool's memory.
            for first in 0..100 {
                for lease in leases.iter_mut().skip(first).step_by(100) {
                    *lease = None;
                }
            }
            released.send(()).unwrap();
            is_shrunk.recv().unwrap();
        });
        is_released.recv().unwrap();
        assert!(pool.shrink_to_fit() > 0);
        assert_eq!(pool.stats().bytes, 0);
        assert!(pool.lock(handle).is_none());
        shrunk.send(()).unwrap();
        worker.join().unwrap();
    });
    let again: Vec<_> = (0..1000).map(|n| pool.acquire([n; 8])).collect();
    assert!(pool.lock(handle).is_none());
    assert_eq!(pool.stats().live, again.len());
}

#[test]
fn a_thread_whose_magazine_was_taken_goes_on_with_the_pool() {
    let mut pool = Pool::new();
    let (to_worker, jobs) = mpsc::channel::<StrongLease<u64>>();
    let (results, from_worker) = mpsc::channel();
    let worker = thread::spawn(move || {
        for lease in jobs {
            results.send(*lease).unwrap();
        }
    });
    for n in 0..100 {
        let (one, two) = (pool.acquire(n), pool.acquire(n));
        to_worker.send(one).unwrap();
        to_worker.send(two).unwrap();
        assert_eq!((from_worker.recv(), from_worker.recv()), (Ok(n), Ok(n)));
        pool.shrink_to_fit();
    }
    drop(to_worker);
    worker.join().unwrap();
    assert_eq!(pool.stats().live, 0);
    assert!(pool.stats().slots < 2000, "{pool:?}");
}
