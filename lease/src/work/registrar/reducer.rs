//! The rules of leases: which event is taken in which state, and what it does.
//!
//! One function an event kind; the checks of each stand in the order in which they are made, and nothing is changed
//! before the last of them has passed. No clock is read: records say when they were made.

use std::collections::BTreeSet;

use super::{
    Lease, LeaseChange, LeaseConflict, LeaseError, LeaseReducerState, LeaseState, ReleaseReason, limits,
};
use crate::work::{
    event::{self, EventRecord, LeaseEvent},
    reducer::{Reducer, ReducerContext},
    tick::Tick,
};

/// Fencing tokens fit a signed SQL bigint.
const TOKEN_END: u64 = 1 << 63;

/// Folds `lease.*` events into a [`LeaseReducerState`].
///
/// Who may issue, renew, expire and revoke is a question of the sender's id alone: signatures are checked before an
/// event gets into the ledger, here they only have to be there.
///
/// ```
/// use lease::{EventRecord, LeaseError, LeaseReducer, Reducer, ReducerContext, helpers};
///
/// let mut reducer = LeaseReducer::new();
/// let payload = helpers::lease_issued_payload("lease-1", "work-1", "actor-1", 1_000, 2_000, vec![1]);
/// let forged = EventRecord::new("lease.issued", "s", "mallory", payload);
/// let refused = reducer.apply(&forged, &ReducerContext::new(1)).unwrap_err();
/// assert!(matches!(refused, LeaseError::Unauthorized { .. }));
/// assert!(reducer.state().is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseReducer {
    state: LeaseReducerState,
    registrars: BTreeSet<String>,
}

impl LeaseReducer {
    /// A reducer that trusts the actor `registrar`.
    pub fn new() -> Self {
        Self::with_registrars(["registrar"])
    }

    /// A reducer that trusts these actors, and no others.
    pub fn with_registrars(registrars: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            state: LeaseReducerState::default(),
            registrars: registrars.into_iter().map(Into::into).collect(),
        }
    }

    /// Whom it trusts, in alphabetical order.
    pub(super) fn registrars(&self) -> impl ExactSizeIterator<Item = &str> {
        self.registrars.iter().map(String::as_str)
    }

    fn check_registrar(&self, lease_id: &str, record: &EventRecord) -> Result<(), LeaseError> {
        if self.registrars.contains(&record.actor_id) {
            Ok(())
        } else {
            Err(unauthorized(lease_id, record))
        }
    }

    fn issued(
        &mut self,
        mut lease: Lease,
        closed_until: Option<Tick>,
        record: &EventRecord,
    ) -> Result<(), LeaseError> {
        self.check_registrar(&lease.lease_id, record)?;
        if self.state.get(&lease.lease_id).is_some() {
            return Err(LeaseError::LeaseAlreadyExists {
                lease_id: lease.lease_id,
            });
        }
        if let Some(existing) = self.state.get_active_lease_for_work(&lease.work_id) {
            return Err(LeaseError::WorkAlreadyLeased {
                existing_lease_id: existing.lease_id.clone(),
                work_id: lease.work_id,
            });
        }
        if let Some(until) = self.state.closed_until(&lease.work_id)
            && !has_opened(&until, record.tick)
        {
            return Err(LeaseError::WorkClosed {
                work_id: lease.work_id,
                closed_until_tick: until,
            });
        }
        check_signature(&lease.lease_id, &lease.registrar_signature)?;
        if lease.expires_at <= lease.issued_at {
            let reason = format!("{} is not after issued_at, {}", lease.expires_at, lease.issued_at);
            return Err(LeaseError::invalid_input("expires_at", reason));
        }
        if let (Some(start), Some(end)) = (lease.issued_at_tick, lease.expires_at_tick)
            && end.value <= start.value
        {
            return Err(LeaseError::InvalidTickTiming {
                lease_id: lease.lease_id,
                reason: "the end is not after the start",
            });
        }
        let last = self.state.last_fencing_token();
        if lease.fencing_token == 0 {
            lease.fencing_token = last + 1;
        }
        if lease.fencing_token <= last || lease.fencing_token >= TOKEN_END {
            let reason = format!("{} is not above {last} and below 2^63", lease.fencing_token);
            return Err(LeaseError::invalid_input("fencing_token", reason));
        }
        self.state.insert(lease, closed_until, record.tick);
        Ok(())
    }

    fn renewed(
        &mut self,
        lease_id: &str,
        new_expires_at: u64,
        new_end: Option<Tick>,
        signature: Vec<u8>,
        record: &EventRecord,
    ) -> Result<(), LeaseError> {
        self.check_registrar(lease_id, record)?;
        let lease = self.state.active_lease(lease_id)?;
        check_renewal_ticks(lease, new_end, record.tick)?;
        let does_not_extend = |current_expires_at, new_expires_at| LeaseError::RenewalDoesNotExtend {
            lease_id: lease_id.to_owned(),
            current_expires_at,
            new_expires_at,
        };
        if new_expires_at <= lease.expires_at {
            return Err(does_not_extend(lease.expires_at, new_expires_at));
        }
        if let (Some(end), Some(new_end)) = (lease.expires_at_tick, new_end)
            && new_end.value <= end.value
        {
            return Err(does_not_extend(end.value, new_end.value));
        }
        check_signature(lease_id, &signature)?;
        self.state.update(lease_id, record.tick, |lease| {
            lease.expires_at = new_expires_at;
            lease.expires_at_tick = new_end;
            lease.registrar_signature = signature;
            lease.renewal_count = lease.renewal_count.saturating_add(1);
            lease.last_renewed_at = (record.wall != 0).then_some(record.wall);
        });
        Ok(())
    }

    fn released(&mut self, lease_id: &str, reason: &str, record: &EventRecord) -> Result<(), LeaseError> {
        let lease = self.state.active_lease(lease_id)?;
        if lease.actor_id != record.actor_id {
            return Err(unauthorized(lease_id, record));
        }
        let reason = ReleaseReason::parse(reason)?;
        self.state
            .terminate(lease_id, LeaseState::Released, record.wall, |lease| {
                lease.release_reason = Some(reason);
            });
        Ok(())
    }

    fn expired(&mut self, lease_id: &str, expired_at: u64, record: &EventRecord) -> Result<(), LeaseError> {
        self.check_registrar(lease_id, record)?;
        let lease = self.state.active_lease(lease_id)?;
        let tick_has_come = lease
            .expires_at_tick
            .is_none_or(|end| record.tick.is_some_and(|now| now.has_reached(&end)));
        if expired_at < lease.expires_at || !tick_has_come {
            return Err(LeaseError::InvalidExpiration {
                lease_id: lease_id.to_owned(),
                provided: expired_at,
                lease_expires_at: lease.expires_at,
            });
        }
        // Not the event's own time, which its sender may choose.
        let at = lease.expires_at;
        self.state.terminate(lease_id, LeaseState::Expired, at, |_| {});
        Ok(())
    }

    fn revoked(
        &mut self,
        lease_id: &str,
        reason: String,
        signature: &[u8],
        record: &EventRecord,
    ) -> Result<(), LeaseError> {
        self.check_registrar(lease_id, record)?;
        let lease = self.state.active_lease(lease_id)?;
        check_signature(lease_id, signature)?;
        // Machines take leases back for what befell the holder; that alone does not open what was closed on purpose.
        if ![LeaseChange::HOLDER_DIED, LeaseChange::CLOCK_LOST].contains(&reason.as_str()) {
            let work_id = lease.work_id.clone();
            self.state.open(&work_id);
        }
        self.state
            .terminate(lease_id, LeaseState::Revoked, record.wall, |lease| {
                lease.revocation_reason = Some(reason);
            });
        Ok(())
    }

    fn conflict(&mut self, conflict: LeaseConflict, record: &EventRecord) -> Result<(), LeaseError> {
        let first = conflict.conflicting_lease_ids.first();
        self.check_registrar(first.map_or("", String::as_str), record)?;
        self.state.record_conflict(conflict);
        Ok(())
    }
}

/// Whether a work item that is closed until then may be leased by a record of this tick. A tick of another clock comes
/// after a reboot, which opens it; without a tick nobody can tell, so it stays closed.
fn has_opened(until: &Tick, now: Option<Tick>) -> bool {
    now.is_some_and(|now| now.clock != until.clock || now.has_reached(until))
}

fn check_signature(lease_id: &str, signature: &[u8]) -> Result<(), LeaseError> {
    if signature.is_empty() {
        return Err(LeaseError::MissingSignature {
            lease_id: lease_id.to_owned(),
        });
    }
    Ok(())
}

/// A lease is renewed on the clock on which it was issued, and before its end.
fn check_renewal_ticks(lease: &Lease, new_end: Option<Tick>, now: Option<Tick>) -> Result<(), LeaseError> {
    let does_not_fit = |reason| {
        Err(LeaseError::InvalidTickTiming {
            lease_id: lease.lease_id.clone(),
            reason,
        })
    };
    let Some(end) = lease.expires_at_tick else {
        return match new_end {
            Some(_) => does_not_fit("it was issued without ticks"),
            None => Ok(()),
        };
    };
    let (Some(new_end), Some(now)) = (new_end, now) else {
        return does_not_fit("it was issued with ticks, and a tick is missing");
    };
    if !now.is_comparable(&end) || !new_end.is_comparable(&end) {
        return does_not_fit("another clock or rate than it was issued with");
    }
    if now.has_reached(&end) {
        return Err(LeaseError::LeaseExpired {
            lease_id: lease.lease_id.clone(),
            expired_at: lease.expires_at,
        });
    }
    Ok(())
}

fn unauthorized(lease_id: &str, record: &EventRecord) -> LeaseError {
    LeaseError::Unauthorized {
        lease_id: lease_id.to_owned(),
        actor_id: record.actor_id.clone(),
    }
}

impl Default for LeaseReducer {
    fn default() -> Self {
        Self::new()
    }
}

impl Reducer for LeaseReducer {
    type State = LeaseReducerState;
    type Error = LeaseError;

    fn name(&self) -> &'static str {
        "lease-registrar"
    }

    fn apply(&mut self, record: &EventRecord, context: &ReducerContext) -> Result<(), LeaseError> {
        let Some(kind) = event::kind_in(LeaseChange::NAMESPACE, &record.event_type) else {
            return Ok(());
        };
        let found = event::find::<LeaseChange>(kind, record)?;
        limits::check(&found)?;
        // The payload has the numbers, the record's tick the clock that counted them.
        let clock = record.tick.map(|tick| tick.clock).unwrap_or_default();
        let tick = |value, rate| (rate != 0).then_some(Tick::new(value, rate, clock));
        match LeaseChange::from_arm(&found)? {
            LeaseChange::Issued {
                lease_id,
                work_id,
                actor_id,
                issued_at,
                expires_at,
                registrar_signature,
                issued_at_tick,
                expires_at_tick,
                tick_rate_hz,
                fencing_token,
                closed_until_tick,
            } => {
                let closed_until = tick(closed_until_tick, tick_rate_hz).filter(|until| until.value != 0);
                let lease = Lease {
                    lease_id,
                    work_id,
                    actor_id,
                    state: LeaseState::Active,
                    issued_at,
                    expires_at,
                    issued_at_tick: tick(issued_at_tick, tick_rate_hz),
                    expires_at_tick: tick(expires_at_tick, tick_rate_hz),
                    registrar_signature,
                    renewal_count: 0,
                    last_renewed_at: None,
                    release_reason: None,
                    revocation_reason: None,
                    terminated_at: None,
                    fencing_token,
                    session_id: self.state.session(&record.session_id),
                };
                self.issued(lease, closed_until, record)
            }
            LeaseChange::Renewed {
                lease_id,
                new_expires_at,
                registrar_signature,
                new_expires_at_tick,
                tick_rate_hz,
            } => {
                let new_end = tick(new_expires_at_tick, tick_rate_hz);
                self.renewed(&lease_id, new_expires_at, new_end, registrar_signature, record)
            }
            LeaseChange::Released {
                lease_id,
                release_reason,
            } => self.released(&lease_id, &release_reason, record),
            LeaseChange::Expired { lease_id, expired_at } => self.expired(&lease_id, expired_at, record),
            LeaseChange::Revoked {
                lease_id,
                reason,
                registrar_signature,
            } => self.revoked(&lease_id, reason, &registrar_signature, record),
            LeaseChange::Conflict {
                work_id,
                conflicting_lease_ids,
                resolution,
            } => {
                let conflict = LeaseConflict {
                    work_id,
                    conflicting_lease_ids,
                    resolution,
                    sequence: context.sequence,
                };
                self.conflict(conflict, record)
            }
        }
    }

    fn state(&self) -> &LeaseReducerState {
        &self.state
    }

    fn state_mut(&mut self) -> &mut LeaseReducerState {
        &mut self.state
    }

    fn reset(&mut self) {
        self.state = LeaseReducerState::default();
    }
}
