//! Promises of the `claim` area, through the public API.

mod holding;
