//! Promises of the `reducer` area, through the public API.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod checkpoints;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod order;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod support;
#[cfg(test)]
mod typed;
