//! What the writer does, and does not do, while it is inside the section.

mod unsettled;

use std::time::Duration;

use super::*;
use crate::sync::atomic::{AtomicU64, Ordering::SeqCst};
use crate::sync::{Arc, Mutex, thread};
use crate::work::clock::ManualClock;
use crate::work::event::EventRecord;
use crate::work::event::LeaseEvent as _;
use crate::work::ledger::{Head, Ledger, LedgerError, MemoryLedger, NewRecord, RecordVerifier, Section};
use crate::work::registrar::reply::Callback;
use crate::work::registrar::signer::tally;
use crate::work::registrar::{LeaseChange, LeaseReducerState, LeaseState, Registrar, Signer, Viewer};

const TTL: Duration = Duration::from_mins(1);

/// A ledger that counts the signatures which whoever is inside makes or verifies, and before which others may be let in.
#[derive(Default)]
struct Watched {
    ledger: Arc<MemoryLedger>,
    inside: AtomicU64,
    outside: AtomicU64,
    first: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    /// How often it was read, and how often somebody asked whether that is worth it.
    reads: AtomicU64,
    asked: AtomicU64,
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
        self.reads.fetch_add(1, SeqCst);
        self.ledger.read(after, limit)
    }

    fn version(&self) -> Result<Option<u64>, LedgerError> {
        self.asked.fetch_add(1, SeqCst);
        self.ledger.version()
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

impl Watched {
    /// Lets somebody in after the writer has caught up outside, and before it is inside: the next time, before all others
    /// that were to be let in.
    fn let_in_first(&self, first: impl FnOnce() + Send + 'static) {
        lock(&self.first).push(Box::new(first));
    }

    /// The same for somebody who has no key.
    fn let_a_forger_in_first(&self, change: LeaseChange) {
        let ledger = Arc::clone(&self.ledger);
        self.let_in_first(move || forge(&ledger, &change));
    }
}

/// Puts a record there that says to be of a registrar.
pub(in crate::work::registrar) fn forge(ledger: &MemoryLedger, change: &LeaseChange) {
    let last = ledger.read(ledger.head().unwrap().sequence - 1, 1).unwrap();
    let record = EventRecord::new(change.event_type(), "nowhere", "registrar", change.encode());
    let batch = [record.at(0, last[0].tick).into()];
    ledger.append(&ledger.head().unwrap(), &batch).unwrap();
}

/// In the name of a key, by somebody who does not have it.
fn forged_signature(named: &Registrar) -> Vec<u8> {
    let key = named.core().signer().public_key();
    [key.id().as_slice(), &[7; 64]].concat()
}

pub(in crate::work::registrar) fn forged_issue(
    named: &Registrar,
    work_id: &str,
    fencing_token: u64,
) -> LeaseChange {
    let now = named.clock().tick();
    LeaseChange::Issued {
        lease_id: format!("forged/{work_id}"),
        work_id: work_id.to_owned(),
        actor_id: "forger".to_owned(),
        issued_at: 1,
        expires_at: u64::MAX,
        registrar_signature: forged_signature(named),
        issued_at_tick: now.value,
        expires_at_tick: u64::MAX,
        tick_rate_hz: now.rate,
        fencing_token,
        closed_until_tick: 0,
    }
}

pub(in crate::work::registrar) fn forged_revocation(named: &Registrar, lease_id: &str) -> LeaseChange {
    LeaseChange::Revoked {
        lease_id: lease_id.to_owned(),
        reason: "forged".to_owned(),
        registrar_signature: forged_signature(named),
    }
}

/// Whoever has followed all along, and whoever reads it all anew, sees the same.
fn assert_all_agree(watched: &Watched, registrar: &Registrar, forged: u64) {
    let all = |state: &LeaseReducerState| {
        let mut leases: Vec<_> = state.leases().into_iter().cloned().collect();
        leases.sort_unstable_by(|one, other| one.lease_id.cmp(&other.lease_id));
        (leases, state.last_fencing_token())
    };
    let late = Viewer::on(watched.ledger.clone());
    assert_eq!(registrar.query(all).unwrap(), late.query(all).unwrap());
    assert_eq!(registrar.refused().unwrap(), forged);
    assert_eq!(watched.inside.load(SeqCst), 0);
}

#[test]
fn nothing_is_signed_or_verified_inside_the_section() {
    let (watched, registrar, other) = two();
    let lease = registrar.issue("mine", TTL).wait().unwrap();
    for round in 0..3 {
        let other = other.clone();
        watched.let_in_first(move || {
            other.issue(format!("theirs/{round}"), TTL).wait().unwrap();
        });
        registrar.issue(format!("mine/{round}"), TTL).wait().unwrap();
        registrar.record(&Note::Made(round)).wait().unwrap();
    }
    registrar.renew(lease.lease_id.as_str(), 2 * TTL).wait().unwrap();
    registrar.revoke(lease.lease_id, "enough").wait().unwrap();
    let theirs = registrar.query(|state| state.get_active_lease_for_work("theirs/2").is_some());
    assert!(theirs.unwrap());
    assert_all_agree(&watched, &registrar, 0);
    // Six were signed and three verified, all by the thread that went in: it would have been seen.
    assert!(watched.outside.load(SeqCst) >= 9);
}

#[test]
fn whoever_writes_without_a_pause_keeps_nobody_out() {
    let (watched, registrar, other) = two();
    for round in 0..20 {
        let other = other.clone();
        watched.let_in_first(move || {
            other.issue(format!("theirs/{round}"), TTL).wait().unwrap();
        });
    }
    registrar.issue("mine", TTL).wait().unwrap();
    assert_eq!(lock(&watched.first).len(), 19, "it was in once");
    assert_all_agree(&watched, &registrar, 0);
}

#[test]
fn whoever_was_faster_at_the_last_moment_has_it() {
    let (watched, registrar, other) = two();
    let fast = other.clone();
    watched.let_in_first(move || drop(fast.issue("same", TTL).wait().unwrap()));
    let late = registrar.issue("same", TTL).wait();
    assert!(matches!(late, Err(RegistrarError::Busy(_))), "{late:?}");

    let lease = registrar.issue("mine", TTL).wait().unwrap();
    let (revoker, lease_id) = (other.clone(), lease.lease_id.clone());
    watched.let_in_first(move || drop(revoker.revoke(lease_id, "enough").wait().unwrap()));
    assert!(registrar.renew(lease.lease_id, 2 * TTL).wait().is_err());
    assert_all_agree(&watched, &registrar, 0);
}

#[test]
fn a_forged_revocation_opens_no_work_item() {
    let (watched, registrar, other) = two();
    let (holder, ledger) = (other.clone(), Arc::clone(&watched.ledger));
    watched.let_in_first(move || {
        let held = holder.issue("work", TTL).wait().unwrap();
        forge(&ledger, &forged_revocation(&holder, &held.lease_id));
    });
    let taken = registrar.issue("work", TTL).wait();
    assert!(matches!(taken, Err(RegistrarError::Busy(_))), "{taken:?}");
    let head = watched.ledger.read(0, usize::MAX).unwrap();
    let last = &head.last().unwrap().event_type;
    assert_eq!(last, "lease.revoked", "nothing was appended for it");
    assert_all_agree(&watched, &registrar, 1);
}

#[test]
fn a_forged_revocation_takes_nothing_from_the_holder() {
    let (watched, registrar, other) = two();
    let own = registrar.issue("own", TTL).wait().unwrap();
    watched.let_a_forger_in_first(forged_revocation(&other, &own.lease_id));
    let renewed = registrar.renew(own.lease_id.as_str(), 2 * TTL).wait().unwrap();
    assert_eq!(renewed.renewal_count, 1);
    watched.let_a_forger_in_first(forged_revocation(&other, &own.lease_id));
    let released = registrar
        .release(own.lease_id, ReleaseReason::Completed)
        .wait()
        .unwrap();
    assert_eq!(released.state, LeaseState::Released);
    assert_all_agree(&watched, &registrar, 2);
}

#[test]
fn a_forged_issue_keeps_nobody_from_the_work_item() {
    let (watched, registrar, other) = two();
    watched.let_a_forger_in_first(forged_issue(&other, "work", 0));
    let issued = registrar.issue("work", TTL).wait().unwrap();
    assert!(registrar.query(|state| state.has_active_lease("work")).unwrap());
    assert_eq!(issued.work_id, "work");
    assert_all_agree(&watched, &registrar, 1);
}

#[test]
fn a_forged_token_uses_none_up() {
    let (watched, registrar, other) = two();
    let last = registrar.issue("first", TTL).wait().unwrap().fencing_token;
    watched.let_a_forger_in_first(forged_issue(&other, "theirs", i64::MAX.cast_unsigned()));
    let next = registrar.issue("mine", TTL).wait().unwrap().fencing_token;
    assert_eq!(next, last + 1, "it was looked at first");
    // In the same epoch it may cost some.
    watched.let_a_forger_in_first(forged_issue(&other, "theirs too", last + 100));
    let next = registrar.issue("mine too", TTL).wait().unwrap().fencing_token;
    assert_eq!(next, last + 101);
    assert_all_agree(&watched, &registrar, 2);
}

#[test]
fn what_is_asked_at_once_is_done_in_that_order_behind_what_is_not_verified_yet() {
    let (watched, registrar, other) = two();
    let held = registrar.issue("work", TTL).wait().unwrap();
    watched.let_a_forger_in_first(forged_issue(&other, "elsewhere", 0));
    let first = registrar.record(&Note::Made(1));
    let released = registrar.release(held.lease_id.as_str(), ReleaseReason::Completed);
    let again = registrar.issue("work", TTL);
    let last = registrar.record(&Note::Made(2));
    let sequences = [first.wait().unwrap(), last.wait().unwrap()];
    released.wait().unwrap();
    assert!(again.wait().unwrap().fencing_token > held.fencing_token);
    assert!(sequences.is_sorted());
    assert_all_agree(&watched, &registrar, 1);
}

#[test]
fn a_lease_that_was_renewed_at_the_last_moment_is_not_expired() {
    let clock = ManualClock::new();
    let watched = Arc::new(Watched::default());
    let signer = Signer::generate();
    let on = |ledger: Arc<dyn Ledger>| {
        let builder = Registrar::builder().signer(signer.clone());
        builder.clock(clock.clone()).on(ledger).unwrap()
    };
    let (registrar, other) = (on(watched.clone()), on(watched.ledger.clone()));
    let (kept, lost) = (
        other.issue("kept", TTL).wait().unwrap(),
        other.issue("lost", TTL).wait().unwrap(),
    );
    let almost = TTL.checked_sub(Duration::from_nanos(1)).unwrap();
    clock.advance(almost);
    let renewer = (other.clone(), kept.lease_id.clone(), clock.clone());
    watched.let_in_first(move || {
        let (other, lease_id, clock) = renewer;
        other.renew(lease_id, TTL).wait().unwrap();
        clock.advance(Duration::from_nanos(1));
    });
    let expired = registrar.expire_due().wait().unwrap();
    let ids: Vec<_> = expired.iter().map(|lease| &lease.lease_id).collect();
    assert_eq!(ids, [&lost.lease_id]);
    assert_all_agree(&watched, &registrar, 0);
}

#[test]
fn a_key_that_was_retired_at_the_last_moment_signs_nothing_more() {
    let (watched, registrar, other) = two();
    let key = registrar.core().signer().public_key();
    watched.let_in_first(move || other.retire_key(key).wait().unwrap());
    let issued = registrar.issue("work", TTL).wait();
    assert!(issued.is_err(), "{issued:?}");
    assert!(!registrar.query(|state| state.has_active_lease("work")).unwrap());
    assert_all_agree(&watched, &registrar, 0);
}

#[test]
fn whoever_waits_reads_only_what_was_appended() {
    let (watched, registrar, other) = two();
    let held = other.issue("work", TTL).wait().unwrap();
    let waiting = registrar.claim_timeout("work", TTL, TTL);
    let watch = |times| {
        let until = watched.asked.load(SeqCst) + times;
        while watched.asked.load(SeqCst) < until {
            crate::sync::thread::yield_now();
        }
    };
    watch(3);
    let reads = watched.reads.load(SeqCst);
    watch(10);
    assert_eq!(watched.reads.load(SeqCst), reads);
    other
        .release(held.lease_id, ReleaseReason::Completed)
        .wait()
        .unwrap();
    drop(waiting.wait().unwrap());
    assert!(watched.reads.load(SeqCst) > reads);
}

#[test]
fn whoever_writes_all_the_time_reads_only_inside() {
    let (watched, registrar, _) = two();
    let reads = watched.reads.load(SeqCst);
    for round in 0..100 {
        let lease = registrar.issue(format!("work/{round}"), TTL).wait().unwrap();
        registrar
            .release(lease.lease_id, ReleaseReason::Completed)
            .wait()
            .unwrap();
    }
    // Unless somebody was stopped each time for so long that the ledger's end may have been far.
    assert!(watched.reads.load(SeqCst) - reads < 200);
}

#[test]
fn what_an_old_view_says_refuses_nobody() {
    let (watched, registrar, other) = two();
    for round in 0..20 {
        let held = other.issue("work", TTL).wait().unwrap();
        let mine = registrar.issue(format!("mine/{round}"), TTL).wait().unwrap();
        other
            .release(held.lease_id, ReleaseReason::Completed)
            .wait()
            .unwrap();
        let done = watched.outside.load(SeqCst);
        let taken = registrar.issue("work", TTL).wait().unwrap();
        assert!(
            watched.outside.load(SeqCst) - done < 10,
            "it looked again at once"
        );
        for lease_id in [mine.lease_id, taken.lease_id] {
            other.revoke(lease_id, "enough").wait().unwrap();
        }
    }
    assert_all_agree(&watched, &registrar, 0);
}

#[test]
fn what_is_put_off_is_not_overtaken() {
    let (watched, registrar, other) = two();
    let held = registrar.issue("work", TTL).wait().unwrap();
    let both_are_queued = Arc::new(AtomicU64::new(0));
    watched.let_a_forger_in_first(forged_revocation(&other, &held.lease_id));
    let seen = Arc::clone(&both_are_queued);
    watched.let_in_first(move || {
        while seen.load(SeqCst) == 0 {
            crate::sync::thread::yield_now();
        }
    });
    let first = registrar.record(&Note::Made(1));
    // The forger is still to come: the writer is on its way in with the first.
    while lock(&watched.first).len() > 1 {
        crate::sync::thread::yield_now();
    }
    let released = registrar.release(held.lease_id.as_str(), ReleaseReason::Completed);
    let again = registrar.issue("work", TTL);
    both_are_queued.store(1, SeqCst);
    first.wait().unwrap();
    let again = again.wait();
    assert!(again.is_ok(), "it was asked for behind the release: {again:?}");
    released.wait().unwrap();
    assert_all_agree(&watched, &registrar, 1);
}

#[test]
fn a_record_from_the_future_moves_no_clock() {
    let (watched, registrar, other) = two();
    let held = other.issue("work", TTL).wait().unwrap();
    let now = registrar.clock().tick();
    let later = now.saturating_add(Duration::from_hours(1));
    let note = EventRecord::new("note.made", "s", "me", Note::Made(1).encode());
    let forged = forged_issue(&other, "elsewhere", 0);
    let forged = EventRecord::new("lease.issued", "nowhere", "registrar", forged.encode());
    for record in [note, forged] {
        let record = record.at(0, Some(later));
        // Before anybody looks, and when somebody is on his way in.
        for is_late in [false, true] {
            let (ledger, record) = (Arc::clone(&watched.ledger), record.clone());
            let put = move || {
                ledger.append(&ledger.head().unwrap(), &[record.into()]).unwrap();
            };
            if is_late {
                watched.let_in_first(put);
            } else {
                put();
            }
            let taken = registrar.issue("work", TTL).wait();
            assert!(matches!(taken, Err(RegistrarError::Busy(_))), "{taken:?}");
            assert!(registrar.expire_due().wait().unwrap().is_empty());
            let mine = registrar.issue("mine", TTL).wait().unwrap();
            assert!(!mine.issued_at_tick.unwrap().has_reached(&later));
            registrar.revoke(mine.lease_id, "enough").wait().unwrap();
        }
    }
    assert!(
        registrar
            .query(|state| state.get(&held.lease_id).unwrap().state == LeaseState::Active)
            .unwrap()
    );
    assert_all_agree(&watched, &registrar, 2);
}

#[test]
fn the_queue_is_not_over_while_something_is_in_it() {
    let registrar = Registrar::in_memory().unwrap();
    let core = registrar.core();
    while !lock(&core.queue).is_idle {
        thread::yield_now();
    }
    // Put there without a word, so that the writer goes on sleeping.
    let queued = Queued::new(Request::ExpireDue, false, Box::new(Callback(drop)));
    lock(&core.queue).commands.push_back(queued);
    assert!(!core.take_no_more());
    lock(&core.queue).commands.clear();
    assert!(core.take_no_more() && lock(&core.queue).is_over);
}
