//! `#[leased(owned)]`.

use std::collections::HashMap;
use std::sync::Mutex;

use lease::strategy::{Quota, System};
use lease::{AcquireError, ControlBlockHandle, Leased, StrongLease, leased};

#[leased(owned, capacity = 10_000)]
#[derive(Debug, Default)]
struct Session {
    user: u32,
    inbox: Mutex<Vec<&'static str>>,
}

impl Session {
    fn open(user: u32) -> Result<Self, UnknownUser> {
        if user == 0 {
            return Err(UnknownUser);
        }
        Ok(Self {
            user,
            ..Self::default()
        })
    }
}

#[derive(Debug)]
struct UnknownUser;

#[derive(Debug, PartialEq)]
enum LoginError {
    Unknown,
    Full,
}

impl From<UnknownUser> for LoginError {
    fn from(_: UnknownUser) -> Self {
        Self::Unknown
    }
}

impl From<AcquireError> for LoginError {
    fn from(_: AcquireError) -> Self {
        Self::Full
    }
}

#[leased(owned)]
fn login(user: u32) -> Result<SessionLease, LoginError> {
    Ok(Session::open(user)?)
}

#[derive(Default)]
struct Directory {
    by_user: HashMap<u32, SessionWeak>,
}

impl Directory {
    fn find(&self, user: u32) -> Option<SessionLease> {
        self.by_user.get(&user)?.lock()
    }
}

#[test]
fn a_type_gets_a_pool_and_names_for_its_leases() {
    let session = Session::lease(Session {
        user: 7,
        ..Session::default()
    });
    let mut directory = Directory::default();
    directory.by_user.insert(7, StrongLease::downgrade(&session));
    assert_eq!(directory.find(7).map(|found| found.user), Some(7));
    drop(session);
    assert!(directory.find(7).is_none(), "a weak lease keeps nobody alive");
}

#[test]
fn a_plain_number_finds_the_session_while_it_lives() {
    let session = Session::lease(Session {
        user: 8,
        ..Session::default()
    });
    let key = StrongLease::handle(&session).to_bits();
    let found = Session::pool().lock(ControlBlockHandle::from_bits(key)).unwrap();
    found.inbox.lock().unwrap().push("event");
    drop((session, found));
    assert!(Session::pool().lock(ControlBlockHandle::from_bits(key)).is_none());
}

#[test]
fn the_body_makes_the_value_and_callers_get_the_lease() {
    assert_eq!(login(9).unwrap().user, 9);
    assert_eq!(login(0).unwrap_err(), LoginError::Unknown);
}

#[derive(Debug)]
#[leased(owned, capacity = ONE, strong = TheTicket, weak = TicketWatcher)]
struct Ticket(#[expect(dead_code, reason = "only its slot matters")] u32);

const ONE: usize = 1;

#[test]
fn a_full_pool_is_the_functions_own_error() {
    #[leased(owned)]
    fn draw(number: u32) -> Result<Option<TheTicket>, LoginError> {
        if number == 0 {
            return Ok(None);
        }
        Ok(Some(Ticket(number)))
    }
    #[leased(owned)]
    fn draw_or_panic(number: u32) -> Option<TheTicket> {
        Some(Ticket(number))
    }
    assert!(draw(0).unwrap().is_none());
    let first = draw(1).unwrap().unwrap();
    let watcher: TicketWatcher = StrongLease::downgrade(&first);
    assert_eq!(draw(2).unwrap_err(), LoginError::Full);
    assert!(
        std::panic::catch_unwind(|| draw_or_panic(3)).is_err(),
        "nothing else can say it"
    );
    drop((first, watcher));
    assert!(draw(4).is_ok());
}

#[test]
fn a_static_strategy_serves_the_pool() {
    static STRATEGY: Quota<System> = Quota::bytes(1 << 20, System);

    #[leased(owned, strategy = STRATEGY)]
    struct Node(u64);

    let node = Node::lease(Node(7));
    assert_eq!(node.0, 7);
}

#[test]
fn methods_generics_and_async_bodies_make_leases() {
    struct Factory {
        made: u32,
    }
    impl Factory {
        #[leased(owned)]
        fn next<T: Into<u32>>(&mut self, by: T) -> StrongLease<Session> {
            self.made += by.into();
            Session {
                user: self.made,
                ..Session::default()
            }
        }

        #[leased(owned)]
        async fn later(mut self, early: bool) -> Result<SessionLease, LoginError> {
            if early {
                return Ok(Session::open(self.made)?);
            }
            tokio::task::yield_now().await;
            self.made += 1;
            Ok(Session::open(self.made)?)
        }
    }

    let mut factory = Factory { made: 1 };
    assert_eq!(factory.next(2_u8).user, 3);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    assert_eq!(
        runtime.block_on(Factory { made: 0 }.later(true)).unwrap_err(),
        LoginError::Unknown
    );
    let later = runtime.block_on(runtime.spawn(factory.later(false))).unwrap();
    assert_eq!(later.unwrap().user, 4);
}

#[test]
fn coercions_that_the_signature_allows_still_happen_in_the_body() {
    #[leased(owned)]
    struct Painter(Box<dyn Fn(u32) -> u32 + Send + Sync>);

    #[leased(owned)]
    fn painter(early: bool) -> Result<PainterLease, Box<dyn std::error::Error>> {
        if early {
            return Err("early".into());
        }
        let number: u32 = "7".parse()?;
        Ok(Painter(Box::new(move |by| number * by)))
    }
    assert_eq!((painter(false).unwrap().0)(6), 42);
    assert!(painter(true).is_err());
}

#[leased(owned, recycle = Buffer::empty)]
struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    fn empty(&mut self) {
        self.bytes.clear();
    }
}

#[test]
fn a_recycled_type_keeps_its_payloads_and_resets_them() {
    drop(Buffer::lease(Buffer { bytes: vec![7; 1000] }));
    let again = Buffer::pool().acquire_recycled(|| panic!("one was kept"));
    assert!(again.bytes.is_empty());
    assert!(again.bytes.capacity() >= 1000);
}
