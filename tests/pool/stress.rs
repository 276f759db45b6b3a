//! A long mixed run for the sanitizers: many threads, every operation, pools that end under their leases.
//!
//! Short in an ordinary run; `LEASE_STRESS=1000000` (rounds a thread) makes it long enough for the address and thread
//! sanitizers. No channel, no `Arc`, no lock of std between the threads, whose own tricks make the latter cry.

use std::env;
use std::thread;

use lease::{ControlBlockHandle, Pool, StrongLease, UniqueLease, WeakLease};

const THREADS: usize = 4;

fn rounds() -> usize {
    env::var("LEASE_STRESS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(5_000)
}

/// A payload with memory of its own, so that a use after its end is one of freed memory.
struct Payload {
    text: Box<[u64; 4]>,
}

impl Payload {
    fn new(seed: u64) -> Self {
        Self {
            text: Box::new([seed; 4]),
        }
    }

    fn check(&self) -> u64 {
        assert!(self.text.iter().all(|&word| word == self.text[0]));
        self.text[0]
    }
}

/// A small deterministic source of choices.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap_or(0)
    }
}

/// One thread's possessions.
#[derive(Default)]
struct Bag {
    strong: Vec<StrongLease<Payload>>,
    weak: Vec<WeakLease<Payload>>,
    unique: Vec<UniqueLease<Payload>>,
    handles: Vec<ControlBlockHandle<Payload>>,
}

impl Bag {
    fn step(&mut self, pool: &Pool<Payload>, dice: &mut Dice) {
        const MOST: usize = 300;
        let seed = dice.0;
        match dice.roll(12) {
            0..=2 if self.strong.len() < MOST => self.strong.extend(pool.try_acquire(Payload::new(seed))),
            3 if self.unique.len() < MOST => self.unique.extend(pool.try_acquire_unique(Payload::new(seed))),
            4 if !self.unique.is_empty() => {
                let unique = self.unique.swap_remove(dice.roll(self.unique.len()));
                if dice.roll(2) == 0 {
                    self.strong.push(UniqueLease::share(unique));
                }
            }
            5 if !self.strong.is_empty() && self.weak.len() < MOST => {
                let strong = &self.strong[dice.roll(self.strong.len())];
                self.weak.push(StrongLease::downgrade(strong));
                self.handles.push(StrongLease::handle(strong));
            }
            6 if !self.weak.is_empty() => {
                if let Some(strong) = self.weak[dice.roll(self.weak.len())].lock() {
                    strong.check();
                    self.strong.push(strong);
                }
            }
            7 if !self.weak.is_empty() => drop(self.weak.swap_remove(dice.roll(self.weak.len()))),
            8 if !self.handles.is_empty() => {
                let handle = self.handles.swap_remove(dice.roll(self.handles.len()));
                if let Some(strong) = pool.lock(handle) {
                    strong.check();
                }
            }
            9 if !self.strong.is_empty() && self.strong.len() < MOST => {
                self.strong
                    .push(self.strong[dice.roll(self.strong.len())].clone());
            }
            10 if dice.roll(200) == 0 => {
                for strong in pool.iter().take(50) {
                    strong.check();
                }
            }
            _ if !self.strong.is_empty() => {
                let strong = self.strong.swap_remove(dice.roll(self.strong.len()));
                strong.check();
                drop(strong);
            }
            _ => {}
        }
    }
}

/// Threads on one pool, starting from leases on common objects; half of the pools end under their leases.
fn run(pool: Pool<Payload>, rounds: usize) {
    let common: Vec<_> = (0..32)
        .filter_map(|n| pool.try_acquire(Payload::new(n)).ok())
        .collect();
    let bags: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS as u64)
            .map(|number| {
                let (pool, common) = (&pool, &common);
                scope.spawn(move || {
                    let mut bag = Bag::default();
                    bag.strong.extend(common.iter().cloned());
                    bag.weak.extend(common.iter().map(StrongLease::downgrade));
                    bag.handles.extend(common.iter().map(StrongLease::handle));
                    let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number));
                    for _ in 0..rounds {
                        bag.step(pool, &mut dice);
                    }
                    bag
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    drop(common);
    thread::scope(|scope| {
        for bag in bags {
            scope.spawn(move || drop(bag));
        }
        drop(pool);
    });
}

#[test]
fn every_operation_on_many_threads_at_once() {
    let pieces = (rounds() / 5_000).max(1);
    for piece in 0..pieces {
        let rounds = rounds().min(5_000);
        run(Pool::new(), rounds);
        run(Pool::builder().segment_bytes(16 << 10).build(), rounds);
        if piece % 4 == 0 {
            run(Pool::builder().capacity(500).build(), rounds);
        }
    }
}
