//! The write section, syncs and epochs: one writer at a time, whoever else is there.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use lease::ledger::{Head, LedgerError};

use super::{PATIENCE, Shared, content, filled, head_at, note, varied};

pub(crate) fn a_section_reads_what_is_there_and_what_it_appended(ledger: &Shared) {
    varied(ledger, 300);
    ledger.seal(&head_at(ledger, 270), b"").unwrap();
    let before = content(ledger).1;
    let mut section = ledger.enter().unwrap();
    assert_eq!(section.read(0, 999).unwrap(), before);
    assert_eq!(section.read(265, 10).unwrap(), before[265..275]);
    assert_eq!(section.read(300, 9).unwrap(), []);
    let head = section.append(&ledger.head().unwrap(), &[note("new")]).unwrap();
    assert_eq!(section.read(299, 9).unwrap().len(), 2);
    // What was only read leaves nothing behind.
    drop(section);
    assert_eq!(ledger.head().unwrap(), head);
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
}

pub(crate) fn a_second_writer_waits_for_the_section_and_gives_up(ledger: &Shared) {
    let section = ledger.enter().unwrap();
    let other = Arc::clone(ledger);
    let began = Instant::now();
    let refused = thread::spawn(move || other.append(&Head::default(), &[note("other")]).map(drop));
    match refused.join().unwrap() {
        Err(LedgerError::LedgerBusy { pid, waited }) => {
            assert_eq!(pid, Some(std::process::id()));
            assert_eq!(waited, PATIENCE);
        }
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() >= PATIENCE);
    drop(section);
    assert_eq!(content(ledger), (Head::default(), vec![]));
}

pub(crate) fn a_section_is_free_again_once_it_is_left(ledger: &Shared) {
    for _ in 0..3 {
        let section = ledger.enter().unwrap();
        let (other, at_the_door) = (Arc::clone(ledger), Arc::new(Barrier::new(2)));
        let door = Arc::clone(&at_the_door);
        let waiting = thread::spawn(move || {
            door.wait();
            other.enter().map(drop)
        });
        at_the_door.wait();
        drop(section);
        waiting.join().unwrap().unwrap();
    }
}

pub(crate) fn writers_on_many_threads_lose_nothing(ledger: &Shared) {
    const THREADS: usize = 4;
    const EACH: usize = 25;
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut section = ledger.enter().unwrap();
                    let head = ledger.head().unwrap();
                    let text = format!("{thread}/{number}");
                    section.append(&head, &[note(&text).with_key(&*text)]).unwrap();
                    drop(section);
                    ledger.sync().unwrap();
                }
            });
        }
    });
    let head = ledger.verify(&mut ()).unwrap();
    assert_eq!(head.sequence, (THREADS * EACH) as u64);
    let mut written: Vec<_> = ledger
        .read(0, usize::MAX)
        .unwrap()
        .into_iter()
        .map(|r| r.payload)
        .collect();
    written.sort();
    written.dedup();
    assert_eq!(written.len(), THREADS * EACH);
}

pub(crate) fn concurrent_syncs_all_return(ledger: &Shared) {
    filled(ledger, 1);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..20).for_each(|_| ledger.sync().unwrap()));
        }
    });
}

pub(crate) fn the_epoch_rises_when_it_is_raised(ledger: &Shared) {
    let first = ledger.epoch().unwrap();
    assert!(first >= 1);
    let second = ledger.enter().unwrap().raise_epoch().unwrap();
    assert!(second > first);
    assert_eq!(ledger.epoch().unwrap(), second);
    let third = ledger.enter().unwrap().raise_epoch().unwrap();
    assert!(third > second && third < 1 << 31);
}

pub(crate) fn the_epoch_stays_when_records_are_appended(ledger: &Shared) {
    let epoch = ledger.epoch().unwrap();
    filled(ledger, 3);
    ledger.sync().unwrap();
    assert_eq!(ledger.epoch().unwrap(), epoch);
}
