//! The end of an owner: what is left is freed and reported.

use std::mem;
use std::sync::{Arc, Mutex};

use lease::{LeakReport, LeaseOwner, OwnedLease};
use lease_tests::bookkeeper::Bookkeeper;

#[test]
fn an_owner_frees_what_nobody_terminated_and_says_where_it_came_from() {
    let books = Bookkeeper::new();
    let told: Arc<Mutex<Option<LeakReport>>> = Arc::default();
    let hear = Arc::clone(&told);
    let owner =
        LeaseOwner::with_strategy(&books).on_leak(move |leaks| *hear.lock().unwrap() = Some(leaks.clone()));
    let number = owner.report().owner;
    let (_, raw) = OwnedLease::into_raw(owner.own([0_u8; 10]).unwrap());
    let line = line!() - 1;
    let forgotten = owner.own([0_u8; 20]).unwrap();
    let id = OwnedLease::tenant_id(&forgotten);
    mem::forget(forgotten);
    drop(owner.own([0_u8; 30]).unwrap());
    drop(owner);

    assert_eq!(books.live(), []);
    let leaks = told.lock().unwrap().take().expect("the hook was called");
    assert_eq!((leaks.owner, leaks.bytes), (number, 30));
    assert_eq!(
        leaks
            .tenants
            .iter()
            .map(lease::LeaseTenant::id)
            .collect::<Vec<_>>(),
        [raw, id]
    );
    assert_eq!(
        (
            leaks.tenants[0].location().file(),
            leaks.tenants[0].location().line()
        ),
        (file!(), line)
    );
    let printed = leaks.to_string();
    assert!(
        printed.starts_with(&format!("owner {number} ended with 2 leaks (30 bytes)\n")),
        "{printed}"
    );
    assert_eq!(printed.lines().count(), 4);
}

static FIXED: u8 = 1;

#[test]
fn an_owner_without_leaks_tells_nobody() {
    let owner = LeaseOwner::new().on_leak(|leaks| panic!("{leaks}"));
    let lent = 2_u8;
    owner.track_static(&FIXED).unwrap();
    mem::forget(owner.record(&lent));
    drop(owner.own(3_u8).unwrap());
    assert!(owner.close().is_empty());
}

#[test]
fn closing_returns_the_report_instead() {
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books).on_leak(|_| panic!("closed, not dropped"));
    let _ = OwnedLease::into_raw(owner.own(1_u64).unwrap());
    let leaks = owner.close();
    assert_eq!(
        (leaks.bytes, leaks.tenants.len(), leaks.is_empty()),
        (8, 1, false)
    );
    assert_eq!(books.live(), []);
}

#[test]
fn a_panic_in_the_hook_ends_there() {
    struct Loud;
    impl Drop for Loud {
        fn drop(&mut self) {
            panic!("what a panic carries may panic too");
        }
    }
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books).on_leak(|_| std::panic::panic_any(Loud));
    let _ = OwnedLease::into_raw(owner.own(1_u64).unwrap());
    drop(owner);
    assert_eq!(books.live(), []);
}

#[test]
fn destructors_do_not_run_for_leaked_values() {
    struct Never;
    impl Drop for Never {
        fn drop(&mut self) {
            unreachable!("nobody may drop a value that was leaked");
        }
    }
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books);
    mem::forget(owner.own((Never, 1_u8)).unwrap());
    assert_eq!(owner.close().bytes, 1);
    assert_eq!(books.live(), []);
}
