//! What each command does, and what it refuses.

use std::time::Duration;

use lease::{LeaseError, LeaseState, ManualClock, Registrar, RegistrarError, ReleaseReason};

const TTL: Duration = Duration::from_secs(30);

fn with_clock() -> (Registrar, ManualClock) {
    let clock = ManualClock::new();
    let registrar = Registrar::builder().clock(clock.clone()).in_memory().unwrap();
    (registrar, clock)
}

fn refusal<T: std::fmt::Debug>(result: Result<T, RegistrarError>) -> LeaseError {
    match result {
        Err(RegistrarError::Lease(error)) => (*error).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lease_goes_through_its_whole_life() {
    let (registrar, clock) = with_clock();
    let issued = registrar.issue("work", TTL).wait().unwrap();
    assert_eq!(
        (issued.work_id.as_str(), issued.actor_id.as_str()),
        ("work", registrar.actor())
    );

    clock.advance(TTL / 2);
    let renewed = registrar.renew(&issued.lease_id, TTL).wait().unwrap();
    assert_eq!(renewed.renewal_count, 1);
    assert_eq!(
        issued
            .expires_at_tick
            .unwrap()
            .until(&renewed.expires_at_tick.unwrap()),
        Some(TTL / 2)
    );

    let released = registrar
        .release(&issued.lease_id, ReleaseReason::Completed)
        .wait()
        .unwrap();
    assert_eq!(released.state, LeaseState::Released);
    assert!(!registrar.query(|state| state.has_active_lease("work")).unwrap());
    registrar.verify().unwrap();
}

#[test]
fn a_held_work_item_is_busy_and_says_who_and_how_long() {
    let (registrar, clock) = with_clock();
    registrar.issue("work", TTL).wait().unwrap();
    clock.advance(Duration::from_secs(10));
    let other = registrar.with_actor("somebody else");
    let Err(RegistrarError::Busy(busy)) = other.issue("work", TTL).wait() else {
        panic!("two leases on one work item");
    };
    assert_eq!(busy.holder(), registrar.actor());
    assert_eq!(busy.remaining(), Duration::from_secs(20));
    assert!(!busy.is_self());
}

#[test]
fn issuing_expires_the_lease_in_the_way_once_its_end_has_come() {
    let (registrar, clock) = with_clock();
    let old = registrar.issue("work", TTL).wait().unwrap();
    clock.advance(TTL);
    let new = registrar.issue("work", TTL).wait().unwrap();
    assert!(new.fencing_token > old.fencing_token);
    let old = registrar
        .query(|state| state.get(&old.lease_id).unwrap().state)
        .unwrap();
    assert_eq!(old, LeaseState::Expired);
}

#[test]
fn only_the_holder_releases() {
    let (registrar, _clock) = with_clock();
    let lease = registrar.issue("work", TTL).wait().unwrap();
    let stranger = registrar.with_actor("mallory");
    let refused = refusal(stranger.release(&lease.lease_id, ReleaseReason::Completed).wait());
    assert!(matches!(refused, LeaseError::Unauthorized { .. }), "{refused:?}");
    assert!(registrar.query(|state| state.has_active_lease("work")).unwrap());
}
