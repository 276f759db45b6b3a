//! Any bytes as a checkpoint, and any bytes as the body of one: refused, or a state that the reducer goes on from.

#![no_main]

use lease::ledger::{Ledger as _, MemoryLedger, NewRecord};
use lease::{Checkpoint, EventRecord, LeaseReducer, Reducer, ReducerContext, Replayer, helpers};
use libfuzzer_sys::fuzz_target;

fn issue(lease: &str) -> EventRecord {
    let payload = helpers::lease_issued_payload(lease, lease, "actor", 1, 2, vec![1]);
    EventRecord::new("lease.issued", "s", "registrar", payload)
}

/// A body is judged: what it says is a state that says the same again, and stays one.
fn body(bytes: &[u8]) {
    let mut reducer = LeaseReducer::new();
    if reducer.decode(LeaseReducer::VERSION, bytes).is_err() {
        assert_eq!(reducer, LeaseReducer::new());
        return;
    }
    let mut written = Vec::new();
    reducer.encode(&mut written);
    let mut again = LeaseReducer::new();
    again
        .decode(LeaseReducer::VERSION, &written)
        .expect("what was encoded is decoded");
    assert_eq!(again, reducer);
    let ids: Vec<_> = again
        .state()
        .active_leases()
        .iter()
        .map(|lease| lease.lease_id.clone())
        .collect();
    for id in ids {
        let payload = helpers::lease_expired_payload(&id, u64::MAX);
        let _ = again.apply(
            &EventRecord::new("lease.expired", "s", "registrar", payload),
            &ReducerContext::new(1),
        );
    }
    let _ = again.apply(&issue("fresh"), &ReducerContext::new(2));
    again.state_mut().prune_terminal_leases();
    assert_eq!(again.state().terminal_count(), 0);
}

/// A sealed checkpoint is taken or passed over; either way the state is that of the ledger.
fn sealed(bytes: &[u8]) {
    let ledger = MemoryLedger::new();
    ledger
        .append(
            &ledger.head().expect("memory"),
            &[NewRecord::from(issue("lease"))],
        )
        .expect("memory");
    ledger
        .save_checkpoint("lease-registrar", 1, bytes)
        .expect("memory");
    let resumed = Replayer::resume(&ledger, LeaseReducer::new()).expect("a start in any case");
    assert!(resumed.state().has_active_lease("lease"));
    assert_eq!(resumed.state().len(), 1);
}

fuzz_target!(|data: &[u8]| {
    body(data);
    sealed(data);
});
