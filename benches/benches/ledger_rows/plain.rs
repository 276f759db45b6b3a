//! The same rows in SQLite, by hand: one transaction each, behind a lock on a file, as one would write it without a
//! ledger. It links, hashes and checks nothing.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};

/// How far a commit goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Synchronous {
    Full,
    Normal,
}

/// One participant: a connection, and the lock before it.
#[derive(Debug)]
pub(crate) struct Plain {
    connection: Connection,
    gate: File,
}

/// What is inserted: columns of the sizes that the ledger's have.
#[derive(Debug)]
pub(crate) struct Row {
    event_type: &'static str,
    payload: Vec<u8>,
    unique_key: Option<String>,
}

const HASH: [u8; 32] = [7; 32];
const CLOCK: [u8; 16] = [7; 16];
const WHO: &str = "host/12345/0123456789abcdef";

impl Row {
    /// The row of a user's event.
    pub(crate) fn event(order: &str) -> Self {
        Self {
            event_type: "order.placed",
            payload: [&[0x0a, 0x23, 0x0a, 0x1e], order.as_bytes(), &[0x10, 0xfa, 0x01]].concat(),
            unique_key: None,
        }
    }

    /// The row of a lease, with room where its signature would be.
    pub(crate) fn issue(work: &str) -> Self {
        let lease_id = format!("{:016x}-{:016x}", 0x17ab_cdef_0123_4567_u64, work.len());
        Self {
            event_type: "lease.issued",
            payload: [lease_id.as_bytes(), work.as_bytes(), WHO.as_bytes(), &[0; 140]].concat(),
            unique_key: Some([lease_id.as_str(), work].concat()),
        }
    }
}

impl Plain {
    /// Opens the database in this folder, and makes it if there is none.
    pub(crate) fn open(folder: &Path, synchronous: Synchronous) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let mut options = File::options();
        let gate = options.create(true).truncate(false).write(true);
        let gate = gate.open(folder.join("gate")).expect("a file to lock");
        gate.lock().expect("a lock");
        let connection = Connection::open(folder.join("plain.db")).expect("a database");
        let level = match synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        };
        let set_up = || {
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
            connection.pragma_update(None, "synchronous", level)?;
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS events (
                     sequence INTEGER PRIMARY KEY, previous_hash BLOB, hash BLOB, event_type TEXT, session_id TEXT,
                     actor_id TEXT, payload BLOB, wall INTEGER, tick INTEGER, tick_rate INTEGER, tick_clock BLOB,
                     unique_key TEXT);
                 CREATE TABLE IF NOT EXISTS unique_keys (key TEXT PRIMARY KEY, sequence INTEGER) WITHOUT ROWID;",
            )
        };
        set_up().expect("tables");
        gate.unlock().expect("the lock is held");
        Self { connection, gate }
    }

    /// One transaction.
    pub(crate) fn insert(&mut self, row: &Row) {
        self.gate.lock().expect("a lock");
        self.try_insert(row).expect("a commit");
        self.gate.unlock().expect("the lock is held");
    }

    fn try_insert(&mut self, row: &Row) -> rusqlite::Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction
            .prepare_cached(
                "INSERT INTO events (previous_hash, hash, event_type, session_id, actor_id, payload, wall, tick,
                     tick_rate, tick_clock, unique_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                HASH,
                HASH,
                row.event_type,
                WHO,
                WHO,
                row.payload,
                1_700_000_000_000_000_000_i64,
                1_000_000_000_000_i64,
                1_000_000_000_i64,
                CLOCK,
                row.unique_key,
            ])?;
        if let Some(key) = &row.unique_key {
            let sequence = transaction.last_insert_rowid();
            transaction
                .prepare_cached("INSERT INTO unique_keys (key, sequence) VALUES (?1, ?2)")?
                .execute(params![key, sequence])?;
        }
        transaction.commit()
    }
}
