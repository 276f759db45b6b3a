//! The rules of leases: which event is taken in which state, and what it does.
//!
//! One function an event kind; the checks of each stand in the order in which they are made, and nothing is changed
//! before the last of them has passed. No clock is read: records say when they were made.

use std::collections::BTreeSet;

use super::{
    Lease, LeaseChange, LeaseConflict, LeaseError, LeaseReducerState, LeaseState, ReleaseReason, limits,
    reading::{Issue, Reading, Renewal},
    token::TOKEN_END,
};
use crate::work::{
    event::EventRecord,
    reducer::{Reducer, ReducerContext},
    tick::Tick,
};

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

    fn issued(&mut self, issued: &Issue<'_>, record: &EventRecord) -> Result<(), LeaseError> {
        let lease_id = issued.lease_id;
        self.check_registrar(lease_id, record)?;
        if self.state.get(lease_id).is_some() {
            return Err(LeaseError::LeaseAlreadyExists {
                lease_id: lease_id.to_owned(),
            });
        }
        if let Some(existing) = self.state.get_active_lease_for_work(issued.work_id) {
            return Err(LeaseError::WorkAlreadyLeased {
                work_id: issued.work_id.to_owned(),
                existing_lease_id: existing.lease_id.clone(),
            });
        }
        if let Some(until) = self.state.closed_until(issued.work_id)
            && !has_opened(&until, record.tick)
        {
            return Err(LeaseError::WorkClosed {
                work_id: issued.work_id.to_owned(),
                closed_until_tick: until,
            });
        }
        check_signature(lease_id, issued.registrar_signature)?;
        if issued.expires_at <= issued.issued_at {
            let reason = format!(
                "{} is not after issued_at, {}",
                issued.expires_at, issued.issued_at
            );
            return Err(LeaseError::invalid_input("expires_at", reason));
        }
        if issued.tick_rate_hz != 0 && issued.expires_at_tick <= issued.issued_at_tick {
            return Err(LeaseError::InvalidTickTiming {
                lease_id: lease_id.to_owned(),
                reason: "the end is not after the start",
            });
        }
        let last = self.state.last_fencing_token();
        let fencing_token = match issued.fencing_token {
            0 => last.saturating_add(1),
            token => token,
        };
        if fencing_token <= last || fencing_token >= TOKEN_END {
            let reason = format!("{fencing_token} is not above {last} and below 2^63");
            return Err(LeaseError::invalid_input("fencing_token", reason));
        }
        let tick = |value| tick_of(record, value, issued.tick_rate_hz);
        let lease = Lease {
            lease_id: lease_id.to_owned(),
            work_id: issued.work_id.to_owned(),
            actor_id: issued.actor_id.to_owned(),
            state: LeaseState::Active,
            issued_at: issued.issued_at,
            expires_at: issued.expires_at,
            issued_at_tick: tick(issued.issued_at_tick),
            expires_at_tick: tick(issued.expires_at_tick),
            registrar_signature: issued.registrar_signature.to_vec(),
            renewal_count: 0,
            last_renewed_at: None,
            release_reason: None,
            revocation_reason: None,
            terminated_at: None,
            fencing_token,
            session_id: self.state.session(&record.session_id),
        };
        let closed_until = tick(issued.closed_until_tick).filter(|until| until.value != 0);
        self.state.insert(lease, closed_until, record.tick);
        Ok(())
    }

    fn renewed(&mut self, renewed: &Renewal<'_>, record: &EventRecord) -> Result<(), LeaseError> {
        let (lease_id, new_expires_at) = (renewed.lease_id, renewed.new_expires_at);
        let new_end = tick_of(record, renewed.new_expires_at_tick, renewed.tick_rate_hz);
        self.check_registrar(lease_id, record)?;
        let key = self.state.active_key(lease_id)?;
        let lease = self.state.lease(key);
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
        check_signature(lease_id, renewed.registrar_signature)?;
        self.state.update(key, record.tick, |lease| {
            lease.expires_at = new_expires_at;
            lease.expires_at_tick = new_end;
            // In the room of the one before it, which mostly is as long.
            lease.registrar_signature.clear();
            lease
                .registrar_signature
                .extend_from_slice(renewed.registrar_signature);
            lease.renewal_count = lease.renewal_count.saturating_add(1);
            lease.last_renewed_at = (record.wall != 0).then_some(record.wall);
        });
        Ok(())
    }

    fn released(&mut self, lease_id: &str, reason: &str, record: &EventRecord) -> Result<(), LeaseError> {
        let key = self.state.active_key(lease_id)?;
        if self.state.lease(key).actor_id != record.actor_id {
            return Err(unauthorized(lease_id, record));
        }
        let reason = ReleaseReason::parse(reason)?;
        self.state
            .terminate(key, LeaseState::Released, record.wall, |lease| {
                lease.release_reason = Some(reason);
            });
        Ok(())
    }

    fn expired(&mut self, lease_id: &str, expired_at: u64, record: &EventRecord) -> Result<(), LeaseError> {
        self.check_registrar(lease_id, record)?;
        let key = self.state.active_key(lease_id)?;
        let lease = self.state.lease(key);
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
        self.state.terminate(key, LeaseState::Expired, at, |_| {});
        Ok(())
    }

    fn revoked(
        &mut self,
        lease_id: &str,
        reason: &str,
        signature: &[u8],
        record: &EventRecord,
    ) -> Result<(), LeaseError> {
        self.check_registrar(lease_id, record)?;
        let key = self.state.active_key(lease_id)?;
        check_signature(lease_id, signature)?;
        // Machines take leases back for what befell the holder; that alone does not open what was closed on purpose.
        if ![LeaseChange::HOLDER_DIED, LeaseChange::CLOCK_LOST].contains(&reason) {
            self.state.open_work_of(key);
        }
        self.state
            .terminate(key, LeaseState::Revoked, record.wall, |lease| {
                lease.revocation_reason = Some(reason.to_owned());
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

/// The payload has the numbers, the record's tick the clock that counted them.
fn tick_of(record: &EventRecord, value: u64, rate: u64) -> Option<Tick> {
    let clock = record.tick.map(|tick| tick.clock).unwrap_or_default();
    (rate != 0).then_some(Tick::new(value, rate, clock))
}

/// Whether a work item that is closed until then may be leased by a record of this tick. A reboot opens it; without a
/// tick, or by another clock of the same boot, nobody can tell, so it stays closed.
fn has_opened(until: &Tick, now: Option<Tick>) -> bool {
    now.is_some_and(|now| now.clock.is_other_boot(&until.clock) || now.has_reached(until))
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
        let Some(event) = Reading::of(record)? else {
            return Ok(());
        };
        limits::check(&event)?;
        match event {
            Reading::Issued(issued) => self.issued(&issued, record),
            Reading::Renewed(renewed) => self.renewed(&renewed, record),
            Reading::Released { lease_id, reason } => self.released(lease_id, reason, record),
            Reading::Expired { lease_id, expired_at } => self.expired(lease_id, expired_at, record),
            Reading::Revoked {
                lease_id,
                reason,
                registrar_signature,
            } => self.revoked(lease_id, reason, registrar_signature, record),
            Reading::Conflict(conflict) => {
                let conflict = LeaseConflict {
                    work_id: conflict.work_id.to_owned(),
                    conflicting_lease_ids: conflict.ids().map(str::to_owned).collect(),
                    resolution: conflict.resolution.to_owned(),
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
