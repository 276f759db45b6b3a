//! Following a ledger: a replay that starts at the newest checkpoint and goes on with what was appended since.
//!
//! The reducer's floor knows records and the ledger's knows bytes under a name; here the two meet, for users' reducers
//! and for the registrar alike.

use std::cmp::Ordering;

use crate::work::ledger::{Head, Ledger, LedgerError, check_links};
use crate::work::reducer::{
    self, Checkpoint, CheckpointError, Position, Reducer, RefusedCheckpoint, Replayer, Unsealed,
};

/// How many records are read at a time.
const PAGE: usize = 1_024;

/// The newest checkpoint of the reducer `name`, of those kept under `kept_as`, that stands on the ledger's history and that
/// `decode` takes, and those that were passed over.
///
/// Nothing about a checkpoint is an error: whatever is wrong with one, there is an older one or the first record.
pub(crate) fn newest_checkpoint(
    ledger: &dyn Ledger,
    kept_as: &str,
    name: &'static str,
    version: u32,
    mut decode: impl FnMut(&Unsealed<'_>) -> Result<(), CheckpointError>,
) -> (Option<Position>, Vec<RefusedCheckpoint>) {
    let mut refused = Vec::new();
    let sequences = ledger.checkpoints(kept_as).unwrap_or_else(|error| {
        let error = unreadable(&error);
        refused.push(RefusedCheckpoint { sequence: 0, error });
        Vec::new()
    });
    for sequence in sequences {
        let sealed = match ledger.load_checkpoint(kept_as, sequence) {
            // There are newer ones by now, and it went.
            Ok(None) => continue,
            Ok(Some(sealed)) => Ok(sealed),
            Err(error) => Err(unreadable(&error)),
        };
        let taken = sealed.and_then(|sealed| {
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

/// Whether a checkpoint stands on a record of the ledger: on its last, or on the one that the next record follows. Its
/// own record need not be there to be read: sealed away, it may be out of reach, and nobody needs it.
fn check_chain(ledger: &dyn Ledger, position: &Position) -> Result<(), CheckpointError> {
    let sequence = position.sequence;
    let head = ledger.head().map_err(|error| unreadable(&error))?;
    let hash = match head.sequence.cmp(&sequence) {
        Ordering::Less => {
            let head = head.sequence;
            return Err(CheckpointError::AheadOfLedger { sequence, head });
        }
        Ordering::Equal => Some(head.hash),
        Ordering::Greater => {
            let next = ledger.read(sequence, 1).map_err(|error| unreadable(&error))?;
            let follows = next.first().filter(|next| next.sequence - 1 == sequence);
            follows.map(|next| next.previous_hash)
        }
    };
    if sequence > 0 && hash == Some(position.hash) {
        Ok(())
    } else {
        Err(CheckpointError::WrongChain { sequence })
    }
}

impl<R: Reducer> Replayer<R> {
    /// Reads and takes what `ledger` has beyond what was seen so far, and returns how many records that were.
    ///
    /// Seen is what this replayer has taken, or was [resumed](Self::resume) behind: what its reducer had seen before is
    /// read again.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the ledger cannot be read; [`BadRecord`](LedgerError::BadRecord) when its next record does
    /// not follow the last one that was seen, as in another ledger. What was read before is in the state.
    pub fn catch_up(&mut self, ledger: &dyn Ledger) -> Result<u64, LedgerError> {
        let start = self.sequence();
        loop {
            let page = ledger.read(self.sequence(), PAGE)?;
            let Position { sequence, hash } = self.position();
            check_links(&Head { sequence, hash }, &page)?;
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
        let (position, refused) = newest_checkpoint(ledger, name, name, R::VERSION, |unsealed| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::ledger::MemoryLedger;

    #[test]
    fn a_checkpoint_that_stands_on_no_record_is_refused() {
        let ledger = MemoryLedger::new();
        let nowhere = Position::default();
        let sealed = reducer::seal("till", 1, &nowhere, b"state");
        ledger.save_checkpoint("till", 0, &sealed).unwrap();
        let (position, refused) = newest_checkpoint(&ledger, "till", "till", 1, |_| Ok(()));
        assert_eq!(position, None);
        assert_eq!(refused[0].error, CheckpointError::WrongChain { sequence: 0 });
    }
}
