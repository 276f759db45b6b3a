//! Reading and verifying what is there.

use std::sync::mpsc;
use std::thread;

use lease::EventRecord;
use lease::ledger::{Head, Objection, RecordVerifier};

use super::{PATIENCE, Shared, bad_record, content, filled, notes};

pub(crate) fn reading_starts_after_and_stops_at_the_limit(ledger: &Shared) {
    filled(ledger, 10);
    let sequences = |after, limit| -> Vec<u64> {
        let records = ledger.read(after, limit).unwrap();
        records.iter().map(|record| record.sequence).collect()
    };
    assert_eq!(sequences(0, 3), [1, 2, 3]);
    assert_eq!(sequences(3, 3), [4, 5, 6]);
    assert_eq!(sequences(8, 3), [9, 10]);
    assert_eq!(sequences(4, 0), [0; 0]);
}

pub(crate) fn reading_past_the_end_gives_nothing(ledger: &Shared) {
    filled(ledger, 2);
    for after in [2, 3, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        assert_eq!(ledger.read(after, usize::MAX).unwrap(), []);
    }
}

pub(crate) fn the_version_changes_with_what_is_appended_and_not_with_reading(ledger: &Shared) {
    let mut seen = ledger.version().unwrap().unwrap();
    for _ in 0..3 {
        filled(ledger, 2);
        let now = ledger.version().unwrap().unwrap();
        assert_ne!(now, seen);
        content(ledger);
        ledger.sync().unwrap();
        assert_eq!(ledger.version().unwrap(), Some(now));
        seen = now;
    }
}

pub(crate) fn reading_goes_on_while_a_section_is_held(ledger: &Shared) {
    let mut head = filled(ledger, 1);
    let mut section = ledger.enter().unwrap();
    assert_eq!(ledger.head().unwrap(), head);
    head = section.append(&head, &notes(2)).unwrap();
    assert_eq!(content(ledger).0, head);
    assert_eq!(ledger.read(1, 9).unwrap().len(), 2);
    assert_eq!(ledger.verify(&mut ()).unwrap(), head);
    head = section.append(&head, &notes(1)).unwrap();
    drop(section);
    assert_eq!(ledger.head().unwrap(), head);
}

pub(crate) fn verify_walks_everything_and_gives_the_head(ledger: &Shared) {
    struct Counts(u64, Option<Head>);
    impl RecordVerifier for Counts {
        fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
            for record in records {
                self.0 += 1;
                assert_eq!(record.sequence, self.0);
            }
            Ok(())
        }
        fn finish(&mut self, head: &Head) -> Result<(), Objection> {
            self.1 = Some(*head);
            Ok(())
        }
    }
    // More than one run of any implementation.
    let head = filled(ledger, 1_000);
    let mut counts = Counts(0, None);
    assert_eq!(ledger.verify(&mut counts).unwrap(), head);
    assert_eq!((counts.0, counts.1), (1_000, Some(head)));
}

pub(crate) fn verify_finds_a_head_that_the_ledger_does_not_reach(ledger: &Shared) {
    let mut ahead = filled(ledger, 3);
    ahead.sequence += 2;
    let (sequence, fault) = bad_record(ledger.verify(&mut ahead));
    assert_eq!(sequence, 4);
    assert!(fault.contains("the tail was cut"), "{fault}");
}

pub(crate) fn verify_finds_a_head_of_another_history(ledger: &Shared) {
    let mut known = filled(ledger, 2);
    filled(ledger, 2);
    assert_eq!(ledger.verify(&mut known).unwrap().sequence, 4);
    known.hash[0] ^= 1;
    assert_eq!(bad_record(ledger.verify(&mut known)).0, 2);
}

pub(crate) fn verify_names_the_record_that_the_verifier_refuses(ledger: &Shared) {
    struct Dislikes(&'static [u8]);
    impl RecordVerifier for Dislikes {
        fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
            match records.iter().find(|record| record.payload == self.0) {
                Some(record) => Err(Objection::new(record.sequence, "not to my taste")),
                None => Ok(()),
            }
        }
    }
    filled(ledger, 700);
    let verdict = bad_record(ledger.verify(&mut Dislikes(b"613")));
    assert_eq!(verdict, (613, "not to my taste".to_owned()));
    let either = ledger.verify(&mut (Dislikes(b"613"), Dislikes(b"612")));
    assert_eq!(bad_record(either).0, 612);
}

pub(crate) fn a_verifier_may_look_at_the_ledger_it_verifies(ledger: &Shared) {
    /// Asks another thread to look, so that a lock held here shows as silence and not as a deadlock.
    struct Looks {
        ask: mpsc::Sender<()>,
        seen: mpsc::Receiver<u64>,
    }
    impl Looks {
        fn look(&self, at: u64) -> Result<(), Objection> {
            let silent = |_| Objection::new(at, "the ledger does not answer");
            self.ask.send(()).unwrap();
            self.seen.recv_timeout(PATIENCE * 10).map(drop).map_err(silent)
        }
    }
    impl RecordVerifier for Looks {
        fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
            self.look(records[0].sequence)
        }

        fn finish(&mut self, head: &Head) -> Result<(), Objection> {
            self.look(head.sequence)
        }
    }
    let head = filled(ledger, 3);
    thread::scope(|scope| {
        let ((ask, asked), (answer, seen)) = (mpsc::channel(), mpsc::channel());
        scope.spawn(move || {
            for () in asked {
                // Whoever asked may have given up.
                let _ = answer.send(ledger.head().unwrap().sequence);
            }
        });
        assert_eq!(ledger.verify(&mut Looks { ask, seen }).unwrap(), head);
    });
}
