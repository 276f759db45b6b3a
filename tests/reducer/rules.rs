//! What the events do once they are taken.

use std::time::Duration;

use lease::{
    ClockId, LeaseChange, LeaseError, LeaseReducer, LeaseState, Reducer, ReducerContext, ReleaseReason, Tick,
};

use crate::support::{
    BOOT, Bench, Issue, OTHER_BOOT, RATE, SECOND, conflict, expired, record, released, renewed, revoked, tick,
};

#[test]
fn only_named_registrars_are_trusted() {
    let issue = Issue::by_wall().of("lease-1", "work-1", "actor-1");
    let mut reducer = LeaseReducer::with_registrars(["east", "west"]);
    let context = ReducerContext::new(1);
    assert!(reducer.apply(&record("registrar", &issue), &context).is_err());
    assert!(reducer.apply(&record("west", &issue), &context).is_ok());
}

#[test]
fn reset_forgets_the_leases_and_keeps_the_trust() {
    let mut reducer = LeaseReducer::with_registrars(["east"]);
    let issue = record("east", &Issue::by_wall().of("lease-1", "work-1", "actor-1"));
    reducer.apply(&issue, &ReducerContext::new(1)).unwrap();
    reducer.reset();
    assert_eq!(reducer, LeaseReducer::with_registrars(["east"]));
    reducer.apply(&issue, &ReducerContext::new(1)).unwrap();
}

#[test]
fn an_issued_lease_is_what_the_event_says() {
    let bench = Bench::with_lease(&Issue {
        token: 5,
        ..Issue::by_tick()
    });
    let lease = bench.state().get("lease-1").unwrap();
    assert_eq!(
        (lease.work_id.as_str(), lease.actor_id.as_str()),
        ("work-1", "actor-1")
    );
    assert_eq!((lease.issued_at, lease.expires_at), (SECOND, 2 * SECOND));
    assert_eq!(
        (lease.issued_at_tick, lease.expires_at_tick),
        (Some(tick(1_000)), Some(tick(2_000)))
    );
    assert_eq!(
        (lease.state, lease.renewal_count, lease.fencing_token),
        (LeaseState::Active, 0, 5)
    );
    assert_eq!(
        (lease.last_renewed_at, lease.terminated_at, lease.release_reason),
        (None, None, None)
    );
    let summary = lease.summary();
    assert_eq!((summary.lease_id.as_str(), summary.fencing_token), ("lease-1", 5));
}

#[test]
fn tick_numbers_without_a_rate_are_ignored() {
    let issue = Issue {
        rate: 0,
        ticks: (9, 3),
        closed_until: 50,
        ..Issue::by_wall()
    };
    let bench = Bench::with_lease(&issue);
    let lease = bench.state().get("lease-1").unwrap();
    assert_eq!((lease.issued_at_tick, lease.expires_at_tick), (None, None));
    assert_eq!(bench.state().closed_until("work-1"), None);
}

#[test]
fn a_renewal_moves_both_ends_and_is_counted() {
    let mut bench = Bench::with_lease(&Issue::by_tick());
    let renewal = renewed("lease-1", 3 * SECOND, 3_000, &[5, 6]);
    bench.take(&record("registrar", &renewal).at(77, Some(tick(1_999))));
    let lease = bench.state().get("lease-1").unwrap();
    assert_eq!(
        (lease.expires_at, lease.expires_at_tick),
        (3 * SECOND, Some(tick(3_000)))
    );
    assert_eq!((lease.renewal_count, lease.last_renewed_at), (1, Some(77)));
    assert_eq!(lease.registrar_signature, [5, 6]);
    assert!(
        bench
            .state()
            .get_expired_but_active_at_tick(&tick(2_999))
            .is_empty()
    );
    assert_eq!(
        bench.state().get_expired_but_active_at_tick(&tick(3_000)).len(),
        1
    );
}

#[test]
fn a_release_opens_the_work_for_the_next() {
    let mut bench = Bench::with_lease(&Issue::by_tick());
    bench.take(&record("actor-1", &released("lease-1", "aborted")).at(5, None));
    let lease = bench.state().get("lease-1").unwrap();
    assert_eq!(
        (lease.state, lease.release_reason),
        (LeaseState::Released, Some(ReleaseReason::Aborted))
    );
    assert_eq!(
        (bench.state().released_count(), bench.state().terminal_count()),
        (1, 1)
    );
    assert!(!bench.state().has_active_lease("work-1"));
    bench.take(&record(
        "registrar",
        &Issue::by_tick().of("lease-2", "work-1", "actor-2"),
    ));
    assert_eq!(
        bench
            .state()
            .get_active_lease_for_work("work-1")
            .unwrap()
            .lease_id,
        "lease-2"
    );
}

#[test]
fn a_revocation_is_terminal_counted_and_prunable() {
    let mut bench = Bench::with_lease(&Issue::by_tick());
    bench.take(&record("registrar", &revoked("lease-1", "HOLDER_DIED", &[1])));
    let lease = bench.state().get("lease-1").unwrap();
    assert_eq!(lease.state, LeaseState::Revoked);
    assert!(lease.state.is_terminal());
    assert_eq!(lease.revocation_reason.as_deref(), Some(LeaseChange::HOLDER_DIED));
    assert_eq!(
        (bench.state().revoked_count(), bench.state().active_count()),
        (1, 0)
    );
    let again = bench.refuse(&record("registrar", &revoked("lease-1", "HOLDER_DIED", &[1])));
    assert!(
        matches!(again, LeaseError::LeaseAlreadyTerminal { current_state, .. } if current_state == "REVOKED")
    );
    assert_eq!(bench.0.state_mut().prune_terminal_leases(), 1);
    assert_eq!((bench.state().len(), bench.state().revoked_count()), (0, 0));
}

#[test]
fn no_end_is_later_than_the_leases_own() {
    for (wall, ended) in [
        (0, 2 * SECOND),
        (1, 1),
        (2 * SECOND, 2 * SECOND),
        (u64::MAX, 2 * SECOND),
    ] {
        let mut bench = Bench::with_lease(&Issue::by_wall());
        bench.take(&record("actor-1", &released("lease-1", "COMPLETED")).at(wall, None));
        assert_eq!(
            bench.state().get("lease-1").unwrap().terminated_at,
            Some(ended),
            "released at {wall}"
        );

        let mut bench = Bench::with_lease(&Issue::by_wall());
        bench.take(&record("registrar", &revoked("lease-1", "", &[1])).at(wall, None));
        assert_eq!(
            bench.state().get("lease-1").unwrap().terminated_at,
            Some(ended),
            "revoked at {wall}"
        );

        let mut bench = Bench::with_lease(&Issue::by_wall());
        bench.take(&record("registrar", &expired("lease-1", u64::MAX)).at(wall, None));
        assert_eq!(
            bench.state().get("lease-1").unwrap().terminated_at,
            Some(2 * SECOND),
            "expired at {wall}"
        );
    }
}

#[test]
fn pruning_goes_by_the_end_and_spares_active_leases() {
    let mut bench = Bench::with_lease(&Issue::by_wall());
    bench.take(&record(
        "registrar",
        &Issue::by_wall().of("lease-2", "work-2", "actor-1"),
    ));
    bench.take(&record("actor-1", &released("lease-1", "COMPLETED")).at(1_500, None));
    assert_eq!(bench.0.state_mut().prune_terminal_leases_before(1_500), 0);
    assert_eq!(bench.0.state_mut().prune_terminal_leases_before(1_501), 1);
    assert_eq!(bench.0.state_mut().prune_terminal_leases(), 0);
    assert!(bench.state().get("lease-1").is_none());
    assert!(bench.state().has_active_lease("work-2"));
    assert_eq!(bench.state().leases_by_actor("actor-1").len(), 1);
}

#[test]
fn what_was_pruned_leaves_nothing_behind() {
    let emptied = |lease: &str, work: &str, actor: &str| {
        let mut bench = Bench::new();
        bench.take(&record("registrar", &Issue::by_tick().of(lease, work, actor)).at(0, Some(tick(1_000))));
        bench.take(&record(actor, &released(lease, "COMPLETED")));
        bench.0.state_mut().prune_terminal_leases();
        bench.0
    };
    assert_eq!(
        emptied("lease-1", "work-1", "actor-1"),
        emptied("lease-2", "work-2", "actor-2")
    );
}

#[test]
fn tokens_rise_and_outlive_pruning() {
    let mut bench = Bench::with_lease(&Issue {
        token: 41,
        ..Issue::by_wall()
    });
    bench.take(&record("actor-1", &released("lease-1", "COMPLETED")));
    bench.0.state_mut().prune_terminal_leases();
    assert_eq!(bench.state().last_fencing_token(), 41);
    bench.refuse(&record(
        "registrar",
        &Issue {
            token: 41,
            ..Issue::by_wall()
        }
        .of("lease-2", "work-1", "a"),
    ));
    bench.take(&record(
        "registrar",
        &Issue::by_wall().of("lease-2", "work-1", "a"),
    ));
    assert_eq!(bench.state().get("lease-2").unwrap().fencing_token, 42);
}

#[test]
fn tokens_stay_below_two_to_the_63() {
    let largest = (1 << 63) - 1;
    for token in [1 << 63, u64::MAX] {
        let error = Bench::new().refuse(&record(
            "registrar",
            &Issue {
                token,
                ..Issue::by_wall()
            }
            .of("l", "w", "a"),
        ));
        assert!(matches!(error, LeaseError::InvalidInput { field, .. } if field == "fencing_token"));
    }
    let mut bench = Bench::with_lease(&Issue {
        token: largest,
        ..Issue::by_wall()
    });
    let error = bench.refuse(&record(
        "registrar",
        &Issue::by_wall().of("lease-2", "work-2", "a"),
    ));
    assert!(matches!(error, LeaseError::InvalidInput { field, .. } if field == "fencing_token"));
}

#[test]
fn the_largest_times_are_times_like_others() {
    let issue = Issue {
        wall: (u64::MAX - 1, u64::MAX),
        ticks: (u64::MAX - 1, u64::MAX),
        ..Issue::by_tick()
    };
    let mut bench = Bench::with_lease(&issue);
    let lease = bench.state().get("lease-1").unwrap();
    assert_eq!(lease.ticks_remaining(&tick(0)), u64::MAX);
    assert!(lease.is_expired_at_tick(&tick(u64::MAX)));
    assert!(lease.remaining_at_tick_or_wall(&tick(0), 0) > Duration::from_secs(1 << 53));
    assert_eq!(
        bench
            .state()
            .get_expired_but_active_at_tick(&tick(u64::MAX))
            .len(),
        1
    );
    bench.take(&record("registrar", &expired("lease-1", u64::MAX)).at(u64::MAX, Some(tick(u64::MAX))));
    assert_eq!(bench.0.state_mut().prune_terminal_leases_before(u64::MAX), 0);
    assert_eq!(bench.0.state_mut().prune_terminal_leases(), 1);
}

#[test]
fn what_cannot_be_compared_has_expired() {
    let by_tick = Bench::with_lease(&Issue::by_tick());
    let by_wall = Bench::with_lease(&Issue::by_wall());
    let lease = by_tick.state().get("lease-1").unwrap();
    let untimed = by_wall.state().get("lease-1").unwrap();
    assert!(!lease.is_expired_at_tick(&tick(1_999)));
    assert_eq!(lease.ticks_remaining(&tick(1_999)), 1);
    assert!(lease.is_expired_at_tick(&tick(2_000)));
    for now in [
        Tick::new(1_500, RATE, OTHER_BOOT),
        Tick::new(1_500, RATE + 1, BOOT),
        Tick::new(1_500, 0, BOOT),
    ] {
        assert!(lease.is_expired_at_tick(&now));
        assert_eq!(lease.ticks_remaining(&now), 0);
        assert!(lease.is_expired_at_tick_or_wall(&now, 0));
        assert_eq!(lease.remaining_at_tick_or_wall(&now, 0), Duration::ZERO);
    }
    assert!(untimed.is_expired_at_tick(&tick(0)));
    assert_eq!(untimed.ticks_remaining(&tick(0)), 0);
    assert!(!untimed.is_expired_at_tick_or_wall(&tick(u64::MAX), 2 * SECOND - 1));
    assert!(untimed.is_expired_at_tick_or_wall(&tick(0), 2 * SECOND));
    assert_eq!(
        untimed.remaining_at_tick_or_wall(&tick(0), SECOND),
        Duration::from_secs(1)
    );
}

#[test]
fn a_lease_that_has_ended_is_not_expired_and_has_nothing_left() {
    let mut bench = Bench::with_lease(&Issue::by_tick());
    bench.take(&record("actor-1", &released("lease-1", "COMPLETED")));
    let lease = bench.state().get("lease-1").unwrap();
    assert!(!lease.is_expired_at_tick(&tick(9_000)));
    assert!(!lease.is_expired_at_tick_or_wall(&tick(9_000), u64::MAX));
    assert_eq!(lease.ticks_remaining(&tick(0)), 0);
    assert_eq!(lease.remaining_at_tick_or_wall(&tick(0), 0), Duration::ZERO);
}

#[test]
fn names_are_read_in_ascii_case_only_and_not_trimmed() {
    for state in [
        LeaseState::Active,
        LeaseState::Released,
        LeaseState::Expired,
        LeaseState::Revoked,
    ] {
        assert_eq!(LeaseState::parse(state.as_str()).unwrap(), state);
        assert_eq!(state.to_string().parse(), Ok(state));
        assert_eq!(state.as_str().to_lowercase().parse(), Ok(state));
        assert_eq!(LeaseState::parse(&state.as_str().to_lowercase()).unwrap(), state);
        assert_eq!(state.is_terminal(), state != LeaseState::Active);
    }
    for name in ["actıve", " ACTIVE", "ACTIVE ", "", "ACTIVATED"] {
        let error = LeaseState::parse(name).unwrap_err();
        assert_eq!(error, LeaseError::InvalidLeaseState { value: name.into() });
        assert_eq!(name.parse::<LeaseState>(), Err(error));
    }
    for reason in [
        ReleaseReason::Completed,
        ReleaseReason::Aborted,
        ReleaseReason::Voluntary,
    ] {
        assert_eq!(
            ReleaseReason::parse(&reason.as_str().to_lowercase()).unwrap(),
            reason
        );
        assert_eq!(reason.to_string().parse(), Ok(reason));
        assert_eq!(reason.as_str().to_lowercase().parse(), Ok(reason));
    }
    for name in [" ABORTED", "ABORTED ", "", "ABORT", "ABORTED\u{212a}"] {
        let error = ReleaseReason::parse(name).unwrap_err();
        assert_eq!(error, LeaseError::InvalidReleaseReason { value: name.into() });
        assert_eq!(name.parse::<ReleaseReason>(), Err(error));
    }
    // `ſ` is an `S` in Unicode, and `ı` an `I`; here they are not.
    for name in ["RELEAſED", "ACTıVE", "EXPıRED"] {
        assert!(LeaseState::parse(name).is_err());
        assert!(name.parse::<LeaseState>().is_err());
    }
}

/// `work-1` closed until tick 5,000 of this boot by `lease-1`, which runs from 1,000 to 2,000.
fn closing() -> Bench {
    Bench::with_lease(&Issue {
        closed_until: 5_000,
        ..Issue::by_tick()
    })
}

fn next_at(bench: &mut Bench, now: Option<Tick>) -> Result<(), LeaseError> {
    let issue = Issue {
        ticks: (6_000, 7_000),
        ..Issue::by_tick()
    }
    .of("lease-2", "work-1", "actor-2");
    let reducer = &mut bench.0;
    reducer.apply(&record("registrar", &issue).at(0, now), &ReducerContext::new(9))
}

#[test]
fn closed_work_opens_at_its_tick_however_the_lease_ended() {
    let ends: [fn(&mut Bench); 3] = [
        |bench| {
            bench.take(&record("actor-1", &released("lease-1", "COMPLETED")));
        },
        |bench| {
            bench.take(&record("registrar", &expired("lease-1", 2 * SECOND)).at(0, Some(tick(2_000))));
        },
        |bench| {
            bench.take(&record(
                "registrar",
                &revoked("lease-1", LeaseChange::HOLDER_DIED, &[1]),
            ));
        },
    ];
    for end in ends {
        let mut bench = closing();
        end(&mut bench);
        bench.0.state_mut().prune_terminal_leases();
        let other_namespace = ClockId(std::array::from_fn(|byte| BOOT.0[byte] ^ u8::from(byte >= 8)));
        for now in [
            Some(tick(4_999)),
            None,
            Some(Tick::new(9_000, 2 * RATE, BOOT)),
            Some(Tick::new(9_000, RATE, other_namespace)),
        ] {
            let error = next_at(&mut bench, now).unwrap_err();
            assert!(
                matches!(error, LeaseError::WorkClosed { .. }),
                "{now:?}: {error:?}"
            );
        }
        assert_eq!(bench.state().closed_until("work-1"), Some(tick(5_000)));
        next_at(&mut bench, Some(tick(5_000))).unwrap();
        assert_eq!(bench.state().closed_until("work-1"), None);
    }
}

#[test]
fn closed_work_is_opened_by_a_person_and_by_a_reboot() {
    let mut bench = closing();
    bench.take(&record(
        "registrar",
        &revoked("lease-1", "operator says so", &[1]),
    ));
    next_at(&mut bench, Some(tick(2_000))).unwrap();

    let mut bench = closing();
    bench.take(&record(
        "registrar",
        &revoked("lease-1", LeaseChange::HOST_REBOOTED, &[1]),
    ));
    next_at(&mut bench, Some(Tick::new(1, RATE, OTHER_BOOT))).unwrap();

    let mut bench = closing();
    bench.take(&record("actor-1", &released("lease-1", "COMPLETED")));
    next_at(&mut bench, Some(Tick::new(1, RATE, OTHER_BOOT))).unwrap();
}

#[test]
fn conflicts_are_kept_16_a_work_item_and_4096_in_all() {
    let mut bench = Bench::new();
    let context = ReducerContext::new;
    for sequence in 1..=20 {
        let written = record("registrar", &conflict("work-1", &["a", "b"]));
        bench.0.apply(&written, &context(sequence)).unwrap();
    }
    let kept: Vec<_> = bench
        .state()
        .conflicts_for_work("work-1")
        .map(|conflict| conflict.sequence)
        .collect();
    assert_eq!(kept, (5..=20).collect::<Vec<_>>());
    for sequence in 21..21 + 4_090 {
        let written = record("registrar", &conflict(&format!("other-{sequence}"), &["a"]));
        bench.0.apply(&written, &context(sequence)).unwrap();
    }
    assert_eq!(bench.state().conflicts().len(), 4_096);
    assert_eq!(bench.state().conflicts_for_work("work-1").count(), 6);
    assert_eq!(bench.state().conflicts().next().unwrap().sequence, 15);
    assert_eq!(bench.state().conflicts_for_work("nothing").count(), 0);
}
