//! Records as lines.

use std::io::Write;

use lease::ledger::Ledger;
use lease::{EventRecord, LeaseChange, LeaseEvent as _, LedgerEvent, PublicKey};
use lease_examples::time::moment;

use crate::Failure;
use crate::leases::printable;

/// How many records are read at once.
const PAGE: usize = 1_024;

/// At most `limit` records after `after`.
pub(crate) fn print(
    ledger: &dyn Ledger,
    mut after: u64,
    mut limit: u64,
    out: &mut impl Write,
) -> Result<(), Failure> {
    while limit > 0 {
        let page = ledger.read(after, PAGE.min(usize::try_from(limit).unwrap_or(PAGE)))?;
        let Some(last) = page.last() else {
            break;
        };
        (after, limit) = (last.sequence, limit - page.len() as u64);
        for record in page {
            line(&record, out)?;
        }
    }
    Ok(())
}

fn line(record: &EventRecord, out: &mut impl Write) -> std::io::Result<()> {
    let when = match record.wall {
        0 => "at some time".to_owned(),
        wall => moment(wall),
    };
    let text = format!(
        "{:>8}  {when:<23}  {:<18}  {}",
        record.sequence,
        record.event_type,
        what(record)
    );
    writeln!(out, "{}", printable(&text))
}

/// What a record says, in words.
fn what(record: &EventRecord) -> String {
    if let Ok(Some(change)) = LeaseChange::from_record(record) {
        return of_lease(&change);
    }
    if let Ok(Some(event)) = LedgerEvent::from_record(record) {
        return of_ledger(&event);
    }
    format!("{} bytes by {}", record.payload.len(), record.actor_id)
}

fn of_lease(change: &LeaseChange) -> String {
    match change {
        LeaseChange::Issued {
            lease_id,
            work_id,
            actor_id,
            fencing_token,
            ..
        } => format!("{work_id} to {actor_id}, lease {lease_id}, token {fencing_token}"),
        LeaseChange::Renewed {
            lease_id,
            new_expires_at,
            ..
        } => format!("lease {lease_id} until {}", moment(*new_expires_at)),
        LeaseChange::Released {
            lease_id,
            release_reason,
        } => format!("lease {lease_id}, {release_reason}"),
        LeaseChange::Expired { lease_id, expired_at } => {
            format!("lease {lease_id} at {}", moment(*expired_at))
        }
        LeaseChange::Revoked { lease_id, reason, .. } => format!("lease {lease_id}, {reason}"),
        LeaseChange::Conflict {
            work_id,
            conflicting_lease_ids,
            resolution,
        } => format!("{work_id}: {}, {resolution}", conflicting_lease_ids.join(", ")),
    }
}

fn of_ledger(event: &LedgerEvent) -> String {
    match event {
        LedgerEvent::KeyAdded { public_key, .. } | LedgerEvent::KeyRetired { public_key, .. } => {
            match public_key.as_slice().try_into() {
                Ok(bytes) => format!("key {}", PublicKey::from_bytes(bytes)),
                Err(_) => "no key".to_owned(),
            }
        }
        LedgerEvent::RulesRaised { version } => format!("rules {version}"),
    }
}
