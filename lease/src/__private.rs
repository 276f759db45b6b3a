//! What expansions may name. Public because a macro's output stands in the user's crate; documented so that the output
//! can be written by hand; not covered by the version's promise.

pub use crate::memory::scope::{Storage, handle};

/// What `#[derive(LeaseEvent)]` expands to: a table of [`Arm`](event::Arm)s, and per field one
/// [`write`](event::Field::write) and one [`field`](event::Found::field).
#[cfg(feature = "work")]
pub mod event {
    pub use crate::work::event::wire::{Arm, Field, FieldInfo, Form, Found, Single};

    /// Where encoded fields are appended.
    pub type Bytes = Vec<u8>;
}
