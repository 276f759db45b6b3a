//! Whose time is up: the registrar's judgement, which is not the holder's.
//!
//! A holder fails closed: what it cannot compare it does not trust. The registrar must not take a lease away on that
//! ground, or a holder would be robbed by a stranger's clock. It expires only what its own clock has counted to the
//! end; a lease of another clock it revokes, and only when the machine has been started since, or when a whole
//! time-to-live has passed on its own clock without a sign of life.

use std::collections::HashMap;

use crate::work::registrar::key_ring::KeyRing;
use crate::work::registrar::token::LedgerId;
use crate::work::registrar::{Lease, LeaseChange};
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
    let Some(end) = lease.expires_at_tick else {
        let is_over = now.wall >= lease.expires_at;
        return if is_over { Verdict::Over } else { Verdict::Held };
    };
    if now.tick.is_comparable(&end) {
        let is_over = now.tick.has_reached(&end);
        return if is_over { Verdict::Over } else { Verdict::Held };
    }
    if end.clock.is_other_boot(&now.tick.clock) {
        return Verdict::Revocable(LeaseChange::HOST_REBOOTED);
    }
    if now.strangers.is_overdue(&lease.lease_id, &now.tick) {
        return Verdict::Revocable(LeaseChange::CLOCK_LOST);
    }
    Verdict::Held
}

/// Active leases whose clock cannot be compared with ours, and until when we wait for their next sign of life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strangers {
    patience: HashMap<String, Tick>,
}

impl Strangers {
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
