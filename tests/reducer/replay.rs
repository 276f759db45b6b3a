//! Replay never stops, and says what it left out.

use lease::{LeaseError, LeaseReducer, Replayer, replay};

use crate::support::{Bench, Issue, record, released};

#[test]
fn a_refused_record_is_noted_and_changes_nothing() {
    let issue = record("registrar", &Issue::by_wall().of("lease-1", "work-1", "actor-1"));
    let foreign = record("actor-2", &released("lease-1", "COMPLETED"));
    let release = record("actor-1", &released("lease-1", "COMPLETED"));
    let mut records = [issue.clone(), foreign, release.clone()];
    for (sequence, record) in (1..).zip(&mut records) {
        record.sequence = sequence;
    }
    let replayed = replay(LeaseReducer::new(), &records);
    let refusals: Vec<_> = replayed.refusals().collect();
    assert_eq!(
        (replayed.applied(), replayed.refused(), refusals.len()),
        (2, 1, 1)
    );
    assert_eq!(refusals[0].sequence, 2);
    assert!(matches!(&refusals[0].error, LeaseError::Unauthorized { actor_id, .. } if actor_id == "actor-2"));
    assert_eq!(replayed.state(), Bench::new().take(&issue).take(&release).state());
}

#[test]
fn the_last_thousand_refusals_are_remembered_and_all_are_counted() {
    let mut replayer = Replayer::new(LeaseReducer::new());
    let mut refused = record("nobody", &released("lease-1", "COMPLETED"));
    for sequence in 1..=1_500 {
        refused.sequence = sequence;
        replayer.apply(&refused);
    }
    assert_eq!((replayer.refused(), replayer.refusals().len()), (1_500, 1_000));
    assert_eq!(replayer.refusals().next().unwrap().sequence, 501);
}

#[test]
fn replay_goes_on_page_by_page() {
    let issue = |lease: &str| record("registrar", &Issue::by_wall().of(lease, lease, "actor-1"));
    let records = [issue("a"), issue("b"), issue("c")];
    let mut paged = Replayer::new(LeaseReducer::new());
    for page in records.chunks(2) {
        paged.extend(page);
    }
    assert_eq!(
        paged.into_reducer(),
        replay(LeaseReducer::new(), records).into_reducer()
    );
}
