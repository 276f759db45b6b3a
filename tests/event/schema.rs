//! The registrar's events against the schema, as an implementation that is not ours reads and writes it.

use lease::{LeaseChange, LeaseEvent};
use proptest::prelude::*;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(oneof = "Arm", tags = "1, 2, 3, 4, 5, 16")]
    event: Option<Arm>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Arm {
    #[prost(message, tag = "1")]
    Issued(LeaseIssued),
    #[prost(message, tag = "2")]
    Renewed(LeaseRenewed),
    #[prost(message, tag = "3")]
    Released(LeaseReleased),
    #[prost(message, tag = "4")]
    Expired(LeaseExpired),
    #[prost(message, tag = "5")]
    Conflict(LeaseConflict),
    #[prost(message, tag = "16")]
    Revoked(LeaseRevoked),
}

#[derive(Clone, PartialEq, Message)]
struct LeaseIssued {
    #[prost(string, tag = "1")]
    lease_id: String,
    #[prost(string, tag = "2")]
    work_id: String,
    #[prost(string, tag = "3")]
    actor_id: String,
    #[prost(uint64, tag = "4")]
    issued_at: u64,
    #[prost(uint64, tag = "5")]
    expires_at: u64,
    #[prost(bytes = "vec", tag = "6")]
    registrar_signature: Vec<u8>,
    #[prost(uint64, tag = "8")]
    issued_at_tick: u64,
    #[prost(uint64, tag = "9")]
    expires_at_tick: u64,
    #[prost(uint64, tag = "10")]
    tick_rate_hz: u64,
    #[prost(uint64, tag = "19")]
    fencing_token: u64,
    #[prost(uint64, tag = "20")]
    closed_until_tick: u64,
}

#[derive(Clone, PartialEq, Message)]
struct LeaseRenewed {
    #[prost(string, tag = "1")]
    lease_id: String,
    #[prost(uint64, tag = "2")]
    new_expires_at: u64,
    #[prost(bytes = "vec", tag = "3")]
    registrar_signature: Vec<u8>,
    #[prost(uint64, tag = "5")]
    new_expires_at_tick: u64,
    #[prost(uint64, tag = "6")]
    tick_rate_hz: u64,
}

#[derive(Clone, PartialEq, Message)]
struct LeaseReleased {
    #[prost(string, tag = "1")]
    lease_id: String,
    #[prost(string, tag = "2")]
    release_reason: String,
}

#[derive(Clone, PartialEq, Message)]
struct LeaseExpired {
    #[prost(string, tag = "1")]
    lease_id: String,
    #[prost(uint64, tag = "2")]
    expired_at: u64,
}

#[derive(Clone, PartialEq, Message)]
struct LeaseConflict {
    #[prost(string, tag = "1")]
    work_id: String,
    #[prost(string, repeated, tag = "2")]
    conflicting_lease_ids: Vec<String>,
    #[prost(string, tag = "3")]
    resolution: String,
}

#[derive(Clone, PartialEq, Message)]
struct LeaseRevoked {
    #[prost(string, tag = "1")]
    lease_id: String,
    #[prost(string, tag = "2")]
    reason: String,
    #[prost(bytes = "vec", tag = "3")]
    registrar_signature: Vec<u8>,
}

fn text() -> impl Strategy<Value = String> {
    "[a-zé/0-9]{0,12}"
}

fn signature() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..8)
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0), 3 => any::<u64>()]
}

fn issued() -> impl Strategy<Value = (Arm, LeaseChange)> {
    let parts = (
        (text(), text(), text()),
        (number(), number(), signature()),
        prop::array::uniform5(number()),
    );
    parts.prop_map(
        |((lease_id, work_id, actor_id), (issued_at, expires_at, registrar_signature), numbers)| {
            let [
                issued_at_tick,
                expires_at_tick,
                tick_rate_hz,
                fencing_token,
                closed_until_tick,
            ] = numbers;
            let theirs = LeaseIssued {
                lease_id: lease_id.clone(),
                work_id: work_id.clone(),
                actor_id: actor_id.clone(),
                issued_at,
                expires_at,
                registrar_signature: registrar_signature.clone(),
                issued_at_tick,
                expires_at_tick,
                tick_rate_hz,
                fencing_token,
                closed_until_tick,
            };
            let ours = LeaseChange::Issued {
                lease_id,
                work_id,
                actor_id,
                issued_at,
                expires_at,
                registrar_signature,
                issued_at_tick,
                expires_at_tick,
                tick_rate_hz,
                fencing_token,
                closed_until_tick,
            };
            (Arm::Issued(theirs), ours)
        },
    )
}

/// The same event in both worlds.
fn pair() -> impl Strategy<Value = (Arm, LeaseChange)> {
    prop_oneof![
        issued(),
        (text(), number(), signature(), number(), number()).prop_map(
            |(lease_id, new_expires_at, registrar_signature, new_expires_at_tick, tick_rate_hz)| {
                let theirs = LeaseRenewed {
                    lease_id: lease_id.clone(),
                    new_expires_at,
                    registrar_signature: registrar_signature.clone(),
                    new_expires_at_tick,
                    tick_rate_hz,
                };
                let ours = LeaseChange::Renewed {
                    lease_id,
                    new_expires_at,
                    registrar_signature,
                    new_expires_at_tick,
                    tick_rate_hz,
                };
                (Arm::Renewed(theirs), ours)
            }
        ),
        (text(), text()).prop_map(|(lease_id, release_reason)| {
            let theirs = LeaseReleased {
                lease_id: lease_id.clone(),
                release_reason: release_reason.clone(),
            };
            (
                Arm::Released(theirs),
                LeaseChange::Released {
                    lease_id,
                    release_reason,
                },
            )
        }),
        (text(), number()).prop_map(|(lease_id, expired_at)| {
            let theirs = LeaseExpired {
                lease_id: lease_id.clone(),
                expired_at,
            };
            (
                Arm::Expired(theirs),
                LeaseChange::Expired { lease_id, expired_at },
            )
        }),
        (text(), prop::collection::vec(text(), 0..5), text()).prop_map(
            |(work_id, conflicting_lease_ids, resolution)| {
                let theirs = LeaseConflict {
                    work_id: work_id.clone(),
                    conflicting_lease_ids: conflicting_lease_ids.clone(),
                    resolution: resolution.clone(),
                };
                let ours = LeaseChange::Conflict {
                    work_id,
                    conflicting_lease_ids,
                    resolution,
                };
                (Arm::Conflict(theirs), ours)
            }
        ),
        (text(), text(), signature()).prop_map(|(lease_id, reason, registrar_signature)| {
            let theirs = LeaseRevoked {
                lease_id: lease_id.clone(),
                reason: reason.clone(),
                registrar_signature: registrar_signature.clone(),
            };
            (
                Arm::Revoked(theirs),
                LeaseChange::Revoked {
                    lease_id,
                    reason,
                    registrar_signature,
                },
            )
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_are_the_bytes_that_the_schema_says((theirs, ours) in pair()) {
        let envelope = Envelope { event: Some(theirs) };
        let payload = envelope.encode_to_vec();
        prop_assert_eq!(&ours.encode(), &payload);
        prop_assert_eq!(LeaseChange::decode(&payload).unwrap(), ours);
    }

    /// Bytes near a good payload are refused or read as the same event by both.
    #[test]
    fn damaged_bytes_mean_the_same_to_both((theirs, _) in pair(), place in any::<usize>(), byte in any::<u8>()) {
        let mut payload = Envelope { event: Some(theirs) }.encode_to_vec();
        let place = place % payload.len();
        payload[place] = byte;
        let theirs = Envelope::decode(payload.as_slice());
        match LeaseChange::decode(&payload) {
            // What they write of what they read is what we write of what we read.
            Ok(ours) => prop_assert_eq!(ours.encode(), theirs.unwrap().encode_to_vec()),
            Err(lease::EventError::Malformed(_)) => prop_assert!(theirs.is_err()),
            Err(lease::EventError::NoArm { .. }) => prop_assert_eq!(theirs.unwrap().event, None),
            Err(lease::EventError::ManyArms { .. }) => prop_assert!(theirs.unwrap().event.is_some()),
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }
}
