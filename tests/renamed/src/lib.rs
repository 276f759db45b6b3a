//! The macros with the crate under another name.
