//! One writer at a time among all threads of all processes.
//!
//! Threads queue at the process's own gate; its one representative then takes a lock on the ledger's gate file. That
//! lock belongs to the open file, not to the process, so it is let go by name and not by closing: a child that was
//! forked meanwhile holds the same open file.

use std::{
    fs::{File, TryLockError},
    io::ErrorKind,
    os::unix::fs::FileExt,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::holder;
use crate::{
    sync::thread,
    work::ledger::{
        LedgerError,
        gate::{Gate, Inside},
    },
};

/// How long the first look at a held lock is from the second; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_micros(60);
const LONGEST_PAUSE: Duration = Duration::from_micros(300);

/// Where the gate file holds the [mark](SharedGate::mark), and its two values.
const MARK_AT: u64 = 16;
const MARKED: [u8; 1] = *b"!";
const UNMARKED: [u8; 1] = *b".";

/// The gate of a ledger that several processes share.
#[derive(Debug)]
pub(super) struct SharedGate {
    threads: Gate,
    file: File,
    path: PathBuf,
}

/// Inside the gate; dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Passage<'a> {
    gate: &'a SharedGate,
    _thread: Inside<'a>,
}

impl SharedGate {
    pub(super) fn new(file: File, path: PathBuf) -> Self {
        Self {
            threads: Gate::new(),
            file,
            path,
        }
    }

    /// Waits until nobody is inside, in any process, for as long as `patience`.
    pub(super) fn enter(&self, patience: Duration) -> Result<Passage<'_>, LedgerError> {
        let asked = Instant::now();
        let busy = || LedgerError::LedgerBusy {
            pid: self.holder(),
            waited: patience,
        };
        let inside = self.threads.enter(patience).ok_or_else(busy)?;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(LedgerError::io("lock", &self.path, error)),
            }
            let left = patience.checked_sub(asked.elapsed()).ok_or_else(busy)?;
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(Passage {
            gate: self,
            _thread: inside,
        })
    }

    /// Leaves a mark that every process sees, whatever becomes of this one. One byte of a file that is in memory anyway:
    /// it needs no room on a disk that may be full, and it need not survive a power cut, which takes along what is in
    /// doubt.
    pub(super) fn mark(&self) -> Result<(), LedgerError> {
        let written = self.file.write_all_at(&MARKED, MARK_AT);
        written.map_err(|e| LedgerError::io("write", &self.path, e))
    }

    /// Takes the mark away.
    pub(super) fn unmark(&self, _inside: &Passage<'_>) -> Result<(), LedgerError> {
        let written = self.file.write_all_at(&UNMARKED, MARK_AT);
        written.map_err(|e| LedgerError::io("write", &self.path, e))
    }

    /// Whether the mark is there, or cannot be told to be absent.
    pub(super) fn is_marked(&self) -> bool {
        let mut mark = UNMARKED;
        match self.file.read_exact_at(&mut mark, MARK_AT) {
            Ok(()) => mark == MARKED,
            Err(error) => error.kind() != ErrorKind::UnexpectedEof,
        }
    }

    /// Takes the room that the mark needs, which a full disk could not give when it is needed.
    pub(super) fn reserve(&self, inside: &Passage<'_>) -> Result<(), LedgerError> {
        let length = self.file.metadata().map(|metadata| metadata.len());
        if length.is_ok_and(|length| length > MARK_AT) {
            Ok(())
        } else {
            self.unmark(inside)
        }
    }

    /// The process that is inside, if it can be told.
    fn holder(&self) -> Option<u32> {
        holder::of(&self.file, self.path.parent()?)
    }
}

impl Passage<'_> {
    /// Whether the file system takes no writes any more.
    pub(super) fn is_read_only(&self) -> bool {
        let written = self.gate.file.write_all_at(b" ", 0);
        written.is_err_and(|error| error.kind() == ErrorKind::ReadOnlyFilesystem)
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        // Fails only for a descriptor that cannot be locked, and this one was.
        let _ = self.gate.file.unlock();
    }
}
