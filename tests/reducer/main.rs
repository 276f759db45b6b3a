//! Promises of the `reducer` area, through the public API.
