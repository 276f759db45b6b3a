//! The row about death: how long the work item of a killed process stays without a holder.
//!
//! The bench starts itself as the holder, kills it with `SIGKILL` while somebody waits for the item, and looks when he
//! has it. Each round is one kill.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lease::{Registrar, ReleaseReason};
use lease_benches::is_wanted;

use super::Room;
use super::report::{self, Goal};

const HOLD: &str = "--hold";
const ITEM: &str = "held";

/// Longer than the row takes: what ends a lease is its holder's death.
const TTL: Duration = Duration::from_mins(10);

const KILLS: usize = 20;

/// The most milliseconds from the kill to the next holder.
const LIMIT: f64 = 50.0;

/// Whether this process was started to be killed.
pub(crate) fn is_holder() -> bool {
    env::args().nth(1).is_some_and(|argument| argument == HOLD)
}

/// What such a process does: it holds the item until it dies.
pub(crate) fn hold() {
    let path = env::args().nth(2).expect("a ledger");
    let registrar = Registrar::open(path).expect("a ledger");
    let claim = registrar.claim_timeout(ITEM, TTL, TTL).wait().expect("a claim");
    println!("held");
    loop {
        thread::park();
        assert!(claim.is_held());
    }
}

/// Runs the row; returns how many targets were missed.
pub(crate) fn run(room: &Room) -> usize {
    let row = "takeover";
    if !is_wanted(row) {
        return 0;
    }
    let path = room.path(row);
    let registrar = Registrar::open(&path).expect("a new ledger");
    let times: Vec<f64> = (0..KILLS).map(|_| kill(&registrar, &path)).collect();
    drop(registrar);
    room.clear(row);
    let longest = times.iter().copied().fold(0.0, f64::max);
    let goal = Goal::AtMost(1.0);
    report::line(row, "kill -9 to next holder", &times, &[LIMIT; KILLS], "ms", goal)
        + report::line(row, "the longest of 20", &[longest], &[LIMIT], "ms", goal)
}

/// One kill; returns the milliseconds until the item was held again.
fn kill(registrar: &Registrar, path: &Path) -> f64 {
    let mut holder = start(path);
    let waiting = registrar.claim_timeout(ITEM, TTL, TTL);
    // By then it has looked who is in the way, and found him alive.
    thread::sleep(Duration::from_millis(25));
    let killed = Instant::now();
    holder.kill().expect("it runs");
    let claim = waiting.wait().expect("the dead one's item");
    let taken = killed.elapsed();
    holder.wait().expect("it is dead");
    claim
        .release(ReleaseReason::Completed)
        .wait()
        .expect("it is ours");
    1e3 * taken.as_secs_f64()
}

/// A process that holds the item.
fn start(path: &Path) -> Child {
    let program = env::current_exe().expect("this program");
    let mut holder = Command::new(program)
        .arg(HOLD)
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut line = String::new();
    let answers = holder.stdout.take().expect("it is piped");
    BufReader::new(answers).read_line(&mut line).expect("an answer");
    assert_eq!(line.trim(), "held");
    holder
}
