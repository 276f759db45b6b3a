//! Promises of the `seeds` area, through the public API.

mod seed_001;
mod seed_002;
#[cfg(test)]
mod seed_003;
