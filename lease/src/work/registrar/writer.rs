//! The one thread of a process that writes.
//!
//! A round: take what is queued; catch up; fix the ends and sign; enter the ledger's section; catch up with the rest;
//! decide; append; apply; leave; verify what of the rest has to be; sync; answer. Commands on different work items are
//! appended together, all or nothing; a command that is refused is answered alone. What is applied was appended before,
//! in this order, so a failed append leaves the view as it was.

use std::mem;
use std::time::Duration;

use crate::sync::{MutexGuard, lock};
use crate::work::ledger::Section;
use crate::work::observe;
use crate::work::registrar::command::{Command, IssueRequest, Release, Request, prepare};
use crate::work::registrar::core::{Core, Queue, Queued};
use crate::work::registrar::decide::{Refusal, decide, obstacle};
use crate::work::registrar::fate::{Fate, Signed};
use crate::work::registrar::owed::Owed;
use crate::work::registrar::projection::Projection;
use crate::work::registrar::session::Holders;
use crate::work::registrar::visit::{Appended, Visit};
use crate::work::registrar::waiting::{WaitList, Waiter};
use crate::work::registrar::{Durability, RegistrarError, ReleaseReason, Signer};

/// How often somebody who waits for a work item looks at what other processes did.
const POLL: Duration = Duration::from_millis(10);

/// Runs until the registrar is closed and everything queued is done.
pub(crate) fn run(core: &Core) {
    let _over = Over(core);
    let mut lines = WaitList::new();
    let mut holders = Holders::default();
    let mut owed = Owed::default();
    let mut was_busy = false;
    let mut seen = None;
    loop {
        let nap = match (lines.is_empty(), was_busy) {
            (true, _) => owed.nap(),
            // What was done may be what somebody waits for.
            (false, true) => Some(Duration::ZERO),
            (false, false) => Some(POLL),
        };
        let (fresh, is_closed) = core.next_round(nap);
        let (patient, prompt): (Vec<_>, Vec<_>) =
            fresh.into_iter().partition(|queued| queued.waits_for().is_some());
        for queued in patient {
            lines.join(queued);
        }
        // Whoever waits has come before whoever only tries.
        let mut todo = core.whose_turn_it_is(&mut lines, &mut holders, &mut seen);
        todo.extend(prompt);
        todo.extend(owed.due(is_closed));
        was_busy = !todo.is_empty();
        if !was_busy && is_closed && core.take_no_more() {
            break;
        }
        owed.add(core.work_off(todo, &mut lines, &mut holders));
        core.settle(&mut holders);
        core.checkpoint_if_due();
    }
    for waiter in lines.take_if(|_| true) {
        waiter.reply.answer(Err(RegistrarError::Closed));
    }
    core.checkpoints.end();
    // Also where an acknowledgement means less: whoever closes it may go home.
    let end = core.sync_ledger().and(owed.into_failure().map_or(Ok(()), Err));
    let closers = {
        // In one step, or somebody who closes in between would be told by nobody.
        let mut queue = lock(&core.queue);
        queue.end = Some(end.clone());
        mem::take(&mut queue.closers)
    };
    for closer in closers {
        closer.complete(end.clone());
    }
}

/// However the thread ends, nobody may wait for it afterwards.
struct Over<'a>(&'a Core);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let mut queue = lock(&self.0.queue);
        (queue.is_closed, queue.is_over) = (true, true);
        queue.end.get_or_insert(Err(RegistrarError::Closed));
        let left = (mem::take(&mut queue.commands), mem::take(&mut queue.closers));
        drop(queue);
        // Completers that are dropped say so.
        drop(left);
    }
}

impl Core {
    /// What was queued since the last round, and whether that is all there will be; blocks while there is nothing, but
    /// not longer than a `nap`.
    fn next_round(&self, nap: Option<Duration>) -> (Vec<Queued>, bool) {
        let mut queue = lock(&self.queue);
        while queue.commands.is_empty() && !queue.is_closed && nap != Some(Duration::ZERO) {
            queue = self.sleep(queue, nap);
            if nap.is_some() {
                break;
            }
        }
        (queue.commands.drain(..).collect(), queue.is_closed)
    }

    /// Takes nothing more from now on, if nothing has come since the last round; says whether that is so.
    fn take_no_more(&self) -> bool {
        let mut queue = lock(&self.queue);
        queue.is_over = queue.commands.is_empty();
        queue.is_over
    }

    fn sleep<'a>(&self, mut queue: MutexGuard<'a, Queue>, nap: Option<Duration>) -> MutexGuard<'a, Queue> {
        queue.is_idle = true;
        let mut queue = match nap {
            Some(nap) => match self.arrived.wait_timeout(queue, nap) {
                Ok((queue, _)) => queue,
                Err(poisoned) => poisoned.into_inner().0,
            },
            None => match self.arrived.wait(queue) {
                Ok(queue) => queue,
                Err(poisoned) => poisoned.into_inner(),
            },
        };
        queue.is_idle = false;
        queue
    }

    /// Takes those out of the lines whose work item may be free, and those who have waited long enough: they get a
    /// last try.
    fn whose_turn_it_is(
        &self,
        lines: &mut WaitList<Queued>,
        holders: &mut Holders,
        seen: &mut Option<u64>,
    ) -> Vec<Queued> {
        if lines.is_empty() {
            return Vec::new();
        }
        drop(lines.take_if(|waiter| waiter.reply.is_withdrawn()));
        if let Err(error) = self.catch_up_since(seen) {
            for waiter in lines.take_if(|_| true) {
                waiter.reply.answer(Err(error.clone()));
            }
            return Vec::new();
        }
        let projection = lock(&self.projection);
        let now = self.clock.tick();
        let mut next = lines.take_first_if(|first| self.may_be_free(&first.request, &projection, holders));
        for mut late in lines.take_if(|waiter| waiter.patience.is_none_or(|until| now.has_reached(&until))) {
            late.patience = None;
            next.push(late);
        }
        next
    }

    /// Catches up if the ledger is another than when it was seen last.
    fn catch_up_since(&self, seen: &mut Option<u64>) -> Result<(), RegistrarError> {
        // Asked for first: what is appended after that is caught up with the next time.
        let version = self.ledger.version()?;
        if version.is_none() || version != *seen {
            self.catch_up()?;
            *seen = version;
        }
        Ok(())
    }

    /// Does the commands, or lets them wait for their work item; returns what could not be given back.
    fn work_off(
        &self,
        todo: Vec<Queued>,
        lines: &mut WaitList<Queued>,
        holders: &mut Holders,
    ) -> Vec<(Release, RegistrarError)> {
        let mut owed = Vec::new();
        let numbered = todo.into_iter().enumerate();
        let mut rest: Vec<_> = numbered
            .map(|(turn, queued)| (Queued { turn, ..queued }, 0))
            .collect();
        let mut is_first = true;
        while !rest.is_empty() {
            let mut fate = Fate::default();
            let signed = self.sign_all(rest, is_first, holders, &mut fate);
            if !signed.is_empty() {
                self.commit(signed, holders, &mut fate);
            }
            rest = mem::take(&mut fate.again);
            rest.sort_by_key(|(queued, _)| queued.turn);
            is_first = false;
            for first in mem::take(&mut fate.waiting) {
                lines.rejoin(first);
            }
            owed.extend(self.finish(fate));
        }
        owed
    }

    /// Catches up, drops what nobody wants any more, answers what is refused already, and signs the rest.
    ///
    /// The view need not be caught up outside the section if it was at the ledger's end lately: inside it has to be in any
    /// case. Then nothing is refused here, but looked at once more.
    ///
    /// A refusal counts only as long as nothing before it in the queue is on its way: whoever drops a claim and asks
    /// for it again must not find himself in the way.
    fn sign_all(
        &self,
        todo: Vec<(Queued, u32)>,
        is_first: bool,
        holders: &mut Holders,
        fate: &mut Fate,
    ) -> Vec<Signed> {
        let is_close = is_first && lock(&self.projection).was_at_the_end_lately();
        let is_fresh = !is_close
            || todo
                .iter()
                .any(|(queued, _)| queued.request.is_made_of_the_view());
        if is_fresh && let Err(error) = self.catch_up() {
            fate.fail(todo.into_iter().map(|(queued, _)| queued), &error);
            return Vec::new();
        }
        let projection = lock(&self.projection);
        let signer = match self.trusted_signer(&projection) {
            Ok(signer) => signer,
            Err(error) => {
                fate.fail(todo.into_iter().map(|(queued, _)| queued), &error);
                return Vec::new();
            }
        };
        let mut all_signed = Vec::with_capacity(todo.len());
        for (queued, signings) in todo {
            if queued.reply.is_withdrawn() {
                continue;
            }
            self.look_at_holders(&queued.request, &projection, holders);
            match self.sign(&queued, &projection, holders, &signer) {
                Ok(command) => all_signed.push(Signed {
                    queued,
                    command,
                    signings: signings + 1,
                    signer: signer.public_key(),
                }),
                Err(refusal) if is_fresh && all_signed.is_empty() => {
                    fate.refuse_at(queued, signings + 1, refusal);
                }
                Err(_) => fate.again.push((queued, signings)),
            }
        }
        all_signed
    }

    /// Fixes and signs one command. What the state outside refuses needs no turn in the section: it was caught up after
    /// the command came.
    fn sign(
        &self,
        queued: &Queued,
        projection: &Projection,
        holders: &Holders,
        signer: &Signer,
    ) -> Result<Command, Refusal> {
        let now = projection.now(self.clock.tick(), self.clock.wall(), 0, holders);
        let command = prepare(&queued.request, projection.state(), &now, signer)?;
        decide(projection.state(), &command, &now)?;
        Ok(command)
    }

    /// Whether the one who waits for this has to wait no longer, as far as can be seen from outside.
    fn may_be_free(&self, request: &Request, projection: &Projection, holders: &mut Holders) -> bool {
        let Request::Issue(issue) = request else {
            return true;
        };
        self.look_at_holders(request, projection, holders);
        let now = projection.now(self.clock.tick(), self.clock.wall(), 0, holders);
        obstacle(projection.state(), issue, &now).is_none()
    }

    /// Finds out whether those who are in the way of this are alive. What they wrote before they died is read in the
    /// section, which is entered later.
    fn look_at_holders(&self, request: &Request, projection: &Projection, holders: &mut Holders) {
        let (state, tick) = (projection.state(), self.clock.tick());
        match request {
            Request::Issue(issue) => {
                if let Some(held) = state.get_active_lease_for_work(&issue.work_id) {
                    holders.look(&held.session_id, &*self.ledger, tick);
                }
            }
            Request::ExpireDue => {
                for session_id in state.active_sessions() {
                    holders.look(session_id, &*self.ledger, tick);
                }
            }
            _ => {}
        }
    }

    /// Ends what was found out in this round.
    fn settle(&self, holders: &mut Holders) {
        let projection = lock(&self.projection);
        holders.settle(|session_id| projection.state().is_active_session(session_id));
    }

    /// One stay in the ledger's section. What others have signed since the view was caught up is verified when it is over,
    /// before anybody is told anything: verifying takes longer than everything that the section is for.
    fn commit(&self, all_signed: Vec<Signed>, holders: &Holders, fate: &mut Fate) {
        let section = match self.ledger.enter() {
            Ok(section) => section,
            Err(error) => {
                let queued = all_signed.into_iter().map(|signed| signed.queued);
                return fate.fail(queued, &error.into());
            }
        };
        let mut projection = lock(&self.projection);
        let unsettled = self.stay(section, &mut projection, all_signed, holders, fate);
        let (ended, leases) = projection.settle(self.clock.tick());
        fate.ended.extend(ended);
        let mut leases = leases.into_iter();
        for appended in unsettled {
            appended.answer(&mut leases, &projection, fate);
        }
    }

    /// Decides and appends, and leaves the section. Returns what cannot be answered before the view is settled.
    fn stay(
        &self,
        mut section: Box<dyn Section + '_>,
        projection: &mut Projection,
        all_signed: Vec<Signed>,
        holders: &Holders,
        fate: &mut Fate,
    ) -> Vec<Appended> {
        let now = self.clock.tick();
        let read = projection.read_end(&mut *section, now, &mut fate.ended);
        if let Err(error) = read.map_err(Into::into).and_then(|()| projection.check_rules()) {
            fate.fail(all_signed.into_iter().map(|signed| signed.queued), &error);
            return Vec::new();
        }
        let mut visit = Visit::new(self, &mut *section, projection, holders, fate);
        for signed in all_signed {
            if !visit.trusts(signed.signer) {
                visit.sign_again(signed);
                continue;
            }
            visit.take(signed);
        }
        visit.leave()
    }

    /// Outside the section: answers, the disk in between. Returns what is still to be given back.
    fn finish(&self, fate: Fate) -> Vec<(Release, RegistrarError)> {
        let mut owed = fate.owed;
        for event_type in &fate.appended {
            observe::appended(event_type);
        }
        self.announce(fate.ended);
        let (durable, prompt): (Vec<_>, Vec<_>) = fate
            .done
            .into_iter()
            .partition(|done| done.is_durable && done.answer.is_ok());
        for done in prompt {
            done.reply.answer(done.answer);
        }
        if durable.is_empty() {
            return owed;
        }
        let synced = self.flush();
        for done in durable {
            if let (Err(error), Ok(outcome), true) = (&synced, &done.answer, done.is_issue) {
                // It is in the ledger, but he who asked for it does not get it.
                let lease = outcome.leases.last().map(|lease| Release {
                    lease_id: lease.lease_id.clone(),
                    actor_id: lease.actor_id.clone(),
                    reason: ReleaseReason::Voluntary,
                });
                owed.extend(lease.map(|release| (release, error.clone())));
            }
            done.reply.answer(synced.clone().and(done.answer));
        }
        owed
    }

    /// Waits for the disk, if that is what an acknowledgement means here.
    fn flush(&self) -> Result<(), RegistrarError> {
        match self.durability {
            Durability::Buffered => Ok(()),
            Durability::Synced => self.sync_ledger(),
        }
    }
}

impl Waiter for Queued {
    fn waits_for(&self) -> Option<&str> {
        match &self.request {
            Request::Issue(IssueRequest { work_id, .. }) if self.patience.is_some() => Some(work_id),
            _ => None,
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
pub(super) mod tests;
