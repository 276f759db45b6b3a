//! Keeping up with the ledger: from outside, from inside the writer's section, and what is done when it was left.

use std::mem;
use std::time::Instant;

use super::proofs::Proofs;
use super::{Projection, lease_id_of};
use crate::sync::Arc;
use crate::work::event::{self, EventRecord, LeaseEvent as _};
use crate::work::ledger::{Head, Ledger, LedgerError, NewRecord, Section, check_links};
use crate::work::reducer::Reducer as _;
use crate::work::registrar::ledger_event::LedgerEvent;
use crate::work::registrar::reading::change_of;
use crate::work::registrar::tail::Tail;
use crate::work::registrar::{Lease, signing};
use crate::work::tick::Tick;

/// How many records are read at a time.
const PAGE: usize = 1_024;

impl Projection {
    /// Reads and applies what others have appended, and returns the leases that ended by it.
    pub(crate) fn catch_up(&mut self, ledger: &dyn Ledger, now: Tick) -> Result<Vec<String>, LedgerError> {
        let mut ended = Vec::new();
        loop {
            let page = ledger.read(self.head.sequence, PAGE)?;
            self.apply_page(&page, now, &mut ended)?;
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
            check_links(&self.end(), &page)?;
            let is_last = page.len() < PAGE;
            for record in page {
                if self.can_apply() && !self.has_to_verify(&record) {
                    ended.extend(self.apply(&record, &Proofs::default(), now));
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

    /// Whether the next record can be applied inside the section: nothing before it is put off, and nobody looks at the
    /// state, who would have to be waited for while everybody else waits for the section.
    fn can_apply(&self) -> bool {
        self.tail.is_empty() && Arc::strong_count(&self.reducer) == 1
    }

    fn put_behind(&mut self, record: EventRecord, is_ours: bool) {
        let (last_token, epoch) = (self.last_token(), self.epoch);
        let state = self.reducer.state();
        self.tail.push(record, is_ours, state, last_token, epoch);
    }

    /// Verifies and applies what the section left behind. Returns the leases that ended by what others have appended, and,
    /// for each record of this registrar's own, the lease that it is about, as it was right after it.
    pub(crate) fn settle(&mut self, now: Tick) -> (Vec<String>, Vec<Option<Lease>>) {
        let (mut ended, mut own) = (Vec::new(), Vec::new());
        let mut rest = mem::take(&mut self.tail).into_records();
        while rest.len() > 0 {
            let of_tail = rest.as_slice().iter();
            let (proofs, count) = self.prove(of_tail.map(|(record, is_ours)| (record, *is_ours)));
            for (record, is_ours) in rest.by_ref().take(count) {
                if is_ours {
                    own.push(self.apply_own(&record, now));
                } else {
                    ended.extend(self.apply(&record, &proofs, now));
                }
            }
        }
        (ended, own)
    }

    /// Whether applying a record means verifying a signature.
    fn has_to_verify(&self, record: &EventRecord) -> bool {
        if event::kind_in(LedgerEvent::NAMESPACE, &record.event_type).is_some() {
            return true;
        }
        let Ok(Some(change)) = change_of(record) else {
            return false;
        };
        let lease = self.state().get(lease_id_of(&change));
        signing::signed_part(&change, record, lease).is_some()
    }

    /// Reads and applies the next of what others have appended; says whether there was anything.
    pub(crate) fn read_page(&mut self, ledger: &dyn Ledger, now: Tick) -> Result<bool, LedgerError> {
        let page = ledger.read(self.head.sequence, PAGE)?;
        self.apply_page(&page, now, &mut Vec::new())?;
        Ok(!page.is_empty())
    }

    /// Applies what was read right after the head, and adds the leases that ended by it.
    fn apply_page(
        &mut self,
        page: &[EventRecord],
        now: Tick,
        ended: &mut Vec<String>,
    ) -> Result<(), LedgerError> {
        check_links(&self.head, page)?;
        let mut rest = page;
        while !rest.is_empty() {
            let (proofs, count) = self.prove(rest.iter().map(|record| (record, false)));
            let (these, others) = rest.split_at(count);
            ended.extend(these.iter().filter_map(|record| self.apply(record, &proofs, now)));
            rest = others;
        }
        Ok(())
    }

    /// Takes what this registrar has just appended, up to the ledger's new end; returns, for each record, the lease that it
    /// is about, as it was right after it. Behind what is put off that shows only when it is
    /// [settled](Self::settle), and there is nothing to return.
    pub(crate) fn take_own(
        &mut self,
        batch: Vec<NewRecord>,
        end: Head,
        now: Tick,
    ) -> Option<Vec<Option<Lease>>> {
        let can_apply = self.can_apply();
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
}
