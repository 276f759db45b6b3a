//! Promises of the `strategy` area, through the public API.

#[cfg(test)]
mod doors;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod pointers;
#[cfg(test)]
mod provided;
#[cfg(test)]
mod status;
#[cfg(test)]
mod validator;
