//! Promises of the `event` area, through the public API.

mod family;
mod golden;
mod hostile;
mod serde_forms;
mod tick;
