//! The parent process: starts the workers, watches them, replaces the dead, and ends with the report.

use std::collections::HashSet;
use std::fmt::Write;
use std::io::{IsTerminal, Read};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use lease::Registrar;
use lease_examples::timeline::{self, By};
use rustix::process::Pid;

use crate::args::Args;
use crate::chaos::{Chaos, Strike};
use crate::failure::Failure;
use crate::results::Results;
use crate::{input, report, worker};

/// How often the supervisor looks at its workers.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the fleet to its end, or until Ctrl-C.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let directory = input::directory(args)?;
    let items = input::items(&directory, args.limit)?;
    std::fs::create_dir_all(&args.state).map_err(|error| Failure::State {
        path: args.state.clone(),
        error,
    })?;
    let jobs = Registrar::open(args.ledger()).map_err(|error| Failure::Ledger {
        path: args.ledger(),
        error,
    })?;
    let mut results = Results::open(&args.results())?;
    results.add(&items)?;
    let before = report::Before::look(&jobs, &results)?;
    println!(
        "{} files below {}, {} of them open; {} workers{}; state in {}",
        items.len(),
        directory.display(),
        before.open,
        args.workers,
        if args.chaos { " under chaos" } else { "" },
        args.state.display(),
    );

    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    // Without a handler Ctrl-C still stops everything, only without a report.
    let _ = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed));

    let started = Instant::now();
    let mut fleet = Fleet {
        args,
        workers: Vec::new(),
        killed: HashSet::new(),
        gone: Vec::new(),
    };
    let mut chaos = args.chaos.then(|| Chaos::new(args.ttl()));
    let outcome = fleet.watch(&jobs, &results, &interrupted, chaos.as_mut());
    if let Some(chaos) = &mut chaos {
        chaos.thaw_all();
    }
    fleet.stop();
    outcome?;

    let interrupted = interrupted.load(Ordering::Relaxed);
    let run = report::Run {
        elapsed: started.elapsed(),
        interrupted,
        workers: fleet.gone,
        kills: chaos.as_ref().map_or(0, |chaos| chaos.kills),
        freezes: chaos.as_ref().map_or(0, |chaos| chaos.freezes),
    };
    let proven = report::print(&jobs, &results, &before, &run)?;
    if let Some(path) = &args.timeline {
        let picture = jobs.query(|state| timeline::draw(&state.leases(), By::Holder, jobs.clock().wall()))?;
        std::fs::write(path, picture).map_err(|error| Failure::State {
            path: path.clone(),
            error,
        })?;
        println!("timeline   {}", path.display());
    }
    jobs.close().wait()?;
    Ok(match (proven, interrupted) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => ExitCode::from(130),
        (true, false) => ExitCode::SUCCESS,
    })
}

/// The workers, and what became of those that ended.
struct Fleet<'a> {
    args: &'a Args,
    workers: Vec<(u16, Child)>,
    killed: HashSet<u32>,
    gone: Vec<report::Worker>,
}

impl Fleet<'_> {
    /// Keeps the workers going until all of them found nothing left to do.
    fn watch(
        &mut self,
        jobs: &Registrar,
        results: &Results,
        interrupted: &AtomicBool,
        mut chaos: Option<&mut Chaos>,
    ) -> Result<(), Failure> {
        for number in 0..self.args.workers {
            self.start(number)?;
        }
        let progress = Progress::new(results)?;
        while !self.workers.is_empty() && !interrupted.load(Ordering::Relaxed) {
            thread::sleep(LOOK);
            if let Some(chaos) = chaos.as_deref_mut()
                && let Strike::Killed(pid) = chaos.strike(|| self.holders(jobs))?
            {
                self.killed.insert(pid.as_raw_nonzero().get().unsigned_abs());
            }
            self.reap(jobs)?;
            progress.show(results)?;
        }
        progress.finish();
        Ok(())
    }

    /// The workers that hold a claim at this moment.
    fn holders(&self, jobs: &Registrar) -> Result<Vec<Pid>, Failure> {
        let held_by = jobs.query(|state| {
            let actors = state
                .active_leases()
                .into_iter()
                .map(|lease| lease.actor_id.clone());
            actors.collect::<HashSet<_>>()
        })?;
        let holds = |(number, child): &&(u16, Child)| held_by.contains(&worker::actor(*number, child.id()));
        Ok(self
            .workers
            .iter()
            .filter(holds)
            .map(|(_, child)| Pid::from_child(child))
            .collect())
    }

    fn start(&mut self, number: u16) -> Result<(), Failure> {
        let program = std::env::current_exe().map_err(Failure::Process)?;
        let mut command = Command::new(program);
        command
            .args([
                "--worker",
                &number.to_string(),
                "--workers",
                &self.args.workers.to_string(),
                "--state",
            ])
            .arg(&self.args.state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if self.args.chaos {
            command.arg("--chaos");
        }
        let child = command.spawn().map_err(Failure::Process)?;
        self.workers.push((number, child));
        Ok(())
    }

    /// Takes note of workers that ended; a killed one is replaced, one that failed ends the run.
    fn reap(&mut self, jobs: &Registrar) -> Result<(), Failure> {
        let mut index = 0;
        while index < self.workers.len() {
            let (number, child) = &mut self.workers[index];
            let number = *number;
            let Some(status) = child.try_wait().map_err(Failure::Process)? else {
                index += 1;
                continue;
            };
            let (_, child) = self.workers.swap_remove(index);
            if self.killed.contains(&child.id()) && !status.success() {
                self.start(number)?;
                // Whoever wants its file takes its claim back; now nobody has to come by first.
                jobs.expire_due().wait()?;
            } else if status.success() {
                self.note(child);
            } else {
                return Err(Failure::Worker { number });
            }
        }
        Ok(())
    }

    /// Reads what a worker that ended well said of itself.
    fn note(&mut self, mut child: Child) {
        let mut said = String::new();
        if let Some(stdout) = &mut child.stdout {
            // A worker that said nothing has nothing on record; the report shows how many did.
            let _ = stdout.read_to_string(&mut said);
        }
        self.gone.extend(report::Worker::parse(&said));
    }

    /// Closes every worker's input and waits for it to end.
    fn stop(&mut self) {
        for (_, child) in &mut self.workers {
            drop(child.stdin.take());
        }
        for (_, mut child) in std::mem::take(&mut self.workers) {
            if child.wait().is_ok_and(|status| status.success()) {
                self.note(child);
            }
        }
    }
}

/// The bar; where there is no terminal, a line every few seconds.
struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
    last: std::cell::Cell<Instant>,
}

impl Progress {
    fn new(results: &Results) -> Result<Self, Failure> {
        let totals = results.totals()?;
        let bar = ProgressBar::new(totals.files).with_position(totals.done);
        bar.reset_eta();
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {pos}/{len} files, {rate} files/s, {eta} left")
        {
            bar.set_style(
                style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                    // The bar's own text is all that could fail.
                    let _ = write!(out, "{:.0}", state.per_sec());
                }),
            );
        }
        let is_terminal = std::io::stderr().is_terminal();
        Ok(Self {
            bar,
            is_terminal,
            last: std::cell::Cell::new(Instant::now()),
        })
    }

    fn show(&self, results: &Results) -> Result<(), Failure> {
        let every = if self.is_terminal {
            Duration::from_millis(100)
        } else {
            Duration::from_secs(3)
        };
        if self.last.get().elapsed() >= every {
            self.last.set(Instant::now());
            let totals = results.totals()?;
            self.bar.set_position(totals.done);
            if !self.is_terminal {
                println!("{} of {} files", totals.done, totals.files);
            }
        }
        Ok(())
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
