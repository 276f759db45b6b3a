//! A ledger's database, changed behind the ledger's back.

use std::{fmt::Write as _, path::Path};

use lease::{
    EventRecord,
    ledger::{Head, Ledger as _, MemoryLedger, NewRecord, SqliteLedger},
};

/// Runs `statements` on the ledger at `path`, which nobody may have open.
///
/// The triggers stop accidents; whoever tampers on purpose drops them and puts them back.
///
/// # Panics
///
/// When the statements are no SQL.
pub fn tamper(path: &Path, statements: &str) {
    let database = rusqlite::Connection::open(path.join("ledger.db")).expect("SQL that runs");
    let mut triggers = database
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .expect("SQL that runs");
    let triggers: Vec<(String, String)> = triggers
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("SQL that runs")
        .collect::<Result<_, _>>()
        .expect("SQL that runs");
    for (name, _) in &triggers {
        database
            .execute_batch(&format!("DROP TRIGGER {name}"))
            .expect("SQL that runs");
    }
    database.execute_batch(statements).expect("SQL that runs");
    for (_, sql) in &triggers {
        database.execute_batch(sql).expect("SQL that runs");
    }
}

/// Puts a record without a unique key behind record `after` of the ledger at `path`, which nobody may have open, and
/// computes every hash from there on anew: a history that is sound in itself.
///
/// # Panics
///
/// When there is no such ledger.
pub fn insert(path: &Path, after: u64, inserted: &EventRecord) {
    let ledger = SqliteLedger::open(path).expect("a sound ledger");
    let records = ledger.read(0, usize::MAX).expect("a sound ledger");
    drop(ledger);
    let mut history: Vec<NewRecord> = records
        .into_iter()
        .map(|record| match key_of(path, record.sequence) {
            Some(key) => NewRecord::from(record).with_key(key),
            None => record.into(),
        })
        .collect();
    let place = usize::try_from(after).expect("a small ledger");
    history.insert(place, inserted.clone().into());
    // The ledger in memory gives the same hashes.
    let retold = MemoryLedger::new();
    retold.append(&Head::default(), &history).expect("a history");
    let mut statements = format!(
        "UPDATE events SET sequence = -sequence WHERE sequence > {after};
         UPDATE events SET sequence = 1 - sequence WHERE sequence < 0;
         UPDATE unique_keys SET sequence = sequence + 1 WHERE sequence > {after};"
    );
    for record in retold.read(after, usize::MAX).expect("memory") {
        let (sequence, previous) = (record.sequence, hex(&record.previous_hash));
        if sequence == after + 1 {
            assert!(record.tick.is_none(), "a record without a tick");
            let payload = hex(&record.payload);
            write!(
                statements,
                "INSERT INTO events VALUES ({sequence}, x'', x'', '{}', '{}', '{}', x'{payload}', {}, NULL, NULL, NULL, NULL);",
                record.event_type, record.session_id, record.actor_id, record.wall
            )
            .expect("memory");
        }
        let hash = hex(&record.hash);
        write!(
            statements,
            "UPDATE events SET previous_hash = x'{previous}', hash = x'{hash}' WHERE sequence = {sequence};"
        )
        .expect("memory");
    }
    tamper(path, &statements);
}

fn key_of(path: &Path, sequence: u64) -> Option<String> {
    let database = rusqlite::Connection::open(path.join("ledger.db")).expect("a database");
    let key = database.query_row(
        "SELECT unique_key FROM events WHERE sequence = ?1",
        [sequence.cast_signed()],
        |row| row.get(0),
    );
    key.expect("a record")
}

/// The bytes as they stand in SQL.
pub fn hex(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
