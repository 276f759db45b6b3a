//! The five test guidelines of seed 001, 「テスト指針（先に書くもの）」, each translated.

use lease::{LockError, Pool, StrongLease};

/// 「acquire で strong lease が作られる。」 Acquire makes a strong lease.
#[test]
fn seed_001_acquire_makes_a_strong_lease() {
    let pool = Pool::new();
    let lease: StrongLease<&str> = pool.acquire("payload");
    assert_eq!(*lease, "payload");
    assert_eq!(StrongLease::strong_count(&lease), 1);
}

/// 「strong lease のコピー/破棄で strong count が正しく変化する。」 Copying and destroying strong leases changes the strong
/// count as it should.
#[test]
fn seed_001_copy_and_drop_change_the_strong_count() {
    let pool = Pool::new();
    let lease = pool.acquire(1);
    let copy = lease.clone();
    let third = copy.clone();
    assert_eq!(StrongLease::strong_count(&lease), 3);
    drop(copy);
    assert_eq!(StrongLease::strong_count(&lease), 2);
    drop(third);
    assert_eq!(StrongLease::strong_count(&lease), 1);
}

/// 「weak lease から lock できる。」 A weak lease can be locked.
#[test]
fn seed_001_weak_lease_can_be_locked() {
    let pool = Pool::new();
    let strong = pool.acquire(1);
    let weak = StrongLease::downgrade(&strong);
    let locked = weak.lock().expect("the strong lease is alive");
    assert!(StrongLease::ptr_eq(&strong, &locked));
    assert_eq!(StrongLease::strong_count(&strong), 2);
}

/// 「stale handle の weak lock は失敗する。」 A weak lock through a stale handle fails.
#[test]
fn seed_001_stale_handle_cannot_be_locked() {
    let pool = Pool::new();
    let strong = pool.acquire(1);
    let handle = StrongLease::handle(&strong);
    let weak = StrongLease::downgrade(&strong);
    drop(strong);
    assert!(weak.lock().is_none());
    assert_eq!(pool.try_lock(handle).unwrap_err(), LockError::Stale);
    drop(weak);
    let next = pool.acquire(2);
    assert_eq!(
        pool.try_lock(handle).unwrap_err(),
        LockError::Stale,
        "not even with a new object in the slot"
    );
    assert_eq!(*next, 2);
}

/// 「strong/weak の両方が 0 になったときに control block が pool に戻る。」 When strong and weak are both 0, the control
/// block goes back to the pool.
#[test]
fn seed_001_control_block_goes_back_when_both_counts_are_zero() {
    let pool = Pool::builder().capacity(1).build();
    let strong = pool.acquire(1);
    let weak = StrongLease::downgrade(&strong);
    assert!(StrongLease::release(strong), "the payload is gone");
    assert!(
        pool.try_acquire(2).is_err(),
        "the weak lease still holds the control block"
    );
    assert!(weak.release(), "the control block went back");
    assert_eq!(*pool.acquire(3), 3);
}
