//! How long the parts of a lease event may be. Judged on the payload's bytes, before anything is decoded.

use super::LeaseError;
use crate::work::event::wire::Found;

/// Bytes of an id.
const ID: usize = 128;
/// Bytes of a signature.
const SIGNATURE: usize = 512;
/// Bytes of a reason or a resolution.
const REASON: usize = 128;
/// Ids in one conflict.
const CONFLICTING_IDS: usize = 64;

/// Fields, their shortest and longest length, in the order in which they are judged.
const LENGTHS: [(&[&str], usize, usize); 3] = [
    (
        &["lease_id", "work_id", "actor_id", "conflicting_lease_ids"],
        1,
        ID,
    ),
    (&["registrar_signature"], 0, SIGNATURE),
    (&["release_reason", "reason", "resolution"], 0, REASON),
];

/// Holds the fields of a lease event against their limits.
pub(super) fn check(found: &Found<'_>) -> Result<(), LeaseError> {
    for (names, shortest, longest) in LENGTHS {
        for field in found
            .arm()
            .fields
            .iter()
            .filter(|field| names.contains(&field.name))
        {
            if field.name == "conflicting_lease_ids" {
                for id in found.values(field.tag) {
                    check_len(field.name, id.len(), shortest, longest)?;
                }
            } else {
                // A single field that stands several times has its last value, one that does not stand is empty.
                let len = found.values(field.tag).last().map_or(0, <[u8]>::len);
                check_len(field.name, len, shortest, longest)?;
            }
        }
    }
    let conflicting = found
        .arm()
        .fields
        .iter()
        .find(|field| field.name == "conflicting_lease_ids");
    match conflicting.map(|field| found.values(field.tag).count()) {
        Some(count) if count > CONFLICTING_IDS => Err(LeaseError::invalid_input(
            "conflicting_lease_ids",
            format!("{count} ids, the limit is {CONFLICTING_IDS}"),
        )),
        _ => Ok(()),
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

fn check_len(field: &str, len: usize, shortest: usize, longest: usize) -> Result<(), LeaseError> {
    if (shortest..=longest).contains(&len) {
        return Ok(());
    }
    let reason = if len == 0 {
        "must not be empty".to_owned()
    } else {
        format!("{len} bytes, the limit is {longest}")
    };
    Err(LeaseError::invalid_input(field, reason))
}
