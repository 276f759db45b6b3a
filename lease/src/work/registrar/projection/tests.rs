//! What a view takes of a ledger, and what it does not. Verifying many signatures at once changes nothing but the time it
//! takes.

use std::time::Duration;

use super::proofs::Proofs;
use super::*;
use crate::work::event::{EventRecord, LeaseEvent as _};
use crate::work::ledger::{Fault, Ledger as _, MemoryLedger, NewRecord};
use crate::work::registrar::signer::tally;
use crate::work::registrar::writer::tests::{forge, forged_issue, forged_revocation};
use crate::work::registrar::{Lease, Registrar, ReleaseReason, Signer, signing};
use crate::work::tick::ClockId;

const TTL: Duration = Duration::from_mins(1);

const NOW: Tick = Tick::new(1, 1_000_000_000, ClockId([1; 16]));

fn on(ledger: &Arc<MemoryLedger>, signer: &Signer) -> Registrar {
    let builder = Registrar::builder().signer(signer.clone());
    builder.on(ledger.clone()).unwrap()
}

fn issued(registrar: &Registrar, name: &str, count: usize) -> Vec<Lease> {
    let issues: Vec<_> = (0..count)
        .map(|number| registrar.issue(format!("{name}/{number}"), TTL))
        .collect();
    issues.into_iter().map(|issue| issue.wait().unwrap()).collect()
}

fn at_once(ledger: &MemoryLedger) -> Projection {
    let mut view = Projection::new(1, FOR_EVER);
    view.catch_up(ledger, NOW).unwrap();
    view
}

fn one_by_one(ledger: &MemoryLedger) -> Projection {
    let mut view = Projection::new(1, FOR_EVER);
    for record in ledger.read(0, usize::MAX).unwrap() {
        view.apply(&record, &Proofs::default(), NOW);
    }
    view
}

/// The sequences of the records that were passed over, by whoever reads the ledger, however he does it.
fn refused(ledger: &MemoryLedger) -> Vec<u64> {
    let [at_once, one_by_one] = [at_once(ledger), one_by_one(ledger)].map(|view| {
        let refused: Vec<_> = view.refusals().last().map(|refusal| refusal.sequence).collect();
        (view.head(), view.keys().all(), view.snapshot(), refused)
    });
    assert_eq!(at_once.0, one_by_one.0);
    assert_eq!(at_once.1, one_by_one.1);
    assert_eq!(at_once.2.state(), one_by_one.2.state());
    assert_eq!(at_once.3, one_by_one.3);
    at_once.3
}

#[test]
fn many_signatures_are_verified_at_once() {
    let ledger = Arc::new(MemoryLedger::new());
    issued(&on(&ledger, &Signer::generate()), "work", 300);
    let before = tally::so_far();
    let view = at_once(&ledger);
    assert!(tally::so_far() - before < 10);
    assert_eq!(view.state().len(), 300);
    assert_eq!(refused(&ledger), []);
}

#[test]
fn what_hangs_on_the_record_before_it_is_verified_as_it_stands_there() {
    let ledger = Arc::new(MemoryLedger::new());
    let registrar = on(&ledger, &Signer::generate());
    let leases = issued(&registrar, "work", 20);
    for times in 2..6 {
        for lease in &leases[..times as usize] {
            registrar
                .renew(lease.lease_id.as_str(), times * TTL)
                .wait()
                .unwrap();
        }
    }
    registrar
        .revoke(leases[0].lease_id.as_str(), "enough")
        .wait()
        .unwrap();
    let before = tally::so_far();
    let view = at_once(&ledger);
    assert!(tally::so_far() - before < 10);
    assert_eq!(view.state().get(&leases[1].lease_id).unwrap().renewal_count, 4);
    assert_eq!(refused(&ledger), []);
}

#[test]
fn a_key_signs_from_the_record_that_adds_it_to_the_one_that_retires_it() {
    let ledger = Arc::new(MemoryLedger::new());
    let signer = Signer::generate();
    let registrar = on(&ledger, &Signer::generate());
    issued(&registrar, "before", 3);
    registrar.trust_key(signer.public_key()).wait().unwrap();
    let other = on(&ledger, &signer);
    issued(&other, "between", 3);
    let between = ledger.read(ledger.head().unwrap().sequence - 1, 1).unwrap();
    registrar.retire_key(signer.public_key()).wait().unwrap();
    issued(&registrar, "after", 3);
    assert_eq!(refused(&ledger), []);
    // What it signed then is not what it signs now.
    let mut again = between[0].clone();
    again.session_id = "elsewhere".into();
    let head = ledger.append(&ledger.head().unwrap(), &[again.into()]).unwrap();
    assert_eq!(refused(&ledger), [head.sequence]);
}

#[test]
fn one_that_is_forged_among_many_is_passed_over_alone() {
    let ledger = Arc::new(MemoryLedger::new());
    let registrar = on(&ledger, &Signer::generate());
    let leases = issued(&registrar, "work", 5);
    let mut forged = Vec::new();
    for change in [
        forged_issue(&registrar, "forged", 0),
        forged_revocation(&registrar, &leases[0].lease_id),
    ] {
        forge(&ledger, &change);
        forged.push(ledger.head().unwrap().sequence);
        issued(&registrar, &change.event_type(), 5);
    }
    assert_eq!(refused(&ledger), forged);
    assert_eq!(at_once(&ledger).state().active_count(), 15);
}

#[test]
fn a_signature_proves_only_what_it_was_made_for() {
    let ledger = Arc::new(MemoryLedger::new());
    let registrar = on(&ledger, &Signer::generate());
    issued(&registrar, "work", 3);
    let records = ledger.read(ledger.head().unwrap().sequence - 3, 3).unwrap();
    // Every signature of the batch is genuine, but this one was made for another work item.
    let mut change = LeaseChange::from_record(&records[0]).unwrap().unwrap();
    if let LeaseChange::Issued {
        lease_id, work_id, ..
    } = &mut change
    {
        *lease_id = "another".to_owned();
        *work_id = "another".to_owned();
    }
    forge(&ledger, &change);
    assert_eq!(refused(&ledger), [ledger.head().unwrap().sequence]);
}

#[test]
fn what_was_proven_of_one_record_says_nothing_of_another() {
    let ledger = Arc::new(MemoryLedger::new());
    let registrar = on(&ledger, &Signer::generate());
    let before = at_once(&ledger);
    issued(&registrar, "work", 2);
    let records = ledger.read(before.head().sequence, 2).unwrap();
    let statements = records.iter().map(|record| {
        let change = LeaseChange::from_record(record).unwrap().unwrap();
        let (message, signature) = signing::signed_part(&change, record, None).unwrap();
        before.keys().statement(message, signature).unwrap()
    });
    let statements: Vec<_> = statements.collect();
    let (proofs, count) = before.prove(records.iter().map(|record| (record, false)));
    assert_eq!(count, 2);
    for (record, own) in records.iter().zip(0..) {
        for (number, statement) in statements.iter().enumerate() {
            assert_eq!(proofs.cover(record.sequence, statement), number == own);
        }
    }
}

#[test]
fn what_the_rules_refuse_of_our_own_is_told_by_its_place() {
    let ledger = Arc::new(MemoryLedger::new());
    let registrar = on(&ledger, &Signer::generate());
    let held = issued(&registrar, "work", 1).remove(0);
    let mut view = at_once(&ledger);
    // Behind what has to be verified, so that it shows only afterwards.
    forge(&ledger, &forged_issue(&registrar, "elsewhere", 0));
    let mut section = ledger.enter().unwrap();
    view.read_end(&mut *section, NOW, &mut Vec::new()).unwrap();
    let release = |lease_id: &str| {
        let change = LeaseChange::Released {
            lease_id: lease_id.to_owned(),
            release_reason: "COMPLETED".to_owned(),
        };
        NewRecord::from(EventRecord::new(
            change.event_type(),
            "s",
            held.actor_id.as_str(),
            change.encode(),
        ))
    };
    let batch = vec![release("nobody's"), release(&held.lease_id)];
    let end = section.append(&view.end(), &batch).unwrap();
    assert!(view.take_own(batch, end, NOW).is_none());
    drop(section);
    let (ended, own) = view.settle(NOW);
    assert!(ended.is_empty(), "what others have ended");
    let own: Vec<_> = own
        .into_iter()
        .map(|lease| lease.map(|lease| lease.lease_id))
        .collect();
    assert_eq!(own, [None, Some(held.lease_id)]);
    let refused = end.sequence - 1;
    let refusal = view.refusal_of(refused..=refused);
    assert!(
        matches!(refusal, Some(LeaseError::LeaseNotFound { .. })),
        "{refusal:?}"
    );
    assert_eq!(view.refusal_of(end.sequence..=end.sequence), None);
    assert_eq!(view.refusal_of(refused..=end.sequence), refusal);
    assert_eq!(view.head(), end);
}

#[test]
fn whoever_looks_at_the_state_is_not_waited_for_in_the_section() {
    let ledger = Arc::new(MemoryLedger::new());
    let registrar = on(&ledger, &Signer::generate());
    let lease = issued(&registrar, "work", 1).remove(0);
    let mut view = at_once(&ledger);
    let head = view.head();
    registrar
        .release(lease.lease_id.as_str(), ReleaseReason::Completed)
        .wait()
        .unwrap();
    let looked_at = view.snapshot();
    {
        let mut section = ledger.enter().unwrap();
        let mut ended = Vec::new();
        view.read_end(&mut *section, NOW, &mut ended).unwrap();
        assert_eq!((ended.len(), view.head()), (0, head), "it is taken note of");
        let note = NewRecord::from(EventRecord::new("note.made", "s", "me", ""));
        let end = section.append(&view.end(), std::slice::from_ref(&note)).unwrap();
        assert_eq!(view.take_own(vec![note], end, NOW), None);
    }
    assert!(looked_at.state().has_active_lease("work/0"));
    drop(looked_at);
    let (ended, own) = view.settle(NOW);
    assert_eq!((ended, own), (vec![lease.lease_id], vec![None]));
    assert_eq!(view.head(), ledger.head().unwrap());
}

/// A ledger that one record was taken out of.
struct Gap<'a>(&'a MemoryLedger, u64);

impl Gap<'_> {
    fn without(&self, records: Vec<EventRecord>) -> Vec<EventRecord> {
        records
            .into_iter()
            .filter(|record| record.sequence != self.1)
            .collect()
    }
}

impl Section for Gap<'_> {
    fn read(&mut self, after: u64, limit: usize) -> Result<Vec<EventRecord>, LedgerError> {
        Ok(self.without(self.0.read(after, limit)?))
    }

    fn append(&mut self, expected: &Head, batch: &[NewRecord]) -> Result<Head, LedgerError> {
        self.0.append(expected, batch)
    }

    fn raise_epoch(&mut self) -> Result<u32, LedgerError> {
        self.0.enter()?.raise_epoch()
    }
}

/// At which record reading ended, and why.
fn fault<T: std::fmt::Debug>(read: Result<T, LedgerError>) -> (u64, Fault) {
    match read {
        Err(LedgerError::BadRecord { sequence, fault }) => (sequence, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_that_is_missing_is_noticed_where_it_was() {
    let ledger = Arc::new(MemoryLedger::new());
    issued(&on(&ledger, &Signer::generate()), "work", 4);
    for missing in 1..=4 {
        let mut view = Projection::new(1, FOR_EVER);
        let read = view.read_end(&mut Gap(&ledger, missing), NOW, &mut Vec::new());
        assert_eq!(fault(read), (missing, Fault::Missing { next: missing + 1 }));
    }
    let elsewhere = Arc::new(MemoryLedger::new());
    issued(&on(&elsewhere, &Signer::generate()), "work", 5);
    let mut view = at_once(&ledger);
    let bad = (view.head().sequence + 1, Fault::Unlinked);
    assert_eq!(fault(view.catch_up(&*elsewhere, NOW)), bad);
    assert_eq!(fault(view.read_page(&*elsewhere, NOW)), bad);
    assert_eq!(view.head(), ledger.head().unwrap(), "nothing of it was taken");
}

#[test]
fn a_checkpoint_makes_nobody_trust_a_key() {
    let ledger = Arc::new(MemoryLedger::new());
    let (owner, thief) = (Signer::generate(), Signer::generate());
    let registrar = on(&ledger, &owner);
    issued(&registrar, "work", 1);
    registrar.close().wait().unwrap();
    // He can write wherever the ledger lies, but has no key that it trusts.
    let honest = at_once(&ledger);
    let parts = Parts {
        reducer: (*honest.snapshot()).clone(),
        keys: KeyRing::of(vec![owner.public_key(), thief.public_key()], vec![]),
        ledger_id: honest.ledger_id(),
        last_tick: honest.last_tick(),
        rules: honest.rules(),
        retention: FOR_EVER,
        refused: 0,
    };
    let forged = Projection::from_parts(1, honest.head(), parts, NOW);
    forged.seal(&thief).save(&*ledger).unwrap();
    issued(&on(&ledger, &thief), "stolen", 1);
    let again = on(&ledger, &owner);
    assert!(again.query(|state| state.has_active_lease("work/0")).unwrap());
    assert!(!again.query(|state| state.has_active_lease("stolen/0")).unwrap());
    assert_eq!(again.refused().unwrap(), 1);
    assert!(again.verify().is_err());
}
