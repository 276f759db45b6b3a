//! Pooled sessions: strong leases keep a session alive, weak ones find it, a handle names it to the outside world.

use std::collections::HashMap;
use std::sync::Mutex;

use lease::{AcquireError, ControlBlockHandle, Leased, leased};

#[leased(owned, capacity = 1_000)]
struct Session {
    user: &'static str,
    inbox: Mutex<Vec<String>>,
}

/// The body makes the value, callers get the lease.
#[leased(owned)]
fn open(user: &'static str) -> Result<SessionLease, AcquireError> {
    Ok(Session {
        user,
        inbox: Mutex::default(),
    })
}

/// Finds sessions by name and keeps nobody logged in.
#[derive(Default)]
struct Directory {
    by_user: HashMap<&'static str, SessionWeak>,
}

impl Directory {
    fn enter(&mut self, session: &SessionLease) {
        self.by_user
            .insert(session.user, SessionLease::downgrade(session));
    }

    fn find(&self, user: &str) -> Option<SessionLease> {
        self.by_user.get(user)?.lock()
    }
}

/// A callback from a library that can carry one number for us.
fn on_event(key: u64, text: &str) -> bool {
    let Some(session) = Session::pool().lock(ControlBlockHandle::from_bits(key)) else {
        return false;
    };
    session
        .inbox
        .lock()
        .expect("no holder panics")
        .push(text.to_owned());
    true
}

fn main() -> Result<(), AcquireError> {
    let mut directory = Directory::default();
    let ada = open("ada")?;
    let bob = open("bob")?;
    directory.enter(&ada);
    directory.enter(&bob);
    assert_eq!(Session::pool().stats().live, 2);

    let key = SessionLease::handle(&ada).to_bits();
    assert!(on_event(key, "hello"));
    let found = directory.find("ada").expect("ada is logged in");
    assert_eq!(
        found.inbox.lock().expect("no holder panics").as_slice(),
        ["hello"]
    );

    drop(found);
    assert!(SessionLease::release(ada), "the directory keeps nobody alive");
    assert!(directory.find("ada").is_none());
    assert!(!on_event(key, "too late"), "the number went stale, it cannot lie");
    assert!(directory.find("bob").is_some());

    println!("{:?}", Session::pool());
    Ok(())
}
