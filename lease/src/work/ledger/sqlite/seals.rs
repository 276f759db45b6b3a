//! The runs of records that were sealed: the table that notes them, and the files that hold them.
//!
//! A run is sealed from the moment it is noted. Its file was made durable before; its rows go afterwards, a few at a
//! time, and what is left of them after a crash is the same records, of no use and no harm, until the next sealing.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use rustix::fs::OFlags;

use super::storage;
use crate::work::{
    event::EventRecord,
    ledger::{
        Head, LedgerError, SealFault,
        chain::sound,
        seal::{Reader, Run},
    },
};

/// The folder of the files, in the ledger's directory.
pub(super) const FOLDER: &str = "sealed";

/// The file of a run, in the folder beside the database.
pub(super) fn file_of(database: &Path, run: &Run) -> PathBuf {
    let name = format!("{:020}-{:020}.seal", run.first, run.head.sequence);
    database.with_file_name(FOLDER).join(name)
}

const COLUMNS: &str = "SELECT first, last, hash FROM seals";

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        first: storage::position(row, 0)?,
        head: Head {
            sequence: storage::position(row, 1)?,
            hash: row.get(2)?,
        },
    })
}

/// All runs, oldest first.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Run>> {
    connection
        .prepare_cached(&format!("{COLUMNS} ORDER BY last"))?
        .query_map([], run)?
        .collect()
}

/// The newest run.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<Option<Run>> {
    connection
        .prepare_cached(&format!("{COLUMNS} ORDER BY last DESC LIMIT 1"))?
        .query_row([], run)
        .optional()
}

/// The run that has the record after `after`.
pub(super) fn after(connection: &Connection, after: u64) -> rusqlite::Result<Option<Run>> {
    let Ok(after) = i64::try_from(after) else {
        return Ok(None);
    };
    connection
        .prepare_cached(&format!("{COLUMNS} WHERE last > ?1 ORDER BY last LIMIT 1"))?
        .query_row([after], run)
        .optional()
}

/// From now on the run is sealed.
pub(super) fn note(connection: &Connection, run: &Run) -> rusqlite::Result<()> {
    let sql = "INSERT INTO seals (last, first, hash) VALUES (?1, ?2, ?3)";
    let (last, first) = (run.head.sequence.cast_signed(), run.first.cast_signed());
    connection
        .execute(sql, params![last, first, run.head.hash])
        .map(drop)
}

/// Removes some rows that were sealed, the oldest first, and says how many.
pub(super) fn remove_rows(connection: &Connection, limit: u32) -> rusqlite::Result<usize> {
    connection.execute(
        "DELETE FROM events WHERE sequence <= (SELECT coalesce(max(last), 0) FROM seals) \
         AND sequence < (SELECT min(sequence) FROM events) + ?1",
        [limit],
    )
}

/// The file of a run that was noted.
pub(super) fn open(database: &Path, run: &Run) -> Result<Reader<File>, LedgerError> {
    let path = file_of(database, run);
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => LedgerError::BadSeal {
            path: path.clone(),
            fault: SealFault::Missing,
        },
        _ => LedgerError::io("open", &path, error),
    };
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(&path);
    let file = match opened {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(LedgerError::Linked { path });
        }
        opened => opened.map_err(missing)?,
    };
    let metadata = file.metadata().map_err(missing)?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(LedgerError::Linked { path });
    }
    Reader::open(file, *run).map_err(|error| error.at(&path))
}

/// The records after `after`, at most `limit`, wherever they are, each of which gives its hash.
pub(super) fn records(
    connection: &Connection,
    database: &Path,
    after: u64,
    limit: usize,
) -> Result<Vec<EventRecord>, LedgerError> {
    let failed = |error| LedgerError::from_sqlite("read the seals", database, error);
    let mut records: Vec<EventRecord> = Vec::new();
    let mut after = after;
    while records.len() < limit {
        let rows = storage::records(connection, database, after, limit - records.len())?;
        let is_next = rows.first().is_some_and(|record| record.sequence == after + 1);
        // Looked up second: what was sealed between the two looks is seen here.
        let run = if is_next {
            None
        } else {
            self::after(connection, after).map_err(failed)?
        };
        let Some(run) = run else {
            records.extend(rows);
            break;
        };
        let entries = open(database, &run)?.entries(after, limit - records.len());
        for entry in entries.map_err(|error| error.at(&file_of(database, &run)))? {
            records.push(sound(entry.record, entry.unique_key.as_deref())?);
        }
        after = run.head.sequence;
    }
    Ok(records)
}
