//! The address layer: an address and a tenant's number, and typed refusals for everybody else.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use lease::strategy::{AllocReason, System};
use lease::{Contract, LeaseOwner, OwnedLease, OwnerError, TenantId};
use lease_tests::bookkeeper::Bookkeeper;
use lease_tests::failing::Failing;

use crate::raw::{migrate, realloc, terminate, transfer};

fn read(address: NonNull<u8>, size: usize) -> Vec<u8> {
    // SAFETY: the tests read what they wrote into memory that is still on record.
    unsafe { NonNull::slice_from_raw_parts(address, size).as_ref() }.to_vec()
}

#[test]
fn a_second_terminate_is_not_tracked() {
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books);
    let (address, tenant) = OwnedLease::into_raw(owner.own(5_u64).unwrap());
    assert_eq!(terminate(&owner, address.as_ptr(), tenant), Ok(()));
    let gone = OwnerError::NotTracked {
        address: address.addr().get(),
        tenant,
    };
    assert_eq!(terminate(&owner, address.as_ptr(), tenant), Err(gone));
    assert_eq!((books.live().len(), owner.len()), (0, 0));
}

#[test]
fn a_stale_caller_does_not_reach_the_new_tenant() {
    let steered = crate::steered::Steered::new();
    let owner = LeaseOwner::with_strategy(&steered);
    steered.steer(64);
    let (address, old) = OwnedLease::into_raw(owner.own(1_u64).unwrap());
    terminate(&owner, address.as_ptr(), old).unwrap();
    steered.steer(64);
    let (again, new) = OwnedLease::into_raw(owner.own(2_u64).unwrap());
    assert_eq!(address, again);
    let refused = terminate(&owner, address.as_ptr(), old);
    assert!(matches!(refused, Err(OwnerError::NotTracked { tenant, .. }) if tenant == old));
    assert_eq!(owner.tenant(again.as_ptr()).unwrap().id(), new);
}

#[test]
fn what_a_guard_holds_is_refused_and_unchanged() {
    let owner = LeaseOwner::new();
    let other = LeaseOwner::new();
    let lease = owner.own([1_u8, 2, 3, 4]).unwrap();
    let (at, tenant) = (lease.as_ptr(), OwnedLease::tenant_id(&lease));
    let before = owner.report();
    let held = OwnerError::HeldByGuard { tenant };
    assert_eq!(terminate(&owner, at, tenant), Err(held));
    assert_eq!(realloc(&owner, at, tenant, Layout::new::<u64>()), Err(held));
    assert_eq!(transfer(&owner, at, tenant, &other), Err(held));
    assert_eq!(transfer(&owner, at, tenant, &owner), Err(held));
    assert_eq!(migrate(&owner, at, tenant, &other), Err(held));
    assert_eq!((owner.report(), other.len(), *lease), (before, 0, [1, 2, 3, 4]));
}

#[test]
fn the_interior_of_a_region_is_nobodys_start() {
    let owner = LeaseOwner::new();
    let (address, tenant) = OwnedLease::into_raw(owner.own([0_u8; 8]).unwrap());
    let inside = address.as_ptr().wrapping_add(1);
    assert!(matches!(
        terminate(&owner, inside, tenant),
        Err(OwnerError::NotTracked { .. })
    ));
    assert!(matches!(
        terminate(&owner, ptr::null::<u8>(), tenant),
        Err(OwnerError::NotTracked { .. })
    ));
    assert_eq!(owner.len(), 1);
}

#[test]
fn a_number_survives_the_trip_through_c() {
    let owner = LeaseOwner::new();
    let (address, tenant) = OwnedLease::into_raw(owner.own(9_u8).unwrap());
    let (token, bits) = (address.as_ptr().cast::<std::ffi::c_void>(), tenant.to_bits());
    assert_eq!(terminate(&owner, token, TenantId::from_bits(bits)), Ok(()));
}

#[test]
fn realloc_says_where_the_memory_is_and_keeps_bytes_and_number() {
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books);
    let (old, tenant) = OwnedLease::into_raw(owner.own_bytes(&[7; 100]).unwrap());
    let larger = Layout::from_size_align(5000, 256).unwrap();
    let new = realloc(&owner, old.as_ptr(), tenant, larger).unwrap();
    assert_eq!((new.addr().get() % 256, read(new, 100)), (0, vec![7; 100]));
    let now = owner.tenant(new.as_ptr()).unwrap();
    assert_eq!(
        (now.id(), now.contract(), owner.len()),
        (tenant, Contract::Owned, 1)
    );
    assert_eq!((now.object().size(), now.object().alignment()), (5000, 256));
    assert_eq!((owner.find(old.as_ptr()), books.live()), (None, vec![larger]));

    let smaller = Layout::from_size_align(10, 1).unwrap();
    let new = realloc(&owner, new.as_ptr(), tenant, smaller).unwrap();
    assert_eq!((read(new, 10), books.live()), (vec![7; 10], vec![smaller]));
    assert_eq!(terminate(&owner, new.as_ptr(), tenant), Ok(()));
    assert_eq!(books.live(), []);
}

#[test]
fn a_failed_realloc_changes_nothing() {
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(Failing::from(1, &books));
    let (address, tenant) = OwnedLease::into_raw(owner.own_bytes(b"as it was").unwrap());
    let before = (owner.report(), books.live());
    for layout in [Layout::new::<[u64; 64]>(), Layout::from_size_align(0, 1).unwrap()] {
        let refused = realloc(&owner, address.as_ptr(), tenant, layout);
        let Err(OwnerError::Alloc(error)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(error.layout, layout);
        assert!(matches!(
            error.reason,
            AllocReason::OutOfMemory | AllocReason::ZeroSize
        ));
        assert_eq!(
            ((owner.report(), books.live()), read(address, 9)),
            (before.clone(), b"as it was".to_vec())
        );
    }
    // Nothing is left marked as moving either.
    assert_eq!(terminate(&owner, address.as_ptr(), tenant), Ok(()));
}

#[test]
fn a_refused_place_for_realloc_goes_back() {
    let steered = crate::steered::Steered::new();
    let owner = LeaseOwner::with_strategy(&steered);
    steered.steer(0);
    let (address, tenant) = OwnedLease::into_raw(owner.own_bytes(b"here").unwrap());
    owner.track_static(steered.piece(4096, 4096)).unwrap();
    let before = owner.report();
    steered.steer(8000);
    let refused = realloc(&owner, address.as_ptr(), tenant, Layout::new::<[u8; 64]>());
    assert!(matches!(
        refused,
        Err(OwnerError::Overlap {
            other_contract: Contract::Static,
            ..
        })
    ));
    assert_eq!(
        (owner.report(), steered.live(), read(address, 4)),
        (before, 1, b"here".to_vec())
    );
}

#[test]
fn only_owned_memory_moves() {
    static FIXED: [u8; 4] = [0; 4];
    let owner = LeaseOwner::new();
    let other = LeaseOwner::new();
    let lent = [0_u8; 4];
    let fixed = owner.track_static(&FIXED).unwrap();
    let lent_id = owner
        .track_borrowed(NonNull::from(&lent).cast(), Layout::for_value(&lent))
        .unwrap();
    for (address, tenant, contract) in [
        (FIXED.as_ptr(), fixed, Contract::Static),
        (lent.as_ptr(), lent_id, Contract::Borrowed),
    ] {
        let refusal = OwnerError::NotOwned { tenant, contract };
        let refused = realloc(&owner, address, tenant, Layout::new::<u64>());
        assert_eq!(refused, Err(refusal));
        assert_eq!(migrate(&owner, address, tenant, &other), Err(refusal));
    }
    assert_eq!((owner.len(), other.len()), (2, 0));
}

#[test]
fn borrows_inside_a_moved_region_stay_where_they_were() {
    let owner = LeaseOwner::new();
    let region = owner.own([0_u8; 64]).unwrap();
    let inside = owner.record(&region[8..24]);
    let (address, tenant) = OwnedLease::into_raw(region);
    let new = realloc(&owner, address.as_ptr(), tenant, Layout::new::<[u8; 4096]>()).unwrap();
    assert_eq!(owner.tenant(new.as_ptr()).unwrap().borrows(), 0);
    assert_eq!(
        inside.tenant().unwrap().object().address(),
        address.addr().get() + 8
    );
    drop(inside);
    assert_eq!(
        (owner.len(), owner.tenant(new.as_ptr()).unwrap().borrows()),
        (1, 0)
    );
}

#[test]
fn global_is_one_owner_over_the_system() {
    let region = LeaseOwner::global().own(3_u32).unwrap();
    assert_eq!(
        LeaseOwner::global().tenant(&raw const *region).unwrap().id(),
        OwnedLease::tenant_id(&region)
    );
    assert_eq!(*LeaseOwner::global().strategy(), System);
}

#[test]
fn a_borrow_left_behind_is_not_counted_where_the_region_went() {
    let owner = LeaseOwner::new();
    let region = owner.own([0_u8; 64]).unwrap();
    let inside = owner.record(&region[8..24]);
    let (mut address, tenant) = OwnedLease::into_raw(region);
    // Twice: the record is back in the place where the borrow knew it.
    for size in [128, 256] {
        let layout = Layout::array::<u8>(size).unwrap();
        address = realloc(&owner, address.as_ptr(), tenant, layout).unwrap();
    }
    let newcomer = owner.track_borrowed(address, Layout::new::<u64>()).unwrap();
    drop(inside);
    assert_eq!(owner.tenant(address.as_ptr()).unwrap().borrows(), 1);
    assert_eq!(terminate(&owner, address.as_ptr(), newcomer), Ok(()));
}
