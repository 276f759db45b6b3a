//! Those who wait for a slot, and what they are waiting for: a release, somebody who gives up, the pool's end.

use std::future::Future;
use std::task::{Context, Waker};

use loom::sync::Arc;

use super::{Books, Counting, ModelPool, Payload, model, pool, pool_with_shelves, thread};
use crate::memory::pool::AcquireError;
use crate::memory::pool::store::Options;

/// The only slot of a pool is given back while somebody comes to wait for it.
fn a_release_meets_a_waiter(books: &'static Books, pool: ModelPool) {
    let pool = Arc::new(pool);
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
}

#[test]
fn loom_a_release_reaches_the_thread_that_waits() {
    model(|books| a_release_meets_a_waiter(books, pool(books, 1, 0)));
}

#[test]
fn loom_a_release_leaves_the_shelf_alone_for_the_thread_that_waits() {
    model(|books| a_release_meets_a_waiter(books, pool_with_shelves(books, 1)));
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
