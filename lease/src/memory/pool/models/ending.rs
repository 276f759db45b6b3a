//! The pool's end, its shutdown and its shrinking against the releases that are under way.

use super::{Counting, Payload, model, pool, pool_with_shelves, thread};
use crate::memory::pool::store::Options;
use crate::memory::pool::{Pool, ShutdownError, StrongLease};
use crate::sync::global::Ordering;

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
fn loom_shutdown_counts_weak_leases_that_are_coming() {
    model(|books| {
        let mut pool = pool(books, 1, 0);
        let strong = pool.acquire(Payload::new(books, 1));
        let taker = thread::spawn(move || drop(StrongLease::downgrade(&strong)));
        if let Err(ShutdownError::StillLeased { leases }) = pool.shutdown() {
            assert!(leases.iter().all(|live| live.weak <= 2));
        }
        taker.join().expect("no panic");
        drop(pool);
    });
}
