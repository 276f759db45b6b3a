//! Verifying what is stored: the chain, and the unique keys beside it.

use std::path::Path;

use rusqlite::Connection;

use super::storage;
use crate::{
    sync::{Mutex, lock},
    work::ledger::{Fault, Head, LedgerError, RecordVerifier, chain::Entry, verify::Walk},
};

/// How many records are read at once. Nobody waits for longer than that takes.
const RUN: usize = 256;

/// Walks everything that is stored. See [`Ledger::verify`](crate::ledger::Ledger::verify).
pub(super) fn verify(
    reader: &Mutex<Connection>,
    database: &Path,
    verifier: &mut dyn RecordVerifier,
) -> Result<Head, LedgerError> {
    let mut walk = Walk::default();
    loop {
        // On a line of its own, so that the lock is let go before the verifier is asked.
        let look = look(&mut lock(reader), database, walk.head().sequence)?;
        let run = match look {
            Look::Entries(run) => run,
            Look::End { stray: None } => return walk.finish(verifier),
            Look::End {
                stray: Some((key, sequence)),
            } => return Err(stray_key(&walk.head(), key, sequence)),
        };
        let unregistered = run.iter().position(|(entry, registered)| {
            entry.unique_key.is_some() && *registered != Some(entry.record.sequence)
        });
        let bad = unregistered.map(|index| not_registered(&run[index].0));
        // What is wrong with the chain up to that record comes first.
        let sound = unregistered.map_or(run.len(), |index| index + 1);
        walk.advance(run.into_iter().take(sound).map(|(entry, _)| entry), verifier)?;
        bad.map_or(Ok(()), Err)?;
    }
}

/// What one look at the storage shows.
enum Look {
    /// Some more entries, each with the sequence under which its unique key is registered.
    Entries(Vec<(Entry, Option<u64>)>),
    /// No more entries, and at the same moment perhaps a key that no entry carries.
    End { stray: Option<(String, u64)> },
}

fn look(connection: &mut Connection, database: &Path, after: u64) -> Result<Look, LedgerError> {
    let failed = |error| LedgerError::from_sqlite("read the records", database, error);
    // One transaction, so that a record which arrives meanwhile is seen together with its key or not at all.
    let view = connection.transaction().map_err(failed)?;
    let run = storage::entries(&view, database, after, RUN)?;
    if run.is_empty() {
        let stray = storage::stray_key(&view).map_err(failed)?;
        Ok(Look::End { stray })
    } else {
        Ok(Look::Entries(run))
    }
}

fn not_registered(entry: &Entry) -> LedgerError {
    LedgerError::BadRecord {
        sequence: entry.record.sequence,
        fault: Fault::KeyNotRegistered {
            key: entry.unique_key.clone().unwrap_or_default(),
        },
    }
}

/// A key is registered for a record that does not carry it: that record was replaced, or, past the end, cut off.
fn stray_key(head: &Head, key: String, registered: u64) -> LedgerError {
    if registered > head.sequence {
        LedgerError::BadRecord {
            sequence: head.sequence + 1,
            fault: Fault::CutOff { key, registered },
        }
    } else {
        LedgerError::BadRecord {
            sequence: registered,
            fault: Fault::KeyNotCarried { key },
        }
    }
}
