//! What the events of leases add up to, indexed for every question that is asked of it.
//!
//! Invariants: each index says exactly what the leases say; a work item has at most one active lease; tokens rise in
//! order of issue, so a lease's fencing token is also its key and its place in every order. Hash maps are only looked
//! into, never walked: what is walked is ordered, so equal states answer in equal order.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use super::{Lease, LeaseConflict, LeaseError, LeaseState, conflicts::Conflicts};
use crate::sync::Arc;
use crate::work::tick::{ClockId, Tick};

/// Which ticks can be compared: those of one clock and rate. `None` stands for the wall clock, which judges leases
/// without ticks.
type Timebase = Option<(ClockId, u64)>;

/// The current state of all leases: what [`LeaseReducer`](crate::LeaseReducer) has made of the events so far.
///
/// Looking up by lease or work id and every count take constant time; lists take time in proportion to what they
/// return. Lists are in order of issue where nothing else is said.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LeaseReducerState {
    /// By fencing token.
    leases: HashMap<u64, Lease>,
    tokens: HashMap<String, u64>,
    active_by_work: HashMap<String, u64>,
    by_actor: HashMap<String, BTreeSet<u64>>,
    active: BTreeSet<u64>,
    /// Active leases by the session that issued them; the leases of one session share its text.
    by_session: BTreeMap<Arc<str>, BTreeSet<u64>>,
    /// Ends and tokens of active leases, by what judges them.
    ends: BTreeMap<Timebase, BTreeSet<(u64, u64)>>,
    /// Wall-clock ends and tokens of all active leases.
    wall_ends: BTreeSet<(u64, u64)>,
    /// When they ended, and tokens, of all terminal leases.
    ended: BTreeSet<(u64, u64)>,
    released: usize,
    expired: usize,
    revoked: usize,
    /// Work items that stay closed until a tick, whatever becomes of the lease that closed them.
    closed: HashMap<String, Tick>,
    conflicts: Conflicts,
    last_token: u64,
}

/// Questions.
impl LeaseReducerState {
    /// The lease with this id, unless it was pruned.
    pub fn get(&self, lease_id: &str) -> Option<&Lease> {
        self.leases.get(self.tokens.get(lease_id)?)
    }

    /// The active lease on a work item.
    pub fn get_active_lease_for_work(&self, work_id: &str) -> Option<&Lease> {
        self.leases.get(self.active_by_work.get(work_id)?)
    }

    /// Whether a work item has an active lease.
    pub fn has_active_lease(&self, work_id: &str) -> bool {
        self.active_by_work.contains_key(work_id)
    }

    /// All active leases.
    pub fn active_leases(&self) -> Vec<&Lease> {
        self.pick(&self.active)
    }

    /// All leases of an actor that were not pruned, active or not.
    pub fn leases_by_actor(&self, actor_id: &str) -> Vec<&Lease> {
        self.by_actor
            .get(actor_id)
            .map_or_else(Vec::new, |tokens| self.pick(tokens))
    }

    /// The active leases that were issued in this session.
    pub fn active_leases_by_session(&self, session_id: &str) -> Vec<&Lease> {
        self.by_session
            .get(session_id)
            .map_or_else(Vec::new, |tokens| self.pick(tokens))
    }

    /// The sessions in which active leases were issued, in alphabetical order.
    pub fn active_sessions(&self) -> impl ExactSizeIterator<Item = &str> {
        self.by_session.keys().map(AsRef::as_ref)
    }

    /// All leases that were not pruned. Takes time in proportion to their number times its logarithm: for reports.
    pub fn leases(&self) -> Vec<&Lease> {
        let mut leases: Vec<_> = self.leases.values().collect();
        leases.sort_unstable_by_key(|lease| lease.fencing_token);
        leases
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
        self.pick(up_to(&self.wall_ends, current_time))
    }

    /// How many leases there are that were not pruned.
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// How many leases are active.
    pub fn active_count(&self) -> usize {
        self.active.len()
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
    /// tick has come is for the caller to judge.
    pub fn closed_until(&self, work_id: &str) -> Option<Tick> {
        self.closed.get(work_id).copied()
    }

    /// The conflicts on record, oldest first: the last 16 of each work item, and of those the last 4,096.
    pub fn conflicts(&self) -> impl ExactSizeIterator<Item = &LeaseConflict> {
        self.conflicts.all()
    }

    /// The conflicts on record of one work item, oldest first.
    pub fn conflicts_for_work(&self, work_id: &str) -> impl Iterator<Item = &LeaseConflict> {
        self.conflicts.of_work(work_id)
    }

    fn pick<'a>(&self, tokens: impl IntoIterator<Item = &'a u64>) -> Vec<&Lease> {
        tokens.into_iter().map(|token| &self.leases[token]).collect()
    }

    fn due(&self, now: &Tick, wall: u64) -> Vec<&Lease> {
        let mut due = Vec::new();
        for (timebase, ends) in &self.ends {
            let until = match timebase {
                None => wall,
                Some((clock, rate)) if (clock, rate) == (&now.clock, &now.rate) => now.value,
                Some(_) => u64::MAX,
            };
            due.extend(self.pick(up_to(ends, until)));
        }
        due
    }
}

/// The tokens whose time has come.
fn up_to(times: &BTreeSet<(u64, u64)>, time: u64) -> impl Iterator<Item = &u64> {
    times.range(..=(time, u64::MAX)).map(|(_, token)| token)
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
        let kept = match before {
            Some(before) => self.ended.split_off(&(before, 0)),
            None => BTreeSet::new(),
        };
        let pruned = std::mem::replace(&mut self.ended, kept);
        for (_, token) in &pruned {
            let Some(lease) = self.leases.remove(token) else {
                continue;
            };
            self.tokens.remove(&lease.lease_id);
            if let Some(tokens) = self.by_actor.get_mut(&lease.actor_id) {
                tokens.remove(token);
                if tokens.is_empty() {
                    self.by_actor.remove(&lease.actor_id);
                }
            }
            *self.count_of(lease.state) -= 1;
        }
        pruned.len()
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

    /// Adds an active lease; its token is above the last one.
    pub(super) fn insert(&mut self, lease: Lease, closed_until: Option<Tick>) {
        let token = lease.fencing_token;
        debug_assert!(token > self.last_token && lease.state == LeaseState::Active);
        self.last_token = token;
        match closed_until {
            Some(tick) => self.closed.insert(lease.work_id.clone(), tick),
            None => self.closed.remove(&lease.work_id),
        };
        self.tokens.insert(lease.lease_id.clone(), token);
        self.active_by_work.insert(lease.work_id.clone(), token);
        self.by_actor
            .entry(lease.actor_id.clone())
            .or_default()
            .insert(token);
        self.active.insert(token);
        self.by_session
            .entry(Arc::clone(&lease.session_id))
            .or_default()
            .insert(token);
        self.index_end(&lease);
        self.leases.insert(token, lease);
    }

    /// Changes an active lease in a way that leaves it active.
    pub(super) fn update(&mut self, lease_id: &str, change: impl FnOnce(&mut Lease)) {
        let Some(mut lease) = self
            .tokens
            .get(lease_id)
            .and_then(|token| self.leases.remove(token))
        else {
            return;
        };
        self.unindex_end(&lease);
        change(&mut lease);
        self.index_end(&lease);
        self.leases.insert(lease.fencing_token, lease);
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
        let Some(mut lease) = self
            .tokens
            .get(lease_id)
            .and_then(|token| self.leases.remove(token))
        else {
            return;
        };
        let ended = if wall == 0 {
            lease.expires_at
        } else {
            wall.min(lease.expires_at)
        };
        self.unindex_end(&lease);
        self.active.remove(&lease.fencing_token);
        self.active_by_work.remove(&lease.work_id);
        if let Some(tokens) = self.by_session.get_mut(&lease.session_id) {
            tokens.remove(&lease.fencing_token);
            if tokens.is_empty() {
                self.by_session.remove(&lease.session_id);
            }
        }
        self.ended.insert((ended, lease.fencing_token));
        *self.count_of(state) += 1;
        lease.state = state;
        lease.terminated_at = Some(ended);
        change(&mut lease);
        self.leases.insert(lease.fencing_token, lease);
    }

    /// Opens a work item before its time.
    pub(super) fn open(&mut self, work_id: &str) {
        self.closed.remove(work_id);
    }

    pub(super) fn record_conflict(&mut self, conflict: LeaseConflict) {
        self.conflicts.push(conflict);
    }

    fn index_end(&mut self, lease: &Lease) {
        let (timebase, end) = end_of(lease);
        self.ends
            .entry(timebase)
            .or_default()
            .insert((end, lease.fencing_token));
        self.wall_ends.insert((lease.expires_at, lease.fencing_token));
    }

    fn unindex_end(&mut self, lease: &Lease) {
        let (timebase, end) = end_of(lease);
        if let Some(ends) = self.ends.get_mut(&timebase) {
            ends.remove(&(end, lease.fencing_token));
            if ends.is_empty() {
                self.ends.remove(&timebase);
            }
        }
        self.wall_ends.remove(&(lease.expires_at, lease.fencing_token));
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

/// What judges a lease, and its end by that.
fn end_of(lease: &Lease) -> (Timebase, u64) {
    match lease.expires_at_tick {
        Some(end) => (Some((end.clock, end.rate)), end.value),
        None => (None, lease.expires_at),
    }
}

impl fmt::Debug for LeaseReducerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseReducerState")
            .field("leases", &self.leases())
            .field("last_fencing_token", &self.last_token)
            .field("closed", &self.closed.iter().collect::<BTreeMap<_, _>>())
            .field("conflicts", &self.conflicts.all().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
