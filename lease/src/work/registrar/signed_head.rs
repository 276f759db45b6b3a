//! Where a ledger stood, signed, to be kept where whoever can write the ledger cannot reach.
//!
//! A value of this type was signed by the key it names: whatever is read from bytes or text is verified first. Whether
//! the ledger trusted that key is for the ledger to say.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};
use thiserror::Error;

use crate::work::ledger::Head;
use crate::work::registrar::signer::{PublicKey, Signer};
use crate::work::registrar::signing;
use crate::work::registrar::token::LedgerId;

/// What the text form begins with.
const PREFIX: &str = "lease-head-";

/// The first byte of the binary form.
const VERSION: u8 = 1;

const LEN: usize = 1 + 32 + 8 + 32 + 32 + 64;

/// Where a ledger stood: its identity, the last record's sequence and hash, and a trusted key's signature on that.
///
/// Kept outside the ledger (printed, mailed, in another database), it makes whoever later cuts the ledger's tail, or
/// rewrites its history, known to [`Registrar::verify_against`](crate::Registrar::verify_against). It proves nothing
/// against somebody who has the registrar's key *and* the place where the head is kept.
///
/// With the feature `serde` it is stored as its text, and verified when that is read.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use lease::{Registrar, SignedHead};
///
/// let jobs = Registrar::in_memory()?;
/// let kept: String = jobs.signed_head()?.to_string();
///
/// let kept: SignedHead = kept.parse()?;
/// assert_eq!(jobs.verify_against(&kept)?, kept.head());
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SignedHead {
    ledger: LedgerId,
    head: Head,
    public_key: PublicKey,
    signature: [u8; 64],
}

/// A signed head cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignedHeadError {
    /// These bytes, or this text, are no signed head.
    #[error("this is no signed head: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key that it names did not sign this.
    #[error("the head at {sequence} was not signed by the key {public_key}")]
    Forged {
        /// Where it says that the ledger stood.
        sequence: u64,
        /// Who it says signed it.
        public_key: PublicKey,
    },
    /// It is about another ledger.
    #[error("the head is one of another ledger: that one begins with {expected}, this one with {found}")]
    OtherLedger {
        /// The hash of the first record of the ledger that it is about, in hexadecimal.
        expected: String,
        /// The hash of the first record here.
        found: String,
    },
    /// The ledger did not trust its key when it stood there.
    #[error("the head at {sequence} is signed by {public_key}, which the ledger did not trust there")]
    Untrusted {
        /// Where it says that the ledger stood.
        sequence: u64,
        /// Who signed it.
        public_key: PublicKey,
    },
}

impl SignedHead {
    pub(crate) fn sign(ledger: LedgerId, head: Head, signer: &Signer) -> Self {
        Self {
            ledger,
            head,
            public_key: signer.public_key(),
            signature: signer.sign_plainly(&signing::head(&ledger, &head)),
        }
    }

    /// Which ledger: the hash of its first record.
    pub const fn ledger_id(&self) -> [u8; 32] {
        self.ledger
    }

    /// Where it stood.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The sequence of the last record there.
    pub const fn sequence(&self) -> u64 {
        self.head.sequence
    }

    /// Who signed it.
    pub const fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The binary form, always of the same length.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.ledger);
        bytes.extend_from_slice(&self.head.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.head.hash);
        bytes.extend_from_slice(&self.public_key.to_bytes());
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Reads the binary form and verifies the signature.
    ///
    /// # Errors
    ///
    /// [`SignedHeadError::Malformed`], [`SignedHeadError::Forged`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignedHeadError> {
        let malformed = |reason| SignedHeadError::Malformed { reason };
        let (version, rest) = bytes.split_first().ok_or(malformed("it is empty"))?;
        if *version != VERSION {
            return Err(malformed("its version is not known here"));
        }
        let head = read(rest).ok_or(malformed("its length is not that of one"))?;
        if head.is_genuine() {
            Ok(head)
        } else {
            Err(SignedHeadError::Forged {
                sequence: head.head.sequence,
                public_key: head.public_key,
            })
        }
    }

    fn is_genuine(&self) -> bool {
        let message = signing::head(&self.ledger, &self.head);
        let signature = Signature::from_bytes(&self.signature);
        VerifyingKey::from_bytes(&self.public_key.to_bytes())
            .is_ok_and(|key| key.verify_strict(&message, &signature).is_ok())
    }
}

/// The fields after the version; `None` if there are too few or too many bytes.
fn read(bytes: &[u8]) -> Option<SignedHead> {
    let (ledger, rest) = bytes.split_first_chunk()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let (hash, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_first_chunk()?;
    Some(SignedHead {
        ledger: *ledger,
        head: Head {
            sequence: u64::from_le_bytes(*sequence),
            hash: *hash,
        },
        public_key: PublicKey::from_bytes(*key),
        signature: rest.try_into().ok()?,
    })
}

/// The text form: one word in hexadecimal, to be copied and mailed.
impl fmt::Display for SignedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.to_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SignedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedHead")
            .field("sequence", &self.head.sequence)
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

impl FromStr for SignedHead {
    type Err = SignedHeadError;

    fn from_str(text: &str) -> Result<Self, SignedHeadError> {
        let malformed = |reason| SignedHeadError::Malformed { reason };
        let digits = text
            .trim()
            .strip_prefix(PREFIX)
            .ok_or(malformed("it does not begin with `lease-head-`"))?;
        let nibbles: Option<Vec<u8>> = digits
            .chars()
            .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
            .collect();
        let nibbles = nibbles.ok_or(malformed("it has other characters than hexadecimal digits"))?;
        let (pairs, rest) = nibbles.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(malformed("half a byte is missing"));
        }
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        Self::from_bytes(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SignedHead {
        let head = Head {
            sequence: 7,
            hash: [3; 32],
        };
        SignedHead::sign([1; 32], head, &Signer::from_bytes(&[7; 32]))
    }

    #[test]
    fn both_forms_come_back_as_they_went_out() {
        let head = sample();
        assert_eq!(SignedHead::from_bytes(&head.to_bytes()), Ok(head.clone()));
        assert_eq!(format!("  {head}\n").parse(), Ok(head.clone()));
        assert_eq!(
            head.to_string()
                .to_uppercase()
                .replace("LEASE-HEAD-", PREFIX)
                .parse(),
            Ok(head)
        );
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_refused() {
        let bytes = sample().to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(SignedHead::from_bytes(&changed).is_err(), "byte {at}");
            assert!(SignedHead::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(SignedHead::from_bytes(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn text_that_is_no_head_is_refused_with_a_reason() {
        for text in [
            "",
            "lease-head",
            "lease-head-",
            "lease-head-0",
            "lease-head-0g",
            "lease-head-01",
            "lease-head-é",
        ] {
            let refused = text.parse::<SignedHead>();
            assert!(
                matches!(refused, Err(SignedHeadError::Malformed { .. })),
                "{text}: {refused:?}"
            );
        }
    }

    #[test]
    fn the_bytes_are_frozen() {
        let hash = blake3::hash(&sample().to_bytes());
        assert_eq!(hash.to_hex().as_str(), FROZEN);
    }

    const FROZEN: &str = "9bed1d71c137853bd24e191272161d2e520e341fae21cd6e96fab54b444b4f49";
}
