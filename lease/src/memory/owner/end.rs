//! The end of an owner: what is left is freed, and somebody is told.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::LeaseOwner;
use super::report::LeakReport;
use crate::memory::strategy::MemoryStrategy;

impl<S: MemoryStrategy> LeaseOwner<S> {
    /// Says who is told when this owner is dropped with owned memory still on record.
    ///
    /// Dropping never panics and never waits for a device, so it cannot print; the hook may do what its
    /// program can afford. A panic in it is caught and ends there. Without a hook, feature `tracing` makes each leak a
    /// warning, and otherwise nobody is told; [`close`](Self::close) returns the same report to the caller.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use lease::{LeaseOwner, OwnedLease};
    ///
    /// let seen = Arc::new(Mutex::new(0));
    /// let told = Arc::clone(&seen);
    /// let owner = LeaseOwner::new().on_leak(move |leaks| *told.lock().unwrap() = leaks.bytes);
    /// let _ = OwnedLease::into_raw(owner.own(7_u64)?);
    /// drop(owner);
    /// assert_eq!(*seen.lock().unwrap(), 8);
    /// # Ok::<(), lease::OwnerError>(())
    /// ```
    #[must_use = "this returns the owner with the hook"]
    pub fn on_leak(mut self, hook: impl Fn(&LeakReport) + Send + Sync + 'static) -> Self {
        self.on_leak = Some(Box::new(hook));
        self
    }

    /// Ends the owner as dropping it does, and returns what was left instead of telling the hook.
    pub fn close(mut self) -> LeakReport {
        self.free_leaks()
    }

    /// Frees what is owned and still on record. `&mut`: every guard is gone, or was leaked and can give no access.
    fn free_leaks(&mut self) -> LeakReport {
        let mut leaks = LeakReport {
            owner: self.table.number(),
            ..LeakReport::default()
        };
        let table = mem::take(&mut *self.table.lock());
        for (tenant, block) in table.into_owned_blocks() {
            leaks.bytes = leaks.bytes.saturating_add(block.layout().size());
            // Without memory for the list the memory is freed all the same, and counted.
            if leaks.tenants.try_reserve(1).is_ok() {
                leaks.tenants.push(tenant);
            }
            // SAFETY: the record held this strategy's block and went with the table; no guard can use it any more,
            // and who kept a bare address was told by `into_raw` that it ends with the owner.
            unsafe { block.deallocate(&self.strategy) };
        }
        leaks.tenants.sort_unstable_by_key(super::LeaseTenant::id);
        leaks
    }
}

impl<S: MemoryStrategy> Drop for LeaseOwner<S> {
    fn drop(&mut self) {
        let leaks = self.free_leaks();
        if leaks.is_empty() {
            return;
        }
        let told = catch_unwind(AssertUnwindSafe(|| match &self.on_leak {
            Some(hook) => hook(&leaks),
            None => warn(&leaks),
        }));
        if let Err(panic) = told {
            // What a panic carries may panic when it is dropped.
            mem::forget(panic);
        }
    }
}

#[cfg(feature = "tracing")]
fn warn(leaks: &LeakReport) {
    for tenant in &leaks.tenants {
        tracing::warn!(
            owner = leaks.owner,
            tenant = tenant.id().to_bits(),
            bytes = tenant.object().size(),
            location = %tenant.location(),
            "owned memory outlived its owner's last user and was freed"
        );
    }
}

#[cfg(not(feature = "tracing"))]
fn warn(_: &LeakReport) {}

#[cfg(all(test, feature = "tracing"))]
mod tests {
    use std::cell::Cell;

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata};

    use super::super::OwnedLease;
    use super::*;
    use crate::memory::strategy::System;

    thread_local! {
        static SEEN: Cell<usize> = const { Cell::new(0) };
    }

    /// Counts this thread's warnings of this module.
    struct Warnings;

    impl tracing::Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == module_path!().trim_end_matches("::tests")
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            assert_eq!(*event.metadata().level(), Level::WARN);
            SEEN.set(SEEN.get() + 1);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn without_a_hook_each_leak_is_a_warning() {
        tracing::subscriber::with_default(Warnings, || {
            let owner = LeaseOwner::with_strategy(System);
            for number in 0..3_u64 {
                let _ = OwnedLease::into_raw(owner.own(number).expect("there is memory"));
            }
        });
        assert_eq!(SEEN.get(), 3);
    }
}
