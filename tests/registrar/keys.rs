//! Who may write: keys, signatures, and what becomes of forgeries.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use lease::ledger::{Ledger, LedgerError, MemoryLedger, NewRecord};
use lease::{EventRecord, LeaseError, Registrar, RegistrarError, Signer, helpers};

use crate::setup::TTL;

/// The key's place in a ledger's directory.
const KEY: &str = "registrar.key";

fn on(ledger: &Arc<MemoryLedger>, signer: &Signer) -> Result<Registrar, RegistrarError> {
    Registrar::builder().signer(signer.clone()).on(ledger.clone())
}

#[test]
fn a_key_is_made_with_the_ledger_and_only_its_owner_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    let mode = fs::metadata(path.join(KEY)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    registrar.close().wait().unwrap();
    let key = registrar.public_key();
    drop(registrar);
    assert_eq!(Registrar::open(&path).unwrap().public_key(), key);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    Registrar::open(&path).unwrap().close().wait().unwrap();
    fs::set_permissions(path.join(KEY), Permissions::from_mode(0o640)).unwrap();
    let refused = Registrar::open(&path);
    assert!(
        matches!(refused, Err(RegistrarError::KeyExposed { mode: 0o640, .. })),
        "{refused:?}"
    );
    fs::set_permissions(path.join(KEY), Permissions::from_mode(0o600)).unwrap();
    Registrar::open(&path).unwrap();
}

#[test]
fn a_ledger_without_its_key_is_refused_and_not_given_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    Registrar::open(&path).unwrap().close().wait().unwrap();
    fs::rename(path.join(KEY), folder.path().join("away")).unwrap();
    let refused = Registrar::open(&path);
    assert!(
        matches!(refused, Err(RegistrarError::SignerMissing { .. })),
        "{refused:?}"
    );
    assert!(!path.join(KEY).exists());
    fs::rename(folder.path().join("away"), path.join(KEY)).unwrap();
    Registrar::open(&path).unwrap();
}

#[test]
fn a_key_of_the_wrong_length_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    Registrar::open(&path).unwrap().close().wait().unwrap();
    fs::write(path.join(KEY), [1; 40]).unwrap();
    let refused = Registrar::open(&path);
    assert!(
        matches!(refused, Err(RegistrarError::KeyMalformed { len: 40, .. })),
        "{refused:?}"
    );
}

#[test]
fn a_stranger_s_key_is_refused_until_it_is_trusted() {
    let ledger = Arc::new(MemoryLedger::new());
    let (ours, theirs) = (Signer::generate(), Signer::generate());
    let registrar = on(&ledger, &ours).unwrap();
    let refused = on(&ledger, &theirs);
    assert!(
        matches!(refused, Err(RegistrarError::SignerUntrusted { .. })),
        "{refused:?}"
    );

    registrar.trust_key(theirs.public_key()).wait().unwrap();
    let second = on(&ledger, &theirs).unwrap();
    let lease = second.issue("work", TTL).wait().unwrap();
    assert!(matches!(
        registrar.issue("work", TTL).wait(),
        Err(RegistrarError::Busy(_))
    ));
    registrar.renew(&lease.lease_id, TTL * 2).wait().unwrap();
    second.revoke(&lease.lease_id, "done").wait().unwrap();
    registrar.verify().unwrap();
    second.verify().unwrap();
}

/// Appends past the registrar, as somebody could who has the file and no key.
fn append(ledger: &MemoryLedger, record: EventRecord) -> u64 {
    let head = ledger.head().unwrap();
    ledger.append(&head, &[NewRecord::from(record)]).unwrap().sequence
}

fn forged_issue(signature: Vec<u8>) -> EventRecord {
    let payload = helpers::lease_issued_payload("forged", "work", "mallory", 1_000, u64::MAX, signature);
    EventRecord::new("lease.issued", "s", "registrar", payload)
}

#[test]
fn a_ledger_with_records_needs_a_signer_where_no_key_lies_beside_it() {
    let ledger = Arc::new(MemoryLedger::new());
    let open = || Registrar::builder().on(ledger.clone());
    drop(open().unwrap());
    let head = ledger.head().unwrap();
    assert!(matches!(open(), Err(RegistrarError::SignerNeeded)));
    assert_eq!(ledger.head().unwrap(), head, "and nothing was written");
}

#[test]
fn a_forged_lease_is_not_believed_and_is_named_by_verify() {
    let ledger = Arc::new(MemoryLedger::new());
    let registrar = on(&ledger, &Signer::generate()).unwrap();
    let sequence = append(&ledger, forged_issue(vec![1, 2, 3]));
    assert!(!registrar.query(|state| state.has_active_lease("work")).unwrap());
    registrar.issue("work", TTL).wait().unwrap();
    let refused = registrar.verify();
    let Err(RegistrarError::Ledger(error)) = &refused else {
        panic!("{refused:?}");
    };
    assert!(
        matches!(**error, LedgerError::BadRecord { sequence: named, .. } if named == sequence),
        "{error:?}"
    );
}

#[test]
fn a_forgery_under_our_own_key_s_name_is_not_believed_and_is_named_by_verify() {
    let ledger = Arc::new(MemoryLedger::new());
    let signer = Signer::generate();
    let registrar = on(&ledger, &signer).unwrap();
    let real = registrar.issue("other", TTL).wait().unwrap();
    // A real signature of ours, on another lease.
    let sequence = append(&ledger, forged_issue(real.registrar_signature));
    for believer in [&registrar, &on(&ledger, &signer).unwrap()] {
        assert!(!believer.query(|state| state.has_active_lease("work")).unwrap());
        assert!(believer.query(|state| state.has_active_lease("other")).unwrap());
        assert_eq!(believer.refused().unwrap(), 1);
        let refusals = believer.refusals().unwrap();
        assert_eq!(refusals[0].sequence, sequence);
        assert!(matches!(refusals[0].error, LeaseError::InvalidSignature { .. }));
    }
    let refused = registrar.verify();
    let Err(RegistrarError::Ledger(error)) = &refused else {
        panic!("{refused:?}");
    };
    assert!(
        matches!(**error, LedgerError::BadRecord { sequence: named, .. } if named == sequence),
        "{error:?}"
    );
}

#[test]
fn a_key_that_nobody_vouches_for_is_not_trusted() {
    use lease::LeaseEvent as _;
    let ledger = Arc::new(MemoryLedger::new());
    let registrar = on(&ledger, &Signer::generate()).unwrap();
    let stranger = Signer::generate();
    let event = lease::LedgerEvent::KeyAdded {
        public_key: stranger.public_key().to_bytes().to_vec(),
        signature: vec![9; 72],
    };
    append(
        &ledger,
        EventRecord::new(event.event_type(), "s", "registrar", event.encode()),
    );
    assert!(matches!(
        on(&ledger, &stranger),
        Err(RegistrarError::SignerUntrusted { .. })
    ));
    assert!(registrar.verify().is_err());
}
