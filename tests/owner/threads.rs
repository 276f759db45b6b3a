//! Threads: of several calls on one tenant one wins, and the strategy's books stay in order.

use std::alloc::Layout;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use lease::{LeaseOwner, OwnedLease, OwnerError, TenantId};
use lease_tests::bookkeeper::Bookkeeper;

use crate::raw::{migrate, realloc, terminate, transfer};
use crate::staged::Staged;

const THREADS: usize = 4;

/// An address that a test may send: it is only looked at.
#[derive(Clone, Copy)]
struct Address(*const u8);

// SAFETY: nobody reads or writes through it.
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

#[test]
fn of_many_terminates_one_wins() {
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books);
    for _ in 0..200 {
        let (address, tenant) = OwnedLease::into_raw(owner.own([0_u8; 48]).unwrap());
        let address = Address(address.as_ptr());
        let start = Barrier::new(THREADS);
        let wins = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let address = &address;
                    start.wait();
                    match terminate(&owner, address.0, tenant) {
                        Ok(()) => _ = wins.fetch_add(1, Ordering::Relaxed),
                        Err(refused) => assert!(matches!(refused, OwnerError::NotTracked { .. })),
                    }
                });
            }
        });
        assert_eq!((wins.into_inner(), books.live().len()), (1, 0));
    }
}

/// Whatever order the calls fall in, one block stays, under one tenant, at one of the two owners.
#[test]
fn moves_of_one_tenant_do_not_mix() {
    let books = Bookkeeper::new();
    let owners = [
        LeaseOwner::with_strategy(&books),
        LeaseOwner::with_strategy(&books),
    ];
    let (_, tenant) = OwnedLease::into_raw(owners[0].own([0_u8; 64]).unwrap());
    let moved = AtomicUsize::new(0);
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (owners, moved) = (&owners, &moved);
            scope.spawn(move || {
                for round in 0..2_000 {
                    let (from, to) = (&owners[(seed + round) % 2], &owners[(seed + round / 2) % 2]);
                    let Some(now) = from.tenants().find(|now| now.id() == tenant) else {
                        continue;
                    };
                    if step(from, to, now.object().address(), tenant, seed + round).is_ok() {
                        moved.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(moved.into_inner() > 0, "no call ever won");
    let tenants: Vec<_> = owners.iter().flat_map(LeaseOwner::tenants).collect();
    assert_eq!(
        (tenants.len(), tenants[0].id(), books.live().len()),
        (1, tenant, 1)
    );
    let [one, other] = owners;
    drop((one, other));
    assert_eq!(books.live(), []);
}

fn step<'a>(
    from: &LeaseOwner<&'a Bookkeeper>,
    to: &LeaseOwner<&'a Bookkeeper>,
    address: usize,
    tenant: TenantId,
    kind: usize,
) -> Result<(), OwnerError> {
    let address = std::ptr::without_provenance::<u8>(address);
    let layout = Layout::from_size_align(16 + kind % 500, 8).unwrap();
    let result = match kind % 3 {
        0 => transfer(from, address, tenant, to),
        1 => realloc(from, address, tenant, layout).map(drop),
        _ => migrate(from, address, tenant, to).map(drop),
    };
    if let Err(refused) = result {
        assert!(
            matches!(refused, OwnerError::Busy { .. } | OwnerError::NotTracked { .. }),
            "{refused}"
        );
    }
    result
}

/// The end of one move must not be taken for the end of the next, although the record stands where it stood before.
#[test]
fn a_move_that_ends_leaves_the_next_one_alone() {
    let owner = Arc::new(LeaseOwner::with_strategy(Staged::default()));
    let (address, tenant) = OwnedLease::into_raw(owner.own([0_u8; 48]).unwrap());
    let (go, gone) = mpsc::channel::<()>();
    let (third, third_move) = mpsc::channel();
    let stage = Arc::clone(&owner);
    owner.strategy().after_next_free(move || {
        // The first move has put the record in a second place, and the second move brings it back to the first.
        resize(&stage, tenant).expect("nobody else moves it");
        let (inside, entered) = mpsc::channel();
        let again = Arc::clone(&stage);
        let moving = thread::spawn(move || {
            again.strategy().before_next_allocation(move || {
                inside.send(()).expect("the stage waits");
                gone.recv().expect("the test says when");
            });
            resize(&again, tenant)
        });
        entered.recv().expect("the third move begins");
        third.send(moving).expect("the test waits");
    });
    realloc(&*owner, address.as_ptr(), tenant, Layout::new::<[u64; 9]>()).unwrap();
    let refused = terminate(&*owner, at(&owner, tenant), tenant);
    go.send(()).unwrap();
    assert_eq!(refused, Err(OwnerError::Busy { tenant }));
    third_move.recv().unwrap().join().unwrap().unwrap();
    assert_eq!(terminate(&*owner, at(&owner, tenant), tenant), Ok(()));
}

fn at(owner: &LeaseOwner<Staged>, tenant: TenantId) -> *const u8 {
    let now = owner.tenants().find(|now| now.id() == tenant);
    std::ptr::without_provenance(now.expect("it is on record").object().address())
}

fn resize(owner: &LeaseOwner<Staged>, tenant: TenantId) -> Result<(), OwnerError> {
    realloc(owner, at(owner, tenant), tenant, Layout::new::<[u64; 5]>()).map(drop)
}

#[test]
fn guards_of_many_threads_share_an_owner() {
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books);
    let shared = [0_u8; 256];
    thread::scope(|scope| {
        for seed in 1..=THREADS {
            let (owner, shared) = (&owner, &shared);
            scope.spawn(move || {
                let mut kept = Vec::new();
                for round in 0..1_000 {
                    let lent = owner.borrow(&shared[seed..seed * 16]);
                    kept.push(owner.own([u8::try_from(round % 200).unwrap(); 24]).unwrap());
                    if round % 3 == 0 {
                        drop(kept.swap_remove(round % kept.len()));
                    }
                    assert!(lent.tenant().is_some());
                    assert!(owner.find(&raw const shared[seed]).is_some());
                }
            });
        }
    });
    assert_eq!((owner.len(), books.live().len()), (0, 0));
}
