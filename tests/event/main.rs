//! Promises of the `event` area, through the public API.

mod golden;
