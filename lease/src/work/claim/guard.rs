//! The guard.

use std::fmt;
use std::time::Duration;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, panicking};
use crate::work::claim::hold::Hold;
use crate::work::claim::renewer::{Renewer, run_apart};
use crate::work::claim::{ClaimError, Lost};
use crate::work::registrar::reply::{Answer, Outcome};
use crate::work::registrar::{Completion, FencingToken, Lease, Registrar, ReleaseReason};

/// The exclusive right to one work item, held for as long as this lives.
///
/// It renews itself in the background. Should that fail, because the ledger's disk hangs or this process was stopped,
/// the claim gives itself up a little before its end, so that it is never believed here when it is somebody else's
/// already: ask [`is_held`](Self::is_held), wait for [`lost`](Self::lost), or let
/// [`on_lost`](Self::on_lost) call you. What a look at the clock cannot prevent, the
/// [`fencing_token`](Self::fencing_token) does.
///
/// Dropped, it gives the work item back: with reason `ABORTED` while panicking, otherwise `VOLUNTARY`. The drop only
/// queues that; [`Registrar::close`] waits for the queue.
#[must_use = "the work item is given back as soon as the claim is dropped"]
pub struct Claim {
    hold: Arc<Hold>,
    renewer: Arc<Renewer>,
    is_released: AtomicBool,
}

impl Claim {
    /// Guards a lease that was just issued.
    pub(super) fn new(
        registrar: Registrar,
        answer: Answer,
        ttl: Duration,
        at_most: Option<Duration>,
    ) -> Result<Self, ClaimError> {
        let Outcome { leases, ledger, .. } = answer?;
        let Some(lease) = leases.into_iter().next_back() else {
            unreachable!("an issue that was done has made a lease");
        };
        let token = FencingToken::new(lease.fencing_token, ledger);
        let renewer = Renewer::of(&registrar);
        let claim = Self {
            hold: Arc::new(Hold::new(registrar, lease, token, ttl, at_most)),
            renewer,
            is_released: AtomicBool::new(false),
        };
        // Whatever fails from here on, the claim is dropped and gives the work item back.
        claim.renewer.keep(&claim.hold)?;
        if claim.is_held() {
            Ok(claim)
        } else {
            Err(claim.lost_error())
        }
    }

    /// The work item.
    pub fn work_id(&self) -> &str {
        &self.hold.issued.work_id
    }

    /// The token that every write under this claim should carry; later claims on the same ledger have greater ones.
    pub fn fencing_token(&self) -> FencingToken {
        self.hold.token
    }

    /// The lease behind the claim, as of its last renewal; in a process that was forked from the holder's, as it was issued.
    pub fn lease(&self) -> Lease {
        self.hold.lease()
    }

    /// Whether the claim can be trusted at this moment, computed from the clock: its end, counted from before it was
    /// asked for, less 5 % of the time-to-live or 50 ms, whichever is more. Once it is false, it stays so. A process that
    /// was forked from the holder's never holds it.
    pub fn is_held(&self) -> bool {
        self.hold.remaining().is_some()
    }

    /// How long the claim can be trusted without a further renewal; zero once it is lost.
    pub fn remaining(&self) -> Duration {
        self.hold.remaining().unwrap_or_default()
    }

    /// A future that is ready once the claim cannot be trusted any more.
    pub fn lost(&self) -> Lost {
        Lost::new(Arc::clone(&self.hold))
    }

    /// Calls `callback` once if the claim is lost, on a thread of its own; at once if it is lost already. A claim that
    /// is given back is not lost.
    pub fn on_lost(&self, callback: impl FnOnce() + Send + 'static) {
        if let Err(callback) = self.hold.call_at_loss(Box::new(callback)) {
            run_apart(callback);
        }
    }

    /// The error that says that this claim was lost; whether it was is for [`is_held`](Self::is_held) to say.
    pub fn lost_error(&self) -> ClaimError {
        ClaimError::Lost {
            work_id: self.hold.issued.work_id.clone(),
            lease_id: self.hold.issued.lease_id.clone(),
        }
    }

    /// Gives the work item back. It happens even if the completion is dropped; waiting for it is waiting for the disk.
    ///
    /// # Errors
    ///
    /// [`LeaseError::LeaseAlreadyTerminal`](crate::LeaseError::LeaseAlreadyTerminal) when somebody has ended the lease
    /// before.
    pub fn release(self, reason: ReleaseReason) -> Completion<()> {
        self.release_in_place(reason)
    }

    /// The same for one who has only lent the claim out.
    pub(super) fn release_in_place(&self, reason: ReleaseReason) -> Completion<()> {
        self.let_go();
        let lease_id = self.hold.issued.lease_id.clone();
        let actor_id = self.hold.registrar.actor().to_owned();
        self.hold.registrar.release_surely(lease_id, actor_id, reason)
    }

    /// The claim is over for its holder: no renewals, no loss any more.
    fn let_go(&self) {
        if self.hold.is_forked() {
            return;
        }
        // Read by the drop alone, which whoever shared the claim happens before.
        self.is_released.store(true, Ordering::Relaxed);
        self.renewer.let_go(&self.hold);
        // They were for a loss.
        drop(self.hold.take_callbacks());
        self.hold.end();
        self.hold.wake_all();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_released.load(Ordering::Relaxed) || self.hold.is_forked() {
            return;
        }
        self.let_go();
        let reason = if panicking() {
            ReleaseReason::Aborted
        } else {
            ReleaseReason::Voluntary
        };
        self.hold.registrar.release_quietly(&self.hold.lease(), reason);
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("work_id", &self.hold.issued.work_id)
            .field("lease_id", &self.hold.issued.lease_id)
            .field("fencing_token", &self.hold.token.get())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Claim>();
    is_send_and_sync::<Registrar>();
    is_send_and_sync::<Lost>();
    is_send_and_sync::<Completion<Claim, ClaimError>>();
};
