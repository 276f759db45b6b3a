//! Row j: a bounded pool of 64 of which all but two are taken, and four threads that want them.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use lease::Pool;
use lease_benches::{Nanos, Side, row, since};

use super::Payload;

const THREADS: u32 = 4;
const EACH: u32 = 5_000;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor: `deadpool` waits in futures only.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

fn four(work: impl Fn() + Sync) -> Nanos {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..EACH).for_each(|_| work()));
        }
    });
    since(start, THREADS * EACH)
}

pub(crate) fn run() -> usize {
    let object = || black_box::<Payload>([7; 8]);
    let ours = Pool::builder().capacity(64).build();
    let taken: Vec<_> = (0..62).map(|_| ours.acquire(object())).collect();
    let deadpool = deadpool::unmanaged::Pool::from((0..64).map(|_| object()).collect::<Vec<_>>());
    let deadpool_taken: Vec<_> = (0..62)
        .map(|_| deadpool.try_get().expect("there are 64"))
        .collect();
    let object_pool = object_pool::Pool::new(64, object);
    let object_pool_taken: Vec<_> = (0..62)
        .map(|_| object_pool.try_pull().expect("there are 64"))
        .collect();
    let missed = row(
        "j two of 64 slots left, four threads",
        vec![
            Side::new("lease", || {
                four(|| drop(black_box(ours.acquire_blocking(object()).expect("open"))))
            }),
            Side::new("deadpool", || {
                four(|| drop(black_box(block_on(deadpool.get()).expect("open"))))
            })
            .target(1.0),
            Side::new("object-pool (spins)", || {
                four(|| {
                    let object = loop {
                        match object_pool.try_pull() {
                            Some(object) => break object,
                            None => thread::yield_now(),
                        }
                    };
                    drop(black_box(object));
                })
            }),
        ],
    );
    drop((taken, deadpool_taken, object_pool_taken));
    missed
}
