//! Writing a run of records, from the first to the last.

use std::io::{self, Write};

use super::{BLOCK, FIXED, INDEXED, MAGIC, Run, block, checksum};
use crate::work::ledger::chain::Entry;

/// Writes one run, block after block; [`finish`](Self::finish) makes it whole.
pub(in crate::work::ledger) struct Writer<W> {
    out: W,
    header: Vec<u8>,
    index: Vec<u8>,
    /// How many bytes were written.
    written: u64,
    /// The entries of the block that is not full yet.
    open: Vec<Entry>,
    block: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins the run that follows a record with the hash `previous`.
    pub(in crate::work::ledger) fn begin(
        mut out: W,
        run: Run,
        previous: [u8; 32],
        statement: &[u8],
    ) -> io::Result<Self> {
        let mut header = Vec::with_capacity(FIXED + statement.len());
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&run.first.to_le_bytes());
        header.extend_from_slice(&previous);
        header.extend_from_slice(&run.head.sequence.to_le_bytes());
        header.extend_from_slice(&run.head.hash);
        let length = u32::try_from(statement.len()).map_err(io::Error::other)?;
        header.extend_from_slice(&length.to_le_bytes());
        header.extend_from_slice(statement);
        out.write_all(&header)?;
        Ok(Self {
            out,
            written: header.len() as u64,
            header,
            index: Vec::new(),
            open: Vec::new(),
            block: Vec::new(),
        })
    }

    /// Takes the next record.
    pub(in crate::work::ledger) fn push(&mut self, entry: Entry) -> io::Result<()> {
        self.open.push(entry);
        if self.open.len() as u64 == BLOCK {
            self.close_block()?;
        }
        Ok(())
    }

    /// Writes what is left, and gives the output back.
    pub(in crate::work::ledger) fn finish(mut self) -> io::Result<W> {
        self.close_block()?;
        self.out.write_all(&self.index)?;
        self.out.write_all(&self.written.to_le_bytes())?;
        self.out
            .write_all(&checksum(&self.header, &self.index, self.written))?;
        Ok(self.out)
    }

    fn close_block(&mut self) -> io::Result<()> {
        let Some(first) = self.open.first() else {
            return Ok(());
        };
        self.index.reserve(INDEXED);
        self.index.extend_from_slice(&self.written.to_le_bytes());
        self.index.extend_from_slice(&first.record.previous_hash);
        self.block.clear();
        block::encode(&self.open, &mut self.block);
        self.open.clear();
        self.written += self.block.len() as u64;
        self.out.write_all(&self.block)
    }
}
