//! Promises of the `ledger` area, through the public API.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod memory;
