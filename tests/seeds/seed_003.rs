//! Seed `003_a7221681f936d079.txt`, "Lease Module": its examples as printed, under the names of this crate. Only the last
//! one differs: it collects the ids before it applies, because as printed it borrows the state across a mutation.

use lease::helpers;
use lease::{EventRecord, LeaseError, LeaseReducer, LeaseReducerState, LeaseState};
use lease::{Reducer, ReducerContext};

/// The seed's "Basic Usage".
fn basic_usage() -> (LeaseReducer, ReducerContext) {
    let mut reducer = LeaseReducer::new();
    let ctx = ReducerContext::new(1);

    // Issue a lease
    let payload = helpers::lease_issued_payload(
        "lease-001",
        "work-001",
        "agent-001",
        1_000_000_000,    // issued_at
        2_000_000_000,    // expires_at
        vec![1, 2, 3, 4], // registrar signature
    );
    let event = EventRecord::new("lease.issued", "session-1", "registrar", payload);
    reducer.apply(&event, &ctx).unwrap();

    // Query the lease
    let lease = reducer.state().get("lease-001").unwrap();
    assert_eq!(lease.state, LeaseState::Active);
    assert!(reducer.state().has_active_lease("work-001"));
    (reducer, ctx)
}

/// The seed's "Lease Lifecycle", which goes on from there.
fn lease_lifecycle() -> Result<LeaseReducer, LeaseError> {
    let (mut reducer, ctx) = basic_usage();

    // Renew the lease
    let renew_payload = helpers::lease_renewed_payload(
        "lease-001",
        3_000_000_000,    // new expiration
        vec![5, 6, 7, 8], // new signature
    );
    reducer.apply(
        &EventRecord::new("lease.renewed", "s", "registrar", renew_payload),
        &ctx,
    )?;

    // Release the lease
    let release_payload = helpers::lease_released_payload("lease-001", "COMPLETED");
    reducer.apply(
        &EventRecord::new("lease.released", "s", "agent-001", release_payload),
        &ctx,
    )?;

    // Work is now available for a new lease
    assert!(!reducer.state().has_active_lease("work-001"));
    Ok(reducer)
}

#[test]
fn seed_003_basic_usage_runs() {
    basic_usage();
}

#[test]
fn seed_003_lease_lifecycle_runs() {
    let reducer = lease_lifecycle().unwrap();
    assert_eq!(
        reducer.state().get("lease-001").unwrap().state,
        LeaseState::Released
    );
}

#[test]
fn seed_003_state_pruning_runs() {
    // Prune all terminal leases
    let mut reducer = lease_lifecycle().unwrap();
    let pruned = reducer.state_mut().prune_terminal_leases();
    println!("Pruned {pruned} terminal leases");
    assert_eq!(pruned, 1);

    // Or prune only leases terminated before a timestamp
    let mut reducer = lease_lifecycle().unwrap();
    let pruned = reducer.state_mut().prune_terminal_leases_before(1_500_000_000);
    assert_eq!(pruned, 0, "it ended at its own end, not at the record's");
}

#[test]
#[expect(deprecated, reason = "the seed's example asks by wall time")]
fn seed_003_detecting_expired_leases_runs() -> Result<(), LeaseError> {
    let (mut reducer, ctx) = basic_usage();
    let current_time = 2_500_000_000; // Current timestamp

    // Find leases that have expired but haven't been marked as Expired yet
    let expired = reducer.state().get_expired_but_active(current_time);
    let expired: Vec<_> = expired.into_iter().map(|lease| lease.lease_id.clone()).collect();
    for lease_id in expired {
        // Emit LeaseExpired events for these
        let payload = helpers::lease_expired_payload(&lease_id, current_time);
        reducer.apply(
            &EventRecord::new("lease.expired", "s", "registrar", payload),
            &ctx,
        )?;
    }

    let lease = reducer.state().get("lease-001").unwrap();
    assert_eq!(
        (lease.state, lease.terminated_at),
        (LeaseState::Expired, Some(2_000_000_000))
    );
    Ok(())
}

/// The trait as the seed prints it, implemented by its reducer under the name it must keep.
#[test]
fn seed_003_reducer_interface_is_the_printed_one() {
    fn printed(reducer: &impl Reducer<State = LeaseReducerState, Error = LeaseError>) -> &'static str {
        reducer.name()
    }
    let (mut reducer, _) = basic_usage();
    assert_eq!(printed(&reducer), "lease-registrar");
    reducer.reset();
    assert!(reducer.state().is_empty());
}

/// "Attack Mitigations", 1 to 3.
#[test]
fn seed_003_attacks_are_mitigated() {
    let (mut reducer, ctx) = basic_usage();
    let mut attack = |event_type: &str, actor: &str, payload: Vec<u8>| {
        reducer.apply(&EventRecord::new(event_type, "s", actor, payload), &ctx)
    };
    let early = helpers::lease_expired_payload("lease-001", 1_999_999_999);
    let early = attack("lease.expired", "registrar", early).unwrap_err();
    assert_eq!(
        early,
        LeaseError::InvalidExpiration {
            lease_id: "lease-001".into(),
            provided: 1_999_999_999,
            lease_expires_at: 2_000_000_000,
        }
    );
    let foreign = helpers::lease_released_payload("lease-001", "COMPLETED");
    let foreign = attack("lease.released", "agent-002", foreign).unwrap_err();
    assert_eq!(
        foreign,
        LeaseError::Unauthorized {
            lease_id: "lease-001".into(),
            actor_id: "agent-002".into(),
        }
    );
    let evasion = helpers::lease_expired_payload("lease-001", u64::MAX);
    attack("lease.expired", "registrar", evasion).unwrap();
    assert_eq!(reducer.state_mut().prune_terminal_leases_before(2_000_000_001), 1);
}
