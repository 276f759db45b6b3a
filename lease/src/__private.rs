//! What expansions may name. Public because a macro's output stands in the user's crate; documented so that the output
//! can be written by hand; not covered by the version's promise.

pub use crate::memory::scope::{Storage, handle};
