//! Promises of the `claim` area, through the public API.

#[cfg(test)]
mod ending;
#[cfg(test)]
mod exclusive;
#[cfg(test)]
mod holding;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod observing;
#[cfg(test)]
mod setup;
