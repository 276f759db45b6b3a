//! The SQL about records.
//!
//! Unsigned numbers are stored as the signed ones with the same bits, so the whole range of `u64` fits.

mod log;
mod schema;

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params, types::FromSql};

pub(super) use self::{
    log::{Log, Reach, checkpoint, watch_log},
    schema::{Role, check_version, connect, establish, is_blank, switch_to_log},
};
use super::seals;
use crate::work::{
    event::EventRecord,
    ledger::{
        Fault, Head, LedgerError, NewRecord,
        chain::{Entry, link, sound},
        epoch,
    },
    tick::{ClockId, Tick},
};

/// The columns of `events` in the order in which this file reads and writes them.
macro_rules! columns {
    () => {
        "sequence, previous_hash, hash, event_type, session_id, actor_id, payload, wall, tick, tick_rate, tick_clock, \
         unique_key"
    };
}

/// How many records are read is the reader's business: a bound `LIMIT` would have SQLite plan the query anew each time.
const RECORDS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM events WHERE sequence > max(?1, (SELECT coalesce(max(last), 0) FROM seals)) ORDER BY sequence"
);

const ENTRIES: &str = concat!(
    "SELECT ",
    columns!(),
    ", (SELECT k.sequence FROM unique_keys k WHERE k.key = e.unique_key) \
     FROM events e WHERE sequence > max(?1, (SELECT coalesce(max(last), 0) FROM seals)) ORDER BY sequence"
);

const INSERT: &str = concat!(
    "INSERT INTO events (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
);

/// A position in the ledger; what was never one is refused, so that nobody counts on from it.
pub(super) fn position(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value = row.get::<_, i64>(index)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
}

/// Where the ledger stands: at its last row, or where everything is sealed.
pub(super) fn head(connection: &Connection) -> rusqlite::Result<Head> {
    let head = connection
        .prepare_cached("SELECT sequence, hash FROM events ORDER BY sequence DESC LIMIT 1")?
        .query_row([], |row| {
            Ok(Head {
                sequence: position(row, 0)?,
                hash: row.get(1)?,
            })
        })
        .optional()?;
    match head {
        Some(head) => Ok(head),
        None => Ok(seals::last(connection)?.map_or_else(Head::default, |run| run.head)),
    }
}

/// The records after `after` that are not sealed, oldest first, at most `limit`, each of which gives its hash.
pub(super) fn records(
    connection: &Connection,
    path: &Path,
    after: u64,
    limit: usize,
) -> Result<Vec<EventRecord>, LedgerError> {
    rows(connection, path, RECORDS, after, limit, |row, sequence| {
        let record = record(row, sequence).map_err(unreadable(sequence))?;
        let unique_key = unique_key(row).map_err(unreadable(sequence))?;
        sound(record, unique_key)
    })
}

/// The entries after `after` that are not sealed, oldest first, at most `limit`; each with the sequence under which its unique key is
/// registered. Their hashes are not looked at.
pub(super) fn entries(
    connection: &Connection,
    path: &Path,
    after: u64,
    limit: usize,
) -> Result<Vec<(Entry, Option<u64>)>, LedgerError> {
    rows(connection, path, ENTRIES, after, limit, |row, sequence| {
        let entry = Entry {
            record: record(row, sequence).map_err(unreadable(sequence))?,
            unique_key: unique_key(row).map_err(unreadable(sequence))?.map(str::to_owned),
        };
        let registered = column::<Option<i64>>(row, 12, "unique_key").map_err(unreadable(sequence))?;
        Ok((entry, registered.map(i64::cast_unsigned)))
    })
}

fn rows<T>(
    connection: &Connection,
    path: &Path,
    query: &str,
    after: u64,
    limit: usize,
    mut read: impl FnMut(&Row<'_>, u64) -> Result<T, LedgerError>,
) -> Result<Vec<T>, LedgerError> {
    let failed = |error| LedgerError::from_sqlite("read the records", path, error);
    // Sequences are row numbers, which SQLite counts up to the largest signed one.
    let Ok(after) = i64::try_from(after) else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(query).map_err(failed)?;
    let mut rows = statement.query(params![after]).map_err(failed)?;
    let mut all = Vec::new();
    while all.len() < limit
        && let Some(row) = rows.next().map_err(failed)?
    {
        let sequence = row.get::<_, i64>(0).map_err(failed)?.cast_unsigned();
        all.push(read(row, sequence)?);
    }
    Ok(all)
}

fn unreadable(sequence: u64) -> impl Fn(&'static str) -> LedgerError {
    move |column| LedgerError::BadRecord {
        sequence,
        fault: Fault::Unreadable { column },
    }
}

/// The value in this column, or the column's name if it cannot be one of ours.
fn column<T: FromSql>(row: &Row<'_>, index: usize, name: &'static str) -> Result<T, &'static str> {
    row.get(index).map_err(|_| name)
}

fn record(row: &Row<'_>, sequence: u64) -> Result<EventRecord, &'static str> {
    let unsigned = |index, name| column::<i64>(row, index, name).map(i64::cast_unsigned);
    let tick = match column::<Option<i64>>(row, 8, "tick")? {
        None => None,
        Some(value) => Some(Tick::new(
            value.cast_unsigned(),
            unsigned(9, "tick_rate")?,
            ClockId(column(row, 10, "tick_clock")?),
        )),
    };
    let mut record = EventRecord::new(
        column::<String>(row, 3, "event_type")?,
        column::<String>(row, 4, "session_id")?,
        column::<String>(row, 5, "actor_id")?,
        column::<Vec<u8>>(row, 6, "payload")?,
    )
    .at(unsigned(7, "wall")?, tick);
    record.sequence = sequence;
    record.previous_hash = column(row, 1, "previous_hash")?;
    record.hash = column(row, 2, "hash")?;
    Ok(record)
}

fn unique_key<'row>(row: &'row Row<'_>) -> Result<Option<&'row str>, &'static str> {
    let value = row.get_ref(11).map_err(|_| "unique_key")?;
    value.as_str_or_null().map_err(|_| "unique_key")
}

/// The sequence under which a unique key is registered.
pub(super) fn registered(connection: &Connection, key: &str) -> rusqlite::Result<Option<u64>> {
    connection
        .prepare_cached("SELECT sequence FROM unique_keys WHERE key = ?1")?
        .query_row([key], |row| Ok(row.get::<_, i64>(0)?.cast_unsigned()))
        .optional()
}

pub(super) fn count_keys(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT count(*) FROM unique_keys")?
        .query_row([], |row| Ok(row.get::<_, i64>(0)?.cast_unsigned()))
}

/// A registered key that no row carries where it says and that is not known to be `sealed`, the earliest first.
pub(super) fn stray_key(
    connection: &Connection,
    sealed: impl Fn(&str) -> bool,
) -> rusqlite::Result<Option<(String, u64)>> {
    let mut statement = connection.prepare(
        "SELECT k.key, k.sequence FROM unique_keys k LEFT JOIN events e \
         ON e.sequence = k.sequence AND e.unique_key = k.key \
         WHERE e.sequence IS NULL ORDER BY k.sequence",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        if !sealed(&key) {
            return Ok(Some((key, row.get::<_, i64>(1)?.cast_unsigned())));
        }
    }
    Ok(None)
}

/// Begins to write: nobody else can until this ends.
pub(super) fn begin(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    control(connection, "BEGIN IMMEDIATE").map_err(|error| LedgerError::from_sqlite("begin", path, error))
}

/// Ends what was begun, as if nothing had been written since. Nothing to end is no error.
pub(super) fn give_up(connection: &Connection) {
    if !connection.is_autocommit() {
        // SQLite rolls back what it cannot commit; whatever this says, the transaction is over.
        let _ = control(connection, "ROLLBACK");
    }
}

fn control(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}

/// Appends a batch behind `expected` and commits, in a transaction that was begun. After a failure it is still open.
pub(super) fn append(
    connection: &Connection,
    path: &Path,
    expected: &Head,
    batch: &[NewRecord],
) -> Result<Head, LedgerError> {
    let failed = |error| LedgerError::from_sqlite("append", path, error);
    let head = head(connection).map_err(failed)?;
    if head != *expected {
        return Err(LedgerError::HeadMoved {
            expected: expected.sequence,
            actual: head.sequence,
        });
    }
    let entries = link(&head, batch)?;
    for entry in &entries {
        if let Some(key) = &entry.unique_key {
            let registered = register(connection, key, entry.record.sequence);
            registered.map_err(|error| match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::ConstraintViolation) => LedgerError::KeyUsed { key: key.clone() },
                _ => failed(error),
            })?;
        }
        insert(connection, entry).map_err(failed)?;
    }
    control(connection, "COMMIT").map_err(failed)?;
    Ok(entries.last().map_or(head, Entry::head))
}

fn register(connection: &Connection, key: &str, sequence: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO unique_keys (key, sequence) VALUES (?1, ?2)")?
        .execute(params![key, sequence.cast_signed()])
        .map(drop)
}

fn insert(connection: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    let record = &entry.record;
    let tick = record.tick.as_ref();
    connection
        .prepare_cached(INSERT)?
        .execute(params![
            record.sequence.cast_signed(),
            record.previous_hash,
            record.hash,
            record.event_type,
            record.session_id,
            record.actor_id,
            record.payload,
            record.wall.cast_signed(),
            tick.map(|tick| tick.value.cast_signed()),
            tick.map(|tick| tick.rate.cast_signed()),
            tick.map(|tick| tick.clock.0),
            entry.unique_key,
        ])
        .map(drop)
}

/// Changes with every commit on another connection, here or in another process.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("PRAGMA data_version")?
        .query_row([], |row| Ok(row.get::<_, i64>(0)?.cast_unsigned()))
}

pub(super) fn epoch(connection: &Connection) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE name = 'epoch'")?
        .query_row([], |row| row.get(0))
}

/// Raises the epoch; not durable until the log is synced.
pub(super) fn raise_epoch(connection: &mut Connection, path: &Path) -> Result<u32, LedgerError> {
    let failed = |error| LedgerError::from_sqlite("raise the epoch", path, error);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let raised = epoch::after(epoch(&transaction).map_err(failed)?)?;
    transaction
        .execute("UPDATE meta SET value = ?1 WHERE name = 'epoch'", [raised])
        .map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(raised)
}
