//! The registrar as its users see it: a handle that is cheap to clone.

use std::fmt;
use std::time::Duration;

use crate::sync::{Arc, OnceLock, lock};
use crate::work::clock::Clock;
use crate::work::event::wire::MAX_PAYLOAD;
use crate::work::event::{EventError, LeaseEvent};
use crate::work::ledger::{Head, Ledger};
use crate::work::reducer::{Reducer as _, Refusal};
use crate::work::registrar::audit;
use crate::work::registrar::command::{IssueRequest, KeyChange, Note, Release, Request, Target};
use crate::work::registrar::core::{Core, Queued};
use crate::work::registrar::reply::{Answer, Callback, Outcome, Reply, Withdrawable};
use crate::work::registrar::{
    Completion, Lease, LeaseChange, LeaseError, LeaseReducerState, PublicKey, RegistrarBuilder,
    RegistrarError, ReleaseReason, SignedHead, Signer, owed,
};
use crate::work::tick::Tick;

/// Who issues, renews, revokes and expires leases on one ledger.
///
/// A handle is cheap to clone and safe to share; all clones, and all processes that open the same ledger, agree on who
/// holds what. Most programs only ever [`try_claim`](Self::try_claim): the claim renews itself and releases itself. The
/// commands here are what claims are made of, and what operators need.
///
/// Every command returns a [`Completion`], to be waited for on a thread or awaited on any executor. A command that is
/// acknowledged has reached the disk, except renewals, which need not.
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
    /// Any number of processes may have it open. Opening it twice in one process gives two handles of one registrar. A
    /// process that was forked from one that has it open must not use it, and is told so.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the directory is no ledger or cannot be used, [`RegistrarError::SignerMissing`]
    /// when its key is gone, [`RegistrarError::KeyExposed`] when others can read it.
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
    pub fn builder() -> RegistrarBuilder {
        RegistrarBuilder::new()
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

    /// The same registrar for another actor.
    #[must_use]
    pub fn with_actor(&self, actor: impl Into<String>) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            actor: actor.into().into(),
        }
    }
}

/// Commands.
impl Registrar {
    /// Issues a lease on `work` to this handle's actor, without the guard that a claim is: it ends after `ttl` unless
    /// it is renewed.
    ///
    /// If the lease in the way is past its end, it is expired first; if its holder's process is known to be dead, it is
    /// revoked. A lease that is issued to an abandoned completion is released again.
    ///
    /// A lease in a ledger on disk belongs to this process: it ends with its last handle of the registrar, however long
    /// its time-to-live is.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Busy`] when somebody holds the work item or it is closed; [`LeaseError::InvalidInput`] for a
    /// `ttl` under a second or an id that is not 1 to 128 bytes long.
    pub fn issue(&self, work: impl Into<String>, ttl: Duration) -> Completion<Lease> {
        let request = self.issue_request(work.into(), ttl);
        let registrar = self.clone();
        let (completer, completion) = Completion::pair_giving_back(move |lease: Lease| {
            registrar.release_quietly(&lease, ReleaseReason::Voluntary);
        });
        let reply = Withdrawable {
            completer,
            finish: last_lease,
        };
        self.queue(Request::Issue(request), true, Box::new(reply));
        completion
    }

    /// Extends a lease to `ttl` from now. Not called durable: a power cut ends every holder anyway.
    ///
    /// # Errors
    ///
    /// [`LeaseError::LeaseNotFound`], [`LeaseError::LeaseAlreadyTerminal`], [`LeaseError::LeaseExpired`] when its end
    /// has come, [`LeaseError::RenewalDoesNotExtend`].
    pub fn renew(&self, lease_id: impl Into<String>, ttl: Duration) -> Completion<Lease> {
        let request = Request::Renew {
            lease_id: lease_id.into(),
            ttl,
            not_after: None,
        };
        self.command(request, false, last_lease)
    }

    /// Gives a lease of this handle's actor back.
    ///
    /// # Errors
    ///
    /// [`LeaseError::LeaseNotFound`], [`LeaseError::LeaseAlreadyTerminal`], [`LeaseError::Unauthorized`] when the actor
    /// is not its holder.
    pub fn release(&self, lease_id: impl Into<String>, reason: ReleaseReason) -> Completion<Lease> {
        let release = Release {
            lease_id: lease_id.into(),
            actor_id: self.actor.to_string(),
            reason,
        };
        self.command(Request::Release(release), true, last_lease)
    }

    /// Takes a lease back from its holder, whoever that is. The holder learns of it at its next renewal, in this
    /// process at once.
    ///
    /// # Errors
    ///
    /// [`LeaseError::LeaseNotFound`], [`LeaseError::LeaseAlreadyTerminal`]; [`LeaseError::InvalidInput`] for a reason
    /// over 128 bytes.
    pub fn revoke(&self, lease_id: impl Into<String>, reason: impl Into<String>) -> Completion<Lease> {
        let request = Request::Revoke {
            target: Target::Lease(lease_id.into()),
            reason: reason.into(),
        };
        self.command(request, true, last_lease)
    }

    /// Takes back whatever lease is active on a work item, as [`revoke`](Self::revoke) does.
    ///
    /// # Errors
    ///
    /// [`LeaseError::WorkNotLeased`] when there is none.
    pub fn revoke_work(&self, work: impl Into<String>, reason: impl Into<String>) -> Completion<Lease> {
        let request = Request::Revoke {
            target: Target::Work(work.into()),
            reason: reason.into(),
        };
        self.command(request, true, last_lease)
    }

    /// Expires every lease whose end has come, and revokes those whose clock is gone for good and those whose holder's
    /// process is known to be dead; returns them.
    ///
    /// Nobody has to call this to get a work item: issuing expires what is in its way.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be used.
    pub fn expire_due(&self) -> Completion<Vec<Lease>> {
        self.command(Request::ExpireDue, true, |answer| Ok(answer?.leases))
    }

    /// Writes an event of a user's own family into the ledger, and returns the position of its record.
    ///
    /// # Errors
    ///
    /// [`LeaseError::InvalidInput`] for the namespaces `lease` and `ledger`, which are the registrar's own;
    /// [`RegistrarError::Event`] for an event of more than 64 KiB, which could not be read back.
    pub fn record<E: LeaseEvent>(&self, event: &E) -> Completion<u64> {
        let event_type = event.event_type();
        // By what stands in the record: an implementation by hand may say another type than its namespace.
        let namespace = event_type.split('.').next().unwrap_or_default();
        if [LeaseChange::NAMESPACE, super::LedgerEvent::NAMESPACE].contains(&namespace) {
            let reason = format!("the namespace `{namespace}` is the registrar's own");
            return Completion::ready(Err(LeaseError::invalid_input("event_type", reason).into()));
        }
        let note = Note {
            event_type,
            actor_id: self.actor.to_string(),
            payload: event.encode(),
        };
        let (len, limit) = (note.payload.len(), MAX_PAYLOAD);
        if len > limit {
            return Completion::ready(Err(EventError::TooLarge { len, limit }.into()));
        }
        self.command(Request::Record(note), true, |answer| Ok(answer?.sequence))
    }

    /// Trusts another key: registrars that sign with it may write to this ledger from now on.
    ///
    /// # Errors
    ///
    /// [`LeaseError::InvalidInput`] for a key that was [retired](Self::retire_key) or is none;
    /// [`RegistrarError::Ledger`] when the ledger cannot be used.
    pub fn trust_key(&self, key: PublicKey) -> Completion<()> {
        self.command(Request::Key(KeyChange::Trust(key)), true, |answer| {
            answer.map(drop)
        })
    }

    /// Ends the trust in another key, for ever. What it signed before stays valid; registrars that sign with it can
    /// only read from now on.
    ///
    /// # Errors
    ///
    /// [`LeaseError::InvalidInput`] for a key that the ledger never trusted, and for this registrar's own, which is
    /// [rotated](Self::rotate_key) instead, so that there is always one left; [`RegistrarError::Ledger`] when the ledger
    /// cannot be used.
    pub fn retire_key(&self, key: PublicKey) -> Completion<()> {
        self.command(Request::Key(KeyChange::Retire(key)), true, |answer| {
            answer.map(drop)
        })
    }

    /// Signs with another key from now on, and retires the one that it signed with so far.
    ///
    /// The new key takes the old one's place beside the ledger, unless the caller brought the old one. Registrars of
    /// other processes that have the key from there take the new one over at their next command. The steps are: the old
    /// key vouches for the new one, the file is exchanged, the new key retires the old one. Each is on disk before the
    /// next begins, whatever the [`Durability`](crate::Durability). Blocks until the last one is.
    ///
    /// A failure or crash in between leaves both keys trusted. If [`public_key`](Self::public_key) is still the old one,
    /// the same call completes it; if it is the new one already, [retiring](Self::retire_key) the old one does. Look at
    /// [`trusted_keys`](Self::trusted_keys): a key there that nobody should have is still to be retired.
    ///
    /// # Errors
    ///
    /// [`LeaseError::InvalidInput`] when the key is the present one, or was retired; [`RegistrarError::KeyExchanged`]
    /// when another process was faster with another key, and `next` is trusted, but not used; [`RegistrarError::KeyFile`]
    /// and its like when the file cannot be read or written; [`RegistrarError::OutcomeUnknown`] when a step cannot be
    /// synced; [`RegistrarError::Ledger`] when the ledger cannot be used.
    pub fn rotate_key(&self, next: &Signer) -> Result<(), RegistrarError> {
        let is_present = || LeaseError::invalid_input("public_key", "it is the present key");
        if next.public_key() == self.public_key() {
            return Err(is_present().into());
        }
        self.trust_key(next.public_key()).wait()?;
        // Only now: vouching may have taken over a key that another process has put in the old one's place.
        let old = self.public_key();
        if next.public_key() == old {
            return Err(is_present().into());
        }
        let core = self.core();
        // A power cut must not take the trust in a key that is the only one in the file.
        core.sync_ledger()?;
        core.replace_signer(old, next)?;
        self.retire_key(old).wait()?;
        core.sync_ledger()
    }

    /// Writes a checkpoint of the ledger as it is now, for whoever opens it next; see
    /// [`checkpoint_interval`](RegistrarBuilder::checkpoint_interval). Blocks until it is on disk; commands go on meanwhile.
    ///
    /// Cost: reading what was appended since the last checkpoint, and writing every lease that is
    /// [kept](RegistrarBuilder::retain_terminal).
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be read, or the checkpoint not be written.
    pub fn checkpoint(&self) -> Result<(), RegistrarError> {
        Ok(self.core().checkpoint_now()?)
    }

    /// Takes no more commands, does what is queued, among it what dropped claims left, and syncs, whatever the
    /// [`Durability`](crate::Durability). Whoever calls it again is told the same.
    ///
    /// This closes the registrar for all its handles. Claims that are still held are not renewed any more; release or
    /// drop them before.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::OutcomeUnknown`] when the last sync failed; otherwise what kept the ledger from taking back a
    /// lease that nobody holds any more.
    pub fn close(&self) -> Completion<()> {
        self.core().close()
    }
}

/// Questions.
impl Registrar {
    /// Who this handle acts as: by default `host/pid/random`, so that two processes never pass for one another.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The key that this registrar signs with; its public half.
    pub fn public_key(&self) -> PublicKey {
        self.core().signer().public_key()
    }

    /// The keys that the ledger trusts by now, in the order of their bytes. Whoever has one of them can write to it.
    ///
    /// Blocks while what others have appended is read.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be read.
    pub fn trusted_keys(&self) -> Result<Vec<PublicKey>, RegistrarError> {
        self.core().catch_up()?;
        Ok(lock(&self.core().projection).keys().all().0)
    }

    /// The ledger, for those who read its history.
    pub fn ledger(&self) -> &dyn Ledger {
        &*self.core().ledger
    }

    /// The clock that decides.
    pub fn clock(&self) -> &dyn Clock {
        &*self.core().clock
    }

    /// Asks the state that includes everything in the ledger by now.
    ///
    /// The closure looks at a snapshot: it may take its time and call the registrar. Cost: reading what others have
    /// appended since this registrar last looked, for which it blocks. While the closure runs, the next change waits for
    /// it for a microsecond for each lease, and then copies the state.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be read.
    pub fn query<R>(&self, question: impl FnOnce(&LeaseReducerState) -> R) -> Result<R, RegistrarError> {
        Ok(question(self.core().fresh()?.state()))
    }

    /// How many records of the registrar's own families this registrar has passed over, because they break a rule or
    /// nobody trusted has signed them. Nothing that a registrar writes is among them.
    ///
    /// Only what this process has appended itself is believed; every other signature is verified before its record counts,
    /// whichever key it names.
    ///
    /// Blocks while what others have appended is read.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be read.
    pub fn refused(&self) -> Result<u64, RegistrarError> {
        self.core().catch_up()?;
        Ok(lock(&self.core().projection).refusals().count())
    }

    /// The last 1,000 of the [refused](Self::refused) records that this registrar has read itself, oldest first; of those
    /// before the checkpoint it began with only the number is known. Blocks while what others have appended is read.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be read.
    pub fn refusals(&self) -> Result<Vec<Refusal<LeaseError>>, RegistrarError> {
        self.core().catch_up()?;
        Ok(lock(&self.core().projection).refusals().last().cloned().collect())
    }

    /// Walks the whole ledger: every record in its place in the chain, every signature one of a key that was trusted by
    /// then, this registrar's own included. Returns the head it ends in.
    ///
    /// Whoever has the key and the file can write a history that verifies, and whoever has the file can cut its tail; a
    /// [`SignedHead`] that is kept elsewhere shows both to [`verify_against`](Self::verify_against).
    ///
    /// Blocks. Cost: every record is read, hashed and applied once; signatures are verified in batches, on other threads
    /// where there are any.
    ///
    /// # Errors
    ///
    /// [`LedgerError::BadRecord`](crate::ledger::LedgerError::BadRecord) names the first bad record and what is wrong
    /// with it, [`LedgerError::BadSeal`](crate::ledger::LedgerError::BadSeal) sealed records that are missing or
    /// damaged; otherwise the storage cannot be read.
    pub fn verify(&self) -> Result<Head, RegistrarError> {
        self.core().check_process()?;
        audit::verify(self.ledger(), self.core().clock.tick(), None)
    }

    /// Verifies the ledger as [`verify`](Self::verify) does, and that it still contains a head that was kept elsewhere.
    /// Blocks as long.
    ///
    /// # Errors
    ///
    /// Those of `verify`: a tail that was cut is named by its first missing record, a rewritten history by the record
    /// whose hash differs from the head's. [`RegistrarError::SignedHead`] with
    /// [`SignedHeadError::OtherLedger`](crate::SignedHeadError::OtherLedger) when the head is of another ledger, with
    /// [`SignedHeadError::Untrusted`](crate::SignedHeadError::Untrusted) when its key was not trusted there.
    pub fn verify_against(&self, kept: &SignedHead) -> Result<Head, RegistrarError> {
        self.core().check_process()?;
        audit::verify(self.ledger(), self.core().clock.tick(), Some(kept))
    }

    /// Where the ledger stands, signed, to be kept elsewhere. Everything up to there is on disk, so that no power cut
    /// can make it look like a cut tail. Blocks until it is.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be read or synced, [`RegistrarError::SignerUntrusted`] when this
    /// registrar's key was retired.
    pub fn signed_head(&self) -> Result<SignedHead, RegistrarError> {
        let core = self.core();
        core.catch_up()?;
        let projection = lock(&core.projection);
        let signer = core.trusted_signer(&projection)?;
        let (ledger, head) = (projection.ledger_id(), projection.head());
        drop(projection);
        core.ledger.sync()?;
        Ok(SignedHead::sign(ledger, head, &signer))
    }

    /// Verifies the ledger, and moves all records that it has by now into a compact file, under a signed head, which is
    /// returned. The history is read and verified as before; lease ids are used once as before. A checkpoint is kept with
    /// it, so that opening need not read what was sealed. What is appended meanwhile is the next seal's.
    ///
    /// Renewals pile up: a claim of 30 seconds writes some 8,640 records a day. Seal when the database is larger than it
    /// should be; its pages are used again, and it grows no further. Blocks for as long as verifying takes; others go on
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Self::verify) and [`signed_head`](Self::signed_head); [`RegistrarError::Ledger`] when the
    /// file cannot be written. Nothing was sealed; but after
    /// [`LedgerError::SyncFailed`](crate::ledger::LedgerError::SyncFailed) it may have been: the last of
    /// [`seals`](crate::ledger::Ledger::seals) tells, and its statement is the signed head, for
    /// [`SignedHead::from_bytes`].
    pub fn seal(&self) -> Result<SignedHead, RegistrarError> {
        let (core, head) = (self.core(), self.signed_head()?);
        let view = audit::replay(self.ledger(), core.retention, core.clock.tick(), Some(&head))?;
        if core.checkpoints.are_wanted() {
            // So that opening need not read what is sealed; without it, it does.
            let _ = view.save(self.ledger());
        }
        self.ledger().seal(&head.head(), &head.to_bytes())?;
        Ok(head)
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
