//! Rows a to e and i: one thread.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_epoch::Atomic;
use lease::{Pool, StrongLease};
use lease_benches::{Nanos, Side, each, row, short_row, since};
use sharded_slab::Slab;
use slotmap::SlotMap;

use super::{Targets, payload, side};

/// Some 100 µs to a round.
const COUNT: u32 = 20_000;
const LIVE: u32 = 1_000_000;

pub(crate) fn run(targets: &Targets) -> usize {
    acquire(targets) + random_order(targets) + shared() + handles() + iterate()
}

fn acquire(targets: &Targets) -> usize {
    let pool = Pool::new();
    let slab = Slab::new();
    let locked = lease_peer::Pool::new();
    let mut map = SlotMap::new();
    let mut missed = short_row(
        "a acquire and release, 64 bytes",
        vec![
            Side::new("lease", || each(COUNT, |n| pool.acquire(payload(n)))),
            side("Arc", targets.acquire, || each(COUNT, |n| Arc::new(payload(n)))),
            Side::new("triomphe", || each(COUNT, |n| triomphe::Arc::new(payload(n)))),
            Side::new("sharded-slab", || {
                each(COUNT, |n| {
                    let key = slab.insert(payload(n)).expect("room");
                    slab.remove(key)
                })
            })
            .target(0.40),
            Side::new("slotmap", || {
                each(COUNT, |n| {
                    let key = map.insert(payload(n));
                    map.remove(key)
                })
            }),
            Side::new("lease 0.5 (locks)", || {
                each(COUNT, |n| locked.try_get_or_new(|| payload(n)))
            }),
        ],
    );
    missed += short_row(
        "a unique",
        vec![
            Side::new("lease", || each(COUNT, |n| pool.acquire_unique(payload(n)))),
            side("Arc", targets.unique, || each(COUNT, |n| Arc::new(payload(n)))),
        ],
    );
    missed
}

/// The same shuffle for everybody.
fn order() -> Vec<usize> {
    let mut order: Vec<usize> = (0..1000).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for last in (1..order.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(last, usize::try_from(state % (last as u64 + 1)).expect("small"));
    }
    order
}

fn in_random_order<L>(order: &[usize], acquire: impl Fn(u32) -> L) -> Nanos {
    let mut leases: Vec<Option<L>> = Vec::with_capacity(order.len());
    let start = Instant::now();
    for _ in 0..10 {
        leases.extend((0..1000).map(|n| Some(acquire(n))));
        for &at in order {
            drop(black_box(leases[at].take()));
        }
        leases.clear();
    }
    since(start, 10_000)
}

fn random_order(targets: &Targets) -> usize {
    let (pool, order) = (Pool::new(), order());
    short_row(
        "b acquire 1000, release in random order",
        vec![
            Side::new("lease", || in_random_order(&order, |n| pool.acquire(payload(n)))),
            Side::new("Arc", || in_random_order(&order, |n| Arc::new(payload(n))))
                .target(targets.random_order),
            Side::new("triomphe", || {
                in_random_order(&order, |n| triomphe::Arc::new(payload(n)))
            }),
            Side::new("lease unique", || {
                in_random_order(&order, |n| pool.acquire_unique(payload(n)))
            }),
        ],
    )
}

fn shared() -> usize {
    let pool = Pool::new();
    let (lease, arc) = (pool.acquire(payload(1)), Arc::new(payload(1)));
    let (weak, arc_weak) = (StrongLease::downgrade(&lease), Arc::downgrade(&arc));
    short_row(
        "c clone and drop",
        vec![
            Side::new("lease", || each(COUNT, |_| lease.clone())),
            Side::new("Arc", || each(COUNT, |_| Arc::clone(&arc))).target(1.03),
        ],
    ) + short_row(
        "d weak lock and drop",
        vec![
            Side::new("lease", || each(COUNT, |_| weak.lock())),
            Side::new("Arc", || each(COUNT, |_| arc_weak.upgrade())).target(1.03),
        ],
    )
}

fn handles() -> usize {
    let (pool, slab, arc) = (Pool::new(), Slab::new(), Arc::new(payload(1)));
    let lease = pool.acquire(payload(1));
    let handle = black_box(StrongLease::handle(&lease));
    let key = black_box(slab.insert(payload(1)).expect("room"));
    let weak = Arc::downgrade(&arc);
    let stale = StrongLease::handle(&pool.acquire(payload(2)));
    let stale_key = slab.insert(payload(2)).expect("room");
    slab.remove(stale_key);
    let stale_weak = Arc::downgrade(&Arc::new(payload(2)));
    let pinned = Atomic::new(payload(1));
    let missed = short_row(
        "e handle to lease, hit",
        vec![
            Side::new("lease", || each(COUNT, |_| pool.lock(black_box(handle)))),
            Side::new("sharded-slab", || {
                each(COUNT, |_| slab.get(black_box(key)).map(|guard| guard[0]))
            })
            .target(0.70),
            Side::new("Weak", || each(COUNT, |_| weak.upgrade())),
            Side::new("epoch-pinned read", || {
                each(COUNT, |_| {
                    let guard = crossbeam_epoch::pin();
                    // SAFETY: nothing is ever retired here, so what is there stays.
                    unsafe { pinned.load(Ordering::Acquire, &guard).as_ref() }.map(|payload| payload[0])
                })
            }),
        ],
    ) + short_row(
        "e handle to lease, stale",
        vec![
            Side::new("lease", || each(COUNT, |_| pool.lock(black_box(stale)))),
            Side::new("sharded-slab", || {
                each(COUNT, |_| slab.get(black_box(stale_key)).is_some())
            })
            .target(0.55),
            Side::new("Weak", || each(COUNT, |_| stale_weak.upgrade())),
        ],
    );
    // SAFETY: nobody else has the pointer.
    drop(unsafe { pinned.into_owned() });
    missed
}

fn iterate() -> usize {
    let mut pool = Pool::new();
    let leases: Vec<_> = (0..LIVE).map(|n| pool.acquire(payload(n))).collect();
    let arcs: Vec<_> = (0..LIVE).map(|n| Arc::new(payload(n))).collect();
    let mut map = SlotMap::new();
    for n in 0..LIVE {
        map.insert(payload(n));
    }
    let timed = |sum: &mut dyn FnMut() -> u64| {
        let start = Instant::now();
        black_box(sum());
        since(start, LIVE)
    };
    let missed = row(
        "i iterate a million, a lease each",
        vec![
            Side::new("lease", || timed(&mut || pool.iter().map(|lease| lease[0]).sum())),
            Side::new("Vec<Arc>", || timed(&mut || arcs.iter().map(|arc| arc[0]).sum())).target(2.6),
        ],
    ) + row(
        "i iterate a million, exclusive",
        vec![
            Side::new("lease", || {
                timed(&mut || {
                    let mut sum = 0;
                    pool.for_each(|payload| sum += payload[0]);
                    sum
                })
            }),
            Side::new("slotmap", || {
                timed(&mut || map.values().map(|value| value[0]).sum())
            })
            .target(1.05),
        ],
    );
    drop(leases);
    missed
}
