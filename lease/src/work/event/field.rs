//! The types that can be fields of an event, and how each lies on the wire.
//!
//! The wire form of each type is fixed for ever; it is written down once, in the implementations of [`Field`].

use prost::{
    DecodeError,
    encoding::{self, DecodeContext, WireType},
};

use super::part::Part;

/// How a field's value lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    value: Value,
    pub(super) repeated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Varint,
    Fixed64,
    Bytes,
    Text,
}

impl Form {
    const fn one(value: Value) -> Self {
        Self {
            value,
            repeated: false,
        }
    }

    const fn many(one: Self) -> Self {
        Self {
            value: one.value,
            repeated: true,
        }
    }

    #[inline]
    pub(super) const fn wire_type(self) -> WireType {
        match self.value {
            Value::Varint => WireType::Varint,
            Value::Fixed64 => WireType::SixtyFourBit,
            Value::Bytes | Value::Text => WireType::LengthDelimited,
        }
    }

    /// Whether prost would read this occurrence as this form, and its text if that is one; allocates only to say why not.
    #[inline]
    pub(super) fn check(self, part: Part<'_>) -> Result<&str, DecodeError> {
        let scalar = self.wire_type();
        if self.repeated && part.wire_type == WireType::LengthDelimited && scalar != part.wire_type {
            let mut packed = part.value;
            while !packed.is_empty() {
                encoding::skip_field(scalar, part.tag, &mut packed, DecodeContext::default())?;
            }
            return Ok("");
        }
        encoding::check_wire_type(scalar, part.wire_type)?;
        if self.value != Value::Text {
            return Ok("");
        }
        std::str::from_utf8(part.value).or_else(|_| {
            let mut bytes = part.bytes;
            encoding::string::merge(
                part.wire_type,
                &mut String::new(),
                &mut bytes,
                DecodeContext::default(),
            )?;
            Ok("")
        })
    }
}

/// A type that can be a field of an event.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no wire form",
    label = "not a type that an event can carry",
    note = "an event carries `String`, `Vec<u8>`, `bool`, `u32`, `u64`, `i32`, `i64`, `f64`, `Option` of these, and `Vec` of these but `u8`"
)]
pub trait Field: Default {
    /// Its form on the wire.
    const FORM: Form;

    /// Writes the field; what is absent or a default writes nothing.
    fn write(&self, tag: u32, message: &mut Vec<u8>);

    /// Reads one occurrence on top of those before it.
    ///
    /// # Errors
    ///
    /// When the bytes are of another form.
    fn read(&mut self, wire_type: WireType, bytes: &mut &[u8]) -> Result<(), DecodeError>;
}

/// A [`Field`] that holds one value, and so may be optional or repeated.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no wire form of its own",
    label = "cannot be optional or repeated in an event",
    note = "an event carries `String`, `Vec<u8>`, `bool`, `u32`, `u64`, `i32`, `i64`, `f64`, `Option` of these, and `Vec` of these but `u8`"
)]
pub trait Single: Field {
    /// Writes the value, default or not.
    fn write_always(&self, tag: u32, message: &mut Vec<u8>);

    /// Writes all values.
    fn write_all(values: &[Self], tag: u32, message: &mut Vec<u8>);

    /// Reads one occurrence of a repeated field.
    ///
    /// # Errors
    ///
    /// When the bytes are of another form.
    fn read_more(values: &mut Vec<Self>, wire_type: WireType, bytes: &mut &[u8]) -> Result<(), DecodeError>;
}

impl<F: Single> Field for Option<F> {
    const FORM: Form = F::FORM;

    fn write(&self, tag: u32, message: &mut Vec<u8>) {
        if let Some(value) = self {
            value.write_always(tag, message);
        }
    }

    fn read(&mut self, wire_type: WireType, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.get_or_insert_default().read(wire_type, bytes)
    }
}

impl<F: Single> Field for Vec<F> {
    const FORM: Form = Form::many(F::FORM);

    fn write(&self, tag: u32, message: &mut Vec<u8>) {
        F::write_all(self, tag, message);
    }

    fn read(&mut self, wire_type: WireType, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        F::read_more(self, wire_type, bytes)
    }
}

macro_rules! field {
    ($type:ty, $codec:ident, $value:ident, $write_all:ident, is_default($this:ident) $is_default:expr) => {
        impl Field for $type {
            const FORM: Form = Form::one(Value::$value);

            fn write(&self, tag: u32, message: &mut Vec<u8>) {
                let $this = self;
                if !$is_default {
                    self.write_always(tag, message);
                }
            }

            fn read(&mut self, wire_type: WireType, bytes: &mut &[u8]) -> Result<(), DecodeError> {
                encoding::$codec::merge(wire_type, self, bytes, DecodeContext::default())
            }
        }

        impl Single for $type {
            fn write_always(&self, tag: u32, message: &mut Vec<u8>) {
                encoding::$codec::encode(tag, self, message);
            }

            fn write_all(values: &[Self], tag: u32, message: &mut Vec<u8>) {
                encoding::$codec::$write_all(tag, values, message);
            }

            fn read_more(
                values: &mut Vec<Self>,
                wire_type: WireType,
                bytes: &mut &[u8],
            ) -> Result<(), DecodeError> {
                encoding::$codec::merge_repeated(wire_type, values, bytes, DecodeContext::default())
            }
        }
    };
}

field!(String, string, Text, encode_repeated, is_default(value) value.is_empty());
field!(Vec<u8>, bytes, Bytes, encode_repeated, is_default(value) value.is_empty());
field!(bool, bool, Varint, encode_packed, is_default(value) !*value);
field!(u32, uint32, Varint, encode_packed, is_default(value) * value == 0);
field!(u64, uint64, Varint, encode_packed, is_default(value) * value == 0);
field!(i32, sint32, Varint, encode_packed, is_default(value) * value == 0);
field!(i64, sint64, Varint, encode_packed, is_default(value) * value == 0);
// By its bits: -0.0 is a value of its own, NaN stays the NaN it was.
field!(f64, double, Fixed64, encode_packed, is_default(value) value.to_bits() == 0);
