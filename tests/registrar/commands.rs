//! What each command does, and what it refuses.

use std::time::Duration;

use lease::{
    EventRecord, LeaseChange, LeaseError, LeaseEvent, LeaseState, Registrar, RegistrarError, ReleaseReason,
};

use crate::setup::{TTL, refusal, with_clock};

#[test]
fn a_lease_goes_through_its_whole_life() {
    let (registrar, clock) = with_clock();
    let issued = registrar.issue("work", TTL).wait().unwrap();
    assert_eq!(
        (issued.work_id.as_str(), issued.actor_id.as_str()),
        ("work", registrar.actor())
    );

    clock.advance(TTL / 2);
    let renewed = registrar.renew(&issued.lease_id, TTL).wait().unwrap();
    assert_eq!(renewed.renewal_count, 1);
    let (old, new) = (issued.expires_at_tick.unwrap(), renewed.expires_at_tick.unwrap());
    assert_eq!(old.until(&new), Some(TTL / 2));

    let released = registrar
        .release(&issued.lease_id, ReleaseReason::Completed)
        .wait()
        .unwrap();
    assert_eq!(released.state, LeaseState::Released);
    assert!(!registrar.query(|state| state.has_active_lease("work")).unwrap());
    registrar.verify().unwrap();
}

#[test]
fn a_held_work_item_is_busy_and_says_who_and_how_long() {
    let (registrar, clock) = with_clock();
    let lease = registrar.issue("work", TTL).wait().unwrap();
    clock.advance(Duration::from_secs(10));
    let other = registrar.with_actor("somebody else");
    let Err(RegistrarError::Busy(busy)) = other.issue("work", TTL).wait() else {
        panic!("two leases on one work item");
    };
    assert_eq!(busy.holder(), Some(registrar.actor()));
    assert_eq!(busy.remaining(), Duration::from_secs(20));
    assert_eq!(busy.until(), lease.expires_at_tick);
    assert!(!busy.is_self());
    let Err(RegistrarError::Busy(busy)) = registrar.issue("work", TTL).wait() else {
        panic!("two leases on one work item");
    };
    assert!(busy.is_self());
}

#[test]
fn issuing_expires_the_lease_in_the_way_once_its_end_has_come() {
    let (registrar, clock) = with_clock();
    let old = registrar.issue("work", TTL).wait().unwrap();
    clock.advance(TTL);
    let new = registrar.issue("work", TTL).wait().unwrap();
    assert!(new.fencing_token > old.fencing_token);
    let old = registrar
        .query(|state| state.get(&old.lease_id).unwrap().state)
        .unwrap();
    assert_eq!(old, LeaseState::Expired);
}

#[test]
fn only_the_holder_releases() {
    let (registrar, _clock) = with_clock();
    let lease = registrar.issue("work", TTL).wait().unwrap();
    let stranger = registrar.with_actor("mallory");
    let refused = refusal(stranger.release(&lease.lease_id, ReleaseReason::Completed).wait());
    assert!(matches!(refused, LeaseError::Unauthorized { .. }), "{refused:?}");
    assert!(registrar.query(|state| state.has_active_lease("work")).unwrap());
}

#[test]
fn anybody_who_has_the_registrar_revokes_by_lease_or_by_work() {
    let (registrar, _clock) = with_clock();
    let operator = registrar.with_actor("operator");
    let first = registrar.issue("work", TTL).wait().unwrap();
    let revoked = operator.revoke(&first.lease_id, "wrong queue").wait().unwrap();
    assert_eq!(revoked.state, LeaseState::Revoked);
    assert_eq!(revoked.revocation_reason.as_deref(), Some("wrong queue"));

    let second = registrar.issue("work", TTL).wait().unwrap();
    assert_eq!(
        operator.revoke_work("work", "again").wait().unwrap().lease_id,
        second.lease_id
    );
    let refused = refusal(operator.revoke_work("work", "once more").wait());
    assert!(
        matches!(&refused, LeaseError::WorkNotLeased { work_id } if work_id == "work"),
        "{refused:?}"
    );
}

#[test]
fn nobody_revokes_for_a_reason_that_is_the_registrar_s_own() {
    let (registrar, _clock) = with_clock();
    let lease = registrar.issue("work", TTL).wait().unwrap();
    let head = registrar.ledger().head().unwrap();
    for reason in [
        LeaseChange::HOLDER_DIED,
        LeaseChange::HOST_REBOOTED,
        LeaseChange::CLOCK_LOST,
    ] {
        for refused in [
            registrar.revoke(&lease.lease_id, reason),
            registrar.revoke_work("work", reason),
        ] {
            let refused = refusal(refused.wait());
            assert!(
                matches!(&refused, LeaseError::InvalidInput { field, .. } if field == "reason"),
                "{refused:?}"
            );
        }
    }
    assert_eq!(registrar.ledger().head().unwrap(), head);
}

#[test]
fn whoever_is_told_to_wait_is_told_for_which_work_item() {
    let (registrar, _clock) = with_clock();
    registrar.issue("nightly", TTL).wait().unwrap();
    let refused = registrar.issue("nightly", TTL).wait().unwrap_err();
    assert!(refused.to_string().contains("`nightly`"), "{refused}");
    let RegistrarError::Busy(busy) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(busy.work_id(), "nightly");
}

#[test]
fn expire_due_ends_exactly_those_whose_end_has_come() {
    let (registrar, clock) = with_clock();
    registrar.issue("short", TTL).wait().unwrap();
    registrar.issue("long", TTL * 2).wait().unwrap();
    clock.advance(TTL);
    let expired = registrar.expire_due().wait().unwrap();
    assert_eq!(expired.len(), 1);
    assert_eq!(
        (expired[0].work_id.as_str(), expired[0].state),
        ("short", LeaseState::Expired)
    );
    assert_eq!(registrar.expire_due().wait().unwrap(), []);
    assert!(registrar.query(|state| state.has_active_lease("long")).unwrap());
}

#[test]
fn a_time_to_live_under_a_second_is_refused() {
    let (registrar, _clock) = with_clock();
    let refused = refusal(registrar.issue("work", Duration::from_millis(999)).wait());
    assert!(
        matches!(&refused, LeaseError::InvalidInput { field, .. } if field == "ttl"),
        "{refused:?}"
    );
    registrar.issue("work", Duration::from_secs(1)).wait().unwrap();
}

#[test]
fn a_lease_id_is_used_once_for_ever() {
    let (registrar, _clock) = with_clock();
    let claim = |work: &str| registrar.claim(work, TTL).lease_id("mine").acquire().wait();
    drop(claim("work").unwrap());
    for work in ["work", "other"] {
        let refused = match claim(work) {
            Err(lease::ClaimError::Registrar(error)) => refusal::<()>(Err(error)),
            other => panic!("{other:?}"),
        };
        assert!(
            matches!(refused, LeaseError::LeaseAlreadyExists { .. }),
            "{refused:?}"
        );
    }
}

#[test]
fn fencing_tokens_only_rise_and_carry_the_epoch() {
    let (registrar, _clock) = with_clock();
    let epoch = u64::from(registrar.ledger().epoch().unwrap());
    let mut last = 0;
    for round in 0..20 {
        let lease = registrar.issue(format!("work-{round}"), TTL).wait().unwrap();
        assert!(lease.fencing_token > last);
        assert_eq!(lease.fencing_token >> 32, epoch);
        last = lease.fencing_token;
    }
}

#[test]
fn lease_ids_sort_by_when_they_were_issued() {
    let (registrar, clock) = with_clock();
    let ids: Vec<_> = (0..5)
        .map(|round| {
            clock.advance(Duration::from_millis(1));
            registrar
                .issue(format!("work-{round}"), TTL)
                .wait()
                .unwrap()
                .lease_id
        })
        .collect();
    assert!(ids.is_sorted(), "{ids:?}");
}

#[derive(lease::LeaseEvent)]
#[event(namespace = "order")]
enum OrderEvent {
    #[event(kind = "placed", tag = 1)]
    Placed {
        #[event(tag = 1)]
        order: String,
    },
}

#[test]
fn a_user_s_event_goes_into_the_same_ledger_under_its_actor() {
    let (registrar, _clock) = with_clock();
    let shop = registrar.with_actor("shop");
    let placed = OrderEvent::Placed {
        order: "o-1".to_owned(),
    };
    let sequence = shop.record(&placed).wait().unwrap();
    let record = &registrar.ledger().read(sequence - 1, 1).unwrap()[0];
    assert_eq!(
        (record.event_type.as_str(), record.actor_id.as_str()),
        ("order.placed", "shop")
    );
    assert!(record.tick.is_some());
    registrar.verify().unwrap();
}

#[test]
fn nobody_records_leases_and_keys_by_hand() {
    let (registrar, _clock) = with_clock();
    let forged = LeaseChange::Expired {
        lease_id: "a".to_owned(),
        expired_at: 1,
    };
    let before = registrar.ledger().head().unwrap();
    let refused = refusal(registrar.record(&forged).wait());
    assert!(
        matches!(&refused, LeaseError::InvalidInput { field, .. } if field == "event_type"),
        "{refused:?}"
    );
    let key = lease::LedgerEvent::KeyAdded {
        public_key: vec![1; 32],
        signature: Vec::new(),
    };
    refusal(registrar.record(&key).wait());
    assert_eq!(registrar.ledger().head().unwrap(), before);
}

#[test]
fn an_abandoned_issue_leaves_no_lease_behind() {
    let (registrar, _clock) = with_clock();
    drop(registrar.issue("work", TTL));
    // Whether it was withdrawn or released, the next one in the queue finds the item free.
    registrar.issue("work", TTL).wait().unwrap();
}

#[test]
fn a_closed_registrar_says_so() {
    let (registrar, _clock) = with_clock();
    registrar.close().wait().unwrap();
    let refused = registrar.issue("work", TTL).wait();
    assert!(matches!(refused, Err(RegistrarError::Closed)), "{refused:?}");
    registrar.close().wait().unwrap();
}

#[test]
fn a_query_may_take_its_time_and_call_the_registrar() {
    let (registrar, _clock) = with_clock();
    registrar.issue("work", TTL).wait().unwrap();
    let (before, inside) = registrar
        .query(|state| {
            registrar.issue("other", TTL).wait().unwrap();
            let inside = registrar.query(lease::LeaseReducerState::active_count).unwrap();
            (state.active_count(), inside)
        })
        .unwrap();
    assert_eq!((before, inside), (1, 2));
}

#[test]
fn completions_are_awaited_without_a_runtime_of_their_own() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (registrar, _clock) = with_clock();
    runtime.block_on(async {
        let lease = registrar.issue("work", TTL).await.unwrap();
        registrar
            .release(lease.lease_id, ReleaseReason::Completed)
            .await
            .unwrap();
    });
}

#[test]
fn replaying_the_ledger_gives_the_live_state() {
    let (registrar, clock) = with_clock();
    for round in 0..30u32 {
        let work = format!("work-{}", round % 7);
        if let Ok(lease) = registrar.issue(work, TTL).wait() {
            match round % 4 {
                0 => drop(registrar.release(lease.lease_id, ReleaseReason::Aborted).wait()),
                1 => drop(registrar.renew(lease.lease_id, TTL).wait()),
                2 => drop(registrar.revoke(lease.lease_id, "why not").wait()),
                _ => {}
            }
        }
        clock.advance(Duration::from_secs(3));
    }
    let records: Vec<EventRecord> = registrar.ledger().read(0, usize::MAX).unwrap();
    let replayed = lease::replay(lease::LeaseReducer::new(), &records);
    assert_eq!(replayed.refused(), 0);
    registrar
        .query(|live| assert_eq!(replayed.state(), live))
        .unwrap();
    assert!(records.iter().any(|record| record.event_type == "lease.expired"));
}

#[test]
fn a_registrar_on_a_ledger_with_history_goes_on_from_it() {
    let ledger = std::sync::Arc::new(lease::ledger::MemoryLedger::new());
    let signer = lease::Signer::generate();
    let open = || {
        Registrar::builder()
            .signer(signer.clone())
            .on(ledger.clone())
            .unwrap()
    };
    let lease = open().issue("work", TTL).wait().unwrap();
    let later = open();
    assert!(later.query(|state| state.has_active_lease("work")).unwrap());
    let other = later.issue("other", TTL).wait().unwrap();
    assert!(other.fencing_token > lease.fencing_token);
}

#[derive(LeaseEvent)]
#[event(namespace = "note")]
enum Note {
    #[event(kind = "made", tag = 1)]
    Made(#[event(tag = 1)] u64),
}

#[test]
fn an_event_s_position_is_its_own_also_among_others_that_are_written_with_it() {
    let registrar = Registrar::in_memory().unwrap();
    let section = registrar.ledger().enter().unwrap();
    let notes: Vec<_> = (0..5)
        .map(|number| registrar.record(&Note::Made(number)))
        .collect();
    drop(section);
    for (number, note) in notes.into_iter().enumerate() {
        let sequence = note.wait().unwrap();
        let record = registrar.ledger().read(sequence - 1, 1).unwrap().remove(0);
        assert_eq!(
            record.payload,
            Note::Made(number as u64).encode(),
            "at {sequence}"
        );
    }
}
