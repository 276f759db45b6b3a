//! Processes that die with leases in their hands, for real. Time-to-lives are longer than any test waits, so what ends
//! a lease here is the death of its holder.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use lease::ledger::{Ledger, Liveness, SqliteLedger};
use lease::{ClaimError, EventRecord, LeaseChange, LeaseEvent as _, Registrar};
use lease_tests::patience::eventually;
use rustix::process::{Pid, Signal, kill_process};

use crate::processes::{LONG, child, holding};

/// How long something may take that is promised to happen at once: this is no test of speed.
const PATIENCE: Duration = Duration::from_mins(1);

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The end of a child of which nobody is left to be seen.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn reaped(path: &Path, role: &str) -> Reaped {
    Reaped(child(path, role))
}

/// What happened to leases, in order.
fn history(registrar: &Registrar) -> Vec<LeaseChange> {
    let records: Vec<EventRecord> = registrar.ledger().read(0, 10_000).unwrap();
    let replayed = lease::replay(lease::LeaseReducer::new(), &records);
    assert_eq!(replayed.refused(), 0);
    registrar.verify().unwrap();
    records
        .iter()
        .filter_map(|record| LeaseChange::from_record(record).unwrap())
        .filter(|change| !matches!(change, LeaseChange::Renewed { .. }))
        .collect()
}

fn is_by_death(change: &LeaseChange) -> bool {
    matches!(change, LeaseChange::Revoked { reason, .. } if reason == LeaseChange::HOLDER_DIED)
}

#[test]
fn the_item_of_a_killed_process_goes_to_who_waits_for_it() {
    const RUNS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let mut holder = reaped(&path, "hold for long");
        let token = holding(&mut holder.0);
        let waiting = registrar.claim_timeout("held", LONG, PATIENCE);
        // In the line, and looked at more than once.
        std::thread::sleep(Duration::from_millis(25));
        let killed = Instant::now();
        holder.0.kill().unwrap();
        let claim = waiting.wait().unwrap();
        times.push(killed.elapsed());
        assert!(claim.fencing_token().get() > token);
        claim.release(lease::ReleaseReason::Completed).wait().unwrap();
    }
    let changes = history(&registrar);
    assert_eq!(changes.len(), 4 * RUNS);
    for round in changes.chunks(4) {
        assert!(matches!(round[0], LeaseChange::Issued { .. }), "{round:?}");
        assert!(is_by_death(&round[1]), "{round:?}");
        assert!(matches!(round[2], LeaseChange::Issued { .. }), "{round:?}");
        assert!(matches!(round[3], LeaseChange::Released { .. }), "{round:?}");
    }
    times.sort_unstable();
    println!(
        "from kill -9 to the next holder, {RUNS} times: {:?} to {:?}, median {:?}",
        times[0],
        times[RUNS - 1],
        times[RUNS / 2]
    );
}

#[test]
fn the_item_of_a_process_that_ended_goes_to_who_only_tries() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let mut leaving = reaped(&path, "leave");
    assert!(leaving.0.wait().unwrap().success());
    let registrar = Registrar::open(&path).unwrap();
    drop(registrar.try_claim("held", LONG).wait().unwrap());
    assert!(is_by_death(&history(&registrar)[1]));
}

#[test]
fn what_a_closed_registrar_left_behind_goes_to_the_next_in_the_same_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let left = Registrar::open(&path).unwrap();
    let lease = left.issue("held", LONG).wait().unwrap();
    drop(left);
    eventually("the ledger to be closed", || {
        SqliteLedger::open(&path).unwrap().incarnation() != Some(&*lease.session_id)
    });
    let registrar = Registrar::open(&path).unwrap();
    drop(registrar.claim_timeout("held", LONG, PATIENCE).wait().unwrap());
    // A lease whose registrar is still there is somebody's.
    let lease = registrar.issue("other", LONG).wait().unwrap();
    let again = Registrar::open(&path).unwrap();
    assert!(matches!(
        again.try_claim("other", LONG).wait(),
        Err(ClaimError::Busy(_))
    ));
    drop(lease);
}

#[test]
fn a_process_that_is_stopped_keeps_its_item() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    let mut holder = reaped(&path, "hold for long");
    holding(&mut holder.0);
    kill_process(Pid::from_child(&holder.0), Signal::STOP).unwrap();
    let refused = registrar
        .claim_timeout("held", LONG, Duration::from_millis(300))
        .wait();
    assert!(matches!(refused, Err(ClaimError::Busy(_))), "{refused:?}");
    assert_eq!(registrar.expire_due().wait().unwrap(), []);
    // Killed while it is stopped it is dead like any other.
    kill(&mut holder.0);
    drop(registrar.try_claim("held", LONG).wait().unwrap());
}

#[test]
fn of_many_who_wait_for_the_item_of_the_dead_one_gets_it() {
    const PROCESSES: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    let mut children: Vec<_> = (0..PROCESSES).map(|_| reaped(&path, "hold for long")).collect();
    for left in (0..PROCESSES).rev() {
        let mut at = None;
        eventually("somebody who lives to hold it", || {
            let holder = registrar
                .query(|state| Some(state.get_active_lease_for_work("held")?.actor_id.clone()))
                .unwrap();
            let pid = holder.and_then(|actor| actor.split('/').nth(1)?.parse::<u32>().ok());
            at = children.iter().position(|child| Some(child.0.id()) == pid);
            at.is_some()
        });
        kill(&mut children.swap_remove(at.unwrap()).0);
        assert_eq!(children.len(), left);
    }
    drop(registrar.try_claim("held", LONG).wait().unwrap());
    let changes = history(&registrar);
    let deaths = changes.iter().filter(|change| is_by_death(change)).count();
    assert_eq!(deaths, PROCESSES);
}

#[test]
fn who_dies_while_settling_a_death_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    let mut holder = reaped(&path, "hold for long");
    holding(&mut holder.0);
    let dead = registrar
        .query(|state| {
            state
                .get_active_lease_for_work("held")
                .unwrap()
                .session_id
                .to_string()
        })
        .unwrap();
    let mut settling = reaped(&path, "hold for long");
    eventually("the other child to come", || {
        registrar.ledger().incarnations().unwrap().len() == 3
    });
    // Nobody can commit, so the other child finds the dead and stands there with the remains in hand.
    let section = registrar.ledger().enter().unwrap();
    kill(&mut holder.0);
    eventually("the child to find the dead", || {
        // Looking is taking, for a moment; the child tries again and again.
        let found = registrar.ledger().liveness(&dead);
        let is_taken = matches!(found, Liveness::Alive);
        drop(found);
        std::thread::sleep(Duration::from_millis(5));
        is_taken
    });
    kill(&mut settling.0);
    drop(section);
    drop(registrar.try_claim("held", LONG).wait().unwrap());
    assert!(is_by_death(&history(&registrar)[1]));
}

#[test]
fn what_the_dead_leave_in_the_directory_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    for _ in 0..3 {
        // As after a crash between the commit that ends the last lease and the removal: nothing held, the file there.
        assert!(reaped(&path, "come and go").0.wait().unwrap().success());
    }
    let live = || fs::read_dir(path.join("live")).unwrap().count();
    assert_eq!(live(), 1, "each removes what the one before it left");
    assert!(reaped(&path, "leave").0.wait().unwrap().success());
    let registrar = Registrar::open(&path).unwrap();
    assert_eq!(live(), 2, "ours, and the one that its lease can be taken back by");
    drop(registrar.try_claim("held", LONG).wait().unwrap());
    eventually("the removal", || live() == 1);
}
