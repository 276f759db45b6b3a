//! The registrar as its users see it: a handle that is cheap to clone. How it is opened, and how what is asked of it gets
//! into the writer's queue; what can be asked is in `commands` and `questions`.

mod commands;
mod questions;

use std::fmt;
use std::time::Duration;

use crate::sync::{Arc, OnceLock};
use crate::work::registrar::command::{IssueRequest, Release, Request};
use crate::work::registrar::core::{Core, Queued};
use crate::work::registrar::reply::{Answer, Callback, Outcome, Reply, Withdrawable};
use crate::work::registrar::{Completion, Lease, RegistrarBuilder, RegistrarError, ReleaseReason, owed};
use crate::work::tick::Tick;

/// Who issues, renews, revokes and expires leases on one ledger.
///
/// A handle is cheap to clone and safe to share; all clones, and all processes that open the same ledger, agree on who
/// holds what. Most programs only ever [`try_claim`](Self::try_claim): the claim renews itself and releases itself. The
/// commands here are what claims are made of, and what operators need.
///
/// Every command returns a [`Completion`], to be waited for on a thread or awaited on any executor. A command that is
/// acknowledged has reached the disk, where the ledger is on one, except renewals, which need not; with
/// [`Durability::Buffered`](crate::Durability::Buffered) none need to.
///
/// Beside what each command says of its errors, all can be refused with [`RegistrarError::Ledger`] when the ledger cannot
/// be used, [`RegistrarError::OutcomeUnknown`] when it could not be synced, [`RegistrarError::SignerUntrusted`] and
/// [`RegistrarError::NewerRules`] when this registrar may only read, and [`RegistrarError::Closed`] once it is
/// [closed](Self::close).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use lease::{ClaimError, Registrar, ReleaseReason};
/// use std::time::Duration;
///
/// let jobs = Registrar::in_memory()?;
/// let claim = jobs.try_claim("nightly/report", Duration::from_secs(60)).wait()?;
///
/// match jobs.try_claim("nightly/report", Duration::from_secs(60)).wait() {
///     Err(ClaimError::Busy(busy)) => assert_eq!(busy.holder(), Some(jobs.actor())),
///     other => panic!("{other:?}"),
/// }
/// claim.release(ReleaseReason::Completed).wait()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Registrar {
    shared: Arc<Shared>,
    actor: Arc<str>,
}

/// What the handles hold together: when the last one goes, the writer finishes what is queued and ends.
pub(super) struct Shared(pub(super) Arc<Core>);

impl Drop for Shared {
    fn drop(&mut self) {
        self.0.shut();
    }
}

static GLOBAL: OnceLock<Registrar> = OnceLock::new();

/// Opening.
impl Registrar {
    pub(super) fn new(shared: Arc<Shared>, actor: Arc<str>) -> Self {
        Self { shared, actor }
    }

    /// A registrar whose ledger lives in memory and ends with it: for tests, and for work inside one process.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Thread`] when the system has no thread to spare.
    pub fn in_memory() -> Result<Self, RegistrarError> {
        Self::builder().in_memory()
    }

    /// Opens the ledger at `path`, a directory, and makes it if there is none.
    ///
    /// Any number of processes may have it open. Opening it twice in one process gives two handles of one registrar, however
    /// the first was [built](RegistrarBuilder::open).
    ///
    /// A process that was forked from one that has it open, or was opening it, must not use it, and is told so
    /// ([`Forked`](crate::ledger::LedgerError::Forked)): fork before opening, or let the child become another program.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use lease::Registrar;
    ///
    /// # let root = std::env::temp_dir().join(format!("lease-doc-open-{}", std::process::id()));
    /// # std::fs::create_dir_all(&root)?;
    /// let jobs = Registrar::open(root.join("jobs.lease"))?;
    /// let also = Registrar::open(root.join("jobs.lease"))?;
    /// assert_eq!(jobs.actor(), also.actor());
    /// # jobs.close().wait()?;
    /// # drop((jobs, also));
    /// # std::fs::remove_dir_all(&root)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the directory is no ledger or cannot be used, [`RegistrarError::SignerMissing`]
    /// when its key is gone, [`RegistrarError::KeyExposed`] when others can read it, [`RegistrarError::SignerUntrusted`]
    /// when the ledger does not trust it, [`RegistrarError::Thread`] when the system has no thread to spare.
    #[cfg(feature = "sqlite")]
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<Self, RegistrarError> {
        Self::builder().open(path)
    }

    /// Opens a ledger that was copied or moved to another file system, and makes it at home where it is now; one that is
    /// at home already is only opened.
    ///
    /// Adopt a copy only when the original is gone: of two that live on, both would hand out the same fencing tokens.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open) and of [`SqliteLedger::adopt`](crate::ledger::SqliteLedger::adopt).
    #[cfg(feature = "sqlite")]
    pub fn adopt(path: impl AsRef<std::path::Path>) -> Result<Self, RegistrarError> {
        Self::builder().adopt(path)
    }

    /// A registrar with a clock, a key, an actor or a ledger of your own.
    ///
    /// ```
    /// use lease::{ManualClock, Registrar};
    ///
    /// let jobs = Registrar::builder().actor("worker-1").clock(ManualClock::new()).in_memory()?;
    /// assert_eq!(jobs.actor(), "worker-1");
    /// # Ok::<(), lease::RegistrarError>(())
    /// ```
    pub fn builder() -> RegistrarBuilder {
        RegistrarBuilder::default()
    }

    /// Makes this the registrar of `#[leased(exclusive, …)]` functions that name none; for the whole process, once.
    ///
    /// # Errors
    ///
    /// Gives the registrar back if there is one already.
    pub fn install_global(self) -> Result<(), Self> {
        GLOBAL.set(self)
    }

    /// The registrar that was [installed](Self::install_global).
    pub fn global() -> Option<&'static Self> {
        GLOBAL.get()
    }

    /// The same registrar for another actor, whose name has 1 to 128 bytes.
    ///
    /// Nothing is asked here, so another name is refused when a lease is asked for under it:
    /// [`LeaseError::InvalidInput`](crate::LeaseError::InvalidInput), as for any other id. A
    /// [builder](RegistrarBuilder::actor) refuses it at once.
    #[must_use]
    pub fn with_actor(&self, actor: impl Into<String>) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            actor: actor.into().into(),
        }
    }
}

/// For the floor above.
impl Registrar {
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.shared.0
    }

    /// A request for this handle's actor with a new lease id.
    pub(crate) fn issue_request(&self, work_id: String, ttl: Duration) -> IssueRequest {
        IssueRequest {
            lease_id: self.new_lease_id(),
            work_id,
            actor_id: self.actor.to_string(),
            ttl,
            at_least: None,
        }
    }

    pub(crate) fn submit(&self, queued: Queued) {
        self.core().submit(queued);
    }

    /// Queues a renewal; `told` is called on the writer thread and must not block.
    pub(crate) fn renew_with(
        &self,
        lease_id: String,
        ttl: Duration,
        not_after: Option<Tick>,
        told: impl FnOnce(Answer) + Send + 'static,
    ) {
        let request = Request::Renew {
            lease_id,
            ttl,
            not_after,
        };
        self.queue(request, false, Box::new(Callback(told)));
    }

    /// Queues a release that happens whether or not anybody waits for it.
    pub(crate) fn release_surely(
        &self,
        lease_id: String,
        actor_id: String,
        reason: ReleaseReason,
    ) -> Completion<()> {
        let (completer, completion) = Completion::pair();
        let request = Request::Release(Release {
            lease_id,
            actor_id,
            reason,
        });
        let told = Callback(move |answer: Answer| completer.complete(answer.map(drop)));
        self.submit(Queued {
            is_owed: true,
            ..Queued::new(request, true, Box::new(told))
        });
        completion
    }

    /// Queues a release that nobody waits for.
    pub(crate) fn release_quietly(&self, lease: &Lease, reason: ReleaseReason) {
        let release = Release {
            lease_id: lease.lease_id.clone(),
            actor_id: lease.actor_id.clone(),
            reason,
        };
        self.core().submit_release(owed::quietly(release), &lease.work_id);
    }

    fn command<T: Send + 'static>(
        &self,
        request: Request,
        is_durable: bool,
        finish: impl FnOnce(Answer) -> Result<T, RegistrarError> + Send + 'static,
    ) -> Completion<T> {
        let (completer, completion) = Completion::pair();
        self.queue(request, is_durable, Box::new(Withdrawable { completer, finish }));
        completion
    }

    fn queue(&self, request: Request, is_durable: bool, reply: Box<dyn Reply>) {
        self.submit(Queued::new(request, is_durable, reply));
    }

    /// Time first, so that ids sort by when they were made.
    fn new_lease_id(&self) -> String {
        format!(
            "{:016x}-{}",
            self.core().clock.wall(),
            crate::work::random::hex::<8>()
        )
    }
}

impl fmt::Debug for Registrar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registrar")
            .field("actor", &self.actor)
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}

/// The lease that a command was about: the last one it changed.
pub(crate) fn last_lease(answer: Answer) -> Result<Lease, RegistrarError> {
    let Outcome { leases, .. } = answer?;
    match leases.into_iter().next_back() {
        Some(lease) => Ok(lease),
        None => unreachable!("a command on a lease that was done has changed it"),
    }
}
