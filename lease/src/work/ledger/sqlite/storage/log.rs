//! SQLite's write-ahead log: how long it is, and moving it into the database.

use std::path::Path;

use rusqlite::{Connection, hooks::Wal};

use crate::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    work::ledger::LedgerError,
};

/// After each commit on this connection, keeps in `log` how many pages the log has.
pub(in super::super) fn watch_log(
    connection: &mut Connection,
    path: &Path,
    log: Arc<AtomicI64>,
) -> Result<(), LedgerError> {
    let keep = move |_: &mut Wal, pages: i32| {
        log.store(pages.into(), Relaxed);
        Ok(())
    };
    let watched = connection.wal_hook(Some(keep));
    watched.map_err(|error| LedgerError::from_sqlite("watch the log", path, error))
}

/// How far a checkpoint goes.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Reach {
    /// Moves nothing, only looks.
    Look,
    /// Moves as much of the log into the database as readers and writers allow.
    Beside,
    /// Moves all of it, so that the next writer begins at the log's start again. The file keeps its length: writing
    /// over what is there syncs faster than making it longer.
    Whole,
}

/// What a checkpoint left.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Log {
    /// Whether somebody was in the way.
    pub(in super::super) is_busy: bool,
    /// How many pages the log has.
    pub(in super::super) pages: i64,
    /// How many of them, from the start on, are in the database.
    pub(in super::super) moved: i64,
}

/// Moves the log into the database.
pub(in super::super) fn checkpoint(connection: &Connection, reach: Reach) -> rusqlite::Result<Log> {
    let mode = match reach {
        Reach::Look => "NOOP",
        Reach::Beside => "PASSIVE",
        Reach::Whole => "RESTART",
    };
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok(Log {
            is_busy: row.get(0)?,
            pages: row.get(1)?,
            moved: row.get(2)?,
        })
    })
}
