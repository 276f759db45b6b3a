//! Promises of the `owner` area, through the public API.
