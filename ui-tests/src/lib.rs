//! What a misuse of the macros looks like to the person who made it: see `ui.rs`, `pass/` and `fail/`.
