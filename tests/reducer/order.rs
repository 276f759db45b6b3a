//! The checks of every event, in their order.
//!
//! Each row of a table is a fault, made by changing an event that was right, and the error it must give. For every two
//! rows, neighbours or not, an event gets both faults, and must be refused for the first.

use lease::{EventRecord, LeaseChange, LeaseError, LeaseEvent, Tick};

use crate::support::{
    BOOT, Bench, Issue, OTHER_BOOT, RATE, SECOND, expired, record, released, revoked, tick,
};

/// A command on its way to the reducer, before it is written down.
#[derive(Clone)]
struct Draft {
    sender: &'static str,
    lease: &'static str,
    work: &'static str,
    actor: &'static str,
    issue: Issue,
    wall: u64,
    end: u64,
    rate: u64,
    signature: Vec<u8>,
    reason: &'static str,
    tick: Option<Tick>,
    event_type: Option<&'static str>,
    is_conflict: bool,
    /// How many ids a conflict names.
    conflicting: usize,
    /// Written over the payload.
    spoil: fn(Vec<u8>) -> Vec<u8>,
}

/// What every table begins with: an event that is taken by a reducer in the state of [`state`].
fn right() -> Draft {
    Draft {
        sender: "registrar",
        lease: "lease-1",
        work: "work-1",
        actor: "actor-2",
        issue: Issue::by_tick(),
        wall: 3 * SECOND,
        end: 3_000,
        rate: RATE,
        signature: vec![9],
        reason: "COMPLETED",
        tick: Some(tick(1_500)),
        event_type: None,
        is_conflict: false,
        conflicting: 0,
        spoil: |payload| payload,
    }
}

/// `lease-1` (ticks, token 7) and `wall-1` (no ticks) are active, `ended-1` is not, `work-closed` is closed until tick
/// 5,000.
fn state() -> Bench {
    let mut bench = Bench::new();
    let issue = |lease: &str, work: &str, issue: &Issue| {
        record("registrar", &issue.of(lease, work, "actor-1")).at(0, Some(tick(1_000)))
    };
    let closing = Issue {
        closed_until: 5_000,
        ..Issue::by_tick()
    };
    bench.take(&issue("ended-1", "work-closed", &closing));
    bench.take(&record("actor-1", &released("ended-1", "COMPLETED")));
    bench.take(&issue("wall-1", "work-wall", &Issue::by_wall()));
    bench.take(&issue(
        "lease-1",
        "work-1",
        &Issue {
            token: 7,
            ..Issue::by_tick()
        },
    ));
    bench
}

type Timing = (&'static str, fn(&mut Draft));
type Fault = (&'static str, fn(&mut Draft), fn(&LeaseError) -> bool);

#[track_caller]
fn check(write: fn(&Draft) -> LeaseChange, right: &Draft, faults: &[Fault]) {
    let refused = |draft: &Draft| {
        let mut written = record(draft.sender, &write(draft)).at(0, draft.tick);
        if let Some(event_type) = draft.event_type {
            written.event_type = event_type.to_owned();
        }
        written.payload = (draft.spoil)(written.payload);
        written
    };
    state().take(&refused(right));
    let mut spoilt_at_once = 0;
    for (index, (name, spoil, is_expected)) in faults.iter().enumerate() {
        let mut one = right.clone();
        spoil(&mut one);
        let error = state().refuse(&refused(&one));
        assert!(is_expected(&error), "{name}: {error:?}");
        for (second, spoil_too, _) in &faults[index + 1..] {
            let mut two = one.clone();
            spoil_too(&mut two);
            // Whatever the second does to the first's field, the first must still be there.
            spoil(&mut two);
            let error = state().refuse(&refused(&two));
            assert!(is_expected(&error), "{name} and then {second}: {error:?}");
            spoilt_at_once += 1;
        }
    }
    assert_eq!(spoilt_at_once, faults.len() * (faults.len() - 1) / 2);
}

/// What every event is checked for before anything of its own kind.
fn of_any_kind() -> Vec<Fault> {
    vec![
        (
            "too large",
            |draft| {
                draft.spoil = |mut payload| {
                    payload.resize(64 * 1024 + 1, 0xff);
                    payload
                };
            },
            |error| field_is(error, "payload"),
        ),
        (
            "undecodable",
            |draft| draft.spoil = |_| vec![0x12, 0x05, 0x0a],
            |error| matches!(error, LeaseError::DecodeError(_)),
        ),
        (
            "two arms",
            |draft| draft.spoil = |payload| payload.repeat(2),
            |error| field_is(error, "event_type"),
        ),
        (
            "no arm",
            |draft| draft.spoil = |_| Vec::new(),
            |error| field_is(error, "event_type"),
        ),
        (
            "a type that does not exist",
            |draft| draft.event_type = Some("lease.stolen"),
            |error| field_is(error, "event_type"),
        ),
        (
            "the type of another arm",
            |draft| {
                // Whichever it is, it is not the other of the two.
                draft.event_type = Some(if draft.is_conflict {
                    "lease.expired"
                } else {
                    "lease.conflict"
                });
            },
            |error| field_is(error, "event_type"),
        ),
    ]
}

const LONG_LEASE: Fault = (
    "lease id too long",
    |draft| draft.lease = LONG,
    |error| field_is(error, "lease_id"),
);
const NO_WORK: Fault = (
    "no work id",
    |draft| draft.work = "",
    |error| field_is(error, "work_id"),
);
const LONG_SIGNATURE: Fault = (
    "signature too long",
    |draft| draft.signature = vec![1; 513],
    |error| field_is(error, "registrar_signature"),
);
const NO_REGISTRAR: Fault = (
    "no registrar",
    |draft| draft.sender = "actor-2",
    |error| matches!(error, LeaseError::Unauthorized { actor_id, .. } if actor_id == "actor-2"),
);
const NO_SUCH_LEASE: Fault = (
    "no such lease",
    |draft| draft.lease = "lease-0",
    |error| matches!(error, LeaseError::LeaseNotFound { lease_id } if lease_id == "lease-0"),
);
const ENDED: Fault = (
    "ended",
    |draft| draft.lease = "ended-1",
    |error| matches!(error, LeaseError::LeaseAlreadyTerminal { current_state, .. } if current_state == "RELEASED"),
);
const NO_SIGNATURE: Fault = (
    "no signature",
    |draft| draft.signature.clear(),
    |error| matches!(error, LeaseError::MissingSignature { .. }),
);

fn field_is(error: &LeaseError, name: &str) -> bool {
    matches!(error, LeaseError::InvalidInput { field, .. } if field == name)
}

const LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
                    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef+";

#[test]
fn issued_is_checked_in_order() {
    let mut right = right();
    right.lease = "lease-2";
    right.work = "work-2";
    right.issue.token = 8;
    let mut faults = of_any_kind();
    faults.extend([
        LONG_LEASE,
        NO_WORK,
        (
            "actor id too long",
            |draft: &mut Draft| draft.actor = LONG,
            |error: &LeaseError| field_is(error, "actor_id"),
        ),
        LONG_SIGNATURE,
        NO_REGISTRAR,
        (
            "id known",
            |draft| draft.lease = "lease-1",
            |error| matches!(error, LeaseError::LeaseAlreadyExists { lease_id } if lease_id == "lease-1"),
        ),
        (
            "work leased",
            |draft| draft.work = "work-1",
            |error| {
                matches!(error, LeaseError::WorkAlreadyLeased { work_id, existing_lease_id }
                    if work_id == "work-1" && existing_lease_id == "lease-1")
            },
        ),
        (
            "work closed",
            |draft| draft.work = "work-closed",
            |error| {
                matches!(error, LeaseError::WorkClosed { work_id, closed_until_tick }
                    if work_id == "work-closed" && closed_until_tick.value == 5_000)
            },
        ),
        NO_SIGNATURE,
        (
            "wall end not after start",
            |draft| draft.issue.wall = (5, 5),
            |error| field_is(error, "expires_at"),
        ),
        (
            "tick end not after start",
            |draft| draft.issue.ticks = (1_000, 1_000),
            |error| matches!(error, LeaseError::InvalidTickTiming { .. }),
        ),
        (
            "token not above the last",
            |draft| draft.issue.token = 7,
            |error| field_is(error, "fencing_token"),
        ),
    ]);
    let write = |draft: &Draft| {
        let issue = Issue {
            signature: draft.signature.clone(),
            ..draft.issue.clone()
        };
        issue.of(draft.lease, draft.work, draft.actor)
    };
    check(write, &right, &faults);
}

#[test]
fn renewed_is_checked_in_order() {
    let write = |draft: &Draft| LeaseChange::Renewed {
        lease_id: draft.lease.into(),
        new_expires_at: draft.wall,
        registrar_signature: draft.signature.clone(),
        new_expires_at_tick: draft.end,
        tick_rate_hz: draft.rate,
    };
    let is_timing = |error: &LeaseError| matches!(error, LeaseError::InvalidTickTiming { .. });
    let timings: [Timing; 5] = [
        ("payload without ticks", |draft| draft.rate = 0),
        ("payload of another rate", |draft| draft.rate = 2 * RATE),
        ("record without a tick", |draft| draft.tick = None),
        ("record of another rate", |draft| {
            draft.tick = Some(Tick::new(1_500, 2 * RATE, BOOT));
        }),
        ("record of another clock", |draft| {
            draft.tick = Some(Tick::new(1_500, RATE, OTHER_BOOT));
        }),
    ];
    let mut faults = of_any_kind();
    faults.extend([LONG_LEASE, LONG_SIGNATURE, NO_REGISTRAR, NO_SUCH_LEASE, ENDED]);
    faults.extend(timings.map(|(name, spoil)| (name, spoil, is_timing as fn(&LeaseError) -> bool)));
    let extends: [Fault; 2] = [
        (
            "wall end not beyond",
            |draft| draft.wall = 2 * SECOND,
            |error| {
                matches!(error, LeaseError::RenewalDoesNotExtend { new_expires_at, .. }
                    if *new_expires_at == 2 * SECOND)
            },
        ),
        (
            "tick end not beyond",
            |draft| draft.end = 2_000,
            |error| matches!(error, LeaseError::RenewalDoesNotExtend { new_expires_at, .. } if *new_expires_at == 2_000),
        ),
    ];
    let mut late = vec![(
        "record past the end",
        (|draft| draft.tick = Some(tick(2_000))) as fn(&mut Draft),
        (|error| matches!(error, LeaseError::LeaseExpired { expired_at, .. } if *expired_at == 2 * SECOND))
            as fn(&LeaseError) -> bool,
    )];
    late.extend(extends);
    late.push(NO_SIGNATURE);
    faults.extend(late);
    check(write, &right(), &faults);

    let mut by_wall = right();
    by_wall.lease = "wall-1";
    by_wall.rate = 0;
    let ticks: Fault = ("ticks for a lease without", |draft| draft.rate = RATE, is_timing);
    check(write, &by_wall, &[ticks, extends[0], NO_SIGNATURE]);
}

#[test]
fn released_is_checked_in_order() {
    let mut right = right();
    right.sender = "actor-1";
    let mut faults = of_any_kind();
    faults.extend([
        LONG_LEASE,
        (
            "reason too long",
            |draft: &mut Draft| draft.reason = LONG,
            |error: &LeaseError| field_is(error, "release_reason"),
        ),
        NO_SUCH_LEASE,
        ENDED,
        (
            "not the holder",
            |draft| draft.sender = "registrar",
            |error| matches!(error, LeaseError::Unauthorized { actor_id, .. } if actor_id == "registrar"),
        ),
        (
            "no such reason",
            |draft| draft.reason = "BORED",
            |error| matches!(error, LeaseError::InvalidReleaseReason { value } if value == "BORED"),
        ),
    ]);
    check(|draft| released(draft.lease, draft.reason), &right, &faults);
}

#[test]
fn expired_is_checked_in_order() {
    let mut right = right();
    right.tick = Some(tick(2_000));
    let is_early = |error: &LeaseError| matches!(error, LeaseError::InvalidExpiration { .. });
    let timings: [Timing; 5] = [
        ("wall time before the end", |draft| draft.wall = 2 * SECOND - 1),
        ("no tick", |draft| draft.tick = None),
        ("another rate", |draft| {
            draft.tick = Some(Tick::new(2_000, 2 * RATE, BOOT));
        }),
        ("another clock", |draft| {
            draft.tick = Some(Tick::new(2_000, RATE, OTHER_BOOT));
        }),
        ("tick before the end", |draft| draft.tick = Some(tick(1_999))),
    ];
    let mut faults = of_any_kind();
    faults.extend([LONG_LEASE, NO_REGISTRAR, NO_SUCH_LEASE, ENDED]);
    faults.extend(timings.map(|(name, spoil)| (name, spoil, is_early as fn(&LeaseError) -> bool)));
    check(|draft| expired(draft.lease, draft.wall), &right, &faults);
}

#[test]
fn revoked_is_checked_in_order() {
    let mut faults = of_any_kind();
    faults.extend([
        LONG_LEASE,
        LONG_SIGNATURE,
        (
            "reason too long",
            |draft: &mut Draft| draft.reason = LONG,
            |error: &LeaseError| field_is(error, "reason"),
        ),
        NO_REGISTRAR,
        NO_SUCH_LEASE,
        ENDED,
        NO_SIGNATURE,
    ]);
    check(
        |draft| revoked(draft.lease, draft.reason, &draft.signature),
        &right(),
        &faults,
    );
}

#[test]
fn conflict_is_checked_in_order() {
    let mut right = right();
    right.is_conflict = true;
    right.conflicting = 1;
    let mut faults = of_any_kind();
    faults.extend([
        NO_WORK,
        (
            "a lease id too long",
            |draft: &mut Draft| draft.lease = LONG,
            |error: &LeaseError| field_is(error, "conflicting_lease_ids"),
        ),
        (
            "resolution too long",
            |draft| draft.reason = LONG,
            |error| field_is(error, "resolution"),
        ),
        (
            "too many ids",
            |draft| draft.conflicting = 65,
            |error| field_is(error, "conflicting_lease_ids"),
        ),
        (
            "no registrar",
            |draft| draft.sender = "actor-1",
            |error| matches!(error, LeaseError::Unauthorized { lease_id, .. } if lease_id == "lease-1"),
        ),
    ]);
    let write = |draft: &Draft| LeaseChange::Conflict {
        work_id: draft.work.into(),
        conflicting_lease_ids: vec![draft.lease.into(); draft.conflicting],
        resolution: draft.reason.into(),
    };
    check(write, &right, &faults);
}

#[test]
fn a_type_outside_the_namespace_is_ignored_whatever_it_carries() {
    for event_type in [
        "lease",
        "leases.issued",
        "Lease.issued",
        " lease.issued",
        "order.placed",
        "",
    ] {
        let mut bench = state();
        let before = bench.state().clone();
        let payload = vec![0xff; 100_000];
        bench.take(&EventRecord::new(event_type, "s", "nobody", payload));
        assert_eq!(bench.state(), &before);
    }
}

#[test]
fn a_type_of_the_namespace_that_does_not_exist_is_refused() {
    for event_type in ["lease.", "lease.stolen", "lease.issued.twice", "lease.ISSUED"] {
        let mut written = record("registrar", &released("lease-1", "COMPLETED"));
        written.event_type = event_type.into();
        assert!(field_is(&state().refuse(&written), "event_type"), "{event_type}");
    }
}

#[test]
fn a_malformed_second_arm_is_malformed_and_a_good_one_is_one_too_many() {
    let good = released("lease-1", "COMPLETED").encode();
    let mut written = record("actor-1", &released("lease-1", "COMPLETED"));
    written.payload = [good.clone(), good.clone()].concat();
    assert!(field_is(&state().refuse(&written), "event_type"));
    // The second arm's lease id is not UTF-8.
    written.payload = [good, vec![0x22, 0x03, 0x0a, 0x01, 0xff]].concat();
    assert!(matches!(state().refuse(&written), LeaseError::DecodeError(_)));
    written.payload = Vec::new();
    assert!(field_is(&state().refuse(&written), "event_type"));
}
