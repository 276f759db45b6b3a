//! `ledger`, a look at a registrar's ledger: what is leased and was, the history, its proof, a picture.
//!
//! It needs no key, writes no event, and works on a ledger that others are using; only `head`, which signs, needs the
//! key that lies beside the ledger.
//!
//! ```text
//! cargo run --example ledger -- leases   DIR [--state STATE] [--work ID] [--holder ID]
//! cargo run --example ledger -- holders  DIR
//! cargo run --example ledger -- history  DIR [--after N] [--limit N]
//! cargo run --example ledger -- verify   DIR [--head HEAD]
//! cargo run --example ledger -- head     DIR
//! cargo run --example ledger -- timeline DIR FILE [--by holder|work]
//! ```
//!
//! After `fleet` there is one to look at: `target/fleet/jobs.lease`.

mod history;
mod leases;

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use lease::{Registrar, SignedHead, Viewer};
use lease_examples::timeline::{self, By};

/// Looks at a ledger of leases: who holds what, what happened, whether it is sound.
#[derive(Debug, Parser)]
#[command(name = "ledger")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the leases that the ledger knows
    Leases {
        /// The ledger's directory
        dir: PathBuf,
        /// Only those in this state: active, released, expired, revoked
        #[arg(long, value_parser = leases::state)]
        state: Option<lease::LeaseState>,
        /// Only those on this work item
        #[arg(long, value_name = "ID")]
        work: Option<String>,
        /// Only those of this holder
        #[arg(long, value_name = "ID")]
        holder: Option<String>,
    },
    /// Show who holds what now
    Holders {
        /// The ledger's directory
        dir: PathBuf,
    },
    /// Print the records, oldest first
    History {
        /// The ledger's directory
        dir: PathBuf,
        /// Begin after this record
        #[arg(long, value_name = "N", default_value_t = 0)]
        after: u64,
        /// Print at most so many
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Verify every record and signature, and name the first bad record
    Verify {
        /// The ledger's directory
        dir: PathBuf,
        /// A signed head that was kept elsewhere: reveals a cut tail
        #[arg(long)]
        head: Option<String>,
    },
    /// Print a signed head to be kept elsewhere; needs the ledger's key
    Head {
        /// The ledger's directory
        dir: PathBuf,
    },
    /// Draw who held what when, as one SVG file
    Timeline {
        /// The ledger's directory
        dir: PathBuf,
        /// The picture
        file: PathBuf,
        /// What a row stands for
        #[arg(long, value_enum, default_value_t = Rows::Holder)]
        by: Rows,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rows {
    Holder,
    Work,
}

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    match run(Args::parse().command, &mut out).and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ledger: {}", leases::printable(&in_one_line(&*error)));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, out: &mut impl Write) -> Result<(), Failure> {
    match command {
        Command::Leases {
            dir,
            state,
            work,
            holder,
        } => {
            let viewer = Viewer::open(dir)?;
            let wanted = leases::Wanted { state, work, holder };
            viewer.query(|known| leases::list(known, &wanted, out))??;
        }
        Command::Holders { dir } => {
            let viewer = Viewer::open(dir)?;
            // The first question reads the whole ledger: what the time is afterwards counts.
            viewer.query(|known| {
                let (tick, wall) = (viewer.clock().tick(), viewer.clock().wall());
                leases::holders(known, &tick, wall, out)
            })??;
        }
        Command::History { dir, after, limit } => {
            history::print(Viewer::open(dir)?.ledger(), after, limit.unwrap_or(u64::MAX), out)?;
        }
        Command::Verify { dir, head } => verify(&Viewer::open(dir)?, head.as_deref(), out)?,
        Command::Head { dir } => {
            // A registrar would make the ledger; who mistypes its name wants to be told.
            drop(Viewer::open(&dir)?);
            writeln!(out, "{}", Registrar::open(dir)?.signed_head()?)?;
        }
        Command::Timeline { dir, file, by } => draw(&Viewer::open(dir)?, &file, by, out)?,
    }
    Ok(())
}

fn verify(viewer: &Viewer, kept: Option<&str>, out: &mut impl Write) -> Result<(), Failure> {
    let kept: Option<SignedHead> = kept.map(str::parse).transpose()?;
    let head = match &kept {
        Some(kept) => viewer.verify_against(kept)?,
        None => viewer.verify()?,
    };
    let seals = viewer.ledger().seals()?;
    writeln!(
        out,
        "sound: {} records, their chain, keys and signatures",
        head.sequence
    )?;
    if let Some(last) = seals.last() {
        writeln!(
            out,
            "sealed up to record {} in {} files",
            last.head.sequence,
            seals.len()
        )?;
    }
    if let Some(kept) = kept {
        writeln!(
            out,
            "it contains the head that was kept, at record {}",
            kept.sequence()
        )?;
    }
    Ok(())
}

fn draw(viewer: &Viewer, file: &Path, by: Rows, out: &mut impl Write) -> Result<(), Failure> {
    let by = match by {
        Rows::Holder => By::Holder,
        Rows::Work => By::Work,
    };
    let picture = viewer.query(|state| timeline::draw(&state.leases(), by, viewer.clock().wall()))?;
    fs::write(file, picture).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    writeln!(out, "{}", file.display())?;
    Ok(())
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The error and its causes.
fn in_one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Some errors repeat their cause.
        if !line.ends_with(&words) {
            line = format!("{line}: {words}");
        }
        cause = error.source();
    }
    line.replace('\n', " ")
}
