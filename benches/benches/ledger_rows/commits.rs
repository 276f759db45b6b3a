//! Rows about committing: one event at a time, by eight processes and by eight threads.

use std::path::Path;
use std::thread;
use std::time::Duration;

use lease_benches::{is_wanted, quantile};

use super::Room;
use super::contestant::{Contestant, Kind};
use super::disk::Disk;
use super::processes::Processes;
use super::report::{self, Goal};

/// How many commit at once.
const MANY: usize = 8;

/// How often each side has its turn, after one that warms up.
const ROUNDS: usize = 9;

/// How long a turn is, and how long the disk's is.
const TURN: Duration = Duration::from_secs(1);
const DISK_TURN: Duration = Duration::from_millis(200);

/// Runs these rows; returns how many targets were missed.
pub(crate) fn run(room: &Room) -> usize {
    let mut missed = 0;
    let processes = |kind: Kind, folder: &Path| Party::Processes(Processes::start(kind, folder, MANY));
    let threads = |kind: Kind, folder: &Path| {
        Party::Threads(
            (0..MANY as u64)
                .map(|number| kind.enter(folder, number))
                .collect(),
        )
    };
    let row = "synced, 8 processes";
    if is_wanted(row) {
        let turns = compete(room, processes, Kind::Synced, Kind::Full);
        missed += turns.rate(row, Goal::AtLeast(2.0));
        missed += turns.p99(row, Goal::AtMost(0.5));
        missed += turns.evenness(row, Goal::AtLeast(0.5));
        turns.disk(row);
    }
    let row = "synced, 8 threads";
    if is_wanted(row) {
        let turns = compete(room, threads, Kind::Synced, Kind::Full);
        missed += turns.rate(row, Goal::AtLeast(3.0));
        turns.p99(row, Goal::None);
        turns.disk(row);
    }
    let row = "buffered, 8 threads";
    if is_wanted(row) {
        let turns = compete(room, threads, Kind::Buffered, Kind::Unsigned);
        missed += turns.rate(row, Goal::AtLeast(0.3));
        turns.p99(row, Goal::None);
        turns.disk(row);
    }
    missed
}

/// All who commit on one side.
enum Party {
    Processes(Processes),
    Threads(Vec<Contestant>),
}

impl Party {
    /// What each of them says its commits took.
    fn run(&mut self) -> Vec<Vec<u32>> {
        match self {
            Self::Processes(processes) => processes.run(TURN),
            Self::Threads(contestants) => thread::scope(|scope| {
                let running: Vec<_> = contestants
                    .iter_mut()
                    .map(|contestant| scope.spawn(|| contestant.run(TURN)))
                    .collect();
                let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
                ended.map(|latencies| latencies.expect("no panic")).collect()
            }),
        }
    }
}

/// What was measured of one side, by round.
#[derive(Debug, Default)]
struct Turns {
    rates: Vec<f64>,
    p99s: Vec<f64>,
    slowest: Vec<f64>,
    fastest: Vec<f64>,
}

impl Turns {
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    fn take(&mut self, latencies: &[Vec<u32>]) {
        let counts: Vec<f64> = latencies.iter().map(|one| one.len() as f64).collect();
        self.rates.push(counts.iter().sum::<f64>() / TURN.as_secs_f64());
        self.slowest.push(quantile(counts.clone(), 0.0));
        self.fastest.push(quantile(counts, 1.0));
        let all: Vec<f64> = latencies
            .iter()
            .flatten()
            .map(|&micros| f64::from(micros))
            .collect();
        self.p99s.push(quantile(all, 0.99));
    }
}

/// A row's two sides, and the disk between them.
#[derive(Debug, Default)]
struct Result {
    ours: Turns,
    theirs: Turns,
    syncs: Vec<f64>,
}

fn compete(room: &Room, party: impl Fn(Kind, &Path) -> Party, ours: Kind, theirs: Kind) -> Result {
    let mut result = Result::default();
    {
        let mut us = party(ours, &room.path("ours"));
        let mut them = party(theirs, &room.path("theirs"));
        let mut disk = Disk::new(&room.path("disk"));
        for round in 0..=ROUNDS {
            let warming = &mut Result::default();
            // The first round warms up.
            let result = if round == 0 { warming } else { &mut result };
            for turn in 0..3 {
                match (round + turn) % 3 {
                    0 => result.ours.take(&us.run()),
                    1 => result.theirs.take(&them.run()),
                    _ => result.syncs.push(disk.rate(DISK_TURN)),
                }
            }
        }
    }
    room.clear("ours");
    room.clear("theirs");
    result
}

impl Result {
    fn rate(&self, row: &str, goal: Goal) -> usize {
        report::line(row, "commits/s", &self.ours.rates, &self.theirs.rates, "/s", goal)
    }

    fn p99(&self, row: &str, goal: Goal) -> usize {
        report::line(row, "p99", &self.ours.p99s, &self.theirs.p99s, "us", goal)
    }

    fn evenness(&self, row: &str, goal: Goal) -> usize {
        let (slowest, fastest) = (&self.ours.slowest, &self.ours.fastest);
        let missed = report::line(row, "slowest to fastest, ours", slowest, fastest, "", goal);
        let (slowest, fastest) = (&self.theirs.slowest, &self.theirs.fastest);
        report::line(row, "slowest to fastest, peer", slowest, fastest, "", Goal::None);
        missed
    }

    fn disk(&self, row: &str) {
        report::note(row, "raw fdatasync", &self.syncs, "/s");
    }
}
