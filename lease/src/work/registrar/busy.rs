//! Why a work item cannot be had now, and for how long at most.

use std::fmt;
use std::time::Duration;

use crate::work::registrar::Lease;
use crate::work::tick::Tick;

/// Somebody else holds the work item, or it is closed for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    work_id: Box<str>,
    holder: Option<Box<str>>,
    remaining: Duration,
    is_self: bool,
    until: Option<Tick>,
}

impl Busy {
    /// Because of this lease; `asker` is who is told.
    pub(crate) fn held(held: &Lease, asker: &str, remaining: Duration) -> Self {
        Self {
            work_id: held.work_id.as_str().into(),
            holder: Some(held.actor_id.as_str().into()),
            remaining,
            is_self: held.actor_id == asker,
            until: held.expires_at_tick,
        }
    }

    pub(crate) fn closed(work_id: &str, remaining: Duration, until: Tick) -> Self {
        Self {
            work_id: work_id.into(),
            holder: None,
            remaining,
            is_self: false,
            until: Some(until),
        }
    }

    /// The work item.
    pub fn work_id(&self) -> &str {
        &self.work_id
    }

    /// The actor that holds the work item; `None` when it is only closed (see [`until`](Self::until)).
    pub fn holder(&self) -> Option<&str> {
        self.holder.as_deref()
    }

    /// How long this lasts unless the holder renews or releases: zero when the holder's clock cannot be compared with
    /// ours.
    pub const fn remaining(&self) -> Duration {
        self.remaining
    }

    /// Whether the holder is the one who asks.
    pub const fn is_self(&self) -> bool {
        self.is_self
    }

    /// The tick at which the lease ends or the work item opens, where it is known.
    pub const fn until(&self) -> Option<Tick> {
        self.until
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "work `{}` is ", self.work_id)?;
        match &self.holder {
            Some(holder) => write!(f, "held by `{holder}`")?,
            None => f.write_str("closed")?,
        }
        if self.remaining.is_zero() {
            f.write_str(" by a clock that cannot be compared with this one")
        } else {
            write!(f, " for another {:?}", self.remaining)
        }
    }
}
