//! A ledger in memory.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    time::Duration,
};

use super::{
    Head, KEPT_CHECKPOINTS, Ledger, LedgerError, NewRecord, RecordVerifier, Seal, Section,
    chain::{Entry, link},
    check_checkpoint_name, check_statement, epoch,
    gate::{Gate, Inside, PATIENCE},
    seal::{ReadError, Reader, Run, Writer},
    verify::Walk,
};
use crate::{
    sync::{Arc, Mutex, lock},
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
    /// Runs of records in their compact form, the first first.
    sealed: Vec<(Run, Arc<[u8]>)>,
    /// What follows them.
    entries: Vec<Entry>,
    keys: HashSet<String>,
    epoch: u32,
    /// By name, then by position.
    checkpoints: HashMap<String, BTreeMap<u64, Vec<u8>>>,
}

impl State {
    fn head(&self) -> Head {
        self.entries
            .last()
            .map_or_else(|| self.sealed_head(), Entry::head)
    }

    /// Where the entries begin.
    fn sealed_head(&self) -> Head {
        self.sealed.last().map_or_else(Head::default, |(run, _)| run.head)
    }

    /// Entry `n` has the sequence that is `n + 1` past the sealed ones.
    fn after(&self, after: u64, limit: usize) -> &[Entry] {
        let start = after.saturating_sub(self.sealed_head().sequence);
        let start = usize::try_from(start).map_or(self.entries.len(), |start| start.min(self.entries.len()));
        let rest = &self.entries[start..];
        &rest[..limit.min(rest.len())]
    }

    /// The sealed run that has the record after `after`.
    fn sealed_after(&self, after: u64) -> Option<(Run, Arc<[u8]>)> {
        let number = self.sealed.partition_point(|(run, _)| run.head.sequence <= after);
        self.sealed.get(number).cloned()
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
                sealed: Vec::new(),
                entries: Vec::new(),
                keys: HashSet::new(),
                // The first epoch: nothing is used up yet.
                epoch: epoch::after(0).unwrap_or(1),
                checkpoints: HashMap::new(),
            }),
        }
    }
}

impl MemoryLedger {
    /// Whether the ledger stood at this head, which is before the end of what is sealed.
    fn is_sealed(&self, head: &Head) -> Result<(), LedgerError> {
        let sequence = head.sequence;
        let found = match sequence.checked_sub(1) {
            Some(before) if sequence <= lock(&self.state).sealed_head().sequence => {
                run(&self.state, before, 1)?
            }
            _ => Vec::new(),
        };
        if found.first().map(Entry::head) == Some(*head) {
            Ok(())
        } else {
            Err(LedgerError::NoSuchHead { sequence })
        }
    }
}

/// The records after `after`, at most `limit`.
fn read(state: &Mutex<State>, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
    let mut records: Vec<EventRecord> = Vec::new();
    let mut after = after;
    // A run of sealed records may end before the limit.
    while records.len() < limit {
        let run = run(state, after, limit - records.len())?;
        let Some(last) = run.last() else {
            break;
        };
        after = last.record.sequence;
        records.extend(run.into_iter().map(|entry| entry.record));
    }
    Ok(records)
}

/// Some entries after `after`, at most `limit`; none only at the end.
fn run(state: &Mutex<State>, after: u64, limit: usize) -> Result<Vec<Entry>, LedgerError> {
    let state = lock(state);
    let Some((run, bytes)) = state.sealed_after(after) else {
        return Ok(state.after(after, limit).to_vec());
    };
    drop(state);
    let entries = Reader::open(&*bytes, run).and_then(|reader| reader.entries(after, limit));
    entries.map_err(failed)
}

/// The compact form of a run.
fn compact(
    entries: &[Entry],
    run: Run,
    previous: [u8; 32],
    statement: &[u8],
) -> Result<Arc<[u8]>, ReadError> {
    let mut writer = Writer::begin(Vec::new(), run, previous, statement)?;
    for entry in entries {
        writer.push(entry.clone())?;
    }
    Ok(writer.finish()?.into())
}

/// Memory does not go bad by itself.
fn failed(error: ReadError) -> LedgerError {
    error.at(Path::new("memory"))
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
        read(&self.state, after, limit)
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
            let run = run(&self.state, walk.head().sequence, RUN)?;
            if run.is_empty() {
                return walk.finish(verifier);
            }
            walk.advance(run, verifier)?;
        }
    }

    fn seal(&self, through: &Head, statement: &[u8]) -> Result<(), LedgerError> {
        check_statement(statement)?;
        let mut state = lock(&self.state);
        let before = state.sealed_head();
        if *through == before {
            return Ok(());
        }
        let count = through.sequence.saturating_sub(before.sequence);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let is_there = count > 0 && state.entries.get(count - 1).map(Entry::head) == Some(*through);
        if !is_there {
            drop(state);
            return self.is_sealed(through);
        }
        let run = Run {
            first: before.sequence + 1,
            head: *through,
        };
        let bytes = compact(&state.entries[..count], run, before.hash, statement).map_err(failed)?;
        state.entries.drain(..count);
        state.sealed.push((run, bytes));
        Ok(())
    }

    fn seals(&self) -> Result<Vec<Seal>, LedgerError> {
        let sealed = lock(&self.state).sealed.clone();
        let seals = sealed
            .iter()
            .map(|(run, bytes)| Reader::open(&**bytes, *run).map(Reader::into_seal));
        seals.collect::<Result<_, _>>().map_err(failed)
    }

    fn version(&self) -> Result<Option<u64>, LedgerError> {
        Ok(Some(lock(&self.state).head().sequence))
    }

    fn checkpoints(&self, name: &str) -> Result<Vec<u64>, LedgerError> {
        let state = lock(&self.state);
        let kept = state.checkpoints.get(name);
        Ok(kept.map_or_else(Vec::new, |kept| kept.keys().rev().copied().collect()))
    }

    fn load_checkpoint(&self, name: &str, sequence: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let state = lock(&self.state);
        let kept = state.checkpoints.get(name).and_then(|kept| kept.get(&sequence));
        Ok(kept.cloned())
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
        read(self.state, after, limit)
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
