//! Applying one record: what is believed of it, what it changes, why it is passed over.

use super::proofs::Proofs;
use super::{Projection, lease_id_of};
use crate::work::event::{EventRecord, LeaseEvent as _};
use crate::work::ledger::Head;
use crate::work::reducer::{Reducer as _, ReducerContext};
use crate::work::registrar::key_ring::{self, Statement};
use crate::work::registrar::ledger_event::LedgerEvent;
use crate::work::registrar::reading::change_of;
use crate::work::registrar::{Lease, LeaseChange, LeaseError, signing};
use crate::work::tick::Tick;

impl Projection {
    /// Applies a record that is in the ledger right after `head`, and returns the lease that it ended.
    pub(super) fn apply(&mut self, record: &EventRecord, proofs: &Proofs, now: Tick) -> Option<String> {
        let change = self.take(record, Belief::Proven(proofs), now)?;
        let lease = self.state().get(lease_id_of(&change));
        let ended = lease
            .filter(|lease| lease.state.is_terminal())
            .map(|lease| lease.lease_id.clone());
        self.forget_ended(record);
        ended
    }

    /// Goes on to a record, and returns the change if it was made.
    fn take(&mut self, record: &EventRecord, belief: Belief<'_>, now: Tick) -> Option<LeaseChange> {
        let refusal = match self.step(record, matches!(belief, Belief::Ours)) {
            Step::Nothing => return None,
            Step::Change(change) if self.is_vouched_for(&change, record, belief) => {
                match self.change(&change, record, now) {
                    Ok(()) => return Some(change),
                    Err(error) => error,
                }
            }
            Step::Change(change) => invalid_signature(&change),
            Step::Unreadable(error) => error,
            Step::Refused(reason) => key_ring::refused(reason),
        };
        self.refusals.note(record.sequence, refusal);
        None
    }

    /// Applies a record as [`apply`](Self::apply) does, but without verifying the signature on a lease: that is left to
    /// the caller, who gets the statement.
    ///
    /// # Errors
    ///
    /// Why the record should not be in the ledger, in words; it was not applied.
    pub(crate) fn apply_unverified(
        &mut self,
        record: &EventRecord,
        now: Tick,
    ) -> Result<Option<Statement>, String> {
        let change = match self.step(record, false) {
            Step::Change(change) => change,
            Step::Nothing => return Ok(None),
            // What cannot be read was never applied, so nothing hangs on it.
            Step::Unreadable(error) => {
                self.refusals.note(record.sequence, error);
                return Ok(None);
            }
            Step::Refused(reason) => return Err(reason.to_owned()),
        };
        let lease = self.state().get(lease_id_of(&change));
        let statement = match signing::signed_part(&change, record, lease) {
            None => None,
            Some((message, signature)) => {
                let statement = self.keys.statement(message, signature);
                Some(statement.ok_or_else(|| invalid_signature(&change).to_string())?)
            }
        };
        match self.change(&change, record, now) {
            Ok(()) => self.forget_ended(record),
            // What the rules refuse was signed all the same.
            Err(refusal) => self.refusals.note(record.sequence, refusal),
        }
        Ok(statement)
    }

    /// Goes on to a record; what it says about keys is taken at once, what it says about leases is left to the caller.
    fn step(&mut self, record: &EventRecord, is_ours: bool) -> Step {
        self.head = Head {
            sequence: record.sequence,
            hash: record.hash,
        };
        let is_first = record.sequence == 1;
        if is_first {
            self.ledger_id = record.hash;
        }
        self.last_tick = record.tick.or(self.last_tick);
        match LedgerEvent::from_record(record) {
            Ok(None) => {}
            Ok(Some(LedgerEvent::RulesRaised { version })) => {
                self.rules = self.rules.max(version);
                return Step::Nothing;
            }
            Ok(Some(event)) => {
                let founds = is_first && matches!(event, LedgerEvent::KeyAdded { .. });
                if self.keys.apply(&event, &self.ledger_id, founds || is_ours) {
                    return Step::Nothing;
                }
                return Step::Refused("no trusted key vouches for the key it is about");
            }
            Err(error) => return Step::Unreadable(error.into()),
        }
        match change_of(record) {
            Ok(None) => Step::Nothing,
            Ok(Some(change)) => Step::Change(change),
            Err(error) => Step::Unreadable(error),
        }
    }

    fn change(&mut self, change: &LeaseChange, record: &EventRecord, now: Tick) -> Result<(), LeaseError> {
        let context = ReducerContext::new(record.sequence);
        self.reducer_mut().apply(record, &context)?;
        self.note(change, record, now);
        Ok(())
    }

    /// Forgets the leases that had ended long enough before a record whose change was made. Its own may be among them.
    fn forget_ended(&mut self, record: &EventRecord) {
        let before = record.wall.saturating_sub(self.retention);
        self.reducer_mut()
            .state_mut()
            .prune_terminal_leases_before(before);
    }

    /// Applies a record that this registrar has appended, and returns the lease that it is about.
    pub(super) fn apply_own(&mut self, record: &EventRecord, now: Tick) -> Option<Lease> {
        let change = self.take(record, Belief::Ours, now)?;
        let lease = self.state().get(lease_id_of(&change)).cloned();
        self.forget_ended(record);
        lease
    }

    fn is_vouched_for(&self, change: &LeaseChange, record: &EventRecord, belief: Belief<'_>) -> bool {
        let Belief::Proven(proofs) = belief else {
            return true;
        };
        let lease = self.state().get(lease_id_of(change));
        // Where there is nothing to verify, the chain covers the change, and the reducer its sender.
        signing::signed_part(change, record, lease).is_none_or(|(message, signature)| {
            let statement = self.keys.statement(message, signature);
            statement.is_some_and(|it| proofs.cover(record.sequence, &it) || it.is_genuine())
        })
    }

    fn note(&mut self, change: &LeaseChange, record: &EventRecord, now: Tick) {
        let lease_id = lease_id_of(change);
        match self.reducer.state().get(lease_id) {
            Some(lease) if lease.state.is_terminal() => self.strangers.forget(lease_id),
            Some(lease) => self.strangers.saw(lease, record.tick, now),
            None => {}
        }
    }
}

/// What makes a record believed.
#[derive(Clone, Copy)]
enum Belief<'a> {
    /// This process has signed it a moment ago.
    Ours,
    /// Its signature, which may be among those that were verified before.
    Proven(&'a Proofs),
}

/// What a record is to the view.
enum Step {
    Change(LeaseChange),
    /// Done, or none of its business.
    Nothing,
    /// It says to be of the registrar's own families, and is no event of them.
    Unreadable(LeaseError),
    /// It should not be there.
    Refused(&'static str),
}

fn invalid_signature(change: &LeaseChange) -> LeaseError {
    LeaseError::InvalidSignature {
        lease_id: lease_id_of(change).to_owned(),
    }
}
