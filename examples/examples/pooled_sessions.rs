//! Pooled sessions: strong leases keep a session alive, weak ones find it, a handle names it to the outside world.

use std::collections::HashMap;
use std::sync::Mutex;

use lease::{AcquireError, ControlBlockHandle, Leased, Pool, StrongLease, WeakLease, strategy::System};

struct Session {
    user: &'static str,
    inbox: Mutex<Vec<String>>,
}

/// What `#[leased(owned, capacity = 1_000)]` writes for a type.
impl Leased for Session {
    type Strategy = System;

    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<Session> = Pool::builder().capacity(1_000).build();
        &POOL
    }
}

impl Session {
    fn open(user: &'static str) -> Result<StrongLease<Self>, AcquireError> {
        Session::try_lease(Session {
            user,
            inbox: Mutex::new(Vec::new()),
        })
    }
}

/// Finds sessions by name and keeps nobody logged in.
#[derive(Default)]
struct Directory {
    by_user: HashMap<&'static str, WeakLease<Session>>,
}

impl Directory {
    fn enter(&mut self, session: &StrongLease<Session>) {
        self.by_user.insert(session.user, StrongLease::downgrade(session));
    }

    fn find(&self, user: &str) -> Option<StrongLease<Session>> {
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
    let ada = Session::open("ada")?;
    let bob = Session::open("bob")?;
    directory.enter(&ada);
    directory.enter(&bob);
    assert_eq!(Session::pool().stats().live, 2);

    let key = StrongLease::handle(&ada).to_bits();
    assert!(on_event(key, "hello"));
    let found = directory.find("ada").expect("ada is logged in");
    assert_eq!(
        found.inbox.lock().expect("no holder panics").as_slice(),
        ["hello"]
    );

    drop(found);
    assert!(StrongLease::release(ada), "the directory keeps nobody alive");
    assert!(directory.find("ada").is_none());
    assert!(!on_event(key, "too late"), "the number went stale, it cannot lie");
    assert!(directory.find("bob").is_some());

    println!("{:?}", Session::pool());
    Ok(())
}
