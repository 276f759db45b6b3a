//! Whatever events come, in whatever order: the state agrees with itself and with a naive reading of it.

use std::collections::{BTreeMap, BTreeSet};

use lease::{
    EventRecord, Lease, LeaseReducer, LeaseReducerState, LeaseState, Reducer, ReducerContext, Tick, replay,
};
use proptest::prelude::*;

use crate::bodies::{body, restored};
use crate::support::{BOOT, Issue, OTHER_BOOT, RATE, conflict, expired, record, released, renewed, revoked};

/// Few ids and short times, so that events meet.
fn id() -> impl Strategy<Value = String> {
    (0..5_u8).prop_map(|number| format!("id-{number}"))
}

fn sender() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just("registrar".to_owned()), 2 => (0..3_u8).prop_map(|number| format!("id-{number}"))]
}

fn signature() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![9 => Just(vec![1]), 1 => Just(Vec::new())]
}

fn now() -> impl Strategy<Value = Option<Tick>> {
    prop_oneof![
        8 => (0..12_u64).prop_map(|value| Some(Tick::new(value, RATE, BOOT))),
        1 => (0..12_u64).prop_map(|value| Some(Tick::new(value, RATE, OTHER_BOOT))),
        1 => Just(None),
    ]
}

/// Wall times and ticks that meet, and now and then the largest.
fn time() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![12 => 0..20_u64, 1 => Just(u64::MAX)]
}

fn issue() -> impl Strategy<Value = Issue> {
    let times = || (0..8_u64, 0..6_u64).prop_map(|(start, length)| (start, start + length));
    (
        times(),
        times(),
        any::<bool>(),
        signature(),
        prop_oneof![Just(0), 0..40_u64],
        prop_oneof![3 => Just(0), 1 => 1..12_u64],
    )
        .prop_map(|(wall, ticks, timed, signature, token, closed_until)| Issue {
            wall,
            ticks,
            rate: if timed { RATE } else { 0 },
            signature,
            token,
            closed_until,
        })
}

fn event() -> impl Strategy<Value = EventRecord> {
    let reason = prop_oneof![4 => Just("COMPLETED"), 1 => Just("HOLDER_DIED"), 1 => Just("")];
    let change = prop_oneof![
        4 => (issue(), id(), id(), id()).prop_map(|(issue, lease, work, actor)| issue.of(&lease, &work, &actor)),
        2 => (id(), time(), time(), signature())
            .prop_map(|(lease, wall, end, signature)| renewed(&lease, wall, end, &signature)),
        2 => (id(), reason.clone()).prop_map(|(lease, reason)| released(&lease, reason)),
        2 => (id(), time()).prop_map(|(lease, at)| expired(&lease, at)),
        1 => (id(), reason, signature()).prop_map(|(lease, reason, signature)| revoked(&lease, reason, &signature)),
        1 => (id(), id()).prop_map(|(work, lease)| conflict(&work, &[&lease])),
    ];
    (sender(), change, time(), now(), 0..40_u8).prop_map(|(sender, change, wall, now, damage)| {
        let mut record = record(&sender, &change).at(wall, now);
        record.session_id = format!("session-{}", wall % 3);
        match damage {
            0 => record.payload.truncate(record.payload.len() / 2),
            1 => record.event_type = "lease.issued".into(),
            2 => record.event_type = "order.placed".into(),
            _ => {}
        }
        record
    })
}

/// Events, and now and then a pruning.
#[derive(Clone, Debug)]
enum Step {
    Event(EventRecord),
    Prune(Option<u64>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        30 => event().prop_map(Step::Event),
        1 => prop::option::of(0..20_u64).prop_map(Step::Prune),
    ];
    prop::collection::vec(step, 0..120)
}

fn ids<'a>(leases: impl IntoIterator<Item = &'a Lease>) -> BTreeSet<&'a str> {
    leases.into_iter().map(|lease| lease.lease_id.as_str()).collect()
}

/// Every query, against a walk over all leases.
pub(crate) fn agrees_with_its_leases(state: &LeaseReducerState) {
    let leases = state.leases();
    let of = |wanted: LeaseState| leases.iter().filter(|lease| lease.state == wanted).count();
    assert_eq!(state.len(), leases.len());
    assert_eq!(state.is_empty(), leases.is_empty());
    assert_eq!(state.active_count(), of(LeaseState::Active));
    assert_eq!(state.released_count(), of(LeaseState::Released));
    assert_eq!(state.expired_count(), of(LeaseState::Expired));
    assert_eq!(state.revoked_count(), of(LeaseState::Revoked));
    assert_eq!(state.terminal_count(), leases.len() - of(LeaseState::Active));
    assert!(leases.is_sorted_by(|a, b| a.fencing_token < b.fencing_token));
    assert!(
        leases
            .iter()
            .all(|lease| lease.fencing_token <= state.last_fencing_token())
    );

    let active: Vec<_> = leases
        .iter()
        .copied()
        .filter(|lease| !lease.state.is_terminal())
        .collect();
    assert_eq!(state.active_leases(), active);
    let mut by_work = BTreeMap::new();
    for lease in &active {
        let before = by_work.insert(&lease.work_id, lease);
        assert_eq!(before, None, "two active leases on one work item");
    }
    for number in 0..5 {
        let id = format!("id-{number}");
        assert_eq!(
            state.get(&id),
            leases.iter().copied().find(|lease| lease.lease_id == id)
        );
        assert_eq!(
            state.get_active_lease_for_work(&id),
            by_work.get(&id).map(|lease| **lease)
        );
        assert_eq!(state.has_active_lease(&id), by_work.contains_key(&id));
        let of_actor: Vec<_> = leases
            .iter()
            .copied()
            .filter(|lease| lease.actor_id == id)
            .collect();
        assert_eq!(state.leases_by_actor(&id), of_actor);
    }
    for number in 0..3 {
        let id = format!("session-{number}");
        let of_session: Vec<_> = active
            .iter()
            .copied()
            .filter(|lease| *lease.session_id == *id)
            .collect();
        assert_eq!(
            state.active_sessions().any(|session| session == id),
            !of_session.is_empty()
        );
        assert_eq!(state.active_leases_by_session(&id), of_session);
    }
    for value in 0..25 {
        for clock in [BOOT, OTHER_BOOT] {
            let now = Tick::new(value, RATE, clock);
            let due = active
                .iter()
                .copied()
                .filter(|lease| lease.is_expired_at_tick(&now));
            assert_eq!(ids(state.get_expired_but_active_at_tick(&now)), ids(due));
            let due = active
                .iter()
                .copied()
                .filter(|lease| lease.is_expired_at_tick_or_wall(&now, 24 - value));
            assert_eq!(
                ids(state.get_expired_but_active_at_tick_or_wall(&now, 24 - value)),
                ids(due)
            );
        }
        #[expect(deprecated, reason = "the wall-only forms are promised all the same")]
        {
            let due = active.iter().copied().filter(|lease| lease.is_expired_at(value));
            assert_eq!(ids(state.get_expired_but_active(value)), ids(due));
        }
    }
    for lease in &leases {
        assert!(lease.expires_at > lease.issued_at);
        assert_eq!(lease.terminated_at.is_some(), lease.state.is_terminal());
        assert!(lease.terminated_at.is_none_or(|ended| ended <= lease.expires_at));
        assert_eq!(
            lease.release_reason.is_some(),
            lease.state == LeaseState::Released
        );
        assert_eq!(
            lease.revocation_reason.is_some(),
            lease.state == LeaseState::Revoked
        );
    }
}

/// What has ended stays as it is, and tokens only rise.
fn is_a_step_forward(before: &LeaseReducerState, after: &LeaseReducerState) {
    for lease in before
        .leases()
        .into_iter()
        .filter(|lease| lease.state.is_terminal())
    {
        assert_eq!(after.get(&lease.lease_id), Some(lease));
    }
    assert!(after.last_fencing_token() >= before.last_fencing_token());
    for lease in after
        .leases()
        .into_iter()
        .filter(|lease| before.get(&lease.lease_id).is_none())
    {
        assert!(lease.fencing_token > before.last_fencing_token());
    }
}

fn run(steps: &[Step]) -> (LeaseReducer, usize) {
    let mut reducer = LeaseReducer::new();
    let mut taken = 0;
    for (sequence, step) in (1..).zip(steps) {
        let before = reducer.state().clone();
        match step {
            Step::Event(record) => {
                if reducer.apply(record, &ReducerContext::new(sequence)).is_ok() {
                    taken += 1;
                    is_a_step_forward(&before, reducer.state());
                } else {
                    assert_eq!(
                        reducer.state(),
                        &before,
                        "a refused event changed the state: {record:?}"
                    );
                }
            }
            Step::Prune(before_timestamp) => {
                let pruned = match before_timestamp {
                    None => reducer.state_mut().prune_terminal_leases(),
                    Some(timestamp) => reducer.state_mut().prune_terminal_leases_before(*timestamp),
                };
                let goes = |lease: &&Lease| {
                    lease
                        .terminated_at
                        .is_some_and(|at| before_timestamp.is_none_or(|limit| at < limit))
                };
                let gone: Vec<_> = before.leases().into_iter().filter(goes).collect();
                assert_eq!(pruned, gone.len());
                assert!(
                    gone.iter()
                        .all(|lease| reducer.state().get(&lease.lease_id).is_none())
                );
                assert_eq!(reducer.state().len(), before.len() - pruned);
            }
        }
        agrees_with_its_leases(reducer.state());
    }
    (reducer, taken)
}

/// How many random lists: few in a plain `cargo test`, as many as the environment says in CI.
fn lists() -> ProptestConfig {
    let cases = std::env::var("LEASE_RANDOM_LISTS").ok();
    ProptestConfig {
        cases: cases.map_or(64, |cases| cases.parse().expect("a number of lists")),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Does to a reducer what a step says; what is refused is none of this caller's business.
fn step(reducer: &mut LeaseReducer, sequence: u64, step: &Step) {
    match step {
        Step::Event(record) => {
            let _ = reducer.apply(record, &ReducerContext::new(sequence));
        }
        Step::Prune(None) => {
            reducer.state_mut().prune_terminal_leases();
        }
        Step::Prune(Some(before)) => {
            reducer.state_mut().prune_terminal_leases_before(*before);
        }
    }
}

proptest! {
    #![proptest_config(lists())]

    #[test]
    fn replay_from_a_checkpoint_at_any_cut_equals_replay_from_the_first_record(steps in steps()) {
        let mut genesis = LeaseReducer::new();
        let mut checkpoints = vec![body(&genesis)];
        for (sequence, todo) in (1..).zip(&steps) {
            step(&mut genesis, sequence, todo);
            checkpoints.push(body(&genesis));
        }
        let expected = body(&genesis);
        for (cut, checkpoint) in checkpoints.iter().enumerate() {
            let mut resumed = restored(checkpoint);
            for (sequence, todo) in (1..).zip(&steps).skip(cut) {
                step(&mut resumed, sequence, todo);
            }
            prop_assert_eq!(resumed.state(), genesis.state(), "cut at {}", cut);
            prop_assert_eq!(&body(&resumed), &expected, "cut at {}", cut);
        }
    }

    #[test]
    fn any_list_of_events_keeps_the_state_consistent(steps in steps()) {
        run(&steps);
    }

    #[test]
    fn replay_gives_the_live_state(events in prop::collection::vec(event(), 0..120)) {
        let mut records = Vec::new();
        let mut live = LeaseReducer::new();
        let mut refused = 0;
        for (sequence, mut record) in (1..).zip(events) {
            record.sequence = sequence;
            refused += u64::from(live.apply(&record, &ReducerContext::new(sequence)).is_err());
            records.push(record);
        }
        let replayed = replay(LeaseReducer::new(), &records);
        prop_assert_eq!(replayed.refused(), refused);
        prop_assert_eq!(replayed.state(), live.state());
        // Equal states also say so: nothing in them is in the order of a hash.
        prop_assert_eq!(format!("{:?}", replayed.state()), format!("{:?}", live.state()));
    }
}

/// Guards the generators: a property over events that are all refused says nothing.
#[test]
fn random_events_are_often_taken() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    let mut runner = TestRunner::deterministic();
    let mut states = BTreeSet::new();
    let mut taken = 0;
    for _ in 0..64 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let (reducer, of_these) = run(&steps);
        taken += of_these;
        states.extend(reducer.state().leases().iter().map(|lease| lease.state.as_str()));
    }
    assert!(taken > 400, "only {taken} events were taken");
    assert_eq!(
        states,
        BTreeSet::from(["ACTIVE", "EXPIRED", "RELEASED", "REVOKED"])
    );
}
