//! One field of a Protocol Buffers message, as it stands there.
//!
//! Replaying a ledger is for the most part reading numbers and lengths, so the two wire types that nearly every field
//! has are read here, and what they say is kept. Everything else is left to prost: the other wire types, and to say
//! what is wrong with a field that cannot be read. Both read the same, as a test says.

use prost::{
    DecodeError,
    encoding::{self, DecodeContext, WireType},
};

/// One field as it stands in a message.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) tag: u32,
    pub(super) wire_type: WireType,
    /// Its bytes, the length prefix included.
    pub(super) bytes: &'a [u8],
    /// Those after the length prefix, if it has one.
    pub(super) value: &'a [u8],
    /// What it says, if it is a varint.
    pub(super) number: u64,
}

impl<'a> Part<'a> {
    /// Takes the next field off `message`.
    #[inline]
    pub(super) fn take(message: &mut &'a [u8]) -> Result<Self, DecodeError> {
        match Self::take_common(message) {
            Some(part) => Ok(part),
            None => Self::take_other(message),
        }
    }

    #[inline]
    fn take_common(message: &mut &'a [u8]) -> Option<Self> {
        let (key, start) = split_varint(message)?;
        let key = u32::try_from(key).ok().filter(|key| key >> 3 != 0)?;
        let (number, behind) = split_varint(start)?;
        let (wire_type, value, rest) = match key & 7 {
            0 => (WireType::Varint, &[][..], behind),
            2 => {
                let (value, rest) = behind.split_at_checked(usize::try_from(number).ok()?)?;
                (WireType::LengthDelimited, value, rest)
            }
            _ => return None,
        };
        *message = rest;
        Some(Self {
            tag: key >> 3,
            wire_type,
            bytes: &start[..start.len() - rest.len()],
            value,
            number,
        })
    }

    #[cold]
    fn take_other(message: &mut &'a [u8]) -> Result<Self, DecodeError> {
        let (tag, wire_type) = encoding::decode_key(message)?;
        let start = *message;
        encoding::skip_field(wire_type, tag, message, DecodeContext::default())?;
        Ok(Self {
            tag,
            wire_type,
            bytes: &start[..start.len() - message.len()],
            value: &[],
            number: 0,
        })
    }
}

/// A varint, and what stands behind it; none if there is no whole one.
#[inline]
pub(super) fn split_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match bytes {
        [byte @ ..0x80, rest @ ..] => Some((u64::from(*byte), rest)),
        _ => split_long_varint(bytes),
    }
}

/// The same of one that is long, as times are: they have nine bytes.
fn split_long_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if let Some((eight, behind)) = bytes.split_first_chunk() {
        let word = u64::from_le_bytes(*eight);
        // The last byte's top bit is the first that is not set; what is above that bit belongs to others.
        let last = !word & 0x8080_8080_8080_8080;
        let word = word & (last ^ last.wrapping_sub(1));
        // The seven bits of each byte close up, to pairs, to fours, to all eight.
        let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
        let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
        let word = word & 0x0000_0000_0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4;
        match (last, behind) {
            (0, [ninth @ ..0x80, rest @ ..]) => return Some((word | u64::from(*ninth) << 56, rest)),
            (0, _) => {}
            _ => return Some((word, &bytes[last.trailing_zeros() as usize / 8 + 1..])),
        }
    }
    let mut rest = bytes;
    let number = encoding::decode_varint(&mut rest).ok()?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What prost makes of it.
    fn theirs(mut bytes: &[u8]) -> Option<(u64, &[u8])> {
        let number = encoding::decode_varint(&mut bytes).ok()?;
        Some((number, bytes))
    }

    #[test]
    fn a_number_is_the_one_that_prost_reads() {
        let mut numbers = vec![0, u64::MAX];
        for bit in 0..64 {
            // Each bit by itself, and all below it.
            numbers.extend([1 << bit, (1 << bit) - 1, 0x5555_5555_5555_5555 >> bit]);
        }
        for number in numbers {
            let mut bytes = Vec::new();
            encoding::encode_varint(number, &mut bytes);
            for behind in [&[][..], &[0], &[0x80], &[0xff; 12], &[0; 12]] {
                let bytes = [&bytes[..], behind].concat();
                assert_eq!(split_varint(&bytes), Some((number, behind)));
            }
        }
    }

    #[test]
    fn what_is_no_number_or_a_longer_one_than_need_be_is_so_to_both() {
        for len in 0..=12 {
            for continued in [0x80, 0xff, 0xaa] {
                for last in [0x00, 0x01, 0x02, 0x7f, 0x80, 0xff] {
                    for behind in [0, 1, 7, 9] {
                        let mut bytes = vec![continued; len];
                        bytes.push(last);
                        bytes.resize(len + 1 + behind, 0xff);
                        assert_eq!(split_varint(&bytes), theirs(&bytes), "{bytes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_field_ends_where_prost_ends_it() {
        for wire_type in 0..8_u8 {
            for body in [
                &[][..],
                &[0],
                &[3, 1, 2, 3, 4],
                &[3, 1, 2],
                &[0xff; 9],
                &[1, 2, 3, 4, 5, 6, 7, 8, 9],
                &[8, 1, 12],
                &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
            ] {
                for tag in 0..=1 {
                    let message = [&[tag << 3 | wire_type][..], body].concat();
                    let (mut ours, mut theirs) = (&message[..], &message[..]);
                    let expected = Part::take_other(&mut theirs);
                    match (Part::take(&mut ours), expected) {
                        (Ok(part), Ok(expected)) => {
                            assert_eq!((part.tag, part.wire_type), (expected.tag, expected.wire_type));
                            assert_eq!((part.bytes, ours), (expected.bytes, theirs));
                        }
                        (Err(error), Err(expected)) => assert_eq!(error, expected),
                        _ => panic!("{message:?}"),
                    }
                }
            }
        }
    }
}
