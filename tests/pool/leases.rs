//! Strong, weak and unique leases: who keeps what alive.

use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;

use lease::{Pool, StrongLease, UniqueLease, WeakLease};

use crate::support::{Census, Counted};

#[test]
fn the_last_strong_lease_destroys_the_payload() {
    let census = Census::default();
    let pool = Pool::new();
    let first = pool.acquire(census.member(1));
    let second = first.clone();
    assert_eq!(StrongLease::strong_count(&first), 2);
    drop(first);
    assert_eq!(census.alive(), 1);
    assert_eq!(StrongLease::strong_count(&second), 1);
    assert!(StrongLease::release(second));
    assert_eq!(census.alive(), 0);
}

#[test]
fn release_tells_the_last_from_the_others() {
    let pool = Pool::new();
    let first = pool.acquire(1);
    let second = first.clone();
    assert!(!StrongLease::release(first));
    assert!(StrongLease::release(second));
}

#[test]
fn weak_lock_fails_after_the_last_strong() {
    let pool = Pool::new();
    let strong = pool.acquire(5);
    let weak = StrongLease::downgrade(&strong);
    let locked = weak.lock().expect("alive");
    drop(strong);
    assert_eq!(*locked, 5);
    assert!(weak.lock().is_some());
    drop(locked);
    assert!(weak.lock().is_none());
}

#[test]
fn weak_lease_keeps_the_slot_but_not_the_payload() {
    let census = Census::default();
    let pool = Pool::builder().capacity(1).build();
    let strong = pool.acquire(census.member(1));
    let weak = StrongLease::downgrade(&strong);
    drop(strong);
    assert_eq!(census.alive(), 0);
    assert!(pool.try_acquire(census.member(2)).is_err());
    assert!(weak.release());
    assert_eq!(pool.acquire(census.member(3)).id, 3);
}

#[test]
fn weak_release_is_true_only_when_the_slot_went_back() {
    let pool = Pool::new();
    let strong = pool.acquire(5);
    let weak = StrongLease::downgrade(&strong);
    let other = weak.clone();
    assert!(!weak.release(), "strong and weak remain");
    drop(strong);
    assert!(other.release(), "nothing remains");
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn weak_counts_follow_clone_and_drop() {
    let pool = Pool::new();
    let strong = pool.acquire(5);
    assert_eq!(StrongLease::weak_count(&strong), 0);
    let weak = StrongLease::downgrade(&strong);
    let more: Vec<WeakLease<i32>> = (0..9).map(|_| weak.clone()).collect();
    assert_eq!(StrongLease::weak_count(&strong), 10);
    drop(more);
    assert_eq!(StrongLease::weak_count(&strong), 1);
    drop(weak);
    assert_eq!(StrongLease::weak_count(&strong), 0);
    assert!(StrongLease::downgrade(&strong).lock().is_some());
}

#[test]
fn unique_lease_changes_its_payload_and_shares_it_in_place() {
    let pool = Pool::new();
    let mut unique = pool.acquire_unique(String::from("a"));
    unique.push('b');
    let address = std::ptr::from_ref(&*unique);
    let strong = UniqueLease::share(unique);
    assert_eq!(*strong, "ab");
    assert!(std::ptr::eq(address, &raw const *strong));
    assert_eq!(StrongLease::strong_count(&strong), 1);
}

#[test]
fn unique_lease_destroys_its_payload() {
    let census = Census::default();
    let pool = Pool::new();
    drop(pool.acquire_unique(census.member(1)));
    assert_eq!(census.alive(), 0);
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn strong_leases_compare_as_their_payloads_do() {
    let pool = Pool::new();
    let mut leases = [3, 1, 2].map(|number| pool.acquire(number));
    assert!(leases[0] > leases[1]);
    assert_eq!(leases[0].cmp(&leases[1]), Ordering::Greater);
    leases.sort();
    assert_eq!(leases.map(|lease| *lease), [1, 2, 3]);
    let numbers = Pool::new();
    let (one, none) = (numbers.acquire(1.0), numbers.acquire(f64::NAN));
    assert_eq!(one.partial_cmp(&none), None);
}

#[test]
fn raw_pointers_carry_their_count() {
    let census = Census::default();
    let pool = Pool::new();
    let raw = StrongLease::into_raw(pool.acquire(census.member(1)));
    assert_eq!(census.alive(), 1);
    // SAFETY: `raw` came from `into_raw` and is taken back once.
    let lease = unsafe { StrongLease::from_raw(raw) };
    assert_eq!(lease.id, 1);
    drop(lease);
    assert_eq!(census.alive(), 0);
}

#[test]
fn ptr_eq_is_about_the_payload() {
    let pool = Pool::new();
    let one = pool.acquire(1);
    let same = one.clone();
    let other = pool.acquire(1);
    assert!(StrongLease::ptr_eq(&one, &same));
    assert!(!StrongLease::ptr_eq(&one, &other));
    assert_eq!(one, other, "equality is the payload's");
}

#[test]
fn panicking_destructor_still_returns_the_slot() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("as told");
        }
    }
    let pool = Pool::builder().capacity(1).build();
    for _ in 0..3 {
        let lease = pool.acquire(Bomb);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(lease))).is_err());
        assert_eq!(pool.stats().live, 0);
        let unique = pool.acquire_unique(Bomb);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(unique))).is_err());
        assert_eq!(pool.stats().live, 0);
        let strong = pool.acquire(Bomb);
        let weak = StrongLease::downgrade(&strong);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(strong))).is_err());
        assert!(weak.release());
    }
}

#[test]
fn leases_work_while_a_panic_unwinds() {
    struct AtTheEnd<'pool>(&'pool Pool<Counted>, Census, StrongLease<Counted>);
    impl Drop for AtTheEnd<'_> {
        fn drop(&mut self) {
            assert!(thread::panicking());
            let (pool, handle) = (self.0, StrongLease::handle(&self.2));
            let fresh = pool.acquire(self.1.member(2));
            let weak = StrongLease::downgrade(&fresh);
            assert_eq!(weak.lock().unwrap().id, 2);
            assert_eq!(pool.lock(handle).unwrap().id, 1);
            drop(fresh);
            assert!(weak.lock().is_none());
        }
    }
    let (pool, census) = (Pool::new(), Census::default());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _bystander = pool.acquire(census.member(0));
        let _end = AtTheEnd(&pool, census.clone(), pool.acquire(census.member(1)));
        panic!("as told");
    }));
    assert!(outcome.is_err());
    assert_eq!((census.alive(), pool.stats().live), (0, 0));
}

#[test]
fn panicking_constructor_puts_the_slot_back() {
    let pool: Pool<u8> = Pool::builder().capacity(1).build();
    for _ in 0..3 {
        assert!(catch_unwind(AssertUnwindSafe(|| pool.acquire_with(|| panic!("as told")))).is_err());
    }
    assert_eq!(*pool.acquire(7), 7);
}

#[test]
fn payloads_may_hold_leases_of_their_own_pool() {
    struct Node {
        next: Option<StrongLease<Node>>,
        _member: Counted,
    }
    let census = Census::default();
    let pool: Pool<Node> = Pool::new();
    let mut head = None;
    for id in 0..1000 {
        head = Some(pool.acquire(Node {
            next: head.take(),
            _member: census.member(id),
        }));
    }
    assert_eq!(census.alive(), 1000);
    assert!(head.as_ref().is_some_and(|node| node.next.is_some()));
    drop(head);
    assert_eq!(census.alive(), 0);
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn constructor_may_acquire_from_the_same_pool() {
    let pool: Pool<u32> = Pool::new();
    let mut inner = None;
    let outer = pool.acquire_with(|| {
        inner = Some(pool.acquire(1));
        2
    });
    assert_eq!((*outer, inner.as_deref()), (2, Some(&1)));
}

#[test]
fn one_of_many_threads_destroys_the_payload() {
    for _ in 0..50 {
        let census = Census::default();
        let pool = Pool::new();
        let strong = pool.acquire(census.member(1));
        let weak = StrongLease::downgrade(&strong);
        let barrier = Barrier::new(4);
        thread::scope(|scope| {
            for turn in 0..4 {
                let (strong, weak, barrier) = (strong.clone(), weak.clone(), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    if turn % 2 == 0 {
                        drop(strong);
                        drop(weak.lock());
                        drop(weak);
                    } else {
                        drop(weak);
                        drop(strong);
                    }
                });
            }
            drop(weak);
            drop(strong);
        });
        assert_eq!(census.alive(), 0);
        assert_eq!(pool.stats().live, 0);
    }
}
