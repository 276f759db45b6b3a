//! Promises of the `reducer` area, through the public API.

mod limits;
mod order;
mod properties;
mod replay;
mod rules;
mod support;
mod typed;
