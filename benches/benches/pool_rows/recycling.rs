//! Row k: buffers of 4 KiB that are emptied and handed out again.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use lease::Pool;
use lease_benches::{Nanos, Side, each, row, short_row, since};

/// Some 100 µs to a round.
const COUNT: u32 = 5_000;
/// For each of two threads, which cost something to start.
const COUNT_OF_TWO: u32 = 100_000;

type Buffer = Vec<u8>;

fn buffer() -> Buffer {
    Vec::with_capacity(4 << 10)
}

/// Two threads at once.
fn two(work: impl Fn() -> usize + Sync) -> Nanos {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| each(COUNT_OF_TWO, |_| work()));
        }
    });
    since(start, 2 * COUNT_OF_TWO)
}

pub(crate) fn run() -> usize {
    let ours = Pool::builder().recycle(Vec::clear).build();
    let object_pool = object_pool::Pool::new(4, buffer);
    let locked = lease_peer::Pool::with_initial_size(4, buffer);
    let with_ours = || ours.acquire_recycled_unique(buffer).capacity();
    // The peers leave it to the user to empty what they hand out.
    let with_object_pool = || {
        let mut buffer = object_pool.pull(buffer);
        buffer.clear();
        buffer.capacity()
    };
    let with_locked = || {
        let mut buffer = locked.try_get_or_new(buffer);
        buffer.clear();
        buffer.capacity()
    };
    let with_none = || black_box(buffer()).capacity();
    short_row(
        "k recycle, 4 KiB buffer",
        vec![
            Side::new("lease", || each(COUNT, |_| with_ours())),
            Side::new("a new buffer", || each(COUNT, |_| with_none())),
            Side::new("object-pool", || each(COUNT, |_| with_object_pool())),
            Side::new("lease 0.5", || each(COUNT, |_| with_locked())),
        ],
    ) + row(
        "k2 the same, two threads",
        vec![
            Side::new("lease", || two(with_ours)),
            Side::new("a new buffer", || two(with_none)),
            Side::new("object-pool", || two(with_object_pool)),
            Side::new("lease 0.5", || two(with_locked)),
        ],
    )
}
