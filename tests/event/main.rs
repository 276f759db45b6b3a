//! Promises of the `event` area, through the public API.

#[cfg(test)]
mod family;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hygiene;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod serde_forms;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tick;
