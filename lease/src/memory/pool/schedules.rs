//! Schedules for shuttle: more threads, more objects and longer lives than loom's models can have. Run with
//! `--cfg shuttle`.
//!
//! Shuttle interleaves whole steps and knows nothing of orderings, which are the models' part. Each schedule is run at
//! random and with few, well-placed preemptions (PCT); `LEASE_SCHEDULES` sets how often.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use shuttle::thread;

use super::recycle::Recycling;
use super::store::Options;
use super::{AcquireError, ControlBlockHandle, Pool, StrongLease, UniqueLease};
use crate::memory::strategy::System;
use crate::sync::Arc;
use crate::sync::global::{AtomicU64, Ordering};

/// How many payloads are alive.
type Census = Arc<AtomicU64>;

/// A payload that knows who it is, and whether it is still there.
struct Payload {
    id: usize,
    census: Census,
}

/// What is in the place of a payload's id when it has ended.
const GONE: usize = usize::MAX;

impl Payload {
    fn new(census: &Census, id: usize) -> Self {
        census.fetch_add(1, Ordering::SeqCst);
        Self {
            id,
            census: Arc::clone(census),
        }
    }

    /// Gives the others a chance between two looks.
    fn look(&self) -> usize {
        let id = self.id;
        thread::yield_now();
        assert_eq!(self.id, id, "a payload changed under its lease");
        assert_ne!(id, GONE, "a lease on a payload that has ended");
        id
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        assert_ne!(self.id, GONE, "a payload ended twice");
        self.id = GONE;
        self.census.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs a schedule many times. What it makes has to be gone when it ends.
fn explore(schedule: fn(&Census)) {
    let rounds = std::env::var("LEASE_SCHEDULES").map_or(1000, |rounds| rounds.parse().expect("a number"));
    let run = move || {
        let census = Census::default();
        schedule(&census);
        assert_eq!(census.load(Ordering::SeqCst), 0, "payloads are left");
    };
    shuttle::check_random(run, rounds);
    shuttle::check_pct(run, rounds, 3);
}

fn pool(capacity: Option<usize>, magazine: usize) -> Arc<Pool<Payload>> {
    let options = Options {
        capacity,
        magazine,
        shelf: 0,
        class: Some(0),
        recycling: None,
    };
    Arc::new(Pool::with_options(options, System))
}

fn pool_with_shelves(capacity: usize) -> Arc<Pool<Payload>> {
    let options = Options {
        capacity: Some(capacity),
        magazine: 0,
        shelf: 2,
        class: Some(0),
        recycling: None,
    };
    Arc::new(Pool::with_options(options, System))
}

fn recycling_pool(capacity: usize) -> Arc<Pool<Payload>> {
    let options = Options {
        capacity: Some(capacity),
        magazine: 0,
        shelf: 0,
        class: Some(0),
        recycling: Some(Recycling::of(|payload: &mut Payload| {
            thread::yield_now();
            payload.id = 0;
        })),
    };
    Arc::new(Pool::with_options(options, System))
}

fn spawn(run: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::spawn(run)
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// Two objects end by their last strong and weak leases, while others lock them, look them up, and take their slots.
fn lives_cross(census: &Census, pool: &Arc<Pool<Payload>>) {
    let strong = [1, 2].map(|id| pool.acquire(Payload::new(census, id)));
    let weak = [&strong[0], &strong[1]].map(StrongLease::downgrade);
    let handles = [&strong[0], &strong[1]].map(StrongLease::handle);
    let others = [&strong[0], &strong[1]].map(Clone::clone);
    let [first, second] = strong;
    let [weak_first, weak_second] = weak;
    let looker = Arc::clone(pool);
    let taker = Arc::clone(pool);
    let taker_census = Arc::clone(census);
    join([
        spawn(move || {
            drop(first);
            drop(second);
        }),
        spawn(move || {
            for other in others {
                drop(StrongLease::downgrade(&other));
            }
        }),
        spawn(move || {
            for (id, weak) in [(1, weak_first), (2, weak_second)] {
                if let Some(lease) = weak.lock() {
                    assert_eq!(lease.look(), id);
                }
                weak.release();
            }
        }),
        spawn(move || {
            for _ in 0..2 {
                for (id, handle) in (1..).zip(handles) {
                    if let Some(lease) = looker.lock(handle) {
                        assert_eq!(lease.look(), id);
                    }
                }
            }
            assert!(looker.iter().all(|lease| lease.look() < 10));
        }),
        spawn(move || {
            for id in 3..6 {
                if let Ok(lease) = taker.try_acquire(Payload::new(&taker_census, id)) {
                    let handle = StrongLease::handle(&lease);
                    assert_eq!(taker.lock(handle).expect("it is held").look(), id);
                }
            }
        }),
    ]);
    assert!(handles.iter().all(|&handle| pool.lock(handle).is_none()));
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn last_strong_last_weak_lock_lookup_and_the_next_in_a_bounded_pool() {
    explore(|census| {
        let pool = pool(Some(2), 0);
        lives_cross(census, &pool);
        let both = [1, 2].map(|id| {
            pool.try_acquire(Payload::new(census, id))
                .expect("both slots went back")
        });
        assert!(
            pool.try_acquire(Payload::new(census, 3)).is_err(),
            "and only once"
        );
        drop(both);
    });
}

#[test]
fn last_strong_last_weak_lock_lookup_and_the_next_with_magazines() {
    explore(|census| {
        let pool = pool(None, 2);
        lives_cross(census, &pool);
        let slots = pool.stats().slots;
        let all: Vec<_> = (0..slots)
            .map(|id| pool.acquire(Payload::new(census, id)))
            .collect();
        assert_eq!(pool.stats().slots, slots, "every slot went back");
        drop(all);
    });
}

/// A handle that the slot has yet to give out is tried while it is given out again and again.
#[test]
fn a_handle_meets_its_own_payload_or_none() {
    explore(|census| {
        let pool = pool(Some(1), 0);
        let first = StrongLease::handle(&pool.acquire(Payload::new(census, 0)));
        let generation = move |n: u64| ControlBlockHandle::from_bits(first.to_bits() + (n << 32));
        let lookers = [1, 2].map(|n| {
            let pool = Arc::clone(&pool);
            spawn(move || {
                for _ in 0..3 {
                    if let Some(lease) = pool.lock(generation(n)) {
                        assert_eq!(lease.look(), usize::try_from(n).expect("it is small"));
                    }
                }
            })
        });
        let mut id = 1;
        while id < 4 {
            // A looker may hold the slot for a while.
            if let Ok(lease) = pool.try_acquire(Payload::new(census, id)) {
                assert_eq!(StrongLease::handle(&lease), generation(id as u64));
                id += 1;
            } else {
                thread::yield_now();
            }
        }
        join(lookers);
    });
}

#[test]
fn slots_wander_between_magazines_and_none_is_lost_or_doubled() {
    explore(|census| {
        let pool = pool(Some(6), 2);
        let mut leases: Vec<_> = (0..6).map(|id| pool.acquire(Payload::new(census, id))).collect();
        let threads: Vec<_> = (0..3)
            .map(|n| {
                let (pool, census) = (Arc::clone(&pool), Arc::clone(census));
                let theirs = leases.split_off(leases.len() - 2);
                spawn(move || {
                    drop(theirs);
                    for round in 0..3 {
                        let id = 10 + n * 10 + round;
                        if let Ok(lease) = pool.try_acquire(Payload::new(&census, id)) {
                            assert_eq!(lease.look(), id);
                        }
                    }
                })
            })
            .collect();
        join(threads);
        let all: Vec<_> = (0..6)
            .map(|id| pool.try_acquire(Payload::new(census, id)).expect("none was lost"))
            .collect();
        assert!(
            pool.try_acquire(Payload::new(census, 6)).is_err(),
            "none was doubled"
        );
        drop(all);
    });
}

/// More wait than there are slots, and one of them gives up.
fn queue(census: &Census, pool: &Arc<Pool<Payload>>) {
    let held = [1, 2].map(|id| pool.acquire(Payload::new(census, id)));
    let mut threads: Vec<_> = (3..6)
        .map(|id| {
            let (pool, census) = (Arc::clone(pool), Arc::clone(census));
            spawn(move || {
                let lease = pool.acquire_blocking(Payload::new(&census, id));
                assert_eq!(lease.expect("nobody closes").look(), id);
            })
        })
        .collect();
    threads.push({
        let (pool, census) = (Arc::clone(pool), Arc::clone(census));
        spawn(move || {
            // Gives up, maybe with a slot in its hands.
            let mut waiting = pin!(pool.acquire_async(Payload::new(&census, 6)));
            drop(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        })
    });
    for lease in held {
        drop(lease);
    }
    join(threads);
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn everybody_who_waits_is_served() {
    explore(|census| queue(census, &pool(Some(2), 0)));
}

#[test]
fn everybody_who_waits_is_served_from_shelves_too() {
    explore(|census| queue(census, &pool_with_shelves(2)));
}

/// There are as many slots as threads, none of which ever has two: each finds one, on whatever shelf it is by then.
#[test]
fn those_who_keep_to_their_share_are_never_refused() {
    explore(|census| {
        let pool = pool_with_shelves(5);
        drop([1, 2, 3, 4, 5].map(|id| pool.acquire(Payload::new(census, id))));
        join([1, 2, 3, 4, 5].map(|id| {
            let (pool, census) = (Arc::clone(&pool), Arc::clone(census));
            spawn(move || {
                for _ in 0..4 {
                    let lease = pool.try_acquire(Payload::new(&census, id));
                    assert_eq!(lease.expect("one is free at any moment").look(), id);
                }
            })
        }));
    });
}

#[test]
fn close_reaches_everybody() {
    explore(|census| {
        let pool = pool(Some(1), 0);
        let threads: Vec<_> = (1..4)
            .map(|id| {
                let (pool, census) = (Arc::clone(&pool), Arc::clone(census));
                spawn(move || match pool.acquire_blocking(Payload::new(&census, id)) {
                    // Kept for good: only the close can end the others' waiting.
                    Ok(lease) => {
                        assert_eq!(lease.look(), id);
                        std::mem::forget(lease);
                        census.fetch_sub(1, Ordering::SeqCst);
                    }
                    Err(error) => assert_eq!(error, AcquireError::Closed),
                })
            })
            .collect();
        let closer = {
            let (pool, census) = (Arc::clone(&pool), Arc::clone(census));
            spawn(move || {
                pool.close();
                let late = pool.try_acquire(Payload::new(&census, 9));
                assert_eq!(late.err(), Some(AcquireError::Closed));
            })
        };
        join(threads);
        join([closer]);
    });
}

/// A pool ends while strong, unique and weak leases of its objects do.
fn end_of_a_pool(census: &Census, pool: Arc<Pool<Payload>>) {
    let strong: Vec<_> = (0..3).map(|id| pool.acquire(Payload::new(census, id))).collect();
    let weak: Vec<_> = strong.iter().map(StrongLease::downgrade).collect();
    let unique = pool.acquire_unique(Payload::new(census, 7));
    let plain = pool.acquire(Payload::new(census, 8));
    let more: Vec<_> = (10..14)
        .map(|id| pool.acquire(Payload::new(census, id)))
        .collect();
    join([
        spawn(move || drop(pool)),
        spawn(move || {
            let shared = UniqueLease::share(unique);
            assert_eq!(shared.look(), 7);
            drop(strong);
        }),
        spawn(move || {
            for (id, weak) in weak.into_iter().enumerate() {
                if let Some(lease) = weak.lock() {
                    assert_eq!(lease.look(), id);
                }
            }
            drop(plain);
        }),
        spawn(move || drop(more)),
    ]);
}

#[test]
fn a_pool_ends_before_during_or_after_its_leases() {
    explore(|census| end_of_a_pool(census, pool(None, 0)));
}

#[test]
fn a_pool_with_magazines_ends_before_during_or_after_its_leases() {
    explore(|census| end_of_a_pool(census, pool(None, 2)));
}

#[test]
fn a_pool_with_shelves_ends_before_during_or_after_its_leases() {
    explore(|census| end_of_a_pool(census, pool_with_shelves(9)));
}

#[test]
fn kept_payloads_change_hands_and_end_with_their_pool() {
    explore(|census| {
        let pool = recycling_pool(2);
        let leases = [1, 2].map(|id| pool.acquire(Payload::new(census, id)));
        let mut threads: Vec<_> = (3..5)
            .map(|id| {
                let (pool, census) = (Arc::clone(&pool), Arc::clone(census));
                spawn(move || {
                    if let Ok(lease) = pool.try_acquire_recycled(|| Payload::new(&census, id)) {
                        assert!([0, id].contains(&lease.look()), "reset or new");
                    }
                    drop(pool);
                })
            })
            .collect();
        threads.push(spawn(move || drop(pool)));
        threads.extend(leases.map(|lease| spawn(move || drop(lease))));
        join(threads);
    });
}

#[test]
fn a_pool_shuts_down_whole_or_not_at_all() {
    explore(|census| {
        let mut pool = Arc::into_inner(pool(None, 2)).expect("it is the only one");
        let leases = [1, 2, 3].map(|id| pool.acquire(Payload::new(census, id)));
        let handles = [&leases[0], &leases[1], &leases[2]].map(StrongLease::handle);
        let weak = StrongLease::downgrade(&leases[0]);
        let mut threads: Vec<_> = leases
            .into_iter()
            .map(|lease| spawn(move || drop(lease)))
            .collect();
        threads.push(spawn(move || drop(weak.lock())));
        let returned = pool.shrink_to_fit();
        let ended = pool.shutdown().is_ok();
        assert_eq!(pool.is_closed(), ended);
        assert!(!ended || pool.stats().bytes == 0);
        assert!(ended || returned > 0 || pool.stats().bytes > 0);
        join(threads);
        assert!(handles.iter().all(|&handle| pool.lock(handle).is_none()));
    });
}
