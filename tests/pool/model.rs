//! Ten thousand random lists of operations on a pool, each against a model that only counts.

use lease::{AcquireError, ControlBlockHandle, LockError, Pool, StrongLease, UniqueLease, WeakLease};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::support::{Census, Counted};

/// What can be done; the numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Acquire,
    AcquireUnique,
    AcquireCyclic,
    AcquireRecycled,
    Share(usize),
    Clone(usize),
    Downgrade(usize),
    CloneWeak(usize),
    LockWeak(usize),
    LockHandle(usize),
    RawRoundTrip(usize),
    ReleaseStrong(usize),
    ReleaseWeak(usize),
    DropUnique(usize),
    Iterate,
    Shrink,
    Shutdown,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let any = any::<usize>;
    let step = prop_oneof![
        6 => Just(Step::Acquire),
        2 => Just(Step::AcquireUnique),
        1 => Just(Step::AcquireCyclic),
        2 => Just(Step::AcquireRecycled),
        2 => any().prop_map(Step::Share),
        3 => any().prop_map(Step::Clone),
        3 => any().prop_map(Step::Downgrade),
        1 => any().prop_map(Step::CloneWeak),
        3 => any().prop_map(Step::LockWeak),
        4 => any().prop_map(Step::LockHandle),
        1 => any().prop_map(Step::RawRoundTrip),
        6 => any().prop_map(Step::ReleaseStrong),
        3 => any().prop_map(Step::ReleaseWeak),
        1 => any().prop_map(Step::DropUnique),
        1 => Just(Step::Iterate),
        1 => Just(Step::Shrink),
        1 => Just(Step::Shutdown),
    ];
    vec(step, 1..60)
}

/// What the model knows of one object.
#[derive(Clone, Copy, Debug, Default)]
struct Object {
    strong: usize,
    weak: usize,
    unique: bool,
}

impl Object {
    fn uses_its_slot(self) -> bool {
        self.strong > 0 || self.weak > 0 || self.unique
    }

    fn is_alive(self) -> bool {
        self.strong > 0 || self.unique
    }
}

/// A pool, the leases on it, and what the model says about them. Each lease goes with the number of its object.
struct World {
    pool: Pool<Counted>,
    capacity: Option<usize>,
    recycles: bool,
    closed: bool,
    census: Census,
    objects: Vec<Object>,
    strong: Vec<(usize, StrongLease<Counted>)>,
    weak: Vec<(usize, WeakLease<Counted>)>,
    unique: Vec<(usize, UniqueLease<Counted>)>,
    handles: Vec<(usize, ControlBlockHandle<Counted>)>,
}

fn pick<L>(of: &[L], choice: usize) -> Option<usize> {
    (!of.is_empty()).then(|| choice % of.len())
}

impl World {
    fn new(capacity: Option<usize>, recycles: bool) -> Self {
        let mut builder = Pool::builder().segment_bytes(16 << 10);
        if let Some(slots) = capacity {
            builder = builder.capacity(slots);
        }
        if recycles {
            // The reset payload is another object, whose number is given when it is handed out.
            builder = builder.recycle(|counted: &mut Counted| counted.id = u64::MAX);
        }
        Self {
            pool: builder.build(),
            capacity,
            recycles,
            closed: false,
            census: Census::default(),
            objects: Vec::new(),
            strong: Vec::new(),
            weak: Vec::new(),
            unique: Vec::new(),
            handles: Vec::new(),
        }
    }

    fn in_use(&self) -> usize {
        self.objects
            .iter()
            .filter(|object| object.uses_its_slot())
            .count()
    }

    /// The refusal that the next acquire has to meet, if any.
    fn refusal(&self) -> Option<AcquireError> {
        if self.closed {
            return Some(AcquireError::Closed);
        }
        match self.capacity {
            Some(capacity) if self.in_use() == capacity => Some(AcquireError::Exhausted { capacity }),
            _ => None,
        }
    }

    fn entered(&mut self, lease: StrongLease<Counted>) {
        self.handles
            .push((self.objects.len(), StrongLease::handle(&lease)));
        self.strong.push((self.objects.len(), lease));
        self.objects.push(Object {
            strong: 1,
            ..Object::default()
        });
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Acquire | Step::AcquireCyclic | Step::AcquireRecycled | Step::AcquireUnique => {
                self.bring_in(step);
            }
            Step::ReleaseStrong(_) | Step::ReleaseWeak(_) | Step::DropUnique(_) => self.give_up(step),
            Step::Iterate | Step::Shrink | Step::Shutdown => self.treat_as_a_whole(step),
            _ => self.pass_on(step),
        }
    }

    fn bring_in(&mut self, step: &Step) {
        let id = self.objects.len() as u64;
        let (census, refusal) = (self.census.clone(), self.refusal());
        match *step {
            Step::Acquire => match self.pool.try_acquire_with(|| census.member(id)) {
                Ok(lease) => self.entered(lease),
                Err(error) => assert_eq!(Some(error), refusal),
            },
            Step::AcquireCyclic => match self.pool.try_acquire_cyclic(|me| {
                assert!(me.lock().is_none());
                census.member(id)
            }) {
                Ok(lease) => self.entered(lease),
                Err(error) => assert_eq!(Some(error), refusal),
            },
            Step::AcquireRecycled => match self.pool.try_acquire_recycled(|| census.member(id)) {
                // A recycled payload has lost its number; a new number needs sole use.
                Ok(lease) if lease.id != id => assert!(self.recycles && lease.id == u64::MAX),
                Ok(lease) => self.entered(lease),
                Err(error) => assert_eq!(Some(error), refusal),
            },
            Step::AcquireUnique => match self.pool.try_acquire_unique(census.member(id)) {
                Ok(lease) => {
                    self.unique.push((self.objects.len(), lease));
                    self.objects.push(Object {
                        unique: true,
                        ..Object::default()
                    });
                }
                Err(error) => assert_eq!(Some(error), refusal),
            },
            _ => unreachable!("not this kind of step"),
        }
    }

    fn pass_on(&mut self, step: &Step) {
        match *step {
            Step::Share(choice) => {
                if let Some(at) = pick(&self.unique, choice) {
                    let (object, unique) = self.unique.swap_remove(at);
                    self.objects[object] = Object {
                        strong: 1,
                        ..Object::default()
                    };
                    let lease = UniqueLease::share(unique);
                    self.handles.push((object, StrongLease::handle(&lease)));
                    self.strong.push((object, lease));
                }
            }
            Step::Clone(choice) => {
                if let Some(at) = pick(&self.strong, choice) {
                    let (object, lease) = (self.strong[at].0, self.strong[at].1.clone());
                    self.objects[object].strong += 1;
                    self.strong.push((object, lease));
                }
            }
            Step::Downgrade(choice) => {
                if let Some(at) = pick(&self.strong, choice) {
                    let (object, weak) = (self.strong[at].0, StrongLease::downgrade(&self.strong[at].1));
                    self.objects[object].weak += 1;
                    self.weak.push((object, weak));
                }
            }
            Step::CloneWeak(choice) => {
                if let Some(at) = pick(&self.weak, choice) {
                    let (object, weak) = (self.weak[at].0, self.weak[at].1.clone());
                    self.objects[object].weak += 1;
                    self.weak.push((object, weak));
                }
            }
            Step::LockWeak(choice) => {
                if let Some(at) = pick(&self.weak, choice) {
                    let (object, locked) = (self.weak[at].0, self.weak[at].1.lock());
                    assert_eq!(locked.is_some(), self.objects[object].strong > 0);
                    if let Some(lease) = locked {
                        self.objects[object].strong += 1;
                        self.strong.push((object, lease));
                    }
                }
            }
            Step::LockHandle(choice) => {
                if let Some(at) = pick(&self.handles, choice) {
                    let (object, handle) = self.handles[at];
                    match self.pool.try_lock(handle) {
                        Ok(lease) => {
                            self.objects[object].strong += 1;
                            self.strong.push((object, lease));
                        }
                        Err(error) => {
                            assert_eq!((error, self.objects[object].strong), (LockError::Stale, 0));
                        }
                    }
                }
            }
            Step::RawRoundTrip(choice) => {
                if let Some(at) = pick(&self.strong, choice) {
                    let (object, lease) = self.strong.swap_remove(at);
                    let raw = StrongLease::into_raw(lease);
                    // SAFETY: the pointer came from `into_raw` just now and is taken back once.
                    self.strong.push((object, unsafe { StrongLease::from_raw(raw) }));
                }
            }
            _ => unreachable!("not this kind of step"),
        }
    }

    fn give_up(&mut self, step: &Step) {
        match *step {
            Step::ReleaseStrong(choice) => {
                if let Some(at) = pick(&self.strong, choice) {
                    let (object, lease) = self.strong.swap_remove(at);
                    self.objects[object].strong -= 1;
                    assert_eq!(StrongLease::release(lease), self.objects[object].strong == 0);
                }
            }
            Step::ReleaseWeak(choice) => {
                if let Some(at) = pick(&self.weak, choice) {
                    let (object, weak) = self.weak.swap_remove(at);
                    self.objects[object].weak -= 1;
                    assert_eq!(weak.release(), !self.objects[object].uses_its_slot());
                }
            }
            Step::DropUnique(choice) => {
                if let Some(at) = pick(&self.unique, choice) {
                    let (object, lease) = self.unique.swap_remove(at);
                    self.objects[object].unique = false;
                    drop(lease);
                }
            }
            _ => unreachable!("not this kind of step"),
        }
    }

    fn treat_as_a_whole(&mut self, step: &Step) {
        match *step {
            Step::Iterate => {
                let mut seen: Vec<_> = self.pool.iter().map(|lease| lease.id).collect();
                seen.sort_unstable();
                let alive = (0..).zip(&self.objects).filter(|(_, object)| object.strong > 0);
                assert_eq!(seen, alive.map(|(id, _)| id).collect::<Vec<u64>>());
            }
            Step::Shrink => {
                self.pool.shrink_to_fit();
                assert!(self.in_use() > 0 || self.pool.stats().segments == 0);
            }
            Step::Shutdown => {
                let empty = self.in_use() == 0;
                assert_eq!(self.pool.shutdown().is_ok(), empty);
                self.closed |= empty;
            }
            _ => unreachable!("not this kind of step"),
        }
    }

    fn check(&self) {
        let alive = self.objects.iter().filter(|object| object.is_alive()).count();
        if self.recycles {
            assert!(self.census.alive() >= alive);
        } else {
            assert_eq!(self.census.alive(), alive);
        }
        assert_eq!(self.pool.stats().live, self.in_use());
        for (object, lease) in &self.strong {
            assert_eq!(lease.id, *object as u64);
            assert_eq!(StrongLease::strong_count(lease), self.objects[*object].strong);
            assert_eq!(StrongLease::weak_count(lease), self.objects[*object].weak);
        }
        for (object, lease) in &self.unique {
            assert_eq!(lease.id, *object as u64);
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 10_000, ..Config::default() })]

    #[test]
    fn a_pool_does_what_the_model_says(
        steps in steps(),
        capacity in prop_oneof![Just(None), (1_usize..6).prop_map(Some)],
        recycles in any::<bool>(),
        pool_ends_first in any::<bool>(),
    ) {
        let mut world = World::new(capacity, recycles);
        for step in &steps {
            world.step(step);
        }
        world.check();
        let census = world.census.clone();
        if pool_ends_first {
            let World { pool, strong, weak, unique, .. } = world;
            drop(pool);
            drop((weak, unique, strong));
        } else {
            drop(world);
        }
        prop_assert_eq!(census.alive(), 0);
    }
}
