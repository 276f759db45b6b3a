//! The C allocator, refusing on demand.
//!
//! The crate takes memory from the system's allocator and from the registered global one; both end here, because a
//! program's own `malloc` stands before the C library's. What a thread arms concerns that thread alone.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;

/// Which of the calling thread's requests for memory are refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// The one after so many others.
    Once(usize),
    /// All after so many others.
    From(usize),
}

thread_local! {
    static REFUSAL: Cell<Option<Refusal>> = const { Cell::new(None) };
    static REFUSED: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work` under the refusal; says how many requests were refused.
pub(crate) fn refusing<R>(refusal: Refusal, work: impl FnOnce() -> R) -> (R, usize) {
    REFUSED.set(0);
    REFUSAL.set(Some(refusal));
    let result = work();
    REFUSAL.set(None);
    (result, REFUSED.get())
}

fn refuses() -> bool {
    let (now, next) = match REFUSAL.get() {
        None => return false,
        Some(Refusal::Once(0)) => (true, None),
        Some(Refusal::From(0)) => (true, Some(Refusal::From(0))),
        Some(Refusal::Once(others)) => (false, Some(Refusal::Once(others - 1))),
        Some(Refusal::From(others)) => (false, Some(Refusal::From(others - 1))),
    };
    REFUSAL.set(next);
    REFUSED.set(REFUSED.get() + usize::from(now));
    now
}

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
}

// SAFETY: no other function of this program has the name; it does what C's has to do, or refuses, as that may.
#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut c_void {
    if refuses() {
        return ptr::null_mut();
    }
    // SAFETY: any size may be asked for.
    unsafe { __libc_malloc(size) }
}

// SAFETY: as `malloc`.
#[unsafe(no_mangle)]
extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    if refuses() {
        return ptr::null_mut();
    }
    // SAFETY: any size may be asked for.
    unsafe { __libc_calloc(count, size) }
}

// SAFETY: as `malloc`.
#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if refuses() {
        return ptr::null_mut();
    }
    // SAFETY: as the caller says of `block`.
    unsafe { __libc_realloc(block, size) }
}

// SAFETY: as `malloc`.
#[unsafe(no_mangle)]
extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    if refuses() {
        return ptr::null_mut();
    }
    // SAFETY: the library refuses what is no alignment.
    unsafe { __libc_memalign(align, size) }
}

// SAFETY: as `malloc`.
#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int {
    let block = aligned_alloc(align, size);
    if block.is_null() {
        return 12; // ENOMEM
    }
    // SAFETY: the caller has room for the answer there.
    unsafe { place.write(block) };
    0
}
