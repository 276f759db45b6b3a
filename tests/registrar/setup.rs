//! What every test of this area begins with.

use lease::{LeaseError, ManualClock, Registrar, RegistrarError};
use std::time::Duration;

pub(crate) const TTL: Duration = Duration::from_secs(30);

/// A registrar on a ledger in memory, whose time stands still.
pub(crate) fn with_clock() -> (Registrar, ManualClock) {
    let clock = ManualClock::new();
    let registrar = Registrar::builder().clock(clock.clone()).in_memory().unwrap();
    (registrar, clock)
}

/// What the rules of leases say against it.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, RegistrarError>) -> LeaseError {
    match result {
        Err(RegistrarError::Lease(error)) => (*error).clone(),
        other => panic!("{other:?}"),
    }
}
