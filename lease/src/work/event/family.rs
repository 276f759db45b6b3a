//! What an event family is.

use super::{
    EventError, EventRecord,
    wire::{self, Arm, Found},
};

/// A family of events: an enum, one variant a kind, that can be written to a ledger and read back.
///
/// [`#[derive(LeaseEvent)]`](derive@crate::LeaseEvent) implements it. An event's type is `namespace.kind`; its payload
/// is a Protocol Buffers message with one `oneof`, the variant's tag being the arm's field number. Fields that hold
/// their default are not written, fields that are not known are skipped, so a family may grow: add variants and fields
/// with new tags, never reuse one.
///
/// ```
/// use lease::{EventRecord, LeaseEvent};
///
/// #[derive(LeaseEvent, Debug, PartialEq)]
/// #[event(namespace = "order")]
/// enum OrderEvent {
///     #[event(kind = "placed", tag = 1)]
///     Placed {
///         #[event(tag = 1)]
///         order: String,
///         #[event(tag = 2)]
///         cents: u64,
///     },
/// }
///
/// let placed = OrderEvent::Placed { order: "o-1".into(), cents: 250 };
/// assert_eq!(placed.event_type(), "order.placed");
/// assert_eq!(placed.encode(), b"\x0a\x08\x0a\x03o-1\x10\xfa\x01");
/// assert_eq!(OrderEvent::decode(&placed.encode())?, placed);
///
/// let record = EventRecord::of(&placed, "session-1", "shop");
/// assert_eq!(OrderEvent::from_record(&record)?, Some(placed));
/// # Ok::<(), lease::EventError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event family",
    note = "declare one with `#[derive(LeaseEvent)]` on an enum"
)]
pub trait LeaseEvent: Sized {
    /// The first half of the event type, without the dot.
    const NAMESPACE: &'static str;

    /// The family's arms; written by the derive, see `lease::__private`.
    #[doc(hidden)]
    const ARMS: &'static [Arm];

    /// The arm of this event; written by the derive.
    #[doc(hidden)]
    fn arm(&self) -> &'static Arm;

    /// Appends the encoded fields; written by the derive.
    #[doc(hidden)]
    fn write_fields(&self, message: &mut Vec<u8>);

    /// Reads the fields back; written by the derive.
    #[doc(hidden)]
    fn from_arm(found: &Found<'_>) -> Result<Self, EventError>;

    /// The second half of the event type.
    fn kind(&self) -> &'static str {
        self.arm().kind
    }

    /// The field number of the payload's arm.
    fn tag(&self) -> u32 {
        self.arm().tag
    }

    /// `namespace.kind`, as an [`EventRecord`] carries it.
    fn event_type(&self) -> String {
        format!("{}.{}", Self::NAMESPACE, self.kind())
    }

    /// The payload. The same event always gives the same bytes.
    fn encode(&self) -> Vec<u8> {
        let mut message = Vec::new();
        self.write_fields(&mut message);
        wire::seal(self.tag(), &message)
    }

    /// Reads a payload back. Nothing is allocated before all of it has been judged.
    ///
    /// # Errors
    ///
    /// [`EventError`] if the payload is over 64 KiB, malformed, or does not carry exactly one event of this family.
    fn decode(payload: &[u8]) -> Result<Self, EventError> {
        wire::scan(Self::NAMESPACE, Self::ARMS, payload, Self::from_arm)
    }

    /// Reads the event of a record; `None` if the record is of another family.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode), and [`EventError::WrongType`] if the record's type is not that of its payload.
    fn from_record(record: &EventRecord) -> Result<Option<Self>, EventError> {
        let Some(kind) = kind_in(Self::NAMESPACE, &record.event_type) else {
            return Ok(None);
        };
        read::<Self, _>(kind, record, Self::from_arm).map(Some)
    }
}

/// The kind that an event type names, if it is of this namespace.
pub(crate) fn kind_in<'a>(namespace: &str, event_type: &'a str) -> Option<&'a str> {
    event_type.strip_prefix(namespace)?.strip_prefix('.')
}

/// Reads the arm of a record's payload, if it is of the kind that the record's type names.
pub(crate) fn read<'a, E: LeaseEvent, T>(
    kind: &str,
    record: &'a EventRecord,
    read: impl FnOnce(&Found<'a>) -> Result<T, EventError>,
) -> Result<T, EventError> {
    wire::scan(E::NAMESPACE, E::ARMS, &record.payload, |found| {
        if found.arm().kind == kind {
            return read(found);
        }
        Err(EventError::WrongType {
            event_type: record.event_type.clone(),
            namespace: E::NAMESPACE,
            carried: found.arm().kind,
        })
    })
}
