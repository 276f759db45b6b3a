//! What a holder can rely on.

use std::time::{Duration, Instant};

use lease::{ClaimError, ManualClock, Registrar, ReleaseReason};

const TTL: Duration = Duration::from_secs(30);

/// Until another thread has done something; what it does is the promise, not how fast.
fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "never happened: {what}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn with_clock() -> (Registrar, ManualClock) {
    let clock = ManualClock::new();
    let registrar = Registrar::builder().clock(clock.clone()).in_memory().unwrap();
    (registrar, clock)
}

#[test]
fn a_claim_renews_itself_for_as_long_as_it_lives() {
    let (jobs, clock) = with_clock();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    for round in 1..=10 {
        clock.advance(TTL / 3);
        eventually("a renewal", || claim.lease().renewal_count == round);
        assert!(claim.is_held());
    }
    claim.release(ReleaseReason::Completed).wait().unwrap();
}

#[test]
fn a_claim_that_missed_its_renewals_is_lost_before_its_end() {
    let (jobs, clock) = with_clock();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    // 5 % before the end; the renewer gets no chance in between.
    clock.advance(TTL - TTL / 20);
    assert!(!claim.is_held());
    assert_eq!(claim.remaining(), Duration::ZERO);
    let other = jobs.with_actor("other");
    assert!(matches!(
        other.try_claim("work", TTL).wait(),
        Err(ClaimError::Busy(_))
    ));
}

#[test]
fn dropping_a_claim_frees_the_work_item() {
    let (jobs, _clock) = with_clock();
    drop(jobs.try_claim("work", TTL).wait().unwrap());
    drop(jobs.try_claim("work", TTL).wait().unwrap());
}
