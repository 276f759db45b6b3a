//! Rows c2, f, f2 and g: two threads.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use crossbeam_queue::ArrayQueue;
use lease::Pool;
use lease_benches::{Nanos, Side, each, row, since};
use sharded_slab::Slab;

use super::{Targets, payload, side};

const COUNT: u32 = 200_000;
const BURST: u32 = 256;

/// The slower of two threads that start together.
fn both(work: impl Fn() -> Nanos + Sync) -> Nanos {
    let barrier = Barrier::new(2);
    let timed = || {
        barrier.wait();
        // Half of the operations are this thread's.
        work() / 2.0
    };
    thread::scope(|scope| {
        let other = scope.spawn(timed);
        timed().max(other.join().expect("no panic"))
    })
}

fn bursts<L>(acquire: impl Fn(u32) -> L) -> Nanos {
    let mut leases = Vec::with_capacity(BURST as usize);
    let start = Instant::now();
    for _ in 0..COUNT / BURST {
        leases.extend((0..BURST).map(&acquire));
        leases.clear();
    }
    since(start, COUNT)
}

/// One thread acquires, the other releases what comes through a ring.
fn handed_over<L: Send>(acquire: impl Fn(u32) -> L) -> Nanos {
    let ring = ArrayQueue::new(1024);
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..COUNT {
                let lease = loop {
                    match ring.pop() {
                        Some(lease) => break lease,
                        None => thread::yield_now(),
                    }
                };
                drop(black_box(lease));
            }
        });
        for n in 0..COUNT {
            let mut lease = acquire(n);
            while let Err(back) = ring.push(lease) {
                lease = back;
                thread::yield_now();
            }
        }
    });
    since(start, COUNT)
}

pub(crate) fn run(targets: &Targets) -> usize {
    let (pool, slab) = (Pool::new(), Slab::new());
    let locked = lease_peer::Pool::new();
    let objects = object_pool::Pool::new(64, || payload(0));
    let deadpool = deadpool::unmanaged::Pool::from((0..64).map(payload).collect::<Vec<_>>());
    let (lease, arc) = (pool.acquire(payload(1)), Arc::new(payload(1)));
    row(
        "c2 clone and drop, two threads on one object",
        vec![
            Side::new("lease", || both(|| each(COUNT, |_| lease.clone()))),
            Side::new("Arc", || both(|| each(COUNT, |_| Arc::clone(&arc)))).target(1.10),
        ],
    ) + row(
        "f acquire and release, two threads",
        vec![
            Side::new("lease", || both(|| each(COUNT, |n| pool.acquire(payload(n))))),
            side("Arc", targets.two_threads, || {
                both(|| each(COUNT, |n| Arc::new(payload(n))))
            }),
            Side::new("triomphe", || {
                both(|| each(COUNT, |n| triomphe::Arc::new(payload(n))))
            }),
            Side::new("sharded-slab", || {
                both(|| {
                    each(COUNT, |n| {
                        let key = slab.insert(payload(n)).expect("room");
                        slab.remove(key)
                    })
                })
            })
            .target(0.40),
            Side::new("lease 0.5 (locks)", || {
                both(|| each(COUNT, |n| locked.try_get_or_new(|| payload(n))))
            }),
            Side::new("object-pool (locks)", || {
                both(|| {
                    each(COUNT, |n| {
                        let mut object = objects.try_pull().expect("there are 64");
                        *object = payload(n);
                        object
                    })
                })
            }),
            Side::new("deadpool (locks)", || {
                both(|| {
                    each(COUNT, |n| {
                        let mut object = deadpool.try_get().expect("there are 64");
                        *object = payload(n);
                        object
                    })
                })
            }),
            Side::new("lease unique", || {
                both(|| each(COUNT, |n| pool.acquire_unique(payload(n))))
            }),
        ],
    ) + row(
        "f2 bursts of 256, two threads",
        vec![
            Side::new("lease", || both(|| bursts(|n| pool.acquire(payload(n))))),
            Side::new("Arc", || both(|| bursts(|n| Arc::new(payload(n))))).target(targets.bursts),
            Side::new("triomphe", || both(|| bursts(|n| triomphe::Arc::new(payload(n))))),
        ],
    ) + row(
        "g acquired here, released there",
        vec![
            Side::new("lease", || handed_over(|n| pool.acquire(payload(n)))),
            Side::new("Arc", || handed_over(|n| Arc::new(payload(n)))).target(targets.handed_over),
            Side::new("triomphe", || handed_over(|n| triomphe::Arc::new(payload(n)))),
            Side::new("the ring alone", || handed_over(|n| n)),
        ],
    )
}
