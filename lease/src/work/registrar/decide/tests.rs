//! Decisions in a world without a writer: what is decided, and that the reducer takes it.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::work::event::EventRecord;
use crate::work::reducer::{Reducer as _, ReducerContext};
use crate::work::registrar::command::{IssueRequest, Release, Request, Target, prepare};
use crate::work::registrar::expiry::Strangers;
use crate::work::registrar::key_ring::KeyRing;
use crate::work::registrar::session::Holders;
use crate::work::registrar::{LeaseReducer, LeaseState, ReleaseReason, Signer};
use crate::work::tick::{ClockId, Tick};

const TTL: Duration = Duration::from_secs(10);

/// A state, a clock and a key: what the writer has, without its thread and its ledger.
struct World {
    reducer: LeaseReducer,
    strangers: Strangers,
    keys: KeyRing,
    holders: Holders,
    signer: Signer,
    tick: Tick,
    wall: u64,
    sequence: u64,
}

impl World {
    fn new() -> Self {
        Self {
            reducer: LeaseReducer::new(),
            strangers: Strangers::default(),
            keys: KeyRing::default(),
            holders: Holders::default(),
            signer: Signer::from_bytes(&[7; 32]),
            tick: Tick::new(1_000, 1_000, ClockId::of(b"boot", b"")),
            wall: 1_000_000_000_000,
            sequence: 0,
        }
    }

    fn state(&self) -> &LeaseReducerState {
        self.reducer.state()
    }

    fn pass(&mut self, time: Duration) {
        self.tick = self.tick.saturating_add(time);
    }

    fn now(&self) -> Now<'_> {
        Now {
            tick: self.tick,
            wall: self.wall,
            token: self.state().last_fencing_token() + 1,
            strangers: &self.strangers,
            keys: &self.keys,
            ledger: [0; 32],
            holders: &self.holders,
        }
    }

    fn prepare(&self, request: &Request) -> Command {
        prepare(request, self.state(), &self.now(), &self.signer).unwrap()
    }

    /// Decides and applies; the reducer must take what was decided.
    fn take(&mut self, command: &Command) -> Result<usize, Refusal> {
        let drafts = decide(self.reducer.state(), command, &self.now())?;
        let count = drafts.len();
        for draft in drafts {
            self.sequence += 1;
            let record = EventRecord::new(draft.event_type, "s", draft.actor_id, draft.payload)
                .at(self.wall, Some(self.tick));
            let context = ReducerContext::new(self.sequence);
            if let Err(error) = self.reducer.apply(&record, &context) {
                panic!("decided and then refused: {error:?} for {record:?}");
            }
        }
        Ok(count)
    }

    fn ask(&mut self, request: &Request) -> Result<usize, Refusal> {
        match prepare(request, self.state(), &self.now(), &self.signer) {
            Ok(command) => self.take(&command),
            Err(error) => Err(error.into()),
        }
    }
}

fn issue(lease_id: &str, work_id: &str) -> Request {
    Request::Issue(IssueRequest {
        lease_id: lease_id.to_owned(),
        work_id: work_id.to_owned(),
        actor_id: "actor".to_owned(),
        ttl: TTL,
        at_least: None,
    })
}

fn renew(lease_id: &str) -> Request {
    Request::Renew {
        lease_id: lease_id.to_owned(),
        ttl: TTL,
        not_after: None,
    }
}

fn release(lease_id: &str, actor_id: &str) -> Request {
    Request::Release(Release {
        lease_id: lease_id.to_owned(),
        actor_id: actor_id.to_owned(),
        reason: ReleaseReason::Completed,
    })
}

fn revoke(lease_id: &str) -> Request {
    Request::Revoke {
        target: Target::Lease(lease_id.to_owned()),
        reason: "operator".to_owned(),
    }
}

#[test]
fn a_lease_is_held_up_to_its_end_and_not_at_it() {
    let mut world = World::new();
    world.ask(&issue("a", "work")).unwrap();
    world.pass(TTL.checked_sub(Duration::from_millis(1)).unwrap());
    assert!(matches!(world.ask(&issue("b", "work")), Err(Refusal::Busy(_))));
    world.pass(Duration::from_millis(1));
    assert_eq!(
        world.ask(&issue("b", "work")),
        Ok(2),
        "the old one expires in the same batch"
    );
    assert_eq!(world.state().get("a").unwrap().state, LeaseState::Expired);
}

#[test]
fn an_issue_that_was_signed_too_long_ago_is_signed_anew() {
    let mut world = World::new();
    let command = world.prepare(&issue("a", "work"));
    world.pass(TTL);
    let refusal = Refusal::Superseded {
        lease_id: "a".to_owned(),
    };
    assert_eq!(world.take(&command), Err(refusal));
}

#[test]
fn a_renewal_that_was_signed_before_another_one_is_signed_anew() {
    let mut world = World::new();
    world.ask(&issue("a", "work")).unwrap();
    world.pass(TTL / 2);
    let stale = world.prepare(&renew("a"));
    world.ask(&renew("a")).unwrap();
    let refusal = Refusal::Superseded {
        lease_id: "a".to_owned(),
    };
    assert_eq!(world.take(&stale), Err(refusal));
}

#[test]
fn a_revocation_that_was_signed_before_a_renewal_is_signed_anew() {
    let mut world = World::new();
    world.ask(&issue("a", "work")).unwrap();
    world.pass(TTL / 2);
    let stale = world.prepare(&revoke("a"));
    world.ask(&renew("a")).unwrap();
    assert!(matches!(world.take(&stale), Err(Refusal::Superseded { .. })));
    world.ask(&revoke("a")).unwrap();
}

#[test]
fn a_renewal_at_the_end_comes_too_late() {
    let mut world = World::new();
    world.ask(&issue("a", "work")).unwrap();
    world.pass(TTL);
    let refused = world.ask(&renew("a"));
    assert!(
        matches!(refused, Err(Refusal::Lease(LeaseError::LeaseExpired { .. }))),
        "{refused:?}"
    );
}

#[test]
fn a_renewal_moves_both_ends_by_the_same_time_whatever_the_wall_says() {
    let mut world = World::new();
    world.ask(&issue("a", "work")).unwrap();
    let before = world.state().get("a").unwrap().clone();
    world.pass(TTL / 2);
    world.wall = 5;
    world.ask(&renew("a")).unwrap();
    let after = world.state().get("a").unwrap();
    assert_eq!(after.expires_at - before.expires_at, 5_000_000_000);
}

#[test]
fn a_wall_clock_that_stepped_back_keeps_nothing_alive() {
    let mut world = World::new();
    world.ask(&issue("a", "work")).unwrap();
    world.pass(TTL);
    world.wall = 5;
    world.ask(&Request::ExpireDue).unwrap();
    assert_eq!(world.state().get("a").unwrap().state, LeaseState::Expired);
}

#[test]
fn a_lease_of_an_earlier_boot_is_revoked_not_expired() {
    let mut world = World::new();
    world.ask(&issue("a", "work")).unwrap();
    world.tick = Tick::new(5, 1_000, ClockId::of(b"next boot", b""));
    assert_eq!(world.ask(&issue("b", "work")), Ok(2));
    let old = world.state().get("a").unwrap();
    assert_eq!(old.state, LeaseState::Revoked);
    assert_eq!(old.revocation_reason.as_deref(), Some(LeaseChange::HOST_REBOOTED));
}

#[test]
fn a_lease_of_another_namespace_is_left_alone_for_a_whole_term() {
    let mut world = World::new();
    world.ask(&issue("a", "work")).unwrap();
    let written = world.tick;
    world.tick = Tick::new(900_000, 1_000, ClockId::of(b"boot", b"container"));
    let lease = world.state().get("a").unwrap().clone();
    world.strangers.saw(&lease, Some(written), world.tick);

    world.pass(TTL.checked_sub(Duration::from_millis(1)).unwrap());
    assert!(matches!(world.ask(&issue("b", "work")), Err(Refusal::Busy(_))));
    assert_eq!(world.ask(&Request::ExpireDue), Ok(0));

    world.pass(Duration::from_millis(1));
    assert_eq!(world.ask(&Request::ExpireDue), Ok(1));
    let old = world.state().get("a").unwrap();
    assert_eq!(old.revocation_reason.as_deref(), Some(LeaseChange::CLOCK_LOST));
}

#[test]
fn ids_and_reasons_over_their_limits_are_refused_by_name() {
    let mut world = World::new();
    let long = "x".repeat(129);
    let field = |refusal| match refusal {
        Err(Refusal::Lease(LeaseError::InvalidInput { field, .. })) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(world.ask(&issue(&long, "work"))), "lease_id");
    assert_eq!(field(world.ask(&issue("a", &long))), "work_id");
    assert_eq!(field(world.ask(&issue("a", ""))), "work_id");
    world.ask(&issue("a", "work")).unwrap();
    let revocation = Request::Revoke {
        target: Target::Work("work".to_owned()),
        reason: long,
    };
    assert_eq!(field(world.ask(&revocation)), "reason");
}

fn requests() -> impl Strategy<Value = (Request, u64, bool)> {
    let lease = (0..12u8).prop_map(|number| format!("lease-{number}"));
    let work = (0..4u8).prop_map(|number| format!("work-{number}"));
    let actor = prop_oneof![Just("actor".to_owned()), Just("other".to_owned())];
    let request = prop_oneof![
        4 => (lease.clone(), work, actor.clone(), prop::option::of(1..40u64)).prop_map(
            |(lease_id, work_id, actor_id, at_least)| Request::Issue(IssueRequest {
                lease_id,
                work_id,
                actor_id,
                ttl: TTL,
                at_least: at_least.map(Duration::from_secs),
            })
        ),
        2 => lease.clone().prop_map(|lease_id| renew(&lease_id)),
        2 => (lease.clone(), actor).prop_map(|(lease_id, actor_id)| release(&lease_id, &actor_id)),
        1 => lease.prop_map(|lease_id| revoke(&lease_id)),
        1 => Just(Request::ExpireDue),
    ];
    (request, 0..8u64, prop::bool::weighted(0.05))
}

proptest! {
    /// `take` panics as soon as the reducer refuses something.
    #[test]
    fn what_is_decided_is_never_refused(steps in prop::collection::vec(requests(), 1..60)) {
        let mut world = World::new();
        let mut boots = 0u8;
        for (request, seconds, is_reboot) in steps {
            world.pass(Duration::from_secs(seconds));
            world.wall = world.wall.wrapping_mul(6_364_136_223_846_793_005) >> 8;
            if is_reboot {
                boots += 1;
                world.tick = Tick::new(5, 1_000, ClockId::of(&[boots], b""));
            }
            let before = world.state().clone();
            if world.ask(&request).is_err() {
                prop_assert_eq!(world.state(), &before);
            }
        }
    }
}
