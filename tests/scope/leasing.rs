//! Leases of the other rooms, held by a scope.

use lease::__private::{Storage, handle};
use lease::strategy::System;
use lease::{AcquireError, Contract, LeaseOwner, Pool, ScopeError, StrongLease};
use lease_tests::failing::Failing;

fn pool_of(capacity: usize) -> Pool<String> {
    Pool::builder().capacity(capacity).build()
}

#[test]
fn a_leased_slot_goes_back_when_the_scope_ends() {
    let pool = pool_of(1);
    {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        let name = scope.lease(&pool, String::from("mine"));
        name.push_str(" alone");
        assert_eq!(pool.stats().live, 1);
        assert_eq!(*name, "mine alone");
        let refused = scope.try_lease(&pool, String::new()).unwrap_err();
        assert_eq!(
            refused,
            ScopeError::Acquire(AcquireError::Exhausted { capacity: 1 })
        );
        assert_eq!(scope.report().guards, 1);
    }
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn a_scope_without_memory_gives_the_slot_back_at_once() {
    let pool = pool_of(1);
    let mut scope = Storage::with_strategy(Failing::from(0, System));
    let scope = handle(&mut scope);
    assert!(matches!(
        scope.try_lease(&pool, String::new()),
        Err(ScopeError::Alloc(_))
    ));
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn a_kept_strong_lease_shares_the_object_until_the_scope_ends() {
    let pool = pool_of(1);
    let weak = {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        let shared = scope.keep(pool.acquire(String::from("ours")));
        let weak = StrongLease::downgrade(shared);
        assert_eq!(weak.lock().as_deref().map(String::as_str), Some("ours"));
        weak
    };
    assert!(weak.lock().is_none());
}

#[test]
fn a_lease_outlives_its_pool_in_a_scope() {
    let mut scope = Storage::new();
    let scope = handle(&mut scope);
    let name = {
        let pool = pool_of(1);
        scope.lease(&pool, String::from("orphan"))
    };
    assert_eq!(*name, "orphan");
}

#[test]
fn borrowed_memory_is_on_record_until_the_scope_ends() {
    let owner = LeaseOwner::global();
    let frame = &[7_u8; 48][..];
    {
        let mut scope = Storage::new();
        let scope = handle(&mut scope);
        let line = line!() + 1;
        let lent = scope.borrow(frame);
        let tenant = lent.tenant().unwrap();
        assert_eq!(tenant.policy().contract(), Contract::Borrowed);
        assert_eq!(owner.tenant(frame), Some(tenant));
        assert_eq!(
            (tenant.location().file(), tenant.location().line()),
            (file!(), line)
        );
    }
    assert_eq!(owner.tenant(frame), None);
}
