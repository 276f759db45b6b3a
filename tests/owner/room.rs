//! Want of memory: the N-th allocation of the table fails, for every N, and nothing is half done.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::{self, NonNull};

use lease::{
    BorrowedFields, LeaseOwner, OwnedLease, OwnerError, OwnerReport, Recorded, TrackBorrowed, Tracking,
};

use crate::raw::{migrate, realloc, transfer};

/// The system's allocator, out of memory on a thread whose countdown is over.
struct Scarce;

thread_local! {
    /// How many more allocations this thread gets; `None`: any number.
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

#[global_allocator]
static SCARCE: Scarce = Scarce;

impl Scarce {
    fn grants() -> bool {
        match LEFT.get() {
            None => true,
            Some(0) => false,
            Some(left) => {
                LEFT.set(Some(left - 1));
                true
            }
        }
    }
}

// SAFETY: every block is `System`'s; a refusal is a null pointer, as the contract has it.
unsafe impl GlobalAlloc for Scarce {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::grants() {
            // SAFETY: the caller's duties are the callee's.
            unsafe { System.alloc(layout) }
        } else {
            ptr::null_mut()
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties are the callee's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if Self::grants() {
            // SAFETY: the caller's duties are the callee's.
            unsafe { System.realloc(block, layout, size) }
        } else {
            ptr::null_mut()
        }
    }
}

/// Runs `attempt` with room for this many allocations; the result, and the room that is left.
fn with_room<R>(room: Option<u32>, attempt: impl FnOnce() -> R) -> (R, Option<u32>) {
    LEFT.set(room);
    let result = attempt();
    (result, LEFT.replace(None))
}

/// What no refusal may change.
fn state(owners: [&LeaseOwner; 2]) -> [OwnerReport; 2] {
    owners.map(|owner| {
        let mut report = owner.report();
        report.untracked = 0;
        report
    })
}

static FIXED: [u8; 4096] = [0; 4096];

/// Fills two owners and moves tenants between them, step by step, while the allocation after the first `room` fails,
/// alone or with all that follow. How many steps were refused; each changed nothing.
fn refusals(room: u32, once: bool) -> u64 {
    let owners = [&LeaseOwner::new(), &LeaseOwner::new()];
    let memory = vec![0_u8; 1 << 16];
    let (mut left, mut refused) = (Some(room), 0);
    let mut step = |attempt: &mut dyn FnMut() -> Result<(), OwnerError>| {
        let before = state(owners);
        let (result, rest) = with_room(left, attempt);
        left = rest;
        if let Err(error) = result {
            assert!(matches!(error, OwnerError::NoRoom { .. }), "{error}");
            assert_eq!(state(owners), before);
            refused += 1;
            left = left.filter(|_| !once);
        }
    };
    let (mut leases, mut records) = (Vec::with_capacity(100), Vec::with_capacity(100));
    let mut untracked = 0;
    for size in (1..200).step_by(7) {
        let layout = Layout::array::<u8>(size * size).unwrap();
        step(&mut || {
            owners[size % 2]
                .alloc_owned(layout)
                .map(|lease| leases.push(lease))
        });
        step(&mut || owners[0].track_static(&FIXED[size..size * 3]).map(drop));
        step(&mut || {
            owners[1]
                .track_borrowed(NonNull::from(&memory[size]), layout)
                .map(drop)
        });
        step(&mut || {
            records.push(owners[0].record(&memory[size * 10..size * 11]));
            let stored = records.last().and_then(Recorded::tenant);
            untracked += u64::from(stored.is_none());
            stored.map(drop).ok_or(OwnerError::NoRoom { tenants: 0 })
        });
    }
    for (number, lease) in leases.drain(..).enumerate() {
        let (address, tenant) = OwnedLease::into_raw(lease);
        let at_home = owners[0].tenant(address.as_ptr()).is_some();
        let (from, to) = if at_home {
            (owners[0], owners[1])
        } else {
            (owners[1], owners[0])
        };
        step(&mut || match number % 3 {
            0 => transfer(from, address.as_ptr(), tenant, to),
            1 => migrate(from, address.as_ptr(), tenant, to).map(drop),
            _ => realloc(from, address.as_ptr(), tenant, Layout::new::<[u64; 999]>()).map(drop),
        });
    }
    assert_eq!(owners[0].report().untracked, untracked);
    drop(records);
    refused
}

#[test]
fn an_allocation_that_fails_refuses_one_step_and_changes_nothing() {
    let enough = (0..10_000).find(|&room| refusals(room, true) == 0).unwrap();
    assert!(enough > 20, "the tables grew only {enough} times");
}

#[test]
fn allocations_that_go_on_failing_change_nothing_either() {
    let enough = (0..10_000).find(|&room| refusals(room, false) == 0).unwrap();
    assert!(enough > 20, "the tables grew only {enough} times");
}

#[test]
fn tracked_fields_without_room_are_counted() {
    struct Many<'a>([&'a [u8]; 40]);
    impl TrackBorrowed for Many<'_> {
        fn borrowed_fields(&self, fields: &mut BorrowedFields<'_>) {
            for field in self.0 {
                fields.record(field);
            }
        }
    }
    let memory = [0_u8; 40];
    let many = Many(std::array::from_fn(|n| &memory[n..=n]));
    let owner = LeaseOwner::new();
    let (tracked, _) = with_room(Some(0), || many.track(&owner));
    assert_eq!(
        (Tracking::tenants(&tracked).count(), owner.report().untracked),
        (0, 40)
    );
    drop(tracked);
    let (tracked, _) = with_room(Some(7), || many.track(&owner));
    let stored = Tracking::tenants(&tracked).count();
    assert!(0 < stored && stored < 40, "{stored} stored");
    assert_eq!(
        (owner.len(), owner.report().untracked),
        (stored, 80 - stored as u64)
    );
    drop(tracked);
    assert!(owner.is_empty());
}
