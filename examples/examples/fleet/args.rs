//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;

/// Reads every file below a directory exactly once, with several worker processes that may die at any moment.
///
/// Each file is a work item, claimed through a lease in an embedded ledger. Running again with the same state goes on
/// where the last run stopped.
#[derive(Debug, Parser)]
#[command(name = "fleet")]
pub(crate) struct Args {
    /// The tree to read [default: the dependency sources in cargo's registry folder]
    pub(crate) dir: Option<PathBuf>,

    /// Where the ledger and the results live
    #[arg(long, value_name = "DIR", default_value = "target/fleet")]
    pub(crate) state: PathBuf,

    /// How many worker processes
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: u16,

    /// Read at most this many files
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,

    /// Kill workers and freeze them (one at a time, thawed after twice the time to live) while they work
    #[arg(long)]
    pub(crate) chaos: bool,

    /// Draw who held what when, as one SVG file
    #[arg(long, value_name = "FILE")]
    pub(crate) timeline: Option<PathBuf>,

    /// Be worker number N of the fleet that runs on this state; what the supervisor starts
    #[arg(long, value_name = "N", hide = true)]
    pub(crate) worker: Option<u16>,
}

impl Args {
    /// How long a claim lasts unless it is renewed: short under chaos, so that its victims' work is taken over soon.
    pub(crate) fn ttl(&self) -> Duration {
        if self.chaos {
            Duration::from_secs(1)
        } else {
            Duration::from_secs(10)
        }
    }

    /// The ledger's directory.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.state.join("jobs.lease")
    }

    /// The results table's file.
    pub(crate) fn results(&self) -> PathBuf {
        self.state.join("results.sqlite")
    }
}

/// Where cargo keeps the sources of this project's dependencies.
pub(crate) fn registry_sources() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let user = std::env::var_os("HOME")?;
        Some(Path::new(&user).join(".cargo"))
    })?;
    Some(home.join("registry").join("src"))
}
