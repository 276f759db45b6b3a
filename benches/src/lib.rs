//! Peers side by side; each bench is run by hand.
