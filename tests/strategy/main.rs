//! Promises of the `strategy` area, through the public API.
