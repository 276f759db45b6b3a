//! What a child that was forked may do with its parent's registrar: nothing, and it is told so.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lease::ledger::LedgerError;
use lease::{Registrar, RegistrarError, Viewer};
use lease_tests::patience::eventually;

const TTL: Duration = Duration::from_secs(30);

fn is_refused<T>(result: Result<T, RegistrarError>) -> bool {
    matches!(result, Err(RegistrarError::Ledger(error)) if matches!(*error, LedgerError::Forked { .. }))
}

/// Whether a forked child says yes to everything; a child that waits for a thread it does not have is ended.
#[allow(unsafe_code, reason = "there is no other way to fork")]
fn in_a_child(asked: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child exits without unwinding into the test harness.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: has no preconditions.
        unsafe { libc::alarm(10) };
        let all = asked();
        // SAFETY: ends the child; has no preconditions.
        unsafe { libc::_exit(i32::from(!all)) };
    }
    let mut status = 0;
    // SAFETY: `child` is a child of this process and `status` outlives the call.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    (waited, status) == (child, 0)
}

#[test]
fn a_forked_child_is_told_so_and_waits_for_nobody() {
    let registrar = Registrar::in_memory().unwrap();
    assert!(in_a_child(|| {
        is_refused(registrar.issue("work", TTL).wait())
            && is_refused(registrar.query(|_| ()))
            && is_refused(registrar.verify())
            && is_refused(registrar.close().wait())
    }));
    registrar.issue("work", TTL).wait().unwrap();
}

/// Held by whoever opens a ledger here: a child keeps for ever what another thread has locked while it is forked, and
/// opening locks what all threads of a process share.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_forked_child_cannot_open_what_its_parent_has_open() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    let registrar = Registrar::open(&path).unwrap();
    assert!(in_a_child(|| {
        is_refused(Registrar::open(&path).map(drop)) && is_refused(registrar.issue("work", TTL).wait())
    }));
    registrar.issue("work", TTL).wait().unwrap();
    registrar.verify().unwrap();
}

/// The parent is looking at the lease when it forks, and keeps for ever, in the child, whatever it had locked.
#[test]
fn a_forked_child_may_ask_for_the_lease_at_any_moment() {
    let registrar = Registrar::in_memory().unwrap();
    let claim = registrar.try_claim("work", TTL).wait().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                drop(claim.lease());
            }
        });
        let all = (0..20).all(|_| in_a_child(|| claim.lease().work_id == "work"));
        is_over.store(true, Ordering::Relaxed);
        assert!(all);
    });
}

#[test]
fn a_claim_is_not_held_in_a_forked_child_and_its_drop_there_gives_nothing_back() {
    let registrar = Registrar::in_memory().unwrap();
    let mut claim = Some(registrar.try_claim("work", TTL).wait().unwrap());
    assert!(in_a_child(|| {
        let claim = claim.take().unwrap();
        let is_lost = {
            let mut lost = pin!(claim.lost());
            let polled = lost.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            polled == Poll::Ready(())
        };
        let is_held = claim.is_held() || !claim.remaining().is_zero();
        drop(claim);
        is_lost && !is_held
    }));
    let claim = claim.unwrap();
    assert!(claim.is_held());
    assert!(in_a_child(|| {
        // The parent keeps its own.
        let copy = registrar.clone();
        is_refused(copy.release("any", lease::ReleaseReason::Completed).wait())
    }));
    claim.release(lease::ReleaseReason::Completed).wait().unwrap();
}

/// How many descriptors of a file this process has.
fn opened(path: &Path) -> usize {
    let path = path.canonicalize().unwrap();
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let names = descriptors.filter_map(|descriptor| fs::read_link(descriptor.unwrap().path()).ok());
    names.filter(|name| *name == path).count()
}

/// A thread of the parent is opening a ledger when it forks, and is not there in the child to be done with it.
#[test]
fn a_forked_child_waits_for_no_ledger_that_its_parent_was_opening() {
    const ITSELF: &str = "forked::a_forked_child_waits_for_no_ledger_that_its_parent_was_opening";
    const IS_ALONE: &str = "LEASE_TEST_IS_ALONE";
    // In a process without other tests: the child has for ever what one of them has locked in SQLite at the fork.
    if std::env::var_os(IS_ALONE).is_none() {
        let mut process = Command::new(std::env::current_exe().unwrap());
        let output = process
            .args(["--exact", ITSELF])
            .env(IS_ALONE, "")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, own) = (folder.path().join("jobs.lease"), folder.path().join("own.lease"));
    Registrar::open(&path).unwrap().close().wait().unwrap();
    let gate = path.join("gate");
    eventually("it is closed", || opened(&gate) == 0);
    let held = fs::File::open(&gate).unwrap();
    held.lock().unwrap();
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| Registrar::open(&path).unwrap());
        eventually("it waits at the gate", || opened(&gate) == 2);
        assert!(in_a_child(|| is_refused(Registrar::open(&path).map(drop))));
        assert!(in_a_child(|| {
            let jobs = Registrar::open(&own).unwrap();
            jobs.issue("work", TTL).wait().is_ok()
        }));
        held.unlock().unwrap();
        opening.join().unwrap().verify().unwrap();
    });
}

#[test]
fn a_forked_child_closes_nothing_of_a_view_that_its_parent_has_open() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.lease");
    drop(Registrar::open(&path).unwrap());
    let database = path.join("ledger.db");
    eventually("the registrar is gone", || opened(&database) == 0);
    let mut viewer = Some(Viewer::open(&path).unwrap());
    let before = opened(&database);
    assert!(before > 0);
    assert!(in_a_child(|| {
        drop(viewer.take());
        opened(&database) == before
    }));
    viewer.take().unwrap().verify().unwrap();
    assert_eq!(opened(&database), 0);
}
