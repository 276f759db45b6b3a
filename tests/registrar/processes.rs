//! Several processes on one ledger.
//!
//! A child is this test binary again, told by its environment to be a worker.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lease::ledger::LedgerError;
use lease::{ClaimError, Registrar, RegistrarError, ReleaseReason};
use lease_tests::patience::eventually;

const LEDGER: &str = "LEASE_TEST_LEDGER";
const ROLE: &str = "LEASE_TEST_ROLE";
const ITEMS: usize = 40;

/// Longer than any test waits.
pub(crate) const LONG: Duration = Duration::from_mins(10);

/// What a child does; in a test run of its own it is nothing.
#[test]
fn worker() {
    let (Ok(path), Ok(role)) = (std::env::var(LEDGER), std::env::var(ROLE)) else {
        return;
    };
    let registrar = Registrar::open(path).unwrap();
    match role.as_str() {
        // Works off all items: each is done by one, and then nobody wants it again.
        "work" => {
            for item in 0..ITEMS {
                let work = format!("item-{item}");
                let claim = registrar
                    .claim(work, Duration::from_mins(1))
                    .at_least(Duration::from_hours(1))
                    .acquire()
                    .wait();
                match claim {
                    Ok(claim) => claim.release(ReleaseReason::Completed).wait().unwrap(),
                    Err(ClaimError::Busy(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            registrar.close().wait().unwrap();
        }
        // Waits for one item and holds it until it is killed.
        "hold" | "hold for long" => {
            let ttl = if role == "hold" {
                Duration::from_secs(1)
            } else {
                LONG
            };
            let claim = registrar.claim_timeout("held", ttl, LONG).wait().unwrap();
            println!("\nholding {}", claim.fencing_token());
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        // Ends without giving back what it has.
        "leave" => {
            registrar.issue("held", LONG).wait().unwrap();
        }
        // Issues a lease before a rotation that it has no part in, and one after it.
        "see a key rotated" => {
            registrar.issue("before", LONG).wait().unwrap();
            eventually("the key is rotated", || {
                registrar
                    .query(|state| state.has_active_lease("rotated"))
                    .unwrap()
            });
            registrar.issue("after", LONG).wait().unwrap();
        }
        // Has the ledger open and holds nothing.
        "come and go" => {}
        other => panic!("unknown role {other}"),
    }
}

pub(crate) fn child(ledger: &Path, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::worker", "--nocapture"])
        .env(LEDGER, ledger)
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until a child says that it holds its item, and returns the token.
pub(crate) fn holding(child: &mut Child) -> u64 {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    lines
        .find_map(|line| Some(line.unwrap().strip_prefix("holding ")?.parse().unwrap()))
        .unwrap()
}

#[test]
fn several_processes_share_the_work_and_nothing_is_done_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    // All four find no ledger and make it together.
    let children: Vec<_> = (0..4).map(|_| child(&path, "work")).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let registrar = Registrar::open(&path).unwrap();
    let (issued, completed) = registrar
        .query(|state| (state.len(), state.released_count()))
        .unwrap();
    assert_eq!((issued, completed), (ITEMS, ITEMS));
    registrar.verify().unwrap();
    let records = registrar.ledger().read(0, usize::MAX).unwrap();
    let replayed = lease::replay(lease::LeaseReducer::new(), &records);
    assert_eq!(replayed.refused(), 0);
    registrar
        .query(|live| assert_eq!(replayed.state(), live))
        .unwrap();
}

#[test]
fn the_item_of_a_killed_process_is_free_after_its_time_to_live_if_nobody_can_tell_that_it_died() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let mut holder = child(&path, "hold");
    let token = holding(&mut holder);
    for file in fs::read_dir(path.join("live")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }

    let registrar = Registrar::open(&path).unwrap();
    assert!(matches!(
        registrar.try_claim("held", Duration::from_secs(5)).wait(),
        Err(ClaimError::Busy(_))
    ));
    // It renews itself for as long as it lives: longer than its time-to-live.
    std::thread::sleep(Duration::from_millis(1_500));
    let renewed = registrar.query(|state| state.get_active_lease_for_work("held").unwrap().renewal_count);
    assert!(renewed.unwrap() > 0);

    holder.kill().unwrap();
    holder.wait().unwrap();
    let claim = registrar
        .claim_timeout("held", Duration::from_secs(5), Duration::from_secs(30))
        .wait()
        .unwrap();
    assert!(claim.fencing_token().get() > token);
    let expired = registrar.query(lease::LeaseReducerState::expired_count).unwrap();
    assert_eq!(expired, 1);
    registrar.verify().unwrap();
}

#[test]
fn opening_a_ledger_twice_in_one_process_gives_one_registrar() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let one = Registrar::open(&path).unwrap();
    let other = Registrar::open(folder.path().join(".").join("jobs.lease")).unwrap();
    assert_eq!(one.actor(), other.actor());
    let named = Registrar::builder().actor("night shift").open(&path).unwrap();
    assert_eq!(named.actor(), "night shift");
    // Closed through one handle, closed for all; opened again, it is a new one.
    one.close().wait().unwrap();
    assert!(other.issue("work", Duration::from_secs(5)).wait().is_err());
    let again = Registrar::open(&path).unwrap();
    drop(again.try_claim("work", Duration::from_secs(5)).wait().unwrap());
}

#[test]
fn a_last_handle_that_is_dropped_still_releases_its_claims() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    {
        let registrar = Registrar::open(&path).unwrap();
        drop(
            registrar
                .try_claim("work", Duration::from_mins(1))
                .wait()
                .unwrap(),
        );
    }
    let registrar = Registrar::open(&path).unwrap();
    eventually("the release", || {
        !registrar.query(|state| state.has_active_lease("work")).unwrap()
    });
}

#[test]
fn a_copied_ledger_is_opened_when_it_is_adopted() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("jobs.lease"), folder.path().join("copy.lease"));
    let original = Registrar::open(&path).unwrap();
    let lease = original.issue("work", LONG).wait().unwrap();
    original.close().wait().unwrap();
    drop(original);
    assert!(
        Command::new("cp")
            .arg("-a")
            .args([&path, &copy])
            .status()
            .unwrap()
            .success()
    );
    assert!(matches!(
        Registrar::open(&copy),
        Err(RegistrarError::Ledger(error)) if matches!(*error, LedgerError::LedgerMoved { .. })
    ));
    let adopted = Registrar::adopt(&copy).unwrap();
    adopted.verify().unwrap();
    // Whether the holder lives cannot be told from a copy of its file.
    assert!(matches!(
        adopted.try_claim("work", LONG).wait(),
        Err(ClaimError::Busy(_))
    ));
    adopted
        .revoke(lease.lease_id, "the original is gone")
        .wait()
        .unwrap();
    drop(adopted.try_claim("work", LONG).wait().unwrap());
    drop(adopted);
    // It is at home now.
    drop(Registrar::open(&copy).unwrap());
}
