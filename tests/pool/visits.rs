//! Iteration and cyclic construction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lease::{Pool, StrongLease, WeakLease};

use crate::support::{Census, Counted};

#[test]
fn iteration_visits_every_live_object_once() {
    let pool = Pool::new();
    assert_eq!(pool.iter().count(), 0);
    let leases: Vec<_> = (0..10_000_u64).map(|n| pool.acquire(n)).collect();
    let unique = pool.acquire_unique(u64::MAX);
    let weak = StrongLease::downgrade(&pool.acquire(u64::MAX));
    let (gone, kept): (Vec<_>, Vec<_>) = leases.into_iter().partition(|lease| **lease % 3 == 0);
    drop(gone);
    let mut seen: Vec<_> = pool.iter().map(|lease| *lease).collect();
    seen.sort_unstable();
    let expected: Vec<_> = (0..10_000).filter(|n| n % 3 != 0).collect();
    assert_eq!(seen, expected);
    drop((kept, unique, weak));
    assert_eq!(pool.iter().count(), 0);
}

#[test]
fn iteration_meets_only_whole_objects_while_others_come_and_go() {
    let pool: Pool<(u64, u64)> = Pool::new();
    let lasting: Vec<_> = (0..100).map(|n| pool.acquire((n, !n))).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                let batch: Vec<_> = (0..50)
                    .map(|m| pool.acquire((n * 50 + m, !(n * 50 + m))))
                    .collect();
                drop(batch);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..200 {
            let met = pool.iter().inspect(|lease| assert_eq!(lease.0, !lease.1)).count();
            assert!(met >= lasting.len());
        }
        stop.store(true, Ordering::Relaxed);
    });
    drop(lasting);
    assert_eq!(pool.stats().live, 0);
}

struct Node {
    me: WeakLease<Node>,
    _member: Counted,
}

#[test]
fn a_cyclic_object_knows_itself_and_still_ends() {
    let census = Census::default();
    let pool = Pool::new();
    let node = pool.acquire_cyclic(|me| {
        assert!(me.lock().is_none(), "not before it is made");
        Node {
            me: me.clone(),
            _member: census.member(1),
        }
    });
    assert!(StrongLease::ptr_eq(&node, &node.me.lock().unwrap()));
    assert_eq!(StrongLease::weak_count(&node), 1);
    assert!(pool.lock(StrongLease::handle(&node)).is_some());
    drop(node);
    assert_eq!(census.alive(), 0);
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn a_cyclic_constructor_that_panics_leaves_nothing() {
    let pool: Pool<Node> = Pool::builder().capacity(1).build();
    let mut kept = None;
    let caught = catch_unwind(AssertUnwindSafe(|| {
        pool.acquire_cyclic(|me| {
            kept = Some(me.clone());
            panic!("as told")
        })
    }));
    assert!(caught.is_err());
    assert_eq!(pool.stats().live, 1, "the weak lease that escaped keeps the slot");
    assert!(kept.as_ref().unwrap().lock().is_none());
    assert!(kept.unwrap().release());
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn an_iteration_that_has_ended_stays_ended() {
    let pool = Pool::builder().segment_bytes(16 << 10).build();
    let first = pool.acquire(1);
    let mut iteration = pool.iter();
    assert!(iteration.next().is_some());
    assert!(iteration.next().is_none());
    let later: Vec<_> = (0..5000).map(|n| pool.acquire(n)).collect();
    assert!(iteration.next().is_none());
    drop((first, later));
}

#[test]
fn an_exclusive_visit_sees_what_is_shared_and_counts_nothing() {
    let mut pool = Pool::new();
    let mut leases: Vec<_> = (0..10_000_u64).map(|n| pool.acquire(n)).collect();
    leases.retain(|lease| **lease % 3 == 0);
    let sole = pool.acquire_unique(1);
    let mut seen = Vec::new();
    pool.for_each(|n| seen.push(*n));
    seen.sort_unstable();
    assert!(seen.iter().eq(leases.iter().map(|lease| &**lease)));
    assert!(leases.iter().all(|lease| StrongLease::strong_count(lease) == 1));
    drop(sole);
}

#[test]
fn an_exclusive_visit_keeps_payloads_that_can_end() {
    let census = Census::default();
    let mut pool = Pool::new();
    let mut leases: Vec<_> = (0..10).map(|id| pool.acquire(census.member(id))).collect();
    let mut ids = Vec::new();
    pool.for_each(|member| {
        // The visit's own lease keeps this one.
        leases.retain(|lease| lease.id != member.id);
        assert_eq!(census.alive(), 10 - ids.len());
        ids.push(member.id);
    });
    assert_eq!(ids.len(), 10);
    assert_eq!(census.alive(), 0);
}
