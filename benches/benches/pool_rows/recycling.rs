//! Row k: buffers of 4 KiB that are emptied and handed out again.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use lease::Pool;
use lease_benches::{Nanos, Side, each, short_row, since};

/// Some 100 µs to a round.
const COUNT: u32 = 5_000;

type Buffer = Vec<u8>;

fn buffer() -> Buffer {
    Vec::with_capacity(4 << 10)
}

/// Two threads at once.
fn two(work: impl Fn() + Sync) -> Nanos {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..COUNT).for_each(|_| work()));
        }
    });
    since(start, 2 * COUNT)
}

pub(crate) fn run() -> usize {
    let ours = Pool::builder().recycle(Vec::clear).build();
    let object_pool = object_pool::Pool::new(4, buffer);
    let locked = lease_peer::Pool::with_initial_size(4, buffer);
    let with_ours = || ours.acquire_recycled(buffer).capacity();
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
    ) + short_row(
        "k2 the same, two threads",
        vec![
            Side::new("lease", || two(|| drop(black_box(with_ours())))),
            Side::new("a new buffer", || two(|| drop(black_box(with_none())))),
            Side::new("object-pool", || two(|| drop(black_box(with_object_pool())))),
            Side::new("lease 0.5", || two(|| drop(black_box(with_locked())))),
        ],
    )
}
