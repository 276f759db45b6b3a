//! Foreign code that misbehaves harms nobody but its owner.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use lease::{Clock as _, ManualClock, Registrar, ReleaseReason};

use crate::setup::{TTL, with_clock};

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("on purpose");
    }
}

fn poll_once(future: impl Future) {
    let waker = Waker::from(Arc::new(Panics));
    assert!(pin!(future).poll(&mut Context::from_waker(&waker)).is_pending());
}

#[test]
fn a_waker_that_panics_does_not_stop_the_registrar() {
    let jobs = Registrar::in_memory().unwrap();
    let section = jobs.ledger().enter().unwrap();
    let mut asked = Box::pin(jobs.try_claim("work", TTL));
    poll_once(asked.as_mut());
    drop(section);
    drop(jobs.try_claim("other", TTL).wait().unwrap());
    drop(asked);
}

#[test]
fn a_waker_that_panics_does_not_stop_renewals() {
    let clock = ManualClock::new();
    let jobs = Registrar::builder().clock(clock.clone()).in_memory().unwrap();
    let doomed = jobs.try_claim("lost", TTL).wait().unwrap();
    let mut watcher = Box::pin(doomed.lost());
    poll_once(watcher.as_mut());
    clock.advance(TTL);
    // The renewer has looked at the loss once the callback was called.
    let (told, is_told) = std::sync::mpsc::channel();
    doomed.on_lost(move || told.send(()).unwrap());
    is_told.recv().unwrap();
    std::thread::sleep(Duration::from_millis(50));

    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    clock.advance(TTL / 3);
    let start = Instant::now();
    while claim.lease().renewal_count == 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "no renewal");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The clock has no end for it, and there is no double of it.
#[test]
fn a_claim_may_last_as_long_as_can_be_said() {
    for ttl in [
        Duration::MAX,
        Duration::from_secs(u64::MAX / 3 * 2),
        Duration::from_hours(4_000_000),
    ] {
        let (jobs, clock) = with_clock();
        let claim = jobs.try_claim("work", ttl).wait().unwrap();
        clock.advance(Duration::from_hours(1_000_000));
        assert!(claim.is_held(), "{ttl:?}");
        claim.release(ReleaseReason::Completed).wait().unwrap();
        drop(jobs.try_claim("work", ttl).wait().unwrap());
    }
}

#[test]
fn a_claim_at_the_end_of_the_clock_is_given_up_50_ms_before_it() {
    let (jobs, clock) = with_clock();
    let (now, left) = (clock.tick().value, Duration::from_millis(500));
    clock.advance(Duration::from_nanos(u64::MAX - now).saturating_sub(left));
    clock.set_wall(1);
    let claim = jobs.try_claim("work", Duration::from_secs(1)).wait().unwrap();
    assert_eq!(claim.remaining(), Duration::from_millis(450));
    clock.advance(left);
    assert!(!claim.is_held());
}

#[test]
fn whoever_waits_for_the_loss_leaves_one_waker_however_often_he_asks_and_takes_it_along() {
    struct Silent;
    impl Wake for Silent {
        fn wake(self: Arc<Self>) {}
    }
    let (jobs, _clock) = with_clock();
    let claim = jobs.try_claim("work", TTL).wait().unwrap();
    let silent = Arc::new(Silent);
    let waker = Waker::from(Arc::clone(&silent));
    let mut lost = Box::pin(claim.lost());
    for _ in 0..10 {
        let polled = lost.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    assert_eq!(Arc::strong_count(&silent), 3);
    drop(lost);
    assert_eq!(Arc::strong_count(&silent), 2);
}
