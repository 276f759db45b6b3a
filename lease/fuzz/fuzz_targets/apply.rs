//! Any list of events: what is refused changes nothing, at most one lease of a work item is active, every index agrees,
//! and the state comes back from its checkpoint.

#![no_main]

use lease::{
    Checkpoint, ClockId, EventRecord, Lease, LeaseChange, LeaseReducer, LeaseReducerState, LeaseState,
    Reducer, ReducerContext, Tick,
};
use libfuzzer_sys::fuzz_target;

/// Enough for every event to meet every other kind, and few enough for thousands of lists a second.
const EVENTS: u64 = 48;

/// Takes values off the input; what is missing is 0.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    /// Few ids, so that events meet.
    fn id(&mut self) -> String {
        match self.byte() {
            255 => "x".repeat(129),
            254 => String::new(),
            byte => format!("id-{}", byte % 6),
        }
    }

    fn time(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            254 => u64::MAX - 1,
            byte => u64::from(byte),
        }
    }

    fn text(&mut self) -> String {
        ["COMPLETED", "voluntary", "HOLDER_DIED", "CLOCK_LOST", "", "other"][usize::from(self.byte() % 6)]
            .to_owned()
    }

    fn bytes(&mut self) -> Vec<u8> {
        vec![1; usize::from(self.byte() % 3) * usize::from(self.byte())]
    }

    fn rate(&mut self) -> u64 {
        [0, 1, 1_000, u64::MAX][usize::from(self.byte() % 4)]
    }

    fn tick(&mut self) -> Option<Tick> {
        let clock = ClockId([self.byte() % 3; 16]);
        let rate = self.rate();
        (rate != 0).then(|| Tick::new(self.time(), rate, clock))
    }

    fn change(&mut self) -> LeaseChange {
        match self.byte() % 8 {
            0..=2 => LeaseChange::Issued {
                lease_id: self.id(),
                work_id: self.id(),
                actor_id: self.id(),
                issued_at: self.time(),
                expires_at: self.time(),
                registrar_signature: self.bytes(),
                issued_at_tick: self.time(),
                expires_at_tick: self.time(),
                tick_rate_hz: self.rate(),
                fencing_token: self.time(),
                closed_until_tick: self.time(),
            },
            3 => LeaseChange::Renewed {
                lease_id: self.id(),
                new_expires_at: self.time(),
                registrar_signature: self.bytes(),
                new_expires_at_tick: self.time(),
                tick_rate_hz: self.rate(),
            },
            4 => LeaseChange::Released {
                lease_id: self.id(),
                release_reason: self.text(),
            },
            5 => LeaseChange::Expired {
                lease_id: self.id(),
                expired_at: self.time(),
            },
            6 => LeaseChange::Revoked {
                lease_id: self.id(),
                reason: self.text(),
                registrar_signature: self.bytes(),
            },
            _ => LeaseChange::Conflict {
                work_id: self.id(),
                conflicting_lease_ids: (0..self.byte() % 70).map(|_| self.id()).collect(),
                resolution: self.text(),
            },
        }
    }

    fn record(&mut self) -> EventRecord {
        let sender = match self.byte() % 4 {
            0 | 1 => "registrar".to_owned(),
            _ => self.id(),
        };
        let mut record = EventRecord::of(&self.change(), format!("s-{}", self.byte() % 3), sender);
        if self.byte() == 200 {
            // Bytes as they come instead of an event.
            let len = usize::from(self.byte()).min(self.0.len());
            let (payload, rest) = self.0.split_at(len);
            record.payload = payload.to_vec();
            self.0 = rest;
        }
        record.at(self.time(), self.tick())
    }
}

fn agrees(state: &LeaseReducerState) {
    let leases = state.leases();
    assert_eq!(leases.len(), state.len());
    assert!(leases.is_sorted_by(|a, b| a.fencing_token < b.fencing_token));
    let active: Vec<&Lease> = leases
        .iter()
        .copied()
        .filter(|lease| !lease.state.is_terminal())
        .collect();
    assert_eq!(state.active_leases(), active);
    assert_eq!(state.active_count(), active.len());
    assert_eq!(state.terminal_count(), leases.len() - active.len());
    let by_session: usize = state
        .active_sessions()
        .map(|session| state.active_leases_by_session(session).len())
        .sum();
    assert_eq!(by_session, active.len());
    for lease in leases {
        assert_eq!(state.get(&lease.lease_id), Some(lease));
        assert!(state.leases_by_actor(&lease.actor_id).contains(&lease));
        if lease.state == LeaseState::Active {
            assert_eq!(state.get_active_lease_for_work(&lease.work_id), Some(lease));
        }
    }
    for value in [0, 100, u64::MAX] {
        let now = Tick::new(value, 1_000, ClockId([1; 16]));
        let due = active
            .iter()
            .filter(|lease| lease.is_expired_at_tick(&now))
            .count();
        assert_eq!(state.get_expired_but_active_at_tick(&now).len(), due);
    }
}

/// What a start from a checkpoint of this state would have.
fn from_checkpoint(live: &LeaseReducer) -> LeaseReducer {
    let mut body = Vec::new();
    live.encode(&mut body);
    let mut resumed = LeaseReducer::new();
    let decoded = resumed.decode(LeaseReducer::VERSION, &body);
    decoded.expect("what was encoded is decoded");
    assert_eq!(&resumed, live);
    resumed
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut live = LeaseReducer::new();
    // Is given only what `live` has taken, and starts from a checkpoint now and then.
    let mut shadow = LeaseReducer::new();
    for sequence in 1..=EVENTS {
        if input.0.is_empty() {
            break;
        }
        match input.byte() % 16 {
            15 => {
                let before = input.time();
                live.state_mut().prune_terminal_leases_before(before);
                shadow.state_mut().prune_terminal_leases_before(before);
            }
            14 => shadow = from_checkpoint(&live),
            _ => {
                let (record, context) = (input.record(), ReducerContext::new(sequence));
                if live.apply(&record, &context).is_ok() {
                    let again = shadow.apply(&record, &context);
                    assert_eq!(again, Ok(()), "a state that is equal judges alike");
                }
            }
        }
    }
    assert_eq!(live, shadow, "a refused event or a checkpoint changed the state");
    agrees(live.state());
    agrees(from_checkpoint(&live).state());
});
