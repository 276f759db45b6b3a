//! Guards: typed, safe, and gone when they are dropped.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lease::strategy::{MemoryStrategy, Tracked};
use lease::{BorrowedFields, BorrowedLease, LeaseOwner, OwnedLease, Recorded, TrackBorrowed, Tracking};
use lease_tests::bookkeeper::Bookkeeper;

use crate::raw::terminate;

/// Counts its drops, and panics in them if asked.
struct Payload<'a>(&'a Cell<u32>, bool);

impl Drop for Payload<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        assert!(!self.1, "the destructor was told to panic");
    }
}

#[test]
fn a_value_is_dropped_once_and_before_its_memory_goes_back() {
    let drops = Cell::new(0);
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books);
    let lease = owner.own(Payload(&drops, false)).unwrap();
    assert_eq!((drops.get(), books.live().len()), (0, 1));
    drop(lease);
    assert_eq!((drops.get(), books.live().len(), owner.len()), (1, 0, 0));
}

#[test]
fn memory_goes_back_even_if_the_destructor_panics() {
    let drops = Cell::new(0);
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books);
    let lease = owner.own(Payload(&drops, true)).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(lease))).is_err());
    assert_eq!((drops.get(), books.live().len(), owner.len()), (1, 0, 0));
}

#[test]
fn memory_goes_back_if_making_the_value_panics() {
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books);
    let made = catch_unwind(AssertUnwindSafe(|| {
        owner.own_with(|| -> u64 { panic!("no value") })
    }));
    assert!(made.is_err());
    assert_eq!((books.live().len(), owner.len()), (0, 0));
}

#[test]
fn a_value_is_not_made_without_a_place_for_it() {
    let books = Bookkeeper::new();
    books.close();
    let owner = LeaseOwner::with_strategy(&books);
    assert!(
        owner
            .own_with(|| -> u64 { panic!("made without a place") })
            .is_err()
    );
}

#[test]
fn a_destructor_may_use_the_owner() {
    struct Asks<'a>(&'a LeaseOwner, &'a Cell<usize>);
    impl Drop for Asks<'_> {
        fn drop(&mut self) {
            let scratch = self.0.own(1_u8).unwrap();
            self.1.set(self.0.len());
            drop(scratch);
        }
    }
    let owner = LeaseOwner::new();
    let seen = Cell::new(0);
    drop(owner.own(Asks(&owner, &seen)).unwrap());
    // The value was still on record while it was dropped.
    assert_eq!((seen.get(), owner.len()), (2, 0));
}

#[test]
fn bytes_and_text_are_copies() {
    let owner = LeaseOwner::new();
    let mut bytes = owner.own_bytes(b"bytes").unwrap();
    bytes[0] = b'B';
    let mut text = owner.own_str("grüße").unwrap();
    text.make_ascii_uppercase();
    assert_eq!((&*bytes, &*text), (&b"Bytes"[..], "GRüßE"));
    assert_eq!(OwnedLease::object(&text).size(), "grüße".len());
}

#[test]
fn a_region_can_be_written_through() {
    let owner = LeaseOwner::new();
    let mut region = owner
        .alloc_owned(std::alloc::Layout::new::<[u64; 512]>())
        .unwrap();
    assert_eq!(region.len(), 4096);
    for byte in region.iter_mut() {
        byte.write(0xa5);
    }
    // SAFETY: every byte was written above.
    assert!(region.iter().all(|byte| unsafe { byte.assume_init() } == 0xa5));
}

#[test]
fn a_borrow_ends_with_its_guard() {
    let owner = LeaseOwner::new();
    let memory = [0_u8; 10];
    let lent = owner.borrow(&memory[2..]);
    assert_eq!(lent.tenant(), owner.tenant(&raw const memory[2]));
    assert_eq!(lent.tenant().unwrap().object().size(), 8);
    drop(lent);
    assert!(owner.is_empty());
}

#[test]
fn a_recorded_address_leaves_the_memory_to_its_owner() {
    let owner = LeaseOwner::new();
    let mut memory = vec![0_u8; 10];
    let recorded = owner.record(&memory[..]);
    memory.push(1);
    drop(memory);
    assert_eq!(owner.len(), 1);
    drop(recorded);
    assert!(owner.is_empty());
}

#[test]
fn tracking_records_each_field_and_derefs_to_the_value() {
    struct Packet<'a> {
        header: &'a str,
        body: &'a mut [u16],
        empty: &'a [u8],
    }
    impl TrackBorrowed for Packet<'_> {
        fn borrowed_fields(&self, fields: &mut BorrowedFields<'_>) {
            fields.record(self.header);
            fields.record(&*self.body);
            fields.record(self.empty);
        }
    }
    let owner = LeaseOwner::new();
    let mut body = [0_u16; 6];
    let packet = Packet {
        header: "head",
        body: &mut body,
        empty: &[],
    };
    let tracked = packet.track(&owner);
    let sizes: Vec<_> = Tracking::tenants(&tracked)
        .map(|tenant| tenant.object().size())
        .collect();
    assert_eq!((sizes, owner.len(), tracked.header), (vec![4, 12], 2, "head"));
    assert_eq!(
        Tracking::tenants(&tracked).next().unwrap().location().file(),
        file!()
    );
    drop(tracked);
    assert!(owner.is_empty());
    packet.body[0] = 1;
}

#[test]
fn guards_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<LeaseOwner<Tracked<Bookkeeper>>>();
    crosses::<OwnedLease<'static>>();
    crosses::<OwnedLease<'static, String>>();
    crosses::<BorrowedLease<'static, 'static>>();
    crosses::<Recorded<'static>>();
    crosses::<Tracking<'static, str>>();

    let owner = LeaseOwner::new();
    let text = owner.own(String::from("from afar")).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(text));
    });
    assert!(owner.is_empty());
}

#[test]
fn a_typed_lease_is_raw_memory_to_the_address_layer() {
    let drops = Cell::new(0);
    let books = Bookkeeper::new();
    let owner = LeaseOwner::with_strategy(&books);
    let lease = owner.own(Payload(&drops, false)).unwrap();
    let at = std::ptr::from_ref(&*lease);
    let (address, tenant) = OwnedLease::into_raw(lease);
    assert_eq!(
        (
            address.as_ptr().cast_const().cast(),
            owner.tenant(at).unwrap().id()
        ),
        (at, tenant)
    );
    // SAFETY: the value is used only here, and only once.
    unsafe { address.cast::<Payload<'_>>().drop_in_place() };
    let ended = terminate(&owner, at, tenant);
    assert_eq!((ended, drops.get(), books.live().len()), (Ok(()), 1, 0));
}

#[test]
fn an_owner_over_any_strategy_leaves_its_figures_to_ask() {
    let owner = LeaseOwner::with_strategy(Tracked::new(lease::strategy::System));
    let kept = owner.own([0_u8; 100]).unwrap();
    drop(owner.own([0_u8; 50]).unwrap());
    assert_eq!(owner.strategy().stats().live.unwrap().bytes, 100);
    assert_eq!(owner.strategy().stats().peak.unwrap().bytes, 150);
    drop(kept);
}
