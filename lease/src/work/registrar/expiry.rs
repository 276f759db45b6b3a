//! Whose time is up: the registrar's judgement, which is not the holder's.
//!
//! A holder fails closed: what it cannot compare it does not trust. The registrar must not take a lease away on that
//! ground, or a holder would be robbed by a stranger's clock. It expires only what its own clock has counted to the
//! end. Before that it revokes a lease whose holder is known to be dead. A lease of another clock, whose end it cannot
//! see, it also revokes when the machine has been started since, or when nobody can tell whether the holder is alive and
//! a whole time-to-live has passed on its own clock without a sign of life.

use std::collections::HashMap;

use crate::work::registrar::key_ring::KeyRing;
use crate::work::registrar::session::{Holder, Holders};
use crate::work::registrar::token::LedgerId;
use crate::work::registrar::{Lease, LeaseChange, LeaseReducerState};
use crate::work::tick::Tick;

/// The moment of a decision: everything about "now" that a rule may look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now<'a> {
    pub(crate) tick: Tick,
    /// Unix nanoseconds, for audit and for leases without ticks.
    pub(crate) wall: u64,
    /// The fencing token that the next lease gets.
    pub(crate) token: u64,
    pub(crate) strangers: &'a Strangers,
    pub(crate) keys: &'a KeyRing,
    pub(crate) ledger: LedgerId,
    pub(crate) holders: &'a Holders,
}

/// What the registrar may do with an active lease that is in somebody's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: it is somebody's.
    Held,
    /// Expire it.
    Over,
    /// Revoke it for this reason.
    Revocable(&'static str),
}

/// Judges an active lease.
pub(crate) fn judge(lease: &Lease, now: &Now<'_>) -> Verdict {
    let end = lease.expires_at_tick;
    let is_over = match end {
        Some(end) => now.tick.has_reached(&end),
        None => now.wall >= lease.expires_at,
    };
    if is_over {
        return Verdict::Over;
    }
    if end.is_some_and(|end| end.clock.is_other_boot(&now.tick.clock)) {
        return Verdict::Revocable(LeaseChange::HOST_REBOOTED);
    }
    match now.holders.of(&lease.session_id) {
        Holder::Dead => Verdict::Revocable(LeaseChange::HOLDER_DIED),
        Holder::Unknown if now.strangers.is_overdue(&lease.lease_id, &now.tick) => {
            Verdict::Revocable(LeaseChange::CLOCK_LOST)
        }
        Holder::Unknown | Holder::Alive => Verdict::Held,
    }
}

/// The active leases that are worth judging, each once: those whose end has come or cannot be seen, and those of the
/// dead.
pub(crate) fn due<'a>(state: &'a LeaseReducerState, now: &Now<'a>) -> impl Iterator<Item = &'a Lease> {
    let tick = now.tick;
    let of_the_dead = now
        .holders
        .dead()
        .flat_map(|session_id| state.active_leases_by_session(session_id))
        .filter(move |lease| !lease.is_expired_at_tick(&tick));
    let ended = state.get_expired_but_active_at_tick(&tick);
    ended.into_iter().chain(of_the_dead)
}

/// Active leases whose clock cannot be compared with ours, and until when we wait for their next sign of life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strangers {
    patience: HashMap<String, Tick>,
}

impl Strangers {
    /// The active leases of a state that somebody meets at `now` on a clock of his own.
    pub(crate) fn of(state: &LeaseReducerState, now: Tick) -> Self {
        let mut strangers = Self::default();
        for (lease, sign_of_life) in state.active_signs_of_life() {
            let written = lease.expires_at_tick.zip(sign_of_life);
            let written = written.map(|(end, value)| Tick { value, ..end });
            strangers.saw(lease, written, now);
        }
        strangers
    }

    /// A lease was issued or renewed by a record of `written`, which we see at `now` on our own clock.
    pub(crate) fn saw(&mut self, lease: &Lease, written: Option<Tick>, now: Tick) {
        let (Some(end), Some(written)) = (lease.expires_at_tick, written) else {
            return;
        };
        if now.is_comparable(&end) {
            return;
        }
        if let Some(term) = written.until(&end) {
            let patience = now.saturating_add(term);
            self.patience.insert(lease.lease_id.clone(), patience);
        }
    }

    /// The lease has ended.
    pub(crate) fn forget(&mut self, lease_id: &str) {
        self.patience.remove(lease_id);
    }

    fn is_overdue(&self, lease_id: &str, now: &Tick) -> bool {
        self.patience
            .get(lease_id)
            .is_some_and(|patience| now.has_reached(patience))
    }
}
