//! Promises of the `seeds` area, through the public API.

#[cfg(test)]
mod seed_000;
mod seed_001;
mod seed_002;
#[cfg(test)]
mod seed_003;
