//! The eight bugs of the pool that this one replaces, each as the promise it broke.

use std::thread;

use lease::{ControlBlockHandle, LockError, Pool, ShutdownError, StrongLease};

use crate::support::Census;

/// Its free list mixed slots with and without a payload, and scanned for the kind it needed.
#[test]
fn mixed_free_list_scan() {
    let census = Census::default();
    let pool = Pool::builder().recycle(|_| ()).build();
    drop(pool.acquire(census.member(1)));
    let (kept, fresh) = (
        pool.acquire_recycled(|| census.member(2)),
        pool.acquire(census.member(3)),
    );
    assert_eq!(
        (kept.id, fresh.id),
        (1, 3),
        "a kept payload is found, and never handed out as an empty slot"
    );
    drop((kept, fresh));
    let value = pool.acquire(census.member(4));
    assert_eq!(value.id, 4);
    assert_eq!(
        census.alive(),
        3,
        "the new value took no kept payload's place while empty slots were left"
    );
}

/// Its generations wrapped, so that an old handle matched again. Used-up slots are retired now; that takes the inside of
/// the pool to reach (`retirement` in the crate), so here only that a generation never comes back.
#[test]
fn generation_wrap() {
    let pool = Pool::builder().capacity(1).build();
    let mut last = 0;
    for n in 0..100_000_u32 {
        let generation = StrongLease::handle(&pool.acquire(n)).to_bits() >> 32;
        assert!(generation > last);
        last = generation;
    }
}

/// A release by a made-up handle freed somebody else's object. There is no release by handle any more, and a made-up
/// handle adds nothing to any count.
#[test]
fn forged_release() {
    let pool = Pool::new();
    let lease = pool.acquire([1_u8; 16]);
    let real = StrongLease::handle(&lease).to_bits();
    for forged in (0..4096)
        .map(|low| (real & !0xfff) | low)
        .filter(|&bits| bits != real)
    {
        assert!(pool.lock(ControlBlockHandle::from_bits(forged)).is_none());
    }
    assert_eq!(StrongLease::strong_count(&lease), 1);
    assert!(StrongLease::release(lease));
}

/// Two control blocks could be bound to one payload, which then ended twice. The payload lives in its block.
#[test]
fn two_control_blocks_for_one_payload() {
    let census = Census::default();
    let pool = Pool::new();
    let lease = pool.acquire(census.member(1));
    let by_handle = pool.lock(StrongLease::handle(&lease)).expect("alive");
    let by_weak = StrongLease::downgrade(&lease).lock().expect("alive");
    // SAFETY: the pointer came from `into_raw` just now and is taken back once.
    let by_pointer = unsafe { StrongLease::from_raw(StrongLease::into_raw(lease)) };
    assert_eq!(StrongLease::strong_count(&by_pointer), 3);
    assert_eq!(pool.stats().live, 1);
    drop((by_handle, by_weak));
    assert_eq!(census.alive(), 1);
    drop(by_pointer);
    assert_eq!(census.alive(), 0);
}

/// Dropping the weak lease before the strong one leaked the block.
#[test]
fn weak_first_leak() {
    let pool = Pool::builder().capacity(1).build();
    for n in 0..1000 {
        let strong = pool.acquire(n);
        let weak = StrongLease::downgrade(&strong);
        assert!(!weak.release());
        assert!(StrongLease::release(strong));
    }
    assert_eq!(pool.stats().live, 0);
}

/// The last strong and the last weak lease, dropped at once, returned the block twice or never.
#[test]
fn last_strong_against_last_weak() {
    let pool = Pool::builder().capacity(2).build();
    for n in 0..3000 {
        let strong = pool.acquire(n);
        let weak = StrongLease::downgrade(&strong);
        thread::scope(|scope| {
            scope.spawn(move || drop(weak));
            drop(strong);
        });
        let both = [pool.acquire(n), pool.acquire(n)];
        assert!(!StrongLease::ptr_eq(&both[0], &both[1]));
        assert!(pool.try_acquire(n).is_err());
    }
}

/// A shutdown that met a live block stopped half-way, with some blocks gone.
#[test]
fn half_done_shutdown() {
    let mut pool = Pool::new();
    let leases: Vec<_> = (0..1000).map(|n| pool.acquire(n)).collect();
    let handles: Vec<_> = leases.iter().map(StrongLease::handle).collect();
    let last = leases.into_iter().next_back().expect("there are a thousand");
    let before = pool.stats();
    let refused = pool.shutdown();
    assert!(matches!(refused, Err(ShutdownError::StillLeased { leases }) if leases.len() == 1));
    assert_eq!(pool.stats(), before);
    assert!(pool.lock(handles[999]).is_some());
    assert_eq!(*pool.acquire(7), 7, "it goes on serving");
    drop(last);
    assert_eq!(pool.shutdown(), Ok(()));
    for handle in handles {
        assert_eq!(pool.try_lock(handle).unwrap_err(), LockError::Stale);
    }
}

/// Its registry knew objects by index alone, so a handle could reach the next object in a place.
#[test]
fn registry_without_generation() {
    let mut pool = Pool::builder().segment_bytes(16 << 10).build();
    let handles: Vec<_> = (0..500).map(|n| StrongLease::handle(&pool.acquire(n))).collect();
    pool.shrink_to_fit();
    let others: Vec<_> = (0..5)
        .map(|_| Pool::builder().segment_bytes(16 << 10).build())
        .collect();
    let leases: Vec<_> = others
        .iter()
        .flat_map(|pool| (0..500).map(|n| pool.acquire(n)))
        .collect();
    let again: Vec<_> = (0..500).map(|n| pool.acquire(n)).collect();
    for &handle in &handles {
        assert_eq!(pool.try_lock(handle).unwrap_err(), LockError::Stale);
        for other in &others {
            assert!(other.lock(handle).is_none());
        }
    }
    drop((leases, again));
}
