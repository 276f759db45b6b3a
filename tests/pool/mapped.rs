//! Leases that show their payload as something else.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use lease::{MappedLease, Pool, StrongLease};

use crate::support::{Census, Counted};

trait Shape: Send + Sync {
    fn area(&self) -> u32;
}

struct Square(u32, #[expect(dead_code, reason = "only its end matters")] Counted);

#[repr(align(256))]
struct Strip {
    width: u32,
    _counted: Counted,
}

/// Without a size, but not without an end.
struct Nothing;

impl Shape for Square {
    fn area(&self) -> u32 {
        self.0 * self.0
    }
}

impl Shape for Strip {
    fn area(&self) -> u32 {
        assert_eq!((&raw const *self).addr() % 256, 0);
        self.width
    }
}

impl Shape for Nothing {
    fn area(&self) -> u32 {
        0
    }
}

#[test]
fn payloads_of_many_types_and_pools_are_leased_as_one() {
    let census = Census::default();
    let (squares, strips, nothings) = (Pool::new(), Pool::new(), Pool::new());
    let mut shapes: Vec<MappedLease<dyn Shape>> = Vec::new();
    for n in 0..100 {
        let counted = || census.member(u64::from(n));
        shapes.push(StrongLease::map(squares.acquire(Square(n, counted())), |it| {
            it as &dyn Shape
        }));
        let strip = Strip {
            width: n,
            _counted: counted(),
        };
        shapes.push(StrongLease::map(strips.acquire(strip), |it| it as &dyn Shape));
        shapes.push(StrongLease::map(nothings.acquire(Nothing), |it| it as &dyn Shape));
    }
    let area: u32 = shapes.iter().map(|shape| shape.area()).sum();
    assert_eq!(area, (0..100).map(|n| n * n + n).sum());
    assert_eq!(census.alive(), 200);
    drop((squares, strips, nothings));
    thread::scope(|scope| {
        let half = shapes.split_off(150);
        scope.spawn(move || assert!(half.iter().all(|shape| shape.area() < 10_000)));
        drop(shapes);
    });
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_mapped_lease_is_one_of_the_strong_ones() {
    let census = Census::default();
    let pool = Pool::new();
    let lease = pool.acquire(vec![census.member(1), census.member(2)]);
    let weak = StrongLease::downgrade(&lease);
    let handle = StrongLease::handle(&lease);
    let slice: MappedLease<[Counted]> = StrongLease::map(lease.clone(), |list| &list[..]);
    let second: MappedLease<Counted> = MappedLease::map(slice.clone(), |slice| &slice[1]);
    assert_eq!(StrongLease::strong_count(&lease), 3);
    drop((lease, slice));
    assert_eq!(second.id, 2);
    assert!(pool.lock(handle).is_some_and(|lease| lease.len() == 2));
    assert!(weak.lock().is_some());
    assert!(MappedLease::release(second), "the last strong lease of any kind");
    assert!(weak.lock().is_none());
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_view_that_panics_drops_the_lease() {
    let census = Census::default();
    let pool = Pool::new();
    let lease = pool.acquire(census.member(1));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        StrongLease::map(lease, |_| -> &u64 { panic!("no view") })
    }));
    assert!(outcome.is_err());
    assert_eq!(census.alive(), 0);
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn a_view_may_be_of_something_that_lasts_for_ever() {
    let pool = Pool::new();
    let text = StrongLease::map(pool.acquire(1), |_| "for ever");
    assert_eq!(format!("{text} {text:?}"), "for ever \"for ever\"");
    assert_eq!(pool.stats().live, 1);
    drop(text);
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn a_recycling_pool_gets_its_payload_back_from_a_mapped_lease() {
    let pool = Pool::builder().recycle(Vec::clear).build();
    let slice: MappedLease<[u8]> = StrongLease::map(pool.acquire(vec![7; 100]), |list| &list[..]);
    assert_eq!(slice.len(), 100);
    drop(slice);
    let again = pool.acquire_recycled(|| panic!("one was kept"));
    assert!(again.is_empty() && again.capacity() >= 100);
}

#[test]
fn mapped_leases_cross_threads_if_what_they_show_does() {
    fn shareable<T: Send + Sync>() {}
    shareable::<MappedLease<dyn Shape>>();
    shareable::<MappedLease<dyn Debug + Sync>>();
    shareable::<MappedLease<[u8]>>();
    assert_eq!(
        size_of::<Option<MappedLease<u8>>>(),
        3 * size_of::<usize>(),
        "what is seen, the slot, and how it ends"
    );
}
