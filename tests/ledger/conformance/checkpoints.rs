//! Checkpoints: bytes under a name, whole or not at all.

use lease::ledger::LedgerError;

use super::Shared;

pub(crate) fn a_checkpoint_comes_back_as_it_went_in(ledger: &Shared) {
    assert_eq!(ledger.checkpoints("till").unwrap(), []);
    assert_eq!(ledger.load_checkpoint("till", 7).unwrap(), None);
    ledger.save_checkpoint("till", 3, b"").unwrap();
    assert_eq!(ledger.load_checkpoint("till", 3).unwrap().unwrap(), b"");
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    ledger.save_checkpoint("till", 7, b"first try").unwrap();
    ledger.save_checkpoint("till", 7, &bytes).unwrap();
    assert_eq!(ledger.checkpoints("till").unwrap(), [7, 3]);
    assert_eq!(ledger.load_checkpoint("till", 7).unwrap().unwrap(), bytes);
    assert_eq!(ledger.head().unwrap().sequence, 0, "a checkpoint is no record");
}

pub(crate) fn the_newest_two_checkpoints_of_a_name_are_kept(ledger: &Shared) {
    for sequence in [5, 900, 20, u64::MAX] {
        ledger
            .save_checkpoint("till", sequence, &sequence.to_le_bytes())
            .unwrap();
        ledger.save_checkpoint("shop", 1, b"shop").unwrap();
    }
    assert_eq!(ledger.checkpoints("till").unwrap(), [u64::MAX, 900]);
    assert_eq!(
        ledger.load_checkpoint("till", 900).unwrap().unwrap(),
        900_u64.to_le_bytes()
    );
    assert_eq!(ledger.load_checkpoint("till", 20).unwrap(), None);
    assert_eq!(ledger.checkpoints("shop").unwrap(), [1]);
}

pub(crate) fn names_of_checkpoints_are_told_apart_whatever_they_are(ledger: &Shared) {
    let longest = "\u{0}".repeat(64);
    let names = [
        "", "a", "a@1", "a.b", "A", "../a", "a/../b", "%61", "ä", ".", "..", "a%", &longest,
    ];
    for name in names {
        ledger.save_checkpoint(name, 3, name.as_bytes()).unwrap();
    }
    for name in names {
        assert_eq!(ledger.checkpoints(name).unwrap(), [3], "{name:?}");
        assert_eq!(
            ledger.load_checkpoint(name, 3).unwrap().unwrap(),
            name.as_bytes(),
            "{name:?}"
        );
    }
}

pub(crate) fn a_name_over_its_limit_keeps_no_checkpoint(ledger: &Shared) {
    let name = "x".repeat(65);
    let refused = ledger.save_checkpoint(&name, 1, b"state");
    assert!(matches!(
        refused,
        Err(LedgerError::TooLong {
            length: 65,
            limit: 64,
            ..
        })
    ));
    assert_eq!(ledger.checkpoints(&name).unwrap(), []);
}
