//! What the events of leases add up to, indexed for every question that is asked of it.
//!
//! Invariants: each index says exactly what the leases say; a work item has at most one active lease; tokens rise in
//! order of issue, so a chain that is only ever appended to is in that order. Hash tables are only looked into, never
//! walked: what is walked is ordered, so equal states answer in equal order.

mod changes;
mod restoring;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt,
};

use super::{
    Lease, LeaseConflict,
    calendar::{Calendar, Timebase},
    closed::Closed,
    conflicts::Conflicts,
    index::{Hasher, Keys, Table},
    slab::{Chain, Chained, Key, Slab, Slot},
};
use crate::sync::Arc;
use crate::work::tick::Tick;

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
