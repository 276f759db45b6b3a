//! A registrar's view of its ledger: every record applied, in order, up to a head.
//!
//! Invariants: the state is what the reducer makes of the records up to `head`, and nothing else ever changes it; what
//! was not appended is not applied. What this process has just appended itself is believed; every other record is applied
//! only if its signature holds, whichever key it names. What is refused is noted and skipped, so that one bad record does
//! not stop everyone. When an ended lease is forgotten is decided by the records alone, so that whoever has read as far,
//! from wherever, knows the same leases.
//!
//! While the writer is in the ledger's section, the view may end before the ledger does: see [`tail`](super::tail).

use std::mem;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::sync::{Arc, thread};
use crate::work::event::{self, EventError, EventRecord, LeaseEvent as _};
use crate::work::ledger::{Head, Ledger, LedgerError, NewRecord, Section};
use crate::work::reducer::{Reducer as _, ReducerContext, Refusals};
use crate::work::registrar::expiry::{Now, Strangers};
use crate::work::registrar::key_ring::{self, KeyRing, Statement};
use crate::work::registrar::ledger_event::LedgerEvent;
use crate::work::registrar::session::Holders;
use crate::work::registrar::signing;
use crate::work::registrar::tail::Tail;
use crate::work::registrar::token::{self, LedgerId};
use crate::work::registrar::{
    Lease, LeaseChange, LeaseError, LeaseReducer, LeaseReducerState, RegistrarError,
};
use crate::work::tick::Tick;

/// The version of the rules in [`decide`](super::decide::decide). Who makes them stricter raises it, and lets the writer
/// put it into the ledger before it first decides by them.
const RULES: u64 = 1;

/// About how long it takes to copy one lease and its place in the indexes.
const COPY_OF_A_LEASE: Duration = Duration::from_micros(1);

/// How long after the view was that of the ledger's end it may be caught up in the section: others append some hundred
/// records meanwhile.
const LATELY: Duration = Duration::from_millis(20);

/// How many records are read at a time.
const PAGE: usize = 1_024;

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
    /// hair.
    pub(crate) fn now<'a>(&'a self, tick: Tick, wall: u64, token: u64, holders: &'a Holders) -> Now<'a> {
        let tick = match self.tail.last_tick().or(self.last_tick) {
            Some(last) if last.has_reached(&tick) => last,
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
        Ok(token::next_token(last, self.epoch).unwrap_or(last + 1))
    }

    /// Reads and applies what others have appended, and returns the leases that ended by it.
    pub(crate) fn catch_up(&mut self, ledger: &dyn Ledger, now: Tick) -> Result<Vec<String>, LedgerError> {
        let mut ended = Vec::new();
        loop {
            let page = ledger.read(self.head.sequence, PAGE)?;
            for record in &page {
                ended.extend(self.apply(record, now));
            }
            if page.len() < PAGE {
                self.seen = Some(Instant::now());
                return Ok(ended);
            }
        }
    }

    /// The same where nobody can append, so that afterwards the view knows the ledger's end. It is the view of that end only
    /// as far as nothing has to be verified, which [`settle`](Self::settle) does once the section was left.
    pub(crate) fn read_end(
        &mut self,
        section: &mut dyn Section,
        now: Tick,
        ended: &mut Vec<String>,
    ) -> Result<(), LedgerError> {
        self.tail = Tail::default();
        loop {
            let page = section.read(self.end().sequence, PAGE)?;
            let is_last = page.len() < PAGE;
            for record in page {
                if self.tail.is_empty() && !self.has_to_verify(&record) {
                    ended.extend(self.apply(&record, now));
                } else {
                    self.put_behind(record, false);
                }
            }
            if is_last {
                self.seen = Some(Instant::now());
                return Ok(());
            }
        }
    }

    /// Whether the ledger's end cannot be far from the head.
    pub(crate) fn was_at_the_end_lately(&self) -> bool {
        self.seen.is_some_and(|seen| seen.elapsed() < LATELY)
    }

    fn put_behind(&mut self, record: EventRecord, is_ours: bool) {
        let (last_token, epoch) = (self.last_token(), self.epoch);
        let state = self.reducer.state();
        self.tail.push(record, is_ours, state, last_token, epoch);
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

    /// Verifies and applies what the section left behind. Returns the leases that ended by what others have appended, and,
    /// for each record of this registrar's own, the lease that it is about, as it was right after it.
    pub(crate) fn settle(&mut self, now: Tick) -> (Vec<String>, Vec<Option<Lease>>) {
        let (mut ended, mut own) = (Vec::new(), Vec::new());
        for (record, is_ours) in mem::take(&mut self.tail).into_records() {
            if is_ours {
                own.push(self.apply_own(&record, now));
            } else {
                ended.extend(self.apply(&record, now));
            }
        }
        (ended, own)
    }

    /// Why one of these records was passed over, if one was lately.
    pub(crate) fn refusal_of(&self, sequences: RangeInclusive<u64>) -> Option<&LeaseError> {
        let mut last = self.refusals.last();
        let refusal = last.find(|refusal| sequences.contains(&refusal.sequence));
        refusal.map(|refusal| &refusal.error)
    }

    /// Whether applying a record means verifying a signature.
    fn has_to_verify(&self, record: &EventRecord) -> bool {
        if event::kind_in(LedgerEvent::NAMESPACE, &record.event_type).is_some() {
            return true;
        }
        let Ok(Some(change)) = LeaseChange::from_record(record) else {
            return false;
        };
        let lease = self.state().get(lease_id_of(&change));
        signing::signed_part(&change, record, lease).is_some()
    }

    /// Reads and applies the next of what others have appended; says whether there was anything.
    pub(crate) fn read_page(&mut self, ledger: &dyn Ledger, now: Tick) -> Result<bool, LedgerError> {
        let page = ledger.read(self.head.sequence, PAGE)?;
        for record in &page {
            self.apply(record, now);
        }
        Ok(!page.is_empty())
    }

    /// Applies a record that is in the ledger right after `head`, and returns the lease that it ended.
    pub(crate) fn apply(&mut self, record: &EventRecord, now: Tick) -> Option<String> {
        let change = self.take(record, now, false)?;
        let lease = self.state().get(lease_id_of(&change));
        let ended = lease
            .filter(|lease| lease.state.is_terminal())
            .map(|lease| lease.lease_id.clone());
        self.forget_ended(record);
        ended
    }

    /// Goes on to a record, and returns the change if it was made. One that `is_ours` was signed by this process a moment
    /// ago, and is not verified.
    fn take(&mut self, record: &EventRecord, now: Tick, is_ours: bool) -> Option<LeaseChange> {
        let refusal = match self.step(record, is_ours) {
            Step::Nothing => return None,
            Step::Change(change) if is_ours || self.is_vouched_for(&change, record) => {
                match self.change(&change, record, now) {
                    Ok(()) => return Some(change),
                    Err(error) => error,
                }
            }
            Step::Change(change) => invalid_signature(&change),
            Step::Unreadable(error) => error.into(),
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
                self.refusals.note(record.sequence, error.into());
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
            Err(error) => return Step::Unreadable(error),
        }
        match LeaseChange::from_record(record) {
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

    /// Takes what this registrar has just appended, up to the ledger's new end; returns, for each record, the lease that it
    /// is about, as it was right after it. Behind what has to be verified that shows only when it is
    /// [settled](Self::settle), and there is nothing to return.
    pub(crate) fn take_own(
        &mut self,
        batch: Vec<NewRecord>,
        end: Head,
        now: Tick,
    ) -> Option<Vec<Option<Lease>>> {
        let can_apply = self.tail.is_empty();
        let mut leases = Vec::with_capacity(batch.len());
        for NewRecord { mut record, .. } in batch {
            record.sequence = self.end().sequence + 1;
            if record.sequence == end.sequence {
                record.hash = end.hash;
            }
            if can_apply {
                leases.push(self.apply_own(&record, now));
            } else {
                self.put_behind(record, true);
            }
        }
        debug_assert_eq!(self.end(), end, "the ledger counts as we do");
        can_apply.then_some(leases)
    }

    /// Applies a record that this registrar has appended, and returns the lease that it is about.
    fn apply_own(&mut self, record: &EventRecord, now: Tick) -> Option<Lease> {
        let change = self.take(record, now, true)?;
        let lease = self.state().get(lease_id_of(&change)).cloned();
        self.forget_ended(record);
        lease
    }

    fn is_vouched_for(&self, change: &LeaseChange, record: &EventRecord) -> bool {
        let lease = self.state().get(lease_id_of(change));
        match signing::signed_part(change, record, lease) {
            Some((message, signature)) => self.keys.verify(message, signature),
            // Nothing to verify: the chain covers it, and the reducer its sender.
            None => true,
        }
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

/// What a record is to the view.
enum Step {
    Change(LeaseChange),
    /// Done, or none of its business.
    Nothing,
    /// It says to be of the registrar's own families, and is no event of them.
    Unreadable(EventError),
    /// It should not be there.
    Refused(&'static str),
}

fn invalid_signature(change: &LeaseChange) -> LeaseError {
    LeaseError::InvalidSignature {
        lease_id: lease_id_of(change).to_owned(),
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
