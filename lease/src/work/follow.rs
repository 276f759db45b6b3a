//! Following a ledger: a replay that starts at the newest checkpoint and goes on with what was appended since.
//!
//! The reducer's floor knows records and the ledger's knows bytes under a name; here the two meet, for users' reducers
//! and for the registrar alike.

use crate::work::ledger::{Fault, Ledger, LedgerError};
use crate::work::reducer::{
    self, Checkpoint, CheckpointError, Position, Reducer, RefusedCheckpoint, Replayer, Unsealed,
};

/// How many records are read at a time.
const PAGE: usize = 1_024;

/// The newest checkpoint of this name that stands on the ledger's history and that `decode` takes, and those that were
/// passed over.
///
/// Nothing about a checkpoint is an error: whatever is wrong with one, there is an older one or the first record.
pub(crate) fn newest_checkpoint(
    ledger: &dyn Ledger,
    name: &'static str,
    version: u32,
    mut decode: impl FnMut(&Unsealed<'_>) -> Result<(), CheckpointError>,
) -> (Option<Position>, Vec<RefusedCheckpoint>) {
    let mut refused = Vec::new();
    let sequences = ledger.checkpoints(name).unwrap_or_else(|error| {
        let error = unreadable(&error);
        refused.push(RefusedCheckpoint { sequence: 0, error });
        Vec::new()
    });
    for sequence in sequences {
        let taken = ledger
            .load_checkpoint(name, sequence)
            .map_err(|error| unreadable(&error))
            .and_then(|sealed| {
                let unsealed = reducer::unseal(name, version, &sealed)?;
                check_chain(ledger, &unsealed.position)?;
                decode(&unsealed)?;
                Ok(unsealed.position)
            });
        match taken {
            Ok(position) => return (Some(position), refused),
            Err(error) => refused.push(RefusedCheckpoint { sequence, error }),
        }
    }
    (None, refused)
}

fn unreadable(error: &LedgerError) -> CheckpointError {
    CheckpointError::Unreadable {
        reason: error.to_string(),
    }
}

/// Whether the ledger has the record on which a checkpoint stands.
fn check_chain(ledger: &dyn Ledger, position: &Position) -> Result<(), CheckpointError> {
    let sequence = position.sequence;
    let before = sequence
        .checked_sub(1)
        .ok_or(CheckpointError::WrongChain { sequence })?;
    let read = ledger.read(before, 1).map_err(|error| unreadable(&error))?;
    match read.first() {
        Some(record) if record.sequence == sequence && record.hash == position.hash => Ok(()),
        Some(_) => Err(CheckpointError::WrongChain { sequence }),
        None => Err(CheckpointError::AheadOfLedger {
            sequence,
            head: ledger.head().map_err(|error| unreadable(&error))?.sequence,
        }),
    }
}

impl<R: Reducer> Replayer<R> {
    /// Reads and takes what `ledger` has beyond what was seen so far, and returns how many records that were.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read; [`BadRecord`](LedgerError::BadRecord) when its next record does
    /// not follow the last one that was seen, as in another ledger. What was read before is in the state.
    pub fn catch_up(&mut self, ledger: &dyn Ledger) -> Result<u64, LedgerError> {
        let start = self.sequence();
        loop {
            let page = ledger.read(self.sequence(), PAGE)?;
            if let Some(next) = page.first()
                && next.previous_hash != self.position().hash
            {
                return Err(LedgerError::BadRecord {
                    sequence: next.sequence,
                    fault: Fault::Unlinked,
                });
            }
            let is_last = page.len() < PAGE;
            self.extend(page);
            if is_last {
                return Ok(self.sequence() - start);
            }
        }
    }
}

impl<R: Checkpoint> Replayer<R> {
    /// Takes up the newest checkpoint that `ledger` keeps of this reducer, and catches up from there.
    ///
    /// A checkpoint that is damaged, of another reducer or ledger, or newer than the one or the other is passed over for
    /// the next older one, and in the end for the ledger's first record; [`refused_checkpoints`](Self::refused_checkpoints)
    /// says which and why. Whatever state `reducer` comes with is forgotten.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger's records cannot be read.
    pub fn resume(ledger: &dyn Ledger, mut reducer: R) -> Result<Self, LedgerError> {
        reducer.reset();
        let name = reducer.name();
        let (position, refused) = newest_checkpoint(ledger, name, R::VERSION, |unsealed| {
            let decoded = reducer.decode(unsealed.version, unsealed.body);
            if decoded.is_err() {
                reducer.reset();
            }
            decoded
        });
        let mut replayer = Self::at(position.unwrap_or_default(), reducer, refused);
        replayer.catch_up(ledger)?;
        Ok(replayer)
    }

    /// Has `ledger` keep the state as it is now as a checkpoint; before the first record there is nothing to keep.
    ///
    /// Syncs the ledger first: a checkpoint that outlived the records it stands on would stand for nothing.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be synced, or the checkpoint not be stored. The older ones are kept then.
    pub fn save(&self, ledger: &dyn Ledger) -> Result<(), LedgerError> {
        if self.sequence() == 0 {
            return Ok(());
        }
        let name = self.reducer().name();
        let mut body = Vec::new();
        self.reducer().encode(&mut body);
        let sealed = reducer::seal(name, R::VERSION, &self.position(), &body);
        ledger.sync()?;
        ledger.save_checkpoint(name, self.sequence(), &sealed)
    }
}
