//! Promises of the `scope` area, through the public API.

#[cfg(test)]
mod ending;
#[cfg(test)]
mod failing;
#[cfg(test)]
mod leasing;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod moving;
