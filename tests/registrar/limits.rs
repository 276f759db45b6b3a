//! What is too long, too short, too much.

use std::time::Duration;

use lease::{EventError, LeaseEvent, Registrar, RegistrarError};

#[derive(LeaseEvent)]
#[event(namespace = "note")]
enum Note {
    #[event(kind = "made", tag = 1)]
    Made(#[event(tag = 1)] String),
}

#[test]
fn an_event_that_could_not_be_read_back_is_not_written() {
    let registrar = Registrar::in_memory().unwrap();
    let head = registrar.ledger().head().unwrap();
    let refused = registrar.record(&Note::Made("x".repeat(65 * 1024))).wait();
    assert!(
        matches!(&refused, Err(RegistrarError::Event(error)) if matches!(**error, EventError::TooLarge { .. })),
        "{refused:?}"
    );
    assert_eq!(registrar.ledger().head().unwrap(), head);
}

#[test]
fn a_claim_is_not_issued_for_longer_than_it_may_be_held() {
    let jobs = Registrar::in_memory().unwrap();
    let most = Duration::from_secs(10);
    let claim = jobs
        .claim("work", most * 3)
        .at_most(most)
        .acquire()
        .wait()
        .unwrap();
    let lease = claim.lease();
    let (start, end) = (lease.issued_at_tick.unwrap(), lease.expires_at_tick.unwrap());
    assert_eq!(start.until(&end), Some(most));
}
