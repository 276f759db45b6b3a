//! The macros of the `lease` crate. Depend on `lease`, which re-exports them and documents them.

#![forbid(unsafe_code)]
