//! Waiting for a work item that somebody else holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lease::{ClaimError, Registrar, ReleaseReason};
use lease_tests::faulty::FaultyLedger;

use crate::setup::{TTL, with_clock};

const LONG: Duration = Duration::from_mins(10);

#[test]
fn a_waiter_gets_the_item_when_it_is_released() {
    let (registrar, _clock) = with_clock();
    let held = registrar.try_claim("work", TTL).wait().unwrap();
    let waiting = registrar.claim_timeout("work", TTL, LONG);
    held.release(ReleaseReason::Completed).wait().unwrap();
    let claim = waiting.wait().unwrap();
    assert!(claim.is_held());
    // Its end is counted from when it was issued, not from when it began to wait.
    assert!(claim.remaining() > TTL / 2);
}

#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    let (registrar, _clock) = with_clock();
    let held = registrar.try_claim("work", TTL).wait().unwrap();
    let waiting: Vec<_> = (0..5)
        .map(|_| registrar.claim_timeout("work", TTL, LONG))
        .collect();
    drop(held);
    let mut last = 0;
    for waiter in waiting {
        let claim = waiter.wait().unwrap();
        assert!(claim.fencing_token().get() > last);
        last = claim.fencing_token().get();
        drop(claim);
    }
}

#[test]
fn a_waiter_gives_up_when_its_time_is_over() {
    let (registrar, clock) = with_clock();
    let held = registrar.try_claim("work", LONG).wait().unwrap();
    let waiting = registrar.claim_timeout("work", TTL, Duration::from_secs(5));
    clock.advance(Duration::from_secs(5));
    let refused = waiting.wait();
    assert!(
        matches!(&refused, Err(ClaimError::Busy(busy)) if busy.holder() == Some(registrar.actor())),
        "{refused:?}"
    );
    assert!(held.is_held());
}

#[test]
fn a_waiter_gets_the_item_of_a_holder_whose_time_is_up() {
    let (registrar, clock) = with_clock();
    registrar.issue("work", TTL).wait().unwrap();
    let waiting = registrar.claim_timeout("work", TTL, LONG);
    clock.advance(TTL);
    drop(waiting.wait().unwrap());
}

#[test]
fn a_waiter_that_is_dropped_leaves_the_line() {
    let (registrar, _clock) = with_clock();
    let held = registrar.try_claim("work", TTL).wait().unwrap();
    let first = registrar.claim_timeout("work", TTL, LONG);
    let second = registrar.claim_timeout("work", TTL, LONG);
    drop(first);
    drop(held);
    drop(second.wait().unwrap());
}

#[test]
fn who_only_tries_does_not_wait_for_those_who_do() {
    let (registrar, _clock) = with_clock();
    let held = registrar.try_claim("work", TTL).wait().unwrap();
    let waiting = registrar.claim_timeout("work", TTL, LONG);
    assert!(matches!(
        registrar.try_claim("work", TTL).wait(),
        Err(ClaimError::Busy(_))
    ));
    drop(registrar.try_claim("other", TTL).wait().unwrap());
    drop(held);
    drop(waiting.wait().unwrap());
}

#[test]
fn who_only_tries_does_not_overtake_those_who_wait() {
    let ledger = FaultyLedger::default();
    let registrar = Registrar::builder().on(Arc::new(ledger.clone())).unwrap();
    let held = registrar.try_claim("work", TTL).wait().unwrap();
    let waiting = registrar.claim_timeout("work", TTL, LONG);
    let hanging = ledger.hang();
    let releasing = held.release(ReleaseReason::Completed);
    // The writer is inside with the release when this comes.
    std::thread::sleep(Duration::from_millis(50));
    let trying = registrar.try_claim("work", TTL);
    drop(hanging);
    releasing.wait().unwrap();
    assert!(matches!(trying.wait(), Err(ClaimError::Busy(_))));
    drop(waiting.wait().unwrap());
}

#[test]
fn a_release_by_another_registrar_of_the_ledger_is_noticed() {
    let ledger = Arc::new(lease::ledger::MemoryLedger::new());
    let signer = lease::Signer::generate();
    let open = || {
        Registrar::builder()
            .signer(signer.clone())
            .on(ledger.clone())
            .unwrap()
    };
    let (one, other) = (open(), open());
    let held = one.try_claim("work", TTL).wait().unwrap();
    let waiting = other.claim_timeout("work", TTL, LONG);
    let begun = Instant::now();
    held.release(ReleaseReason::Completed).wait().unwrap();
    drop(waiting.wait().unwrap());
    // Far under what a time-to-live would have taken.
    assert!(begun.elapsed() < TTL / 2);
}

#[test]
fn closing_ends_the_wait() {
    let (registrar, _clock) = with_clock();
    let held = registrar.try_claim("work", TTL).wait().unwrap();
    let waiting = registrar.claim_timeout("work", TTL, LONG);
    registrar.close().wait().unwrap();
    assert!(waiting.wait().is_err());
    drop(held);
}
