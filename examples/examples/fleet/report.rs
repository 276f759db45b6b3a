//! What a run did, and the proofs that it did it right.

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::Duration;

use lease::{EventRecord, LeaseReducer, LeaseReducerState, Registrar, replay};

use crate::failure::Failure;
use crate::results::{Results, Totals};

/// Where things stood when the run began.
pub(crate) struct Before {
    pub(crate) open: u64,
    bytes: u64,
    refused: u64,
    issued: usize,
    expired: usize,
    revoked: usize,
}

impl Before {
    pub(crate) fn look(jobs: &Registrar, results: &Results) -> Result<Self, Failure> {
        let totals = results.totals()?;
        let (issued, expired, revoked) =
            jobs.query(|state| (state.len(), state.expired_count(), state.revoked_count()))?;
        Ok(Self {
            open: totals.files - totals.done,
            bytes: totals.bytes,
            refused: totals.refused,
            issued,
            expired,
            revoked,
        })
    }
}

/// What the supervisor saw.
pub(crate) struct Run {
    pub(crate) elapsed: Duration,
    pub(crate) interrupted: bool,
    pub(crate) workers: Vec<Worker>,
    pub(crate) kills: u64,
    pub(crate) freezes: u64,
}

/// What one worker that ended well said of itself.
pub(crate) struct Worker {
    acquired: u64,
    recorded: u64,
    peak: u64,
    leaked: u64,
}

impl Worker {
    /// Reads the line that `worker::run` prints.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self {
            acquired: next()?,
            recorded: next()?,
            peak: next()?,
            leaked: next()?,
        })
    }
}

/// Prints figures and proofs; says whether every proof held.
pub(crate) fn print(
    jobs: &Registrar,
    results: &Results,
    before: &Before,
    run: &Run,
) -> Result<bool, Failure> {
    if !run.interrupted {
        wait_for_the_dead(jobs)?;
    }
    let totals = results.totals()?;
    figures(jobs, &totals, before, run)?;

    let history = history(jobs)?;
    let replayed = replay(LeaseReducer::new(), &history);
    let mut proofs = vec![
        exactly_once(results, replayed.state(), run.interrupted)?,
        verified(jobs),
        Proof::new(
            "replay equal to the live state",
            jobs.query(|live| live == replayed.state())?
                .then(|| format!("{} leases", replayed.state().len()))
                .ok_or("the state replayed from genesis differs from the registrar's".to_owned()),
        ),
    ];
    proofs.push(nothing_leaked(replayed.state(), run));
    println!();
    for proof in &proofs {
        match &proof.outcome {
            Ok(evidence) => println!("ok      {}: {evidence}", proof.claim),
            Err(objection) => println!("FAILED  {}: {objection}", proof.claim),
        }
    }
    if run.interrupted {
        println!("\ninterrupted; run again with the same state to go on");
    }
    Ok(proofs.iter().all(|proof| proof.outcome.is_ok()))
}

/// Leases of workers that were killed while nobody else was left to take them over.
fn wait_for_the_dead(jobs: &Registrar) -> Result<(), Failure> {
    while jobs.query(LeaseReducerState::active_count)? > 0 {
        jobs.expire_due().wait()?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "rates for people")]
fn figures(jobs: &Registrar, totals: &Totals, before: &Before, run: &Run) -> Result<(), Failure> {
    let (issued, expired, revoked) = jobs.query(|state| {
        (
            state.len() - before.issued,
            state.expired_count() - before.expired,
            state.revoked_count() - before.revoked,
        )
    })?;
    let seconds = run.elapsed.as_secs_f64();
    let sum = |of: fn(&Worker) -> u64| run.workers.iter().map(of).sum::<u64>();
    println!();
    println!(
        "files      {} of {} done, {} of them in this run, {} unreadable",
        totals.done,
        totals.files,
        totals.done - (totals.files - before.open),
        totals.unreadable,
    );
    println!(
        "content    {:.1} MB in this run; {} lines and {} words in all",
        (totals.bytes - before.bytes) as f64 / 1e6,
        totals.lines,
        totals.words,
    );
    println!(
        "claims     {issued} in {seconds:.1} s: {:.0} claims/s",
        issued as f64 / seconds
    );
    println!("chaos      {} workers killed, {} frozen", run.kills, run.freezes);
    println!(
        "recovery   {} claims reclaimed, {revoked} from the dead and {expired} from the late; {} stale writes refused",
        revoked + expired,
        totals.refused - before.refused,
    );
    println!(
        "pool       {} buffers leased by the {} workers that ended well, at most {} KiB held by one",
        sum(|worker| worker.acquired),
        run.workers.len(),
        run.workers.iter().map(|worker| worker.peak).max().unwrap_or(0) >> 10,
    );
    println!(
        "owner      {} regions on record as borrowed",
        sum(|worker| worker.recorded)
    );
    Ok(())
}

/// One thing that has to be true of a run.
struct Proof {
    claim: &'static str,
    outcome: Result<String, String>,
}

impl Proof {
    fn new(claim: &'static str, outcome: Result<String, String>) -> Self {
        Self { claim, outcome }
    }
}

fn history(jobs: &Registrar) -> Result<Vec<EventRecord>, Failure> {
    let mut history: Vec<EventRecord> = Vec::new();
    loop {
        let after = history.last().map_or(0, |record| record.sequence);
        let page = jobs
            .ledger()
            .read(after, 4096)
            .map_err(lease::RegistrarError::from)?;
        if page.is_empty() {
            return Ok(history);
        }
        history.extend(page);
    }
}

/// Every file has exactly one accepted write, under a token that the ledger issued for that very file.
fn exactly_once(results: &Results, state: &LeaseReducerState, interrupted: bool) -> Result<Proof, Failure> {
    let claim = "every file exactly once by token";
    let issued: HashMap<u64, &str> = state
        .leases()
        .iter()
        .map(|lease| (lease.fencing_token, lease.work_id.as_str()))
        .collect();
    let mut accepted: HashMap<String, Vec<u64>> = HashMap::new();
    for (work, token) in results.accepted()? {
        accepted.entry(work).or_default().push(token);
    }
    let mut tokens = HashSet::new();
    let mut open = 0_usize;
    for (work, token) in results.tokens()? {
        let writes = accepted.get(&work).map_or(&[][..], Vec::as_slice);
        let objection = match (token, writes) {
            (None, []) if interrupted => {
                open += 1;
                continue;
            }
            (None, _) => format!("{work} has no result"),
            (Some(token), [write]) if *write == token => match issued.get(&token) {
                Some(issued_for) if *issued_for == work && tokens.insert(token) => continue,
                Some(issued_for) => {
                    format!("{work} was written under token {token}, issued for {issued_for}")
                }
                None => format!("{work} was written under token {token}, which nobody issued"),
            },
            (Some(_), writes) => format!("{work} was written {} times", writes.len()),
        };
        return Ok(Proof::new(claim, Err(objection)));
    }
    let rest = if open > 0 {
        format!(", {open} still open")
    } else {
        String::new()
    };
    Ok(Proof::new(
        claim,
        Ok(format!("{} files, {} tokens{rest}", tokens.len(), tokens.len())),
    ))
}

fn verified(jobs: &Registrar) -> Proof {
    let outcome = match jobs.verify() {
        Ok(head) => Ok(format!("{} records, chain and signatures", head.sequence)),
        Err(fault) => Err(fault.to_string()),
    };
    Proof::new("ledger verified", outcome)
}

fn nothing_leaked(state: &LeaseReducerState, run: &Run) -> Proof {
    let leaked: u64 = run.workers.iter().map(|worker| worker.leaked).sum();
    let held = state.active_count();
    let outcome = if leaked == 0 && (held == 0 || run.interrupted) {
        Ok(format!(
            "{} workers gave everything back, {held} claims still held",
            run.workers.len()
        ))
    } else {
        Err(format!("{leaked} objects, records or bytes, and {held} claims"))
    };
    Proof::new("nothing leaked", outcome)
}
