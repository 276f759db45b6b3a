//! Promises of the `scope` area, through the public API.
