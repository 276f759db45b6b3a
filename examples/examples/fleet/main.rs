//! `fleet`, the main job: a directory tree read by worker processes that may die at any moment, each file exactly once.
//!
//! All four kinds of lease at work: every file is a work item under an exclusive claim in an embedded ledger; its content
//! is read into a buffer leased from a pool over a quota; what is read is on record in an owner table as borrowed; scratch
//! lives in a lease scope. The results table keeps its own fence, so that a worker which was frozen past the end of its
//! claim writes nothing.
//!
//! ```text
//! cargo run --release --example fleet -- [DIR] [--state DIR] [--workers N] [--chaos] [--timeline FILE]
//! ```
//!
//! | file | what it is for |
//! |---|---|
//! | `args` | the command line |
//! | `input` | the tree as work items |
//! | `supervisor` | starts, watches and replaces the workers |
//! | `chaos` | kills and freezes them |
//! | `worker` | claims files and writes their results |
//! | `reading` | one file: pool, scope, owner table |
//! | `results` | the protected table |
//! | `report` | the figures and the proofs |

mod args;
mod chaos;
mod failure;
mod input;
mod reading;
mod report;
mod results;
mod supervisor;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match args.worker {
        Some(number) => worker::run(&args, number).map(|()| ExitCode::SUCCESS),
        None => supervisor::run(&args),
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("fleet: {failure}");
        ExitCode::FAILURE
    })
}
