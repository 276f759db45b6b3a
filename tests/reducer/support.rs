//! Lease events in the fewest words.

use lease::{
    ClockId, EventRecord, LeaseChange, LeaseError, LeaseReducer, LeaseReducerState, Reducer, ReducerContext,
    Tick,
};

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const RATE: u64 = 1_000;
pub(crate) const BOOT: ClockId = ClockId([7; 16]);
pub(crate) const OTHER_BOOT: ClockId = ClockId([8; 16]);

/// A tick of this boot.
pub(crate) fn tick(value: u64) -> Tick {
    Tick::new(value, RATE, BOOT)
}

/// A record of this change, at wall time 0 and without a tick.
pub(crate) fn record(actor: &str, change: &LeaseChange) -> EventRecord {
    EventRecord::of(change, "session-1", actor)
}

/// What an issue has beyond its ids; the rest is like this, and right.
#[derive(Clone, Debug)]
pub(crate) struct Issue {
    pub(crate) wall: (u64, u64),
    pub(crate) ticks: (u64, u64),
    pub(crate) rate: u64,
    pub(crate) signature: Vec<u8>,
    pub(crate) token: u64,
    pub(crate) closed_until: u64,
}

impl Issue {
    /// 1 s to 2 s, without ticks.
    pub(crate) fn by_wall() -> Self {
        Self {
            wall: (SECOND, 2 * SECOND),
            ticks: (0, 0),
            rate: 0,
            signature: vec![1],
            token: 0,
            closed_until: 0,
        }
    }

    /// The same, and ticks 1,000 to 2,000 of this boot.
    pub(crate) fn by_tick() -> Self {
        Self {
            ticks: (1_000, 2_000),
            rate: RATE,
            ..Self::by_wall()
        }
    }

    pub(crate) fn of(&self, lease: &str, work: &str, actor: &str) -> LeaseChange {
        LeaseChange::Issued {
            lease_id: lease.into(),
            work_id: work.into(),
            actor_id: actor.into(),
            issued_at: self.wall.0,
            expires_at: self.wall.1,
            registrar_signature: self.signature.clone(),
            issued_at_tick: self.ticks.0,
            expires_at_tick: self.ticks.1,
            tick_rate_hz: self.rate,
            fencing_token: self.token,
            closed_until_tick: self.closed_until,
        }
    }
}

/// A renewal; without ticks if `tick` is 0.
pub(crate) fn renewed(lease: &str, wall: u64, tick: u64, signature: &[u8]) -> LeaseChange {
    LeaseChange::Renewed {
        lease_id: lease.into(),
        new_expires_at: wall,
        registrar_signature: signature.to_vec(),
        new_expires_at_tick: tick,
        tick_rate_hz: if tick == 0 { 0 } else { RATE },
    }
}

pub(crate) fn released(lease: &str, reason: &str) -> LeaseChange {
    LeaseChange::Released {
        lease_id: lease.into(),
        release_reason: reason.into(),
    }
}

pub(crate) fn expired(lease: &str, at: u64) -> LeaseChange {
    LeaseChange::Expired {
        lease_id: lease.into(),
        expired_at: at,
    }
}

pub(crate) fn revoked(lease: &str, reason: &str, signature: &[u8]) -> LeaseChange {
    LeaseChange::Revoked {
        lease_id: lease.into(),
        reason: reason.into(),
        registrar_signature: signature.to_vec(),
    }
}

pub(crate) fn conflict(work: &str, leases: &[&str]) -> LeaseChange {
    LeaseChange::Conflict {
        work_id: work.into(),
        conflicting_lease_ids: leases.iter().map(|&lease| lease.into()).collect(),
        resolution: "CANONICAL_ROOT".into(),
    }
}

/// A reducer, and how a test speaks to it.
pub(crate) struct Bench(pub(crate) LeaseReducer);

impl Bench {
    pub(crate) fn new() -> Self {
        Self(LeaseReducer::new())
    }

    pub(crate) fn state(&self) -> &LeaseReducerState {
        self.0.state()
    }

    /// Applies a record that must be taken.
    #[track_caller]
    pub(crate) fn take(&mut self, record: &EventRecord) -> &mut Self {
        self.0.apply(record, &ReducerContext::new(1)).unwrap();
        self
    }

    /// Applies a record that must be refused, and must leave the state as it was.
    #[track_caller]
    pub(crate) fn refuse(&mut self, record: &EventRecord) -> LeaseError {
        let before = self.state().clone();
        let error = self.0.apply(record, &ReducerContext::new(2)).unwrap_err();
        assert_eq!(self.state(), &before, "a refused event changed the state");
        error
    }

    /// A lease `lease-1` on `work-1` held by `actor-1`.
    pub(crate) fn with_lease(issue: &Issue) -> Self {
        let mut bench = Self::new();
        bench.take(&record("registrar", &issue.of("lease-1", "work-1", "actor-1")).at(0, Some(tick(1_000))));
        bench
    }
}
