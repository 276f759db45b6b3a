//! What a claim, its renewals and its watchers share: until when the claim can be trusted.
//!
//! Invariants: in a process that was forked from the holder's it is never held, and nothing there takes the lock, which
//! may have been taken at the fork by a thread that is not there; whether the claim is held is computed from the clock
//! each time, never remembered; the end is only moved under the lock, and only while the old end still holds by the clock
//! read under the same lock, so a claim that was once seen lost stays lost.

use std::collections::HashMap;
use std::task::Waker;
use std::time::Duration;

use crate::sync::{Mutex, lock};
use crate::work::registrar::{FencingToken, Lease, Registrar, wake};
use crate::work::tick::Tick;

/// The smallest distance between a claim's give-up point and its end.
const SMALLEST_MARGIN: Duration = Duration::from_millis(50);

pub(crate) struct Hold {
    pub(crate) registrar: Registrar,
    /// The lease as it was issued, for whoever may not take the lock.
    pub(crate) issued: Lease,
    pub(crate) token: FencingToken,
    pub(crate) ttl: Duration,
    /// The claim is not renewed beyond this tick.
    pub(crate) at_most: Option<Tick>,
    term: Mutex<Term>,
}

struct Term {
    lease: Lease,
    /// From here on the claim is not to be trusted. `None` once it has ended in the ledger.
    give_up: Option<Tick>,
    /// When to ask for the next term; `None` while an answer is under way and when there is no further term.
    renew: Option<Tick>,
    watchers: Watchers,
}

#[derive(Default)]
struct Watchers {
    next_id: u64,
    wakers: HashMap<u64, Waker>,
    callbacks: Vec<Callback>,
}

pub(crate) type Callback = Box<dyn FnOnce() + Send>;

/// What is to be done about a hold, and when to look again.
pub(crate) enum Due {
    /// Ask for another term, then look again at the give-up point.
    Renew { give_up: Tick },
    /// Nothing before this tick.
    Later(Tick),
    /// It is lost.
    Lost,
}

impl Hold {
    pub(crate) fn new(
        registrar: Registrar,
        lease: Lease,
        token: FencingToken,
        ttl: Duration,
        at_most: Option<Duration>,
    ) -> Self {
        let at_most = at_most.and_then(|most| Some(lease.issued_at_tick?.saturating_add(most)));
        // Shares of the time are taken of what the clock can count.
        let ends = lease.issued_at_tick.zip(lease.expires_at_tick);
        let counted = ends.and_then(|(start, end)| start.until(&end));
        let ttl = counted.map_or(ttl, |counted| counted.min(ttl));
        let issued = lease.clone();
        let mut term = Term {
            give_up: None,
            renew: None,
            watchers: Watchers::default(),
            lease,
        };
        term.begin(ttl, at_most);
        Self {
            issued,
            registrar,
            token,
            ttl,
            at_most,
            term: Mutex::new(term),
        }
    }

    pub(crate) fn lease(&self) -> Lease {
        if self.is_forked() {
            return self.issued.clone();
        }
        lock(&self.term).lease.clone()
    }

    /// How long the claim can still be trusted; `None` when it cannot.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        if self.is_forked() {
            return None;
        }
        lock(&self.term).remaining(&self.registrar)
    }

    /// Whether this is another process than the one that obtained the claim.
    pub(crate) fn is_forked(&self) -> bool {
        self.registrar.core().check_process().is_err()
    }

    /// What to do now.
    pub(crate) fn due(&self) -> Due {
        let mut term = lock(&self.term);
        let now = self.registrar.clock().tick();
        let Some(give_up) = term.give_up.filter(|give_up| !now.has_reached(give_up)) else {
            return Due::Lost;
        };
        match term.renew {
            Some(renew) if now.has_reached(&renew) => {
                term.renew = None;
                Due::Renew { give_up }
            }
            Some(renew) if give_up.has_reached(&renew) => Due::Later(renew),
            _ => Due::Later(give_up),
        }
    }

    /// The registrar has extended the lease; `false` if that came too late to be trusted.
    pub(crate) fn extend(&self, lease: Lease) -> bool {
        let mut term = lock(&self.term);
        if term.remaining(&self.registrar).is_none() {
            return false;
        }
        term.lease = lease;
        term.begin(self.ttl, self.at_most);
        true
    }

    /// The lease in the ledger lasts longer than the term that was asked for: somebody else has extended it. There is
    /// nothing to ask for before `pause` has passed.
    pub(crate) fn correct(&self, lease: Lease, pause: Duration) {
        if self.extend(lease) {
            let earliest = self.registrar.clock().tick().saturating_add(pause);
            let mut term = lock(&self.term);
            term.renew = term.renew.map(|renew| {
                if earliest.has_reached(&renew) {
                    earliest
                } else {
                    renew
                }
            });
        }
    }

    /// The renewal failed for a reason that may pass: ask again after `pause`.
    pub(crate) fn retry_after(&self, pause: Duration) {
        let now = self.registrar.clock().tick();
        lock(&self.term).renew = Some(now.saturating_add(pause));
    }

    /// The lease has ended in the ledger, whoever ended it.
    pub(crate) fn end(&self) {
        let mut term = lock(&self.term);
        term.give_up = None;
        term.renew = None;
    }

    /// Wakes `waker` when the claim is lost or given back; the id is for [`forget`](Self::forget).
    pub(crate) fn wake_at_end(&self, id: Option<u64>, waker: &Waker) -> u64 {
        // Cloned out here: a waker is foreign code.
        let waker = waker.clone();
        let mut term = lock(&self.term);
        let watchers = &mut term.watchers;
        let id = id.unwrap_or_else(|| {
            watchers.next_id += 1;
            watchers.next_id
        });
        let old = watchers.wakers.insert(id, waker);
        drop(term);
        drop(old);
        id
    }

    pub(crate) fn forget(&self, id: u64) {
        if self.is_forked() {
            return;
        }
        let old = lock(&self.term).watchers.wakers.remove(&id);
        drop(old);
    }

    /// Runs `callback` when the claim is lost; gives it back when that has happened already.
    pub(crate) fn call_at_loss(&self, callback: Callback) -> Result<(), Callback> {
        if self.is_forked() {
            return Err(callback);
        }
        let mut term = lock(&self.term);
        if term.remaining(&self.registrar).is_none() {
            return Err(callback);
        }
        term.watchers.callbacks.push(callback);
        Ok(())
    }

    /// Wakes all who wait for the end.
    pub(crate) fn wake_all(&self) {
        let wakers: Vec<_> = lock(&self.term).watchers.wakers.drain().collect();
        for (_, waker) in wakers {
            wake(waker);
        }
    }

    /// Takes the callbacks, to be run once.
    pub(crate) fn take_callbacks(&self) -> Vec<Callback> {
        std::mem::take(&mut lock(&self.term).watchers.callbacks)
    }
}

impl Term {
    /// A term begins: the lease says until when.
    fn begin(&mut self, ttl: Duration, at_most: Option<Tick>) {
        let Some(end) = self.lease.expires_at_tick else {
            return;
        };
        let margin = (ttl / 20).max(SMALLEST_MARGIN);
        let latest = saturating_sub(end, margin);
        self.give_up = Some(at_most.filter(|most| latest.has_reached(most)).unwrap_or(latest));
        let is_last = at_most.is_some_and(|most| end.has_reached(&most));
        // A third of the time has passed when two thirds are left.
        self.renew = (!is_last).then(|| saturating_sub(end, ttl / 3 * 2));
    }

    fn remaining(&self, registrar: &Registrar) -> Option<Duration> {
        let now = registrar.clock().tick();
        let give_up = self.give_up.filter(|give_up| !now.has_reached(give_up))?;
        now.until(&give_up)
    }
}

/// The tick that is `duration` earlier.
fn saturating_sub(tick: Tick, duration: Duration) -> Tick {
    let zero = Tick { value: 0, ..tick };
    let counts = zero.saturating_add(duration).value;
    Tick {
        value: tick.value.saturating_sub(counts),
        ..tick
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::work::clock::{Clock as _, ManualClock};

    const TTL: Duration = Duration::from_secs(30);

    fn hold(at_most: Option<Duration>) -> (Hold, ManualClock) {
        let clock = ManualClock::new();
        let registrar = Registrar::builder().clock(clock.clone()).in_memory().unwrap();
        let lease = registrar.issue("work", TTL).wait().unwrap();
        let token = FencingToken::new(lease.fencing_token, [0; 32]);
        (Hold::new(registrar, lease, token, TTL, at_most), clock)
    }

    #[test]
    fn nobody_asks_for_a_term_beyond_the_last() {
        let (hold, clock) = hold(Some(TTL));
        clock.advance(TTL / 2);
        assert!(matches!(hold.due(), Due::Later(tick) if clock.tick().until(&tick) == hold.remaining()));
        let (hold, clock) = self::hold(None);
        clock.advance(TTL / 2);
        assert!(matches!(hold.due(), Due::Renew { .. }));
        // Not twice before there is an answer.
        assert!(matches!(hold.due(), Due::Later(_)));
    }

    #[test]
    fn whoever_cannot_extend_a_lease_asks_no_sooner_than_after_a_pause() {
        let (hold, clock) = hold(None);
        clock.advance(TTL / 2);
        let pause = Duration::from_secs(1);
        hold.correct(hold.lease(), pause);
        assert!(matches!(hold.due(), Due::Later(tick) if clock.tick().until(&tick) == Some(pause)));
        hold.retry_after(pause * 2);
        assert!(matches!(hold.due(), Due::Later(tick) if clock.tick().until(&tick) == Some(pause * 2)));
    }
}
