//! What is decided and appended behind records that are not verified yet.

use super::*;
use crate::sync::thread;
use crate::work::clock::Clock as _;
use crate::work::registrar::Lease;
use crate::work::registrar::reply::Callback;

#[test]
fn nothing_overtakes_what_is_put_off() {
    let (watched, registrar, other) = two();
    // Let in by the second stay in the section; the first one keeps it until all is asked.
    watched.let_a_forger_in_first(forged_issue(&other, "work", 0));
    // 1: the writer is on its way in; 2: it may go on.
    let stage = Arc::new(AtomicU64::new(0));
    let until = |stage: &AtomicU64, reached| {
        while stage.load(SeqCst) < reached {
            thread::yield_now();
        }
    };
    let seen = Arc::clone(&stage);
    watched.let_in_first(move || {
        seen.store(1, SeqCst);
        until(&seen, 2);
    });
    let before = registrar.record(&Note::Made(1));
    until(&stage, 1);
    let issued = registrar.issue("work", TTL);
    let after = registrar.record(&Note::Made(2));
    stage.store(2, SeqCst);
    before.wait().unwrap();
    let issued = issued.wait().unwrap();
    let after = after.wait().unwrap();
    let records = watched.ledger.read(0, usize::MAX).unwrap();
    let record = |id: &str| {
        let is_it =
            |record: &&EventRecord| record.payload.windows(id.len()).any(|part| part == id.as_bytes());
        records.iter().find(is_it).unwrap().sequence
    };
    assert!(record(&issued.lease_id) < after);
    assert_all_agree(&watched, &registrar, 1);
}

#[test]
fn ticks_do_not_fall_behind_what_is_not_verified_yet() {
    let watched = Arc::new(Watched::default());
    let signer = Signer::generate();
    let clock = ManualClock::new();
    let ahead = ManualClock::with_id(clock.tick().clock);
    ahead.advance(Duration::from_millis(9));
    let on = |ledger: Arc<dyn Ledger>, clock: &ManualClock| {
        let builder = Registrar::builder().signer(signer.clone());
        builder.clock(clock.clone()).on(ledger).unwrap()
    };
    let registrar = on(watched.clone(), &clock);
    let other = on(watched.ledger.clone(), &ahead);
    let ledger = Arc::clone(&watched.ledger);
    watched.let_in_first(move || {
        other.issue("elsewhere", TTL).wait().unwrap();
        // One that says no tick says nothing about the next.
        let plain = EventRecord::new("plain.note", "s", "me", []);
        ledger.append(&ledger.head().unwrap(), &[plain.into()]).unwrap();
    });
    registrar.issue("work", TTL).wait().unwrap();
    let records = watched.ledger.read(0, usize::MAX).unwrap();
    let ticks: Vec<_> = records
        .iter()
        .filter_map(|record| Some(record.tick.as_ref()?.value))
        .collect();
    assert!(ticks.is_sorted(), "{ticks:?}");
    assert!(ticks.len() > 2, "{ticks:?}");
}

#[test]
fn who_asked_for_what_the_rules_refuse_after_all_is_told_so() {
    let (watched, registrar, other) = two();
    let [held, kept] = ["held", "kept"].map(|work| registrar.issue(work, TTL).wait().unwrap());
    let release = |lease: &Lease| Release {
        lease_id: lease.lease_id.clone(),
        actor_id: lease.actor_id.clone(),
        reason: ReleaseReason::Completed,
    };
    let signed = |release: Release| Signed {
        queued: Queued::new(
            Request::Release(release.clone()),
            false,
            Box::new(Callback(|_| ())),
        ),
        command: Command::Release(release),
        signings: 1,
        signer: registrar.core().signer().public_key(),
    };
    forge(&watched.ledger, &forged_issue(&other, "elsewhere", 0));
    let (core, mut fate, holders) = (registrar.core(), Fate::default(), Holders::default());
    let mut projection = lock(&core.projection);
    let section = watched.ledger.enter().unwrap();
    let all = vec![signed(release(&held)), signed(release(&kept))];
    let unsettled = core.stay(section, &mut projection, all, &holders, &mut fate);
    assert!(fate.done.is_empty() && unsettled.len() == 2);
    // A ledger that had let another's record in between, which nobody was shown.
    let between = MemoryLedger::new();
    let change = LeaseChange::Released {
        lease_id: held.lease_id.clone(),
        release_reason: "ABORTED".to_owned(),
    };
    let record = EventRecord::new(change.event_type(), "s", held.actor_id.as_str(), change.encode());
    let before = projection.head().sequence;
    let so_far = watched.ledger.read(0, usize::try_from(before).unwrap()).unwrap();
    let keyed = so_far.into_iter().map(|record| {
        let issued = [&held, &kept].into_iter().find(|lease| {
            let id = lease.lease_id.as_bytes();
            record.payload.windows(id.len()).any(|part| part == id)
        });
        NewRecord {
            unique_key: issued.map(|lease| format!("lease/{}", lease.lease_id)),
            record,
        }
    });
    let batch: Vec<_> = keyed.chain([record.into()]).collect();
    between.append(&Head::default(), &batch).unwrap();
    projection.catch_up(&between, core.clock.tick()).unwrap();
    let (_, leases) = projection.settle(core.clock.tick());
    let mut leases = leases.into_iter();
    for appended in unsettled {
        appended.answer(&mut leases, &projection, &mut fate);
    }
    drop(projection);
    let answers: Vec<_> = fate.done.iter().map(|done| &done.answer).collect();
    let [Err(RegistrarError::Lease(refused)), Ok(done)] = answers[..] else {
        panic!("{answers:?}");
    };
    assert!(refused.to_string().contains(&held.lease_id), "{refused}");
    assert_eq!(done.leases[0].lease_id, kept.lease_id);
}
