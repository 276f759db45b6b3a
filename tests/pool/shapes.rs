//! Sizes, auto traits, and payloads of every shape.

use std::mem::size_of;

use lease::{ControlBlockHandle, Pool, StrongLease, UniqueLease, WeakLease};

use crate::support::with_a_large_stack;

#[test]
fn leases_are_one_pointer_wide_and_have_a_niche() {
    assert_eq!(size_of::<StrongLease<u64>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<StrongLease<u64>>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<WeakLease<u64>>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<UniqueLease<u64>>>(), size_of::<usize>());
    assert_eq!(size_of::<ControlBlockHandle<u64>>(), 8);
}

#[test]
fn leases_of_shareable_payloads_cross_threads() {
    fn shareable<T: Send + Sync>() {}
    shareable::<Pool<String>>();
    shareable::<StrongLease<String>>();
    shareable::<WeakLease<String>>();
    shareable::<UniqueLease<String>>();
    shareable::<ControlBlockHandle<std::rc::Rc<u8>>>();
}

#[test]
fn payloads_of_every_shape_have_their_place() {
    #[derive(Clone, Copy)]
    #[repr(align(4096))]
    struct Page([u8; 4096]);

    let nothing = Pool::new();
    let units: Vec<_> = (0..5000).map(|_| nothing.acquire(())).collect();
    assert_eq!(nothing.stats().live, 5000);
    drop(units);

    let pages = Pool::new();
    let leases: Vec<_> = (0..100).map(|n| pages.acquire(Page([n; 4096]))).collect();
    for (n, lease) in leases.iter().enumerate() {
        assert_eq!((&raw const **lease).addr() % 4096, 0);
        assert!(lease.0.iter().all(|&byte| usize::from(byte) == n));
        assert!(pages.lock(StrongLease::handle(lease)).is_some());
    }
}

#[allow(
    clippy::large_stack_arrays,
    reason = "a payload of this size is the point; the stack is large"
)]
fn megabyte(byte: u8) -> [u8; 1 << 20] {
    [byte; 1 << 20]
}

#[test]
fn megabyte_payloads_have_their_place() {
    with_a_large_stack(|| {
        let large = Pool::new();
        let megabytes: Vec<_> = (0..5_u8).map(|n| large.acquire(megabyte(n))).collect();
        for (n, lease) in megabytes.iter().enumerate() {
            assert!(lease.iter().all(|&byte| usize::from(byte) == n));
            let weak = StrongLease::downgrade(lease);
            assert!(weak.lock().is_some());
        }
    });
}

#[test]
fn a_lease_debugs_and_displays_as_its_payload() {
    let pool = Pool::new();
    let lease = pool.acquire("x");
    assert_eq!(format!("{lease} {lease:?}"), "x \"x\"");
    assert!(format!("{pool:?}").contains("live: 1"), "{pool:?}");
}
