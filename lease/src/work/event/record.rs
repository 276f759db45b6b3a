//! One entry of a ledger.

use super::LeaseEvent;
use crate::work::tick::Tick;

/// An event with its envelope: what happened, who says so, when, and once appended where it stands in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventRecord {
    /// `namespace.kind`, for example `lease.issued`.
    pub event_type: String,
    /// The session it belongs to.
    pub session_id: String,
    /// Who sends it.
    pub actor_id: String,
    /// The event's encoded payload.
    pub payload: Vec<u8>,
    /// Wall time in Unix nanoseconds; 0 when unknown. For audit, and for how long ended leases are
    /// [kept](crate::RegistrarBuilder::retain_terminal).
    pub wall: u64,
    /// When, on a monotonic clock, if known.
    pub tick: Option<Tick>,
    /// Position in its ledger, from 1; 0 before it is appended.
    pub sequence: u64,
    /// The hash of the record before it; zeros before it is appended, and for the first.
    pub previous_hash: [u8; 32],
    /// The hash of this record; zeros before it is appended.
    pub hash: [u8; 32],
}

impl EventRecord {
    /// An event that is not yet in a ledger, without wall time and tick.
    pub fn new(
        event_type: impl Into<String>,
        session_id: impl Into<String>,
        actor_id: impl Into<String>,
        payload: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            event_type: event_type.into(),
            session_id: session_id.into(),
            actor_id: actor_id.into(),
            payload: payload.into(),
            wall: 0,
            tick: None,
            sequence: 0,
            previous_hash: [0; 32],
            hash: [0; 32],
        }
    }

    /// A record of `event` that is not yet in a ledger, without wall time and tick.
    pub fn of(event: &impl LeaseEvent, session_id: impl Into<String>, actor_id: impl Into<String>) -> Self {
        Self::new(event.event_type(), session_id, actor_id, event.encode())
    }

    /// The same event at this wall time (Unix nanoseconds) and tick.
    #[must_use]
    pub fn at(mut self, wall: u64, tick: Option<Tick>) -> Self {
        self.wall = wall;
        self.tick = tick;
        self
    }
}
