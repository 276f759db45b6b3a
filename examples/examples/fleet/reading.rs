//! Reading one file: a buffer from a pool, scratch in a scope, and everything that is read on record.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use lease::strategy::{MemoryStrategy, Quota, System, Tracked};
use lease::{LeaseOwner, Pool, lease_scope};
use memmap2::Mmap;

use crate::results::Digest;

/// Files from this size on are mapped, smaller ones are read through a chunk.
const MAP_FROM: u64 = 256 << 10;

/// The payload of the pool: a buffer that is large enough for most source files.
struct Chunk([u8; 16 << 10]);

type Memory = Arc<Tracked<Quota<System>>>;

/// What a worker reads with; one for all its files.
pub(crate) struct Reader {
    memory: Memory,
    chunks: Pool<Chunk, Memory>,
    owner: LeaseOwner,
    acquired: u64,
    recorded: u64,
}

/// What a worker used and gave back.
pub(crate) struct Usage {
    /// How many buffers were leased.
    pub(crate) acquired: u64,
    /// How many regions were on record as borrowed.
    pub(crate) recorded: u64,
    /// The most bytes the pool held from its quota.
    pub(crate) peak: u64,
    /// Leases, records and bytes that were still held at the end: nothing, if all is well.
    pub(crate) leaked: u64,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let memory: Memory = Arc::new(Tracked::new(Quota::bytes(8 << 20, System)));
        let chunks = Pool::new_in(Arc::clone(&memory));
        Self {
            memory,
            chunks,
            owner: LeaseOwner::with_capacity(4),
            acquired: 0,
            recorded: 0,
        }
    }

    /// Reads one file.
    pub(crate) fn digest(&mut self, path: &Path) -> io::Result<Digest> {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        lease_scope!(|scope| {
            let mut tally = Tally::new(scope.alloc_slice_with(256, |_| 0));
            if bytes >= MAP_FROM {
                // SAFETY: the map is only read, through `&[u8]` of plain bytes; these are sources that nobody edits
                // while the run goes on, and a file that is truncated meanwhile ends this process, which loses a
                // worker and no result.
                let map = unsafe { Mmap::map(&file)? };
                let _on_record = self.owner.borrow(&map[..]);
                self.recorded += 1;
                tally.add(&map);
            } else {
                let mut chunk = self
                    .chunks
                    .try_acquire_unique(Chunk([0; 16 << 10]))
                    .map_err(io::Error::other)?;
                self.acquired += 1;
                loop {
                    let length = file.read(&mut chunk.0)?;
                    if length == 0 {
                        break;
                    }
                    let read = &chunk.0[..length];
                    let _on_record = self.owner.borrow(read);
                    self.recorded += 1;
                    tally.add(read);
                }
            }
            Ok(tally.finish())
        })
    }

    /// Gives everything back and says what was used.
    pub(crate) fn finish(self) -> Usage {
        let leases = self.chunks.stats().live;
        let records = self.owner.len();
        drop(self.chunks);
        let memory = self.memory.stats();
        let held = memory.live.unwrap_or_default().bytes;
        Usage {
            acquired: self.acquired,
            recorded: self.recorded,
            peak: memory.peak.unwrap_or_default().bytes as u64,
            leaked: (leases + records + held) as u64,
        }
    }
}

/// Counts that grow as a file is read.
struct Tally<'a> {
    hasher: blake3::Hasher,
    /// How often each byte occurs.
    histogram: &'a mut [u64],
    words: u64,
    in_word: bool,
}

impl<'a> Tally<'a> {
    fn new(histogram: &'a mut [u64]) -> Self {
        Self {
            hasher: blake3::Hasher::new(),
            histogram,
            words: 0,
            in_word: false,
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        for byte in bytes {
            self.histogram[usize::from(*byte)] += 1;
            let is_word = !byte.is_ascii_whitespace();
            self.words += u64::from(is_word && !self.in_word);
            self.in_word = is_word;
        }
    }

    fn finish(self) -> Digest {
        Digest {
            hash: self.hasher.finalize().into(),
            bytes: self.histogram.iter().sum(),
            lines: self.histogram[usize::from(b'\n')],
            words: self.words,
        }
    }
}
