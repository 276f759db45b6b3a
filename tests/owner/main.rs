//! Promises of the owner table, through the public API.

#[cfg(test)]
mod address;
#[cfg(test)]
mod borrows;
#[cfg(test)]
mod contracts;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod guards;
#[cfg(test)]
mod model;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod queries;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod room;
#[cfg(test)]
mod staged;
#[cfg(test)]
mod steered;
#[cfg(test)]
mod threads;
