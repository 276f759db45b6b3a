//! Promises of the `registrar` area, through the public API.

mod commands;
