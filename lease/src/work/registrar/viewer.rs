//! A look at a ledger by somebody who appends nothing to it.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::Path;

use crate::sync::{Arc, Mutex, MutexGuard, lock};
use crate::work::clock::{Clock, SystemClock};
#[cfg(feature = "sqlite")]
use crate::work::ledger::SqliteView;
use crate::work::ledger::{Head, Ledger};
use crate::work::reducer::{Reducer as _, Refusal};
use crate::work::registrar::projection::{FOR_EVER, Projection};
use crate::work::registrar::{LeaseError, LeaseReducerState, PublicKey, RegistrarError, SignedHead, audit};

/// Answers questions about a registrar's ledger, and verifies it, without a key.
///
/// It writes nothing and leaves nothing, so the ledger's directory may be read-only, unless somebody has removed the
/// database's log, which can then not be read. Others may write to the ledger
/// meanwhile; each question sees everything that is in it by then, and every lease of the history, also those that
/// registrars have [forgotten](crate::RegistrarBuilder::retain_terminal).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{sync::Arc, time::Duration};
/// use lease::{Registrar, Viewer, ledger::MemoryLedger};
///
/// let ledger = Arc::new(MemoryLedger::new());
/// let jobs = Registrar::builder().on(ledger.clone())?;
/// let viewer = Viewer::on(ledger);
/// assert_eq!(viewer.query(|state| state.active_count())?, 0);
///
/// jobs.issue("nightly/report", Duration::from_secs(60)).wait()?;
/// assert!(viewer.query(|state| state.has_active_lease("nightly/report"))?);
/// viewer.verify()?;
/// # Ok(()) }
/// ```
pub struct Viewer {
    ledger: Arc<dyn Ledger>,
    clock: SystemClock,
    projection: Mutex<Projection>,
}

impl Viewer {
    /// Looks at the ledger at `path`; makes none if there is none, and needs no key.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when there is no ledger or it cannot be read.
    #[cfg(feature = "sqlite")]
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RegistrarError> {
        Ok(Self::on(Arc::new(SqliteView::open(path.as_ref())?)))
    }

    /// Looks at any ledger.
    pub fn on(ledger: Arc<dyn Ledger>) -> Self {
        Self {
            ledger,
            clock: SystemClock::new(),
            projection: Mutex::new(Projection::new(1, FOR_EVER)),
        }
    }

    /// The ledger, for those who read its history. One that was [opened](Self::open) here cannot be written.
    pub fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// The clock by which to ask what is expired: the machine's.
    pub fn clock(&self) -> &dyn Clock {
        &self.clock
    }

    /// Asks the state that includes everything in the ledger by now. What nobody trusted has signed is not in it.
    ///
    /// Blocks. Cost: the first question verifies the whole ledger, later ones what was appended since.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be read.
    pub fn query<R>(&self, question: impl FnOnce(&LeaseReducerState) -> R) -> Result<R, RegistrarError> {
        let snapshot = self.caught_up()?.snapshot();
        Ok(question(snapshot.state()))
    }

    /// The keys that the ledger trusts by now, in the order of their bytes. Whoever has one of them can write to it.
    ///
    /// Blocks, and costs, as [`query`](Self::query) does.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be read.
    pub fn trusted_keys(&self) -> Result<Vec<PublicKey>, RegistrarError> {
        Ok(self.caught_up()?.keys().all().0)
    }

    /// How many records of the registrar's own families are passed over; see
    /// [`Registrar::refused`](crate::Registrar::refused). Blocks, and costs, as [`query`](Self::query) does.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be read.
    pub fn refused(&self) -> Result<u64, RegistrarError> {
        Ok(self.caught_up()?.refusals().count())
    }

    /// The last 1,000 of the [refused](Self::refused) records, oldest first. Blocks, and costs, as [`query`](Self::query)
    /// does.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be read.
    pub fn refusals(&self) -> Result<Vec<Refusal<LeaseError>>, RegistrarError> {
        Ok(self.caught_up()?.refusals().last().cloned().collect())
    }

    /// See [`Registrar::verify`](crate::Registrar::verify). Blocks as that does.
    ///
    /// # Errors
    ///
    /// [`LedgerError::BadRecord`](crate::ledger::LedgerError::BadRecord) names the first bad record and what is wrong
    /// with it, [`LedgerError::BadSeal`](crate::ledger::LedgerError::BadSeal) sealed records that are missing or
    /// damaged; otherwise the storage cannot be read.
    pub fn verify(&self) -> Result<Head, RegistrarError> {
        audit::verify(&*self.ledger, self.clock.tick(), None)
    }

    /// See [`Registrar::verify_against`](crate::Registrar::verify_against). Blocks as that does.
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Self::verify), and [`RegistrarError::SignedHead`].
    pub fn verify_against(&self, kept: &SignedHead) -> Result<Head, RegistrarError> {
        audit::verify(&*self.ledger, self.clock.tick(), Some(kept))
    }

    fn caught_up(&self) -> Result<MutexGuard<'_, Projection>, RegistrarError> {
        let mut projection = lock(&self.projection);
        if projection.head() == Head::default()
            && let Ok(verified) = audit::replay(&*self.ledger, self.clock.tick(), None)
        {
            *projection = verified;
        }
        // If something in it is bad, this takes what is good.
        projection.catch_up(&*self.ledger, self.clock.tick())?;
        Ok(projection)
    }
}

impl fmt::Debug for Viewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Viewer").finish_non_exhaustive()
    }
}
