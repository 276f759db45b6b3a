//! Asking for a claim.

use std::time::Duration;

use crate::work::claim::{Claim, ClaimError};
use crate::work::registrar::command::{IssueRequest, Request, SHORTEST_TTL};
use crate::work::registrar::core::Queued;
use crate::work::registrar::reply::Withdrawable;
use crate::work::registrar::{Completion, Registrar};

/// A claim in the making; see [`Registrar::claim`].
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use lease::{ClaimError, Registrar, ReleaseReason};
/// use std::time::Duration;
///
/// // A cron job on two nodes: whoever comes first runs it, the other finds it closed.
/// let jobs = Registrar::in_memory()?;
/// let tick = || jobs.claim("cron/backup", Duration::from_secs(60)).at_least(Duration::from_secs(300));
///
/// let claim = tick().acquire().wait()?;
/// claim.release(ReleaseReason::Completed).wait()?;
/// assert!(matches!(tick().acquire().wait(), Err(ClaimError::Busy(_))));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is claimed until `acquire` is called"]
pub struct ClaimBuilder {
    /// `None` when it is to be the installed one and there is none.
    registrar: Option<Registrar>,
    work_id: String,
    ttl: Duration,
    lease_id: Option<String>,
    at_most: Option<Duration>,
    at_least: Option<Duration>,
    timeout: Option<Duration>,
}

impl ClaimBuilder {
    pub(crate) fn new(registrar: Option<Registrar>, work_id: String, ttl: Duration) -> Self {
        Self {
            registrar,
            work_id,
            ttl,
            lease_id: None,
            at_most: None,
            at_least: None,
            timeout: None,
        }
    }

    /// Claims for this actor instead of the registrar's own; a name of 1 to 128 bytes.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.registrar = self.registrar.map(|registrar| registrar.with_actor(actor));
        self
    }

    /// Gives the lease this id, of 1 to 128 bytes, instead of a new one; no lease of the ledger may ever have had it.
    pub fn lease_id(mut self, lease_id: impl Into<String>) -> Self {
        self.lease_id = Some(lease_id.into());
        self
    }

    /// Stops renewing once the claim is this old: it is lost then, however alive its holder is. A longer time-to-live is
    /// cut to it. For holders that may be stuck, and claims that may be forgotten.
    pub const fn at_most(mut self, duration: Duration) -> Self {
        self.at_most = Some(duration);
        self
    }

    /// Keeps the work item closed to everybody for this long from its issue, whatever ends the lease before.
    ///
    /// A person who [revokes](Registrar::revoke) the lease while it is active opens the work item with that. Once the lease
    /// has ended otherwise nobody can: there is no lease to revoke any more, and only the time or a reboot opens it.
    pub const fn at_least(mut self, duration: Duration) -> Self {
        self.at_least = Some(duration);
        self
    }

    /// Waits up to this long while the work item is busy. Those who wait in one process are served in the order in
    /// which they came; between processes there is no order.
    pub const fn timeout(mut self, duration: Duration) -> Self {
        self.timeout = Some(duration);
        self
    }

    /// Asks.
    ///
    /// A completion that is dropped withdraws the request; a claim that was obtained by then is given back.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Busy`] when somebody else holds the work item, or it is closed; [`ClaimError::Lost`] when the
    /// ledger took so long that the claim was over before it began; [`ClaimError::Registrar`] for ids that are not 1 to
    /// 128 bytes long, a [lease id](Self::lease_id) that was used before, a time-to-live under a second, and with what
    /// [every command](Registrar) may be refused with.
    pub fn acquire(self) -> Completion<Claim, ClaimError> {
        let Some(registrar) = self.registrar else {
            return Completion::ready(Err(ClaimError::NoRegistrar));
        };
        // A lease lasts a second at least; a claim may be given up before.
        let ttl = self
            .at_most
            .map_or(self.ttl, |most| most.max(SHORTEST_TTL).min(self.ttl));
        let request = registrar.issue_request(self.work_id, ttl);
        let request = IssueRequest {
            lease_id: self.lease_id.unwrap_or(request.lease_id),
            at_least: self.at_least,
            ..request
        };
        let patience = self
            .timeout
            .map(|timeout| registrar.clock().tick().saturating_add(timeout));
        let (completer, completion) = Completion::pair();
        let holder = registrar.clone();
        let at_most = self.at_most;
        let reply = Withdrawable {
            completer,
            finish: move |answer| Claim::new(holder, answer, ttl, at_most),
        };
        registrar.submit(Queued {
            patience,
            ..Queued::new(Request::Issue(request), true, Box::new(reply))
        });
        completion
    }
}

/// Claims.
impl Registrar {
    /// Claims `work` for this handle's actor if it is free at this moment.
    ///
    /// The claim renews itself every third of `ttl`. Others may have to wait for a whole `ttl` if this process is
    /// stopped right after that. If it dies they need not wait, on a ledger on disk: who asks for the work item finds that out.
    ///
    /// # Errors
    ///
    /// Those of [`ClaimBuilder::acquire`].
    pub fn try_claim(&self, work: impl Into<String>, ttl: Duration) -> Completion<Claim, ClaimError> {
        self.claim(work, ttl).acquire()
    }

    /// Claims `work`, waiting up to `timeout` while somebody else holds it.
    ///
    /// # Errors
    ///
    /// Those of [`ClaimBuilder::acquire`].
    pub fn claim_timeout(
        &self,
        work: impl Into<String>,
        ttl: Duration,
        timeout: Duration,
    ) -> Completion<Claim, ClaimError> {
        self.claim(work, ttl).timeout(timeout).acquire()
    }

    /// A claim on `work` with more to say about it.
    pub fn claim(&self, work: impl Into<String>, ttl: Duration) -> ClaimBuilder {
        ClaimBuilder::new(Some(self.clone()), work.into(), ttl)
    }
}
