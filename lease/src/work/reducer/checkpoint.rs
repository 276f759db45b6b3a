//! Checkpoints: what a reducer has made of a ledger so far, so that the next replay starts there.
//!
//! A checkpoint is a shortcut and nothing else: it is taken only if it is whole, was written by the same reducer, and
//! stands on a record that the ledger has. Whatever else it is, it is refused with the reason, and an older one, or the
//! first record, is where replay begins. The form:
//!
//! ```text
//! "LEASECKP" ‖ format ‖ reducer's name ‖ its version ‖ sequence ‖ chain hash there ‖ state hash ‖ seal ‖ body
//! ```
//!
//! Format and version are four bytes, sequence and lengths eight, little-endian; the name follows its length. The state
//! hash is BLAKE3 of the body, the seal BLAKE3 of everything before it. Equal states have equal bodies, so equal state
//! hashes.

use thiserror::Error;

use super::Reducer;

const MAGIC: &[u8; 8] = b"LEASECKP";

/// The form written here, and the newest that is read.
const FORMAT: u32 = 1;

/// A reducer whose state can be written down and taken up again; see [`docs::checkpoints`](crate::docs::checkpoints).
///
/// `decode` gives a state equal to the one that `encode` saw, and equal states encode to equal bytes: write maps in
/// order, and nothing that depends on how the state came about. What the reducer was configured with is not state;
/// where it matters for the state, encode it, and refuse a body that was made under another configuration.
///
/// ```
/// use lease::{Checkpoint, CheckpointError, EventError, EventRecord, LeaseEvent, ReducerContext, Replayer, TypedReducer};
///
/// #[derive(LeaseEvent)]
/// #[event(namespace = "till")]
/// enum TillEvent {
///     #[event(kind = "paid", tag = 1)]
///     Paid(#[event(tag = 1)] u64),
/// }
///
/// #[derive(Default)]
/// struct Till { cents: u64 }
///
/// impl TypedReducer for Till {
///     type Event = TillEvent;
///     type Error = EventError;
///     const NAME: &'static str = "till";
///
///     fn apply_event(&mut self, TillEvent::Paid(cents): TillEvent, _: &EventRecord, _: &ReducerContext) -> Result<(), EventError> {
///         self.cents += cents;
///         Ok(())
///     }
/// }
///
/// impl Checkpoint for Till {
///     const VERSION: u32 = 1;
///
///     fn encode(&self, body: &mut Vec<u8>) {
///         body.extend(self.cents.to_le_bytes());
///     }
///
///     fn decode(&mut self, _version: u32, body: &[u8]) -> Result<(), CheckpointError> {
///         let cents = body.try_into().map_err(|_| CheckpointError::body("it is not 8 bytes long"))?;
///         self.cents = u64::from_le_bytes(cents);
///         Ok(())
///     }
/// }
///
/// let registrar = lease::Registrar::in_memory()?;
/// registrar.record(&TillEvent::Paid(250)).wait()?;
/// let mut replayer = Replayer::resume(registrar.ledger(), Till::default())?;
/// replayer.save(registrar.ledger())?;
///
/// registrar.record(&TillEvent::Paid(100)).wait()?;
/// let resumed = Replayer::resume(registrar.ledger(), Till::default())?;
/// assert_eq!(resumed.state().cents, 350);
/// assert_eq!(resumed.applied(), 1, "all but the last record came from the checkpoint");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Checkpoint: Reducer {
    /// The version of the body that `encode` writes. Raise it when the form of the body changes.
    const VERSION: u32;

    /// Appends the state to `body`.
    fn encode(&self, body: &mut Vec<u8>);

    /// Replaces the state by that of a body of this version or an older one. Its bytes are those that were written, if
    /// by nobody else than the owner of the ledger; even so, judge them.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Body`] when the body says no state; the caller then [resets](Reducer::reset) the reducer.
    fn decode(&mut self, version: u32, body: &[u8]) -> Result<(), CheckpointError>;
}

/// Why a checkpoint is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It could not be read.
    #[error("the checkpoint cannot be read: {reason}")]
    Unreadable {
        /// What the storage said.
        reason: String,
    },
    /// It is no checkpoint, or not as it was written.
    #[error("the checkpoint is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: &'static str,
    },
    /// A newer version of this crate wrote it.
    #[error(
        "the checkpoint has format {found}, this version knows {supported} and older ones: it was written by a newer version of this crate, update it"
    )]
    NewerFormat {
        /// Its format.
        found: u32,
        /// The newest format known here.
        supported: u32,
    },
    /// Another reducer wrote it.
    #[error("the checkpoint is of the reducer `{found}`, not of `{expected}`")]
    Foreign {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: &'static str,
    },
    /// A newer version of the reducer wrote it.
    #[error("the checkpoint has version {found} of its reducer, this is version {supported}")]
    NewerVersion {
        /// Its version.
        found: u32,
        /// The reducer's version.
        supported: u32,
    },
    /// It stands on a record that the ledger does not have yet, or has no more.
    #[error("the checkpoint stands at {sequence}, the ledger ends at {head}")]
    AheadOfLedger {
        /// The record on which it stands.
        sequence: u64,
        /// The last record of the ledger.
        head: u64,
    },
    /// It stands on another history than the ledger's.
    #[error("the checkpoint stands on another record {sequence} than the ledger's")]
    WrongChain {
        /// The record on which it stands.
        sequence: u64,
    },
    /// Its body says no state of the reducer.
    #[error("the checkpoint's body says no state: {reason}")]
    Body {
        /// What is wrong with it.
        reason: String,
    },
}

impl CheckpointError {
    /// A body that says no state, for this reason.
    pub fn body(reason: impl Into<String>) -> Self {
        Self::Body {
            reason: reason.into(),
        }
    }
}

/// Where a checkpoint stands: everything up to this record is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    pub(crate) hash: [u8; 32],
}

/// Puts a body into its envelope.
pub(crate) fn seal(name: &str, version: u32, position: &Position, body: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(body.len() + name.len() + 128);
    sealed.extend_from_slice(MAGIC);
    sealed.extend_from_slice(&FORMAT.to_le_bytes());
    sealed.extend_from_slice(&(name.len() as u64).to_le_bytes());
    sealed.extend_from_slice(name.as_bytes());
    sealed.extend_from_slice(&version.to_le_bytes());
    sealed.extend_from_slice(&position.sequence.to_le_bytes());
    sealed.extend_from_slice(&position.hash);
    sealed.extend_from_slice(blake3::hash(body).as_bytes());
    let seal = blake3::hash(&sealed);
    sealed.extend_from_slice(seal.as_bytes());
    sealed.extend_from_slice(body);
    sealed
}

/// A checkpoint that is whole, and was written by the reducer that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsealed<'a> {
    pub(crate) position: Position,
    pub(crate) version: u32,
    pub(crate) body: &'a [u8],
}

/// Takes a body out of its envelope: damage first, then whose it is, then what version.
pub(crate) fn unseal<'a>(
    name: &'static str,
    version: u32,
    sealed: &'a [u8],
) -> Result<Unsealed<'a>, CheckpointError> {
    let mut rest = Envelope(sealed);
    if rest.array::<8>()? != *MAGIC {
        return Err(CheckpointError::Damaged {
            reason: "it is no checkpoint",
        });
    }
    let format = u32::from_le_bytes(rest.array()?);
    if format > FORMAT {
        return Err(CheckpointError::NewerFormat {
            found: format,
            supported: FORMAT,
        });
    }
    let name_len = usize::try_from(u64::from_le_bytes(rest.array()?)).unwrap_or(usize::MAX);
    let found_name = rest.take(name_len)?;
    let found_version = u32::from_le_bytes(rest.array()?);
    let position = Position {
        sequence: u64::from_le_bytes(rest.array()?),
        hash: rest.array()?,
    };
    let state_hash = rest.array::<32>()?;
    let header = &sealed[..sealed.len() - rest.0.len()];
    let seal = rest.array::<32>()?;
    let body = rest.0;
    if blake3::hash(header) != seal || blake3::hash(body) != state_hash {
        return Err(CheckpointError::Damaged {
            reason: "its bytes do not match their hash",
        });
    }
    if found_name != name.as_bytes() {
        return Err(CheckpointError::Foreign {
            found: String::from_utf8_lossy(found_name).into_owned(),
            expected: name,
        });
    }
    if found_version > version {
        return Err(CheckpointError::NewerVersion {
            found: found_version,
            supported: version,
        });
    }
    Ok(Unsealed {
        position,
        version: found_version,
        body,
    })
}

/// What is left of an envelope.
struct Envelope<'a>(&'a [u8]);

impl<'a> Envelope<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], CheckpointError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(CheckpointError::Damaged {
            reason: "it was cut off",
        })?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CheckpointError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position = Position {
        sequence: 7,
        hash: [3; 32],
    };

    fn sealed() -> Vec<u8> {
        seal("till", 2, &AT, b"state")
    }

    #[test]
    fn what_was_sealed_is_unsealed() {
        let expected = Unsealed {
            position: AT,
            version: 2,
            body: b"state",
        };
        assert_eq!(unseal("till", 2, &sealed()), Ok(expected));
        assert_eq!(
            unseal("till", 3, &sealed()),
            Ok(expected),
            "a newer reducer reads it"
        );
    }

    #[test]
    fn the_envelope_is_frozen() {
        let hash = blake3::hash(&sealed());
        assert_eq!(
            hash.to_hex().as_str(),
            "fde7c7f19bed5fa7d3aa905542ef489ba501485dc1d776c7fa32d3dd490387e7"
        );
    }

    #[test]
    fn a_cut_or_flipped_checkpoint_is_refused_wherever_it_happened() {
        let whole = sealed();
        for len in 0..whole.len() {
            assert!(unseal("till", 2, &whole[..len]).is_err(), "cut to {len}");
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal("till", 2, &flipped).is_err(), "bit {bit}");
        }
        let mut longer = whole;
        longer.push(0);
        assert!(matches!(
            unseal("till", 2, &longer),
            Err(CheckpointError::Damaged { .. })
        ));
    }

    #[test]
    fn another_reducer_s_a_newer_one_and_a_newer_format_are_told_apart() {
        assert_eq!(
            unseal("shop", 2, &sealed()),
            Err(CheckpointError::Foreign {
                found: "till".into(),
                expected: "shop"
            })
        );
        assert_eq!(
            unseal("till", 1, &sealed()),
            Err(CheckpointError::NewerVersion {
                found: 2,
                supported: 1
            })
        );
        // A newer format may seal in another way, so it is told before the seal is looked at.
        let mut newer = sealed();
        newer[8] = 2;
        assert_eq!(
            unseal("till", 2, &newer),
            Err(CheckpointError::NewerFormat {
                found: 2,
                supported: 1
            })
        );
    }
}
