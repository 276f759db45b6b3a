//! Promises of the `macros` area, through the public API.

mod borrowed;
mod owned;
mod scope;
mod scoped;
mod statics;
