//! The lease reducer's checkpoints: the state in a compact form, and back.
//!
//! ```text
//! registrars ‖ last token ‖ timebases ‖ sessions ‖ leases in order of issue ‖ closed work items ‖ conflicts
//! ```
//!
//! Lists follow their length. A timebase is a clock and its rate; ticks name theirs, and leases their session, by its
//! place in the list. What is
//! read is held against everything that the reducer promises of its state, so that no body, whoever wrote it, makes a
//! state that the reducer could not have come to.

use std::collections::HashMap;
use std::hash::Hash;

use super::{Lease, LeaseConflict, LeaseReducer, LeaseReducerState, LeaseState, ReleaseReason};
use crate::sync::Arc;
use crate::work::{
    reducer::{
        Checkpoint, CheckpointError, Reducer as _,
        codec::{Body, put_bytes, put_number, put_option},
    },
    tick::{ClockId, Tick},
};

impl Checkpoint for LeaseReducer {
    const VERSION: u32 = 1;

    fn encode(&self, body: &mut Vec<u8>) {
        put_number(body, self.registrars().len() as u64);
        for registrar in self.registrars() {
            put_bytes(body, registrar.as_bytes());
        }
        encode_state(self.state(), body);
    }

    fn decode(&mut self, _version: u32, body: &[u8]) -> Result<(), CheckpointError> {
        let mut body = Body(body);
        let mut registrars = Vec::new();
        for _ in 0..body.count()? {
            registrars.push(body.text()?);
        }
        if !self.registrars().eq(registrars) {
            return Err(CheckpointError::body(
                "it was made under the trust in other registrars",
            ));
        }
        let state = decode_state(&mut body)?;
        body.end()?;
        *self.state_mut() = state;
        Ok(())
    }
}

/// What many leases share, in the order in which it is met.
struct Shared<T> {
    places: HashMap<T, u64>,
    in_order: Vec<T>,
}

impl<T: Clone + Eq + Hash> Shared<T> {
    fn new() -> Self {
        Self {
            places: HashMap::new(),
            in_order: Vec::new(),
        }
    }

    fn place(&mut self, shared: &T) -> u64 {
        if let Some(place) = self.places.get(shared) {
            return *place;
        }
        let place = self.in_order.len() as u64;
        self.places.insert(shared.clone(), place);
        self.in_order.push(shared.clone());
        place
    }
}

struct Tables {
    timebases: Shared<(ClockId, u64)>,
    sessions: Shared<Arc<str>>,
}

impl Tables {
    fn timebase(&mut self, tick: &Tick) -> u64 {
        self.timebases.place(&(tick.clock, tick.rate))
    }
}

fn encode_state(state: &LeaseReducerState, body: &mut Vec<u8>) {
    let mut tables = Tables {
        timebases: Shared::new(),
        sessions: Shared::new(),
    };
    // The tables stand first, but are known last.
    let mut rest = Vec::new();
    let leases = state.signs_of_life();
    put_number(&mut rest, leases.len() as u64);
    let mut last_token = 0;
    for (lease, sign_of_life) in leases {
        put_number(&mut rest, lease.fencing_token - last_token);
        last_token = lease.fencing_token;
        encode_lease(lease, sign_of_life, &mut tables, &mut rest);
    }
    let closed = state.closed();
    put_number(&mut rest, closed.len() as u64);
    for (work_id, until) in closed {
        put_bytes(&mut rest, work_id.as_bytes());
        put_number(&mut rest, tables.timebase(until));
        put_number(&mut rest, until.value);
    }
    put_number(&mut rest, state.conflicts().len() as u64);
    for conflict in state.conflicts() {
        encode_conflict(conflict, &mut rest);
    }
    put_number(body, state.last_fencing_token());
    put_number(body, tables.timebases.in_order.len() as u64);
    for (clock, rate) in &tables.timebases.in_order {
        body.extend_from_slice(&clock.0);
        put_number(body, *rate);
    }
    put_number(body, tables.sessions.in_order.len() as u64);
    for session_id in &tables.sessions.in_order {
        put_bytes(body, session_id.as_bytes());
    }
    body.extend_from_slice(&rest);
}

fn encode_lease(lease: &Lease, sign_of_life: Option<u64>, tables: &mut Tables, rest: &mut Vec<u8>) {
    for id in [&lease.lease_id, &lease.work_id, &lease.actor_id] {
        put_bytes(rest, id.as_bytes());
    }
    put_number(rest, lease.issued_at);
    put_number(rest, lease.expires_at);
    match (lease.issued_at_tick, lease.expires_at_tick) {
        (Some(start), Some(end)) => {
            put_number(rest, 1 + tables.timebase(&end));
            put_number(rest, start.value);
            put_number(rest, end.value);
        }
        _ => put_number(rest, 0),
    }
    put_option(rest, sign_of_life);
    put_number(rest, tables.sessions.place(&lease.session_id));
    put_bytes(rest, &lease.registrar_signature);
    put_number(rest, u64::from(lease.renewal_count));
    put_option(rest, lease.last_renewed_at);
    match lease.state {
        LeaseState::Active => return rest.push(0),
        LeaseState::Released => {
            rest.push(1);
            put_bytes(
                rest,
                lease.release_reason.map_or("", ReleaseReason::as_str).as_bytes(),
            );
        }
        LeaseState::Expired => rest.push(2),
        LeaseState::Revoked => {
            rest.push(3);
            put_bytes(
                rest,
                lease.revocation_reason.as_deref().unwrap_or_default().as_bytes(),
            );
        }
    }
    put_number(rest, lease.terminated_at.unwrap_or(lease.expires_at));
}

fn encode_conflict(conflict: &LeaseConflict, rest: &mut Vec<u8>) {
    put_bytes(rest, conflict.work_id.as_bytes());
    put_number(rest, conflict.conflicting_lease_ids.len() as u64);
    for id in &conflict.conflicting_lease_ids {
        put_bytes(rest, id.as_bytes());
    }
    put_bytes(rest, conflict.resolution.as_bytes());
    put_number(rest, conflict.sequence);
}

fn decode_state(body: &mut Body<'_>) -> Result<LeaseReducerState, CheckpointError> {
    let last_token = body.number()?;
    let mut timebases = Vec::new();
    for _ in 0..body.count()? {
        timebases.push((ClockId(body.array()?), body.number()?));
    }
    let tick = |place: u64, value| {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let (clock, rate) = *timebases
            .get(place)
            .ok_or_else(|| CheckpointError::body("a tick is of no clock"))?;
        Ok(Tick::new(value, rate, clock))
    };
    let mut sessions = Vec::new();
    for _ in 0..body.count()? {
        sessions.push(Arc::from(body.text()?));
    }
    let count = body.count()?;
    let mut state = LeaseReducerState::with_capacity(count);
    let mut token = 0_u64;
    for _ in 0..count {
        token = body
            .number()?
            .checked_add(token)
            .ok_or_else(|| CheckpointError::body("a token does not rise"))?;
        let (lease, sign_of_life) = decode_lease(body, token, &tick, &sessions)?;
        state.restore(lease, sign_of_life)?;
    }
    state.restore_last_token(last_token)?;
    let mut before: Option<&str> = None;
    for _ in 0..body.count()? {
        let work_id = body.text()?;
        if before.is_some_and(|before| before >= work_id) {
            return Err(CheckpointError::body("closed work items are out of order"));
        }
        before = Some(work_id);
        let place = body.number()?;
        state.restore_closed(work_id, tick(place, body.number()?)?)?;
    }
    for _ in 0..body.count()? {
        state.restore_conflict(decode_conflict(body)?)?;
    }
    Ok(state)
}

fn decode_lease(
    body: &mut Body<'_>,
    fencing_token: u64,
    tick: &impl Fn(u64, u64) -> Result<Tick, CheckpointError>,
    sessions: &[Arc<str>],
) -> Result<(Lease, Option<u64>), CheckpointError> {
    let lease_id = body.text()?.to_owned();
    let work_id = body.text()?.to_owned();
    let actor_id = body.text()?.to_owned();
    let issued_at = body.number()?;
    let expires_at = body.number()?;
    let (issued_at_tick, expires_at_tick) = match body.number()? {
        0 => (None, None),
        place => {
            let start = tick(place - 1, body.number()?)?;
            (Some(start), Some(tick(place - 1, body.number()?)?))
        }
    };
    let sign_of_life = body.option()?;
    let session_id = usize::try_from(body.number()?)
        .ok()
        .and_then(|place| sessions.get(place))
        .ok_or_else(|| CheckpointError::body("a lease is of no session"))?;
    let registrar_signature = body.bytes()?.to_vec();
    let renewal_count =
        u32::try_from(body.number()?).map_err(|_| CheckpointError::body("a lease was renewed too often"))?;
    let last_renewed_at = body.option()?;
    let mut lease = Lease {
        lease_id,
        work_id,
        actor_id,
        state: LeaseState::Active,
        issued_at,
        expires_at,
        issued_at_tick,
        expires_at_tick,
        registrar_signature,
        renewal_count,
        last_renewed_at,
        release_reason: None,
        revocation_reason: None,
        terminated_at: None,
        fencing_token,
        session_id: Arc::clone(session_id),
    };
    match body.byte()? {
        0 => return Ok((lease, sign_of_life)),
        1 => {
            lease.state = LeaseState::Released;
            let reason = ReleaseReason::parse(body.text()?);
            lease.release_reason =
                Some(reason.map_err(|_| CheckpointError::body("a lease was released for no reason"))?);
        }
        2 => lease.state = LeaseState::Expired,
        3 => {
            lease.state = LeaseState::Revoked;
            lease.revocation_reason = Some(body.text()?.to_owned());
        }
        _ => return Err(CheckpointError::body("a lease is in no state")),
    }
    lease.terminated_at = Some(body.number()?);
    Ok((lease, sign_of_life))
}

fn decode_conflict(body: &mut Body<'_>) -> Result<LeaseConflict, CheckpointError> {
    let work_id = body.text()?.to_owned();
    let mut conflicting_lease_ids = Vec::new();
    for _ in 0..body.count()? {
        conflicting_lease_ids.push(body.text()?.to_owned());
    }
    Ok(LeaseConflict {
        work_id,
        conflicting_lease_ids,
        resolution: body.text()?.to_owned(),
        sequence: body.number()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::event::EventRecord;
    use crate::work::reducer::ReducerContext;

    /// A body that says nothing but the last token.
    fn last_token(token: u64) -> Result<LeaseReducer, CheckpointError> {
        let mut body = Vec::new();
        put_number(&mut body, 1);
        put_bytes(&mut body, b"registrar");
        put_number(&mut body, token);
        body.extend([0; 5]);
        let mut reducer = LeaseReducer::new();
        reducer.decode(LeaseReducer::VERSION, &body).map(|()| reducer)
    }

    #[test]
    fn no_body_takes_the_tokens_beyond_their_end() {
        for token in [1 << 63, u64::MAX - 1, u64::MAX] {
            assert!(last_token(token).is_err(), "{token}");
        }
        // The last that can be: it is taken, and nothing is issued after it.
        let mut reducer = last_token((1 << 63) - 1).unwrap();
        let payload = crate::helpers::lease_issued_payload("l", "w", "a", 1, 2, vec![1]);
        let record = EventRecord::new("lease.issued", "s", "registrar", payload);
        assert!(reducer.apply(&record, &ReducerContext::new(1)).is_err());
    }
}
