//! Payloads that stay in their slots, against those who take them over and against the pool's end.

use loom::sync::Arc;

use super::{Books, ModelPool, Payload, model, recycling_pool, thread};
use crate::memory::pool::{ControlBlockHandle, StrongLease};
use crate::sync::global::Ordering;

/// The only slot goes, with its payload, from the thread that releases it to one that asks for it.
fn a_payload_changes_hands(books: &'static Books, pool: ModelPool) {
    let pool = Arc::new(pool);
    let lease = pool.acquire(Payload::new(books, 1));
    let taker = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || {
            if let Ok(lease) = pool.try_acquire_recycled(|| unreachable!("the only payload is kept")) {
                assert_eq!(lease.value(), 0);
            }
        })
    };
    drop(lease);
    taker.join().expect("no panic");
    assert_eq!(books.payloads.load(Ordering::SeqCst), 1);
    drop(pool);
}

#[test]
fn loom_a_recycled_payload_is_reset_for_the_next_and_ends_with_the_pool() {
    model(|books| a_payload_changes_hands(books, recycling_pool(books, 1, 0)));
}

#[test]
fn loom_a_recycled_payload_in_a_magazine_is_found_or_ends_with_the_pool() {
    model(|books| a_payload_changes_hands(books, recycling_pool(books, 1, 1)));
}

/// A thread that releases payloads and ends, while `end` does something else.
fn releases_meet<const N: usize>(
    books: &'static Books,
    pool: ModelPool,
    leases: [usize; N],
    end: impl FnOnce(ModelPool),
) {
    let leases = leases.map(|value| pool.acquire_unique(Payload::new(books, value)));
    let releaser = thread::spawn(move || drop(leases));
    end(pool);
    releaser.join().expect("no panic");
}

#[test]
fn loom_pool_drop_against_payloads_that_would_be_kept() {
    model(|books| releases_meet(books, recycling_pool(books, 1, 0), [1], drop));
}

#[test]
fn loom_pool_drop_against_payloads_that_would_be_kept_in_a_magazine() {
    model(|books| releases_meet(books, recycling_pool(books, 1, 1), [1], drop));
}

#[test]
fn loom_pool_drop_against_a_magazine_of_payloads_that_overflows() {
    model(|books| releases_meet(books, recycling_pool(books, 2, 1), [1, 2], drop));
}

#[test]
fn loom_shrinking_against_payloads_that_would_be_kept() {
    model(|books| {
        releases_meet(books, recycling_pool(books, 1, 0), [1], |mut pool| {
            pool.shrink_to_fit();
        });
    });
}

#[test]
fn loom_shrinking_against_payloads_that_would_be_kept_in_a_magazine() {
    model(|books| {
        releases_meet(books, recycling_pool(books, 1, 1), [1], |mut pool| {
            pool.shrink_to_fit();
        });
    });
}

#[test]
fn loom_shutdown_against_payloads_that_would_be_kept_in_a_magazine() {
    model(|books| {
        releases_meet(books, recycling_pool(books, 1, 1), [1], |mut pool| {
            let ended = pool.shutdown().is_ok();
            assert_eq!(books.blocks.load(Ordering::SeqCst), u64::from(!ended));
        });
    });
}

#[test]
fn loom_pool_drop_against_a_last_weak_lease_on_what_is_kept() {
    model(|books| {
        let pool = recycling_pool(books, 1, 1);
        let strong = pool.acquire(Payload::new(books, 1));
        let weak = StrongLease::downgrade(&strong);
        let releaser = thread::spawn(move || drop((strong, weak)));
        drop(pool);
        releaser.join().expect("no panic");
    });
}

#[test]
fn loom_a_recycled_payload_is_whole_for_a_lookup() {
    model(|books| {
        let pool = Arc::new(recycling_pool(books, 1, 1));
        let lease = pool.acquire(Payload::new(books, 1));
        let next = ControlBlockHandle::from_bits(StrongLease::handle(&lease).to_bits() + (1 << 32));
        let looker = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                if let Some(lease) = pool.lock(next) {
                    assert_eq!(lease.value(), 0);
                }
            })
        };
        drop(lease);
        drop(pool.acquire_recycled(|| unreachable!("the only payload is kept")));
        looker.join().expect("no panic");
        drop(pool);
    });
}
