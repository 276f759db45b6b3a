//! The protected resource: a table of results that keeps its own fence.
//!
//! A lease alone cannot stop a worker that was frozen past its end from writing late. The table can: it remembers the
//! highest fencing token that touched each row and refuses older ones, in the same statement that writes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Row, TransactionBehavior, params};

use crate::input::Item;

/// What reading one file gave.
pub(crate) struct Digest {
    pub(crate) hash: [u8; 32],
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) words: u64,
}

/// What the table says to a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The token is the highest this row has seen.
    Admitted,
    /// The row has its result already.
    Done,
    /// A later token was here first.
    Stale,
}

/// How far the work is.
pub(crate) struct Totals {
    pub(crate) files: u64,
    pub(crate) done: u64,
    pub(crate) unreadable: u64,
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) words: u64,
    pub(crate) refused: u64,
}

/// The results, one row a file, in an SQLite file that all workers share.
pub(crate) struct Results {
    connection: Connection,
}

impl Results {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        // A frozen worker may sit on the write lock for twice a claim's time to live.
        connection.busy_timeout(Duration::from_secs(30))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS files (
                 work TEXT PRIMARY KEY, path BLOB NOT NULL, fence INTEGER NOT NULL DEFAULT 0,
                 token INTEGER, hash BLOB, bytes INTEGER, lines INTEGER, words INTEGER, problem TEXT
             ) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS writes (work TEXT NOT NULL, token INTEGER NOT NULL, accepted INTEGER NOT NULL);",
        )?;
        Ok(Self { connection })
    }

    /// Adds the files that are not yet known.
    pub(crate) fn add(&mut self, items: &[Item]) -> rusqlite::Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction
                .prepare("INSERT INTO files (work, path) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
            for item in items {
                insert.execute(params![item.work, item.path.as_os_str().as_bytes()])?;
            }
        }
        transaction.commit()
    }

    /// The files without a result.
    pub(crate) fn open_items(&self) -> rusqlite::Result<Vec<Item>> {
        let mut select = self
            .connection
            .prepare_cached("SELECT work, path FROM files WHERE token IS NULL")?;
        select.query_map((), item)?.collect()
    }

    /// Whether a file still wants its result.
    pub(crate) fn is_open(&self, work: &str) -> rusqlite::Result<bool> {
        let mut select = self
            .connection
            .prepare_cached("SELECT token IS NULL FROM files WHERE work = ?1")?;
        select.query_row([work], |row| row.get(0))
    }

    /// Shows a token to a file's fence: from now on every older one is refused.
    pub(crate) fn admit(&mut self, work: &str, token: u64) -> rusqlite::Result<Admission> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (fence, done): (u64, bool) = transaction
            .prepare_cached("SELECT fence, token IS NOT NULL FROM files WHERE work = ?1")?
            .query_row([work], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let admission = match (done, fence <= token) {
            (true, _) => Admission::Done,
            (false, false) => Admission::Stale,
            (false, true) => {
                transaction
                    .prepare_cached("UPDATE files SET fence = ?2 WHERE work = ?1")?
                    .execute(params![work, token])?;
                Admission::Admitted
            }
        };
        transaction.commit()?;
        Ok(admission)
    }

    /// Writes a file's result if no later token has been admitted; says whether it was taken.
    ///
    /// Only the fence decides, not whether a result is there already: that each file is written once is for the
    /// leases to achieve and for the report to check.
    pub(crate) fn write(
        &mut self,
        work: &str,
        token: u64,
        result: &Result<Digest, String>,
    ) -> rusqlite::Result<bool> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let accepted = match result {
            Ok(digest) => transaction
                .prepare_cached(
                    "UPDATE files SET token = ?2, hash = ?3, bytes = ?4, lines = ?5, words = ?6
                     WHERE work = ?1 AND fence <= ?2",
                )?
                .execute(params![
                    work,
                    token,
                    digest.hash,
                    digest.bytes,
                    digest.lines,
                    digest.words
                ])?,
            Err(problem) => transaction
                .prepare_cached("UPDATE files SET token = ?2, problem = ?3 WHERE work = ?1 AND fence <= ?2")?
                .execute(params![work, token, problem])?,
        };
        transaction
            .prepare_cached("INSERT INTO writes (work, token, accepted) VALUES (?1, ?2, ?3)")?
            .execute(params![work, token, accepted])?;
        transaction.commit()?;
        Ok(accepted == 1)
    }

    pub(crate) fn totals(&self) -> rusqlite::Result<Totals> {
        self.connection
            .prepare_cached(
                "SELECT count(*), count(token), count(problem), coalesce(sum(bytes), 0), coalesce(sum(lines), 0),
                        coalesce(sum(words), 0), (SELECT count(*) FROM writes WHERE NOT accepted) FROM files",
            )?
            .query_row((), |row| {
                Ok(Totals {
                    files: row.get(0)?,
                    done: row.get(1)?,
                    unreadable: row.get(2)?,
                    bytes: row.get(3)?,
                    lines: row.get(4)?,
                    words: row.get(5)?,
                    refused: row.get(6)?,
                })
            })
    }

    /// Every write that was taken, as work item and token.
    pub(crate) fn accepted(&self) -> rusqlite::Result<Vec<(String, u64)>> {
        let mut select = self
            .connection
            .prepare("SELECT work, token FROM writes WHERE accepted")?;
        select
            .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    }

    /// Every file with the token of the result it has.
    pub(crate) fn tokens(&self) -> rusqlite::Result<Vec<(String, Option<u64>)>> {
        let mut select = self.connection.prepare("SELECT work, token FROM files")?;
        select
            .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    }
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let path: Vec<u8> = row.get(1)?;
    Ok(Item {
        work: row.get(0)?,
        path: PathBuf::from(OsStr::from_bytes(&path)),
    })
}
