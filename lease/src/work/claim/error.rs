//! Why a claim was not obtained, or cannot be trusted any more.

use thiserror::Error;

use crate::work::registrar::{Busy, RegistrarError};

/// A claim was not obtained, or was lost.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Somebody else holds the work item, or it is closed for a while.
    #[error("{0}")]
    Busy(Busy),
    /// The claim could not be kept: whatever is done under it from here on, somebody else may be doing too.
    #[error("the claim on `{work_id}` was lost")]
    Lost {
        /// The work item.
        work_id: String,
        /// The lease that was lost.
        lease_id: String,
    },
    /// No registrar was named, and none is installed.
    #[error("no registrar is installed; see `Registrar::install_global`")]
    NoRegistrar,
    /// The registrar did not do what it was asked.
    #[error(transparent)]
    Registrar(RegistrarError),
}

impl From<RegistrarError> for ClaimError {
    fn from(error: RegistrarError) -> Self {
        match error {
            RegistrarError::Busy(busy) => Self::Busy(busy),
            error => Self::Registrar(error),
        }
    }
}
