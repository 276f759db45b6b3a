//! What a checkpoint is made of, and a state from one: a lease that no events lead to is refused.

use std::collections::{BTreeMap, BinaryHeap};

use crate::work::reducer::CheckpointError;
use crate::work::registrar::calendar::{Calendar, End};
use crate::work::registrar::closed::Closed;
use crate::work::registrar::conflicts::Conflicts;
use crate::work::registrar::index::{Hasher, Table};
use crate::work::registrar::slab::{Chain, Chained, Slab, Slot};
use crate::work::registrar::token::TOKEN_END;
use crate::work::registrar::{Lease, LeaseConflict, LeaseReducerState, LeaseState, limits};
use crate::work::tick::Tick;

impl LeaseReducerState {
    /// All leases in order of issue, each with its sign of life.
    pub(in super::super) fn signs_of_life(&self) -> impl ExactSizeIterator<Item = (&Lease, Option<u64>)> {
        self.slots()
            .into_iter()
            .map(|slot| (&slot.lease, slot.sign_of_life))
    }

    /// The active leases in order of issue, each with its sign of life.
    pub(in super::super) fn active_signs_of_life(&self) -> impl Iterator<Item = (&Lease, Option<u64>)> {
        let keys = self.slab.keys(self.active, Chained::Active);
        keys.map(|key| (&self.slab[key].lease, self.slab[key].sign_of_life))
    }

    /// The work items that stay closed, in alphabetical order.
    pub(in super::super) fn closed(&self) -> Vec<(&str, &Tick)> {
        self.closed.all()
    }

    /// No leases yet, and room for so many.
    pub(in super::super) fn with_capacity(leases: usize) -> Self {
        Self {
            slab: Slab::default(),
            hasher: Hasher::default(),
            by_id: Table::with_capacity(leases),
            active_by_work: Table::with_capacity(leases),
            by_actor: Table::default(),
            by_session: BTreeMap::new(),
            active: Chain::EMPTY,
            due: BTreeMap::new(),
            entered_last: None,
            wall: Calendar::new(End::Wall),
            ended: BinaryHeap::new(),
            released: 0,
            expired: 0,
            revoked: 0,
            closed: Closed::default(),
            conflicts: Conflicts::default(),
            last_token: 0,
        }
    }

    /// Adds a lease as it was.
    ///
    /// # Errors
    ///
    /// When no events lead to it.
    pub(in super::super) fn restore(
        &mut self,
        lease: Lease,
        sign_of_life: Option<u64>,
    ) -> Result<(), CheckpointError> {
        let is_active = lease.state == LeaseState::Active;
        let objection = if lease.fencing_token <= self.last_token {
            "a token does not rise"
        } else if lease.fencing_token >= TOKEN_END {
            "a token is beyond the last one that can be"
        } else if limits::check_lease(&lease).is_err() {
            "a part of a lease is of no length that it can have"
        } else if self.get(&lease.lease_id).is_some() {
            "two leases have one id"
        } else if is_active && self.has_active_lease(&lease.work_id) {
            "two active leases are on one work item"
        } else if is_active == lease.terminated_at.is_some()
            || lease.terminated_at.is_some_and(|ended| ended > lease.expires_at)
            || lease.expires_at <= lease.issued_at
            || ticks_do_not_fit(&lease)
            || !is_active && sign_of_life.is_some()
        {
            "a lease's times do not fit"
        } else {
            self.last_token = lease.fencing_token;
            self.index(Slot::new(lease, sign_of_life));
            return Ok(());
        };
        Err(CheckpointError::body(objection))
    }

    pub(in super::super) fn restore_last_token(&mut self, token: u64) -> Result<(), CheckpointError> {
        if token < self.last_token {
            return Err(CheckpointError::body("a token is above the last one"));
        }
        if token >= TOKEN_END {
            return Err(CheckpointError::body(
                "a token is beyond the last one that can be",
            ));
        }
        self.last_token = token;
        Ok(())
    }

    pub(in super::super) fn restore_closed(
        &mut self,
        work_id: &str,
        until: Tick,
    ) -> Result<(), CheckpointError> {
        limits::check_id("work_id", work_id).map_err(|error| CheckpointError::body(error.to_string()))?;
        self.closed.close(work_id, until);
        Ok(())
    }

    pub(in super::super) fn restore_conflict(
        &mut self,
        conflict: LeaseConflict,
    ) -> Result<(), CheckpointError> {
        let ids = conflict.conflicting_lease_ids.iter().map(String::as_str);
        limits::check_conflict(&conflict.work_id, ids, &conflict.resolution)
            .map_err(|error| CheckpointError::body(error.to_string()))?;
        self.record_conflict(conflict);
        Ok(())
    }
}

/// Whether a lease's ticks are not those of one that was issued.
fn ticks_do_not_fit(lease: &Lease) -> bool {
    match (&lease.issued_at_tick, &lease.expires_at_tick) {
        (Some(start), Some(end)) => start.rate == 0 || end.value <= start.value,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::tick::ClockId;

    const START: Tick = Tick::new(1, 10, ClockId([7; 16]));

    fn lease() -> Lease {
        Lease {
            lease_id: "lease".to_owned(),
            work_id: "work".to_owned(),
            actor_id: "actor".to_owned(),
            state: LeaseState::Active,
            issued_at: 1,
            expires_at: 2,
            issued_at_tick: Some(START),
            expires_at_tick: Some(Tick::new(2, 10, START.clock)),
            registrar_signature: vec![1],
            renewal_count: 0,
            last_renewed_at: None,
            release_reason: None,
            revocation_reason: None,
            terminated_at: None,
            fencing_token: 1,
            session_id: "s".into(),
        }
    }

    fn restored(lease: Lease) -> Result<(), CheckpointError> {
        LeaseReducerState::default().restore(lease, None)
    }

    #[test]
    fn no_lease_is_restored_with_a_token_beyond_their_end() {
        for fencing_token in [1 << 63, u64::MAX - 1, u64::MAX] {
            let spoiled = Lease {
                fencing_token,
                ..lease()
            };
            assert!(restored(spoiled).is_err(), "{fencing_token}");
        }
    }

    #[test]
    fn no_lease_is_restored_that_no_events_may_say() {
        restored(lease()).unwrap();
        let long = || "x".repeat(129);
        let spoilings: [fn(&mut Lease, String); 9] = [
            |lease, long| lease.lease_id = long,
            |lease, long| lease.work_id = long,
            |lease, long| lease.actor_id = long,
            |lease, _| lease.lease_id.clear(),
            |lease, _| lease.registrar_signature.clear(),
            |lease, _| lease.registrar_signature = vec![1; 513],
            |lease, _| lease.expires_at_tick = lease.issued_at_tick,
            |lease, _| lease.issued_at_tick = Some(Tick::new(1, 0, ClockId([7; 16]))),
            |lease, long| {
                lease.state = LeaseState::Revoked;
                lease.terminated_at = Some(2);
                lease.revocation_reason = Some(long);
            },
        ];
        for (number, spoil) in spoilings.into_iter().enumerate() {
            let mut spoiled = lease();
            spoil(&mut spoiled, long());
            assert!(restored(spoiled).is_err(), "{number}");
        }
    }

    #[test]
    fn no_conflict_or_closed_item_is_restored_that_no_event_may_say() {
        let conflict = |work_id: &str, ids: usize, resolution: &str| {
            LeaseReducerState::default().restore_conflict(LeaseConflict {
                work_id: work_id.to_owned(),
                conflicting_lease_ids: vec!["lease".to_owned(); ids],
                resolution: resolution.to_owned(),
                sequence: 1,
            })
        };
        let long = "x".repeat(129);
        conflict("work", 64, "").unwrap();
        assert!(conflict("", 1, "").is_err());
        assert!(conflict(&long, 1, "").is_err());
        assert!(conflict("work", 65, "").is_err());
        assert!(conflict("work", 1, &long).is_err());
        let close = |work_id| LeaseReducerState::default().restore_closed(work_id, START);
        close("work").unwrap();
        assert!(close("").is_err() && close(&long).is_err());
    }
}
