//! Promises of the `pool` area, through the public API.
