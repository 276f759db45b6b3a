//! The memory of a slot, from one payload to the next: whichever way the slot takes in between, the next payload moves in
//! only after the last one is done with it.

use loom::cell::UnsafeCell;
use loom::sync::Arc;

use super::{end_thread, thread};
use crate::memory::pool::store::Options;
use crate::memory::pool::{ControlBlockHandle, Pool, StrongLease};
use crate::memory::strategy::System;

/// The memory of the only slot, as loom sees it. Leaked: a counted pointer to it would order what it is to watch.
#[derive(Clone, Copy)]
struct Memory(&'static UnsafeCell<()>);

// SAFETY: loom checks the accesses.
unsafe impl Send for Memory {}
// SAFETY: loom checks the accesses.
unsafe impl Sync for Memory {}

/// A payload that touches the memory of its slot when it is made, when it is used and when it ends.
struct Tenant(Memory);

impl Tenant {
    fn moves_into(memory: Memory) -> Self {
        memory.0.with_mut(|_| ());
        Self(memory)
    }

    fn look(&self) {
        self.0.0.with(|_| ());
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.0.0.with_mut(|_| ());
    }
}

type TenantPool = Arc<Pool<Tenant>>;

/// Runs a model of a pool with one slot.
fn model(magazine: usize, shelf: usize, run: impl Fn(TenantPool, Memory) + Send + Sync + 'static) {
    loom::model(move || {
        let options = Options {
            capacity: Some(1),
            magazine,
            shelf,
            class: Some(0),
            recycling: None,
        };
        let pool = Pool::with_options(options, System);
        pool.open().expect("memory for a model");
        let memory = Memory(Box::leak(Box::new(UnsafeCell::new(()))));
        run(Arc::new(pool), memory);
        end_thread();
    });
}

/// The slot goes from a thread that releases it to one that asks for it, used by both and looked at by a clone.
fn the_slot_changes_hands(pool: TenantPool, memory: Memory) {
    let lease = pool.acquire_with(|| Tenant::moves_into(memory));
    let other = lease.clone();
    let releaser = thread::spawn(move || {
        other.look();
        drop(other);
    });
    drop(lease);
    if let Ok(next) = pool.try_acquire_with(|| Tenant::moves_into(memory)) {
        next.look();
    }
    releaser.join().expect("no panic");
    let last = pool.try_acquire_with(|| Tenant::moves_into(memory));
    last.expect("the slot went back").look();
}

#[test]
fn loom_a_slot_is_empty_when_it_comes_from_the_store() {
    model(0, 0, the_slot_changes_hands);
}

#[test]
fn loom_a_slot_is_empty_when_it_comes_from_another_threads_magazine() {
    model(1, 0, the_slot_changes_hands);
}

#[test]
fn loom_a_slot_is_empty_when_it_comes_from_another_threads_shelf() {
    model(0, 1, the_slot_changes_hands);
}

#[test]
fn loom_a_slot_is_empty_when_it_is_handed_over() {
    model(0, 0, |pool, memory| {
        let lease = pool.acquire_with(|| Tenant::moves_into(memory));
        let waiter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                // The value is there before the slot is, so what touches the memory is only what comes after.
                let value = Tenant(memory);
                let lease = pool.acquire_blocking(value).expect("not closed");
                memory.0.with_mut(|_| ());
                lease.look();
            })
        };
        drop(lease);
        waiter.join().expect("no panic");
    });
}

#[test]
fn loom_a_slot_is_empty_when_the_last_weak_lease_returns_it() {
    model(0, 0, |pool, memory| {
        let strong = pool.acquire_with(|| Tenant::moves_into(memory));
        let weak = StrongLease::downgrade(&strong);
        let dropper = thread::spawn(move || drop(strong));
        let returner = thread::spawn(move || drop(weak));
        drop(pool.try_acquire_with(|| Tenant::moves_into(memory)));
        dropper.join().expect("no panic");
        returner.join().expect("no panic");
    });
}

/// Whoever looks up a payload may be the one who ends it; the next one moves in after that.
#[test]
fn loom_a_lookup_and_the_next_payload_share_no_memory() {
    model(1, 0, |pool, memory| {
        let lease = pool.acquire_with(|| Tenant::moves_into(memory));
        let handle = StrongLease::handle(&lease);
        let looker = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                for generation in 0..2 {
                    let handle = ControlBlockHandle::from_bits(handle.to_bits() + (generation << 32));
                    if let Some(lease) = pool.lock(handle) {
                        lease.look();
                    }
                }
            })
        };
        drop(lease);
        drop(pool.try_acquire_with(|| Tenant::moves_into(memory)));
        looker.join().expect("no panic");
    });
}
