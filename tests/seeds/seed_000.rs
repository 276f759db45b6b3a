//! Every usage example and table row of seed 000, "Lease Allocator", translated; the C is quoted above each.

use std::alloc::Layout;
use std::ptr::NonNull;

use lease::strategy::{MemoryStrategy, Quota, System, Tracked};
use lease::{Contract, LeaseObject, LeaseOwner, LeasePolicy, LeaseTenant, OwnedLease, OwnerError, TenantId};

type Counted = LeaseOwner<Tracked<System>>;

fn counted() -> Counted {
    LeaseOwner::with_strategy(Tracked::new(System))
}

fn blocks(owner: &Counted) -> usize {
    owner.strategy().stats().live.unwrap().blocks
}

fn terminate<S: MemoryStrategy>(
    owner: &LeaseOwner<S>,
    memory: *const u8,
    tenant: TenantId,
) -> Result<(), OwnerError> {
    // SAFETY: these tests do not use memory after they have ended it.
    unsafe { owner.terminate(memory, tenant) }
}

/// `LeaseOwner* owner = lease_create_owner(128);`
#[test]
fn seed_000_create_a_lease_owner() {
    let owner = LeaseOwner::with_capacity(128);
    assert!(owner.is_empty());
}

/// `void* memory = lease_alloc_owned_address(owner, 1024, alignof(int));`
#[test]
fn seed_000_allocate_and_track_owned_memory() {
    let owner = LeaseOwner::with_capacity(128);
    let layout = Layout::from_size_align(1024, align_of::<i32>()).unwrap();
    let memory = owner.alloc_owned(layout).unwrap();
    let tenant = owner.tenant(memory.as_ptr()).unwrap();
    assert_eq!(
        (tenant.contract(), tenant.object().size()),
        (Contract::Owned, 1024)
    );
    assert_eq!(memory.as_ptr().addr() % align_of::<i32>(), 0);
}

/// `lease_alloc_borrowed_address(owner, external_buffer, size, alignof(float));`
#[test]
fn seed_000_track_borrowed_memory() {
    let owner = LeaseOwner::with_capacity(128);
    let external_buffer = [0.0_f32; 256];
    let lent = owner.borrow(&external_buffer);
    let object = owner.object(external_buffer.as_ptr()).unwrap();
    assert_eq!((object.size(), object.alignment()), (1024, align_of::<f32>()));
    drop(lent);
    // As C has it: by address, until it is terminated.
    let address = NonNull::from(&external_buffer).cast();
    let tenant = owner
        .track_borrowed(address, Layout::for_value(&external_buffer))
        .unwrap();
    assert_eq!(owner.tenant(address.as_ptr()).unwrap().id(), tenant);
    assert_eq!(terminate(&owner, address.as_ptr(), tenant), Ok(()));
}

/// `lease_terminate(owner, memory);`
#[test]
fn seed_000_free_a_lease() {
    let owner = counted();
    let (memory, tenant) = OwnedLease::into_raw(owner.alloc_owned(Layout::new::<[i32; 256]>()).unwrap());
    assert_eq!(blocks(&owner), 1);
    assert_eq!(terminate(&owner, memory.as_ptr(), tenant), Ok(()));
    assert_eq!((blocks(&owner), owner.tenant(memory.as_ptr())), (0, None));
}

/// `OWNED`: frees memory, not for stack memory, "leased memory will be freed".
#[test]
fn seed_000_owned_memory_is_freed() {
    let policy = LeasePolicy::new(Contract::Owned);
    assert!(policy.frees_memory() && !policy.allows_stack_memory());
    let owner = counted();
    let memory = owner.own([0_u8; 64]).unwrap();
    assert_eq!((owner.policy(memory.as_ptr()), blocks(&owner)), (Some(policy), 1));
    drop(memory);
    assert_eq!(blocks(&owner), 0);
}

/// `BORROWED`: does not free, fine for stack memory, "safe for temporary input/output".
#[test]
fn seed_000_borrowed_memory_stays_with_its_owner() {
    let policy = LeasePolicy::new(Contract::Borrowed);
    assert!(!policy.frees_memory() && policy.allows_stack_memory());
    let owner = counted();
    let on_the_stack = *b"temporary input";
    let lent = owner.borrow(&on_the_stack);
    assert_eq!(owner.policy(on_the_stack.as_ptr()), Some(policy));
    drop(lent);
    assert_eq!(
        (&on_the_stack, owner.len(), blocks(&owner)),
        (b"temporary input", 0, 0)
    );
}

/// `STATIC`: does not free, "lifetime managed by compiler".
#[test]
fn seed_000_static_memory_is_never_freed() {
    static TABLE: [u16; 4] = [1, 2, 3, 4];
    let policy = LeasePolicy::new(Contract::Static);
    assert!(!policy.frees_memory() && policy.allows_stack_memory());
    let owner = counted();
    let tenant = owner.track_static(&TABLE).unwrap();
    assert_eq!(owner.policy(TABLE.as_ptr()), Some(policy));
    assert_eq!(terminate(&owner, TABLE.as_ptr().cast(), tenant), Ok(()));
    assert_eq!((TABLE, owner.len()), ([1, 2, 3, 4], 0));
}

/// "`LeaseTenant`: combines a `LeasePolicy` and a `LeaseObject`"; "`LeaseObject`: address, size, alignment";
/// `lease_get_*`.
#[test]
fn seed_000_a_tenant_is_a_policy_and_an_object() {
    let owner = LeaseOwner::new();
    let memory = owner.own([0_u32; 3]).unwrap();
    let tenant: LeaseTenant = owner.tenant(memory.as_ptr()).unwrap();
    let object: LeaseObject = tenant.object();
    assert_eq!(
        (object.address(), object.size(), object.alignment()),
        (memory.as_ptr().addr(), 12, 4)
    );
    assert_eq!(owner.policy(memory.as_ptr()), Some(tenant.policy()));
    assert_eq!(owner.object(memory.as_ptr()), Some(object));
}

/// `lease_realloc`. The original makes a new tenant; here the tenant keeps its number, and the caller learns the new
/// address.
#[test]
fn seed_000_realloc_rebinds_the_memory() {
    let owner = LeaseOwner::new();
    let (memory, tenant) = OwnedLease::into_raw(owner.own_bytes(b"kept").unwrap());
    let layout = Layout::from_size_align(4096, 64).unwrap();
    // SAFETY: only the new address is used afterwards.
    let memory = unsafe { owner.realloc(memory.as_ptr(), tenant, layout) }.unwrap();
    // SAFETY: the first four bytes came along.
    assert_eq!(&unsafe { memory.cast::<[u8; 4]>().read() }, b"kept");
    let now = owner.tenant(memory.as_ptr()).unwrap();
    assert_eq!(
        (now.id(), now.object().size(), now.object().alignment()),
        (tenant, 4096, 64)
    );
    assert_eq!(terminate(&owner, memory.as_ptr(), tenant), Ok(()));
}

/// `lease_transfer`.
#[test]
fn seed_000_transfer_hands_a_tenant_to_another_owner() {
    let (from, to) = (LeaseOwner::new(), LeaseOwner::new());
    let (memory, tenant) = OwnedLease::into_raw(from.own(7_u64).unwrap());
    // SAFETY: the memory is not used once `to` has ended.
    assert_eq!(unsafe { from.transfer(memory.as_ptr(), tenant, &to) }, Ok(()));
    assert_eq!(
        (from.len(), to.tenant(memory.as_ptr()).unwrap().id()),
        (0, tenant)
    );
    assert_eq!(terminate(&to, memory.as_ptr(), tenant), Ok(()));
}

/// "Call `lease_debug_owner(owner)` to print all tracked leases and their policies/objects"; `lease_debug_tenant`.
#[test]
fn seed_000_debug_prints_every_lease() {
    static TABLE: [u8; 8] = [0; 8];
    let owner = LeaseOwner::new();
    let memory = owner.own([0_u8; 1024]).unwrap();
    let lent = owner.borrow(&memory[..16]);
    owner.track_static(&TABLE).unwrap();
    let printed = format!("{owner:?}");
    for tenant in owner.tenants() {
        let (id, object) = (tenant.id().to_string(), tenant.object());
        let line = printed
            .lines()
            .find(|line| line.split_whitespace().next() == Some(&id));
        let line: Vec<_> = line
            .expect("one line for each tenant")
            .split_whitespace()
            .collect();
        let address = format!("{:#x}", object.address());
        let (size, alignment) = (object.size().to_string(), object.alignment().to_string());
        assert_eq!(
            line[1..5],
            [&tenant.contract().to_string(), &address, &size, &alignment]
        );
    }
    assert!(format!("{:?}", lent.tenant()).contains("Borrowed"));
}

/// "All tenants and policies are heap-allocated to avoid stack overflows on scale."
#[test]
fn seed_000_the_table_grows_to_any_scale() {
    let owner = LeaseOwner::with_capacity(128);
    let memory = vec![0_u8; 1 << 20];
    let lent: Vec<_> = memory.chunks(16).map(|chunk| owner.borrow(chunk)).collect();
    assert_eq!((owner.len(), lent.len()), (65_536, 65_536));
    assert_eq!(
        owner.find(&raw const memory[12_345]).unwrap().object().address(),
        memory[12_336..].as_ptr().addr()
    );
    drop(lent);
    assert!(owner.is_empty());
}

/// Future work: "Thread-safe `LeaseOwner`".
#[test]
fn seed_000_an_owner_is_shared_by_threads() {
    let owner = LeaseOwner::new();
    std::thread::scope(|scope| {
        for number in 0..4_u64 {
            let owner = &owner;
            scope.spawn(move || {
                let kept: Vec<_> = (0..100)
                    .map(|step| owner.own(number * 100 + step).unwrap())
                    .collect();
                assert!(
                    kept.iter()
                        .zip(number * 100..)
                        .all(|(lease, value)| **lease == value)
                );
            });
        }
    });
    assert!(owner.is_empty());
}

/// Future work: "Lease cloning and migration between allocators."
#[test]
fn seed_000_leases_are_cloned_and_migrated_between_allocators() {
    let (here, there) = (
        LeaseOwner::new(),
        LeaseOwner::with_strategy(Quota::bytes(1 << 10, System)),
    );
    let text = here.own_str("between allocators").unwrap();
    let copy = OwnedLease::clone_into(&text, &there).unwrap();
    let text = OwnedLease::migrate(text, &there).unwrap();
    assert_eq!(
        (&*text, &*copy, here.len(), there.len()),
        ("between allocators", "between allocators", 0, 2)
    );
}

/// Future work: "Scoped lifetime helpers or allocator pools": any strategy may stand behind an owner.
#[test]
fn seed_000_an_owner_stands_over_any_strategy() {
    let owner = LeaseOwner::with_strategy(Quota::bytes(100, Tracked::new(System)));
    let kept = owner.own([0_u8; 60]).unwrap();
    assert!(matches!(owner.own([0_u8; 41]), Err(OwnerError::Alloc(_))));
    assert_eq!(owner.strategy().stats().live.unwrap().bytes, 60);
    drop(kept);
}
