//! The house rules that no compiler checks: who may import whom, where `unsafe` may stand, where atomics may be named.
//! They read the sources of `lease/src`.

#![cfg(test)]

mod floors;
mod manifests;
mod rooms;
mod source;
