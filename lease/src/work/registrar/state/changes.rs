//! Changes to the state; whoever calls has checked the rules. Each keeps every index saying what the leases say.

use std::cmp::Reverse;

use crate::sync::Arc;
use crate::work::registrar::calendar::{Calendar, End, Timebase};
use crate::work::registrar::index::Hash;
use crate::work::registrar::slab::{Chain, Chained, Key, Slot};
use crate::work::registrar::{Lease, LeaseConflict, LeaseError, LeaseReducerState, LeaseState};
use crate::work::tick::Tick;

impl LeaseReducerState {
    /// The lease with this id, if it can still change.
    pub(in super::super) fn active_lease(&self, lease_id: &str) -> Result<&Lease, LeaseError> {
        self.active_key(lease_id).map(|key| self.lease(key))
    }

    /// Where it is.
    pub(in super::super) fn active_key(&self, lease_id: &str) -> Result<Key, LeaseError> {
        let key = self.key_of(lease_id).ok_or_else(|| LeaseError::LeaseNotFound {
            lease_id: lease_id.to_owned(),
        })?;
        let lease = self.lease(key);
        if lease.state.is_terminal() {
            return Err(LeaseError::LeaseAlreadyTerminal {
                lease_id: lease_id.to_owned(),
                current_state: lease.state.as_str().to_owned(),
            });
        }
        Ok(key)
    }

    /// The lease that is in a slot.
    pub(in super::super) fn lease(&self, key: Key) -> &Lease {
        &self.slab[key].lease
    }

    /// The text of a session, shared with its active leases.
    pub(in super::super) fn session(&self, session_id: &str) -> Arc<str> {
        let known = self.by_session.get_key_value(session_id);
        known.map_or_else(|| session_id.into(), |(shared, _)| Arc::clone(shared))
    }

    /// Adds an active lease, issued by a record that was written then; its token is above the last one.
    pub(in super::super) fn insert(
        &mut self,
        lease: Lease,
        closed_until: Option<Tick>,
        written: Option<Tick>,
    ) {
        debug_assert!(lease.fencing_token > self.last_token && lease.state == LeaseState::Active);
        self.last_token = lease.fencing_token;
        match closed_until {
            Some(tick) => self.closed.close(&lease.work_id, tick),
            None => self.closed.open(&lease.work_id),
        }
        if let Some(now) = &written {
            self.closed.forget_past(now);
        }
        let sign_of_life = sign_of_life(&lease, written);
        self.index(Slot::new(lease, sign_of_life));
    }

    /// Adds a slot whose id and, if it is active, whose work item is not taken.
    pub(super) fn index(&mut self, slot: Slot) {
        let id = self.hasher.hash(&slot.lease.lease_id);
        let work = self.hasher.hash(&slot.lease.work_id);
        let actor = self.hasher.hash(&slot.lease.actor_id);
        let ended = slot.lease.terminated_at;
        let (state, token) = (slot.lease.state, slot.lease.fencing_token);
        let key = self.slab.insert(slot);
        self.by_id.insert(id, key);
        self.join_actor(actor, key);
        if state == LeaseState::Active {
            self.active_by_work.insert(work, key);
            self.slab.append(&mut self.active, Chained::Active, key);
            let session_id = &self.slab[key].lease.session_id;
            // A look first: in most cases the session is known, and its text need not be shared once more.
            if let Some(chain) = self.by_session.get_mut(session_id) {
                self.slab.append(chain, Chained::Session, key);
            } else {
                let session_id = Arc::clone(session_id);
                let mut chain = Chain::EMPTY;
                self.slab.append(&mut chain, Chained::Session, key);
                self.by_session.insert(session_id, chain);
            }
            self.enter_calendars(key);
        } else {
            self.ended.push(Reverse((ended.unwrap_or_default(), token, key)));
            *self.count_of(state) += 1;
        }
    }

    fn join_actor(&mut self, hash: Hash, key: Key) {
        let is_it = |chain: Chain| self.slab[chain.first].lease.actor_id == self.slab[key].lease.actor_id;
        if let Some(chain) = self.by_actor.find_mut(hash, is_it) {
            self.slab.append(chain, Chained::Actor, key);
        } else {
            let mut chain = Chain::EMPTY;
            self.slab.append(&mut chain, Chained::Actor, key);
            self.by_actor.insert(hash, chain);
        }
    }

    /// Changes an active lease in a way that leaves it active, by a record that was written then.
    pub(in super::super) fn update(
        &mut self,
        key: Key,
        written: Option<Tick>,
        change: impl FnOnce(&mut Lease),
    ) {
        self.leave_calendars(key);
        let slot = &mut self.slab[key];
        change(&mut slot.lease);
        slot.sign_of_life = sign_of_life(&slot.lease, written);
        self.enter_calendars(key);
    }

    /// Ends an active lease at the wall time of the record that ends it, 0 for unknown, but not later than its own end:
    /// a late release does not dodge pruning.
    pub(in super::super) fn terminate(
        &mut self,
        key: Key,
        state: LeaseState,
        wall: u64,
        change: impl FnOnce(&mut Lease),
    ) {
        self.leave_calendars(key);
        self.slab.unlink(&mut self.active, Chained::Active, key);
        let lease = &self.slab[key].lease;
        self.active_by_work
            .remove(self.hasher.hash(&lease.work_id), |other| other == key);
        if let Some(chain) = self.by_session.get_mut(&lease.session_id) {
            self.slab.unlink(chain, Chained::Session, key);
            if chain.is_empty() {
                self.by_session.remove(&self.slab[key].lease.session_id);
            }
        }
        let slot = &mut self.slab[key];
        slot.sign_of_life = None;
        let lease = &mut slot.lease;
        let ended = if wall == 0 {
            lease.expires_at
        } else {
            wall.min(lease.expires_at)
        };
        lease.state = state;
        lease.terminated_at = Some(ended);
        change(lease);
        let token = lease.fencing_token;
        self.ended.push(Reverse((ended, token, key)));
        *self.count_of(state) += 1;
    }

    /// Opens the work item of a lease before its time.
    pub(in super::super) fn open_work_of(&mut self, key: Key) {
        self.closed.open(&self.slab[key].lease.work_id);
    }

    pub(in super::super) fn record_conflict(&mut self, conflict: LeaseConflict) {
        self.conflicts.push(conflict);
    }

    fn enter_calendars(&mut self, key: Key) {
        let timebase = timebase_of(&self.slab[key].lease);
        if timebase != self.entered_last {
            self.drop_if_empty(self.entered_last);
            self.entered_last = timebase;
        }
        self.due
            .entry(timebase)
            .or_insert_with(|| Calendar::new(End::Judged))
            .enter(&mut self.slab, key);
        self.wall.enter(&mut self.slab, key);
    }

    fn leave_calendars(&mut self, key: Key) {
        let timebase = timebase_of(&self.slab[key].lease);
        if let Some(calendar) = self.due.get_mut(&timebase) {
            calendar.leave(&mut self.slab, key);
        }
        if timebase != self.entered_last {
            self.drop_if_empty(timebase);
        }
        self.wall.leave(&mut self.slab, key);
    }

    fn drop_if_empty(&mut self, timebase: Timebase) {
        if self.due.get(&timebase).is_some_and(Calendar::is_empty) {
            self.due.remove(&timebase);
        }
    }

    pub(super) fn count_of(&mut self, state: LeaseState) -> &mut usize {
        match state {
            LeaseState::Released => &mut self.released,
            LeaseState::Expired => &mut self.expired,
            LeaseState::Revoked => &mut self.revoked,
            LeaseState::Active => unreachable!("only leases that have ended are counted one by one"),
        }
    }
}

/// What judges a lease.
fn timebase_of(lease: &Lease) -> Timebase {
    lease.expires_at_tick.map(|end| (end.clock, end.rate))
}

/// The tick at which a record was written that issued or renewed a lease, if it is one of the lease's clock.
fn sign_of_life(lease: &Lease, written: Option<Tick>) -> Option<u64> {
    let (end, written) = (lease.expires_at_tick?, written?);
    written.is_comparable(&end).then_some(written.value)
}
