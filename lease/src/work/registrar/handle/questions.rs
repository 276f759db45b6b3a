//! What a registrar can be asked: its state, who is trusted, what was refused, whether the history is sound.

use crate::sync::lock;
use crate::work::clock::Clock;
use crate::work::ledger::{Head, Ledger};
use crate::work::reducer::{Reducer as _, Refusal};
use crate::work::registrar::{
    LeaseError, LeaseReducerState, PublicKey, Registrar, RegistrarError, SignedHead, audit,
};

/// Questions, and upkeep.
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
    /// returned. The history is read and verified as before; lease ids are used once as before. Unless
    /// there are to be [none](crate::RegistrarBuilder::checkpoint_interval), a checkpoint is written before, so that
    /// opening need not read what was sealed. What is appended meanwhile is the next seal's.
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
        audit::verify(self.ledger(), core.clock.tick(), Some(&head))?;
        if core.checkpoints.are_wanted() {
            // So that opening need not read what is sealed; without it, it does.
            let _ = core.checkpoint_now();
        }
        self.ledger().seal(&head.head(), &head.to_bytes())?;
        Ok(head)
    }
}
