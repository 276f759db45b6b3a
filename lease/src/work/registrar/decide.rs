//! What becomes of a command: pure, without a clock and without IO.
//!
//! Whatever is decided here is appended in the same write section and then applied, so a decision must never make an
//! event that the reducer refuses. The checks stand in the reducer's order.

use std::collections::HashMap;

use crate::work::event::LeaseEvent;
use crate::work::registrar::command::{
    Command, Issue, IssueRequest, KeyChange, Release, Renewal, Revocation,
};
use crate::work::registrar::expiry::{self, Now, Verdict};
use crate::work::registrar::ledger_event::LedgerEvent;
use crate::work::registrar::limits;
use crate::work::registrar::signer::PublicKey;
use crate::work::registrar::{Busy, Lease, LeaseChange, LeaseError, LeaseReducerState};

/// The actor that leases are issued, renewed, expired and revoked by.
pub(crate) const REGISTRAR: &str = "registrar";

/// A record in the making: what the writer adds is who wrote it, when, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) event_type: String,
    pub(crate) actor_id: String,
    pub(crate) payload: Vec<u8>,
    /// The lease that the record is about.
    pub(crate) lease_id: Option<String>,
    /// Whether the record makes the lease.
    is_issue: bool,
}

impl Draft {
    pub(crate) const fn is_new_lease(&self) -> bool {
        self.is_issue
    }

    /// The key under which the ledger refuses a second record for ever: a lease id is used once.
    pub(crate) fn unique_key(&self) -> Option<String> {
        let lease_id = self.lease_id.as_ref().filter(|_| self.is_issue)?;
        Some(format!("lease/{lease_id}"))
    }
}

/// Why a command is not done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The work item cannot be had now.
    Busy(Busy),
    /// What was signed outside no longer fits; signing again may help.
    Superseded { lease_id: String },
    /// The rules say no.
    Lease(LeaseError),
}

impl From<LeaseError> for Refusal {
    fn from(error: LeaseError) -> Self {
        Self::Lease(error)
    }
}

/// Why an issue has to wait, if it has to: the only question that is asked again and again while it does.
pub(crate) fn obstacle(state: &LeaseReducerState, request: &IssueRequest, now: &Now<'_>) -> Option<Busy> {
    let held = state.get_active_lease_for_work(&request.work_id);
    if let Some(held) = held
        && expiry::judge(held, now) == Verdict::Held
    {
        return Some(busy(held, &request.actor_id, now));
    }
    let until = state.closed_until(&request.work_id)?;
    let is_open = until.clock.is_other_boot(&now.tick.clock) || now.tick.has_reached(&until);
    let remaining = now.tick.until(&until).unwrap_or_default();
    (!is_open).then(|| Busy::closed(&request.work_id, remaining, until))
}

/// Decides one command: the records to append, in order, or why there are none.
pub(crate) fn decide(
    state: &LeaseReducerState,
    command: &Command,
    now: &Now<'_>,
) -> Result<Vec<Draft>, Refusal> {
    match command {
        Command::Issue(issue) => decide_issue(state, issue, now),
        Command::Renew(renewal) => decide_renewal(state, renewal, now),
        Command::Release(release) => decide_release(state, release),
        Command::Revoke(revocation) => decide_revocation(state, revocation),
        Command::ExpireDue { orphans } => Ok(decide_due(state, orphans, now)),
        Command::Record(note) => Ok(vec![Draft {
            event_type: note.event_type.clone(),
            actor_id: note.actor_id.clone(),
            payload: note.payload.clone(),
            lease_id: None,
            is_issue: false,
        }]),
        Command::Key { change, signature } => decide_key(*change, signature, now),
    }
}

fn decide_issue(state: &LeaseReducerState, issue: &Issue, now: &Now<'_>) -> Result<Vec<Draft>, Refusal> {
    let request = &issue.request;
    limits::check_id("lease_id", &request.lease_id)?;
    limits::check_id("work_id", &request.work_id)?;
    limits::check_id("actor_id", &request.actor_id)?;
    if state.get(&request.lease_id).is_some() {
        return Err(LeaseError::LeaseAlreadyExists {
            lease_id: request.lease_id.clone(),
        }
        .into());
    }
    if let Some(busy) = obstacle(state, request, now) {
        return Err(Refusal::Busy(busy));
    }
    let mut drafts = Vec::with_capacity(2);
    if let Some(held) = state.get_active_lease_for_work(&request.work_id) {
        drafts.push(clear_the_way(held, issue, now)?);
    }
    if issue.end.value <= now.tick.value {
        return Err(Refusal::Superseded {
            lease_id: request.lease_id.clone(),
        });
    }
    if issue.expires_at <= issue.issued_at {
        return Err(LeaseError::invalid_input("expires_at", "the wall clock is at its end").into());
    }
    drafts.push(Draft {
        is_issue: true,
        ..by_registrar(
            &LeaseChange::Issued {
                lease_id: request.lease_id.clone(),
                work_id: request.work_id.clone(),
                actor_id: request.actor_id.clone(),
                issued_at: issue.issued_at,
                expires_at: issue.expires_at,
                registrar_signature: issue.signature.clone(),
                issued_at_tick: issue.start.value,
                expires_at_tick: issue.end.value,
                tick_rate_hz: issue.end.rate,
                fencing_token: now.token,
                closed_until_tick: issue.closed_until,
            },
            &request.lease_id,
        )
    });
    Ok(drafts)
}

/// The record that ends the lease in the way, if it may be ended.
fn clear_the_way(held: &Lease, issue: &Issue, now: &Now<'_>) -> Result<Draft, Refusal> {
    match expiry::judge(held, now) {
        Verdict::Over => Ok(expired(held, now)),
        Verdict::Revocable(reason) => match &issue.orphan {
            Some(revocation) if revocation.fits(held, reason) => Ok(revoked(revocation)),
            _ => Err(Refusal::Superseded {
                lease_id: issue.request.lease_id.clone(),
            }),
        },
        Verdict::Held => Err(Refusal::Busy(busy(held, &issue.request.actor_id, now))),
    }
}

fn busy(held: &Lease, asker: &str, now: &Now<'_>) -> Busy {
    Busy::held(held, asker, held.remaining_at_tick_or_wall(&now.tick, now.wall))
}

fn decide_renewal(
    state: &LeaseReducerState,
    renewal: &Renewal,
    now: &Now<'_>,
) -> Result<Vec<Draft>, Refusal> {
    let lease = state.active_lease(&renewal.lease_id)?;
    let Some(end) = lease.expires_at_tick.filter(|end| now.tick.is_comparable(end)) else {
        return Err(LeaseError::InvalidTickTiming {
            lease_id: lease.lease_id.clone(),
            reason: "the lease was not issued on this clock",
        }
        .into());
    };
    if now.tick.has_reached(&end) {
        return Err(LeaseError::LeaseExpired {
            lease_id: lease.lease_id.clone(),
            expired_at: lease.expires_at,
        }
        .into());
    }
    if renewal.number != lease.renewal_count.saturating_add(1) || renewal.end.value <= now.tick.value {
        return Err(Refusal::Superseded {
            lease_id: lease.lease_id.clone(),
        });
    }
    let (current_expires_at, new_expires_at) = if renewal.end.value <= end.value {
        (end.value, renewal.end.value)
    } else {
        (lease.expires_at, renewal.expires_at)
    };
    if new_expires_at <= current_expires_at {
        return Err(LeaseError::RenewalDoesNotExtend {
            lease_id: lease.lease_id.clone(),
            current_expires_at,
            new_expires_at,
        }
        .into());
    }
    let change = LeaseChange::Renewed {
        lease_id: lease.lease_id.clone(),
        new_expires_at: renewal.expires_at,
        registrar_signature: renewal.signature.clone(),
        new_expires_at_tick: renewal.end.value,
        tick_rate_hz: renewal.end.rate,
    };
    Ok(vec![by_registrar(&change, &lease.lease_id)])
}

fn decide_release(state: &LeaseReducerState, release: &Release) -> Result<Vec<Draft>, Refusal> {
    let lease = state.active_lease(&release.lease_id)?;
    if lease.actor_id != release.actor_id {
        return Err(LeaseError::Unauthorized {
            lease_id: lease.lease_id.clone(),
            actor_id: release.actor_id.clone(),
        }
        .into());
    }
    let change = LeaseChange::Released {
        lease_id: lease.lease_id.clone(),
        release_reason: release.reason.as_str().to_owned(),
    };
    Ok(vec![Draft {
        actor_id: release.actor_id.clone(),
        ..by_registrar(&change, &lease.lease_id)
    }])
}

fn decide_revocation(state: &LeaseReducerState, revocation: &Revocation) -> Result<Vec<Draft>, Refusal> {
    limits::check_reason("reason", &revocation.reason)?;
    // A person's word opens what was closed, and theirs does not.
    if LeaseChange::OWN_REASONS.contains(&revocation.reason.as_str()) {
        let why = format!("`{}` is one of the registrar's own", revocation.reason);
        return Err(LeaseError::invalid_input("reason", why).into());
    }
    let lease = state.active_lease(&revocation.lease_id)?;
    if !revocation.is_for(lease) {
        return Err(Refusal::Superseded {
            lease_id: lease.lease_id.clone(),
        });
    }
    Ok(vec![revoked(revocation)])
}

fn decide_due(state: &LeaseReducerState, orphans: &HashMap<String, Revocation>, now: &Now<'_>) -> Vec<Draft> {
    expiry::due(state, now)
        .filter_map(|lease| match expiry::judge(lease, now) {
            Verdict::Over => Some(expired(lease, now)),
            // One that was not signed for, or has changed since, waits for the next time.
            Verdict::Revocable(reason) => orphans
                .get(&lease.lease_id)
                .filter(|revocation| revocation.fits(lease, reason))
                .map(revoked),
            Verdict::Held => None,
        })
        .collect()
}

/// What is so already needs no record.
fn decide_key(change: KeyChange, signature: &[u8], now: &Now<'_>) -> Result<Vec<Draft>, Refusal> {
    let (is_needed, key) = match change {
        KeyChange::Trust(key) => (now.keys.can_add(key)?, key),
        KeyChange::Retire(key) => (now.keys.can_retire(key)?, key),
    };
    let (public_key, signature) = (key.to_bytes().to_vec(), signature.to_vec());
    let event = match change {
        _ if !is_needed => return Ok(Vec::new()),
        KeyChange::Trust(_) => LedgerEvent::KeyAdded {
            public_key,
            signature,
        },
        KeyChange::Retire(_) => LedgerEvent::KeyRetired {
            public_key,
            signature,
        },
    };
    Ok(vec![about_the_ledger(&event)])
}

/// The record that a ledger begins with: the key that stands in it is trusted for standing there.
pub(crate) fn first_key(key: PublicKey) -> Draft {
    about_the_ledger(&LedgerEvent::KeyAdded {
        public_key: key.to_bytes().to_vec(),
        signature: Vec::new(),
    })
}

fn about_the_ledger(event: &LedgerEvent) -> Draft {
    Draft {
        event_type: event.event_type(),
        actor_id: REGISTRAR.to_owned(),
        payload: event.encode(),
        lease_id: None,
        is_issue: false,
    }
}

fn expired(lease: &Lease, now: &Now<'_>) -> Draft {
    let change = LeaseChange::Expired {
        lease_id: lease.lease_id.clone(),
        // A wall clock that was set back must not keep the lease alive.
        expired_at: now.wall.max(lease.expires_at),
    };
    by_registrar(&change, &lease.lease_id)
}

fn revoked(revocation: &Revocation) -> Draft {
    let change = LeaseChange::Revoked {
        lease_id: revocation.lease_id.clone(),
        reason: revocation.reason.clone(),
        registrar_signature: revocation.signature.clone(),
    };
    by_registrar(&change, &revocation.lease_id)
}

fn by_registrar(change: &LeaseChange, lease_id: &str) -> Draft {
    Draft {
        event_type: change.event_type(),
        actor_id: REGISTRAR.to_owned(),
        payload: change.encode(),
        lease_id: Some(lease_id.to_owned()),
        is_issue: false,
    }
}

#[cfg(test)]
mod tests;
