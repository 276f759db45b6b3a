//! Promises of the `ledger` area, through the public API.

mod conformance;
mod memory;
