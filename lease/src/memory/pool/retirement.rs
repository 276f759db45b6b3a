//! Slots and page numbers that have used up their generations. Winding a slot forward takes the inside of the pool.

use super::{AcquireError, LockError, Pool, StrongLease};
use crate::sync::thread;

/// The last generation that is given out.
const LAST: u32 = u32::MAX;

/// A lease of the last generation in the only slot of this pool.
fn last_lease(pool: &Pool<u32>) -> StrongLease<u32> {
    let segment = {
        drop(pool.acquire(0));
        pool.shared()
            .expect("it was used")
            .segment(0)
            .expect("it was used")
    };
    // SAFETY: the segment exists and has a slot.
    let slot = unsafe { super::Segment::slot(segment, 0) };
    // SAFETY: the segment exists.
    unsafe { slot.word() }.wind_forward(LAST);
    pool.acquire(7)
}

#[test]
fn a_used_up_slot_is_replaced_within_the_capacity() {
    let mut pool = Pool::builder().capacity(1).build();
    let lease = last_lease(&pool);
    let handle = StrongLease::handle(&lease);
    assert_eq!(handle.to_bits() >> 32, u64::from(LAST));
    assert_eq!(pool.lock(handle).as_deref(), Some(&7));
    drop(lease);
    assert_eq!(pool.stats().retired, 1);
    assert_eq!(pool.try_lock(handle).unwrap_err(), LockError::Stale);

    let next = pool.acquire(8);
    assert_eq!(pool.stats().slots, 2);
    assert_eq!(
        pool.try_acquire(9).unwrap_err(),
        AcquireError::Exhausted { capacity: 1 }
    );
    assert_eq!(pool.try_lock(handle).unwrap_err(), LockError::Stale);
    drop(next);
    assert_eq!(
        pool.shrink_to_fit(),
        2 * 16384,
        "a segment of retired slots is empty"
    );
    assert_eq!(pool.stats().retired, 0);
}

#[test]
fn a_waiter_gets_the_replacement_of_a_retired_slot() {
    let pool = Pool::builder().capacity(1).build();
    let lease = last_lease(&pool);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| *pool.acquire_blocking(8).expect("not closed"));
        drop(lease);
        assert_eq!(waiter.join().expect("no panic"), 8);
    });
}

#[test]
fn a_used_up_slot_never_enters_a_magazine() {
    let pool = Pool::builder().segment_bytes(16 << 10).build();
    let lease = last_lease(&pool);
    let handle = StrongLease::handle(&lease);
    drop(lease);
    assert_eq!(pool.stats().retired, 1);
    let slots = pool.stats().slots;
    let all: Vec<_> = (1..slots).map(|_| pool.acquire(1)).collect();
    assert_eq!(
        pool.stats().slots,
        slots,
        "all but the retired one were to be had"
    );
    assert!(
        all.iter()
            .all(|lease| StrongLease::handle(lease).place() != handle.place())
    );
}

#[test]
fn page_numbers_without_generations_are_not_given_out_again() {
    let mut pool = Pool::builder().capacity(1).build();
    let lease = last_lease(&pool);
    let handle = StrongLease::handle(&lease);
    drop(lease);
    pool.shrink_to_fit();
    let others: Vec<_> = (0..50)
        .map(|n| {
            let pool = Pool::builder().capacity(1).build();
            let lease = pool.acquire(n);
            assert!(StrongLease::handle(&lease).place().page() != handle.place().page());
            lease
        })
        .collect();
    assert_eq!(pool.try_lock(handle).unwrap_err(), LockError::Stale);
    drop(others);
}
