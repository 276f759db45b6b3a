//! A process that is killed at each step of a commit: before every system call that its writer makes.
//!
//! `strace` counts the calls of each kind and thread, and kills before the chosen one. What one commit is made of is
//! counted first, in a run that ends well.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use lease::{LeaseReducerState, LeaseState, Registrar, ReleaseReason};
use tempfile::TempDir;

const LEDGER: &str = "LEASE_TEST_STEPS";
const ROUNDS: &str = "LEASE_TEST_ROUNDS";
/// Longer than any test waits.
const TTL: Duration = Duration::from_mins(10);

/// How many commands are counted.
const COUNTED: usize = 30;

/// What the child does: it takes back what the one before it left, then it issues and releases and says what was
/// acknowledged, until it is killed.
#[test]
fn worker() {
    let Ok(path) = std::env::var(LEDGER) else {
        return;
    };
    let rounds: usize = std::env::var(ROUNDS).unwrap().parse().unwrap();
    let registrar = Registrar::open(path).unwrap();
    registrar.expire_due().wait().unwrap();
    for number in 0..rounds / 3 {
        let lease = registrar.issue(format!("item-{number}"), TTL).wait().unwrap();
        println!("\nissued {}", lease.lease_id);
        registrar
            .release(&lease.lease_id, ReleaseReason::Completed)
            .wait()
            .unwrap();
        println!("released {}", lease.lease_id);
        // One that stays, so that there is something to take back.
        let lease = registrar.issue(format!("held-{number}"), TTL).wait().unwrap();
        println!("issued {}", lease.lease_id);
    }
}

/// The directory that has the key's name is synced after the key was found there, by whoever that was: its maker may
/// have died before he could.
#[test]
fn a_key_that_is_found_is_made_durable_before_it_is_used() {
    let Some(site) = Site::new() else { return };
    drop(Registrar::open(&site.path).unwrap());
    let (status, said) = site.run(0, &["-y", "-e", "trace=openat,fsync"]);
    assert!(status.success(), "{said}");
    let log = fs::read_to_string(&site.log).unwrap();
    let mut lines = log.lines();
    assert!(lines.any(|line| line.contains("registrar.key")), "{log}");
    let directory = format!("<{}>", fs::canonicalize(&site.path).unwrap().display());
    assert!(
        lines.any(|line| line.contains("fsync(") && line.contains(&directory)),
        "{log}"
    );
}

struct Site {
    path: PathBuf,
    log: PathBuf,
    _root: TempDir,
}

impl Site {
    /// `None`, and a line that says so, where tracing is not allowed.
    fn new() -> Option<Self> {
        let allowed = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
        if !allowed.is_ok_and(|output| output.status.success()) {
            println!("skipped: strace is missing or may not trace");
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        Some(Self {
            path: root.path().join("jobs.lease"),
            log: root.path().join("log"),
            _root: root,
        })
    }

    /// Runs the worker, and returns how it ended and what it said in whole lines.
    fn run(&self, rounds: usize, more: &[&str]) -> (ExitStatus, String) {
        let output = Command::new("strace")
            .args(["-f", "-qq", "-e", "signal=none", "-o"])
            .arg(&self.log)
            .args(more)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "steps::worker", "--nocapture"])
            .env(LEDGER, &self.path)
            .env(ROUNDS, rounds.to_string())
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let mut said = String::from_utf8(output.stdout).unwrap();
        let whole = said.rfind('\n').map_or(0, |end| end + 1);
        said.truncate(whole);
        // It ends as its child did.
        (output.status, said)
    }

    /// Runs the worker until it is killed before the `number`-th call of this kind in any of its threads.
    fn kill(&self, call: &str, number: usize) -> String {
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:signal=KILL:when={number}");
        let (status, said) = self.run(30_000, &["-e", &trace, "-e", &inject]);
        assert_eq!(status.signal(), Some(9), "{status:?} at {call} {number}: {said}");
        said
    }

    fn living(&self) -> usize {
        fs::read_dir(self.path.join("live")).unwrap().count()
    }
}

/// How often each thread made each call.
fn calls(log: &Path) -> HashMap<String, BTreeMap<String, usize>> {
    let mut counts: HashMap<String, BTreeMap<String, usize>> = HashMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        // `PID call(…`; what goes on with `PID <... call resumed>` was counted when it began.
        let Some((thread, rest)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let call = rest.trim_start().split('(').next().unwrap_or_default();
        if !call.is_empty()
            && call
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            *counts
                .entry(thread.to_owned())
                .or_default()
                .entry(call.to_owned())
                .or_default() += 1;
        }
    }
    counts
}

/// The call and its number for each call in one commit.
fn steps_of_a_commit(site: &Site) -> Vec<(String, usize)> {
    let (status, said) = site.run(COUNTED, &[]);
    assert!(status.success(), "{said}");
    let mut threads = calls(&site.log);
    let syncs = |calls: &BTreeMap<String, usize>| calls.get("fdatasync").copied().unwrap_or(0);
    let writer = threads
        .iter()
        .max_by_key(|(_, calls)| syncs(calls))
        .unwrap()
        .0
        .clone();
    let writer = threads.remove(&writer).unwrap();
    assert!(syncs(&writer) >= COUNTED, "each command is synced: {writer:?}");
    let mut steps = Vec::new();
    for (call, count) in writer {
        // Those change nothing that others see, and the other threads make as many of them.
        if ["futex", "write", "getpid", "munmap", "mmap", "brk", "madvise"].contains(&call.as_str()) {
            continue;
        }
        let each = count.div_ceil(COUNTED);
        if count < COUNTED {
            continue;
        }
        let of_others = threads
            .values()
            .map(|calls| calls.get(&call).copied().unwrap_or(0))
            .max();
        let first = of_others.unwrap_or(0) + 2 * each;
        steps.extend((first..=first + each).map(|number| (call.clone(), number)));
    }
    steps
}

/// What was acknowledged is there, and the next process goes on at once.
fn check(site: &Site, said: &str, step: &str) -> usize {
    let of =
        |word: &str| -> HashSet<&str> { said.lines().filter_map(|line| line.strip_prefix(word)).collect() };
    let (issued, released) = (of("issued "), of("released "));
    let registrar = Registrar::open(&site.path).unwrap();
    registrar.verify().unwrap();
    registrar
        .query(|state| {
            for lease_id in &issued {
                assert!(state.get(lease_id).is_some(), "{lease_id} was lost at {step}");
            }
            for lease_id in &released {
                let is_released = state.get(lease_id).unwrap().state == LeaseState::Released;
                assert!(is_released, "the release of {lease_id} was lost at {step}");
            }
        })
        .unwrap();
    let claim = registrar
        .claim_timeout("held-0", TTL, Duration::from_secs(20))
        .wait()
        .unwrap();
    claim.release(ReleaseReason::Completed).wait().unwrap();
    registrar.close().wait().unwrap();
    issued.len() + released.len()
}

#[test]
fn a_process_that_is_killed_at_any_step_loses_nothing_acknowledged_and_blocks_nobody() {
    let Some(site) = Site::new() else { return };
    let steps = steps_of_a_commit(&site);
    let kinds: HashSet<_> = steps.iter().map(|(call, _)| call.as_str()).collect();
    for expected in ["flock", "fcntl", "pwrite64", "fdatasync"] {
        assert!(kinds.contains(expected), "{expected} is not among {kinds:?}");
    }
    println!("{} steps of {kinds:?}", steps.len());
    let mut acknowledged = 0;
    for (call, number) in &steps {
        let said = site.kill(call, *number);
        acknowledged += check(&site, &said, &format!("{call} {number}"));
    }
    assert!(acknowledged > 0, "no command came that far");
}

#[test]
fn a_process_that_is_killed_between_taking_back_and_burying_leaves_both_to_others() {
    let Some(site) = Site::new() else { return };
    let said = site.kill("fdatasync", 20);
    assert!(said.contains("issued "), "{said}");
    let active = |registrar: &Registrar| registrar.query(LeaseReducerState::active_count).unwrap();
    // The next one takes back what the first one held, and is killed before it removes its file.
    site.kill("unlink,unlinkat", 1);
    assert_eq!(site.living(), 2);
    let registrar = Registrar::open(&site.path).unwrap();
    assert_eq!(active(&registrar), 0, "it was taken back");
    assert_eq!(site.living(), 1, "the files of both are gone");
    registrar.verify().unwrap();
}
