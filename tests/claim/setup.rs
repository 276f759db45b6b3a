//! What every test of this area begins with.

use std::time::Duration;

use lease::{ManualClock, Registrar};

pub(crate) const TTL: Duration = Duration::from_secs(30);

/// A registrar on a ledger in memory, whose time stands still.
pub(crate) fn with_clock() -> (Registrar, ManualClock) {
    let clock = ManualClock::new();
    let registrar = Registrar::builder().clock(clock.clone()).in_memory().unwrap();
    (registrar, clock)
}

/// How the last lease on a work item has ended, in the ledger's words.
pub(crate) fn last_release(registrar: &Registrar, work: &str) -> Option<String> {
    registrar
        .query(|state| {
            let leases = state.leases();
            let last = leases.iter().rev().find(|lease| lease.work_id == work)?;
            Some(last.release_reason?.as_str().to_owned())
        })
        .unwrap()
}
