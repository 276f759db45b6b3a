//! Sealing a ledger on disk: its files, its crashes, its copies.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use lease::ledger::{Head, Ledger, LedgerError, NewRecord, SealFault, SqliteLedger};
use lease_tests::tamper::tamper;
use tempfile::TempDir;

use crate::conformance::note;

fn place() -> (PathBuf, TempDir) {
    let root = tempfile::tempdir().unwrap();
    (root.path().join("jobs.lease"), root)
}

/// Appends so many notes, every one with a key.
fn fill(ledger: &SqliteLedger, count: u64) -> Head {
    let head = ledger.head().unwrap();
    let batch: Vec<NewRecord> = (1..=count)
        .map(|number| {
            let number = head.sequence + number;
            note(&number.to_string()).with_key(format!("key-{number}"))
        })
        .collect();
    ledger.append(&head, &batch).unwrap()
}

/// A closed ledger of 600 records, the first 500 of them sealed in two files, and its head.
fn sealed() -> (PathBuf, Head, TempDir) {
    let (path, root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    for _ in 0..2 {
        let head = fill(&ledger, 250);
        ledger.seal(&head, b"said").unwrap();
    }
    let head = fill(&ledger, 100);
    drop(ledger);
    (path, head, root)
}

fn files(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(path.join("sealed"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn rows(path: &Path) -> u64 {
    let database = rusqlite::Connection::open(path.join("ledger.db")).unwrap();
    database
        .query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0))
        .unwrap()
        .cast_unsigned()
}

fn bad_record<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> (u64, String) {
    match result {
        Err(LedgerError::BadRecord { sequence, fault }) => (sequence, fault.to_string()),
        other => panic!("{other:?}"),
    }
}

fn bad_seal<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> (PathBuf, SealFault) {
    match result {
        Err(LedgerError::BadSeal { path, fault }) => (path, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sealed_records_leave_the_database_for_a_file() {
    let (path, head, _root) = sealed();
    assert_eq!(files(&path).len(), 2);
    assert_eq!(rows(&path), 100);
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!(ledger.verify(&mut head.clone()).unwrap(), head);
    let records = ledger.read(0, 999).unwrap();
    assert_eq!(records.len(), 600);
    assert!(
        records
            .iter()
            .zip(1_u64..)
            .all(|(record, number)| record.payload == number.to_string().into_bytes())
    );
    assert_eq!(ledger.seals().unwrap()[1].statement, b"said");
}

#[test]
fn the_room_of_sealed_records_is_used_again() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let size = |ledger: &SqliteLedger| {
        ledger.backup(path.with_file_name("copy")).unwrap();
        fs::remove_dir_all(path.with_file_name("copy")).unwrap();
        let database = rusqlite::Connection::open(path.join("ledger.db")).unwrap();
        let pages: i64 = database
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap();
        pages
    };
    let text = "x".repeat(2_000);
    let round = || {
        let batch: Vec<_> = (0..2_000).map(|_| note(&text)).collect();
        let head = ledger.append(&ledger.head().unwrap(), &batch).unwrap();
        ledger.seal(&head, b"").unwrap();
    };
    round();
    let first = size(&ledger);
    for _ in 0..3 {
        round();
    }
    let fourth = size(&ledger);
    assert!(fourth < first + first / 4, "{first} pages, then {fourth}");
}

#[test]
fn only_sealed_rows_can_be_removed_and_none_changed() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    fill(&ledger, 10);
    drop(ledger);
    let database = rusqlite::Connection::open(path.join("ledger.db")).unwrap();
    let run = |sql: &str| database.execute_batch(sql).map_err(|error| error.to_string());
    let hash = "(SELECT hash FROM events WHERE sequence = 4)";
    for refused in [
        "DELETE FROM events WHERE sequence = 3".to_owned(),
        format!("INSERT INTO seals (last, first, hash) VALUES (4, 2, {hash})"),
        "INSERT INTO seals (last, first, hash) VALUES (4, 1, zeroblob(32))".to_owned(),
        format!("INSERT INTO seals (last, first, hash) VALUES (11, 1, {hash})"),
    ] {
        assert!(
            run(&refused).is_err_and(|error| error.contains("only grow")),
            "{refused}"
        );
    }
    run(&format!(
        "INSERT INTO seals (last, first, hash) VALUES (4, 1, {hash})"
    ))
    .unwrap();
    for refused in [
        "DELETE FROM events WHERE sequence = 5",
        "UPDATE events SET wall = 7 WHERE sequence = 3",
        "UPDATE seals SET last = 9",
        "DELETE FROM seals",
        "INSERT OR REPLACE INTO seals SELECT last, 5, hash FROM seals",
        "DELETE FROM unique_keys WHERE sequence = 3",
    ] {
        assert!(run(refused).is_err(), "{refused}");
    }
    run("DELETE FROM events WHERE sequence <= 4").unwrap();
    assert!(run("INSERT INTO events SELECT 3, previous_hash, hash, event_type, session_id, actor_id, payload, wall, \
                 tick, tick_rate, tick_clock, unique_key FROM events WHERE sequence = 5").is_err());
}

#[test]
fn a_missing_file_is_named_and_the_rest_goes_on() {
    let (path, head, _root) = sealed();
    let gone = files(&path).remove(1);
    fs::rename(&gone, path.with_file_name("away")).unwrap();
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!(
        bad_seal(ledger.verify(&mut ())),
        (gone.clone(), SealFault::Missing)
    );
    assert_eq!(bad_seal(ledger.seals()), (gone.clone(), SealFault::Missing));
    assert_eq!(bad_seal(ledger.read(300, 9)), (gone.clone(), SealFault::Missing));
    assert_eq!(ledger.read(0, 250).unwrap().len(), 250);
    assert_eq!(ledger.read(500, 999).unwrap().len(), 100);
    ledger.append(&head, &[note("next")]).unwrap();
    bad_seal(ledger.backup(path.with_file_name("copy")));
    fs::rename(path.with_file_name("away"), &gone).unwrap();
    ledger.verify(&mut ()).unwrap();
}

#[test]
fn a_noted_position_that_cannot_be_is_refused_and_not_counted_on_from() {
    for hostile in [i64::MIN, -2, -1, i64::MAX] {
        let (path, _, _root) = sealed();
        // All there is to know of the ledger's end.
        let note = format!("UPDATE seals SET last = {hostile} WHERE last = 500");
        tamper(
            &path,
            &format!("DELETE FROM events; DELETE FROM seals WHERE last = 250; {note}"),
        );
        let ledger = SqliteLedger::open(&path).unwrap();
        assert!(ledger.seals().is_err(), "{hostile}");
        assert!(ledger.verify(&mut ()).is_err(), "{hostile}");
        let last = Head {
            sequence: u64::MAX,
            hash: [0; 32],
        };
        let head = ledger.head().unwrap_or(last);
        assert!(ledger.append(&head, &[self::note("next")]).is_err(), "{hostile}");
        assert!(ledger.seal(&last, b"").is_err(), "{hostile}");
    }
}

#[test]
fn a_damaged_file_is_named_and_so_is_a_damaged_record() {
    let (path, _head, _root) = sealed();
    let file = files(&path).remove(1);
    let whole = fs::read(&file).unwrap();
    let ledger = SqliteLedger::open(&path).unwrap();
    for (at, words) in [
        (0, "does not begin"),
        (70, "another history"),
        (whole.len() - 1, "checksum"),
    ] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&file, damaged).unwrap();
        let (named, fault) = bad_seal(ledger.verify(&mut ()));
        assert!(
            named == file && fault.to_string().contains(words),
            "byte {at}: {fault}"
        );
    }
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(
        bad_seal(ledger.verify(&mut ())).1,
        SealFault::Damaged { .. }
    ));
    // The payload `300` of record 300.
    let at = whole.windows(3).position(|bytes| bytes == b"300").unwrap();
    let mut damaged = whole.clone();
    damaged[at] = b'4';
    fs::write(&file, &damaged).unwrap();
    assert_eq!(bad_record(ledger.verify(&mut ())).0, 300);
    assert_eq!(bad_record(ledger.read(299, 1)).0, 300);
    assert_eq!(ledger.read(250, 49).unwrap().len(), 49);
    fs::write(&file, whole).unwrap();
    ledger.verify(&mut ()).unwrap();
}

#[test]
fn a_file_of_another_ledger_or_of_a_newer_version_is_named() {
    let (path, _head, _root) = sealed();
    let (other, _root) = place();
    let ledger = SqliteLedger::open(&other).unwrap();
    let batch: Vec<_> = (0..250).map(|_| note("elsewhere")).collect();
    let head = ledger.append(&Head::default(), &batch).unwrap();
    ledger.seal(&head, b"").unwrap();
    let (file, foreign) = (files(&path).remove(0), files(&other).remove(0));
    let whole = fs::read(&file).unwrap();
    fs::copy(foreign, &file).unwrap();
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!(
        bad_seal(ledger.verify(&mut ())),
        (file.clone(), SealFault::Foreign { first: 1, last: 250 })
    );
    let mut newer = whole;
    newer[14] = b'2';
    fs::write(&file, newer).unwrap();
    assert_eq!(bad_seal(ledger.read(0, 1)), (file, SealFault::NewerFormat));
}

#[test]
fn a_file_that_is_a_link_or_has_a_second_name_is_refused() {
    let (path, _head, _root) = sealed();
    let file = files(&path).remove(0);
    let away = path.with_file_name("away");
    let ledger = SqliteLedger::open(&path).unwrap();
    fs::hard_link(&file, &away).unwrap();
    assert!(matches!(ledger.verify(&mut ()), Err(LedgerError::Linked { path }) if path == file));
    fs::remove_file(&file).unwrap();
    symlink(&away, &file).unwrap();
    assert!(matches!(ledger.read(0, 9), Err(LedgerError::Linked { path }) if path == file));
    fs::rename(&away, &file).unwrap();
    ledger.verify(&mut ()).unwrap();
}

/// Opening one would wait until somebody writes into it.
#[test]
fn nobody_waits_for_a_pipe_that_stands_in_place_of_a_file() {
    let (path, _head, _root) = sealed();
    let file = files(&path).remove(0);
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let (told, is_told) = mpsc::channel();
    thread::spawn(move || told.send(SqliteLedger::open(&path).unwrap().read(0, 9)));
    let refused = is_told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(
        matches!(&refused, Err(LedgerError::Linked { path }) if *path == file),
        "{refused:?}"
    );
}

#[test]
fn a_record_that_was_altered_is_not_sealed() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let head = fill(&ledger, 20);
    drop(ledger);
    tamper(&path, "UPDATE events SET payload = x'00' WHERE sequence = 7");
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!(bad_record(ledger.seal(&head, b"")).0, 7);
    assert_eq!(ledger.seals().unwrap(), []);
    assert!(files(&path).is_empty(), "nothing is left of the attempt");
}

#[test]
fn a_folder_that_cannot_be_written_leaves_everything_as_it_was() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let head = fill(&ledger, 20);
    fs::write(path.join("sealed"), "in the way").unwrap();
    assert!(matches!(ledger.seal(&head, b""), Err(LedgerError::Linked { .. })));
    fs::remove_file(path.join("sealed")).unwrap();
    // No file can be made under a name that a directory with something in it has.
    fs::create_dir_all(path.join("sealed/unfinished/in-the-way")).unwrap();
    assert!(matches!(ledger.seal(&head, b""), Err(LedgerError::Io { .. })));
    assert_eq!(ledger.seals().unwrap(), []);
    assert_eq!(ledger.read(0, 99).unwrap().len(), 20);
    fs::remove_dir_all(path.join("sealed/unfinished")).unwrap();
    ledger.seal(&head, b"").unwrap();
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
}

#[test]
fn a_freed_or_a_stray_key_of_a_sealed_record_is_named() {
    for (statements, sequence, words) in [
        (
            "DELETE FROM unique_keys WHERE key = 'key-7'",
            7,
            "`key-7` is not registered",
        ),
        (
            "UPDATE unique_keys SET sequence = 8 WHERE key = 'key-7'",
            7,
            "`key-7` is not registered",
        ),
        (
            "INSERT INTO unique_keys VALUES ('key-x', 7)",
            7,
            "`key-x` is registered as its own",
        ),
        (
            "INSERT INTO unique_keys VALUES ('key-x', 560)",
            560,
            "`key-x` is registered as its own",
        ),
        ("DELETE FROM events WHERE sequence > 590", 591, "the tail was cut"),
    ] {
        let (path, _head, _root) = sealed();
        tamper(&path, statements);
        let (named, fault) = bad_record(SqliteLedger::open(&path).unwrap().verify(&mut ()));
        assert!(
            named == sequence && fault.contains(words),
            "{statements}: {named} {fault}"
        );
    }
}

#[test]
fn what_a_sealing_that_was_killed_leaves_is_harmless_and_goes_with_the_next() {
    let (path, head, _root) = sealed();
    // Killed while writing, and killed between naming and noting.
    fs::write(path.join("sealed/unfinished"), "half").unwrap();
    let stray = path.join("sealed/00000000000000000501-00000000000000000550.seal");
    fs::write(&stray, "never noted").unwrap();
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
    assert_eq!(ledger.read(0, 999).unwrap().len(), 600);
    ledger.seal(&head, b"").unwrap();
    assert_eq!(files(&path).len(), 3);
    assert!(!stray.exists());
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
}

#[test]
fn rows_that_a_killed_sealing_did_not_remove_count_for_nothing_and_go_with_the_next() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    let head = fill(&ledger, 300);
    ledger.backup(path.with_file_name("before")).unwrap();
    let before = path.with_file_name("before").join("ledger.db");
    ledger.seal(&head, b"").unwrap();
    drop(ledger);
    // Noted, and some of the rows put back: as it is when the process dies while it removes them.
    tamper(
        &path,
        &format!(
            "ATTACH '{}' AS before; INSERT INTO events SELECT * FROM before.events WHERE sequence > 120;
                  UPDATE events SET payload = x'00' WHERE sequence = 200",
            before.display()
        ),
    );
    assert_eq!(rows(&path), 180);
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
    let next = fill(&ledger, 5);
    assert_eq!(next.sequence, 305);
    assert_eq!(ledger.read(0, 999).unwrap().len(), 305);
    ledger.seal(&head, b"").unwrap();
    assert_eq!(ledger.read(0, 999).unwrap().len(), 305);
    drop(ledger);
    assert_eq!(rows(&path), 5);
}

#[test]
fn a_backup_takes_the_sealed_files_along_and_so_does_a_restore() {
    let (path, head, root) = sealed();
    let (copy, restored) = (root.path().join("copy"), root.path().join("restored"));
    let ledger = SqliteLedger::open(&path).unwrap();
    assert_eq!(ledger.backup(&copy).unwrap(), head);
    assert_eq!(
        SqliteLedger::open(&copy).unwrap().backup(&restored).unwrap(),
        head
    );
    let again = SqliteLedger::open(&restored).unwrap();
    assert_eq!(again.read(0, 999).unwrap(), ledger.read(0, 999).unwrap());
    assert_eq!(again.seals().unwrap(), ledger.seals().unwrap());
    again.seal(&head, b"").unwrap();
    assert_eq!(ledger.seals().unwrap().len(), 2, "they go on apart");
}

/// Copies a directory file by file, as nobody should.
fn copy_by_hand(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_by_hand(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn a_copy_is_adopted_with_its_sealed_files_and_not_without() {
    let (path, head, root) = sealed();
    let (whole, torn) = (root.path().join("whole"), root.path().join("torn"));
    copy_by_hand(&path, &whole);
    copy_by_hand(&path, &torn);
    fs::remove_file(files(&torn).remove(0)).unwrap();
    assert_eq!(
        SqliteLedger::adopt(&whole).unwrap().verify(&mut ()).unwrap(),
        head
    );
    assert_eq!(bad_seal(SqliteLedger::adopt(&torn)).1, SealFault::Missing);
    assert!(matches!(
        SqliteLedger::open(&torn),
        Err(LedgerError::LedgerMoved { .. })
    ));
}

#[test]
fn writers_and_readers_go_on_while_a_ledger_is_sealed() {
    let (path, _root) = place();
    let ledger = SqliteLedger::open(&path).unwrap();
    fill(&ledger, 3_000);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (ledger, stop) = (&ledger, &stop);
        let running = || !stop.load(Ordering::Relaxed);
        let writer = scope.spawn(move || {
            let mut count = 0;
            while running() {
                let mut section = ledger.enter().unwrap();
                section
                    .append(&ledger.head().unwrap(), &[note("meanwhile")])
                    .unwrap();
                count += 1;
            }
            count
        });
        let reader = scope.spawn(move || {
            while running() {
                let records = ledger.read(0, usize::MAX).unwrap();
                assert!(
                    records
                        .iter()
                        .zip(1_u64..)
                        .all(|(record, sequence)| record.sequence == sequence)
                );
                ledger.verify(&mut ()).unwrap();
            }
        });
        for _ in 0..6 {
            ledger.seal(&ledger.head().unwrap(), b"").unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
        let written: u64 = writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(ledger.verify(&mut ()).unwrap().sequence, 3_000 + written);
    });
}
