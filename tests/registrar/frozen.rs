//! A process that is stopped where it stops all others: inside the ledger's write section.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lease::ledger::{LedgerError, SqliteLedger};
use lease::{ClaimError, Registrar, RegistrarError, Signer};
use lease_tests::patience::eventually;
use rustix::process::{Pid, Signal, kill_process};

const LEDGER: &str = "LEASE_TEST_FROZEN";
const PATIENCE: Duration = Duration::from_millis(200);
const TTL: Duration = Duration::from_secs(1);

fn signer() -> Signer {
    Signer::from_bytes(&[7; 32])
}

/// What the child does: it claims an item, enters the section and stays there until its standard input ends. Then it
/// says whether it still holds its item.
#[test]
fn worker() {
    let Ok(path) = std::env::var(LEDGER) else {
        return;
    };
    let registrar = Registrar::builder().signer(signer()).open(path).unwrap();
    let claim = registrar.try_claim("theirs", TTL).wait().unwrap();
    let section = registrar.ledger().enter().unwrap();
    println!("\ninside");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(section);
    println!("\nheld {}", claim.is_held());
}

fn child(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "frozen::worker", "--nocapture"])
        .env(LEDGER, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn who_is_stopped_in_the_section_stops_all_and_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let ledger = SqliteLedger::open_with_patience(&path, PATIENCE).unwrap();
    let ours = Registrar::builder()
        .signer(signer())
        .on(Arc::new(ledger))
        .unwrap();

    let mut child = child(&path);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "inside"));
    // What we hold was obtained before, as far as the ledger is concerned.
    let records = ours.ledger().head().unwrap().sequence;
    kill_process(Pid::from_child(&child), Signal::STOP).unwrap();

    let refused = ours.issue("other", TTL).wait();
    match &refused {
        Err(RegistrarError::Ledger(error)) => assert!(
            matches!(**error, LedgerError::LedgerBusy { pid: Some(pid), .. } if pid == child.id()),
            "{error:?}"
        ),
        other => panic!("{other:?}"),
    }
    // Its item is nobody's: not ours while its lease lasts, and not when the lease has ended, for nobody can write.
    for _ in 0..8 {
        let refused = ours.try_claim("theirs", TTL).wait();
        assert!(
            matches!(
                &refused,
                Err(ClaimError::Busy(_) | ClaimError::Registrar(RegistrarError::Ledger(_)))
            ),
            "{refused:?}"
        );
        std::thread::sleep(PATIENCE);
    }
    // Reading goes on, and nothing was written.
    assert_eq!(ours.ledger().head().unwrap().sequence, records);
    ours.verify().unwrap();

    kill_process(Pid::from_child(&child), Signal::CONT).unwrap();
    drop(child.stdin.take());
    assert!(
        lines.any(|line| line.unwrap() == "held false"),
        "it outlived its own deadline"
    );
    assert!(child.wait().unwrap().success());
    let claim = ours
        .claim_timeout("theirs", TTL, Duration::from_mins(1))
        .wait()
        .unwrap();
    assert!(claim.is_held());
    ours.issue("other", TTL).wait().unwrap();
    ours.verify().unwrap();
}

#[test]
fn a_claim_ends_at_its_deadline_while_somebody_else_is_stopped_in_the_section() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let ledger = SqliteLedger::open_with_patience(&path, PATIENCE).unwrap();
    let ours = Registrar::builder()
        .signer(signer())
        .on(Arc::new(ledger))
        .unwrap();
    let claim = ours.try_claim("ours", Duration::from_secs(3)).wait().unwrap();
    let mut child = child(&path);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "inside"));
    kill_process(Pid::from_child(&child), Signal::STOP).unwrap();
    eventually("the claim to end", || !claim.is_held());
    kill_process(Pid::from_child(&child), Signal::CONT).unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    // What was given up stays given up, though the ledger is well again and the lease may have been renewed.
    assert!(!claim.is_held());
    drop(claim);
    drop(
        ours.claim_timeout("ours", TTL, Duration::from_mins(1))
            .wait()
            .unwrap(),
    );
    ours.verify().unwrap();
}
