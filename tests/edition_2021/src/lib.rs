//! The macros in edition 2021.
