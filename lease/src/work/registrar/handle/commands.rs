//! What a registrar can be told to do: each a record or several, through the writer's queue.

use std::time::Duration;

use super::last_lease;
use crate::work::event::wire::MAX_PAYLOAD;
use crate::work::event::{EventError, LeaseEvent};
use crate::work::registrar::command::{KeyChange, Note, Release, Request, Target};
use crate::work::registrar::reply::Withdrawable;
use crate::work::registrar::{
    Completion, Lease, LeaseChange, LeaseError, LedgerEvent, PublicKey, Registrar, RegistrarError,
    ReleaseReason, Signer,
};

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
    /// has come, [`LeaseError::RenewalDoesNotExtend`], [`LeaseError::InvalidTickTiming`] for a lease of another clock.
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
    /// process at once. A work item that was to stay [closed](crate::ClaimBuilder::at_least) after the lease is open again.
    ///
    /// # Errors
    ///
    /// [`LeaseError::LeaseNotFound`], [`LeaseError::LeaseAlreadyTerminal`]; [`LeaseError::InvalidInput`] for a reason
    /// over 128 bytes, and for those that only the registrar itself gives, as [`LeaseChange::HOLDER_DIED`].
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
    /// [`LeaseError::WorkNotLeased`] when there is none, and [`LeaseError::InvalidInput`] as there.
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
    /// [`RegistrarError::Event`] for an event of more than 64 KiB, which could not be read back;
    /// [`LedgerError::TooLong`](crate::ledger::LedgerError::TooLong) for a longer name of its type or actor than the
    /// ledger takes.
    pub fn record<E: LeaseEvent>(&self, event: &E) -> Completion<u64> {
        let event_type = event.event_type();
        // By what stands in the record: an implementation by hand may say another type than its namespace.
        let namespace = event_type.split('.').next().unwrap_or_default();
        if [LeaseChange::NAMESPACE, LedgerEvent::NAMESPACE].contains(&namespace) {
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
    /// next begins, whatever the [`Durability`](crate::Durability). Blocks until the last one is. A checkpoint that the new
    /// key has signed follows, if any are written and it can be: those of the old key are not taken any more.
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
        core.sync_ledger()?;
        // Without it, whoever opens the ledger with this key reads all of it, once.
        let _ = core.checkpoint_the_view();
        Ok(())
    }

    /// Writes a checkpoint of the ledger as it is now, for whoever opens it next; see
    /// [`checkpoint_interval`](crate::RegistrarBuilder::checkpoint_interval). Blocks until it is on disk; commands go on meanwhile.
    ///
    /// Cost: reading what was appended since the last checkpoint, and writing every lease that is
    /// [kept](crate::RegistrarBuilder::retain_terminal).
    ///
    /// # Errors
    ///
    /// [`RegistrarError::Ledger`] when the ledger cannot be read, or the checkpoint not be written;
    /// [`RegistrarError::SignerUntrusted`] when this registrar's key, which signs it, was retired.
    pub fn checkpoint(&self) -> Result<(), RegistrarError> {
        self.core().checkpoint_now()
    }

    /// Takes no more commands, does what is queued, among it what dropped claims left, and syncs, whatever the
    /// [`Durability`](crate::Durability). Whoever calls it again is told the same.
    ///
    /// This closes the registrar for all its handles; opening the ledger again makes another one. Claims that are still
    /// held are not renewed any more; release or drop them before.
    ///
    /// # Errors
    ///
    /// [`RegistrarError::OutcomeUnknown`] when the last sync failed; otherwise what kept the ledger from taking back a
    /// lease that nobody holds any more.
    pub fn close(&self) -> Completion<()> {
        self.core().close()
    }
}
