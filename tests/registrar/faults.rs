//! What happens when the ledger does not do what it should.

use std::sync::Arc;

use lease::ledger::{Ledger as _, LedgerError, NewRecord};
use lease::{ClaimError, Durability, EventRecord, LeaseError, Registrar, RegistrarError, ReleaseReason};
use lease_tests::faulty::FaultyLedger;
use lease_tests::patience::eventually;

use crate::setup::{TTL, refusal};

fn on_faulty() -> (Registrar, FaultyLedger) {
    let ledger = FaultyLedger::default();
    let registrar = Registrar::builder().on(Arc::new(ledger.clone())).unwrap();
    (registrar, ledger)
}

#[test]
fn what_was_not_appended_did_not_happen() {
    let (registrar, ledger) = on_faulty();
    let lease = registrar.issue("held", TTL).wait().unwrap();
    let before = registrar.query(Clone::clone).unwrap();

    ledger.fail_appends(true);
    assert!(matches!(
        registrar.issue("work", TTL).wait(),
        Err(RegistrarError::Ledger(_))
    ));
    assert!(registrar.renew(&lease.lease_id, TTL * 2).wait().is_err());
    assert!(
        registrar
            .release(&lease.lease_id, ReleaseReason::Completed)
            .wait()
            .is_err()
    );
    assert!(registrar.revoke(&lease.lease_id, "no").wait().is_err());
    assert_eq!(registrar.query(Clone::clone).unwrap(), before);

    ledger.fail_appends(false);
    registrar.issue("work", TTL).wait().unwrap();
    registrar
        .release(&lease.lease_id, ReleaseReason::Completed)
        .wait()
        .unwrap();
    registrar.verify().unwrap();
}

#[test]
fn a_failed_sync_leaves_the_outcome_unknown() {
    let (registrar, ledger) = on_faulty();
    let lease = registrar.issue("held", TTL).wait().unwrap();
    ledger.fail_syncs(true);
    let refused = registrar.issue("work", TTL).wait();
    assert!(
        matches!(refused, Err(RegistrarError::OutcomeUnknown(_))),
        "{refused:?}"
    );
    // A renewal is not called durable, so it has nothing to wait for.
    registrar.renew(&lease.lease_id, TTL * 2).wait().unwrap();
}

#[test]
fn a_head_that_moved_is_read_again() {
    let (registrar, ledger) = on_faulty();
    ledger.move_head(1);
    registrar.issue("work", TTL).wait().unwrap();
    ledger.move_head(1_000);
    let refused = registrar.issue("other", TTL).wait();
    assert!(
        matches!(&refused, Err(RegistrarError::Ledger(error)) if matches!(**error, LedgerError::HeadMoved { .. })),
        "{refused:?}"
    );
}

#[test]
fn commands_that_pile_up_are_appended_together() {
    let (registrar, ledger) = on_faulty();
    let hanging = ledger.hang();
    let first = registrar.issue("first", TTL);
    let waiting: Vec<_> = (0..50)
        .map(|number| registrar.issue(format!("work-{number}"), TTL))
        .collect();
    let before = ledger.appends();
    drop(hanging);
    first.wait().unwrap();
    for issued in waiting {
        issued.wait().unwrap();
    }
    assert!(
        ledger.appends() - before <= 3,
        "{} appends",
        ledger.appends() - before
    );
}

#[test]
fn one_bad_command_of_a_batch_spoils_no_other() {
    let (registrar, ledger) = on_faulty();
    registrar
        .claim("used", TTL)
        .lease_id("used")
        .acquire()
        .wait()
        .unwrap()
        .release(ReleaseReason::Completed)
        .wait()
        .unwrap();
    let hanging = ledger.hang();
    let stuck = registrar.issue("stuck", TTL);
    let good = registrar.issue("good", TTL);
    let missing = registrar.renew("no such lease", TTL);
    let used = registrar.claim("other", TTL).lease_id("used").acquire();
    let also_good = registrar.issue("also good", TTL);
    drop(hanging);
    stuck.wait().unwrap();
    good.wait().unwrap();
    also_good.wait().unwrap();
    assert!(matches!(
        refusal(missing.wait()),
        LeaseError::LeaseNotFound { .. }
    ));
    assert!(used.wait().is_err());
}

#[test]
fn a_lease_id_that_only_the_ledger_remembers_is_refused_alone() {
    let (registrar, ledger) = on_faulty();
    // As after pruning: the state knows nothing of the id, the ledger does.
    let note = EventRecord::new("note.made", "s", "me", "hello");
    let used = NewRecord::from(note).with_key("lease/used");
    ledger.append(&ledger.head().unwrap(), &[used]).unwrap();

    let hanging = ledger.hang();
    let stuck = registrar.issue("stuck", TTL);
    let good = registrar.issue("good", TTL);
    let used = registrar.claim("other", TTL).lease_id("used").acquire();
    let also_good = registrar.issue("also good", TTL);
    drop(hanging);
    stuck.wait().unwrap();
    good.wait().unwrap();
    also_good.wait().unwrap();
    let Err(ClaimError::Registrar(error)) = used.wait() else {
        panic!("a lease id was used twice");
    };
    let refused = refusal::<()>(Err(error));
    assert!(
        matches!(refused, LeaseError::LeaseAlreadyExists { .. }),
        "{refused:?}"
    );
    registrar.verify().unwrap();
}

#[test]
fn a_record_that_the_ledger_refuses_is_refused_alone() {
    #[derive(lease::LeaseEvent)]
    #[event(namespace = "note")]
    enum Note {
        #[event(kind = "made", tag = 1)]
        Made {},
    }
    let (registrar, ledger) = on_faulty();
    let endless = registrar.with_actor("x".repeat(5_000));
    let hanging = ledger.hang();
    let stuck = registrar.issue("stuck", TTL);
    let recorded = registrar.record(&Note::Made {});
    let refused = endless.record(&Note::Made {});
    let good = registrar.issue("good", TTL);
    drop(hanging);
    stuck.wait().unwrap();
    recorded.wait().unwrap();
    good.wait().unwrap();
    let refused = refused.wait();
    assert!(matches!(refused, Err(RegistrarError::Ledger(_))), "{refused:?}");
}

#[test]
fn expiring_what_is_due_sees_what_was_queued_before_it() {
    let clock = lease::ManualClock::new();
    let ledger = FaultyLedger::default();
    let registrar = Registrar::builder()
        .clock(clock.clone())
        .on(Arc::new(ledger.clone()))
        .unwrap();
    let lease = registrar.issue("work", TTL).wait().unwrap();
    let hanging = ledger.hang();
    let stuck = registrar.issue("stuck", TTL);
    std::thread::sleep(std::time::Duration::from_millis(50));
    clock.advance(TTL);
    let released = registrar.release(&lease.lease_id, ReleaseReason::Completed);
    let due = registrar.expire_due();
    drop(hanging);
    // It was signed for an end that has come meanwhile, and is signed anew.
    stuck.wait().unwrap();
    released.wait().unwrap();
    assert_eq!(due.wait().unwrap(), []);
    let replayed = lease::replay(lease::LeaseReducer::new(), ledger.records());
    assert_eq!(replayed.refused(), 0);
}

#[test]
fn two_issues_of_one_batch_do_not_both_get_the_work_item() {
    let (registrar, ledger) = on_faulty();
    let hanging = ledger.hang();
    let stuck = registrar.issue("stuck", TTL);
    let all: Vec<_> = (0..10).map(|_| registrar.issue("work", TTL)).collect();
    drop(hanging);
    stuck.wait().unwrap();
    let obtained = all.into_iter().filter_map(|issued| issued.wait().ok()).count();
    assert_eq!(obtained, 1);
    let replayed = lease::replay(lease::LeaseReducer::new(), ledger.records());
    assert_eq!(replayed.refused(), 0);
}

#[test]
fn a_command_that_is_dropped_while_it_is_queued_is_withdrawn() {
    let (registrar, ledger) = on_faulty();
    let hanging = ledger.hang();
    let stuck = registrar.issue("stuck", TTL);
    // The writer is inside with the first one when these come and go.
    eventually("the writer to be stuck", || {
        format!("{stuck:?}") == "Completion(pending)"
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    for number in 0..10 {
        drop(registrar.issue(format!("work-{number}"), TTL));
    }
    drop(hanging);
    stuck.wait().unwrap();
    registrar.close().wait().unwrap();
    let issued = ledger
        .records()
        .iter()
        .filter(|record| record.event_type == "lease.issued")
        .count();
    assert_eq!(issued, 1);
}

#[test]
fn close_waits_for_what_is_queued() {
    let (registrar, ledger) = on_faulty();
    let claim = registrar.try_claim("work", TTL).wait().unwrap();
    let hanging = ledger.hang();
    let begun = std::time::Instant::now();
    drop(claim);
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(5),
        "a drop waited for the ledger"
    );
    let closing = registrar.close();
    drop(hanging);
    closing.wait().unwrap();
    let last = ledger.records().pop().unwrap();
    assert_eq!(last.event_type, "lease.released");
}

#[test]
fn a_claim_that_was_dropped_while_the_ledger_failed_is_given_back_later() {
    let (registrar, ledger) = on_faulty();
    let dropped = registrar.try_claim("dropped", TTL).wait().unwrap();
    let released = registrar.try_claim("released", TTL).wait().unwrap();
    ledger.fail_appends(true);
    drop(dropped);
    assert!(released.release(ReleaseReason::Completed).wait().is_err());
    let held = || registrar.query(lease::LeaseReducerState::active_count).unwrap();
    assert_eq!(held(), 2);
    ledger.fail_appends(false);
    eventually("both to be given back", || held() == 0);
    let reasons = registrar
        .query(|state| {
            state
                .leases()
                .iter()
                .map(|lease| lease.release_reason)
                .collect::<Vec<_>>()
        })
        .unwrap();
    assert_eq!(
        reasons,
        [Some(ReleaseReason::Voluntary), Some(ReleaseReason::Completed)]
    );
}

#[test]
fn a_lease_whose_issue_was_not_acknowledged_is_taken_back() {
    let (registrar, ledger) = on_faulty();
    ledger.fail_syncs(true);
    assert!(registrar.issue("issued", TTL).wait().is_err());
    assert!(registrar.try_claim("claimed", TTL).wait().is_err());
    eventually("both to be taken back", || {
        registrar.query(lease::LeaseReducerState::released_count).unwrap() == 2
    });
    ledger.fail_syncs(false);
    registrar.issue("issued", TTL).wait().unwrap();
}

#[test]
fn closing_says_that_something_could_not_be_given_back() {
    let (registrar, ledger) = on_faulty();
    let claim = registrar.try_claim("work", TTL).wait().unwrap();
    ledger.fail_appends(true);
    drop(claim);
    let closed = registrar.close().wait();
    assert!(matches!(closed, Err(RegistrarError::Ledger(_))), "{closed:?}");
    assert_eq!(
        registrar.query(lease::LeaseReducerState::active_count).unwrap(),
        1
    );
}

#[test]
fn whoever_closes_it_again_is_told_the_same() {
    let (registrar, ledger) = on_faulty();
    let other = registrar.clone();
    registrar.issue("work", TTL).wait().unwrap();
    ledger.fail_syncs(true);
    for registrar in [&registrar, &other] {
        let closed = registrar.close().wait();
        assert!(
            matches!(closed, Err(RegistrarError::OutcomeUnknown(_))),
            "{closed:?}"
        );
    }
    ledger.fail_syncs(false);
    assert!(registrar.close().wait().is_err(), "nobody syncs any more");

    let (registrar, _) = on_faulty();
    registrar.close().wait().unwrap();
    registrar.close().wait().unwrap();
}

#[test]
fn closing_syncs_what_was_only_buffered() {
    let ledger = FaultyLedger::default();
    let builder = Registrar::builder().durability(Durability::Buffered);
    let registrar = builder.on(Arc::new(ledger.clone())).unwrap();
    let founded = ledger.durable();
    registrar.issue("work", TTL).wait().unwrap();
    assert_eq!(ledger.durable(), founded, "an acknowledgement says less here");
    registrar.close().wait().unwrap();
    assert_eq!(ledger.durable(), ledger.head().unwrap().sequence);
    assert!(ledger.durable() > founded);
}

#[test]
fn a_ledger_of_newer_rules_is_only_read() {
    let (registrar, ledger) = on_faulty();
    let lease = registrar.issue("work", TTL).wait().unwrap();
    let raise = |version| {
        let event = lease::LedgerEvent::RulesRaised { version };
        let record = EventRecord::of(&event, "s", "registrar");
        ledger.append(&ledger.head().unwrap(), &[record.into()]).unwrap();
    };
    raise(1);
    registrar.renew(&lease.lease_id, TTL * 2).wait().unwrap();
    raise(2);
    raise(1);
    let refused = registrar.issue("other", TTL).wait();
    assert!(
        matches!(
            refused,
            Err(RegistrarError::NewerRules {
                found: 2,
                supported: 1
            })
        ),
        "{refused:?}"
    );
    assert!(
        registrar
            .release(&lease.lease_id, ReleaseReason::Completed)
            .wait()
            .is_err()
    );
    assert!(registrar.query(|state| state.has_active_lease("work")).unwrap());
    registrar.verify().unwrap();
}
