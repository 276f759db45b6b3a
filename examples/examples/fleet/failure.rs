//! What can end a run, said to the person who started it.

use std::error::Error;
use std::path::PathBuf;
use std::{fmt, io};

use lease::{ClaimError, RegistrarError};

pub(crate) enum Failure {
    NoRegistry,
    Input { path: PathBuf, error: io::Error },
    Empty { path: PathBuf },
    State { path: PathBuf, error: io::Error },
    Ledger { path: PathBuf, error: RegistrarError },
    Results(rusqlite::Error),
    Claim(ClaimError),
    Registrar(RegistrarError),
    Process(io::Error),
    Worker { number: u16 },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRegistry => f.write_str("neither CARGO_HOME nor HOME is set: name a directory to read"),
            Self::Input { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Empty { path } => write!(f, "there is no file below {}", path.display()),
            Self::State { path, error } => write!(f, "cannot keep state in {}: {error}", path.display()),
            Self::Ledger { path, error } => {
                write!(f, "cannot open the ledger {}: {}", path.display(), Chain(error))
            }
            Self::Results(error) => write!(f, "the results table failed: {error}"),
            Self::Claim(error) => write!(f, "a claim failed: {}", Chain(error)),
            Self::Registrar(error) => write!(f, "the registrar failed: {}", Chain(error)),
            Self::Process(error) => write!(f, "a worker process could not be handled: {error}"),
            Self::Worker { number } => write!(f, "worker {number} ended by itself; its message is above"),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Results(error)
    }
}

impl From<RegistrarError> for Failure {
    fn from(error: RegistrarError) -> Self {
        Self::Registrar(error)
    }
}

/// An error and what caused it.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
