//! A registrar's view of its ledger: every record applied, in order, up to a head.
//!
//! Invariants: the state is what the reducer makes of the records up to `head`, and nothing else ever changes it; what
//! was not appended is not applied. What this process has just appended itself is believed; every other record is applied
//! only if its signature holds, whichever key it names. What is refused is noted and skipped, so that one bad record does
//! not stop everyone. When an ended lease is forgotten is decided by the records alone, so that whoever has read as far,
//! from wherever, knows the same leases.
//!
//! While the writer is in the ledger's section, the view may end before the ledger does: see [`tail`](super::tail).

mod applying;
mod proofs;
mod reading;

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::sync::{Arc, thread};
use crate::work::ledger::{Head, LedgerError, Section};
use crate::work::reducer::{Reducer as _, Refusals};
use crate::work::registrar::expiry::{Now, Strangers};
use crate::work::registrar::key_ring::KeyRing;
use crate::work::registrar::session::Holders;
use crate::work::registrar::tail::Tail;
use crate::work::registrar::token::{self, LedgerId};
use crate::work::registrar::{LeaseChange, LeaseError, LeaseReducer, LeaseReducerState, RegistrarError};
use crate::work::tick::Tick;

/// The version of the rules in [`decide`](super::decide::decide). Who makes them stricter raises it, and lets the writer
/// put it into the ledger before it first decides by them.
const RULES: u64 = 1;

/// About how long it takes to copy one lease and its place in the indexes.
const COPY_OF_A_LEASE: Duration = Duration::from_micros(1);

/// By how much the clocks of two cores may disagree: more than they ever do, and so little that a lease which is ended so
/// much too early was given up by its holder before.
const HAIR: Duration = Duration::from_millis(10);

/// How long after the view was that of the ledger's end it may be caught up in the section: others append some hundred
/// records meanwhile.
const LATELY: Duration = Duration::from_millis(20);

pub(crate) struct Projection {
    /// Shared with queries that are looking at it; the writer then goes on with a copy.
    reducer: Arc<LeaseReducer>,
    head: Head,
    /// What stands behind the head and is not applied yet; empty but while the writer is in the section.
    tail: Tail,
    keys: KeyRing,
    strangers: Strangers,
    ledger_id: LedgerId,
    /// The ledger's epoch when it was opened, or when its tokens were used up last.
    epoch: u32,
    /// The last record's tick.
    last_tick: Option<Tick>,
    /// The version of the rules by which commands are decided.
    rules: u64,
    /// How long an ended lease is kept, in nanoseconds of the records' wall time.
    retention: u64,
    refusals: Refusals<LeaseError>,
    /// When the view last was that of the ledger's end.
    seen: Option<Instant>,
}

/// What a view has made of the records up to its head, whoever's it is.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) reducer: LeaseReducer,
    pub(super) keys: KeyRing,
    pub(super) ledger_id: LedgerId,
    pub(super) last_tick: Option<Tick>,
    pub(super) rules: u64,
    pub(super) retention: u64,
    /// How many records were refused.
    pub(super) refused: u64,
}

/// Of leases that are never forgotten.
pub(crate) const FOR_EVER: u64 = u64::MAX;

impl Projection {
    pub(crate) fn new(epoch: u32, retention: u64) -> Self {
        Self {
            epoch,
            retention,
            reducer: Arc::new(LeaseReducer::new()),
            head: Head::default(),
            tail: Tail::default(),
            keys: KeyRing::default(),
            strangers: Strangers::default(),
            ledger_id: LedgerId::default(),
            last_tick: None,
            rules: RULES,
            refusals: Refusals::after(0),
            seen: None,
        }
    }

    /// The view that has come so far, in the hands of somebody whose clock is at `now`.
    pub(super) fn from_parts(epoch: u32, head: Head, parts: Parts, now: Tick) -> Self {
        Self {
            head,
            strangers: Strangers::of(parts.reducer.state(), now),
            reducer: Arc::new(parts.reducer),
            keys: parts.keys,
            ledger_id: parts.ledger_id,
            last_tick: parts.last_tick,
            rules: parts.rules,
            refusals: Refusals::after(parts.refused),
            ..Self::new(epoch, parts.retention)
        }
    }

    pub(crate) const fn rules(&self) -> u64 {
        self.rules
    }

    /// Whether commands are decided by rules that this registrar knows.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::NewerRules`] when they are not.
    pub(crate) const fn check_rules(&self) -> Result<(), RegistrarError> {
        if self.rules <= RULES {
            return Ok(());
        }
        Err(RegistrarError::NewerRules {
            found: self.rules,
            supported: RULES,
        })
    }

    pub(super) const fn retention(&self) -> u64 {
        self.retention
    }

    pub(crate) fn state(&self) -> &LeaseReducerState {
        self.reducer.state()
    }

    /// The reducer, to be changed. Somebody who is just looking at it is waited for, but no longer than it would take to
    /// leave it to him and go on with a copy: he may be waiting for us.
    fn reducer_mut(&mut self) -> &mut LeaseReducer {
        if Arc::strong_count(&self.reducer) > 1 {
            let leases = u32::try_from(self.state().len()).unwrap_or(u32::MAX);
            let (asked, patience) = (Instant::now(), COPY_OF_A_LEASE * leases);
            while Arc::strong_count(&self.reducer) > 1 && asked.elapsed() < patience {
                thread::yield_now();
            }
        }
        Arc::make_mut(&mut self.reducer)
    }

    /// The reducer as it is now, for somebody who looks at it while the ledger goes on.
    pub(crate) fn snapshot(&self) -> Arc<LeaseReducer> {
        Arc::clone(&self.reducer)
    }

    pub(crate) const fn head(&self) -> Head {
        self.head
    }

    pub(crate) const fn keys(&self) -> &KeyRing {
        &self.keys
    }

    pub(crate) const fn ledger_id(&self) -> LedgerId {
        self.ledger_id
    }

    pub(super) const fn last_tick(&self) -> Option<Tick> {
        self.last_tick
    }

    /// The records that were passed over.
    pub(crate) const fn refusals(&self) -> &Refusals<LeaseError> {
        &self.refusals
    }

    /// The moment of a decision. Ticks never fall along the sequence, even if clocks of several cores disagree by a
    /// [hair](HAIR). A record that is further ahead is not of this clock, whatever it says, and moves nothing.
    pub(crate) fn now<'a>(&'a self, tick: Tick, wall: u64, token: u64, holders: &'a Holders) -> Now<'a> {
        let tick = match self.tail.last_tick().or(self.last_tick) {
            Some(last) if last.has_reached(&tick) && tick.saturating_add(HAIR).has_reached(&last) => last,
            _ => tick,
        };
        Now {
            tick,
            wall,
            token,
            strangers: &self.strangers,
            keys: &self.keys,
            ledger: self.ledger_id,
            holders,
        }
    }

    /// The token for the next lease, above all in the ledger and above `given`, which is on its way there.
    pub(crate) fn next_token(&mut self, given: u64, section: &mut dyn Section) -> Result<u64, LedgerError> {
        let last = self.last_token().max(given);
        if let Some(token) = token::next_token(last, self.epoch) {
            return Ok(token);
        }
        self.epoch = section.raise_epoch()?;
        // An epoch that is still below the last token's cannot be told from one used up; count on from the token.
        Ok(token::next_token(last, self.epoch).unwrap_or(last.saturating_add(1)))
    }

    /// Whether the ledger's end cannot be far from the head.
    pub(crate) fn was_at_the_end_lately(&self) -> bool {
        self.seen.is_some_and(|seen| seen.elapsed() < LATELY)
    }

    /// The ledger's end, as it was seen in the section: the head, and what is not applied yet.
    pub(crate) fn end(&self) -> Head {
        self.tail.end().unwrap_or(self.head)
    }

    /// What is not applied yet, and what hangs on it.
    pub(crate) const fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The greatest token that was given, or that somebody says was given.
    fn last_token(&self) -> u64 {
        self.state().last_fencing_token().max(self.tail.last_token())
    }

    /// Why one of these records was passed over, if one was lately.
    pub(crate) fn refusal_of(&self, sequences: RangeInclusive<u64>) -> Option<&LeaseError> {
        let mut last = self.refusals.last();
        let refusal = last.find(|refusal| sequences.contains(&refusal.sequence));
        refusal.map(|refusal| &refusal.error)
    }
}

/// The lease that a change is about; empty for a conflict, which is about several.
pub(super) fn lease_id_of(change: &LeaseChange) -> &str {
    match change {
        LeaseChange::Issued { lease_id, .. }
        | LeaseChange::Renewed { lease_id, .. }
        | LeaseChange::Released { lease_id, .. }
        | LeaseChange::Expired { lease_id, .. }
        | LeaseChange::Revoked { lease_id, .. } => lease_id,
        LeaseChange::Conflict { .. } => "",
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
