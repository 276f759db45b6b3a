//! A ledger in memory.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use super::{
    Head, KEPT_CHECKPOINTS, Ledger, LedgerError, NewRecord, RecordVerifier, Section,
    chain::{Entry, link},
    check_checkpoint_name, epoch,
    gate::{Gate, Inside, PATIENCE},
    verify::Walk,
};
use crate::{
    sync::{Mutex, lock},
    work::event::EventRecord,
};

/// How many records are hashed between two looks at the lock, so that a long verification keeps no writer waiting.
const RUN: usize = 256;

/// A ledger that lives as long as it is not dropped: for tests, and for programs that need the order but not the
/// history.
///
/// It keeps every promise of [`Ledger`] but one: [`sync`](Ledger::sync) has nothing to write to.
///
/// ```
/// use lease::EventRecord;
/// use lease::ledger::{Ledger, LedgerError, MemoryLedger};
///
/// let ledger = MemoryLedger::new();
/// let before = ledger.head()?;
/// let mut section = ledger.enter()?;
/// let after = section.append(&before, &[EventRecord::new("note.made", "s", "me", "first").into()])?;
/// let stale = section.append(&before, &[EventRecord::new("note.made", "s", "me", "second").into()]);
/// assert!(matches!(stale, Err(LedgerError::HeadMoved { expected: 0, actual: 1 })));
/// assert_eq!(ledger.head()?, after);
/// # Ok::<(), LedgerError>(())
/// ```
#[derive(Debug)]
pub struct MemoryLedger {
    gate: Gate,
    patience: Duration,
    state: Mutex<State>,
}

/// Locked for single steps only; the gate is what spans a section.
#[derive(Debug)]
struct State {
    entries: Vec<Entry>,
    keys: HashSet<String>,
    epoch: u32,
    /// By name, then by position.
    checkpoints: HashMap<String, BTreeMap<u64, Vec<u8>>>,
}

impl State {
    fn head(&self) -> Head {
        self.entries.last().map_or_else(Head::default, Entry::head)
    }

    /// Entry `n` has sequence `n + 1`, so those after sequence `after` start at index `after`.
    fn after(&self, after: u64, limit: usize) -> &[Entry] {
        let start = usize::try_from(after).map_or(self.entries.len(), |start| start.min(self.entries.len()));
        let rest = &self.entries[start..];
        &rest[..limit.min(rest.len())]
    }

    fn read(&self, after: u64, limit: usize) -> Vec<EventRecord> {
        let entries = self.after(after, limit);
        entries.iter().map(|entry| entry.record.clone()).collect()
    }
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::with_patience(PATIENCE)
    }

    /// An empty ledger whose writers wait this long for the section before they give up.
    pub fn with_patience(patience: Duration) -> Self {
        Self {
            gate: Gate::new(),
            patience,
            state: Mutex::new(State {
                entries: Vec::new(),
                keys: HashSet::new(),
                // The first epoch: nothing is used up yet.
                epoch: epoch::after(0).unwrap_or(1),
                checkpoints: HashMap::new(),
            }),
        }
    }
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new()
    }
}

impl Ledger for MemoryLedger {
    fn head(&self) -> Result<Head, LedgerError> {
        Ok(lock(&self.state).head())
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
        Ok(lock(&self.state).read(after, limit))
    }

    fn enter(&self) -> Result<Box<dyn Section + '_>, LedgerError> {
        match self.gate.enter(self.patience) {
            Some(inside) => Ok(Box::new(MemorySection {
                state: &self.state,
                _inside: inside,
            })),
            None => Err(LedgerError::LedgerBusy {
                pid: Some(std::process::id()),
                waited: self.patience,
            }),
        }
    }

    fn sync(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    fn epoch(&self) -> Result<u32, LedgerError> {
        Ok(lock(&self.state).epoch)
    }

    fn verify(&self, verifier: &mut dyn RecordVerifier) -> Result<Head, LedgerError> {
        let mut walk = Walk::default();
        loop {
            let run = lock(&self.state).after(walk.head().sequence, RUN).to_vec();
            if run.is_empty() {
                return walk.finish(verifier);
            }
            walk.advance(run, verifier)?;
        }
    }

    fn checkpoints(&self, name: &str) -> Result<Vec<u64>, LedgerError> {
        let state = lock(&self.state);
        let kept = state.checkpoints.get(name);
        Ok(kept.map_or_else(Vec::new, |kept| kept.keys().rev().copied().collect()))
    }

    fn load_checkpoint(&self, name: &str, sequence: u64) -> Result<Vec<u8>, LedgerError> {
        let state = lock(&self.state);
        let kept = state.checkpoints.get(name).and_then(|kept| kept.get(&sequence));
        Ok(kept.cloned().unwrap_or_default())
    }

    fn save_checkpoint(&self, name: &str, sequence: u64, bytes: &[u8]) -> Result<(), LedgerError> {
        check_checkpoint_name(name)?;
        let mut state = lock(&self.state);
        let kept = state.checkpoints.entry(name.to_owned()).or_default();
        kept.insert(sequence, bytes.to_vec());
        while kept.len() > KEPT_CHECKPOINTS {
            kept.pop_first();
        }
        Ok(())
    }
}

struct MemorySection<'a> {
    state: &'a Mutex<State>,
    _inside: Inside<'a>,
}

impl Section for MemorySection<'_> {
    fn read(&mut self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
        Ok(lock(self.state).read(after, limit))
    }

    fn append(&mut self, expected: &Head, batch: &[NewRecord]) -> Result<Head, LedgerError> {
        let mut state = lock(self.state);
        let head = state.head();
        if head != *expected {
            return Err(LedgerError::HeadMoved {
                expected: expected.sequence,
                actual: head.sequence,
            });
        }
        let entries = link(&head, batch)?;
        let mut fresh = HashSet::new();
        for key in batch.iter().filter_map(|new| new.unique_key.as_ref()) {
            if state.keys.contains(key) || !fresh.insert(key.clone()) {
                return Err(LedgerError::KeyUsed { key: key.clone() });
            }
        }
        state.keys.extend(fresh);
        state.entries.extend(entries);
        Ok(state.head())
    }

    fn raise_epoch(&mut self) -> Result<u32, LedgerError> {
        let mut state = lock(self.state);
        state.epoch = epoch::after(state.epoch)?;
        Ok(state.epoch)
    }
}
