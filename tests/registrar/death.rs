//! What becomes of the leases of a process that has died: decided on a ledger whose processes die on demand.

use std::sync::Arc;
use std::time::Duration;

use lease::ledger::{Ledger as _, Liveness};
use lease::{
    ClaimError, ClockId, Lease, LeaseChange, LeaseState, ManualClock, Registrar, RegistrarBuilder,
    RegistrarError, Signer,
};
use lease_tests::mortal::MortalLedger;

use crate::setup::TTL;

const LONG: Duration = Duration::from_mins(10);

/// Processes on one ledger, with one key and one clock.
struct World {
    first: MortalLedger,
    clock: ManualClock,
    signer: Signer,
}

impl World {
    fn new() -> Self {
        Self {
            first: MortalLedger::default(),
            clock: ManualClock::new(),
            signer: Signer::generate(),
        }
    }

    fn builder(&self) -> RegistrarBuilder {
        Registrar::builder()
            .clock(self.clock.clone())
            .signer(self.signer.clone())
    }

    /// A process, and its hold on the ledger.
    fn process(&self, name: &str) -> (Registrar, MortalLedger) {
        self.process_with(name, self.builder())
    }

    fn process_with(&self, name: &str, builder: RegistrarBuilder) -> (Registrar, MortalLedger) {
        let ledger = self.first.born(name);
        let registrar = builder.on(Arc::new(ledger.clone())).unwrap();
        (registrar, ledger)
    }
}

fn ended(registrar: &Registrar, lease: &Lease) -> (LeaseState, Option<String>) {
    let lease = registrar
        .query(|state| state.get(&lease.lease_id).unwrap().clone())
        .unwrap();
    (lease.state, lease.revocation_reason)
}

fn died() -> (LeaseState, Option<String>) {
    (LeaseState::Revoked, Some(LeaseChange::HOLDER_DIED.to_owned()))
}

fn is_busy<T>(result: &Result<T, RegistrarError>) -> bool {
    matches!(result, Err(RegistrarError::Busy(_)))
}

#[test]
fn the_lease_of_a_dead_process_is_taken_back_by_the_next_who_asks() {
    let world = World::new();
    let ((theirs, life), (ours, _)) = (world.process("theirs"), world.process("ours"));
    let lease = theirs.issue("work", TTL).wait().unwrap();
    assert!(is_busy(&ours.issue("work", TTL).wait()));
    life.die();
    let next = ours.issue("work", TTL).wait().unwrap();
    assert!(next.fencing_token > lease.fencing_token);
    assert_eq!(ended(&ours, &lease), died());
    ours.verify().unwrap();
}

#[test]
fn who_waits_for_the_dead_waits_no_longer() {
    let world = World::new();
    let ((theirs, life), (ours, _)) = (world.process("theirs"), world.process("ours"));
    theirs.issue("work", TTL).wait().unwrap();
    let waiting = ours.claim_timeout("work", TTL, LONG);
    life.die();
    // The clock stands still: it is no time-to-live that ends the wait.
    drop(waiting.wait().unwrap());
}

#[test]
fn whose_life_is_unknown_keeps_its_lease_to_its_end() {
    let world = World::new();
    let ((theirs, life), (ours, _)) = (world.process("theirs"), world.process("ours"));
    let lease = theirs.issue("work", TTL).wait().unwrap();
    life.vanish();
    assert!(is_busy(&ours.issue("work", TTL).wait()));
    assert_eq!(ours.expire_due().wait().unwrap(), []);
    world.clock.advance(TTL);
    ours.issue("work", TTL).wait().unwrap();
    assert_eq!(ended(&ours, &lease).0, LeaseState::Expired);
}

#[test]
fn expiring_what_is_due_takes_all_leases_of_the_dead_back_and_no_others() {
    let world = World::new();
    let ((theirs, life), (ours, _)) = (world.process("theirs"), world.process("ours"));
    let lost: Vec<_> = (0..20)
        .map(|number| theirs.issue(format!("work-{number}"), TTL).wait().unwrap())
        .collect();
    let kept = ours.issue("kept", TTL).wait().unwrap();
    life.die();
    // One of them is past its end as well, and ends once.
    let short = theirs.issue("short", Duration::from_secs(1)).wait().unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(ours.expire_due().wait().unwrap().len(), 21);
    assert!(lost.iter().all(|lease| ended(&ours, lease) == died()));
    assert_eq!(ended(&ours, &short).0, LeaseState::Expired);
    assert_eq!(ended(&ours, &kept).0, LeaseState::Active);
    ours.verify().unwrap();
    let records = ours.ledger().read(0, 1_000).unwrap();
    assert_eq!(lease::replay(lease::LeaseReducer::new(), &records).refused(), 0);
}

#[test]
fn the_dead_are_buried_when_the_last_of_their_leases_has_ended() {
    let world = World::new();
    let ((theirs, life), (ours, _)) = (world.process("theirs"), world.process("ours"));
    theirs.issue("one", TTL).wait().unwrap();
    theirs.issue("other", TTL).wait().unwrap();
    life.die();
    ours.issue("one", TTL).wait().unwrap();
    assert!(
        ours.ledger()
            .incarnations()
            .unwrap()
            .contains(&"theirs".to_owned()),
        "the other lease could not be taken back any more"
    );
    ours.issue("other", TTL).wait().unwrap();
    ours.close().wait().unwrap();
    assert!(
        !ours
            .ledger()
            .incarnations()
            .unwrap()
            .contains(&"theirs".to_owned())
    );
}

#[test]
fn who_died_with_nothing_in_hand_is_buried_by_the_next_who_comes() {
    let world = World::new();
    let ((holding, first_life), (idle, second_life)) = (world.process("holding"), world.process("idle"));
    holding.issue("work", TTL).wait().unwrap();
    drop(idle.try_claim("idle work", TTL).wait().unwrap());
    idle.close().wait().unwrap();
    first_life.die();
    second_life.die();
    let (ours, _) = world.process("ours");
    let mut left = ours.ledger().incarnations().unwrap();
    left.sort();
    assert_eq!(left, ["first", "holding", "ours"]);
    ours.issue("work", TTL).wait().unwrap();
}

#[test]
fn while_somebody_settles_a_death_nobody_else_does() {
    let world = World::new();
    let ((theirs, life), (ours, _)) = (world.process("theirs"), world.process("ours"));
    theirs.issue("work", TTL).wait().unwrap();
    life.die();
    let Liveness::Dead(remains) = world.first.liveness("theirs") else {
        panic!("it lives");
    };
    assert!(is_busy(&ours.issue("work", TTL).wait()));
    // Whoever wanted to settle it died before the commit.
    drop(remains);
    let lease = ours.issue("work", TTL).wait().unwrap();
    assert_eq!(ended(&ours, &lease).0, LeaseState::Active);
}

#[test]
fn a_work_item_that_is_closed_stays_closed_when_its_holder_dies() {
    let world = World::new();
    let ((theirs, life), (ours, _)) = (world.process("theirs"), world.process("ours"));
    let hour = Duration::from_hours(1);
    std::mem::forget(theirs.claim("cron", TTL).at_least(hour).acquire().wait().unwrap());
    life.die();
    let Err(ClaimError::Busy(busy)) = ours.try_claim("cron", TTL).wait() else {
        panic!("the item was open");
    };
    assert_eq!(busy.remaining(), hour);
    assert_eq!(ours.expire_due().wait().unwrap().len(), 1);
    assert!(is_busy(&ours.issue("cron", TTL).wait()));
    world.clock.advance(hour);
    ours.issue("cron", TTL).wait().unwrap();
}

#[test]
fn a_lock_delay_keeps_the_leases_of_the_dead_a_little_longer() {
    let world = World::new();
    let delay = Duration::from_secs(5);
    let (theirs, life) = world.process_with("theirs", world.builder().lock_delay(delay));
    let (ours, _) = world.process("ours");
    let lease = theirs.issue("work", TTL).wait().unwrap();
    life.die();
    assert!(is_busy(&ours.issue("work", TTL).wait()));
    world
        .clock
        .advance(delay.saturating_sub(Duration::from_millis(1)));
    assert!(is_busy(&ours.issue("work", TTL).wait()));
    let waiting = ours.claim_timeout("work", TTL, LONG);
    world.clock.advance(Duration::from_millis(1));
    drop(waiting.wait().unwrap());
    assert_eq!(ended(&ours, &lease), died());
}

#[test]
fn the_holder_of_another_clock_is_left_alone_for_as_long_as_it_lives() {
    let world = World::new();
    let container = ManualClock::with_id(ClockId::of(b"boot", b"container"));
    let host = ManualClock::with_id(ClockId::of(b"boot", b"host"));
    let (theirs, life) = world.process_with("theirs", world.builder().clock(container));
    let (ours, _) = world.process_with("ours", world.builder().clock(host.clone()));
    let lease = theirs.issue("work", TTL).wait().unwrap();
    assert!(is_busy(&ours.issue("work", TTL).wait()));
    // Whose life were unknown would have lost it by now.
    host.advance(TTL * 10);
    assert!(is_busy(&ours.issue("work", TTL).wait()));
    assert_eq!(ours.expire_due().wait().unwrap(), []);
    life.die();
    ours.issue("work", TTL).wait().unwrap();
    assert_eq!(ended(&ours, &lease), died());
}
