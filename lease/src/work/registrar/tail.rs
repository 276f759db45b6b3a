//! What stands in the ledger behind a view while its writer is in the section.
//!
//! Nothing is verified in the section, because that takes longer than everything the section is for, and nobody is waited
//! for who looks at the state. So from the first record on that has to be verified, or at once while somebody looks, the view
//! stays where it is, and what follows is only taken note of: which leases,
//! work items and tokens it says to be about. A command is decided by the view as it is if none of that concerns it:
//! then the answer is the same whether those records are genuine or forged. Any other is put off. Once the section was
//! left, and before anybody is told anything, the tail is verified and applied.
//!
//! So nothing is ever decided by what may be a lie, and nothing has to be taken back. Every replay makes the same of such
//! a ledger: it refuses the forged record where it stands, and takes ours, on which that had no influence, except that
//! the token of a lease may be greater than it had to be: it lies above those that forged leases claim to have, in the
//! same epoch. One that claims a token of a later epoch could use all of them up; then everything is put off. Their ticks
//! count as far as [`now`](super::projection::Projection::now) lets any record's.

use std::collections::HashSet;
use std::vec;

use crate::work::event::{self, EventRecord, LeaseEvent as _};
use crate::work::ledger::Head;
use crate::work::registrar::command::Command;
use crate::work::registrar::decide::Draft;
use crate::work::registrar::ledger_event::LedgerEvent;
use crate::work::registrar::projection::lease_id_of;
use crate::work::registrar::reading::change_of;
use crate::work::registrar::token;
use crate::work::registrar::{LeaseChange, LeaseReducerState};
use crate::work::tick::Tick;

/// Records that are not applied yet.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// Each with whether this registrar appended it itself.
    records: Vec<(EventRecord, bool)>,
    leases: HashSet<String>,
    works: HashSet<String>,
    /// The greatest token that one of them claims to give.
    last_token: u64,
    /// Anything may hang on them.
    concerns_all: bool,
}

impl Tail {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The head of the ledger that ends with them.
    pub(super) fn end(&self) -> Option<Head> {
        self.records.last().map(|(record, _)| Head {
            sequence: record.sequence,
            hash: record.hash,
        })
    }

    pub(super) fn last_tick(&self) -> Option<Tick> {
        self.records.iter().rev().find_map(|(record, _)| record.tick)
    }

    pub(super) const fn last_token(&self) -> u64 {
        self.last_token
    }

    /// Takes note of the next record. `last_token` is the greatest token before it, `epoch` that of the ledger.
    pub(super) fn push(
        &mut self,
        record: EventRecord,
        is_ours: bool,
        state: &LeaseReducerState,
        last_token: u64,
        epoch: u32,
    ) {
        if event::kind_in(LedgerEvent::NAMESPACE, &record.event_type).is_some() {
            self.concerns_all = true;
        }
        // What cannot be read is refused by everybody.
        if let Ok(Some(change)) = change_of(&record) {
            let lease_id = lease_id_of(&change);
            if let LeaseChange::Issued {
                work_id,
                fencing_token,
                ..
            } = &change
            {
                self.works.insert(work_id.clone());
                // One without a token gets the next.
                let given = (*fencing_token).max(last_token.saturating_add(1));
                let newest = epoch.max(token::epoch_of(state.last_fencing_token()));
                self.concerns_all |= token::epoch_of(given) > newest;
                self.last_token = given;
            } else if let Some(lease) = state.get(lease_id) {
                self.works.insert(lease.work_id.clone());
            }
            self.leases.insert(lease_id.to_owned());
        }
        self.records.push((record, is_ours));
    }

    /// Whether what becomes of a command may hang on them.
    pub(super) fn concerns(&self, command: &Command, state: &LeaseReducerState) -> bool {
        let concerns_lease = |lease_id: &str| {
            let work_id = state.get(lease_id).map(|lease| &lease.work_id);
            self.leases.contains(lease_id) || work_id.is_some_and(|work_id| self.works.contains(work_id))
        };
        self.concerns_all
            || match command {
                Command::Issue(issue) => {
                    let request = &issue.request;
                    self.works.contains(&request.work_id) || self.leases.contains(&request.lease_id)
                }
                Command::Renew(renewal) => concerns_lease(&renewal.lease_id),
                Command::Release(release) => concerns_lease(&release.lease_id),
                Command::Revoke(revocation) => concerns_lease(&revocation.lease_id),
                // It leaves out the leases that they are about.
                Command::ExpireDue { .. } | Command::Record(_) | Command::Key { .. } => false,
            }
    }

    /// Whether a record in the making is about a lease that they are about.
    pub(super) fn concerns_draft(&self, draft: &Draft) -> bool {
        let lease_id = draft.lease_id.as_ref();
        lease_id.is_some_and(|lease_id| self.leases.contains(lease_id))
    }

    /// The records in order, each with whether this registrar appended it itself.
    pub(super) fn into_records(self) -> vec::IntoIter<(EventRecord, bool)> {
        self.records.into_iter()
    }
}
