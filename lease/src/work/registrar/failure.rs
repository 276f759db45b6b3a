//! What can go wrong with a command.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::sync::Arc;
use crate::work::event::EventError;
use crate::work::ledger::LedgerError;
use crate::work::registrar::{Busy, LeaseError, PublicKey, SignedHeadError};

/// A registrar did not do what it was asked; unless it says otherwise, nothing changed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RegistrarError {
    /// The rules of leases refuse it.
    #[error(transparent)]
    Lease(Arc<LeaseError>),
    /// The work item cannot be had now.
    #[error("{0}")]
    Busy(Busy),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(Arc<LedgerError>),
    /// It is in the ledger, but the ledger could not be synced: a power cut may take it back. A lease that was issued so
    /// is given back.
    #[error("the command was written, but whether it would survive a power cut is unknown")]
    OutcomeUnknown(#[source] Arc<LedgerError>),
    /// A user's event cannot be written down.
    #[error(transparent)]
    Event(Arc<EventError>),
    /// The lease changed twice while the command was being signed.
    #[error("the lease `{lease_id}` changed again and again while the command was being signed: try again")]
    Superseded {
        /// The lease.
        lease_id: String,
    },
    /// A newer version of this crate has written to the ledger and decides by stricter rules; this one may only read.
    #[error(
        "the ledger is decided by rules of version {found}, this version knows {supported} and older ones: a newer version of this crate has raised them, update it"
    )]
    NewerRules {
        /// The version of the ledger's rules.
        found: u64,
        /// The newest version known here.
        supported: u64,
    },
    /// The registrar was closed.
    #[error("the registrar is closed")]
    Closed,
    /// This process has the ledger open already, with another value of something that was set on the second builder.
    #[error(
        "this process has the ledger open with another `{setting}`: leave it out to share the registrar that is there, set the same, or close that one first"
    )]
    OpenedDifferently {
        /// The method of [`RegistrarBuilder`](crate::RegistrarBuilder) that set it.
        setting: &'static str,
    },
    /// The ledger has records, but the key it was signed with is gone.
    #[error(
        "the ledger has records but its key `{path}` is missing: restore it, or bring a signer that the ledger trusts"
    )]
    SignerMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// The key can be read by others, so anybody could have signed with it.
    #[error(
        "the key `{path}` can be read by others (its mode is {mode:o}): set it to 600 if nobody else has read it"
    )]
    KeyExposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file is not a key.
    #[error("the key `{path}` has {len} bytes, not 32")]
    KeyMalformed {
        /// The key file.
        path: PathBuf,
        /// How long it is.
        len: u64,
    },
    /// The key file could not be read or written.
    #[error("the key `{path}` could not be read or written")]
    KeyFile {
        /// The key file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another process has put another key in the place of the one that was to be exchanged.
    #[error("the key `{path}` was exchanged by another process, for {public_key}")]
    KeyExchanged {
        /// The key file.
        path: PathBuf,
        /// The key that is there now.
        public_key: PublicKey,
    },
    /// The ledger does not trust the key this registrar would sign with.
    #[error(
        "the ledger does not trust the key {public_key}: a registrar that it trusts has to `trust_key` it first"
    )]
    SignerUntrusted {
        /// The public key.
        public_key: PublicKey,
    },
    /// The ledger has records, and no signer was brought that it trusts.
    #[error("the ledger has records: bring a signer that it trusts")]
    SignerNeeded,
    /// A signed head cannot be used with this ledger.
    #[error(transparent)]
    SignedHead(#[from] SignedHeadError),
    /// The system refused a thread.
    #[error("no thread could be started for the registrar")]
    Thread(#[source] Arc<io::Error>),
}

impl From<LeaseError> for RegistrarError {
    fn from(error: LeaseError) -> Self {
        Self::Lease(Arc::new(error))
    }
}

impl From<LedgerError> for RegistrarError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(Arc::new(error))
    }
}

impl From<EventError> for RegistrarError {
    fn from(error: EventError) -> Self {
        Self::Event(Arc::new(error))
    }
}
