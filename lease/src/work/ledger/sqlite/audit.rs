//! Verifying what is stored: the chain, through sealed files and the database, and the unique keys beside it.

use std::{collections::HashSet, fs::File, path::Path};

use rusqlite::Connection;

use super::{seals, storage};
use crate::{
    sync::{Mutex, lock},
    work::ledger::{Fault, Head, LedgerError, RecordVerifier, chain::Entry, seal::Reader, verify::Walk},
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
    let mut auditor = Auditor {
        database,
        sealed: None,
        carried: 0,
    };
    loop {
        // On a line of its own, so that the lock is let go before the verifier is asked.
        let look = auditor.look(&mut lock(reader), &walk.head());
        let run = match look? {
            Look::Entries(run) => run,
            Look::End => return walk.finish(verifier),
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

/// An entry, and the sequence under which its unique key is registered.
type Registered = (Entry, Option<u64>);

/// What one look at the storage shows.
enum Look {
    /// Some more entries.
    Entries(Vec<Registered>),
    /// No more entries, and no key that none of them carries.
    End,
}

struct Auditor<'a> {
    database: &'a Path,
    /// The sealed run that the walk is in.
    sealed: Option<Reader<File>>,
    /// How many of the entries so far carry a unique key.
    carried: u64,
}

impl Auditor<'_> {
    fn look(&mut self, connection: &mut Connection, at: &Head) -> Result<Look, LedgerError> {
        let failed = |error| LedgerError::from_sqlite("read the records", self.database, error);
        // One transaction, so that a record which arrives meanwhile is seen together with its key or not at all.
        let view = connection.transaction().map_err(failed)?;
        let run = match self.sealed_entries(&view, at)? {
            Some(run) => run,
            None => storage::entries(&view, self.database, at.sequence, RUN)?,
        };
        if run.is_empty() {
            self.check_keys(&view, at)?;
            return Ok(Look::End);
        }
        let carriers = run.iter().filter(|(entry, _)| entry.unique_key.is_some());
        self.carried += carriers.count() as u64;
        Ok(Look::Entries(run))
    }

    /// The next entries, if they are sealed: what was removed from the database counts for nothing else.
    fn sealed_entries(
        &mut self,
        view: &Connection,
        at: &Head,
    ) -> Result<Option<Vec<Registered>>, LedgerError> {
        let failed = |error| LedgerError::from_sqlite("read the seals", self.database, error);
        let Some(run) = seals::after(view, at.sequence).map_err(failed)? else {
            return Ok(None);
        };
        let reader = match self.sealed.take().filter(|reader| reader.run() == run) {
            Some(reader) => reader,
            None => seals::open(self.database, &run)?,
        };
        let entries = reader.entries(at.sequence, RUN);
        let entries = entries.map_err(|error| error.at(&seals::file_of(self.database, &run)))?;
        self.sealed = Some(reader);
        let with_registration = entries.into_iter().map(|entry| {
            let registered = match &entry.unique_key {
                Some(key) => storage::registered(view, key).map_err(failed)?,
                None => None,
            };
            Ok((entry, registered))
        });
        with_registration.collect::<Result<_, _>>().map(Some)
    }

    /// Every entry's key was found registered as its own; if there are as many keys as that, there is no other.
    fn check_keys(&self, view: &Connection, end: &Head) -> Result<(), LedgerError> {
        let failed = |error| LedgerError::from_sqlite("read the unique keys", self.database, error);
        if storage::count_keys(view).map_err(failed)? == self.carried {
            return Ok(());
        }
        let stray = self.stray_key(view)?;
        stray.map_or(Ok(()), |(key, registered)| Err(stray_key(end, key, registered)))
    }

    /// A registered key that no record carries where it says, the earliest first.
    fn stray_key(&self, view: &Connection) -> Result<Option<(String, u64)>, LedgerError> {
        let failed = |error| LedgerError::from_sqlite("read the unique keys", self.database, error);
        let mut carried = HashSet::new();
        for run in seals::all(view).map_err(failed)? {
            let entries = seals::open(self.database, &run)?.entries(0, usize::MAX);
            let entries = entries.map_err(|error| error.at(&seals::file_of(self.database, &run)))?;
            carried.extend(entries.into_iter().filter_map(|entry| entry.unique_key));
        }
        storage::stray_key(view, |key| carried.contains(key)).map_err(failed)
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
