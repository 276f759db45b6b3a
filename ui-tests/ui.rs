//! What a misuse looks like to the person who made it.
