//! Nothing of its own: the programs are in `examples/`, and `tests/` runs them. Cargo wants a package to have a library
//! or a binary.
