//! Sealing: what is sealed is read, verified and refused as before.

use lease::EventRecord;
use lease::ledger::{Head, LedgerError, MAX_STATEMENT, Objection, RecordVerifier};

use super::{Shared, bad_record, content, head_at, note, stale, used, varied};

/// As [`content`], but read piece by piece.
fn pieces(ledger: &Shared, size: usize) -> Vec<EventRecord> {
    let mut records: Vec<EventRecord> = Vec::new();
    loop {
        let after = records.last().map_or(0, |record| record.sequence);
        let piece = ledger.read(after, size).unwrap();
        if piece.is_empty() {
            return records;
        }
        // A short piece is the last one: whoever reads in pieces may rely on it.
        let is_last = piece.len() < size;
        records.extend(piece);
        if is_last {
            return records;
        }
    }
}

pub(crate) fn sealed_records_are_read_and_verified_as_before(ledger: &Shared) {
    varied(ledger, 900);
    let before = content(ledger);
    for sequence in [1, 600, 900] {
        ledger.seal(&head_at(ledger, sequence), b"").unwrap();
        assert_eq!(content(ledger), before, "sealed to {sequence}");
        assert_eq!(ledger.verify(&mut before.0.clone()).unwrap(), before.0);
        for size in [1_000, 900, 256, 7] {
            assert_eq!(pieces(ledger, size), before.1, "in pieces of {size}");
        }
        assert_eq!(ledger.read(598, 4).unwrap(), before.1[598..602]);
    }
}

pub(crate) fn a_ledger_is_sealed_as_often_as_one_likes(ledger: &Shared) {
    let mut heads = Vec::new();
    for round in 0..5 {
        let head = varied(ledger, 100 + round);
        ledger.seal(&head, &[round.try_into().unwrap()]).unwrap();
        heads.push(head);
    }
    let seals = ledger.seals().unwrap();
    assert_eq!(seals.iter().map(|seal| seal.head).collect::<Vec<_>>(), heads);
    let mut next = 1;
    for seal in seals {
        assert_eq!(seal.first, next);
        next = seal.head.sequence + 1;
    }
    assert_eq!(ledger.verify(&mut ()).unwrap(), heads[4]);
    assert_eq!(pieces(ledger, 64).len(), 510);
}

pub(crate) fn appending_goes_on_after_everything_was_sealed(ledger: &Shared) {
    let head = varied(ledger, 20);
    ledger.seal(&head, b"").unwrap();
    assert_eq!(ledger.head().unwrap(), head);
    stale(ledger.append(&Head::default(), &[note("stale")]), (0, 20));
    let next = ledger.append(&head, &[note("next")]).unwrap();
    assert_eq!(next.sequence, 21);
    let record = ledger.read(20, 9).unwrap().remove(0);
    assert_eq!((record.sequence, record.previous_hash), (21, head.hash));
    assert_eq!(ledger.verify(&mut ()).unwrap(), next);
}

pub(crate) fn a_key_holds_for_ever_after_its_record_was_sealed(ledger: &Shared) {
    let head = ledger
        .append(&Head::default(), &[note("1").with_key("k")])
        .unwrap();
    let head = ledger.append(&head, &[note("2").with_key("l")]).unwrap();
    ledger.seal(&head, b"").unwrap();
    let before = content(ledger);
    used(ledger.append(&head, &[note("3").with_key("k")]), "k");
    used(
        ledger.append(&head, &[note("3").with_key("m"), note("4").with_key("l")]),
        "l",
    );
    assert_eq!(content(ledger), before);
    ledger.append(&head, &[note("3").with_key("m")]).unwrap();
    ledger.verify(&mut ()).unwrap();
}

pub(crate) fn a_head_that_never_was_is_not_sealed(ledger: &Shared) {
    let head = varied(ledger, 10);
    ledger.seal(&head_at(ledger, 4), b"").unwrap();
    let before = content(ledger);
    let mut wrong = Vec::new();
    for sequence in [1, 4, 5, 10] {
        let mut other = head_at(ledger, sequence);
        other.hash[31] ^= 1;
        wrong.push(other);
    }
    for sequence in [0, 11, u64::MAX] {
        wrong.push(Head { sequence, ..head });
    }
    for head in wrong {
        let refused = ledger.seal(&head, b"");
        assert!(
            matches!(refused, Err(LedgerError::NoSuchHead { sequence }) if sequence == head.sequence),
            "{head:?}: {refused:?}"
        );
    }
    assert_eq!(content(ledger), before);
    assert_eq!(ledger.seals().unwrap().len(), 1);
    ledger.seal(&head, b"").unwrap();
}

pub(crate) fn what_is_sealed_already_stays_as_it_is(ledger: &Shared) {
    ledger.seal(&Head::default(), b"nothing").unwrap();
    assert_eq!(ledger.seals().unwrap(), []);
    varied(ledger, 10);
    ledger.seal(&head_at(ledger, 6), b"first").unwrap();
    let before = ledger.seals().unwrap();
    for sequence in [1, 3, 6] {
        ledger.seal(&head_at(ledger, sequence), b"second").unwrap();
    }
    assert_eq!(ledger.seals().unwrap(), before);
}

pub(crate) fn a_seal_gives_its_statement_back(ledger: &Shared) {
    let head = varied(ledger, 3);
    let long = vec![9; MAX_STATEMENT + 1];
    match ledger.seal(&head, &long) {
        Err(LedgerError::TooLong { field, length, limit }) => {
            assert_eq!(
                (field, length, limit),
                ("statement", MAX_STATEMENT + 1, MAX_STATEMENT)
            );
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(ledger.seals().unwrap(), []);
    ledger.seal(&head_at(ledger, 1), b"").unwrap();
    ledger.seal(&head, &long[1..]).unwrap();
    let statements: Vec<_> = ledger
        .seals()
        .unwrap()
        .into_iter()
        .map(|seal| seal.statement.len())
        .collect();
    assert_eq!(statements, [0, MAX_STATEMENT]);
}

pub(crate) fn verify_finds_a_head_of_another_history_in_what_is_sealed(ledger: &Shared) {
    let head = varied(ledger, 600);
    let mut kept = head_at(ledger, 300);
    ledger.seal(&head, b"").unwrap();
    ledger.verify(&mut kept).unwrap();
    kept.hash[0] ^= 1;
    assert_eq!(bad_record(ledger.verify(&mut kept)).0, 300);
}

pub(crate) fn verify_names_the_record_that_the_verifier_refuses_in_what_is_sealed(ledger: &Shared) {
    struct Dislikes(u64);
    impl RecordVerifier for Dislikes {
        fn check(&mut self, records: &[EventRecord]) -> Result<(), Objection> {
            match records.iter().find(|record| record.sequence == self.0) {
                Some(_) => Err(Objection::new(self.0, "not to my taste")),
                None => Ok(()),
            }
        }
    }
    varied(ledger, 700);
    ledger.seal(&head_at(ledger, 650), b"").unwrap();
    for sequence in [613, 660] {
        assert_eq!(bad_record(ledger.verify(&mut Dislikes(sequence))).0, sequence);
    }
}
