//! A lease: what one holder has been granted, and how that can end.

use std::{fmt, str::FromStr, time::Duration};

use super::LeaseError;
use crate::sync::Arc;
use crate::work::tick::Tick;

/// Where a lease is in its life. It leaves [`Active`](Self::Active) once and never comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "UPPERCASE")
)]
#[non_exhaustive]
pub enum LeaseState {
    /// Held, as far as the ledger knows; whether its time is up is another question.
    Active,
    /// Given back by its holder.
    Released,
    /// Ended by time.
    Expired,
    /// Taken back by the registrar.
    Revoked,
}

impl LeaseState {
    /// Reads the canonical name, in either case; nothing is trimmed.
    ///
    /// ```
    /// use lease::LeaseState;
    ///
    /// assert_eq!(LeaseState::parse("active")?, LeaseState::Active);
    /// assert!(LeaseState::parse(" ACTIVE").is_err());
    /// # Ok::<(), lease::LeaseError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`LeaseError::InvalidLeaseState`] for anything else.
    pub fn parse(value: &str) -> Result<Self, LeaseError> {
        [Self::Active, Self::Released, Self::Expired, Self::Revoked]
            .into_iter()
            .find(|state| state.as_str().eq_ignore_ascii_case(value))
            .ok_or_else(|| LeaseError::InvalidLeaseState {
                value: value.to_owned(),
            })
    }

    /// The canonical upper-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Released => "RELEASED",
            Self::Expired => "EXPIRED",
            Self::Revoked => "REVOKED",
        }
    }

    /// Whether the lease has ended; nothing can happen to it any more.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Active)
    }
}

impl fmt::Display for LeaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LeaseState {
    type Err = LeaseError;

    /// As [`parse`](Self::parse) does.
    ///
    /// # Errors
    ///
    /// [`LeaseError::InvalidLeaseState`] for anything but a name.
    fn from_str(value: &str) -> Result<Self, LeaseError> {
        Self::parse(value)
    }
}

/// Why a holder gave its lease back. Recorded for audit; decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "UPPERCASE")
)]
#[non_exhaustive]
pub enum ReleaseReason {
    /// The work is done.
    Completed,
    /// The work failed.
    Aborted,
    /// The holder no longer wants it.
    Voluntary,
}

impl ReleaseReason {
    /// Reads the canonical name, in either case; nothing is trimmed.
    ///
    /// # Errors
    ///
    /// [`LeaseError::InvalidReleaseReason`] for anything else.
    pub fn parse(value: &str) -> Result<Self, LeaseError> {
        [Self::Completed, Self::Aborted, Self::Voluntary]
            .into_iter()
            .find(|reason| reason.as_str().eq_ignore_ascii_case(value))
            .ok_or_else(|| LeaseError::InvalidReleaseReason {
                value: value.to_owned(),
            })
    }

    /// The canonical upper-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "COMPLETED",
            Self::Aborted => "ABORTED",
            Self::Voluntary => "VOLUNTARY",
        }
    }
}

impl fmt::Display for ReleaseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ReleaseReason {
    type Err = LeaseError;

    /// As [`parse`](Self::parse) does.
    ///
    /// # Errors
    ///
    /// [`LeaseError::InvalidReleaseReason`] for anything but a name.
    fn from_str(value: &str) -> Result<Self, LeaseError> {
        Self::parse(value)
    }
}

/// A time-bounded exclusive right to one work item, as the ledger's events say it.
///
/// The ticks judge whether its time is up; the wall times are for audit, and for leases that were issued without ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Lease {
    /// Its id; no other lease ever had it.
    pub lease_id: String,
    /// The work item it gives access to.
    pub work_id: String,
    /// Who holds it.
    pub actor_id: String,
    /// Where it is in its life.
    pub state: LeaseState,
    /// When it was issued, in Unix nanoseconds.
    pub issued_at: u64,
    /// When it ends, in Unix nanoseconds.
    pub expires_at: u64,
    /// When it was issued, on a monotonic clock.
    pub issued_at_tick: Option<Tick>,
    /// When it ends, on that clock.
    pub expires_at_tick: Option<Tick>,
    /// The registrar's signature over the last issue or renewal.
    pub registrar_signature: Vec<u8>,
    /// How many times it was renewed; stops at the largest number.
    pub renewal_count: u32,
    /// Wall time of the last renewal in Unix nanoseconds, if there was one and its record says.
    pub last_renewed_at: Option<u64>,
    /// Why the holder gave it back, if it did.
    pub release_reason: Option<ReleaseReason>,
    /// Why the registrar took it back, if it did.
    pub revocation_reason: Option<String>,
    /// When it ended, in Unix nanoseconds; never later than `expires_at`, whatever ended it.
    pub terminated_at: Option<u64>,
    /// The number that a protected resource compares: every later lease of this ledger has a larger one.
    pub fencing_token: u64,
    /// The session of the record that issued it, which says whose process it was asked for in.
    pub session_id: Arc<str>,
}

impl Lease {
    /// Whether the lease is active and may no longer be trusted at `now`.
    ///
    /// Fails closed: a lease without ticks, or of another clock or rate than `now`, counts as expired.
    pub fn is_expired_at_tick(&self, now: &Tick) -> bool {
        self.state == LeaseState::Active
            && self
                .expires_at_tick
                .is_none_or(|end| !now.is_comparable(&end) || now.has_reached(&end))
    }

    /// How many ticks are left at `now`: 0 once the lease has ended or if that cannot be told.
    pub fn ticks_remaining(&self, now: &Tick) -> u64 {
        match self.expires_at_tick {
            Some(end) if !self.state.is_terminal() && now.is_comparable(&end) => {
                end.value.saturating_sub(now.value)
            }
            _ => 0,
        }
    }

    /// As [`is_expired_at_tick`](Self::is_expired_at_tick), but a lease that was issued without ticks is judged by the
    /// wall time `now_wall` (Unix nanoseconds).
    pub fn is_expired_at_tick_or_wall(&self, now: &Tick, now_wall: u64) -> bool {
        match self.expires_at_tick {
            Some(_) => self.is_expired_at_tick(now),
            None => self.state == LeaseState::Active && now_wall >= self.expires_at,
        }
    }

    /// How much time is left: by ticks, or by the wall time `now_wall` (Unix nanoseconds) for a lease that was issued
    /// without ticks. Zero once the lease has ended or if that cannot be told.
    pub fn remaining_at_tick_or_wall(&self, now: &Tick, now_wall: u64) -> Duration {
        if self.state.is_terminal() {
            return Duration::ZERO;
        }
        match self.expires_at_tick {
            Some(end) => now.until(&end).unwrap_or_default(),
            None => Duration::from_nanos(self.expires_at.saturating_sub(now_wall)),
        }
    }

    /// Whether the lease is active and its wall-clock end has come.
    #[deprecated(note = "wall clocks jump; use `is_expired_at_tick`, or `is_expired_at_tick_or_wall`")]
    pub fn is_expired_at(&self, current_time: u64) -> bool {
        self.state == LeaseState::Active && current_time >= self.expires_at
    }

    /// Nanoseconds until the wall-clock end; 0 once the lease has ended.
    #[deprecated(note = "wall clocks jump; use `ticks_remaining`, or `remaining_at_tick_or_wall`")]
    pub fn time_remaining(&self, current_time: u64) -> u64 {
        if self.state.is_terminal() {
            return 0;
        }
        self.expires_at.saturating_sub(current_time)
    }

    /// What there is to say about the lease without its signature.
    pub fn summary(&self) -> LeaseSummary {
        LeaseSummary {
            lease_id: self.lease_id.clone(),
            work_id: self.work_id.clone(),
            actor_id: self.actor_id.clone(),
            state: self.state,
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            renewal_count: self.renewal_count,
            fencing_token: self.fencing_token,
        }
    }
}

/// A lease without its signature, for lists and logs. See [`Lease::summary`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LeaseSummary {
    /// The lease's id.
    pub lease_id: String,
    /// The work item it gives access to.
    pub work_id: String,
    /// Who holds or held it.
    pub actor_id: String,
    /// Where it is in its life.
    pub state: LeaseState,
    /// When it was issued, in Unix nanoseconds.
    pub issued_at: u64,
    /// When it ends, in Unix nanoseconds.
    pub expires_at: u64,
    /// How many times it was renewed.
    pub renewal_count: u32,
    /// Its fencing token.
    pub fencing_token: u64,
}
