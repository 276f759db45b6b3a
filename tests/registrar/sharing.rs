//! Opening a ledger that this process has open already: the same registrar, or a refusal, never other settings in silence.

use std::path::Path;
use std::time::Duration;

use lease::{
    Clock, Durability, ManualClock, Registrar, RegistrarBuilder, RegistrarError, Signer, SystemClock,
};

use crate::setup::TTL;

const HOUR: Duration = Duration::from_hours(1);

/// The setting that is refused.
fn refused(builder: RegistrarBuilder, path: &Path) -> Option<&'static str> {
    match builder.open(path) {
        Ok(_) => None,
        Err(RegistrarError::OpenedDifferently { setting }) => Some(setting),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_is_set_otherwise_than_the_ledger_was_opened_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let first = Registrar::open(&path).unwrap();
    let head = first.ledger().head().unwrap();
    let new = Registrar::builder;
    for (builder, setting) in [
        (new().clock(ManualClock::new()), "clock"),
        (new().signer(Signer::generate()), "signer"),
        (new().durability(Durability::Buffered), "durability"),
        (new().lock_delay(Duration::from_nanos(1)), "lock_delay"),
        (new().checkpoint_interval(0), "checkpoint_interval"),
        (new().retain_terminal(HOUR), "retain_terminal"),
    ] {
        assert_eq!(refused(builder.clone(), &path), Some(setting));
        let adopted = builder.adopt(&path).map(drop);
        assert!(
            matches!(adopted, Err(RegistrarError::OpenedDifferently { setting: also }) if also == setting),
            "{adopted:?}"
        );
    }
    // Nothing has changed by it, and a plain opening shares.
    assert_eq!(first.ledger().head().unwrap(), head);
    let second = Registrar::open(&path).unwrap();
    let lease = second.issue("work", TTL).wait().unwrap();
    first
        .release(lease.lease_id, lease::ReleaseReason::Completed)
        .wait()
        .unwrap();
}

#[test]
fn a_refusal_to_share_says_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let first = Registrar::open(&path).unwrap();
    let buffered = Registrar::builder().durability(Durability::Buffered);
    assert_eq!(
        buffered.clone().open(&path).unwrap_err().to_string(),
        "this process has the ledger open with another `durability`: leave it out to share the registrar that is \
         there, set the same, or close that one first"
    );
    first.close().wait().unwrap();
    assert_eq!(refused(buffered, &path), None);
}

#[test]
fn what_is_set_the_same_or_not_at_all_is_shared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let (clock, signer) = (ManualClock::new(), Signer::generate());
    let all = || {
        Registrar::builder()
            .clock(clock.clone())
            .signer(signer.clone())
            .durability(Durability::Buffered)
            .lock_delay(Duration::from_millis(5))
            .checkpoint_interval(7)
            .retain_terminal(HOUR)
    };
    let first = all().open(&path).unwrap();
    clock.advance(HOUR);
    let tick = clock.tick();
    for builder in [
        all(),
        // To milliseconds, as it is written.
        all().lock_delay(Duration::from_micros(4_001)),
        Registrar::builder(),
        Registrar::builder().actor("another"),
    ] {
        let other = builder.open(&path).unwrap();
        assert_eq!(other.public_key(), first.public_key());
        let lease = other.issue("work", TTL).wait().unwrap();
        assert_eq!(lease.issued_at_tick, Some(tick));
        other
            .release(lease.lease_id, lease::ReleaseReason::Completed)
            .wait()
            .unwrap();
    }
    // Also what is usual was not set.
    assert_eq!(
        refused(all().durability(Durability::Synced), &path),
        Some("durability")
    );
    assert_eq!(refused(all().clock(SystemClock::new()), &path), Some("clock"));
}

#[test]
fn the_clock_of_the_machine_is_one_clock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let _first = Registrar::open(&path).unwrap();
    assert_eq!(
        refused(Registrar::builder().clock(SystemClock::new()), &path),
        None
    );
}

#[test]
fn the_signer_that_counts_is_the_present_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let (old, next) = (Signer::generate(), Signer::generate());
    let by = |signer: &Signer| Registrar::builder().signer(signer.clone());
    let first = by(&old).open(&path).unwrap();
    first.rotate_key(&next).unwrap();
    assert_eq!(refused(by(&old), &path), Some("signer"));
    assert_eq!(refused(by(&next), &path), None);
}
