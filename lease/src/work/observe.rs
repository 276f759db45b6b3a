//! What operators see: a counter and a log line for what happens to leases.
//!
//! With feature `metrics`: `lease_records_total` counts the records that this process appended, by their `type`;
//! `lease_claims_lost_total` counts claims that ended under their holder. With feature `tracing`: each of these as an
//! event of target `lease`, records at debug level, lost claims as a warning. Without them nothing is done.
//!
//! Recorders and subscribers are the user's code: these functions are called with no lock held and outside the ledger's
//! write section.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A record was appended by this process.
pub(crate) fn appended(event_type: &str) {
    harmlessly(|| {
        #[cfg(feature = "metrics")]
        metrics::counter!("lease_records_total", "type" => event_type.to_owned()).increment(1);
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "lease", event_type, "record appended");
        #[cfg(not(any(feature = "metrics", feature = "tracing")))]
        let _ = event_type;
    });
}

/// A claim can no longer be trusted, and its holder did not release it.
pub(crate) fn lost(work_id: &str, lease_id: &str) {
    harmlessly(|| {
        #[cfg(feature = "metrics")]
        metrics::counter!("lease_claims_lost_total").increment(1);
        #[cfg(feature = "tracing")]
        tracing::warn!(target: "lease", work_id, lease_id, "claim lost");
        #[cfg(not(feature = "tracing"))]
        let _ = (work_id, lease_id);
    });
}

/// On a thread that others depend on: a recorder or subscriber that panics has said so on standard error.
fn harmlessly(tell: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(tell));
}
