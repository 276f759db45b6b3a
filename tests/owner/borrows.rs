//! Borrowed and static records: counted, overlapping, stale, and never in the way.

use std::alloc::Layout;
use std::mem;
use std::ptr::NonNull;

use lease::{Contract, LeaseOwner, OwnedLease, OwnerError};

use crate::raw::terminate;
use crate::steered::Steered;

const fn bytes(size: usize) -> Layout {
    match Layout::from_size_align(size, 1) {
        Ok(layout) => layout,
        Err(_) => panic!(),
    }
}

#[test]
fn borrows_of_one_region_are_one_tenant_and_counted() {
    let owner = LeaseOwner::new();
    let memory = [0_u8; 32];
    let first = owner.borrow(&memory);
    let second = owner.record(&memory);
    let raw = owner
        .track_borrowed(NonNull::from(&memory).cast(), Layout::for_value(&memory))
        .unwrap();
    let tenant = owner.tenant(&raw const memory).unwrap();
    assert_eq!(
        (owner.len(), tenant.guards(), tenant.raw_holds(), tenant.id()),
        (1, 2, 1, raw)
    );
    drop(second);
    assert_eq!(owner.tenant(&raw const memory).unwrap().guards(), 1);
    let ended = terminate(&owner, &raw const memory, raw);
    assert_eq!(ended, Ok(()));
    let refused = terminate(&owner, &raw const memory, raw);
    assert_eq!(refused, Err(OwnerError::HeldByGuard { tenant: raw }));
    drop(first);
    assert!(owner.is_empty());
}

#[test]
fn borrowed_and_static_regions_overlap_as_they_like() {
    static MEMORY: [u8; 64] = [0; 64];
    let owner = LeaseOwner::new();
    owner.track_static(&MEMORY).unwrap();
    let head = owner.borrow(&MEMORY[..40]);
    let tail = owner.borrow(&MEMORY[30..]);
    owner.track_static(&MEMORY[10..50]).unwrap();
    assert_eq!(owner.len(), 4);
    assert_eq!(owner.find(&raw const MEMORY[35]).unwrap().object().size(), 64);
    drop((head, tail));
    assert_eq!(owner.len(), 2);
}

#[test]
fn static_memory_is_on_record_once() {
    static MEMORY: [u32; 4] = [0; 4];
    let owner = LeaseOwner::new();
    let first = owner.track_static(&MEMORY).unwrap();
    let again = owner.track_static(&MEMORY).unwrap();
    assert_eq!(
        (
            first,
            owner.len(),
            owner.tenant(&raw const MEMORY).unwrap().raw_holds()
        ),
        (again, 1, 1)
    );
}

#[test]
fn empty_regions_are_accepted_and_not_stored() {
    let owner = LeaseOwner::new();
    let nothing: [u64; 0] = [];
    let lent = owner.borrow(&nothing);
    let recorded = owner.record("");
    let raw = owner.track_borrowed(NonNull::dangling(), bytes(0)).unwrap();
    let fixed = owner.track_static(&()).unwrap();
    assert_ne!(raw, fixed);
    assert_eq!((lent.tenant(), recorded.tenant(), owner.len()), (None, None, 0));
    let ended = terminate(&owner, NonNull::<u8>::dangling().as_ptr(), raw);
    assert!(matches!(ended, Err(OwnerError::NotTracked { .. })));
    assert_eq!(owner.report().untracked, 0);
}

#[test]
fn a_borrow_inside_an_owned_region_is_counted_on_its_tenant() {
    let owner = LeaseOwner::new();
    let region = owner.own([0_u8; 4096]).unwrap();
    let whole = owner.borrow(&*region);
    let (part, same) = (owner.borrow(&region[100..200]), owner.record(&region[100..200]));
    let tenant = owner.tenant(&raw const *region).unwrap();
    assert_eq!(
        (tenant.contract(), tenant.borrows(), owner.len()),
        (Contract::Owned, 3, 3)
    );
    drop((part, whole));
    assert_eq!(owner.tenant(&raw const *region).unwrap().borrows(), 1);
    drop(same);
    assert_eq!(owner.tenant(&raw const *region).unwrap().borrows(), 0);
}

#[test]
fn a_borrow_may_outlast_the_record_of_its_region() {
    let owner = LeaseOwner::new();
    let region = owner.own([0_u8; 64]).unwrap();
    let recorded = owner.record(&region[8..16]);
    drop(region);
    assert_eq!(recorded.tenant().unwrap().object().size(), 8);
    drop(recorded);
    assert!(owner.is_empty());
}

#[test]
fn a_region_that_crosses_an_owned_border_is_refused_and_names_the_other() {
    let steered = Steered::new();
    let owner = LeaseOwner::with_strategy(&steered);
    steered.steer(1024);
    let region = owner.alloc_owned(bytes(1024)).unwrap();
    let before = owner.report();
    let crossing = [(1000, 25), (2047, 2), (1023, 1026), (0, 4096), (1000, 1048)];
    for (offset, size) in crossing {
        let piece = NonNull::from(steered.piece(offset, size)).cast();
        let refused = owner.track_borrowed(piece, bytes(size)).unwrap_err();
        let OwnerError::Overlap {
            contract,
            object,
            tenant,
            other_contract,
            other,
        } = refused
        else {
            panic!("{refused}")
        };
        assert_eq!((contract, object.size()), (Contract::Borrowed, size));
        assert_eq!(
            (tenant, other_contract),
            (OwnedLease::tenant_id(&region), Contract::Owned)
        );
        assert_eq!(other, OwnedLease::object(&region));
    }
    assert_eq!(owner.report(), before);
    // The regions that only touch it are welcome.
    owner
        .track_borrowed(NonNull::from(steered.piece(1000, 24)).cast(), bytes(24))
        .unwrap();
    owner
        .track_borrowed(NonNull::from(steered.piece(2048, 9)).cast(), bytes(9))
        .unwrap();
    assert_eq!(OwnedLease::object(&region).size(), 1024);
}

#[test]
fn a_guard_that_cannot_be_stored_is_counted_and_harmless() {
    let steered = Steered::new();
    let owner = LeaseOwner::with_strategy(&steered);
    steered.steer(1024);
    let region = owner.alloc_owned(bytes(1024)).unwrap();
    let lent = owner.borrow(steered.piece(1000, 100));
    let recorded = owner.record(steered.piece(2000, 100));
    assert_eq!((lent.tenant(), recorded.tenant()), (None, None));
    assert_eq!((owner.report().untracked, owner.len()), (2, 1));
    drop((lent, recorded));
    assert_eq!(owner.len(), 1);
    drop(region);
}

#[test]
fn static_memory_is_never_owned_memory() {
    let steered = Steered::new();
    let owner = LeaseOwner::with_strategy(&steered);
    steered.steer(512);
    let region = owner.alloc_owned(bytes(64)).unwrap();
    for (offset, size) in [(512, 64), (520, 8), (500, 13), (0, 4096)] {
        let refused = owner.track_static(steered.piece(offset, size)).unwrap_err();
        assert!(
            matches!(
                refused,
                OwnerError::Overlap {
                    contract: Contract::Static,
                    ..
                }
            ),
            "{refused}"
        );
    }
    drop(region);

    owner.track_static(steered.piece(512, 64)).unwrap();
    let refused = owner.strategy().steer(500).live();
    assert_eq!(refused, 0);
    let refused = owner.alloc_owned(bytes(13)).unwrap_err();
    assert!(
        matches!(
            refused,
            OwnerError::Overlap {
                other_contract: Contract::Static,
                ..
            }
        ),
        "{refused}"
    );
    // The block went back to the strategy.
    assert_eq!((steered.live(), owner.len()), (0, 1));
}

#[test]
fn owned_memory_handed_out_twice_is_refused_and_goes_back() {
    let steered = Steered::new();
    let owner = LeaseOwner::with_strategy(&steered);
    steered.steer(4096);
    let first = owner.alloc_owned(bytes(4096)).unwrap();
    let before = owner.report();
    for (offset, size) in [
        (4096, 4096),
        (4096, 1),
        (8191, 1),
        (4000, 97),
        (5000, 5000),
        (0, 16384),
    ] {
        steered.steer(offset);
        let refused = owner.alloc_owned(bytes(size)).unwrap_err();
        assert!(
            matches!(refused, OwnerError::Overlap { tenant, .. } if tenant == OwnedLease::tenant_id(&first))
        );
        assert_eq!((steered.live(), owner.report()), (1, before.clone()));
    }
    drop(first);
}

#[test]
fn a_leaked_borrow_gives_way_when_its_memory_is_handed_out_again() {
    let steered = Steered::new();
    let owner = LeaseOwner::with_strategy(&steered);
    mem::forget(owner.borrow(steered.piece(100, 50)));
    let late = owner.record(steered.piece(140, 200));
    let apart = owner.record(steered.piece(400, 10));
    assert_eq!(owner.len(), 3);

    steered.steer(120);
    let fresh = owner.alloc_owned(bytes(64)).unwrap();
    assert_eq!((owner.report().stale_borrows, owner.len()), (2, 2));
    assert_eq!(
        (late.tenant(), apart.tenant().unwrap().object().size()),
        (None, 10)
    );

    // The evicted guard ends without touching whoever took its place.
    let newcomer = owner.record(steered.piece(130, 10));
    drop(late);
    assert_eq!(owner.tenant(steered.at(120)).unwrap().borrows(), 1);
    drop((newcomer, apart, fresh));
    assert!(owner.is_empty());
}
