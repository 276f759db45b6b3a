//! Commands on their way through the registrar: what was asked, and what can be decided.
//!
//! A [`Request`] is what a caller wants. [`prepare`] turns it into a [`Command`] outside the write section: ends are
//! fixed from the clock and signed there, because signing takes longer than everything the section does. Inside, only
//! [`decide`](super::decide::decide) looks at it.

use std::collections::HashMap;
use std::time::Duration;

use crate::work::registrar::expiry::{self, Now, Verdict};
use crate::work::registrar::key_ring;
use crate::work::registrar::signer::{PublicKey, Signer};
use crate::work::registrar::signing::{self, Terms};
use crate::work::registrar::{Lease, LeaseError, LeaseReducerState, ReleaseReason};
use crate::work::tick::Tick;

/// The shortest time-to-live of a lease: below it a busy disk alone would lose claims.
pub(crate) const SHORTEST_TTL: Duration = Duration::from_secs(1);

/// What a caller wants.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Issue(IssueRequest),
    Renew {
        lease_id: String,
        ttl: Duration,
        /// The lease is not extended beyond this tick.
        not_after: Option<Tick>,
    },
    Release(Release),
    Revoke {
        target: Target,
        reason: String,
    },
    ExpireDue,
    Record(Note),
    Key(KeyChange),
}

impl Request {
    /// Whether it wants to have this work item.
    pub(crate) fn asks_for(&self, work_id: &str) -> bool {
        matches!(self, Self::Issue(issue) if issue.work_id == work_id)
    }

    /// Whether what it is about shows only in the view, so that an old view would leave something out.
    pub(crate) const fn is_made_of_the_view(&self) -> bool {
        match self {
            Self::Revoke { .. } | Self::ExpireDue | Self::Key(_) => true,
            Self::Issue(_) | Self::Renew { .. } | Self::Release(_) | Self::Record(_) => false,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct IssueRequest {
    pub(crate) lease_id: String,
    pub(crate) work_id: String,
    pub(crate) actor_id: String,
    pub(crate) ttl: Duration,
    /// How long the work item stays closed, also to the holder, unless a person revokes the lease.
    pub(crate) at_least: Option<Duration>,
}

/// A holder gives its lease back.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) lease_id: String,
    pub(crate) actor_id: String,
    pub(crate) reason: ReleaseReason,
}

/// An event of a user's own family.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) event_type: String,
    pub(crate) actor_id: String,
    pub(crate) payload: Vec<u8>,
}

/// What is to become of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyChange {
    Trust(PublicKey),
    Retire(PublicKey),
}

/// Which lease to revoke.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Lease(String),
    /// The one that is active on this work item.
    Work(String),
}

/// A request with everything that had to be made outside the write section.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Issue(Issue),
    Renew(Renewal),
    Release(Release),
    Revoke(Revocation),
    ExpireDue {
        /// By lease id, those that looked revocable outside.
        orphans: HashMap<String, Revocation>,
    },
    Record(Note),
    Key {
        change: KeyChange,
        signature: Vec<u8>,
    },
}

/// A signed issue.
#[derive(Clone, Debug)]
pub(crate) struct Issue {
    pub(crate) request: IssueRequest,
    pub(crate) issued_at: u64,
    pub(crate) expires_at: u64,
    pub(crate) start: Tick,
    pub(crate) end: Tick,
    /// 0 when the item is not kept closed.
    pub(crate) closed_until: u64,
    pub(crate) signature: Vec<u8>,
    /// The lease that is in the way, if it looked revocable outside.
    pub(crate) orphan: Option<Revocation>,
}

/// A signed renewal, the `number`-th of its lease.
#[derive(Clone, Debug)]
pub(crate) struct Renewal {
    pub(crate) lease_id: String,
    pub(crate) number: u32,
    pub(crate) expires_at: u64,
    pub(crate) end: Tick,
    pub(crate) signature: Vec<u8>,
}

/// A signed revocation, made for a lease that had been renewed `renewal` times.
#[derive(Clone, Debug)]
pub(crate) struct Revocation {
    pub(crate) lease_id: String,
    pub(crate) renewal: u32,
    pub(crate) reason: String,
    pub(crate) signature: Vec<u8>,
}

impl Revocation {
    fn sign(lease: &Lease, reason: &str, signer: &Signer) -> Self {
        Self {
            lease_id: lease.lease_id.clone(),
            renewal: lease.renewal_count,
            reason: reason.to_owned(),
            signature: signer.sign(&Terms::of(lease).revoked(reason)),
        }
    }

    /// Whether the lease is still the one that was signed for.
    pub(crate) fn is_for(&self, lease: &Lease) -> bool {
        self.lease_id == lease.lease_id && self.renewal == lease.renewal_count
    }

    /// Whether it is, and the reason is still the one that was signed.
    pub(crate) fn fits(&self, lease: &Lease, reason: &str) -> bool {
        self.is_for(lease) && self.reason == reason
    }
}

/// Fixes a request's ends from the clock and signs.
///
/// # Errors
///
/// What makes it impossible to say what would be signed: the state may have changed by the time of the decision, but
/// it was caught up after the request was made, so the refusal is true of a moment in between.
pub(crate) fn prepare(
    request: &Request,
    state: &LeaseReducerState,
    now: &Now<'_>,
    signer: &Signer,
) -> Result<Command, LeaseError> {
    Ok(match request {
        Request::Issue(request) => Command::Issue(prepare_issue(request, state, now, signer)?),
        Request::Renew {
            lease_id,
            ttl,
            not_after,
        } => Command::Renew(prepare_renewal(lease_id, *ttl, *not_after, state, now, signer)?),
        Request::Release(release) => Command::Release(release.clone()),
        Request::Revoke { target, reason } => {
            Command::Revoke(Revocation::sign(find(target, state)?, reason, signer))
        }
        Request::ExpireDue => Command::ExpireDue {
            orphans: expiry::due(state, now)
                .filter_map(|lease| revocation_of_orphan(lease, now, signer))
                .map(|revocation| (revocation.lease_id.clone(), revocation))
                .collect(),
        },
        Request::Record(note) => Command::Record(note.clone()),
        Request::Key(change) => Command::Key {
            change: *change,
            signature: sign_key(*change, now, signer)?,
        },
    })
}

fn sign_key(change: KeyChange, now: &Now<'_>, signer: &Signer) -> Result<Vec<u8>, LeaseError> {
    let message = match change {
        KeyChange::Trust(key) => signing::key_added(&now.ledger, &key.to_bytes()),
        KeyChange::Retire(key) if key == signer.public_key() => {
            return Err(key_ring::refused(
                "this registrar signs with it: rotate it instead",
            ));
        }
        KeyChange::Retire(key) => signing::key_retired(&now.ledger, &key.to_bytes()),
    };
    Ok(signer.sign(&message))
}

fn prepare_issue(
    request: &IssueRequest,
    state: &LeaseReducerState,
    now: &Now<'_>,
    signer: &Signer,
) -> Result<Issue, LeaseError> {
    check_ttl(request.ttl)?;
    let start = now.tick;
    let end = start.saturating_add(request.ttl);
    let issued_at = now.wall;
    let expires_at = issued_at.saturating_add(nanos(request.ttl));
    let closed_until = request
        .at_least
        .map_or(0, |least| start.saturating_add(least).value);
    let terms = Terms {
        lease_id: &request.lease_id,
        work_id: &request.work_id,
        actor_id: &request.actor_id,
        expires_at,
        expires_at_tick: end.value,
        rate: end.rate,
        clock: end.clock,
        renewal: 0,
    };
    Ok(Issue {
        signature: signer.sign(&terms.issued(issued_at, start.value, closed_until)),
        orphan: state
            .get_active_lease_for_work(&request.work_id)
            .and_then(|lease| revocation_of_orphan(lease, now, signer)),
        request: request.clone(),
        issued_at,
        expires_at,
        start,
        end,
        closed_until,
    })
}

fn prepare_renewal(
    lease_id: &str,
    ttl: Duration,
    not_after: Option<Tick>,
    state: &LeaseReducerState,
    now: &Now<'_>,
    signer: &Signer,
) -> Result<Renewal, LeaseError> {
    check_ttl(ttl)?;
    let lease = find_by_id(lease_id, state)?;
    let mut end = now.tick.saturating_add(ttl);
    if let Some(limit) = not_after
        && end.has_reached(&limit)
    {
        end = limit;
    }
    // The wall end moves as far as the tick end does, whatever the wall clock says by now.
    let extension = lease
        .expires_at_tick
        .and_then(|old| old.until(&end))
        .unwrap_or_default();
    let expires_at = lease.expires_at.saturating_add(nanos(extension));
    let number = lease.renewal_count.saturating_add(1);
    let terms = Terms {
        expires_at,
        expires_at_tick: end.value,
        rate: end.rate,
        clock: end.clock,
        renewal: number,
        ..Terms::of(lease)
    };
    Ok(Renewal {
        lease_id: lease_id.to_owned(),
        number,
        expires_at,
        end,
        signature: signer.sign(&terms.renewed()),
    })
}

fn revocation_of_orphan(lease: &Lease, now: &Now<'_>, signer: &Signer) -> Option<Revocation> {
    match expiry::judge(lease, now) {
        Verdict::Revocable(reason) => Some(Revocation::sign(lease, reason, signer)),
        Verdict::Held | Verdict::Over => None,
    }
}

fn find<'a>(target: &Target, state: &'a LeaseReducerState) -> Result<&'a Lease, LeaseError> {
    match target {
        Target::Lease(lease_id) => find_by_id(lease_id, state),
        Target::Work(work_id) => {
            state
                .get_active_lease_for_work(work_id)
                .ok_or_else(|| LeaseError::WorkNotLeased {
                    work_id: work_id.clone(),
                })
        }
    }
}

fn find_by_id<'a>(lease_id: &str, state: &'a LeaseReducerState) -> Result<&'a Lease, LeaseError> {
    state.get(lease_id).ok_or_else(|| LeaseError::LeaseNotFound {
        lease_id: lease_id.to_owned(),
    })
}

fn check_ttl(ttl: Duration) -> Result<(), LeaseError> {
    if ttl >= SHORTEST_TTL {
        return Ok(());
    }
    Err(LeaseError::invalid_input(
        "ttl",
        format!("{ttl:?} is shorter than {SHORTEST_TTL:?}"),
    ))
}

/// As many nanoseconds as there can be.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
