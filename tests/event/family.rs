//! What a family of one's own looks like on the wire.

use lease::{EventError, EventRecord, LeaseEvent};
use proptest::prelude::*;

use crate::support::hex;

/// Every field type there is, in every form.
#[derive(Clone, Debug, PartialEq, LeaseEvent)]
#[event(namespace = "sample", reserved(9))]
enum Sample {
    #[event(kind = "plain", tag = 1, reserved(100..=200))]
    Plain {
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
        signed: i32,
        #[event(tag = 7)]
        long: i64,
        #[event(tag = 8)]
        real: f64,
    },
    #[event(kind = "optional", tag = 2)]
    Optional {
        #[event(tag = 1)]
        text: Option<String>,
        #[event(tag = 2)]
        bytes: Option<Vec<u8>>,
        #[event(tag = 3)]
        flag: Option<bool>,
        #[event(tag = 4)]
        small: Option<u32>,
        #[event(tag = 5)]
        real: Option<f64>,
    },
    #[event(kind = "repeated", tag = 3)]
    Repeated {
        #[event(tag = 1)]
        texts: Vec<String>,
        #[event(tag = 2)]
        blobs: Vec<Vec<u8>>,
        #[event(tag = 3)]
        flags: Vec<bool>,
        #[event(tag = 4)]
        numbers: Vec<u64>,
        #[event(tag = 5)]
        signed: Vec<i64>,
        #[event(tag = 6)]
        reals: Vec<f64>,
    },
    #[event(kind = "tuple", tag = 4)]
    Tuple(#[event(tag = 2)] u32, #[event(tag = 1)] String),
    #[event(kind = "unit", tag = 5)]
    Unit,
    #[event(kind = "far-away_2", tag = 536_870_911)]
    r#Raw {
        #[event(tag = 536_870_911)]
        r#type: u32,
    },
}

#[track_caller]
fn is_frozen(event: &Sample, golden: &str) {
    assert_eq!(hex(&event.encode()), golden.replace(' ', ""));
    assert_eq!(&Sample::decode(&event.encode()).unwrap(), event);
}

fn plain() -> Sample {
    Sample::Plain {
        text: "hé".into(),
        bytes: vec![0xff, 0],
        flag: true,
        small: 300,
        large: u64::MAX,
        signed: -2,
        long: i64::MIN,
        real: 1.0,
    }
}

fn repeated() -> Sample {
    Sample::Repeated {
        texts: vec!["a".into(), String::new()],
        blobs: vec![vec![], vec![7]],
        flags: vec![true, false],
        numbers: vec![0, 128],
        signed: vec![-1, 1],
        reals: vec![2.0],
    }
}

#[test]
fn every_field_type_has_its_wire_form() {
    is_frozen(
        &plain(),
        "0a 2f 0a0368c3a9 1202ff00 1801 20ac02 28ffffffffffffffffff01 3003 38ffffffffffffffffff01 41000000000000f03f",
    );
    is_frozen(
        &Sample::Optional {
            text: Some(String::new()),
            bytes: Some(vec![]),
            flag: Some(false),
            small: Some(0),
            real: Some(0.0),
        },
        "12 11 0a00 1200 1800 2000 290000000000000000",
    );
    is_frozen(
        &repeated(),
        "1a 21 0a0161 0a00 1200 120107 1a020100 2203008001 2a020102 32080000000000000040",
    );
    is_frozen(&Sample::Tuple(7, "x".into()), "22 05 1007 0a0178");
    is_frozen(&Sample::Unit, "2a 00");
    is_frozen(&Sample::Raw { r#type: 1 }, "faffffff0f 06 f8ffffff0f 01");
}

#[test]
fn defaults_are_not_on_the_wire() {
    let defaults = Sample::Plain {
        text: String::new(),
        bytes: vec![],
        flag: false,
        small: 0,
        large: 0,
        signed: 0,
        long: 0,
        real: 0.0,
    };
    is_frozen(&defaults, "0a00");
    let absent = Sample::Optional {
        text: None,
        bytes: None,
        flag: None,
        small: None,
        real: None,
    };
    is_frozen(&absent, "1200");
    let empty = Sample::Repeated {
        texts: vec![],
        blobs: vec![],
        flags: vec![],
        numbers: vec![],
        signed: vec![],
        reals: vec![],
    };
    is_frozen(&empty, "1a00");
    is_frozen(&Sample::Tuple(0, String::new()), "2200");
}

#[test]
fn minus_zero_and_nan_are_no_defaults() {
    for real in [-0.0, f64::NAN] {
        let event = Sample::Optional {
            text: None,
            bytes: None,
            flag: None,
            small: None,
            real: Some(real),
        };
        let Sample::Optional { real: Some(back), .. } = Sample::decode(&event.encode()).unwrap() else {
            panic!("the value is gone");
        };
        assert_eq!(back.to_bits(), real.to_bits());
        let Sample::Plain {
            text,
            bytes,
            flag,
            small,
            large,
            signed,
            long,
            ..
        } = plain()
        else {
            unreachable!()
        };
        let event = Sample::Plain {
            text,
            bytes,
            flag,
            small,
            large,
            signed,
            long,
            real,
        };
        let Sample::Plain { real: back, .. } = Sample::decode(&event.encode()).unwrap() else {
            panic!("another variant");
        };
        assert_eq!(back.to_bits(), real.to_bits());
    }
}

#[test]
fn numbers_may_come_packed_or_not() {
    // numbers 1, 2 unpacked; then 3 packed.
    let payload = [0x1a, 0x07, 0x20, 1, 0x20, 2, 0x22, 1, 3];
    let Sample::Repeated { numbers, .. } = Sample::decode(&payload).unwrap() else {
        panic!("another variant");
    };
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn the_last_value_of_a_single_field_counts() {
    let payload = [0x22, 0x04, 0x10, 1, 0x10, 2];
    assert_eq!(Sample::decode(&payload).unwrap(), Sample::Tuple(2, String::new()));
}

#[test]
fn unknown_fields_are_skipped_in_the_arm_and_beside_it() {
    let mut payload = vec![
        0x2a, 13, // `unit`, which has no fields
        0x08, 0x05, // a varint
        0x12, 0x01, 0xff, // bytes
        0x1b, 0x1c, // a group with nothing in it
        0x25, 1, 2, 3, 4,    // 32 bits
        0x20, // and a varint
    ];
    payload.push(0x07);
    payload[1] = u8::try_from(payload.len() - 2).unwrap();
    payload.extend([0x48, 0x01]); // number 9, reserved in the family
    payload.extend([0x52, 0x02, 0xff, 0xff]); // number 10
    assert_eq!(Sample::decode(&payload).unwrap(), Sample::Unit);
}

#[test]
fn kind_tag_and_type_are_what_the_attributes_say() {
    assert_eq!(Sample::NAMESPACE, "sample");
    assert_eq!((plain().kind(), plain().tag()), ("plain", 1));
    assert_eq!(Sample::Raw { r#type: 1 }.event_type(), "sample.far-away_2");
}

#[test]
fn a_record_carries_the_event_and_only_as_what_it_is() {
    let record = EventRecord::of(&plain(), "session-1", "actor-1");
    assert_eq!(
        (record.event_type.as_str(), record.actor_id.as_str()),
        ("sample.plain", "actor-1")
    );
    assert_eq!(Sample::from_record(&record).unwrap(), Some(plain()));
    for foreign in ["samples.plain", "sample", "other.plain"] {
        let mut record = record.clone();
        record.event_type = foreign.into();
        assert_eq!(Sample::from_record(&record).unwrap(), None, "{foreign}");
    }
    for wrong in ["sample.unit", "sample.", "sample.unknown"] {
        let mut record = record.clone();
        record.event_type = wrong.into();
        let error = Sample::from_record(&record).unwrap_err();
        let expected = EventError::WrongType {
            event_type: wrong.into(),
            namespace: "sample",
            carried: "plain",
        };
        assert_eq!(error, expected);
    }
}

fn any_event() -> impl Strategy<Value = Sample> {
    prop_oneof![
        (
            any::<(String, Vec<u8>, bool, u32, u64)>(),
            any::<(i32, i64)>(),
            -1e300..1e300
        )
            .prop_map(
                |((text, bytes, flag, small, large), (signed, long), real)| Sample::Plain {
                    text,
                    bytes,
                    flag,
                    small,
                    large,
                    signed,
                    long,
                    real
                }
            ),
        any::<(Option<String>, Option<Vec<u8>>, Option<bool>, Option<u32>)>().prop_map(
            |(text, bytes, flag, small)| Sample::Optional {
                text,
                bytes,
                flag,
                small,
                real: None
            }
        ),
        any::<(Vec<String>, Vec<Vec<u8>>, Vec<bool>, Vec<u64>, Vec<i64>)>().prop_map(
            |(texts, blobs, flags, numbers, signed)| Sample::Repeated {
                texts,
                blobs,
                flags,
                numbers,
                signed,
                reals: vec![]
            }
        ),
        any::<(u32, String)>().prop_map(|(number, text)| Sample::Tuple(number, text)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_encoded_is_decoded(event in any_event()) {
        prop_assume!(event.encode().len() <= 64 * 1024);
        prop_assert_eq!(Sample::decode(&event.encode()).unwrap(), event);
    }
}
