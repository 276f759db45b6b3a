//! Sealed prefixes: history that was moved into a compact form of its own and never changes again.
//!
//! ```text
//! magic ‖ first ‖ previous hash ‖ last ‖ hash ‖ length of statement ‖ statement      the header
//! block …                                                                             256 records each
//! (offset ‖ previous hash) of each block                                              the index
//! offset of the index ‖ BLAKE3(domain ‖ header ‖ index ‖ offset of the index)         the trailer
//! ```
//!
//! Integers are eight bytes (the statement's length four), little-endian. The checksum covers everything but the
//! blocks; those are covered by the chain, because each record keeps its hash. What is left out can be computed: a
//! record's sequence and its previous hash. The form is frozen: old seals are read for ever.

mod block;
mod read;
mod write;

use thiserror::Error;

pub(super) use self::{
    read::{ReadError, Reader},
    write::Writer,
};
use super::Head;

/// What a file of sealed records begins with.
const MAGIC: [u8; 16] = *b"lease.seal.0001\n";

/// The part of [`MAGIC`] that every version begins with.
const FAMILY: &[u8] = b"lease.seal.";

const DOMAIN: &[u8] = b"lease.ledger.seal.1";

/// How many records there are in a block: what has to be decoded to find one.
const BLOCK: u64 = 256;

/// Bytes of the header before the statement.
const FIXED: usize = 16 + 8 + 32 + 8 + 32 + 4;

/// Bytes of an entry of the index.
const INDEXED: usize = 8 + 32;

/// Bytes of the trailer.
const TRAILER: usize = 8 + 32;

/// The longest statement of a seal, in bytes.
pub const MAX_STATEMENT: usize = 1 << 16;

/// A run of records that was sealed. See [`Ledger::seal`](super::Ledger::seal).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seal {
    /// The sequence of its first record.
    pub first: u64,
    /// Where the ledger stood at its last record.
    pub head: Head,
    /// What whoever sealed it had to say, for example a signature.
    pub statement: Vec<u8>,
}

/// What is wrong with sealed records as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealFault {
    /// They are not there.
    #[error("it is missing")]
    Missing,
    /// They are others than the ledger noted: of another ledger, or of another run of this one.
    #[error("it seals records {first} to {last} of another history")]
    Foreign {
        /// The sequence of the first record in it.
        first: u64,
        /// The sequence of the last one.
        last: u64,
    },
    /// They cannot be read.
    #[error("it is damaged: {reason}")]
    Damaged {
        /// What was found.
        reason: &'static str,
    },
    /// They were sealed by a newer version of this crate.
    #[error("it was written by a newer version")]
    NewerFormat,
}

/// A run of records, as whoever keeps them has noted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) head: Head,
}

impl Run {
    /// Whether a ledger can have such a run: not empty, and not so far on that counting would end in it.
    const fn is_possible(&self) -> bool {
        let last = self.head.sequence;
        self.first >= 1 && self.first <= last && last.checked_add(BLOCK).is_some()
    }

    fn records(&self) -> u64 {
        self.head.sequence - self.first + 1
    }

    /// How many of them are in this block, counted from 0; there is such a block.
    fn records_in(&self, block: u64) -> u64 {
        BLOCK.min(self.records() - block * BLOCK)
    }
}

/// The checksum in the trailer.
fn checksum(header: &[u8], index: &[u8], index_at: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(header);
    hasher.update(index);
    hasher.update(&index_at.to_le_bytes());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
