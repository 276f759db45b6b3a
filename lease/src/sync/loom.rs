//! The face for loom's models.

#![allow(unused_imports, reason = "which names are needed depends on the features")]

pub(crate) use ::loom::sync::atomic;
pub(crate) use ::loom::sync::{Condvar, Mutex, MutexGuard, RwLock};
pub(crate) use ::loom::thread;
// Loom has no `OnceLock`, and an `Arc` that knows neither `Weak` nor other pointee types; what needs them is outside its
// models. A model that has to see reference counts names loom's own `Arc`.
pub(crate) use ::std::sync::{Arc, OnceLock, Weak};
