//! Why an event is refused.

use thiserror::Error;

use crate::work::{event::EventError, tick::Tick};

/// An event, or a command that would make one, breaks a rule of leases. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// Another lease on the work item is active.
    #[error("work `{work_id}` is leased already, as `{existing_lease_id}`")]
    WorkAlreadyLeased {
        /// The work item.
        work_id: String,
        /// The lease that is in the way.
        existing_lease_id: String,
    },
    /// An earlier lease keeps the work item closed until a tick that has not come, or cannot be told to have come.
    #[error("work `{work_id}` stays closed until tick {}", closed_until_tick.value)]
    WorkClosed {
        /// The work item.
        work_id: String,
        /// When it opens.
        closed_until_tick: Tick,
    },
    /// No lease has this id.
    #[error("there is no lease `{lease_id}`")]
    LeaseNotFound {
        /// The id.
        lease_id: String,
    },
    /// No lease on the work item is active.
    #[error("there is no lease on work `{work_id}`")]
    WorkNotLeased {
        /// The work item.
        work_id: String,
    },
    /// The lease has ended.
    #[error("lease `{lease_id}` has ended: {current_state}")]
    LeaseAlreadyTerminal {
        /// The lease.
        lease_id: String,
        /// How it ended: the canonical name of its state.
        current_state: String,
    },
    /// The lease's time is up, so it cannot be renewed.
    #[error("lease `{lease_id}` expired at {expired_at}")]
    LeaseExpired {
        /// The lease.
        lease_id: String,
        /// Its wall-clock end in Unix nanoseconds.
        expired_at: u64,
    },
    /// No release reason has this name.
    #[error("`{value}` is no release reason")]
    InvalidReleaseReason {
        /// What was given.
        value: String,
    },
    /// No lease state has this name.
    #[error("`{value}` is no lease state")]
    InvalidLeaseState {
        /// What was given.
        value: String,
    },
    /// The signature is not one of a registrar over these values.
    #[error("the signature of lease `{lease_id}` is not valid")]
    InvalidSignature {
        /// The lease.
        lease_id: String,
    },
    /// The event needs a signature and has none.
    #[error("the event on lease `{lease_id}` carries no signature")]
    MissingSignature {
        /// The lease.
        lease_id: String,
    },
    /// A renewal must end later than what it renews. The ends are in Unix nanoseconds, or in ticks if it is the tick end
    /// that does not move.
    #[error("renewing lease `{lease_id}` to {new_expires_at} does not extend it beyond {current_expires_at}")]
    RenewalDoesNotExtend {
        /// The lease.
        lease_id: String,
        /// Its end.
        current_expires_at: u64,
        /// The end that was asked for.
        new_expires_at: u64,
    },
    /// The payload is not Protocol Buffers, or a field has the wrong wire type.
    #[error("the payload cannot be decoded")]
    DecodeError(#[from] prost::DecodeError),
    /// A lease had this id before.
    #[error("there is a lease `{lease_id}` already")]
    LeaseAlreadyExists {
        /// The id.
        lease_id: String,
    },
    /// The sender may not send this event: it is no registrar, or not the holder.
    #[error("`{actor_id}` may not send this event on lease `{lease_id}`")]
    Unauthorized {
        /// The lease; empty if the event names none.
        lease_id: String,
        /// The sender.
        actor_id: String,
    },
    /// The lease's end has not come, or cannot be told to have come.
    #[error("lease `{lease_id}` cannot expire at {provided}, it ends at {lease_expires_at}")]
    InvalidExpiration {
        /// The lease.
        lease_id: String,
        /// The wall time of expiry in the event, in Unix nanoseconds.
        provided: u64,
        /// The lease's wall-clock end, in Unix nanoseconds.
        lease_expires_at: u64,
    },
    /// The event's ticks do not fit each other, the record's tick, or the lease's clock.
    #[error("the ticks of lease `{lease_id}` do not fit: {reason}")]
    InvalidTickTiming {
        /// The lease.
        lease_id: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// A field is outside its limits.
    #[error("`{field}` is not valid: {reason}")]
    InvalidInput {
        /// The field.
        field: String,
        /// What is wrong, and the limit.
        reason: String,
    },
}

impl LeaseError {
    pub(crate) fn invalid_input(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidInput {
            field: field.into(),
            reason: reason.into(),
        }
    }
}

impl From<EventError> for LeaseError {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Malformed(error) => Self::DecodeError(error),
            EventError::TooLarge { .. } => Self::invalid_input("payload", error.to_string()),
            EventError::NoArm { .. } | EventError::ManyArms { .. } | EventError::WrongType { .. } => {
                Self::invalid_input("event_type", error.to_string())
            }
        }
    }
}
