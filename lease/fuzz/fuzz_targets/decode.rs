//! Any bytes as the payload of an event: refused, or an event that encodes to what decodes to itself.

#![no_main]

use lease::{LeaseChange, LeaseEvent, LedgerEvent};
use libfuzzer_sys::fuzz_target;

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

fuzz_target!(|payload: &[u8]| {
    round::<LeaseChange>(payload);
    round::<LedgerEvent>(payload);
    round::<AllForms>(payload);
});
