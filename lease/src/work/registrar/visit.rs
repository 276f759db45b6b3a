//! One stay of the writer in the ledger's section: decide, append, apply, in this order.
//!
//! Commands that touch different work items cannot see each other's effects, so they are decided one after the other
//! and appended together. As soon as one touches what an earlier one has touched, the group is appended and applied
//! first.

use std::collections::HashSet;
use std::{iter, mem};

use crate::work::event::EventRecord;
use crate::work::ledger::{LedgerError, NewRecord, Section};
use crate::work::registrar::command::Command;
use crate::work::registrar::core::Core;
use crate::work::registrar::decide::{Draft, Refusal, decide};
use crate::work::registrar::fate::{Fate, Signed};
use crate::work::registrar::key_source::untrusted;
use crate::work::registrar::projection::Projection;
use crate::work::registrar::reply::Outcome;
use crate::work::registrar::session::Holders;
use crate::work::registrar::{Lease, LeaseError, LeaseReducerState, PublicKey, RegistrarError};
use crate::work::tick::Tick;

pub(super) struct Visit<'a> {
    core: &'a Core,
    section: &'a mut dyn Section,
    projection: &'a mut Projection,
    holders: &'a Holders,
    fate: &'a mut Fate,
    /// Decided and not yet appended; no two touch the same work item.
    group: Vec<Decided>,
    touched: HashSet<String>,
    /// The last token given to somebody in the group.
    last_token: u64,
    /// Whether a command was put off: those behind it are too, so that none overtakes another.
    has_put_off: bool,
    /// Those behind what is not verified yet: what they did shows when the view has come there.
    unsettled: Vec<Appended>,
}

/// A command whose records are in the ledger.
pub(super) struct Appended {
    decided: Decided,
    /// That of its last record; of the ledger's last one if it has none.
    sequence: u64,
}

/// A command that was decided, and when: its records carry the tick that the rules were held against.
struct Decided {
    signed: Signed,
    drafts: Vec<Draft>,
    tick: Tick,
    wall: u64,
}

/// What a command may read or change.
enum Touch {
    Nothing,
    Work(String),
    Everything,
}

impl<'a> Visit<'a> {
    pub(super) fn new(
        core: &'a Core,
        section: &'a mut dyn Section,
        projection: &'a mut Projection,
        holders: &'a Holders,
        fate: &'a mut Fate,
    ) -> Self {
        Self {
            core,
            section,
            projection,
            holders,
            fate,
            group: Vec::new(),
            touched: HashSet::new(),
            last_token: 0,
            has_put_off: false,
            unsettled: Vec::new(),
        }
    }

    /// Decides a command on top of everything that was decided before it, unless that cannot be seen yet.
    pub(super) fn take(&mut self, signed: Signed) {
        match touch(&signed.command, self.projection.state()) {
            Touch::Nothing => self.decide(signed),
            Touch::Work(work_id) => {
                if self.touched.contains(&work_id) {
                    self.append_group();
                }
                self.touched.insert(work_id);
                self.decide(signed);
            }
            Touch::Everything => {
                self.append_group();
                self.decide(signed);
                self.append_group();
            }
        }
    }

    /// Whether the ledger still trusts this key.
    pub(super) fn trusts(&self, key: PublicKey) -> bool {
        self.projection.keys().trusts(key)
    }

    /// A command whose key was retired since it was signed.
    pub(super) fn sign_again(&mut self, signed: Signed) {
        let error = untrusted(signed.signer);
        self.has_put_off |= self.fate.retry(signed, &error);
    }

    /// Appends what is still to be appended, and returns what cannot be answered yet.
    pub(super) fn leave(mut self) -> Vec<Appended> {
        self.append_group();
        self.unsettled
    }

    fn decide(&mut self, signed: Signed) {
        let (tail, state) = (self.projection.tail(), self.projection.state());
        if self.has_put_off || tail.concerns(&signed.command, state) {
            self.has_put_off = true;
            return self.fate.put_off(signed);
        }
        let token = match self.projection.next_token(self.last_token, self.section) {
            Ok(token) => token,
            Err(error) => return self.fate.fail([signed.queued], &error.into()),
        };
        let now = self.projection.now(
            self.core.clock.tick(),
            self.core.clock.wall(),
            token,
            self.holders,
        );
        match decide(self.projection.state(), &signed.command, &now) {
            Ok(mut drafts) => {
                if let Command::ExpireDue { .. } = signed.command {
                    drafts.retain(|draft| !self.projection.tail().concerns_draft(draft));
                }
                if drafts.iter().any(Draft::is_new_lease) {
                    self.last_token = token;
                }
                let (tick, wall) = (now.tick, now.wall);
                self.group.push(Decided {
                    signed,
                    drafts,
                    tick,
                    wall,
                });
            }
            Err(refusal) => self.has_put_off |= self.fate.refuse(signed, refusal),
        }
    }

    fn append_group(&mut self) {
        self.touched.clear();
        let group = mem::take(&mut self.group);
        self.append(group);
    }

    fn append(&mut self, group: Vec<Decided>) {
        let batch: Vec<_> = group
            .iter()
            .flat_map(|decided| decided.records(self.core))
            .collect();
        let mut sequence = self.projection.end().sequence;
        if batch.is_empty() {
            for decided in group {
                let appended = Appended { decided, sequence };
                appended.answer(&mut iter::empty(), self.projection, self.fate);
            }
            return;
        }
        match self.section.append(&self.projection.end(), &batch) {
            Ok(end) => {
                let now = self.core.clock.tick();
                let applied = self.projection.take_own(batch, end, now);
                let mut leases = applied.map(Vec::into_iter);
                for decided in group {
                    sequence += decided.drafts.len() as u64;
                    let appended = Appended { decided, sequence };
                    match &mut leases {
                        Some(leases) => appended.answer(leases, self.projection, self.fate),
                        None => self.unsettled.push(appended),
                    }
                }
            }
            // One of them is at fault; the others are not to suffer for it.
            Err(LedgerError::KeyUsed { .. } | LedgerError::TooLong { .. }) if group.len() > 1 => {
                for decided in group {
                    self.append(vec![decided]);
                }
            }
            Err(LedgerError::KeyUsed { .. }) => {
                for decided in group {
                    let lease_id = decided.new_lease_id().to_owned();
                    let refusal = Refusal::Lease(LeaseError::LeaseAlreadyExists { lease_id });
                    self.fate.refuse(decided.signed, refusal);
                }
            }
            Err(error @ LedgerError::HeadMoved { .. }) => {
                let error = RegistrarError::from(error);
                for decided in group {
                    self.fate.retry(decided.signed, &error);
                }
            }
            Err(error) => {
                let all = group.into_iter().map(|decided| decided.signed.queued);
                self.fate.fail(all, &error.into());
            }
        }
    }
}

impl Appended {
    /// Says what the command did: `leases` has, next, those of its records.
    pub(super) fn answer(
        self,
        leases: &mut impl Iterator<Item = Option<Lease>>,
        projection: &Projection,
        fate: &mut Fate,
    ) {
        let Self { decided, sequence } = self;
        let drafts = decided.drafts.len();
        let leases: Vec<_> = leases.take(drafts).flatten().collect();
        let ended = leases.iter().filter(|lease| lease.state.is_terminal());
        fate.ended.extend(ended.map(|lease| lease.lease_id.clone()));
        let first = sequence + 1 - drafts as u64;
        let answer = match projection.refusal_of(first..=sequence) {
            Some(refusal) => Err(refusal.clone().into()),
            None => Ok(Outcome {
                leases,
                sequence,
                ledger: projection.ledger_id(),
            }),
        };
        fate.answer(decided.signed.queued, answer);
        let types = decided.drafts.into_iter().map(|draft| draft.event_type);
        fate.appended.extend(types);
    }
}

impl Decided {
    fn records(&self, core: &Core) -> impl Iterator<Item = NewRecord> {
        self.drafts.iter().map(move |draft| {
            let record = EventRecord::new(
                draft.event_type.as_str(),
                core.session.as_str(),
                draft.actor_id.as_str(),
                draft.payload.as_slice(),
            )
            .at(self.wall, Some(self.tick));
            NewRecord {
                record,
                unique_key: draft.unique_key(),
            }
        })
    }

    fn new_lease_id(&self) -> &str {
        self.drafts
            .iter()
            .filter(|draft| draft.is_new_lease())
            .find_map(|draft| draft.lease_id.as_deref())
            .unwrap_or_default()
    }
}

fn touch(command: &Command, state: &LeaseReducerState) -> Touch {
    // A lease that is not known is refused whatever the others do.
    let work_of = |lease_id: &str| {
        state
            .get(lease_id)
            .map_or(Touch::Nothing, |lease| Touch::Work(lease.work_id.clone()))
    };
    match command {
        Command::Issue(issue) => Touch::Work(issue.request.work_id.clone()),
        Command::Renew(renewal) => work_of(&renewal.lease_id),
        Command::Release(release) => work_of(&release.lease_id),
        Command::Revoke(revocation) => work_of(&revocation.lease_id),
        Command::Record(_) => Touch::Nothing,
        Command::ExpireDue { .. } | Command::Key { .. } => Touch::Everything,
    }
}
