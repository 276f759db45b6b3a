//! What an `exclusive` function does, through what it expands to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lease::__private::exclusive::{Exclusive, claim};
use lease::{Claim, ClaimError, Completion, Registrar};
use lease_tests::faulty::FaultyLedger;
use lease_tests::patience::eventually;

use crate::setup::{TTL, last_release, with_clock};

fn ask(jobs: &Registrar) -> Completion<Claim, ClaimError> {
    claim(Some(jobs), "work", TTL).acquire()
}

async fn hold<T>(
    jobs: &Registrar,
    body: impl Future<Output = Result<T, ClaimError>>,
) -> Result<T, ClaimError> {
    match Exclusive::begin(ask(jobs)).await {
        Ok(exclusive) => exclusive.hold(body).await,
        Err(error) => Err(error),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap()
}

#[test]
fn a_body_that_ends_well_has_completed_the_work() {
    let (jobs, _clock) = with_clock();
    let done = Exclusive::run(ask(&jobs), |claim| {
        assert!(claim.is_held());
        assert!(jobs.query(|state| state.has_active_lease("work")).unwrap());
        Ok::<_, ClaimError>(7)
    });
    assert_eq!(done.unwrap(), 7);
    // Released explicitly: it is done by the time the function returns.
    assert_eq!(last_release(&jobs, "work").as_deref(), Some("COMPLETED"));
    assert_eq!(runtime().block_on(hold(&jobs, async { Ok(8) })).unwrap(), 8);
    assert_eq!(last_release(&jobs, "work").as_deref(), Some("COMPLETED"));
}

#[test]
fn a_body_that_fails_has_aborted_the_work() {
    let (jobs, _clock) = with_clock();
    let failed = Exclusive::run(ask(&jobs), |_| Err::<(), _>(ClaimError::NoRegistrar));
    assert!(matches!(failed, Err(ClaimError::NoRegistrar)));
    assert_eq!(last_release(&jobs, "work").as_deref(), Some("ABORTED"));
    let failed = runtime().block_on(hold::<()>(&jobs, async { Err(ClaimError::NoRegistrar) }));
    assert!(matches!(failed, Err(ClaimError::NoRegistrar)));
    assert_eq!(last_release(&jobs, "work").as_deref(), Some("ABORTED"));
}

#[test]
fn a_body_that_panics_has_aborted_the_work() {
    let (jobs, _clock) = with_clock();
    let theirs = jobs.clone();
    let panicked = std::thread::spawn(move || {
        Exclusive::run(ask(&theirs), |_| -> Result<(), ClaimError> {
            panic!("on purpose")
        })
    });
    assert!(panicked.join().is_err());
    eventually("the release", || last_release(&jobs, "work").is_some());
    assert_eq!(last_release(&jobs, "work").as_deref(), Some("ABORTED"));
}

#[test]
fn a_body_whose_future_is_dropped_gives_the_work_back() {
    let (jobs, _clock) = with_clock();
    let runtime = runtime();
    let theirs = jobs.clone();
    let task = runtime.spawn(async move { hold::<()>(&theirs, std::future::pending()).await });
    eventually("the claim", || {
        jobs.query(|state| state.has_active_lease("work")).unwrap()
    });
    task.abort();
    eventually("the release", || last_release(&jobs, "work").is_some());
    assert_eq!(last_release(&jobs, "work").as_deref(), Some("VOLUNTARY"));
}

#[test]
fn a_body_does_not_begin_while_somebody_else_holds_the_work() {
    let (jobs, _clock) = with_clock();
    let held = jobs.try_claim("work", TTL).wait().unwrap();
    let refused = Exclusive::run(ask(&jobs), |_| -> Result<(), ClaimError> { panic!("it ran") });
    assert!(matches!(refused, Err(ClaimError::Busy(_))));
    let refused = runtime().block_on(hold::<()>(&jobs, async { panic!("it ran") }));
    assert!(matches!(refused, Err(ClaimError::Busy(_))));
    drop(held);
}

#[test]
fn an_async_body_is_dropped_when_the_claim_is_lost() {
    struct Dropped(Arc<AtomicU32>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let ledger = FaultyLedger::default();
    let clock = lease::ManualClock::new();
    let jobs = Registrar::builder()
        .clock(clock.clone())
        .on(Arc::new(ledger.clone()))
        .unwrap();
    let runtime = runtime();
    let (begun, drops) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (theirs, has_begun, guard) = (jobs.clone(), Arc::clone(&begun), Dropped(Arc::clone(&drops)));
    let task = runtime.spawn(async move {
        hold::<()>(&theirs, async move {
            let _guard = guard;
            has_begun.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        })
        .await
    });
    eventually("the body", || begun.load(Ordering::SeqCst) == 1);
    let hanging = ledger.hang();
    clock.advance(TTL);
    let lost = runtime.block_on(task).unwrap();
    assert!(matches!(lost, Err(ClaimError::Lost { .. })), "{lost:?}");
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    drop(hanging);
}

#[test]
fn an_async_body_that_ends_after_the_claim_was_lost_is_not_believed() {
    let (jobs, clock) = with_clock();
    // Lost within its own last poll, where nobody could stop it.
    let lost = runtime().block_on(hold(&jobs, async {
        clock.advance(TTL);
        Ok(7)
    }));
    assert!(matches!(lost, Err(ClaimError::Lost { .. })), "{lost:?}");
}

#[test]
fn an_async_body_is_not_polled_again_after_the_claim_was_lost() {
    let (jobs, clock) = with_clock();
    let lost = runtime().block_on(hold::<()>(&jobs, async {
        clock.advance(TTL);
        tokio::task::yield_now().await;
        panic!("polled after the loss");
    }));
    assert!(matches!(lost, Err(ClaimError::Lost { .. })), "{lost:?}");
}

#[test]
fn a_sync_body_whose_claim_was_lost_gets_the_loss_at_its_end() {
    let (jobs, clock) = with_clock();
    let lost = Exclusive::run(ask(&jobs), |claim| {
        clock.advance(TTL);
        assert!(!claim.is_held());
        Ok::<_, ClaimError>(7)
    });
    assert!(matches!(lost, Err(ClaimError::Lost { .. })), "{lost:?}");
}

#[test]
fn without_a_registrar_there_is_no_claim() {
    // No test of this process installs one.
    let refused = Exclusive::run(claim(None, "work", TTL).acquire(), |_| Ok::<_, ClaimError>(()));
    assert!(matches!(refused, Err(ClaimError::NoRegistrar)), "{refused:?}");
}
