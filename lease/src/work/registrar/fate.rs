//! What becomes of the commands of one round of the writer: answered, put off, signed anew, sent back to their line.

use crate::work::registrar::command::{Command, Release, Request};
use crate::work::registrar::core::Queued;
use crate::work::registrar::decide::Refusal;
use crate::work::registrar::reply::{Answer, Reply};
use crate::work::registrar::{PublicKey, RegistrarError};

/// How often a command is signed before it is given up because something changed in between each time.
const SIGNINGS: u32 = 2;

/// A command that was fixed and signed, on its way into the section.
pub(super) struct Signed {
    pub(super) queued: Queued,
    pub(super) command: Command,
    pub(super) signings: u32,
    pub(super) signer: PublicKey,
}

/// What became of a round's commands.
#[derive(Default)]
pub(super) struct Fate {
    pub(super) done: Vec<Done>,
    /// Leases that are nobody's any more, and why they are still there.
    pub(super) owed: Vec<(Release, RegistrarError)>,
    /// To be signed anew, and how often they were.
    pub(super) again: Vec<(Queued, u32)>,
    /// Stood first in their line, and somebody was faster after all.
    pub(super) waiting: Vec<Queued>,
    /// Leases that ended.
    pub(super) ended: Vec<String>,
    /// The types of the records that were appended.
    pub(super) appended: Vec<String>,
}

/// A command that has its answer.
pub(super) struct Done {
    pub(super) reply: Box<dyn Reply>,
    pub(super) answer: Answer,
    /// Whether a good answer waits for the disk.
    pub(super) is_durable: bool,
    pub(super) is_issue: bool,
}

impl Fate {
    pub(super) fn answer(&mut self, queued: Queued, answer: Answer) {
        let Queued {
            request,
            reply,
            is_durable,
            is_owed,
            ..
        } = queued;
        let is_issue = matches!(request, Request::Issue(_));
        if let (Request::Release(release), Err(error)) = (request, &answer)
            && is_owed
            && !matches!(error, RegistrarError::Lease(_))
        {
            self.owed.push((release, error.clone()));
        }
        self.done.push(Done {
            reply,
            answer,
            is_durable,
            is_issue,
        });
    }

    /// The rules, or what changed in between, say no. Says whether it is tried again.
    pub(super) fn refuse(&mut self, signed: Signed, refusal: Refusal) -> bool {
        self.refuse_at(signed.queued, signed.signings, refusal)
    }

    pub(super) fn refuse_at(&mut self, queued: Queued, signings: u32, refusal: Refusal) -> bool {
        match refusal {
            Refusal::Superseded { .. } if signings < SIGNINGS => {
                self.again.push((queued, signings));
                return true;
            }
            Refusal::Busy(_) if queued.patience.is_some() => self.waiting.push(queued),
            Refusal::Busy(busy) => self.answer(queued, Err(RegistrarError::Busy(busy))),
            Refusal::Superseded { lease_id } => {
                self.answer(queued, Err(RegistrarError::Superseded { lease_id }));
            }
            Refusal::Lease(error) => self.answer(queued, Err(error.into())),
        }
        false
    }

    /// The ledger failed all of them alike.
    pub(super) fn fail(&mut self, all: impl IntoIterator<Item = Queued>, error: &RegistrarError) {
        for queued in all {
            self.answer(queued, Err(error.clone()));
        }
    }

    /// It hangs on what is not verified yet. Nothing is held against it.
    pub(super) fn put_off(&mut self, signed: Signed) {
        self.again.push((signed.queued, signed.signings - 1));
    }

    /// It cannot be appended as it was signed, through no fault of its own. Try again, but not for ever; says whether it
    /// is tried again.
    pub(super) fn retry(&mut self, signed: Signed, error: &RegistrarError) -> bool {
        let is_tried_again = signed.signings < SIGNINGS;
        if is_tried_again {
            self.again.push((signed.queued, signed.signings));
        } else {
            self.answer(signed.queued, Err(error.clone()));
        }
        is_tried_again
    }
}
