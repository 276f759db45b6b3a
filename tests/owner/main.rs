//! Promises of the owner table, through the public API.

mod address;
mod borrows;
mod contracts;
mod ends;
mod guards;
mod model;
mod moving;
mod queries;
mod room;
mod steered;
mod threads;
