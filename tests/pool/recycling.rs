//! Pools that keep their payloads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;

use lease::{AcquireError, Pool, StrongLease, UniqueLease};

use crate::support::{Census, Counted};

fn reset(member: &mut Counted) {
    member.id += 1000;
}

#[test]
fn a_recycled_payload_is_reset_and_handed_out_again() {
    let census = Census::default();
    let pool = Pool::builder().recycle(reset).build();
    let first = pool.acquire_recycled(|| census.member(1));
    let handle = StrongLease::handle(&first);
    drop(first);
    assert_eq!(census.alive(), 1, "kept");
    let second = pool.acquire_recycled(|| panic!("one is kept"));
    assert_eq!(second.id, 1001);
    assert!(pool.lock(handle).is_none(), "it is another object");
    let third = pool.acquire_recycled(|| census.member(3));
    assert_eq!(third.id, 3);
    drop((second, third));
    assert_eq!(census.alive(), 2);
    drop(pool);
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_value_takes_the_place_of_a_kept_payload_when_no_other_is_left() {
    let census = Census::default();
    let pool = Pool::builder().capacity(1).recycle(reset).build();
    drop(pool.acquire(census.member(1)));
    let second = pool.acquire(census.member(2));
    assert_eq!((second.id, census.alive()), (2, 1));
    drop(second);
    let unique = pool.acquire_unique(census.member(3));
    assert_eq!((unique.id, census.alive()), (3, 1));
    drop(unique);
    assert_eq!(pool.acquire_recycled(|| panic!("one is kept")).id, 1003);
}

#[test]
fn a_recycled_payload_can_be_had_for_sole_use() {
    for builder in [Pool::builder(), Pool::builder().capacity(2)] {
        let census = Census::default();
        let pool = builder.recycle(reset).build();
        let first = pool.acquire_recycled_unique(|| census.member(1));
        assert_eq!((first.id, pool.stats().strong), (1, 0));
        drop(first);
        let mut second = pool.acquire_recycled_unique(|| panic!("one is kept"));
        assert_eq!((second.id, census.alive()), (1001, 1));
        second.id = 7;
        let shared = UniqueLease::share(second);
        let handle = StrongLease::handle(&shared);
        assert_eq!(pool.lock(handle).map(|lease| lease.id), Some(7));
        let third = pool.acquire_recycled_unique(|| census.member(3));
        assert_eq!(census.alive(), 2);
        drop((shared, third));
        assert!(pool.lock(handle).is_none());
        pool.close();
        let refused = pool.try_acquire_recycled_unique(|| unreachable!("the pool is closed"));
        assert_eq!(refused.unwrap_err(), AcquireError::Closed);
        assert_eq!(census.alive(), 2, "still kept");
        drop(pool);
        assert_eq!(census.alive(), 0);
    }
}

#[test]
fn a_recycled_payload_in_sole_use_outlives_its_pool() {
    let census = Census::default();
    let pool = Pool::builder().recycle(reset).build();
    drop(pool.acquire_recycled_unique(|| census.member(1)));
    let kept = pool.acquire_recycled_unique(|| panic!("one is kept"));
    drop(pool);
    assert_eq!((kept.id, census.alive()), (1001, 1));
    drop(kept);
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_payload_with_weak_leases_is_kept_too() {
    let census = Census::default();
    let pool = Pool::builder().recycle(reset).build();
    let strong = pool.acquire(census.member(1));
    let weak = StrongLease::downgrade(&strong);
    drop(strong);
    assert!(weak.lock().is_none());
    assert!(weak.release());
    assert_eq!(pool.acquire_recycled(|| panic!("one is kept")).id, 1001);
}

#[test]
fn a_panicking_reset_destroys_the_payload_and_frees_the_slot() {
    let census = Census::default();
    let pool = Pool::builder()
        .capacity(1)
        .recycle(|member: &mut Counted| assert_ne!(member.id, 1, "as told"))
        .build();
    for _ in 0..3 {
        let lease = pool.acquire(census.member(1));
        assert!(catch_unwind(AssertUnwindSafe(|| drop(lease))).is_err());
        assert_eq!(census.alive(), 0);
        assert_eq!(pool.stats().live, 0);

        drop(pool.acquire(census.member(2)));
        let mut kept = pool.acquire_recycled_unique(|| panic!("one is kept"));
        kept.id = 1;
        assert!(catch_unwind(AssertUnwindSafe(|| drop(kept))).is_err());
        assert_eq!(census.alive(), 0, "it is kept no more");
        assert_eq!(pool.stats().live, 0);
    }
}

#[test]
fn shrinking_and_shutting_down_end_what_is_kept() {
    let census = Census::default();
    let mut pool = Pool::builder().recycle(reset).build();
    let leases: Vec<_> = (0..5000).map(|n| pool.acquire(census.member(n))).collect();
    drop(leases);
    assert_eq!(census.alive(), 5000);
    let bytes = pool.stats().bytes;
    assert_eq!(pool.shrink_to_fit(), bytes);
    assert_eq!(census.alive(), 0);

    drop(pool.acquire(census.member(1)));
    assert_eq!(pool.shutdown(), Ok(()));
    assert_eq!(census.alive(), 0);
}

#[test]
fn orphans_end_as_in_any_pool() {
    let census = Census::default();
    let pool = Pool::builder().recycle(reset).build();
    let (kept, strong) = (pool.acquire(census.member(1)), pool.acquire(census.member(2)));
    let weak = StrongLease::downgrade(&pool.acquire(census.member(3)));
    drop(kept);
    assert_eq!(census.alive(), 3);
    drop(pool);
    assert_eq!(
        census.alive(),
        2,
        "what was free ends with the pool, what a weak lease holds is reset and waits"
    );
    drop(strong);
    assert_eq!(census.alive(), 1);
    drop(weak);
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_kept_payload_may_hold_a_lease_on_another() {
    struct Link {
        _next: Option<StrongLease<Link>>,
        _member: Counted,
    }
    let census = Census::default();
    let mut pool = Pool::builder().recycle(|_: &mut Link| ()).build();
    for _ in 0..2 {
        let mut chain = None;
        for id in 0..100 {
            chain = Some(pool.acquire(Link {
                _next: chain.take(),
                _member: census.member(id),
            }));
        }
        drop(chain);
        assert_eq!(census.alive(), 100);
        assert_eq!(pool.stats().live, 99, "the kept one holds the chain");
        assert_eq!(pool.shrink_to_fit(), 16384);
        assert_eq!(census.alive(), 0);
    }
}

#[test]
fn a_kept_payload_that_panics_at_its_end_takes_no_other_with_it() {
    struct Grump(Counted);
    impl Drop for Grump {
        fn drop(&mut self) {
            assert!(self.0.id != 3, "as told");
        }
    }
    let census = Census::default();
    let pool = Pool::builder().recycle(|_: &mut Grump| ()).build();
    let leases: Vec<_> = (0..6).map(|id| pool.acquire(Grump(census.member(id)))).collect();
    drop(leases);
    assert_eq!(census.alive(), 6);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(pool))).is_err());
    assert_eq!(census.alive(), 0);
}

/// Runs `meanwhile` while another thread has the payloads of these leases, released, at hand.
fn while_another_thread_keeps(leases: Vec<StrongLease<Counted>>, meanwhile: impl FnOnce()) {
    let (released, meeting) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        let keeper = scope.spawn(|| {
            drop(leases);
            released.wait();
            meeting.wait();
        });
        released.wait();
        meanwhile();
        meeting.wait();
        // Its end is what gives back what it has; the scope's alone does not wait for that.
        keeper.join().expect("no panic");
    });
}

#[test]
fn what_another_thread_has_at_hand_ends_with_the_pool() {
    let census = Census::default();
    let pool = Pool::builder().recycle(reset).build();
    let leases = (0..100).map(|id| pool.acquire(census.member(id))).collect();
    let reader = census.clone();
    while_another_thread_keeps(leases, move || {
        assert_eq!(reader.alive(), 100);
        drop(pool);
        assert_eq!(reader.alive(), 0);
    });
    assert_eq!(census.alive(), 0);
}

#[test]
fn shrinking_ends_what_another_thread_has_at_hand() {
    let census = Census::default();
    let mut pool = Pool::builder().recycle(reset).build();
    let held = pool.acquire(census.member(1000));
    let leases = (0..100).map(|id| pool.acquire(census.member(id))).collect();
    while_another_thread_keeps(leases, || {
        assert_eq!(pool.shrink_to_fit(), 0, "one slot is in use");
        assert_eq!(census.alive(), 1);
    });
    // Their slots came back without a payload, and are filled again.
    let again: Vec<_> = (0..101)
        .map(|id| pool.acquire_recycled(|| census.member(id)))
        .collect();
    assert_eq!(census.alive(), 102);
    drop((again, held));
    assert_eq!(pool.shutdown(), Ok(()));
    assert_eq!(census.alive(), 0);
}

#[test]
fn what_a_thread_had_at_hand_is_there_for_the_others_after_its_end() {
    let census = Census::default();
    let pool = Pool::builder().recycle(reset).build();
    let leases: Vec<_> = (0..2000).map(|id| pool.acquire(census.member(id))).collect();
    while_another_thread_keeps(leases, || ());
    let again: Vec<_> = (0..2000)
        .map(|_| pool.acquire_recycled(|| panic!("2000 are kept")))
        .collect();
    assert!(again.iter().all(|lease| lease.id >= 1000));
    assert_eq!(pool.stats().live, 2000);
    assert_eq!(census.alive(), 2000);
}

#[test]
fn a_value_takes_a_free_slot_before_one_that_keeps_a_payload() {
    let census = Census::default();
    let pool = Pool::builder().segment_bytes(16 << 10).recycle(reset).build();
    drop(pool.acquire(census.member(1)));
    let slots = pool.stats().slots;
    let all: Vec<_> = (1..slots as u64)
        .map(|id| pool.acquire(census.member(id)))
        .collect();
    assert_eq!(census.alive(), slots, "the kept one is still there");
    let last = pool.acquire(census.member(1));
    assert_eq!(
        (census.alive(), pool.stats().slots),
        (slots, slots),
        "and makes room before the pool grows"
    );
    drop((all, last));
}

#[test]
fn a_long_chain_of_kept_payloads_ends_link_by_link() {
    struct Link {
        _next: Option<StrongLease<Link>>,
        _member: Counted,
    }
    let census = Census::default();
    let mut pool = Pool::builder().recycle(|_: &mut Link| ()).build();
    let mut chain = None;
    for id in 0..100_000 {
        chain = Some(pool.acquire(Link {
            _next: chain.take(),
            _member: census.member(id),
        }));
    }
    drop(chain);
    let bytes = pool.stats().bytes;
    assert_eq!(pool.shrink_to_fit(), bytes);
    assert_eq!(census.alive(), 0);
}
