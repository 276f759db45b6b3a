//! Promises of the `pool` area, through the public API.

mod bounded;
mod endings;
mod failures;
mod handles;
mod leases;
mod mapped;
mod model;
mod races;
mod recycling;
mod regressions;
mod shapes;
mod stress;
mod support;
mod threads;
mod visits;
mod waiting;
