//! Promises of the `macros` area, through the public API.

#[cfg(test)]
mod borrowed;
#[cfg(test)]
mod exclusive;
#[cfg(test)]
mod owned;
#[cfg(test)]
mod scope;
#[cfg(test)]
mod scoped;
#[cfg(test)]
mod statics;
