//! Promises of the `macros` area, through the public API.
