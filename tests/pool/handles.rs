//! Handles: every wrong one is told apart, and none ever matches another object.

use lease::{CloneError, ControlBlockHandle, LockError, Pool, StrongLease};

#[test]
fn handle_leads_to_its_object_and_counts_a_lease() {
    let pool = Pool::new();
    let lease = pool.acquire("here");
    let handle = StrongLease::handle(&lease);
    let again = pool.lock(handle).expect("alive");
    assert!(StrongLease::ptr_eq(&lease, &again));
    assert_eq!(StrongLease::strong_count(&lease), 2);
    assert_eq!(StrongLease::handle(&again), handle);
}

#[test]
fn handle_is_stale_once_the_object_is_gone() {
    let pool = Pool::new();
    let lease = pool.acquire(1);
    let handle = StrongLease::handle(&lease);
    drop(lease);
    assert_eq!(pool.try_lock(handle).unwrap_err(), LockError::Stale);
}

#[test]
fn handle_is_stale_while_only_weak_leases_remain() {
    let pool = Pool::new();
    let lease = pool.acquire(1);
    let weak = StrongLease::downgrade(&lease);
    let handle = StrongLease::handle(&lease);
    drop(lease);
    assert_eq!(pool.try_lock(handle).unwrap_err(), LockError::Stale);
    drop(weak);
}

#[test]
fn handle_never_matches_the_next_object_in_its_slot() {
    let pool = Pool::builder().capacity(1).build();
    let mut old = Vec::new();
    for round in 0..1000 {
        let lease = pool.acquire(round);
        for &handle in &old {
            assert_eq!(pool.try_lock(handle).unwrap_err(), LockError::Stale);
        }
        let handle = StrongLease::handle(&lease);
        assert_eq!(pool.lock(handle).as_deref(), Some(&round));
        old.push(handle);
        if old.len() > 20 {
            old.remove(0);
        }
    }
}

#[test]
fn handle_of_another_pool_is_foreign() {
    let one = Pool::new();
    let other = Pool::new();
    let lease = one.acquire(1);
    let mine = other.acquire(2);
    assert_eq!(
        other.try_lock(StrongLease::handle(&lease)).unwrap_err(),
        LockError::Foreign
    );
    assert_eq!(*mine, 2);
    let unused: Pool<i32> = Pool::new();
    assert_eq!(
        unused.try_lock(StrongLease::handle(&lease)).unwrap_err(),
        LockError::Foreign
    );
}

#[test]
fn null_handle_names_nothing() {
    let pool: Pool<u8> = Pool::new();
    assert!(ControlBlockHandle::<u8>::from_bits(0).is_null());
    assert_eq!(ControlBlockHandle::<u8>::NULL, ControlBlockHandle::default());
    assert_eq!(
        pool.try_lock(ControlBlockHandle::NULL).unwrap_err(),
        LockError::Null
    );
}

#[test]
fn forged_handles_are_refused_whatever_their_bits() {
    let pool = Pool::new();
    let lease = pool.acquire([7_u8; 24]);
    let real = StrongLease::handle(&lease).to_bits();
    for bit in 0..64 {
        let forged = ControlBlockHandle::from_bits(real ^ (1 << bit));
        assert!(pool.lock(forged).is_none(), "bit {bit}");
    }
    for low in 0..1 << 16 {
        let forged = ControlBlockHandle::<[u8; 24]>::from_bits((real & !0xffff) | low);
        assert!(forged.to_bits() == real || pool.lock(forged).is_none());
    }
    assert_eq!(
        pool.try_lock(ControlBlockHandle::from_bits(u64::MAX))
            .unwrap_err(),
        LockError::Unknown
    );
    assert_eq!(StrongLease::strong_count(&lease), 1);
}

#[test]
fn handle_from_a_dropped_pool_is_not_found_in_the_next() {
    let old = Pool::new();
    let handles: Vec<_> = (0..100).map(|n| StrongLease::handle(&old.acquire(n))).collect();
    drop(old);
    let new = Pool::new();
    let leases: Vec<_> = (0..100).map(|n| new.acquire(n)).collect();
    for handle in handles {
        assert!(new.lock(handle).is_none());
    }
    drop(leases);
}

#[test]
fn bits_survive_the_round_trip() {
    let pool = Pool::new();
    let lease = pool.acquire(1);
    let handle = StrongLease::handle(&lease);
    assert_eq!(ControlBlockHandle::from_bits(handle.to_bits()), handle);
    assert!(!handle.is_null());
    assert!(format!("{handle:?}").starts_with("ControlBlockHandle("));
}

#[test]
fn handle_of_a_payload_with_too_many_leases_is_refused() {
    let pool = Pool::new();
    let lease = pool.acquire(1);
    let handle = StrongLease::handle(&lease);
    let limit = 1 << 24;
    for _ in 1..limit {
        std::mem::forget(lease.clone());
    }
    assert_eq!(StrongLease::strong_count(&lease), limit as usize);
    assert_eq!(
        pool.try_lock(handle).unwrap_err(),
        LockError::TooManyLeases { limit }
    );
    assert_eq!(
        StrongLease::try_clone(&lease).unwrap_err(),
        CloneError::TooManyLeases { limit }
    );
    assert_eq!(
        StrongLease::strong_count(&lease),
        limit as usize,
        "a refusal adds nothing"
    );
}

#[test]
fn handle_of_a_slot_in_waiting_was_never_given_out() {
    let pool = Pool::builder().capacity(1).build();
    let first = StrongLease::handle(&pool.acquire(1));
    let next = ControlBlockHandle::from_bits(first.to_bits() + (1 << 32));
    assert_eq!(pool.try_lock(next).unwrap_err(), LockError::Unknown);
    let lease = pool.acquire(2);
    assert_eq!(StrongLease::handle(&lease), next);
}
