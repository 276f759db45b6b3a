//! Sessions: which process a record comes from, and whether that process still lives.
//!
//! A record's session is the incarnation of the process in the ledger, and behind a `+` how long its leases outlive it:
//! `9f86d081884c7d65-1a2b3c+5000ms`. So the chain itself says whose death ends a lease.

use std::collections::HashMap;
use std::time::Duration;

use crate::work::ledger::{Ledger, Liveness, Remains};
use crate::work::tick::Tick;

/// The session of a process that is called `incarnation`, rounded up to milliseconds of delay.
pub(crate) fn name(incarnation: &str, lock_delay: Duration) -> String {
    match lock_delay.as_nanos().div_ceil(1_000_000) {
        0 => incarnation.to_owned(),
        millis => format!("{incarnation}+{millis}ms"),
    }
}

/// The incarnation, and how long after its death its leases are left alone.
pub(crate) fn parse(session_id: &str) -> (&str, Duration) {
    let delay = session_id
        .rsplit_once('+')
        .and_then(|(incarnation, delay)| Some((incarnation, delay.strip_suffix("ms")?.parse().ok()?)));
    delay.map_or((session_id, Duration::ZERO), |(incarnation, millis)| {
        (incarnation, Duration::from_millis(millis))
    })
}

/// What is known of a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Alive,
    /// Dead, and for long enough.
    Dead,
    Unknown,
}

/// What has been found out about holders, for as long as it is sure to be true.
///
/// The remains of the dead are held, so that whatever is decided on this ground is decided by nobody else meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    known: HashMap<String, (Holder, Option<Box<dyn Remains>>)>,
    /// Since when holders are known to be dead whose leases outlive them.
    since: HashMap<String, Tick>,
}

impl Holders {
    /// Looks whether the process of this session lives, unless that is known.
    pub(crate) fn look(&mut self, session_id: &str, ledger: &dyn Ledger, now: Tick) {
        if self.known.contains_key(session_id) {
            return;
        }
        let (incarnation, delay) = parse(session_id);
        let found = match ledger.liveness(incarnation) {
            Liveness::Alive => (Holder::Alive, None),
            Liveness::Dead(remains) if self.has_passed(session_id, delay, now) => {
                (Holder::Dead, Some(remains))
            }
            // As for the dead: what has outlived it may be at work.
            Liveness::Unknown | Liveness::Dead(_) => (Holder::Unknown, None),
        };
        self.known.insert(session_id.to_owned(), found);
    }

    fn has_passed(&mut self, session_id: &str, delay: Duration, now: Tick) -> bool {
        if delay.is_zero() {
            return true;
        }
        let since = self.since.entry(session_id.to_owned()).or_insert(now);
        now.has_reached(&since.saturating_add(delay))
    }

    pub(crate) fn of(&self, session_id: &str) -> Holder {
        self.known
            .get(session_id)
            .map_or(Holder::Unknown, |(holder, _)| *holder)
    }

    /// The sessions whose process is dead.
    pub(crate) fn dead(&self) -> impl Iterator<Item = &str> {
        let dead = self
            .known
            .iter()
            .filter(|(_, (holder, _))| *holder == Holder::Dead);
        dead.map(|(session_id, _)| session_id.as_str())
    }

    /// Forgets what will not be true for ever. The dead for whom nothing `is_left` are buried; the others are found
    /// again.
    pub(crate) fn settle(&mut self, is_left: impl Fn(&str) -> bool) {
        for (session_id, (_, remains)) in self.known.drain() {
            if let Some(remains) = remains
                && !is_left(&session_id)
            {
                // What cannot be removed is tried again when the ledger is opened next.
                let _ = remains.bury();
            }
        }
        self.since.retain(|session_id, _| is_left(session_id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_says_whose_it_is_and_how_long_its_leases_outlive_it() {
        for (delay, millis) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(5), 5_000),
        ] {
            let session = name("9f86-1a", delay);
            assert_eq!(parse(&session), ("9f86-1a", Duration::from_millis(millis)));
        }
        for foreign in ["", "s", "host/1/2", "a+b", "a+5", "a+ms", "a+-5ms"] {
            assert_eq!(parse(foreign), (foreign, Duration::ZERO));
        }
    }
}
