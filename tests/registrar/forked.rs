//! What a child that was forked may do with its parent's registrar: nothing, and it is told so.

use std::time::Duration;

use lease::ledger::LedgerError;
use lease::{Registrar, RegistrarError};

const TTL: Duration = Duration::from_secs(30);

#[test]
#[allow(unsafe_code, reason = "there is no other way to fork")]
fn a_forked_child_is_told_so_and_waits_for_nobody() {
    let registrar = Registrar::in_memory().unwrap();
    // SAFETY: the child takes no lock that another thread could have held at the fork, and exits without unwinding
    // into the test harness.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: has no preconditions; it ends a child that waits for a thread it does not have.
        unsafe { libc::alarm(10) };
        let is_refused = |refused| matches!(refused, Err(RegistrarError::Ledger(error)) if matches!(*error, LedgerError::Forked { .. }));
        let all =
            is_refused(registrar.issue("work", TTL).wait().map(drop)) && is_refused(registrar.close().wait());
        // SAFETY: ends the child; has no preconditions.
        unsafe { libc::_exit(i32::from(!all)) };
    }
    let mut status = 0;
    // SAFETY: `child` is a child of this process and `status` outlives the call.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0));
    registrar.issue("work", TTL).wait().unwrap();
}
