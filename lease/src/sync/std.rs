//! The face that users run.

#![allow(unused_imports, reason = "which names are needed depends on the features")]

pub(crate) use ::std::sync::atomic;
pub(crate) use ::std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, RwLock, Weak};
pub(crate) use ::std::thread;
