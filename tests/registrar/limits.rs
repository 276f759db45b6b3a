//! What is too long, too short, too much.

use std::sync::Arc;
use std::time::Duration;

use lease::ledger::{Ledger as _, MemoryLedger};
use lease::{ClaimError, EventError, LeaseError, LeaseEvent, Registrar, RegistrarError};

use crate::setup::refusal;

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

/// Whether it is refused for its actor.
fn is_for_its_actor(error: &LeaseError) -> bool {
    matches!(error, LeaseError::InvalidInput { field, .. } if field == "actor_id")
}

#[test]
fn an_actor_that_is_no_id_is_refused_before_anything_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (new, open) = (folder.path().join("new.lease"), folder.path().join("open.lease"));
    let _open = Registrar::open(&open).unwrap();
    for actor in [String::new(), "x".repeat(129)] {
        let builder = Registrar::builder().actor(&actor);
        let ledger = Arc::new(MemoryLedger::new());
        for refused in [
            builder.clone().open(&new),
            builder.clone().adopt(&new),
            builder.clone().open(&open),
            builder.clone().on(ledger.clone()),
            builder.in_memory(),
        ] {
            assert!(is_for_its_actor(&refusal(refused)), "{actor}");
        }
        assert!(!new.exists());
        assert_eq!(ledger.head().unwrap().sequence, 0);
    }
    let longest = Registrar::builder().actor("x".repeat(128)).open(&new).unwrap();
    longest.issue("work", Duration::from_mins(1)).wait().unwrap();
}

#[test]
fn a_handle_for_an_actor_that_is_no_id_is_told_with_its_first_lease() {
    let jobs = Registrar::in_memory().unwrap();
    let head = jobs.ledger().head().unwrap();
    let nobody = jobs.with_actor("");
    assert!(is_for_its_actor(&refusal(
        nobody.issue("work", Duration::from_mins(1)).wait()
    )));
    let claim = jobs.claim("work", Duration::from_mins(1)).actor("x".repeat(129));
    let Err(ClaimError::Registrar(error)) = claim.acquire().wait() else {
        panic!("it was claimed");
    };
    assert!(is_for_its_actor(&refusal(Err::<(), _>(error))));
    assert_eq!(jobs.ledger().head().unwrap(), head);
}
