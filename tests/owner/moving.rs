//! Tenants that change owners: transferred, migrated, cloned.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::Arc;

use lease::strategy::{MemoryStrategy, Quota, System};
use lease::{Contract, LeaseOwner, OwnedLease, OwnerError};
use lease_tests::bookkeeper::Bookkeeper;

use crate::raw::{migrate, terminate, transfer};
use crate::steered::Steered;

#[test]
fn a_transfer_moves_the_record_and_nothing_else() {
    let books = Arc::new(Bookkeeper::new());
    let (here, there) = (
        LeaseOwner::with_strategy(Arc::clone(&books)),
        LeaseOwner::with_strategy(Arc::clone(&books)),
    );
    let (address, tenant) = OwnedLease::into_raw(here.own(11_u64).unwrap());
    let location = here.tenant(address.as_ptr()).unwrap().location();
    assert_eq!(transfer(&here, address.as_ptr(), tenant, &there), Ok(()));
    let now = there.tenant(address.as_ptr()).unwrap();
    assert_eq!(
        (now.id(), now.location(), here.len(), there.len()),
        (tenant, location, 0, 1)
    );
    let refused = terminate(&here, address.as_ptr(), tenant);
    assert!(matches!(refused, Err(OwnerError::NotTracked { .. })));
    assert_eq!(books.live().len(), 1);
    assert_eq!(terminate(&there, address.as_ptr(), tenant), Ok(()));
    assert_eq!(books.live().len(), 0);
}

#[test]
fn a_transfer_to_another_strategy_is_refused_and_names_both() {
    let (one, other) = (Bookkeeper::new(), Bookkeeper::new());
    let (here, there) = (LeaseOwner::with_strategy(&one), LeaseOwner::with_strategy(&other));
    let (address, tenant) = OwnedLease::into_raw(here.own(1_u64).unwrap());
    let before = (here.report(), there.report());
    let mismatch = OwnerError::StrategyMismatch {
        tenant,
        from: one.identity(),
        to: other.identity(),
    };
    assert_eq!(transfer(&here, address.as_ptr(), tenant, &there), Err(mismatch));
    assert_eq!((here.report(), there.report()), before);
    // A layer is not what it wraps: its books would be wrong.
    let layered = LeaseOwner::with_strategy(Quota::bytes(64, &one));
    let refused = transfer(&here, address.as_ptr(), tenant, &layered);
    assert!(matches!(refused, Err(OwnerError::StrategyMismatch { .. })));
}

#[test]
fn a_transfer_to_oneself_changes_nothing() {
    let owner = LeaseOwner::new();
    let (address, tenant) = OwnedLease::into_raw(owner.own(1_u64).unwrap());
    let before = owner.report();
    assert_eq!(transfer(&owner, address.as_ptr(), tenant, &owner), Ok(()));
    assert_eq!(owner.report(), before);
    let refused = transfer(&owner, &raw const before, tenant, &owner);
    assert!(matches!(refused, Err(OwnerError::NotTracked { .. })));
}

#[test]
fn a_transfer_into_an_overlap_is_refused_and_both_stay() {
    let steered = Steered::new();
    let (here, there) = (
        LeaseOwner::with_strategy(&steered),
        LeaseOwner::with_strategy(&steered),
    );
    steered.steer(1024);
    let (address, tenant) = OwnedLease::into_raw(here.own([0_u8; 64]).unwrap());
    for (offset, size) in [(1000, 25), (1087, 2), (0, 4096)] {
        let crossing = there.record(steered.piece(offset, size));
        let before = (here.report(), there.report());
        let refused = transfer(&here, address.as_ptr(), tenant, &there);
        assert!(matches!(
            refused,
            Err(OwnerError::Overlap {
                other_contract: Contract::Borrowed,
                ..
            })
        ));
        assert_eq!((here.report(), there.report()), before);
        drop(crossing);
    }
}

#[test]
fn borrows_that_a_newcomer_covers_go_on_and_are_counted() {
    let steered = Steered::new();
    let (here, there) = (
        LeaseOwner::with_strategy(&steered),
        LeaseOwner::with_strategy(&steered),
    );
    steered.steer(1024);
    let (address, tenant) = OwnedLease::into_raw(here.own([0_u8; 64]).unwrap());
    let left_behind = here.record(steered.piece(1030, 10));
    let (first, second) = (
        there.record(steered.piece(1030, 10)),
        there.record(steered.piece(1030, 10)),
    );
    transfer(&here, address.as_ptr(), tenant, &there).unwrap();
    assert_eq!(there.tenant(address.as_ptr()).unwrap().borrows(), 2);
    assert_eq!(
        (
            left_behind.tenant().unwrap().guards(),
            here.report().stale_borrows
        ),
        (1, 0)
    );
    drop(first);
    assert_eq!(there.tenant(address.as_ptr()).unwrap().borrows(), 1);
    transfer(&there, address.as_ptr(), tenant, &here).unwrap();
    assert_eq!(here.tenant(address.as_ptr()).unwrap().borrows(), 1);
    drop((second, left_behind));
    assert_eq!(
        (here.tenant(address.as_ptr()).unwrap().borrows(), there.len()),
        (0, 0)
    );
}

#[test]
fn raw_borrows_transfer_between_any_strategies() {
    let (here, there) = (
        LeaseOwner::new(),
        LeaseOwner::with_strategy(Quota::bytes(0, System)),
    );
    let memory = [0_u8; 8];
    let tenant = here
        .track_borrowed(NonNull::from(&memory).cast(), Layout::for_value(&memory))
        .unwrap();
    let held = there.borrow(&memory);
    assert_eq!(transfer(&here, &raw const memory, tenant, &there), Ok(()));
    assert_eq!((here.len(), there.len()), (0, 2));
    assert_eq!(terminate(&there, &raw const memory, tenant), Ok(()));
    drop(held);
    assert!(there.is_empty());
}

#[test]
fn a_borrow_that_a_guard_shares_does_not_transfer() {
    let (here, there) = (LeaseOwner::new(), LeaseOwner::new());
    let memory = [0_u8; 8];
    let address = NonNull::from(&memory).cast();
    let tenant = here.track_borrowed(address, Layout::for_value(&memory)).unwrap();
    let lent = here.borrow(&memory);
    let before = here.report();
    for to in [&here, &there] {
        let refused = transfer(&here, address.as_ptr(), tenant, to);
        assert_eq!(refused, Err(OwnerError::HeldByGuard { tenant }));
    }
    assert_eq!((here.report(), there.len()), (before, 0));
    drop(lent);
    assert_eq!(transfer(&here, address.as_ptr(), tenant, &there), Ok(()));
}

#[test]
fn a_guard_transfers_with_its_value_in_place() {
    let books = Bookkeeper::new();
    let (here, there) = (
        LeaseOwner::with_strategy(&books),
        LeaseOwner::with_strategy(&books),
    );
    let lease = here.own(String::from("stays put")).unwrap();
    let (at, tenant) = (std::ptr::from_ref(&*lease), OwnedLease::tenant_id(&lease));
    let lease = OwnedLease::transfer(lease, &there).unwrap();
    assert_eq!(
        (std::ptr::from_ref(&*lease), OwnedLease::tenant_id(&lease)),
        (at, tenant)
    );
    assert_eq!((here.len(), there.len(), &**lease), (0, 1, "stays put"));
    let lease = OwnedLease::transfer(lease, &there).unwrap();
    drop(here);
    drop(lease);
    assert_eq!((there.len(), books.live().len()), (0, 0));
}

#[test]
fn a_guard_that_cannot_transfer_is_given_back() {
    let (one, other) = (Bookkeeper::new(), Bookkeeper::new());
    let (here, there) = (LeaseOwner::with_strategy(&one), LeaseOwner::with_strategy(&other));
    let lease = here.own_str("unmoved").unwrap();
    let refused = OwnedLease::transfer(lease, &there).unwrap_err();
    assert!(matches!(refused.error(), OwnerError::StrategyMismatch { .. }));
    let lease = refused.into_lease();
    assert_eq!((&*lease, here.len(), there.len()), ("unmoved", 1, 0));
    drop(lease);
    assert_eq!((one.live().len(), here.len()), (0, 0));
}

#[test]
fn a_guard_migrates_with_its_value() {
    let (one, other) = (Bookkeeper::new(), Bookkeeper::new());
    let (here, there) = (LeaseOwner::with_strategy(&one), LeaseOwner::with_strategy(&other));
    let counted = Arc::new(());
    let lease = here.own((Arc::clone(&counted), 42_u8)).unwrap();
    let (at, tenant) = (std::ptr::from_ref(&*lease), OwnedLease::tenant_id(&lease));
    let lease = OwnedLease::migrate(lease, &there).unwrap();
    assert_ne!(std::ptr::from_ref(&*lease), at);
    assert_eq!(
        (
            OwnedLease::tenant_id(&lease),
            lease.1,
            Arc::strong_count(&counted)
        ),
        (tenant, 42, 2)
    );
    assert_eq!(
        (here.len(), one.live().len(), there.len(), other.live().len()),
        (0, 0, 1, 1)
    );
    drop(lease);
    assert_eq!((Arc::strong_count(&counted), other.live().len()), (1, 0));
}

#[test]
fn a_guard_that_cannot_migrate_is_given_back() {
    let (one, other) = (Bookkeeper::new(), Bookkeeper::new());
    other.close();
    let (here, there) = (LeaseOwner::with_strategy(&one), LeaseOwner::with_strategy(&other));
    let lease = here.own(vec![1, 2, 3]).unwrap();
    let before = here.report();
    let refused = OwnedLease::migrate(lease, &there).unwrap_err();
    assert!(matches!(refused.error(), OwnerError::Alloc(_)), "{refused}");
    assert_eq!((here.report(), there.len()), (before, 0));
    assert_eq!(*refused.into_lease(), [1, 2, 3]);
    // Whoever does not want it back keeps the reason.
    let reason = OwnerError::from(OwnedLease::migrate(here.own(1_u8).unwrap(), &there).unwrap_err());
    assert!(matches!(reason, OwnerError::Alloc(_)));
    assert_eq!((here.len(), one.live().len()), (0, 0));
}

#[test]
fn regions_bytes_and_text_migrate_too() {
    let (here, there) = (LeaseOwner::new(), LeaseOwner::new());
    let bytes = OwnedLease::migrate(here.own_bytes(b"bytes").unwrap(), &there).unwrap();
    let text = OwnedLease::migrate(here.own_str("text").unwrap(), &there).unwrap();
    let layout = Layout::from_size_align(100, 64).unwrap();
    let mut region = here.alloc_owned(layout).unwrap();
    region[99].write(9);
    let region = OwnedLease::migrate(region, &here).unwrap();
    // SAFETY: the byte was written before the move.
    let last = unsafe { region[99].assume_init() };
    assert_eq!((last, region.as_ptr().addr() % 64), (9, 0));
    assert_eq!(
        (&*bytes, &*text, here.len(), there.len()),
        (&b"bytes"[..], "text", 1, 2)
    );
}

#[test]
fn an_address_migrates_and_keeps_its_number() {
    let (one, other) = (Bookkeeper::new(), Bookkeeper::new());
    let (here, there) = (LeaseOwner::with_strategy(&one), LeaseOwner::with_strategy(&other));
    let (address, tenant) = OwnedLease::into_raw(here.own([3_u16; 5]).unwrap());
    let new = migrate(&here, address.as_ptr(), tenant, &there).unwrap();
    // SAFETY: the five numbers came along.
    assert_eq!(unsafe { new.cast::<[u16; 5]>().read() }, [3; 5]);
    assert_eq!(
        (
            there.tenant(new.as_ptr()).unwrap().id(),
            here.len(),
            one.live().len()
        ),
        (tenant, 0, 0)
    );

    other.close();
    let (address, tenant) = OwnedLease::into_raw(here.own([4_u16; 5]).unwrap());
    let before = (here.report(), there.report());
    assert!(migrate(&here, address.as_ptr(), tenant, &there).is_err());
    // SAFETY: it did.
    assert_eq!(unsafe { address.cast::<[u16; 5]>().read() }, [4; 5]);
    assert_eq!((here.report(), there.report()), before);
}

#[test]
fn a_clone_is_a_second_tenant_with_the_same_bytes() {
    let (here, there) = (
        LeaseOwner::new(),
        LeaseOwner::with_strategy(Quota::bytes(8, System)),
    );
    let text = here.own_str("copied").unwrap();
    let copy = OwnedLease::clone_into(&text, &there).unwrap();
    assert_eq!((&*copy, here.len(), there.len()), ("copied", 1, 1));
    assert_ne!(OwnedLease::tenant_id(&copy), OwnedLease::tenant_id(&text));
    assert_ne!(copy.as_ptr(), text.as_ptr());
    assert_eq!(there.tenant(copy.as_ptr()).unwrap().location().file(), file!());

    let refused = OwnedLease::clone_into(&text, &there).unwrap_err();
    assert!(matches!(refused, OwnerError::Alloc(_)));
    let mut region = here.alloc_owned(Layout::new::<u64>()).unwrap();
    region[0].write(1);
    let beside = OwnedLease::clone_into(&region, &here).unwrap();
    // SAFETY: the byte was written before it was copied.
    assert_eq!(unsafe { beside[0].assume_init() }, 1);
}
