//! The face for loom's models.

#![allow(unused_imports, reason = "which names are needed depends on the features")]

pub(crate) use ::loom::sync::atomic;
pub(crate) use ::loom::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock};
pub(crate) use ::loom::thread;
// Loom has neither; what uses them is outside its models.
pub(crate) use ::std::sync::{OnceLock, Weak};
