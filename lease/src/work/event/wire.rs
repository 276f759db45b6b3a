//! The wire form of events: one Protocol Buffers `oneof`, read in two passes.
//!
//! [`scan`] walks a payload once without allocating: it refuses what is malformed and finds the one arm. Only then does
//! a [`Found`] arm hand out typed fields, so what decoding can allocate is bounded by bytes that were already judged.
//! Serves the expansion of `#[derive(LeaseEvent)]`, which names these items through `lease::__private`.

use prost::{
    DecodeError,
    encoding::{self, WireType},
};

use super::{
    EventError,
    field::{Field, Form},
    part::{Part, split_varint},
};

/// The longest payload that is looked at, in bytes.
pub(crate) const MAX_PAYLOAD: usize = 64 * 1024;

/// One variant of an event family: an arm of its `oneof`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm {
    /// The second half of the event type.
    pub kind: &'static str,
    /// Field number in the `oneof`.
    pub tag: u32,
    /// Its fields.
    pub fields: &'static [FieldInfo],
}

/// One field of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldInfo {
    /// Its name, or its position.
    pub name: &'static str,
    /// Its field number.
    pub tag: u32,
    /// Its form on the wire.
    pub form: Form,
}

/// The one arm of a payload, every field of which has the form that its family says.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    arm: &'static Arm,
    message: &'a [u8],
    /// What the arm's first fields say, by their place in the table of the arm.
    places: [Place<'a>; PLACES],
}

/// How many fields of an arm are found at once; the others are looked for.
const PLACES: usize = 12;

/// The last occurrence of a field.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    /// Its bytes, the length prefix included; empty if there is none.
    bytes: &'a [u8],
    /// What it says, if it is a string.
    text: &'a str,
    /// What it says, if it is a varint.
    number: u64,
}

/// Finds the one arm of a payload, and reads it.
///
/// # Errors
///
/// Too large, then malformed anywhere, then not exactly one arm: in this order, whatever else is wrong. Then those of
/// `read`.
pub(crate) fn scan<'a, T>(
    namespace: &'static str,
    arms: &'static [Arm],
    payload: &'a [u8],
    read: impl FnOnce(&Found<'a>) -> Result<T, EventError>,
) -> Result<T, EventError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(EventError::TooLarge {
            len: payload.len(),
            limit: MAX_PAYLOAD,
        });
    }
    let mut found = Found::NOTHING;
    match found.take_all(arms, payload)? {
        0 => Err(EventError::NoArm { namespace }),
        1 => read(&found),
        count => Err(EventError::ManyArms { namespace, count }),
    }
}

impl<'a> Found<'a> {
    const NOTHING: Self = Self {
        arm: &Arm {
            kind: "",
            tag: 0,
            fields: &[],
        },
        message: &[],
        places: [Place {
            bytes: &[],
            text: "",
            number: 0,
        }; PLACES],
    };

    /// Judges all of a payload, and says how many arms it has.
    fn take_all(&mut self, arms: &'static [Arm], payload: &'a [u8]) -> Result<usize, DecodeError> {
        let mut count = 0;
        let mut rest = payload;
        while !rest.is_empty() {
            let part = Part::take(&mut rest)?;
            let Some(arm) = arms.iter().find(|arm| arm.tag == part.tag) else {
                continue;
            };
            encoding::check_wire_type(WireType::LengthDelimited, part.wire_type)?;
            self.take_arm(arm, part.value)?;
            count += 1;
        }
        Ok(count)
    }

    /// Judges every field of an arm, and notes what it says.
    fn take_arm(&mut self, arm: &'static Arm, message: &'a [u8]) -> Result<(), DecodeError> {
        (self.arm, self.message) = (arm, message);
        let mut rest = message;
        let mut expected = 0;
        while !rest.is_empty() {
            let part = Part::take(&mut rest)?;
            // Fields mostly stand in the order of their table.
            let (before, after) = arm.fields.split_at(expected);
            let is_it = |field: &FieldInfo| field.tag == part.tag;
            let index = match after.iter().position(is_it) {
                Some(index) => expected + index,
                None => match before.iter().position(is_it) {
                    Some(index) => index,
                    None => continue,
                },
            };
            let text = arm.fields[index].form.check(part)?;
            if let Some(place) = self.places.get_mut(index) {
                *place = Place {
                    bytes: part.bytes,
                    text,
                    number: part.number,
                };
            }
            expected = index;
        }
        Ok(())
    }

    /// The bytes of the last occurrence of a single field, by its place in the arm's table, the length prefix included;
    /// empty when it does not stand there.
    fn last(&self, index: usize) -> &'a [u8] {
        if let Some(place) = self.places.get(index) {
            return place.bytes;
        }
        let tag = self.arm.fields[index].tag;
        let mut last = &[][..];
        let mut rest = self.message;
        while let Ok(part) = Part::take(&mut rest) {
            if part.tag == tag {
                last = part.bytes;
            }
        }
        last
    }

    /// The value of a bytes field that is not repeated, by its place in the arm's table, one of the first; not copied.
    pub(crate) fn bytes(&self, index: usize) -> &'a [u8] {
        split_varint(self.places[index].bytes).map_or(&[], |(_, value)| value)
    }

    /// The value of a string field that is not repeated, by its place in the arm's table, one of the first; not copied.
    pub(crate) fn text(&self, index: usize) -> &'a str {
        self.places[index].text
    }

    /// The value of a `u64` field that is not repeated, by its place in the arm's table, one of the first.
    pub(crate) fn number(&self, index: usize) -> u64 {
        self.places[index].number
    }

    /// Which arm it is.
    pub fn arm(&self) -> &'static Arm {
        self.arm
    }

    /// The field with this number; the type's default when it is not on the wire.
    ///
    /// # Errors
    ///
    /// When the type has another form than the arm says of this field.
    pub fn field<F: Field>(&self, tag: u32) -> Result<F, EventError> {
        let mut field = F::default();
        let index = self.arm.fields.iter().position(|field| field.tag == tag);
        if let Some(index) = index
            && !(F::FORM.repeated || self.arm.fields[index].form.repeated)
        {
            // Of several occurrences of a single field the last one counts.
            let mut bytes = self.last(index);
            if !bytes.is_empty() {
                field.read(self.arm.fields[index].form.wire_type(), &mut bytes)?;
            }
            return Ok(field);
        }
        let mut rest = self.message;
        while !rest.is_empty() {
            let part = Part::take(&mut rest)?;
            if part.tag == tag {
                let mut bytes = part.bytes;
                field.read(part.wire_type, &mut bytes)?;
            }
        }
        Ok(field)
    }

    /// The values of a string or bytes field in the order in which they stand, not copied.
    pub(crate) fn values(&self, tag: u32) -> Values<'a> {
        Values {
            rest: self.message,
            tag,
        }
    }
}

/// The values of one field.
#[derive(Clone, Debug)]
pub(crate) struct Values<'a> {
    rest: &'a [u8],
    tag: u32,
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let part = Part::take(&mut self.rest).ok()?;
            if part.tag == self.tag {
                return Some(part.value);
            }
        }
        None
    }
}

/// A payload: the arm's key, its length, its fields.
pub(crate) fn seal(tag: u32, message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(message.len() + 8);
    encoding::encode_key(tag, WireType::LengthDelimited, &mut payload);
    encoding::encode_varint(message.len() as u64, &mut payload);
    payload.extend_from_slice(message);
    payload
}
