//! `#[leased(exclusive)]`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lease::{ClaimError, FencingToken, LeaseReducerState, LeaseState, Registrar, ReleaseReason, leased};

#[derive(Debug)]
enum BillError {
    Claim(ClaimError),
    Refused(u64),
}

impl From<ClaimError> for BillError {
    fn from(error: ClaimError) -> Self {
        Self::Claim(error)
    }
}

/// How the last lease on a work item ended.
fn ended(registrar: &Registrar, work: &str) -> Option<ReleaseReason> {
    let last = |state: &LeaseReducerState| {
        let leases = state.leases();
        let mut of_work = leases.into_iter().filter(|lease| lease.work_id == work);
        of_work.next_back().cloned()
    };
    let lease = registrar.query(last).unwrap()?;
    assert_eq!(lease.state, LeaseState::Released);
    lease.release_reason
}

struct Office {
    registrar: Registrar,
    prefix: &'static str,
}

impl Office {
    fn new(prefix: &'static str) -> Self {
        Self {
            registrar: Registrar::in_memory().unwrap(),
            prefix,
        }
    }

    #[leased(exclusive, work("{}/{id}", self.prefix), ttl = "30s", registrar = self.registrar, claim = claim)]
    fn bill(&self, id: u64) -> Result<u64, BillError> {
        assert!(claim.is_held());
        assert!(
            matches!(self.bill(id), Err(BillError::Claim(ClaimError::Busy(_)))),
            "one at a time"
        );
        if id == 13 {
            return Err(BillError::Refused(id));
        }
        assert!(id < 100, "on purpose");
        Ok(claim.fencing_token().get())
    }
}

#[test]
fn the_body_runs_only_while_the_claim_is_held_and_says_how_it_ended() {
    let office = Office::new("invoice");
    let first = office.bill(7).unwrap();
    assert_eq!(
        ended(&office.registrar, "invoice/7"),
        Some(ReleaseReason::Completed)
    );
    assert!(office.bill(7).unwrap() > first, "tokens rise");

    assert!(matches!(office.bill(13), Err(BillError::Refused(13))));
    assert_eq!(
        ended(&office.registrar, "invoice/13"),
        Some(ReleaseReason::Aborted)
    );

    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| office.bill(100)));
    assert!(panicked.is_err());
    office.registrar.close().wait().unwrap();
    assert_eq!(
        ended(&office.registrar, "invoice/100"),
        Some(ReleaseReason::Aborted)
    );
}

#[test]
fn an_async_body_is_held_across_await_and_its_future_can_be_spawned() {
    #[leased(exclusive, work = "report/{name}", ttl = "30s", registrar = registrar, claim = claim)]
    async fn report<T>(
        name: String,
        registrar: Registrar,
        value: Result<T, u64>,
    ) -> Result<(T, FencingToken), BillError>
    where
        T: Send,
    {
        tokio::task::yield_now().await;
        let busy = registrar
            .try_claim(format!("report/{name}"), Duration::from_secs(30))
            .await;
        assert!(matches!(busy, Err(ClaimError::Busy(_))));
        let value = value.map_err(BillError::Refused)?;
        drop(name);
        Ok((value, claim.fencing_token()))
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let registrar = Registrar::in_memory().unwrap();
    let report = |name: &str, value| {
        let future = report(name.to_owned(), registrar.clone(), value);
        runtime.block_on(runtime.spawn(future)).unwrap()
    };
    assert_eq!(report("daily", Ok("done")).unwrap().0, "done");
    assert_eq!(ended(&registrar, "report/daily"), Some(ReleaseReason::Completed));
    assert!(matches!(report("weekly", Err(3)), Err(BillError::Refused(3))));
    assert_eq!(ended(&registrar, "report/weekly"), Some(ReleaseReason::Aborted));
}

#[test]
fn a_dropped_future_gives_the_work_back() {
    #[leased(exclusive, work = "stuck", ttl = "30s", registrar = registrar)]
    async fn stuck(registrar: &Registrar) -> Result<(), ClaimError> {
        std::future::pending().await
    }
    let registrar = Registrar::in_memory().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let limit = tokio::time::timeout(Duration::from_millis(200), stuck(&registrar)).await;
        assert!(limit.is_err());
    });
    registrar.close().wait().unwrap();
    assert_eq!(ended(&registrar, "stuck"), Some(ReleaseReason::Voluntary));
}

#[test]
fn a_lost_claim_is_the_callers_error_even_if_the_body_ended_well() {
    #[leased(exclusive, work = "lost/sync", ttl = "30s", registrar = registrar, claim = claim)]
    fn revoked(registrar: &Registrar) -> Result<u8, ClaimError> {
        registrar
            .revoke_work(claim.work_id(), "for the test")
            .wait()
            .unwrap();
        Ok(7)
    }
    #[leased(exclusive, work = "lost/async", ttl = "30s", registrar = registrar, claim = claim)]
    async fn revoked_later(registrar: &Registrar, after: &AtomicU64) -> Result<u8, ClaimError> {
        registrar
            .revoke_work(claim.work_id(), "for the test")
            .await
            .unwrap();
        std::future::pending::<()>().await;
        after.store(1, Ordering::Relaxed);
        Ok(7)
    }
    let registrar = Registrar::in_memory().unwrap();
    assert!(matches!(revoked(&registrar), Err(ClaimError::Lost { .. })));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let after = AtomicU64::new(0);
    let lost = runtime.block_on(revoked_later(&registrar, &after));
    assert!(matches!(lost, Err(ClaimError::Lost { .. })));
    assert_eq!(after.load(Ordering::Relaxed), 0);
}

#[test]
fn work_time_actor_and_at_least_reach_the_claim() {
    const TTL: Duration = Duration::from_secs(20);

    fn name(id: u64) -> String {
        format!("options/{id}")
    }

    #[leased(exclusive, work = name(id), ttl = TTL, registrar = registrar, actor = "me", at_least = "5m", claim = claim)]
    fn run(registrar: &Registrar, id: u64) -> Result<(String, String), ClaimError> {
        assert!(claim.remaining() > Duration::from_secs(10));
        let lease = claim.lease();
        Ok((lease.work_id, lease.actor_id))
    }
    let registrar = Registrar::in_memory().unwrap();
    let (work, actor) = run(&registrar, 7).unwrap();
    assert_eq!((work.as_str(), actor.as_str()), ("options/7", "me"));
    let closed = registrar.try_claim("options/7", TTL).wait();
    assert!(
        matches!(closed, Err(ClaimError::Busy(_))),
        "closed for five minutes"
    );
}

#[test]
fn wait_waits_for_the_holder_before_it() {
    #[leased(exclusive, work = "wait", ttl = "30s", registrar = registrar, wait = "1h")]
    fn second(registrar: &Registrar, first_is_done: &AtomicU64) -> Result<u64, ClaimError> {
        Ok(first_is_done.load(Ordering::Relaxed))
    }
    let registrar = Registrar::in_memory().unwrap();
    let first = registrar
        .try_claim("wait", Duration::from_secs(30))
        .wait()
        .unwrap();
    let first_is_done = AtomicU64::new(0);
    std::thread::scope(|threads| {
        let second = threads.spawn(|| second(&registrar, &first_is_done));
        std::thread::sleep(Duration::from_millis(50));
        first_is_done.store(1, Ordering::Relaxed);
        first.release(ReleaseReason::Completed).wait().unwrap();
        assert_eq!(second.join().unwrap().unwrap(), 1);
    });
}

#[test]
fn at_most_ends_the_claim_of_a_body_that_does_not_end() {
    #[leased(exclusive, work = "at most", ttl = "1s", registrar = registrar, at_most = "250ms")]
    async fn run(registrar: &Registrar) -> Result<(), ClaimError> {
        std::future::pending().await
    }
    let registrar = Registrar::in_memory().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let ended =
        runtime.block_on(async { tokio::time::timeout(Duration::from_mins(1), run(&registrar)).await });
    assert!(matches!(ended, Ok(Err(ClaimError::Lost { .. }))), "{ended:?}");
}

#[test]
fn without_a_registrar_of_its_own_a_function_uses_the_installed_one() {
    #[leased(exclusive, work = "global", ttl = "30s", claim = claim)]
    fn run() -> Result<String, ClaimError> {
        Ok(claim.lease().actor_id)
    }
    assert!(matches!(run(), Err(ClaimError::NoRegistrar)));
    let registrar = Registrar::in_memory().unwrap().with_actor("installed");
    registrar.install_global().unwrap();
    assert_eq!(run().unwrap(), "installed");
}

#[test]
fn coercions_that_the_signature_allows_still_happen_in_the_body() {
    type Dynamic = Result<Box<dyn Fn() -> u8>, Box<dyn std::error::Error>>;

    #[leased(exclusive, work = "coercions", ttl = "30s", registrar = registrar)]
    fn run(registrar: &Registrar, early: bool) -> Dynamic {
        if early {
            return Ok(Box::new(|| 1));
        }
        let number: u8 = "2".parse()?;
        Ok(Box::new(move || number))
    }
    #[leased(exclusive, work = "coercions", ttl = "30s", registrar = registrar)]
    async fn run_async(registrar: &Registrar, early: bool) -> Dynamic {
        if early {
            return Ok(Box::new(|| 3));
        }
        let number: u8 = "4".parse()?;
        Ok(Box::new(move || number))
    }
    let registrar = Registrar::in_memory().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut numbers = Vec::new();
    for early in [true, false] {
        numbers.push(run(&registrar, early).unwrap()());
        numbers.push(runtime.block_on(run_async(&registrar, early)).unwrap()());
    }
    assert_eq!(numbers, [1, 3, 2, 4]);
}

#[test]
fn a_method_of_an_async_trait_is_held_for_its_future() {
    #[async_trait::async_trait]
    trait Job {
        async fn run(&self, registrar: &Registrar) -> Result<String, ClaimError>;
    }

    struct Nightly(&'static str);

    #[async_trait::async_trait]
    impl Job for Nightly {
        #[leased(exclusive, work("{}/nightly", self.0), ttl = "30s", registrar = registrar, claim = claim)]
        async fn run(&self, registrar: &Registrar) -> Result<String, ClaimError> {
            tokio::task::yield_now().await;
            assert!(matches!(
                registrar.try_claim(claim.work_id(), Duration::from_secs(1)).await,
                Err(ClaimError::Busy(_))
            ));
            Ok(claim.work_id().to_owned())
        }
    }

    let registrar = Registrar::in_memory().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(
        runtime.block_on(Nightly("jobs").run(&registrar)).unwrap(),
        "jobs/nightly"
    );
}
