//! A ledger that fails and hangs on demand.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lease::EventRecord;
use lease::ledger::{Head, Ledger, LedgerError, MemoryLedger, NewRecord, Section};

/// A ledger in memory with switches. Clones are the same ledger.
#[derive(Clone, Debug, Default)]
pub struct FaultyLedger {
    ledger: Arc<MemoryLedger>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    door: Mutex<()>,
    sync_door: Mutex<()>,
    refuses_to_append: AtomicBool,
    refuses_to_sync: AtomicBool,
    /// The last record that was there when somebody synced.
    durable: AtomicU64,
    /// How many appends will find that the head has moved.
    moves: AtomicU32,
    appends: AtomicU32,
    lists_no_checkpoints: AtomicBool,
    /// The position of the checkpoint that cannot be read.
    bad_checkpoint: AtomicU64,
    /// The position of the checkpoint that is listed and no longer there.
    lost_checkpoint: AtomicU64,
}

impl Shared {
    fn door(&self) -> MutexGuard<'_, ()> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync_door(&self) -> MutexGuard<'_, ()> {
        self.sync_door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultyLedger {
    /// Nobody enters the section until the guard is dropped.
    pub fn hang(&self) -> MutexGuard<'_, ()> {
        self.shared.door()
    }

    /// Nobody ends a sync until the guard is dropped.
    pub fn hang_syncs(&self) -> MutexGuard<'_, ()> {
        self.shared.sync_door()
    }

    /// Whether appends fail from now on.
    pub fn fail_appends(&self, fails: bool) {
        self.shared.refuses_to_append.store(fails, Ordering::SeqCst);
    }

    /// Whether syncs fail from now on.
    pub fn fail_syncs(&self, fails: bool) {
        self.shared.refuses_to_sync.store(fails, Ordering::SeqCst);
    }

    /// The last record that is on disk.
    pub fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::SeqCst)
    }

    /// The next `count` appends find that somebody was faster.
    pub fn move_head(&self, count: u32) {
        self.shared.moves.store(count, Ordering::SeqCst);
    }

    /// Whether its checkpoints can no longer be listed.
    pub fn fail_listing_checkpoints(&self, fails: bool) {
        self.shared.lists_no_checkpoints.store(fails, Ordering::SeqCst);
    }

    /// The checkpoint at this position can no longer be read.
    pub fn fail_checkpoint(&self, sequence: u64) {
        self.shared.bad_checkpoint.store(sequence, Ordering::SeqCst);
    }

    /// The checkpoint at `sequence` goes after it was listed.
    pub fn lose_checkpoint(&self, sequence: u64) {
        self.shared.lost_checkpoint.store(sequence, Ordering::SeqCst);
    }

    /// How many appends succeeded.
    pub fn appends(&self) -> u32 {
        self.shared.appends.load(Ordering::SeqCst)
    }

    /// All records.
    ///
    /// # Panics
    ///
    /// Never: reading is what this ledger does well.
    pub fn records(&self) -> Vec<EventRecord> {
        self.ledger
            .read(0, usize::MAX)
            .expect("a ledger in memory can be read")
    }
}

fn broken() -> LedgerError {
    LedgerError::LedgerBusy {
        pid: None,
        waited: Duration::ZERO,
    }
}

struct FaultySection<'a> {
    shared: &'a Shared,
    section: Box<dyn Section + 'a>,
    _door: MutexGuard<'a, ()>,
}

impl Section for FaultySection<'_> {
    fn read(&mut self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
        self.section.read(after, limit)
    }

    fn append(&mut self, expected: &Head, batch: &[NewRecord]) -> Result<Head, LedgerError> {
        if self.shared.refuses_to_append.load(Ordering::SeqCst) {
            return Err(broken());
        }
        if self.shared.moves.load(Ordering::SeqCst) > 0 {
            self.shared.moves.fetch_sub(1, Ordering::SeqCst);
            return Err(LedgerError::HeadMoved {
                expected: expected.sequence,
                actual: expected.sequence + 1,
            });
        }
        let head = self.section.append(expected, batch)?;
        self.shared.appends.fetch_add(1, Ordering::SeqCst);
        Ok(head)
    }

    fn raise_epoch(&mut self) -> Result<u32, LedgerError> {
        self.section.raise_epoch()
    }
}

impl Ledger for FaultyLedger {
    crate::delegate!(ledger: head, read, epoch, verify);

    fn enter(&self) -> Result<Box<dyn Section + '_>, LedgerError> {
        let door = self.shared.door();
        Ok(Box::new(FaultySection {
            shared: &self.shared,
            section: self.ledger.enter()?,
            _door: door,
        }))
    }

    fn sync(&self) -> Result<(), LedgerError> {
        if self.shared.refuses_to_sync.load(Ordering::SeqCst) {
            return Err(broken());
        }
        let head = self.ledger.head()?;
        drop(self.shared.sync_door());
        self.ledger.sync()?;
        self.shared.durable.fetch_max(head.sequence, Ordering::SeqCst);
        Ok(())
    }

    fn checkpoints(&self, name: &str) -> Result<Vec<u64>, LedgerError> {
        if self.shared.lists_no_checkpoints.load(Ordering::SeqCst) {
            return Err(broken());
        }
        self.ledger.checkpoints(name)
    }

    fn load_checkpoint(&self, name: &str, sequence: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        if self.shared.lost_checkpoint.load(Ordering::SeqCst) == sequence {
            return Ok(None);
        }
        if self.shared.bad_checkpoint.load(Ordering::SeqCst) == sequence {
            return Err(broken());
        }
        self.ledger.load_checkpoint(name, sequence)
    }

    fn save_checkpoint(&self, name: &str, sequence: u64, bytes: &[u8]) -> Result<(), LedgerError> {
        self.ledger.save_checkpoint(name, sequence, bytes)
    }
}
