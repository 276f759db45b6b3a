//! The tables, who may connect to them, and whether a database is one of ours.
//!
//! The triggers refuse to change a row, also by way of `INSERT OR REPLACE`, and to remove one that was not sealed; they
//! stop accidents, while the chain tells of what was done on purpose.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};

use crate::work::ledger::{LedgerError, sqlite::origin::Origin};

/// Marks the file as ours: `LEAS`.
const APPLICATION_ID: i32 = 0x4C45_4153;

/// The newest format this code reads, and the one it writes.
const FORMAT: i32 = 1;

/// The first SQLite in which a checkpoint that races a restart of the log cannot lose commits.
const OLDEST_SQLITE: i32 = 3_051_003;

const SCHEMA: &str = "
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    previous_hash BLOB NOT NULL,
    hash BLOB NOT NULL,
    event_type TEXT NOT NULL,
    session_id TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    payload BLOB NOT NULL,
    wall INTEGER NOT NULL,
    tick INTEGER,
    tick_rate INTEGER,
    tick_clock BLOB,
    unique_key TEXT
) STRICT;
CREATE TABLE unique_keys (
    key TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE seals (
    last INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE TRIGGER events_only_grow BEFORE INSERT ON events
    WHEN NEW.sequence IS NOT
        max((SELECT coalesce(max(sequence), 0) FROM events), (SELECT coalesce(max(last), 0) FROM seals)) + 1
    BEGIN SELECT RAISE(ABORT, 'a ledger only grows'); END;
CREATE TRIGGER events_never_change BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'a ledger only grows'); END;
CREATE TRIGGER events_leave_once_sealed BEFORE DELETE ON events
    WHEN OLD.sequence > (SELECT coalesce(max(last), 0) FROM seals)
    BEGIN SELECT RAISE(ABORT, 'a ledger only grows'); END;
CREATE TRIGGER unique_keys_only_grow BEFORE INSERT ON unique_keys
    WHEN EXISTS (SELECT 1 FROM unique_keys WHERE key = NEW.key)
    BEGIN SELECT RAISE(ABORT, 'a unique key is used once'); END;
CREATE TRIGGER unique_keys_never_change BEFORE UPDATE ON unique_keys
    BEGIN SELECT RAISE(ABORT, 'a unique key is used once'); END;
CREATE TRIGGER unique_keys_never_leave BEFORE DELETE ON unique_keys
    BEGIN SELECT RAISE(ABORT, 'a unique key is used once'); END;
CREATE TRIGGER seals_only_grow BEFORE INSERT ON seals
    WHEN NEW.first IS NOT (SELECT coalesce(max(last), 0) + 1 FROM seals)
        OR NEW.last < NEW.first
        OR NOT EXISTS (SELECT 1 FROM events WHERE sequence = NEW.last AND hash = NEW.hash)
    BEGIN SELECT RAISE(ABORT, 'seals only grow'); END;
CREATE TRIGGER seals_never_change BEFORE UPDATE ON seals
    BEGIN SELECT RAISE(ABORT, 'seals only grow'); END;
CREATE TRIGGER seals_never_leave BEFORE DELETE ON seals
    BEGIN SELECT RAISE(ABORT, 'seals only grow'); END;
";

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Role {
    /// Makes the database if there is none.
    Create,
    Write,
    Read,
    /// Reads without anything that is written being needed for it.
    Look,
    /// Asks how long the log is and moves it, and looks at no page, for none may be what it was.
    Blind,
}

/// Refuses to work with an SQLite that can lose commits.
pub(in super::super) fn check_version(number: i32) -> Result<(), LedgerError> {
    if number >= OLDEST_SQLITE {
        Ok(())
    } else {
        Err(LedgerError::OldSqlite {
            found: number,
            needed: OLDEST_SQLITE,
        })
    }
}

/// A connection to the database at `path`, set up so that nothing happens behind our back: no checkpoint while
/// committing or closing, no memory map, no schema tricks.
pub(in super::super) fn connect(
    path: &Path,
    role: Role,
    patience: Duration,
) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE
        | match role {
            Role::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            Role::Write | Role::Read | Role::Blind => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Role::Look => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
    let set_up = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(patience)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        // To SQLite the database is empty then, whatever its first page has.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_RESET_DATABASE, role == Role::Blind)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "query_only", !matches!(role, Role::Create | Role::Write))?;
        Ok(connection)
    };
    set_up().map_err(|error| LedgerError::from_sqlite("open the database", path, error))
}

/// Writes the tables into a blank database, or checks those which are there. Called under
/// the gate.
pub(in super::super) fn establish(connection: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    if is_blank(connection, path)? {
        create(connection, path)?;
    }
    Ok(())
}

/// Whether there is nothing in a database yet; if there is, the tables are ours and unaltered.
pub(in super::super) fn is_blank(connection: &Connection, path: &Path) -> Result<bool, LedgerError> {
    let failed = |error| LedgerError::from_sqlite("read the schema", path, error);
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application = pragma("application_id").map_err(failed)?;
    let format = pragma("user_version").map_err(failed)?;
    let found = schema_of(connection).map_err(failed)?;
    let foreign = |reason: &str| {
        Err(LedgerError::NotALedger {
            path: path.into(),
            reason: reason.to_owned(),
        })
    };
    if application == 0 && format == 0 && found.is_empty() {
        return Ok(true);
    }
    if application != APPLICATION_ID {
        return foreign("the database is another program's");
    }
    if format > FORMAT {
        return Err(LedgerError::NewerFormat {
            found: format,
            supported: FORMAT,
        });
    }
    let expected = || -> rusqlite::Result<_> {
        let blank = Connection::open_in_memory()?;
        blank.execute_batch(SCHEMA)?;
        schema_of(&blank)
    };
    if format != FORMAT || found != expected().map_err(failed)? {
        return foreign("its tables or triggers were altered");
    }
    let mode: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .map_err(failed)?;
    if mode != "wal" {
        return foreign("its journal mode was changed");
    }
    Ok(false)
}

fn create(connection: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    let failed = |error| LedgerError::from_sqlite("create the tables", path, error);
    switch_to_log(connection).map_err(failed)?;
    let origin = Origin::of(path)?;
    let mut fill = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(SCHEMA)?;
        transaction.execute("INSERT INTO meta (name, value) VALUES ('epoch', 0)", [])?;
        origin.remember(&transaction)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()
    };
    fill().map_err(failed)
}

/// Has the database keep a write-ahead log. The statement answers first and writes afterwards: only past its answer is
/// it told that this failed.
pub(in super::super) fn switch_to_log(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
    let mut answers = statement.query([])?;
    while answers.next()?.is_some() {}
    Ok(())
}

/// Every statement that made something, in the order of names.
fn schema_of(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")?
        .query_map([], |row| row.get(0))?
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use rusqlite::ErrorCode;

    use super::*;

    #[test]
    fn an_sqlite_that_can_lose_commits_is_refused() {
        assert!(check_version(3_051_003).is_ok());
        let refused = check_version(3_051_002).unwrap_err();
        assert!(matches!(refused, LedgerError::OldSqlite { found: 3_051_002, .. }));
        assert_eq!(refused.to_string(), "SQLite 3.51.2 is too old, 3.51.3 is needed");
        assert!(check_version(rusqlite::version_number()).is_ok());
    }

    /// A folder of this test's own, by a name without links.
    fn place() -> PathBuf {
        let root = std::env::temp_dir().canonicalize().unwrap();
        let place = root.join(format!("lease-schema-{}", crate::work::random::hex::<8>()));
        fs::create_dir(&place).unwrap();
        place
    }

    const ROLES: [Role; 5] = [Role::Create, Role::Write, Role::Read, Role::Look, Role::Blind];

    #[test]
    fn no_connection_is_led_to_the_database_by_a_link() {
        let place = place();
        let (database, link) = (place.join("database"), place.join("link"));
        drop(connect(&database, Role::Create, Duration::ZERO).unwrap());
        std::os::unix::fs::symlink(&database, &link).unwrap();
        for role in ROLES {
            assert!(connect(&database, role, Duration::ZERO).is_ok());
            assert!(connect(&link, role, Duration::ZERO).is_err());
        }
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_connection_that_reads_cannot_write() {
        let place = place();
        let database = place.join("database");
        let maker = connect(&database, Role::Create, Duration::ZERO).unwrap();
        maker.execute_batch("CREATE TABLE told (what TEXT)").unwrap();
        for role in ROLES {
            let connection = connect(&database, role, Duration::ZERO).unwrap();
            let written = connection.execute_batch("CREATE TABLE written (what TEXT); DROP TABLE written");
            if matches!(role, Role::Create | Role::Write) {
                written.unwrap();
            } else {
                let refused = written.unwrap_err().sqlite_error_code();
                assert_eq!(refused, Some(ErrorCode::ReadOnly));
                let is_asked_only = connection.pragma_query_value(None, "query_only", |row| row.get(0));
                assert_eq!(is_asked_only, Ok(true));
            }
        }
        fs::remove_dir_all(place).unwrap();
    }
}
