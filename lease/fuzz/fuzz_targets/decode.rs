//! Any bytes as the payload of an event: refused, or an event that encodes to what decodes to itself, and that prost's own
//! derive reads alike.

#![no_main]

use lease::{EventError, LeaseChange, LeaseEvent, LedgerEvent};
use libfuzzer_sys::fuzz_target;
use prost::Message;

#[derive(Debug, PartialEq, LeaseEvent)]
#[event(namespace = "all")]
enum AllForms {
    #[event(kind = "single", tag = 1)]
    Single {
        #[event(tag = 1)]
        text: String,
        #[event(tag = 2)]
        bytes: Vec<u8>,
        #[event(tag = 3)]
        flag: bool,
        #[event(tag = 4)]
        small: u32,
        #[event(tag = 5)]
        large: u64,
        #[event(tag = 6)]
        signed_small: i32,
        #[event(tag = 7)]
        signed_large: i64,
    },
    #[event(kind = "several", tag = 16)]
    Several {
        #[event(tag = 1)]
        texts: Vec<String>,
        #[event(tag = 2)]
        numbers: Vec<u64>,
        #[event(tag = 3)]
        maybe: Option<i64>,
        #[event(tag = 4)]
        bytes: Vec<Vec<u8>>,
    },
}

fn round<E: LeaseEvent + std::fmt::Debug + PartialEq>(payload: &[u8]) {
    if let Ok(event) = E::decode(payload) {
        let written = event.encode();
        assert_eq!(E::decode(&written).as_ref(), Ok(&event));
        assert_eq!(E::decode(&written).map(|event| event.encode()), Ok(written));
    }
}

/// `AllForms` for prost.
#[derive(PartialEq, Message)]
struct Mirror {
    #[prost(oneof = "Arm", tags = "1, 16")]
    arm: Option<Arm>,
}

#[derive(PartialEq, prost::Oneof)]
enum Arm {
    #[prost(message, tag = "1")]
    Single(Single),
    #[prost(message, tag = "16")]
    Several(Several),
}

#[derive(PartialEq, Message)]
struct Single {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(bytes = "vec", tag = "2")]
    bytes: Vec<u8>,
    #[prost(bool, tag = "3")]
    flag: bool,
    #[prost(uint32, tag = "4")]
    small: u32,
    #[prost(uint64, tag = "5")]
    large: u64,
    #[prost(sint32, tag = "6")]
    signed_small: i32,
    #[prost(sint64, tag = "7")]
    signed_large: i64,
}

#[derive(PartialEq, Message)]
struct Several {
    #[prost(string, repeated, tag = "1")]
    texts: Vec<String>,
    #[prost(uint64, repeated, tag = "2")]
    numbers: Vec<u64>,
    #[prost(sint64, optional, tag = "3")]
    maybe: Option<i64>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    bytes: Vec<Vec<u8>>,
}

fn mirrored(event: AllForms) -> Mirror {
    let arm = match event {
        AllForms::Single {
            text,
            bytes,
            flag,
            small,
            large,
            signed_small,
            signed_large,
        } => Arm::Single(Single {
            text,
            bytes,
            flag,
            small,
            large,
            signed_small,
            signed_large,
        }),
        AllForms::Several {
            texts,
            numbers,
            maybe,
            bytes,
        } => Arm::Several(Several {
            texts,
            numbers,
            maybe,
            bytes,
        }),
    };
    Mirror { arm: Some(arm) }
}

fn hold_against_prost(payload: &[u8]) {
    // Groups in groups are given up at another depth.
    if payload.iter().filter(|byte| *byte & 7 == 3).count() > 90 {
        return;
    }
    match (AllForms::decode(payload), Mirror::decode(payload)) {
        (Ok(ours), theirs) => assert_eq!(Ok(mirrored(ours)), theirs),
        (Err(EventError::Malformed(_)), theirs) => assert!(theirs.is_err(), "{theirs:?}"),
        // What is well-formed, and no event.
        (Err(_), _) => {}
    }
}

fuzz_target!(|payload: &[u8]| {
    hold_against_prost(payload);
    round::<LeaseChange>(payload);
    round::<LedgerEvent>(payload);
    round::<AllForms>(payload);
});
