//! A ledger's database, changed behind the ledger's back.

use std::path::Path;

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
