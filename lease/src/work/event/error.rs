//! Why a payload is no event.

use thiserror::Error;

/// A payload is not an event of the family it was decoded as.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EventError {
    /// The payload is longer than any event may be; nothing of it was looked at.
    #[error("the payload has {len} bytes, the limit is {limit}")]
    TooLarge {
        /// Length of the payload in bytes.
        len: usize,
        /// The most that is taken, in bytes.
        limit: usize,
    },
    /// The payload is not Protocol Buffers, or a field has another wire type than the family says.
    #[error("the payload cannot be decoded")]
    Malformed(#[from] prost::DecodeError),
    /// The payload has none of the family's arms.
    #[error("the payload carries no event of the family `{namespace}`")]
    NoArm {
        /// The family.
        namespace: &'static str,
    },
    /// The payload has several arms, or one of them several times; an event has exactly one.
    #[error("the payload carries {count} events of the family `{namespace}`, an event is exactly one")]
    ManyArms {
        /// The family.
        namespace: &'static str,
        /// How many it has.
        count: usize,
    },
    /// The record's type says another kind of event than the payload carries, or one that the family does not have.
    #[error("the record's type is `{event_type}`, but its payload carries `{namespace}.{carried}`")]
    WrongType {
        /// The type in the envelope.
        event_type: String,
        /// The family.
        namespace: &'static str,
        /// The kind that the payload carries.
        carried: &'static str,
    },
}
