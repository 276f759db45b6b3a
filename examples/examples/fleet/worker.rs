//! A worker process: claims files, reads them, writes their results.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lease::{ClaimError, LeaseError, Registrar, RegistrarError, ReleaseReason};

use crate::args::Args;
use crate::failure::Failure;
use crate::input::Item;
use crate::reading::Reader;
use crate::results::{Admission, Results};

/// How long a worker rests when every open file is somebody else's.
const REST: Duration = Duration::from_millis(25);

/// Works until no file is open or the supervisor closes standard input, then prints what it used.
pub(crate) fn run(args: &Args, number: u16) -> Result<(), Failure> {
    // Ctrl-C reaches the whole group; the supervisor hears it and closes our input.
    let _ = ctrlc::set_handler(|| {});
    let stopped = stop_flag();
    let jobs = Registrar::builder()
        .actor(actor(number, std::process::id()))
        .open(args.ledger())
        .map_err(|error| Failure::Ledger {
            path: args.ledger(),
            error,
        })?;
    let mut worker = Worker {
        args,
        jobs,
        results: Results::open(&args.results())?,
        reader: Reader::new(),
    };
    worker.work(number, &stopped)?;
    let usage = worker.reader.finish();
    worker.jobs.close().wait()?;
    println!(
        "{} {} {} {}",
        usage.acquired, usage.recorded, usage.peak, usage.leaked
    );
    Ok(())
}

/// Who a worker acts as.
pub(crate) fn actor(number: u16, pid: u32) -> String {
    format!("worker-{number}/{pid}")
}

/// Becomes true when standard input ends, which it does when the supervisor says so or dies.
fn stop_flag() -> Arc<AtomicBool> {
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    thread::spawn(move || {
        // End of input and a broken pipe mean the same.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        flag.store(true, Ordering::Relaxed);
    });
    stopped
}

struct Worker<'a> {
    args: &'a Args,
    jobs: Registrar,
    results: Results,
    reader: Reader,
}

impl Worker<'_> {
    /// Goes round the open files until there is none. Workers start at different places, so that they meet late.
    fn work(&mut self, number: u16, stopped: &AtomicBool) -> Result<(), Failure> {
        loop {
            let mut open = self.results.open_items()?;
            if open.is_empty() {
                return Ok(());
            }
            let start = open.len() * usize::from(number) / usize::from(self.args.workers.max(1));
            let length = open.len();
            open.rotate_left(start % length);
            let mut worked = false;
            for item in &open {
                if stopped.load(Ordering::Relaxed) {
                    return Ok(());
                }
                worked |= self.process(item)?;
            }
            if !worked {
                thread::sleep(REST);
            }
        }
    }

    /// Claims one file and writes its result; says whether it was ours to do.
    fn process(&mut self, item: &Item) -> Result<bool, Failure> {
        if !self.results.is_open(&item.work)? {
            return Ok(false);
        }
        let claim = match self.jobs.try_claim(&item.work, self.args.ttl()).wait() {
            Ok(claim) => claim,
            // Frozen while it waited for the answer, this worker may have lost the claim before it had it.
            Err(ClaimError::Busy(_) | ClaimError::Lost { .. }) => return Ok(false),
            Err(error) => return Err(Failure::Claim(error)),
        };
        let token = claim.fencing_token().get();
        if self.results.admit(&item.work, token)? == Admission::Admitted {
            let digest = self.reader.digest(&item.path).map_err(|error| error.to_string());
            // On purpose without asking `is_held`: the table's own fence is what must hold.
            self.results.write(&item.work, token, &digest)?;
        }
        match claim.release(ReleaseReason::Completed).wait() {
            Err(error) if !has_ended(&error) => Err(Failure::Registrar(error)),
            _ => Ok(true),
        }
    }
}

/// Whether the claim had been taken back before it was released: this worker was frozen for too long.
fn has_ended(error: &RegistrarError) -> bool {
    matches!(error, RegistrarError::Lease(error) if matches!(**error, LeaseError::LeaseAlreadyTerminal { .. }))
}
