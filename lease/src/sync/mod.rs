//! Atomics, locks and threads, behind one door.
//!
//! Everything else in the crate names these through here, so that the same source runs on std, under loom (which
//! explores every ordering of a small model) and under shuttle (which explores schedules of a larger one). The face is
//! chosen by `--cfg loom` or `--cfg shuttle`, never by a feature: a feature could be switched on by a stranger.
//!
//! Loom's and shuttle's faces exist for tests only; they are neither fast nor `const`-constructible.

#[cfg(loom)]
mod loom;
#[cfg(shuttle)]
mod shuttle;
#[cfg(not(any(loom, shuttle)))]
mod std;

#[cfg(loom)]
pub(crate) use self::loom::*;
#[cfg(shuttle)]
pub(crate) use self::shuttle::*;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use self::std::*;

// The same question on every face: the models' own threads unwind as std's do.
pub(crate) use ::std::thread::panicking;

// How many threads the machine has work for; no model asks.
#[cfg(feature = "work")]
pub(crate) use ::std::thread::available_parallelism;

/// Whether a thread has ended. Loom's cannot be asked, and none of its models does.
#[cfg(feature = "work")]
pub(crate) fn is_finished(thread: &thread::JoinHandle<()>) -> bool {
    #[cfg(not(loom))]
    return thread.is_finished();
    #[cfg(loom)]
    unreachable!("{thread:?} is not asked");
}

/// The guarded value, whether or not a holder panicked.
///
/// No lock in this crate is held while user code runs, and no critical section leaves its data half-changed, so a
/// poisoned lock says only that a thread died elsewhere.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

/// Numbers for identities: each is given once in the life of the process, and none is zero.
///
/// On every face this is std's atomic. Nobody waits on it or reads memory because of it, so there is no interleaving
/// worth exploring, and the checkers' atomics cannot live in a `static`.
#[derive(Debug)]
pub(crate) struct Sequence(::std::sync::atomic::AtomicU64);

impl Sequence {
    /// Starts at 1.
    pub(crate) const fn new() -> Self {
        Self(::std::sync::atomic::AtomicU64::new(1))
    }

    /// The next number. At one a nanosecond they last for 584 years.
    pub(crate) fn next(&self) -> u64 {
        // Only the number has to be unique; it publishes nothing.
        self.0.fetch_add(1, ::std::sync::atomic::Ordering::Relaxed)
    }
}

/// A `const fn` on std's face, so that what it makes can stand in a `static`; a plain `fn` under a model checker, whose
/// types cannot.
macro_rules! const_fn {
    ($(#[$meta:meta])* $visibility:vis const fn $($function:tt)*) => {
        #[cfg(not(any(loom, shuttle)))]
        $(#[$meta])*
        $visibility const fn $($function)*

        #[cfg(any(loom, shuttle))]
        $(#[$meta])*
        $visibility fn $($function)*
    };
}
pub(crate) use const_fn;

/// An array of counters at zero.
#[cfg(not(any(loom, shuttle)))]
pub(crate) const fn counters<const N: usize>() -> [atomic::AtomicU64; N] {
    [const { atomic::AtomicU64::new(0) }; N]
}

/// An array of counters at zero.
#[cfg(any(loom, shuttle))]
pub(crate) fn counters<const N: usize>() -> [atomic::AtomicU64; N] {
    ::std::array::from_fn(|_| atomic::AtomicU64::new(0))
}

/// For process-wide tables. They live in `static`s, where loom's and shuttle's types cannot, so they are std's under
/// every face and stay outside the models: nothing inside their critical sections may wait for a modelled thread.
pub(crate) mod global {
    pub(crate) use ::std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};
    pub(crate) use ::std::sync::{Mutex, MutexGuard};

    /// The guarded value, whether or not a holder panicked; see [`super::lock`].
    pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        match mutex.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}
