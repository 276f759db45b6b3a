//! Free slots on their way between magazines, shelves and the store.

use loom::sync::Arc;

use super::{Payload, model, pool, pool_with_shelves, thread};

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
