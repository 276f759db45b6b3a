//! What the events of leases add up to, indexed for every question that is asked of it.
//!
//! Invariants: each index says exactly what the leases say; a work item has at most one active lease; tokens rise in
//! order of issue, so a chain that is only ever appended to is in that order. Hash tables are only looked into, never
//! walked: what is walked is ordered, so equal states answer in equal order.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt,
};

use super::{
    Lease, LeaseConflict, LeaseError, LeaseState,
    calendar::{Calendar, End, Timebase},
    closed::Closed,
    conflicts::Conflicts,
    index::{Hash, Hasher, Keys, Table},
    slab::{Chain, Chained, Key, Slab, Slot},
};
use crate::sync::Arc;
use crate::work::{reducer::CheckpointError, tick::Tick};

/// The current state of all leases: what [`LeaseReducer`](crate::LeaseReducer) has made of the events so far.
///
/// Looking up by lease or work id and every count take constant time; lists take time in proportion to what they
/// return, those of leases that are due a logarithm more. Lists are in order of issue where nothing else is said.
///
/// Two states are equal if they answer every question alike, however they came about.
#[derive(Clone)]
pub struct LeaseReducerState {
    slab: Slab,
    hasher: Hasher,
    by_id: Keys,
    active_by_work: Keys,
    by_actor: Table<Chain>,
    /// Active leases by the session that issued them; the leases of one session share its text.
    by_session: BTreeMap<Arc<str>, Chain>,
    active: Chain,
    /// Active leases by the end that judges them, for each clock and rate; only the one that was entered last may be
    /// empty.
    due: BTreeMap<Timebase, Calendar>,
    entered_last: Timebase,
    /// Active leases by their end on the wall clock.
    wall: Calendar,
    /// When they ended, tokens and slots, of all terminal leases.
    ended: BinaryHeap<Reverse<(u64, u64, Key)>>,
    released: usize,
    expired: usize,
    revoked: usize,
    closed: Closed,
    conflicts: Conflicts,
    last_token: u64,
}

impl Default for LeaseReducerState {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

/// Questions.
impl LeaseReducerState {
    /// The lease with this id, unless it was pruned.
    pub fn get(&self, lease_id: &str) -> Option<&Lease> {
        Some(&self.slab[self.key_of(lease_id)?].lease)
    }

    /// The active lease on a work item.
    pub fn get_active_lease_for_work(&self, work_id: &str) -> Option<&Lease> {
        let hash = self.hasher.hash(work_id);
        let is_it = |key: Key| self.slab[key].lease.work_id == work_id;
        Some(&self.slab[self.active_by_work.find(hash, is_it)?].lease)
    }

    /// Whether a work item has an active lease.
    pub fn has_active_lease(&self, work_id: &str) -> bool {
        self.get_active_lease_for_work(work_id).is_some()
    }

    /// All active leases.
    pub fn active_leases(&self) -> Vec<&Lease> {
        self.slab.chained(self.active, Chained::Active)
    }

    /// All leases of an actor that were not pruned, active or not.
    pub fn leases_by_actor(&self, actor_id: &str) -> Vec<&Lease> {
        let hash = self.hasher.hash(actor_id);
        let is_it = |chain: Chain| self.slab[chain.first].lease.actor_id == actor_id;
        match self.by_actor.find(hash, is_it) {
            Some(chain) => self.slab.chained(chain, Chained::Actor),
            None => Vec::new(),
        }
    }

    /// The active leases that were issued in this session.
    pub fn active_leases_by_session(&self, session_id: &str) -> Vec<&Lease> {
        match self.by_session.get(session_id) {
            Some(chain) => self.slab.chained(*chain, Chained::Session),
            None => Vec::new(),
        }
    }

    /// The sessions in which active leases were issued, in alphabetical order.
    pub fn active_sessions(&self) -> impl ExactSizeIterator<Item = &str> {
        self.by_session.keys().map(AsRef::as_ref)
    }

    /// Whether active leases were issued in this session.
    pub fn is_active_session(&self, session_id: &str) -> bool {
        self.by_session.contains_key(session_id)
    }

    /// All leases that were not pruned. Takes time in proportion to their number times its logarithm: for reports.
    pub fn leases(&self) -> Vec<&Lease> {
        self.slots().into_iter().map(|slot| &slot.lease).collect()
    }

    /// The active leases of which [`Lease::is_expired_at_tick`] holds: those whose end has come, and, failing closed,
    /// those without ticks or of another clock or rate. By clock, then by end.
    pub fn get_expired_but_active_at_tick(&self, current_tick: &Tick) -> Vec<&Lease> {
        self.due(current_tick, u64::MAX)
    }

    /// The active leases of which [`Lease::is_expired_at_tick_or_wall`] holds; `current_time` is in Unix nanoseconds.
    /// Those without ticks first, then by clock, then by end.
    pub fn get_expired_but_active_at_tick_or_wall(
        &self,
        current_tick: &Tick,
        current_time: u64,
    ) -> Vec<&Lease> {
        self.due(current_tick, current_time)
    }

    /// The active leases whose wall-clock end has come at `current_time` (Unix nanoseconds), by end.
    #[deprecated(note = "wall clocks jump; use `get_expired_but_active_at_tick`")]
    pub fn get_expired_but_active(&self, current_time: u64) -> Vec<&Lease> {
        let due = self.wall.due(&self.slab, current_time);
        due.map(|key| &self.slab[key].lease).collect()
    }

    /// How many leases there are that were not pruned.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slab.len() == 0
    }

    /// How many leases are active.
    pub fn active_count(&self) -> usize {
        self.slab.len() - self.ended.len()
    }

    /// How many were given back and not pruned.
    pub fn released_count(&self) -> usize {
        self.released
    }

    /// How many were ended by time and not pruned.
    pub fn expired_count(&self) -> usize {
        self.expired
    }

    /// How many were taken back and not pruned.
    pub fn revoked_count(&self) -> usize {
        self.revoked
    }

    /// How many have ended, however, and were not pruned.
    pub fn terminal_count(&self) -> usize {
        self.ended.len()
    }

    /// The largest fencing token that was ever given out, 0 before the first; pruning does not forget it.
    pub fn last_fencing_token(&self) -> u64 {
        self.last_token
    }

    /// Until when a work item stays closed after the lease on it has ended, if its last lease said so. Whether that
    /// tick has come is for the caller to judge; once a later lease was issued after that tick, or on a later boot of
    /// the machine, it is forgotten.
    pub fn closed_until(&self, work_id: &str) -> Option<Tick> {
        self.closed.get(work_id)
    }

    /// The conflicts on record, oldest first: the last 16 of each work item, and of those the last 4,096.
    pub fn conflicts(&self) -> impl ExactSizeIterator<Item = &LeaseConflict> {
        self.conflicts.all()
    }

    /// The conflicts on record of one work item, oldest first.
    pub fn conflicts_for_work(&self, work_id: &str) -> impl Iterator<Item = &LeaseConflict> {
        self.conflicts.of_work(work_id)
    }

    fn due(&self, now: &Tick, wall: u64) -> Vec<&Lease> {
        let mut due = Vec::new();
        for (timebase, calendar) in &self.due {
            let until = match timebase {
                None => wall,
                Some((clock, rate)) if (clock, rate) == (&now.clock, &now.rate) => now.value,
                Some(_) => u64::MAX,
            };
            let keys = calendar.due(&self.slab, until);
            due.extend(keys.map(|key| &self.slab[key].lease));
        }
        due
    }

    fn key_of(&self, lease_id: &str) -> Option<Key> {
        let is_it = |key: Key| self.slab[key].lease.lease_id == lease_id;
        self.by_id.find(self.hasher.hash(lease_id), is_it)
    }

    /// All slots in order of issue.
    fn slots(&self) -> Vec<&Slot> {
        let mut slots: Vec<_> = self.slab.iter().collect();
        slots.sort_unstable_by_key(|slot| slot.lease.fencing_token);
        slots
    }
}

/// Upkeep.
impl LeaseReducerState {
    /// Forgets all leases that have ended, and returns how many those were. Their ids could then be issued again: it is
    /// the ledger that refuses them for ever.
    pub fn prune_terminal_leases(&mut self) -> usize {
        self.prune(None)
    }

    /// Forgets the leases that ended before `before_timestamp` (Unix nanoseconds), by their `terminated_at`, and
    /// returns how many those were.
    pub fn prune_terminal_leases_before(&mut self, before_timestamp: u64) -> usize {
        self.prune(Some(before_timestamp))
    }

    fn prune(&mut self, before: Option<u64>) -> usize {
        let mut pruned = 0;
        while let Some(Reverse((ended, _, key))) = self.ended.peek().copied()
            && before.is_none_or(|before| ended < before)
        {
            self.ended.pop();
            self.forget(key);
            pruned += 1;
        }
        pruned
    }

    /// Forgets a lease that has ended.
    fn forget(&mut self, key: Key) {
        let lease = &self.slab[key].lease;
        let state = lease.state;
        self.by_id
            .remove(self.hasher.hash(&lease.lease_id), |other| other == key);
        let hash = self.hasher.hash(&lease.actor_id);
        let chain = self.by_actor.find_mut(hash, |chain| {
            self.slab[chain.first].lease.actor_id == lease.actor_id
        });
        if let Some(chain) = chain {
            self.slab.unlink(chain, Chained::Actor, key);
            if chain.is_empty() {
                self.by_actor.remove(hash, Chain::is_empty);
            }
        }
        self.slab.remove(key);
        *self.count_of(state) -= 1;
    }
}

/// Changes; whoever calls has checked the rules.
impl LeaseReducerState {
    /// The lease with this id, if it can still change.
    pub(super) fn active_lease(&self, lease_id: &str) -> Result<&Lease, LeaseError> {
        let lease = self.get(lease_id).ok_or_else(|| LeaseError::LeaseNotFound {
            lease_id: lease_id.to_owned(),
        })?;
        if lease.state.is_terminal() {
            return Err(LeaseError::LeaseAlreadyTerminal {
                lease_id: lease_id.to_owned(),
                current_state: lease.state.as_str().to_owned(),
            });
        }
        Ok(lease)
    }

    /// The text of a session, shared with its active leases.
    pub(super) fn session(&self, session_id: &str) -> Arc<str> {
        let known = self.by_session.get_key_value(session_id);
        known.map_or_else(|| session_id.into(), |(shared, _)| Arc::clone(shared))
    }

    /// Adds an active lease, issued by a record that was written then; its token is above the last one.
    pub(super) fn insert(&mut self, lease: Lease, closed_until: Option<Tick>, written: Option<Tick>) {
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
    fn index(&mut self, slot: Slot) {
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
    pub(super) fn update(&mut self, lease_id: &str, written: Option<Tick>, change: impl FnOnce(&mut Lease)) {
        let Some(key) = self.key_of(lease_id) else {
            return;
        };
        self.leave_calendars(key);
        let slot = &mut self.slab[key];
        change(&mut slot.lease);
        slot.sign_of_life = sign_of_life(&slot.lease, written);
        self.enter_calendars(key);
    }

    /// Ends an active lease at the wall time of the record that ends it, 0 for unknown, but not later than its own end:
    /// a late release does not dodge pruning.
    pub(super) fn terminate(
        &mut self,
        lease_id: &str,
        state: LeaseState,
        wall: u64,
        change: impl FnOnce(&mut Lease),
    ) {
        let Some(key) = self.key_of(lease_id) else {
            return;
        };
        self.leave_calendars(key);
        self.slab.unlink(&mut self.active, Chained::Active, key);
        let lease = &self.slab[key].lease;
        self.active_by_work
            .remove(self.hasher.hash(&lease.work_id), |other| other == key);
        let session_id = Arc::clone(&lease.session_id);
        if let Some(chain) = self.by_session.get_mut(&session_id) {
            self.slab.unlink(chain, Chained::Session, key);
            if chain.is_empty() {
                self.by_session.remove(&session_id);
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

    /// Opens a work item before its time.
    pub(super) fn open(&mut self, work_id: &str) {
        self.closed.open(work_id);
    }

    pub(super) fn record_conflict(&mut self, conflict: LeaseConflict) {
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

    fn count_of(&mut self, state: LeaseState) -> &mut usize {
        match state {
            LeaseState::Released => &mut self.released,
            LeaseState::Expired => &mut self.expired,
            LeaseState::Revoked => &mut self.revoked,
            LeaseState::Active => unreachable!("only leases that have ended are counted one by one"),
        }
    }
}

/// What a checkpoint is made of, and a state from one.
impl LeaseReducerState {
    /// All leases in order of issue, each with its sign of life.
    pub(super) fn signs_of_life(&self) -> impl ExactSizeIterator<Item = (&Lease, Option<u64>)> {
        self.slots()
            .into_iter()
            .map(|slot| (&slot.lease, slot.sign_of_life))
    }

    /// The active leases in order of issue, each with its sign of life.
    pub(super) fn active_signs_of_life(&self) -> impl Iterator<Item = (&Lease, Option<u64>)> {
        let keys = self.slab.keys(self.active, Chained::Active);
        keys.map(|key| (&self.slab[key].lease, self.slab[key].sign_of_life))
    }

    /// The work items that stay closed, in alphabetical order.
    pub(super) fn closed(&self) -> Vec<(&str, &Tick)> {
        self.closed.all()
    }

    /// No leases yet, and room for so many.
    pub(super) fn with_capacity(leases: usize) -> Self {
        Self {
            slab: Slab::default(),
            hasher: Hasher::default(),
            by_id: Table::with_capacity(leases),
            active_by_work: Table::with_capacity(leases),
            by_actor: Table::default(),
            by_session: BTreeMap::new(),
            active: Chain::EMPTY,
            due: BTreeMap::new(),
            entered_last: None,
            wall: Calendar::new(End::Wall),
            ended: BinaryHeap::new(),
            released: 0,
            expired: 0,
            revoked: 0,
            closed: Closed::default(),
            conflicts: Conflicts::default(),
            last_token: 0,
        }
    }

    /// Adds a lease as it was.
    ///
    /// # Errors
    ///
    /// When no events lead to it.
    pub(super) fn restore(&mut self, lease: Lease, sign_of_life: Option<u64>) -> Result<(), CheckpointError> {
        let is_active = lease.state == LeaseState::Active;
        let objection = if lease.fencing_token <= self.last_token {
            "a token does not rise"
        } else if self.get(&lease.lease_id).is_some() {
            "two leases have one id"
        } else if is_active && self.has_active_lease(&lease.work_id) {
            "two active leases are on one work item"
        } else if is_active == lease.terminated_at.is_some()
            || lease.terminated_at.is_some_and(|ended| ended > lease.expires_at)
            || lease.expires_at <= lease.issued_at
            || !is_active && sign_of_life.is_some()
        {
            "a lease's times do not fit"
        } else {
            self.last_token = lease.fencing_token;
            self.index(Slot::new(lease, sign_of_life));
            return Ok(());
        };
        Err(CheckpointError::body(objection))
    }

    pub(super) fn restore_last_token(&mut self, token: u64) -> Result<(), CheckpointError> {
        if token < self.last_token {
            return Err(CheckpointError::body("a token is above the last one"));
        }
        self.last_token = token;
        Ok(())
    }

    pub(super) fn close(&mut self, work_id: &str, until: Tick) {
        self.closed.close(work_id, until);
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

impl PartialEq for LeaseReducerState {
    fn eq(&self, other: &Self) -> bool {
        self.last_token == other.last_token
            && self.len() == other.len()
            && self.signs_of_life().eq(other.signs_of_life())
            && self.closed == other.closed
            && self.conflicts == other.conflicts
    }
}

impl Eq for LeaseReducerState {}

impl fmt::Debug for LeaseReducerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseReducerState")
            .field("leases", &self.leases())
            .field("last_fencing_token", &self.last_token)
            .field("closed", &self.closed.all())
            .field("conflicts", &self.conflicts.all().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
