//! Work items that stay closed until a tick, whatever became of the lease that closed them.
//!
//! An entry goes when the item is leased anew or opened by a person, and also when nobody can need it any more: its
//! tick has come, or its boot is over. So there are never more of them than items that are closed now, and those whose
//! clock nobody can tell the boot of.

use std::collections::{BTreeSet, HashMap};

use crate::sync::Arc;
use crate::work::tick::{ClockId, Tick};

#[derive(Clone, Debug, Default)]
pub(super) struct Closed {
    by_work: HashMap<Arc<str>, Tick>,
    by_tick: BTreeSet<(ClockId, u64, u64, Arc<str>)>,
}

impl Closed {
    pub(super) fn get(&self, work_id: &str) -> Option<Tick> {
        self.by_work.get(work_id).copied()
    }

    /// In alphabetical order.
    pub(super) fn all(&self) -> Vec<(&str, &Tick)> {
        let mut all: Vec<_> = self
            .by_work
            .iter()
            .map(|(work_id, tick)| (&**work_id, tick))
            .collect();
        all.sort_unstable_by_key(|(work_id, _)| *work_id);
        all
    }

    pub(super) fn close(&mut self, work_id: &str, until: Tick) {
        self.open(work_id);
        let work_id: Arc<str> = work_id.into();
        self.by_tick
            .insert((until.clock, until.rate, until.value, Arc::clone(&work_id)));
        self.by_work.insert(work_id, until);
    }

    pub(super) fn open(&mut self, work_id: &str) {
        // Nothing to hash for, mostly.
        if self.by_work.is_empty() {
            return;
        }
        if let Some((work_id, until)) = self.by_work.remove_entry(work_id) {
            self.by_tick
                .remove(&(until.clock, until.rate, until.value, work_id));
        }
    }

    /// Forgets what nobody can need at `now`. Cost: the entries that go, and a look at one of each other clock and rate.
    pub(super) fn forget_past(&mut self, now: &Tick) {
        let mut from = None;
        while let Some((clock, rate, value, work_id)) = self.first_after(from) {
            let until = Tick::new(value, rate, clock);
            if now.has_reached(&until) || clock.is_other_boot(&now.clock) {
                self.open(&work_id);
            } else {
                // The others of this clock and rate are later still.
                from = Some((clock, rate));
            }
        }
    }

    /// The first entry whose clock and rate come after these.
    fn first_after(&self, timebase: Option<(ClockId, u64)>) -> Option<(ClockId, u64, u64, Arc<str>)> {
        let first = match timebase {
            None => self.by_tick.first(),
            Some((clock, rate)) => {
                // No tick of this timebase sorts behind the empty name of the next one.
                let (clock, rate) = match rate.checked_add(1) {
                    Some(next) => (clock, next),
                    None => (next_clock(clock)?, 0),
                };
                self.by_tick.range((clock, rate, 0, Arc::from(""))..).next()
            }
        };
        first.cloned()
    }
}

/// The clock id that sorts behind this one.
fn next_clock(clock: ClockId) -> Option<ClockId> {
    let next = u128::from_be_bytes(clock.0).checked_add(1)?;
    Some(ClockId(next.to_be_bytes()))
}

impl PartialEq for Closed {
    fn eq(&self, other: &Self) -> bool {
        self.by_work == other.by_work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u64 = 1_000;

    fn clock(boot: &[u8], namespace: &[u8]) -> ClockId {
        ClockId::of(boot, namespace)
    }

    #[test]
    fn what_nobody_can_need_is_forgotten_and_nothing_else() {
        let (here, namespace) = (clock(b"now", b"a"), clock(b"now", b"b"));
        let mut closed = Closed::default();
        closed.close("past", Tick::new(5, RATE, here));
        closed.close("future", Tick::new(6, RATE, here));
        closed.close("other rate", Tick::new(1, RATE + 1, here));
        closed.close("other namespace", Tick::new(1, RATE, namespace));
        closed.close("other boot", Tick::new(9, RATE, clock(b"then", b"a")));
        closed.close("unknown boot", Tick::new(1, RATE, ClockId([0; 16])));
        closed.forget_past(&Tick::new(5, RATE, here));
        let left: Vec<_> = closed.all().into_iter().map(|(work_id, _)| work_id).collect();
        assert_eq!(left, ["future", "other namespace", "other rate", "unknown boot"]);
        assert_eq!(closed.by_tick.len(), 4);
    }

    #[test]
    fn closing_again_replaces() {
        let mut closed = Closed::default();
        let here = clock(b"now", b"a");
        closed.close("work", Tick::new(5, RATE, here));
        closed.close("work", Tick::new(9, RATE, here));
        closed.forget_past(&Tick::new(5, RATE, here));
        assert_eq!(closed.get("work"), Some(Tick::new(9, RATE, here)));
        closed.open("work");
        assert!(closed.by_tick.is_empty());
    }

    #[test]
    fn the_largest_rate_hides_no_later_clock_and_the_largest_clock_ends_the_walk() {
        let namespace = |byte| ClockId(std::array::from_fn(|at| if at < 8 { 255 } else { byte }));
        let here = namespace(255);
        let mut closed = Closed::default();
        closed.close("other namespace", Tick::new(5, u64::MAX, namespace(0)));
        closed.close("past", Tick::new(5, RATE, here));
        closed.close("other rate", Tick::new(5, u64::MAX, here));
        closed.forget_past(&Tick::new(5, RATE, here));
        let left: Vec<_> = closed.all().into_iter().map(|(work_id, _)| work_id).collect();
        assert_eq!(left, ["other namespace", "other rate"]);
    }
}
