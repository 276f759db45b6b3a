//! The table of contracts: who frees, and what may be on record.

use std::alloc::Layout;

use lease::strategy::AllocReason;
use lease::{Contract, LeaseOwner, LeasePolicy, OwnedLease, OwnerError};
use lease_tests::bookkeeper::Bookkeeper;

use crate::raw::terminate;

#[test]
fn the_policies_are_the_table() {
    let row = |contract| {
        let policy = LeasePolicy::new(contract);
        (
            policy.contract(),
            policy.frees_memory(),
            policy.allows_stack_memory(),
        )
    };
    assert_eq!(row(Contract::Owned), (Contract::Owned, true, false));
    assert_eq!(row(Contract::Borrowed), (Contract::Borrowed, false, true));
    assert_eq!(row(Contract::Static), (Contract::Static, false, true));
}

#[test]
fn owned_memory_comes_from_the_strategy_and_returns_to_it() {
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books);
    let layout = Layout::from_size_align(96, 32).unwrap();
    let region = owner.alloc_owned(layout).unwrap();
    assert_eq!(books.live(), [layout]);
    let object = OwnedLease::object(&region);
    assert_eq!(
        (object.size(), object.alignment(), object.address() % 32),
        (96, 32, 0)
    );
    drop(region);
    assert_eq!((books.live(), owner.len()), (vec![], 0));
}

static FOREVER: [u8; 16] = [1; 16];

#[test]
fn ending_borrowed_and_static_memory_only_ends_the_record() {
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books);
    let outside = Bookkeeper::new();
    let elsewhere = LeaseOwner::with_strategy(&outside);
    let lent = elsewhere.own([7_u64; 4]).unwrap();

    let address = std::ptr::NonNull::from(&*lent).cast();
    let borrowed = owner.track_borrowed(address, Layout::for_value(&*lent)).unwrap();
    let fixed = owner.track_static(&FOREVER).unwrap();
    let ended = terminate(&owner, address.as_ptr(), borrowed);
    assert_eq!(ended, Ok(()));
    let ended = terminate(&owner, &raw const FOREVER, fixed);
    assert_eq!(ended, Ok(()));

    assert_eq!((owner.len(), books.live(), outside.live().len()), (0, vec![], 1));
    assert_eq!((*lent, FOREVER[0]), ([7; 4], 1));
}

#[test]
fn stack_memory_may_be_borrowed() {
    let owner = LeaseOwner::new();
    let on_the_stack = [0_u32; 8];
    let lent = owner.borrow(&on_the_stack);
    let tenant = lent.tenant().unwrap();
    assert_eq!(
        (
            tenant.contract(),
            tenant.object().size(),
            tenant.object().alignment()
        ),
        (Contract::Borrowed, 32, 4)
    );
}

#[test]
fn nothing_can_be_owned_of_size_zero() {
    let owner = LeaseOwner::new();
    let refused = owner
        .alloc_owned(Layout::from_size_align(0, 8).unwrap())
        .unwrap_err();
    assert!(matches!(refused, OwnerError::Alloc(error) if error.reason == AllocReason::ZeroSize));
    assert!(matches!(owner.own(()).unwrap_err(), OwnerError::Alloc(_)));
    assert!(matches!(owner.own_bytes(b"").unwrap_err(), OwnerError::Alloc(_)));
    assert!(matches!(owner.own_str("").unwrap_err(), OwnerError::Alloc(_)));
    assert!(owner.is_empty());
}

#[test]
fn a_strategy_that_has_none_is_an_error_with_its_reason() {
    let owner = LeaseOwner::with_strategy(lease::strategy::Quota::bytes(64, lease::strategy::System));
    let kept = owner.own([0_u8; 40]).unwrap();
    let layout = Layout::new::<[u8; 25]>();
    let OwnerError::Alloc(error) = owner.alloc_owned(layout).unwrap_err() else {
        panic!("not the strategy's")
    };
    assert_eq!(
        (error.layout, error.reason),
        (
            layout,
            AllocReason::QuotaBytes {
                limit: 64,
                remaining: 24
            }
        )
    );
    assert_eq!(owner.len(), 1);
    drop(kept);
}

#[test]
fn every_alignment_is_honoured() {
    let owner = LeaseOwner::new();
    for align in (0..16).map(|bits| 1 << bits) {
        let region = owner
            .alloc_owned(Layout::from_size_align(24, align).unwrap())
            .unwrap();
        assert_eq!(region.as_ptr().addr() % align, 0);
        assert_eq!(owner.object(region.as_ptr()).unwrap().alignment(), align);
    }
}
