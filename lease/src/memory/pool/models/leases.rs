//! The leases of one payload against each other, and against whoever looks the payload up.

use loom::sync::Arc;

use super::{Books, ModelPool, Payload, model, pool, thread};
use crate::memory::pool::{ControlBlockHandle, StrongLease, UniqueLease};

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
        let first = thread::spawn(move || {
            assert!(StrongLease::weak_count(&other) <= 1);
            drop(StrongLease::downgrade(&other));
        });
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
fn loom_an_acquired_payload_is_whole_for_a_visit() {
    model(|books| {
        let pool = Arc::new(pool(books, 2, 0));
        let visitor = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.iter().for_each(|lease| assert!(lease.value() > 0)))
        };
        let strong = pool.acquire(Payload::new(books, 1));
        let shared = UniqueLease::share(pool.acquire_unique(Payload::new(books, 2)));
        visitor.join().expect("no panic");
        drop((strong, shared));
        drop(pool);
    });
}

/// A weak lease that was there before its payload.
#[test]
fn loom_a_cyclic_payload_is_whole_for_a_weak_lease() {
    model(|books| {
        let pool = pool(books, 1, 0);
        let mut locker = None;
        let strong = pool.acquire_cyclic(|me| {
            let me = me.clone();
            locker = Some(thread::spawn(move || {
                if let Some(lease) = me.lock() {
                    assert_eq!(lease.value(), 1);
                }
            }));
            Payload::new(books, 1)
        });
        drop(strong);
        locker.expect("it was made").join().expect("no panic");
        drop(pool);
    });
}
