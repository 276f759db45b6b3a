//! Payloads that nobody should have sent.

use lease::{EventError, LeaseChange, LeaseEvent, helpers};
use proptest::prelude::*;

fn refused(payload: &[u8]) -> EventError {
    LeaseChange::decode(payload).unwrap_err()
}

#[test]
fn a_payload_over_64_kib_is_not_looked_at() {
    let mut payload = helpers::lease_released_payload("lease-1", "COMPLETED");
    let skipped = 64 * 1024 - payload.len() - 4;
    payload.extend([0xfa, 0x07]); // field 127, bytes
    prost_len(&mut payload, skipped - 1);
    payload.resize(64 * 1024, 0);
    assert!(
        LeaseChange::decode(&payload).is_ok(),
        "64 KiB are within the limit"
    );
    payload.push(0xff);
    assert_eq!(
        refused(&payload),
        EventError::TooLarge {
            len: 65_537,
            limit: 65_536
        }
    );
}

/// A length as a three-byte varint.
fn prost_len(payload: &mut Vec<u8>, len: usize) {
    let len = u32::try_from(len).unwrap();
    assert!((1 << 14..1 << 21).contains(&len));
    let seven = |shift: u32| u8::try_from(len >> shift & 0x7f).unwrap();
    payload.extend([seven(0) | 0x80, seven(7) | 0x80, seven(14)]);
}

#[test]
fn every_truncation_is_refused() {
    let ids = vec!["lease-1".to_owned(), "lease-2".to_owned()];
    let payload = helpers::lease_conflict_payload("work-1", ids, "CANONICAL_ROOT");
    assert!(matches!(refused(&[]), EventError::NoArm { namespace: "lease" }));
    for len in 1..payload.len() {
        assert!(
            matches!(refused(&payload[..len]), EventError::Malformed(_)),
            "{len} bytes"
        );
    }
}

#[test]
fn malformed_payloads_are_told_from_those_without_an_event() {
    let malformed: [(&str, &[u8]); 12] = [
        ("key of field 0", &[0x02, 0x00]),
        ("wire type 6", &[0x0e, 0x00]),
        ("wire type 7", &[0x0f, 0x00]),
        ("varint without end", &[0x80]),
        (
            "varint of eleven bytes",
            &[
                0x38, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01,
            ],
        ),
        ("key beyond 32 bits", &[0x82, 0x80, 0x80, 0x80, 0x10, 0x00]),
        ("arm that is a varint", &[0x20, 0x01]),
        ("arm longer than the payload", &[0x22, 0x05, 0x10, 0x01]),
        (
            "length of u64::MAX",
            &[0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ),
        ("id that is a number", &[0x22, 0x02, 0x08, 0x01]),
        ("id that is not UTF-8", &[0x22, 0x03, 0x0a, 0x01, 0xff]),
        ("group that nobody opened", &[0x22, 0x01, 0x1c]),
    ];
    for (name, payload) in malformed {
        assert!(matches!(refused(payload), EventError::Malformed(_)), "{name}");
    }
    // Number 7, then the arms that are reserved.
    for payload in [&[0x38, 0x01][..], &[0x32, 0x00], &[0x8a, 0x01, 0x00]] {
        assert!(
            matches!(refused(payload), EventError::NoArm { .. }),
            "{payload:?}"
        );
    }
}

#[test]
fn deeply_nested_groups_do_not_exhaust_the_stack() {
    let payload = vec![0x3b; 60_000];
    assert!(matches!(refused(&payload), EventError::Malformed(_)));
}

#[test]
fn two_arms_are_one_too_many_of_a_kind_or_not() {
    let released = helpers::lease_released_payload("lease-1", "COMPLETED");
    let expired = helpers::lease_expired_payload("lease-1", 9);
    for payload in [
        [&released[..], &released[..]].concat(),
        [&expired[..], &released[..]].concat(),
    ] {
        assert_eq!(
            refused(&payload),
            EventError::ManyArms {
                namespace: "lease",
                count: 2
            }
        );
    }
}

#[test]
fn what_is_malformed_anywhere_is_malformed() {
    // A second arm is bad enough, but bytes that are no message come first.
    let mut payload = helpers::lease_released_payload("lease-1", "COMPLETED");
    payload.extend_from_within(..);
    payload.push(0x80);
    assert!(matches!(refused(&payload), EventError::Malformed(_)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_decode_panic(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = LeaseChange::decode(&payload);
    }

    /// One byte of a good payload changed: refused, or an event that encodes to what decodes to itself.
    #[test]
    fn a_damaged_payload_is_refused_or_another_event(place in 0..60_usize, byte in any::<u8>()) {
        let mut payload = helpers::lease_issued_payload_with_ticks(
            "lease-1", "work-1", "actor-1", 1_000_000_000, 2_000_000_000, vec![1, 2, 3, 4], 1_000, 2_000, 1_000_000,
        );
        let place = place % payload.len();
        payload[place] = byte;
        if let Ok(event) = LeaseChange::decode(&payload) {
            prop_assert_eq!(LeaseChange::decode(&event.encode()).unwrap(), event);
        }
    }
}
