//! Promises of the `macros` area, through the public API.

mod borrowed;
mod exclusive;
mod owned;
mod scope;
mod scoped;
mod statics;
