//! Payloads of lease events, one function a kind: for those who write to a ledger without
//! a registrar, and for tests.
//!
//! Wall times are Unix nanoseconds. The plain forms make leases without ticks, which are judged by the wall clock;
//! the `_with_ticks` forms make what a registrar makes.

use super::LeaseChange;
use crate::work::event::LeaseEvent;

/// The payload of `lease.issued`, without ticks.
///
/// ```
/// use lease::{EventRecord, LeaseReducer, Reducer, ReducerContext, helpers};
///
/// let payload = helpers::lease_issued_payload("lease-1", "work-1", "actor-1", 1_000, 2_000, vec![1]);
/// let mut reducer = LeaseReducer::new();
/// reducer.apply(&EventRecord::new("lease.issued", "s", "registrar", payload), &ReducerContext::new(1))?;
/// assert!(reducer.state().has_active_lease("work-1"));
/// # Ok::<(), lease::LeaseError>(())
/// ```
pub fn lease_issued_payload(
    lease_id: &str,
    work_id: &str,
    actor_id: &str,
    issued_at: u64,
    expires_at: u64,
    registrar_signature: Vec<u8>,
) -> Vec<u8> {
    lease_issued_payload_with_ticks(
        lease_id,
        work_id,
        actor_id,
        issued_at,
        expires_at,
        registrar_signature,
        0,
        0,
        0,
    )
}

/// The payload of `lease.issued`, with ticks from `issued_at_tick` to `expires_at_tick` at `tick_rate_hz` per second.
#[allow(
    clippy::too_many_arguments,
    reason = "the seed's helper with the three tick fields of the message"
)]
pub fn lease_issued_payload_with_ticks(
    lease_id: &str,
    work_id: &str,
    actor_id: &str,
    issued_at: u64,
    expires_at: u64,
    registrar_signature: Vec<u8>,
    issued_at_tick: u64,
    expires_at_tick: u64,
    tick_rate_hz: u64,
) -> Vec<u8> {
    LeaseChange::Issued {
        lease_id: lease_id.to_owned(),
        work_id: work_id.to_owned(),
        actor_id: actor_id.to_owned(),
        issued_at,
        expires_at,
        registrar_signature,
        issued_at_tick,
        expires_at_tick,
        tick_rate_hz,
        fencing_token: 0,
        closed_until_tick: 0,
    }
    .encode()
}

/// The payload of `lease.renewed`, without ticks.
pub fn lease_renewed_payload(lease_id: &str, new_expires_at: u64, registrar_signature: Vec<u8>) -> Vec<u8> {
    lease_renewed_payload_with_ticks(lease_id, new_expires_at, registrar_signature, 0, 0)
}

/// The payload of `lease.renewed`, to `new_expires_at_tick` at `tick_rate_hz` per second.
pub fn lease_renewed_payload_with_ticks(
    lease_id: &str,
    new_expires_at: u64,
    registrar_signature: Vec<u8>,
    new_expires_at_tick: u64,
    tick_rate_hz: u64,
) -> Vec<u8> {
    LeaseChange::Renewed {
        lease_id: lease_id.to_owned(),
        new_expires_at,
        registrar_signature,
        new_expires_at_tick,
        tick_rate_hz,
    }
    .encode()
}

/// The payload of `lease.released`; `release_reason` is the name of a [`ReleaseReason`](crate::ReleaseReason).
pub fn lease_released_payload(lease_id: &str, release_reason: &str) -> Vec<u8> {
    LeaseChange::Released {
        lease_id: lease_id.to_owned(),
        release_reason: release_reason.to_owned(),
    }
    .encode()
}

/// The payload of `lease.expired`.
pub fn lease_expired_payload(lease_id: &str, expired_at: u64) -> Vec<u8> {
    LeaseChange::Expired {
        lease_id: lease_id.to_owned(),
        expired_at,
    }
    .encode()
}

/// The payload of `lease.conflict`.
pub fn lease_conflict_payload(
    work_id: &str,
    conflicting_lease_ids: Vec<String>,
    resolution: &str,
) -> Vec<u8> {
    LeaseChange::Conflict {
        work_id: work_id.to_owned(),
        conflicting_lease_ids,
        resolution: resolution.to_owned(),
    }
    .encode()
}

/// The payload of `lease.revoked`.
pub fn lease_revoked_payload(lease_id: &str, reason: &str, registrar_signature: Vec<u8>) -> Vec<u8> {
    LeaseChange::Revoked {
        lease_id: lease_id.to_owned(),
        reason: reason.to_owned(),
        registrar_signature,
    }
    .encode()
}
