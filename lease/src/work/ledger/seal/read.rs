//! Reading sealed records, a block at a time.

#[cfg(feature = "sqlite")]
use std::{fs::File, os::unix::fs::FileExt as _};
use std::{io, ops::Range, path::Path};

use super::{
    BLOCK, FAMILY, FIXED, INDEXED, MAGIC, MAX_STATEMENT, Run, Seal, SealFault, TRAILER, block, checksum,
};
use crate::work::ledger::{Fault, Head, LedgerError, chain::Entry};

/// Something that can be read anywhere.
pub(in crate::work::ledger) trait Source {
    fn length(&self) -> io::Result<u64>;

    /// Exactly these bytes. The caller has made sure that there are so many.
    fn read(&self, at: u64, length: usize) -> io::Result<Vec<u8>>;
}

#[cfg(feature = "sqlite")]
impl Source for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

impl Source for &[u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let bytes = self.get(at..).and_then(|rest| rest.get(..length));
        Ok(bytes.ok_or(io::ErrorKind::UnexpectedEof)?.to_vec())
    }
}

/// Why sealed records cannot be had.
#[derive(Debug)]
pub(in crate::work::ledger) enum ReadError {
    /// The system failed.
    Io(io::Error),
    /// Something is wrong with all of them.
    Seal(SealFault),
    /// Something is wrong with one of them.
    Record { sequence: u64, fault: Fault },
}

impl ReadError {
    /// The same in the ledger's words, about the sealed records at `path`.
    pub(in crate::work::ledger) fn at(self, path: &Path) -> LedgerError {
        match self {
            Self::Io(source) => LedgerError::Io {
                action: "read the sealed records in",
                path: path.to_owned(),
                source,
            },
            Self::Seal(fault) => LedgerError::BadSeal {
                path: path.to_owned(),
                fault,
            },
            Self::Record { sequence, fault } => LedgerError::BadRecord { sequence, fault },
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// One run of sealed records.
#[derive(Debug)]
pub(in crate::work::ledger) struct Reader<S> {
    source: S,
    run: Run,
    statement: Vec<u8>,
    blocks: Vec<Block>,
    /// Where the last block ends.
    end: u64,
}

#[derive(Debug)]
struct Block {
    at: u64,
    previous_hash: [u8; 32],
}

impl<S: Source> Reader<S> {
    /// Reads everything but the records, and checks that it is the run that was noted.
    pub(in crate::work::ledger) fn open(source: S, noted: Run) -> Result<Self, ReadError> {
        let length = source.length()?;
        let fixed = read_some(&source, length, 0, FIXED)?;
        let magic = &fixed[..MAGIC.len()];
        if magic != MAGIC {
            return Err(ReadError::Seal(if magic.starts_with(FAMILY) {
                SealFault::NewerFormat
            } else {
                damaged("it does not begin as sealed records do")
            }));
        }
        let (found, statement_length) = numbers(&fixed);
        if statement_length > MAX_STATEMENT {
            return Err(ReadError::Seal(damaged("its statement is too long")));
        }
        let header_length = FIXED + statement_length;
        let header = read_some(&source, length, 0, header_length)?;
        if found != noted {
            return Err(ReadError::Seal(SealFault::Foreign {
                first: found.first,
                last: found.head.sequence,
            }));
        }
        if !noted.is_possible() {
            return Err(ReadError::Seal(damaged("no ledger has such records")));
        }
        let (end, index) = read_index(&source, length, &header, noted)?;
        Ok(Self {
            source,
            run: noted,
            statement: header[FIXED..].to_vec(),
            blocks: index,
            end,
        })
    }

    #[cfg(feature = "sqlite")]
    pub(in crate::work::ledger) const fn run(&self) -> Run {
        self.run
    }

    pub(in crate::work::ledger) fn into_seal(self) -> Seal {
        Seal {
            first: self.run.first,
            head: self.run.head,
            statement: self.statement,
        }
    }

    /// The entries after `after` in this run, at most `limit`. They are not checked against their hashes.
    pub(in crate::work::ledger) fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, ReadError> {
        let mut next = after.saturating_add(1).max(self.run.first);
        let mut entries = Vec::new();
        while next <= self.run.head.sequence && entries.len() < limit {
            let number = (next - self.run.first) / BLOCK;
            let first = self.run.first + number * BLOCK;
            let block = self.block(number, first)?;
            let skip = usize::try_from(next - first).unwrap_or(usize::MAX);
            let room = limit - entries.len();
            entries.extend(block.into_iter().skip(skip).take(room));
            next = first + BLOCK;
        }
        Ok(entries)
    }

    fn block(&self, number: u64, first: u64) -> Result<Vec<Entry>, ReadError> {
        let bad_index = || ReadError::Seal(damaged("its index is too short"));
        let index = usize::try_from(number).map_err(|_| bad_index())?;
        let block = self.blocks.get(index).ok_or_else(bad_index)?;
        let end = self.blocks.get(index + 1).map_or(self.end, |next| next.at);
        let length = usize::try_from(end - block.at).map_err(io::Error::other)?;
        let bytes = self.source.read(block.at, length)?;
        let count = self.run.records_in(number);
        block::decode(&bytes, first, block.previous_hash, count).map_err(|unreadable| ReadError::Record {
            sequence: first + unreadable.record,
            fault: Fault::Unreadable {
                column: unreadable.column,
            },
        })
    }
}

/// The run, and the length of the statement. `fixed` is the fixed part of a header.
fn numbers(fixed: &[u8]) -> (Run, usize) {
    fn part<const N: usize>(fixed: &[u8], at: usize) -> [u8; N] {
        let mut part = [0; N];
        part.copy_from_slice(&fixed[at..at + N]);
        part
    }
    let run = Run {
        first: u64::from_le_bytes(part(fixed, 16)),
        head: Head {
            sequence: u64::from_le_bytes(part(fixed, 56)),
            hash: part(fixed, 64),
        },
    };
    (run, u32::from_le_bytes(part(fixed, 96)) as usize)
}

/// Where the index begins, and what is in it, if the trailer vouches for it and for the header.
fn read_index<S: Source>(
    source: &S,
    length: u64,
    header: &[u8],
    run: Run,
) -> Result<(u64, Vec<Block>), ReadError> {
    let short = || ReadError::Seal(damaged("it is cut off"));
    let wrong = || ReadError::Seal(damaged("its checksum does not match"));
    let trailer_at = length.checked_sub(TRAILER as u64).ok_or_else(short)?;
    let trailer = source.read(trailer_at, TRAILER)?;
    let (index_at, sum) = trailer.split_first_chunk::<8>().ok_or_else(short)?;
    let index_at = u64::from_le_bytes(*index_at);
    let index_length = run.records().div_ceil(BLOCK) * INDEXED as u64;
    let is_in_place =
        index_at >= header.len() as u64 && index_at.checked_add(index_length) == Some(trailer_at);
    if !is_in_place {
        return Err(short());
    }
    let index = source.read(index_at, usize::try_from(index_length).map_err(|_| short())?)?;
    if checksum(header, &index, index_at) != *sum {
        return Err(wrong());
    }
    let (blocks, _) = index.as_chunks::<INDEXED>();
    let blocks: Vec<_> = blocks
        .iter()
        .filter_map(|block| {
            let (at, previous_hash) = block.split_first_chunk()?;
            Some(Block {
                at: u64::from_le_bytes(*at),
                previous_hash: previous_hash.try_into().ok()?,
            })
        })
        .collect();
    if are_in_order(&blocks, header.len() as u64..index_at, run) {
        Ok((index_at, blocks))
    } else {
        Err(ReadError::Seal(damaged("its index is out of order")))
    }
}

/// Whether the blocks fill this part of the file, and none is longer than its records can be: whoever computes a checksum
/// can write any index.
fn are_in_order(blocks: &[Block], part: Range<u64>, run: Run) -> bool {
    let starts = blocks.iter().map(|block| block.at);
    let ends = starts.clone().skip(1).chain([part.end]);
    let is_sound = |(number, (start, end)): (u64, (u64, u64))| {
        start < end && end - start <= run.records_in(number) * block::LONGEST
    };
    starts.clone().next() == Some(part.start) && (0..).zip(starts.zip(ends)).all(is_sound)
}

fn read_some<S: Source>(source: &S, total: u64, at: u64, length: usize) -> Result<Vec<u8>, ReadError> {
    if total < at + length as u64 {
        return Err(ReadError::Seal(damaged("it is cut off")));
    }
    Ok(source.read(at, length)?)
}

fn damaged(reason: &'static str) -> SealFault {
    SealFault::Damaged { reason }
}
