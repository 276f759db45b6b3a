//! The face for shuttle's schedules.

#![allow(unused_imports, reason = "which names are needed depends on the features")]

pub(crate) use ::shuttle::sync::atomic;
pub(crate) use ::shuttle::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, Weak};
pub(crate) use ::shuttle::thread;
// Shuttle has none; what uses it is outside its schedules.
pub(crate) use ::std::sync::OnceLock;
