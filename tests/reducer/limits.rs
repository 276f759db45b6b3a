//! How long the parts of an event may be.

use lease::{LeaseChange, LeaseError, LeaseEvent};

use crate::support::{Bench, Issue, SECOND, conflict, expired, record, released, renewed, revoked};

#[track_caller]
fn is_refused_for(change: &LeaseChange, expected: &str) {
    match Bench::with_lease(&Issue::by_wall()).refuse(&record("registrar", change)) {
        LeaseError::InvalidInput { field, reason } => {
            assert_eq!(field, expected);
            assert!(!reason.is_empty());
        }
        error => panic!("{error:?}"),
    }
}

#[test]
fn every_id_has_1_to_128_bytes() {
    let issue = Issue::by_wall();
    for id in ["", &"x".repeat(129), &"ä".repeat(65)] {
        is_refused_for(&issue.of(id, "work-2", "actor-1"), "lease_id");
        is_refused_for(&issue.of("lease-2", id, "actor-1"), "work_id");
        is_refused_for(&issue.of("lease-2", "work-2", id), "actor_id");
        is_refused_for(&renewed(id, 3 * SECOND, 0, &[1]), "lease_id");
        is_refused_for(&released(id, "COMPLETED"), "lease_id");
        is_refused_for(&expired(id, 2 * SECOND), "lease_id");
        is_refused_for(&revoked(id, "LOST", &[1]), "lease_id");
        is_refused_for(&conflict(id, &["lease-1"]), "work_id");
        is_refused_for(
            &conflict("work-1", &["lease-1", id, "lease-2"]),
            "conflicting_lease_ids",
        );
    }
    let longest = "x".repeat(128);
    let mut bench = Bench::new();
    bench.take(&record("registrar", &issue.of(&longest, &longest, &longest)));
    assert!(bench.state().has_active_lease(&longest));
    bench.take(&record("registrar", &conflict(&longest, &[&longest, "x"])));
}

#[test]
fn signatures_have_at_most_512_bytes() {
    let long = Issue {
        signature: vec![1; 513],
        ..Issue::by_wall()
    };
    is_refused_for(&long.of("lease-2", "work-2", "actor-1"), "registrar_signature");
    is_refused_for(
        &renewed("lease-1", 3 * SECOND, 0, &[1; 513]),
        "registrar_signature",
    );
    is_refused_for(&revoked("lease-1", "LOST", &[1; 513]), "registrar_signature");
    Bench::with_lease(&Issue {
        signature: vec![1; 512],
        ..Issue::by_wall()
    })
    .take(&record("registrar", &revoked("lease-1", "LOST", &[1; 512])));
}

#[test]
fn reasons_have_at_most_128_bytes() {
    let long = "x".repeat(129);
    is_refused_for(&released("lease-1", &long), "release_reason");
    is_refused_for(&revoked("lease-1", &long, &[1]), "reason");
    Bench::with_lease(&Issue::by_wall()).take(&record("registrar", &revoked("lease-1", &long[1..], &[1])));
    let resolution = LeaseChange::Conflict {
        work_id: "work-1".into(),
        conflicting_lease_ids: vec!["lease-1".into()],
        resolution: long,
    };
    is_refused_for(&resolution, "resolution");
}

#[test]
fn a_conflict_names_at_most_64_leases() {
    Bench::new().take(&record("registrar", &conflict("work-1", &["x"; 64])));
    is_refused_for(&conflict("work-1", &["x"; 65]), "conflicting_lease_ids");
    // The work item is judged before the number of ids.
    is_refused_for(&conflict("", &["x"; 65]), "work_id");
}

#[test]
fn lengths_of_ids_come_before_signatures_before_reasons() {
    let long = "x".repeat(129);
    is_refused_for(&revoked("", &long, &[1; 513]), "lease_id");
    is_refused_for(&revoked("lease-1", &long, &[1; 513]), "registrar_signature");
}

#[test]
fn the_last_of_several_values_is_the_one_that_counts() {
    // lease_id "" after lease_id "lease-1", release_reason COMPLETED.
    let mut message = released("lease-1", "COMPLETED").encode()[2..].to_vec();
    message.extend([0x0a, 0x00]);
    let mut written = record("actor-1", &released("lease-1", "COMPLETED"));
    written.payload = [&[0x1a, u8::try_from(message.len()).unwrap()][..], &message].concat();
    let error = Bench::with_lease(&Issue::by_wall()).refuse(&written);
    assert!(
        matches!(error, LeaseError::InvalidInput { field, .. } if field == "lease_id"),
        "{written:?}"
    );
}
