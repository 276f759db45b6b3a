//! The bodies of the lease reducer's checkpoints: frozen, deterministic, and judged before they are believed.

use std::fmt::Write as _;

use lease::{Checkpoint, CheckpointError, LeaseReducer, Reducer, ReducerContext, Tick};

use crate::support::{
    Bench, Issue, OTHER_BOOT, RATE, SECOND, conflict, expired, record, released, renewed, revoked, tick,
};

pub(crate) fn body(reducer: &LeaseReducer) -> Vec<u8> {
    let mut body = Vec::new();
    reducer.encode(&mut body);
    body
}

/// The reducer that a body says, which must say the same body again.
#[track_caller]
pub(crate) fn restored(body: &[u8]) -> LeaseReducer {
    let mut reducer = LeaseReducer::new();
    reducer.decode(LeaseReducer::VERSION, body).unwrap();
    assert_eq!(self::body(&reducer), body);
    reducer
}

/// Leases in every state, with and without ticks, of two clocks; a closed work item; a conflict.
fn varied() -> Bench {
    let mut bench = Bench::new();
    let closing = Issue {
        closed_until: 5_000,
        token: 3,
        ..Issue::by_tick()
    };
    let issue =
        |lease: &str, work: &str, issue: &Issue| record("registrar", &issue.of(lease, work, "actor-1"));
    let elsewhere = Some(Tick::new(9, RATE, OTHER_BOOT));
    bench.take(&issue("revoked", "work-4", &Issue::by_tick()).at(5, elsewhere));
    bench.take(&record("registrar", &revoked("revoked", "operator", &[1])));
    bench.take(&issue("active", "work-1", &Issue::by_tick()).at(5, Some(tick(1_000))));
    bench
        .take(&record("registrar", &renewed("active", 3 * SECOND, 3_000, &[5, 6])).at(77, Some(tick(1_500))));
    bench.take(&issue("released", "work-2", &closing).at(5, Some(tick(1_000))));
    bench.take(&record("actor-1", &released("released", "ABORTED")).at(SECOND, None));
    bench.take(&issue("expired", "work-3", &Issue::by_wall()));
    bench.take(&record("registrar", &expired("expired", u64::MAX)));
    bench.take(&issue("wall", "work-5", &Issue::by_wall()));
    bench.take(&record("registrar", &conflict("work-1", &["active", "wall"])));
    bench
}

#[test]
fn the_body_is_frozen() {
    let body = body(&varied().0);
    let mut hex = String::new();
    for byte in body {
        write!(hex, "{byte:02x}").unwrap();
    }
    assert_eq!(hex, FROZEN);
}

const FROZEN: &str = "\
     0109726567697374726172050208080808080808080808080808080808e80707070707070707070707070707070707e80701\
     0973657373696f6e2d310501077265766f6b656406776f726b2d34076163746f722d318094ebdc0380a8d6b90701e807d00f\
     00000101000003086f70657261746f7280a8d6b907010661637469766506776f726b2d31076163746f722d318094ebdc0380\
     bcc1960b02e807b81701dc0b0002050601014d00010872656c656173656406776f726b2d32076163746f722d318094ebdc03\
     80a8d6b90702e807d00f000001010000010741424f525445448094ebdc0301076578706972656406776f726b2d3307616374\
     6f722d318094ebdc0380a8d6b907000000010100000280a8d6b907010477616c6c06776f726b2d35076163746f722d318094\
     ebdc0380a8d6b90700000001010000000106776f726b2d320188270106776f726b2d3102066163746976650477616c6c0e43\
     414e4f4e4943414c5f524f4f5401";

#[test]
fn a_state_comes_back_with_everything_that_can_be_asked() {
    let bench = varied();
    let reducer = restored(&body(&bench.0));
    assert_eq!(reducer, bench.0);
    assert_eq!(format!("{:?}", reducer.state()), format!("{:?}", bench.0.state()));
    assert_eq!(reducer.state().closed_until("work-2"), Some(tick(5_000)));
    assert_eq!(reducer.state().conflicts_for_work("work-1").count(), 1);
}

#[test]
fn equal_states_have_equal_bodies_however_they_came_about() {
    let issue = |lease: &str, work: &str, token| {
        let issue = Issue {
            token,
            ..Issue::by_tick()
        };
        record("registrar", &issue.of(lease, work, "actor-1")).at(0, Some(tick(1_000)))
    };
    let mut straight = Bench::new();
    straight
        .take(&issue("a", "work-1", 100))
        .take(&issue("b", "work-2", 200));
    // The same two after two thousand others came and went, so that nothing lies where it lay.
    let mut around = Bench::new();
    for number in 1..100 {
        let id = format!("gone-{number}");
        around.take(&issue(&id, &id, number));
    }
    for number in (1..100).rev() {
        around.take(&record(
            "actor-1",
            &released(&format!("gone-{number}"), "COMPLETED"),
        ));
    }
    around.0.state_mut().prune_terminal_leases();
    around
        .take(&issue("a", "work-1", 100))
        .take(&issue("b", "work-2", 200));
    assert_eq!(straight.state(), around.state());
    assert_eq!(body(&straight.0), body(&around.0));
}

#[test]
fn a_body_under_other_registrars_is_refused() {
    let mut east = LeaseReducer::with_registrars(["east"]);
    let refused = east
        .decode(LeaseReducer::VERSION, &body(&varied().0))
        .unwrap_err();
    assert!(matches!(refused, CheckpointError::Body { .. }), "{refused:?}");
    assert!(east.state().is_empty());
}

/// Whatever a body says is refused, and leaves the state as it was, or is a state that says the same again.
fn is_judged(bytes: &[u8]) -> bool {
    let mut reducer = varied().0;
    match reducer.decode(LeaseReducer::VERSION, bytes) {
        Err(CheckpointError::Body { .. }) => {
            assert_eq!(reducer, varied().0, "a refused body changed the state");
            false
        }
        Err(error) => panic!("{error:?}"),
        Ok(()) => {
            crate::properties::agrees_with_its_leases(reducer.state());
            let again = body(&reducer);
            assert_eq!(restored(&again).state(), reducer.state());
            // It goes on as any other.
            let next = Issue {
                token: 1 << 40,
                ..Issue::by_tick()
            };
            let next = record("registrar", &next.of("next", "work-next", "actor-2"));
            let _ = reducer.apply(&next, &ReducerContext::new(1));
            reducer.state_mut().prune_terminal_leases();
            true
        }
    }
}

#[test]
fn a_cut_or_lengthened_body_says_no_state() {
    let whole = body(&varied().0);
    for len in 0..whole.len() {
        assert!(!is_judged(&whole[..len]), "cut to {len}");
    }
    assert!(is_judged(&whole));
    assert!(!is_judged(&[&whole[..], &[0]].concat()));
}

#[test]
fn a_body_with_a_flipped_bit_is_refused_or_another_state() {
    let whole = body(&varied().0);
    let mut taken = 0;
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        taken += usize::from(is_judged(&flipped));
    }
    assert!(taken > 100, "other texts and numbers are other states: {taken}");
}

/// No list of events is that long, but a checkpoint can say where one has come to.
#[test]
fn the_renewal_count_stops_at_the_largest_number() {
    let mut bench = Bench::with_lease(&Issue {
        signature: vec![0xaa; 5],
        ..Issue::by_wall()
    });
    let written = body(&bench.0);
    let signature = written.windows(5).position(|bytes| bytes == [0xaa; 5]).unwrap();
    let (before, after) = written.split_at(signature + 5);
    assert_eq!(after[0], 0, "renewed not once");
    let most = [before, &[0xff, 0xff, 0xff, 0xff, 0x0f], &after[1..]].concat();
    bench.0 = restored(&most);
    assert_eq!(bench.state().get("lease-1").unwrap().renewal_count, u32::MAX);
    bench.take(&record("registrar", &renewed("lease-1", 3 * SECOND, 0, &[1])));
    let lease = bench.state().get("lease-1").unwrap();
    assert_eq!((lease.renewal_count, lease.expires_at), (u32::MAX, 3 * SECOND));
    let beyond = [before, &[0x80, 0x80, 0x80, 0x80, 0x10], &after[1..]].concat();
    assert!(!is_judged(&beyond));
}

#[test]
fn a_body_with_two_of_what_there_is_one_of_is_refused() {
    let issue = |lease: &str, work: &str, token| {
        let issue = Issue {
            token,
            ..Issue::by_wall()
        };
        record("registrar", &issue.of(lease, work, "actor-1"))
    };
    let mut bench = Bench::new();
    bench.take(&issue("lease-A", "work-A", 5));
    bench.take(&issue("lease-B", "work-B", 9));
    let whole = body(&bench.0);
    assert!(is_judged(&whole));
    for (one, other) in [(b"lease-B", b"lease-A"), (b"work-B\x07", b"work-A\x07")] {
        let place = whole.windows(7).position(|bytes| bytes == one).unwrap();
        let mut twice = whole.clone();
        twice[place..place + 7].copy_from_slice(other);
        assert!(!is_judged(&twice), "{}", String::from_utf8_lossy(one));
    }
    // The last token, which stands behind the registrars, below that of a lease.
    let place = 1 + 1 + "registrar".len();
    assert_eq!(whole[place], 9);
    let mut lower = whole;
    lower[place] = 8;
    assert!(!is_judged(&lower));
}

#[test]
fn a_body_that_promises_more_than_it_has_takes_no_memory() {
    // No registrars match, so one that is right up to the number of its leases.
    let empty = body(&LeaseReducer::new());
    let mut endless = empty[..empty.len() - 3].to_vec();
    endless.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert!(!is_judged(&endless));
}
