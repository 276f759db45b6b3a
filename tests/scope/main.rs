//! Promises of the `scope` area, through the public API.

mod ending;
mod memory;
mod moving;
