//! The row about memory: what a live lease costs, counted by the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

use lease::{LeaseReducer, Reducer as _, ReducerContext, Signer};
use lease_benches::is_wanted;

use super::history::{self, Ending};
use super::report::{self, Goal};

const LIVE: u32 = 1_000_000;

/// The most bytes that a live lease may take, all indexes included.
const LIMIT: f64 = 700.0;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);

/// The system's allocator, with a meter that stands still except in this row.
#[derive(Debug)]
pub(crate) struct Counting;

fn count(bytes: usize, sign: i64) {
    if IS_COUNTING.load(Relaxed) {
        LIVE_BYTES.fetch_add(sign * i64::try_from(bytes).unwrap_or(i64::MAX), Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller keeps the promises of `alloc`, which are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the pointer came from the system's allocator with this layout, because all do.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        // SAFETY: as in `dealloc`; the new size is the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Runs the row; returns how many targets were missed.
pub(crate) fn run() -> usize {
    let row = "memory";
    if !is_wanted(row) {
        return 0;
    }
    let key = Signer::generate().public_key();
    let mut reducer = LeaseReducer::new();
    IS_COUNTING.store(true, Relaxed);
    for (new, sequence) in history::events(LIVE.into(), Ending::Held, key).zip(1..) {
        let applied = reducer.apply(&new.record, &ReducerContext::new(sequence));
        applied.expect("a history without mistakes");
    }
    IS_COUNTING.store(false, Relaxed);
    assert_eq!(reducer.state().active_count(), LIVE as usize);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let bytes = LIVE_BYTES.load(Relaxed) as f64 / f64::from(LIVE);
    black_box(reducer);
    report::line(
        row,
        "bytes per live lease",
        &[bytes],
        &[LIMIT],
        "B",
        Goal::AtMost(1.0),
    )
}
