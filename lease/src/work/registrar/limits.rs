//! How long the parts of a lease event may be. Judged on the payload's bytes, before anything is decoded.

use super::{Lease, LeaseError, reading::Reading};

/// Bytes of an id.
const ID: usize = 128;
/// Bytes of a signature.
const SIGNATURE: usize = 512;
/// Bytes of a reason or a resolution.
const REASON: usize = 128;
/// Ids in one conflict.
const CONFLICTING_IDS: usize = 64;

/// Holds the fields of a lease event against their limits: ids, then signatures, then reasons, then how many there are.
pub(super) fn check(event: &Reading<'_>) -> Result<(), LeaseError> {
    let signature = |signature: &[u8]| check_len("registrar_signature", signature.len(), 0, SIGNATURE);
    match event {
        Reading::Issued(issued) => {
            check_id("lease_id", issued.lease_id)?;
            check_id("work_id", issued.work_id)?;
            check_id("actor_id", issued.actor_id)?;
            signature(issued.registrar_signature)
        }
        Reading::Renewed(renewed) => {
            check_id("lease_id", renewed.lease_id)?;
            signature(renewed.registrar_signature)
        }
        Reading::Released { lease_id, reason } => {
            check_id("lease_id", lease_id)?;
            check_reason("release_reason", reason)
        }
        Reading::Expired { lease_id, .. } => check_id("lease_id", lease_id),
        Reading::Revoked {
            lease_id,
            reason,
            registrar_signature,
        } => {
            check_id("lease_id", lease_id)?;
            signature(registrar_signature)?;
            check_reason("reason", reason)
        }
        Reading::Conflict(conflict) => check_conflict(conflict.work_id, conflict.ids(), conflict.resolution),
    }
}

/// Holds a lease that no event has just said against what the events of a lease may say.
pub(super) fn check_lease(lease: &Lease) -> Result<(), LeaseError> {
    check_id("lease_id", &lease.lease_id)?;
    check_id("work_id", &lease.work_id)?;
    check_id("actor_id", &lease.actor_id)?;
    check_len(
        "registrar_signature",
        lease.registrar_signature.len(),
        1,
        SIGNATURE,
    )?;
    check_reason("reason", lease.revocation_reason.as_deref().unwrap_or_default())
}

/// Whether these can be the parts of a conflict.
pub(super) fn check_conflict<'a>(
    work_id: &str,
    ids: impl Iterator<Item = &'a str> + Clone,
    resolution: &str,
) -> Result<(), LeaseError> {
    check_id("work_id", work_id)?;
    for id in ids.clone() {
        check_id("conflicting_lease_ids", id)?;
    }
    check_reason("resolution", resolution)?;
    match ids.count() {
        0..=CONFLICTING_IDS => Ok(()),
        count => Err(LeaseError::invalid_input(
            "conflicting_lease_ids",
            format!("{count} ids, the limit is {CONFLICTING_IDS}"),
        )),
    }
}

/// Whether `id` can be an id.
pub(super) fn check_id(field: &str, id: &str) -> Result<(), LeaseError> {
    check_len(field, id.len(), 1, ID)
}

/// Whether `reason` can be a reason.
pub(super) fn check_reason(field: &str, reason: &str) -> Result<(), LeaseError> {
    check_len(field, reason.len(), 0, REASON)
}

#[inline]
fn check_len(field: &str, len: usize, shortest: usize, longest: usize) -> Result<(), LeaseError> {
    if (shortest..=longest).contains(&len) {
        return Ok(());
    }
    Err(wrong_len(field, len, longest))
}

#[cold]
fn wrong_len(field: &str, len: usize, longest: usize) -> LeaseError {
    let reason = if len == 0 {
        "must not be empty".to_owned()
    } else {
        format!("{len} bytes, the limit is {longest}")
    };
    LeaseError::invalid_input(field, reason)
}
