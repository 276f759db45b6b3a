//! Threads that meet on a pool's objects only: nothing but the control words orders what they write and read.
//!
//! Written for the thread sanitizer, which sees plain memory and atomics, but not into std's locks once threads contend for
//! them. So payloads are plain memory, handles are handed round in a way that orders nothing, and each thread fills its
//! magazine while it is its turn: afterwards hardly anybody goes to the pool's store.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use lease::{ControlBlockHandle, Pool, StrongLease};

const PLACES: usize = 8;
const THREADS: usize = 3;
const ROUNDS: u64 = 30_000;

/// Plain memory that is written at both ends of its life.
struct Payload([u64; 4]);

impl Payload {
    fn look(&self) {
        assert!(self.0.iter().all(|&word| word == self.0[0] && word != u64::MAX));
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.0 = [u64::MAX; 4];
        // So that the writes are not taken for dead.
        std::hint::black_box(&self.0);
    }
}

/// What the threads leave for each other.
struct Board {
    handles: [AtomicU64; PLACES],
    leases: [AtomicPtr<Payload>; PLACES],
    /// Whose turn it is to fill a magazine.
    turn: AtomicUsize,
}

/// Slots that a thread takes while it is its turn.
const SLOTS: usize = 480;

impl Board {
    /// Leaves a lease in a place and takes the one that was there. Who takes a lease from here sees what the thread that
    /// left it saw, as with any way of sending one.
    fn exchange(&self, place: usize, lease: Option<StrongLease<Payload>>) -> Option<StrongLease<Payload>> {
        let left = lease.map_or(ptr::null_mut(), |lease| StrongLease::into_raw(lease).cast_mut());
        let taken = self.leases[place].swap(left, Ordering::AcqRel);
        // SAFETY: what is in a place came from `into_raw`, and a swap takes it once.
        (!taken.is_null()).then(|| unsafe { StrongLease::from_raw(taken) })
    }
}

fn meet(pool: &Pool<Payload>, board: &Board, number: usize) {
    while board.turn.load(Ordering::Acquire) != number {
        thread::yield_now();
    }
    let mut kept: Vec<_> = (0..SLOTS).map(|_| pool.acquire(Payload([0; 4]))).collect();
    // What the others leave in the magazine fills half of it: it neither overflows nor runs empty soon.
    kept.truncate(SLOTS / 2);
    board.turn.store(number + 1, Ordering::Release);
    while board.turn.load(Ordering::Acquire) < THREADS {
        thread::yield_now();
    }
    let mut random = number as u64;
    for round in 0..ROUNDS {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let place = usize::try_from(random >> 61).expect("three bits");
        match (random >> 32) % 4 {
            0 => {
                let lease = pool.acquire(Payload([round; 4]));
                // Nothing is ordered by this store: whoever finds the handle has to get the payload from the pool.
                board.handles[place].store(StrongLease::handle(&lease).to_bits(), Ordering::Relaxed);
                drop(board.exchange(place, Some(lease)));
            }
            1 => {
                let handle = board.handles[place].load(Ordering::Relaxed);
                if let Some(lease) = pool.lock(ControlBlockHandle::from_bits(handle)) {
                    lease.look();
                    let other = lease.clone();
                    drop(lease);
                    other.look();
                }
            }
            2 => {
                let handle = board.handles[place].load(Ordering::Relaxed);
                if let Some(lease) = pool.lock(ControlBlockHandle::from_bits(handle)) {
                    let weak = StrongLease::downgrade(&lease);
                    drop(lease);
                    if let Some(again) = weak.lock() {
                        again.look();
                    }
                }
            }
            _ => {
                if let Some(lease) = board.exchange(place, None) {
                    lease.look();
                }
            }
        }
    }
}

#[test]
fn races_for_payloads_are_decided_by_the_control_words() {
    let pool = Pool::new();
    let board = Board {
        handles: [const { AtomicU64::new(0) }; PLACES],
        leases: [const { AtomicPtr::new(ptr::null_mut()) }; PLACES],
        turn: AtomicUsize::new(0),
    };
    // All the segments that will be needed.
    drop(
        (0..THREADS * 600)
            .map(|_| pool.acquire(Payload([0; 4])))
            .collect::<Vec<_>>(),
    );
    thread::scope(|scope| {
        let (pool, board) = (&pool, &board);
        let threads: Vec<_> = (0..THREADS)
            .map(|number| scope.spawn(move || meet(pool, board, number)))
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
    });
    for place in 0..PLACES {
        drop(board.exchange(place, None));
    }
    assert_eq!(pool.stats().live, 0);
}
