//! Promises of the `house` area, through the public API.
