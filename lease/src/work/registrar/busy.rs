//! Why a work item cannot be had now, and for how long at most.

use std::fmt;
use std::time::Duration;

use crate::work::tick::Tick;

/// Somebody else holds the work item, or it is closed for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    holder: Option<String>,
    remaining: Duration,
    is_self: bool,
    until: Option<Tick>,
}

impl Busy {
    pub(crate) fn held(holder: &str, remaining: Duration, is_self: bool, until: Option<Tick>) -> Self {
        Self {
            holder: Some(holder.to_owned()),
            remaining,
            is_self,
            until,
        }
    }

    pub(crate) fn closed(remaining: Duration, until: Tick) -> Self {
        Self {
            holder: None,
            remaining,
            is_self: false,
            until: Some(until),
        }
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
        match &self.holder {
            Some(holder) => write!(f, "held by `{holder}` for another {:?}", self.remaining),
            None => write!(f, "closed for another {:?}", self.remaining),
        }
    }
}
