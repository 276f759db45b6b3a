//! What the writer does, and does not do, while it is inside the section.

use std::time::Duration;

use super::*;
use crate::sync::atomic::{AtomicU64, Ordering::SeqCst};
use crate::sync::{Arc, Mutex};
use crate::work::event::EventRecord;
use crate::work::ledger::{Head, Ledger, LedgerError, MemoryLedger, NewRecord, RecordVerifier, Section};
use crate::work::registrar::signing::tally;
use crate::work::registrar::{Registrar, Signer};

const TTL: Duration = Duration::from_mins(1);

/// A ledger that counts the signatures which whoever is inside makes or verifies, and before which others may be let in.
#[derive(Default)]
struct Watched {
    ledger: Arc<MemoryLedger>,
    inside: AtomicU64,
    outside: AtomicU64,
    first: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

struct WatchedSection<'a> {
    section: Box<dyn Section + 'a>,
    inside: &'a AtomicU64,
    before: u64,
}

impl Drop for WatchedSection<'_> {
    fn drop(&mut self) {
        self.inside.fetch_add(tally::so_far() - self.before, SeqCst);
    }
}

impl Section for WatchedSection<'_> {
    fn read(&mut self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
        self.section.read(after, limit)
    }

    fn append(&mut self, expected: &Head, batch: &[NewRecord]) -> Result<Head, LedgerError> {
        self.section.append(expected, batch)
    }

    fn raise_epoch(&mut self) -> Result<u32, LedgerError> {
        self.section.raise_epoch()
    }
}

impl Ledger for Watched {
    fn head(&self) -> Result<Head, LedgerError> {
        self.ledger.head()
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
        self.ledger.read(after, limit)
    }

    fn enter(&self) -> Result<Box<dyn Section + '_>, LedgerError> {
        let first = lock(&self.first).pop();
        if let Some(first) = first {
            first();
        }
        let before = tally::so_far();
        self.outside.store(before, SeqCst);
        Ok(Box::new(WatchedSection {
            section: self.ledger.enter()?,
            inside: &self.inside,
            before,
        }))
    }

    fn sync(&self) -> Result<(), LedgerError> {
        self.ledger.sync()
    }

    fn epoch(&self) -> Result<u32, LedgerError> {
        self.ledger.epoch()
    }

    fn verify(&self, verifier: &mut dyn RecordVerifier) -> Result<Head, LedgerError> {
        self.ledger.verify(verifier)
    }
}

#[derive(lease_macros::LeaseEvent)]
#[event(namespace = "note", crate = crate)]
enum Note {
    #[event(kind = "made", tag = 1)]
    Made(#[event(tag = 1)] u64),
}

/// A registrar on a watched ledger, and one with another key that it trusts.
fn two() -> (Arc<Watched>, Registrar, Registrar) {
    let watched = Arc::new(Watched::default());
    let registrar = Registrar::builder().on(watched.clone()).unwrap();
    let signer = Signer::generate();
    registrar.trust_key(signer.public_key()).wait().unwrap();
    let other = Registrar::builder()
        .signer(signer)
        .on(watched.ledger.clone())
        .unwrap();
    (watched, registrar, other)
}

#[test]
fn nothing_is_signed_or_verified_inside_the_section() {
    let (watched, registrar, other) = two();
    let lease = registrar.issue("mine", TTL).wait().unwrap();
    for round in 0..3 {
        let other = other.clone();
        // After the writer has caught up outside, and before it is inside.
        lock(&watched.first).push(Box::new(move || {
            other.issue(format!("theirs/{round}"), TTL).wait().unwrap();
        }));
        registrar.issue(format!("mine/{round}"), TTL).wait().unwrap();
        registrar.record(&Note::Made(round)).wait().unwrap();
    }
    registrar.renew(lease.lease_id.as_str(), 2 * TTL).wait().unwrap();
    registrar.revoke(lease.lease_id, "enough").wait().unwrap();
    let theirs = registrar.query(|state| state.get_active_lease_for_work("theirs/2").is_some());
    assert!(theirs.unwrap());
    assert_eq!(watched.inside.load(SeqCst), 0);
    // Six were signed and three verified, all by the thread that went in: it would have been seen.
    assert!(watched.outside.load(SeqCst) >= 9);
}

#[test]
fn whoever_writes_without_a_pause_keeps_nobody_out() {
    let (watched, registrar, other) = two();
    for round in 0..20 {
        let other = other.clone();
        lock(&watched.first).push(Box::new(move || {
            other.issue(format!("theirs/{round}"), TTL).wait().unwrap();
        }));
    }
    registrar.issue("mine", TTL).wait().unwrap();
    assert!(
        !lock(&watched.first).is_empty(),
        "it was let in before they had done"
    );
}
