//! Payloads that nobody should have sent, at the reducer: a typed error or another event, and never more memory than
//! the payload is long.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use lease::{EventRecord, LeaseChange, LeaseError, LeaseEvent, Reducer, ReducerContext};

use crate::support::{Bench, Issue, SECOND, conflict, expired, record, released, renewed, revoked, tick};

/// The system's allocator, with a meter of its own for each thread.
struct Metered;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the meter neither allocates nor unwinds.
unsafe impl GlobalAlloc for Metered {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is being torn down is measured by nobody.
        let _ = TAKEN.try_with(|taken| taken.set(taken.get() + layout.size()));
        // SAFETY: the caller keeps the promises of `alloc`, which are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the system's allocator with this layout, because all do.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Metered = Metered;

/// Bytes that this thread takes meanwhile.
fn taken(doing: impl FnOnce()) -> usize {
    let before = TAKEN.get();
    doing();
    TAKEN.get() - before
}

/// One event of each kind, each of which is taken.
fn one_of_each() -> Vec<EventRecord> {
    let at = |actor: &str, change: &LeaseChange, now| record(actor, change).at(7, Some(tick(now)));
    vec![
        at(
            "registrar",
            &Issue::by_tick().of("lease-2", "work-2", "actor-2"),
            1_000,
        ),
        at(
            "registrar",
            &renewed("lease-1", 3 * SECOND, 3_000, &[5, 6]),
            1_500,
        ),
        at("actor-1", &released("lease-1", "COMPLETED"), 1_500),
        at("registrar", &expired("lease-1", 2 * SECOND), 2_000),
        at("registrar", &revoked("lease-1", "HOLDER_DIED", &[7]), 1_500),
        at("registrar", &conflict("work-1", &["lease-1", "lease-2"]), 1_500),
    ]
}

/// Whatever comes of it, a refusal changes nothing and takes little.
fn is_judged(written: &EventRecord) -> Result<(), LeaseError> {
    let mut bench = Bench::with_lease(&Issue::by_tick());
    let before = bench.state().clone();
    let mut outcome = Ok(());
    let bytes = taken(|| outcome = bench.0.apply(written, &ReducerContext::new(2)));
    assert!(
        bytes < 8 * 1024 + 2 * written.payload.len(),
        "{bytes} bytes for a payload of {}",
        written.payload.len()
    );
    if outcome.is_err() {
        assert_eq!(bench.state(), &before, "a refused event changed the state");
    }
    outcome
}

#[test]
fn an_event_cut_anywhere_is_refused() {
    for whole in one_of_each() {
        is_judged(&whole).unwrap();
        for len in 0..whole.payload.len() {
            let mut cut = whole.clone();
            cut.payload.truncate(len);
            let refused = is_judged(&cut).unwrap_err();
            let is_typed = match len {
                0 => matches!(&refused, LeaseError::InvalidInput { field, .. } if field == "event_type"),
                _ => matches!(refused, LeaseError::DecodeError(_)),
            };
            assert!(is_typed, "{} cut to {len}: {refused:?}", whole.event_type);
        }
    }
}

#[test]
fn an_event_with_any_bit_flipped_is_refused_or_another_event() {
    let (mut taken, mut refused) = (0, 0);
    for whole in one_of_each() {
        for bit in 0..whole.payload.len() * 8 {
            let mut flipped = whole.clone();
            flipped.payload[bit / 8] ^= 1 << (bit % 8);
            match is_judged(&flipped) {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(taken > 100 && refused > 500, "{taken} taken, {refused} refused");
}

/// A payload of this arm with this message.
fn payload(arm: u8, message: &[u8]) -> Vec<u8> {
    let mut payload = vec![arm << 3 | 2];
    let mut len = message.len();
    while len >= 0x80 {
        payload.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
        len >>= 7;
    }
    payload.push(u8::try_from(len).unwrap());
    payload.extend_from_slice(message);
    payload
}

fn refused_field(event_type: &str, payload: Vec<u8>) -> String {
    match is_judged(&EventRecord::new(event_type, "s", "registrar", payload)) {
        Err(LeaseError::InvalidInput { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn thousands_of_empty_strings_take_no_memory() {
    // 30,000 ids of no length, then the same where one string belongs.
    let empty = [0x12, 0x00].repeat(30_000);
    let named = [&[0x0a, 0x01, b'w'][..], &empty].concat();
    assert_eq!(
        refused_field("lease.conflict", payload(5, &named)),
        "conflicting_lease_ids"
    );
    let nameless = [0x0a, 0x00].repeat(30_000);
    assert_eq!(refused_field("lease.released", payload(3, &nameless)), "lease_id");
    let long = [&[0x0a, 0x01, b'w'][..], &[0x12, 0x01, b'l'].repeat(20_000)].concat();
    assert_eq!(
        refused_field("lease.conflict", payload(5, &long)),
        "conflicting_lease_ids"
    );
    // As arms, each an event of its own.
    assert_eq!(
        refused_field("lease.released", [0x1a, 0x00].repeat(30_000)),
        "event_type"
    );
}

#[test]
fn a_field_that_is_repeated_ten_thousand_times_counts_once() {
    let mut message = [0x0a, 0x01, b'x'].repeat(10_000);
    message.extend(b"\x0a\x07lease-1\x12\x09COMPLETED");
    let written = EventRecord::new("lease.released", "s", "actor-1", payload(3, &message));
    is_judged(&written).unwrap();
}

#[test]
fn a_payload_of_64_kib_and_one_byte_is_not_looked_at() {
    let mut written = record("actor-1", &released("lease-1", "COMPLETED"));
    // An unknown field that fills it up.
    let filler = 64 * 1024 - written.payload.len() - 4;
    written.payload.extend(payload(0x0f, &vec![0; filler]));
    assert_eq!(written.payload.len(), 64 * 1024);
    is_judged(&written).unwrap();
    written.payload.push(0);
    let refused = is_judged(&written).unwrap_err();
    assert!(matches!(refused, LeaseError::InvalidInput { field, .. } if field == "payload"));
    assert!(LeaseChange::decode(&written.payload).is_err());
}
