//! Loom's models of the address layer: in every interleaving one call wins a tenant, the others are told, and the block
//! is freed once.

use std::alloc::Layout;

use super::{LeaseOwner, OwnedLease, OwnerError, TenantId};
use crate::memory::strategy::{MemoryStrategy, System, Tracked};
use crate::sync::{Arc, thread};

type Owner = LeaseOwner<Arc<Tracked<System>>>;

/// Two owners over one strategy, and a tenant of the first that nobody guards.
fn two_owners() -> (Arc<Tracked<System>>, [Arc<Owner>; 2], Raw) {
    let strategy = Arc::new(Tracked::new(System));
    let owners = [(); 2].map(|()| Arc::new(LeaseOwner::with_strategy(Arc::clone(&strategy))));
    let (address, tenant) = OwnedLease::into_raw(owners[0].own(1_u64).expect("there is memory"));
    (strategy, owners, (address.addr().get(), tenant))
}

type Raw = (usize, TenantId);

fn terminate(owner: &Owner, (address, tenant): Raw) -> Result<(), OwnerError> {
    // SAFETY: the models do not use the memory.
    unsafe { owner.terminate(std::ptr::without_provenance::<u8>(address), tenant) }
}

fn transfer(from: &Owner, (address, tenant): Raw, to: &Owner) -> Result<(), OwnerError> {
    // SAFETY: the models do not use the memory.
    unsafe { from.transfer(std::ptr::without_provenance::<u8>(address), tenant, to) }
}

fn realloc(owner: &Owner, (address, tenant): Raw) -> Result<Raw, OwnerError> {
    let layout = Layout::new::<[u64; 4]>();
    // SAFETY: the models do not use the memory.
    let moved = unsafe { owner.realloc(std::ptr::without_provenance::<u8>(address), tenant, layout) };
    moved.map(|address| (address.addr().get(), tenant))
}

fn live(strategy: &Tracked<System>) -> usize {
    strategy.stats().live.map_or(0, |live| live.blocks)
}

#[test]
fn loom_of_two_terminates_one_wins() {
    loom::model(|| {
        let (strategy, [owner, _], raw) = two_owners();
        let other = Arc::clone(&owner);
        let rival = thread::spawn(move || terminate(&other, raw).is_ok());
        let won = terminate(&owner, raw).is_ok();
        assert_ne!(won, rival.join().expect("no panic"));
        assert_eq!(live(&strategy), 0);
    });
}

#[test]
fn loom_a_transfer_and_a_terminate_do_not_both_win() {
    loom::model(|| {
        let (strategy, [here, there], raw) = two_owners();
        let (from, to) = (Arc::clone(&here), Arc::clone(&there));
        let rival = thread::spawn(move || transfer(&from, raw, &to).is_ok());
        let ended = terminate(&here, raw).is_ok();
        assert_ne!(ended, rival.join().expect("no panic"));
        assert_eq!(live(&strategy), usize::from(!ended));
        assert_eq!((here.len(), there.len()), (0, usize::from(!ended)));
    });
}

#[test]
fn loom_transfers_in_opposite_directions_do_not_block_each_other() {
    loom::model(|| {
        let (strategy, [here, there], raw) = two_owners();
        let (address, tenant) = OwnedLease::into_raw(there.own(2_u64).expect("there is memory"));
        let back = (address.addr().get(), tenant);
        let (from, to) = (Arc::clone(&there), Arc::clone(&here));
        let rival = thread::spawn(move || transfer(&from, back, &to));
        assert_eq!(transfer(&here, raw, &there), Ok(()));
        assert_eq!(rival.join().expect("no panic"), Ok(()));
        assert_eq!((here.len(), there.len(), live(&strategy)), (1, 1, 2));
    });
}

#[test]
fn loom_nobody_ends_a_tenant_that_is_moving() {
    loom::model(|| {
        let (strategy, [owner, _], raw) = two_owners();
        let other = Arc::clone(&owner);
        let rival = thread::spawn(move || realloc(&other, raw));
        let ended = terminate(&owner, raw);
        match rival.join().expect("no panic") {
            Ok(moved) => {
                let refused = ended.expect_err("the memory moved");
                assert!(matches!(
                    refused,
                    OwnerError::Busy { .. } | OwnerError::NotTracked { .. }
                ));
                assert_eq!(terminate(&owner, moved), Ok(()));
            }
            Err(refused) => {
                assert!(matches!(refused, OwnerError::NotTracked { .. }));
                assert_eq!(ended, Ok(()));
            }
        }
        assert_eq!((owner.len(), live(&strategy)), (0, 0));
    });
}
