//! An exclusive function on plain threads: a report that is made once, however many workers are asked to, over a ledger
//! on disk that any number of processes may share.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use lease::{ClaimError, LeaseState, Registrar, ReleaseReason, leased};

static MADE: AtomicU32 = AtomicU32::new(0);

/// `at_least` keeps the report closed for a while after it was made, so that a late worker does not make it again.
#[leased(exclusive, work = "report/{day}", ttl = "10s", at_least = "1m", registrar = jobs, claim = claim)]
fn report(day: &str, jobs: &Registrar) -> Result<String, ClaimError> {
    MADE.fetch_add(1, Ordering::Relaxed);
    assert!(
        claim.is_held(),
        "asked from the clock, whenever the body wants to know"
    );
    Ok(format!("the report of {day}"))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new("target").join(format!("exclusive_sync-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = make_reports(&folder);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn make_reports(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let jobs = Registrar::open(folder.join("jobs.lease"))?;
    let outcomes: Vec<Result<String, ClaimError>> = thread::scope(|threads| {
        let workers: Vec<_> = (0..4)
            .map(|_| threads.spawn(|| report("monday", &jobs)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("no worker panics"))
            .collect()
    });
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!((made, MADE.load(Ordering::Relaxed)), (1, 1), "one worker made it");
    for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        println!("{refused}");
        assert!(matches!(refused, ClaimError::Busy(_)));
    }

    // The ledger remembers, and can prove it.
    let (state, reason) = jobs.query(|state| {
        let lease = state.leases()[0];
        (lease.state, lease.release_reason)
    })?;
    assert_eq!(
        (state, reason),
        (LeaseState::Released, Some(ReleaseReason::Completed))
    );
    jobs.verify()?;
    jobs.close().wait()?;
    Ok(())
}
