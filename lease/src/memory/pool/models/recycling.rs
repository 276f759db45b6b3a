//! Payloads that stay in their slots, against those who take them over and against the pool's end.

use loom::sync::Arc;

use super::{Payload, model, recycling_pool, thread};
use crate::sync::global::Ordering;

#[test]
fn loom_a_recycled_payload_is_reset_for_the_next_and_ends_with_the_pool() {
    model(|books| {
        let pool = Arc::new(recycling_pool(books));
        let lease = pool.acquire(Payload::new(books, 1));
        let taker = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                if let Ok(lease) = pool.try_acquire_recycled(|| unreachable!("the only payload is kept")) {
                    assert_eq!(lease.value(), 0);
                }
            })
        };
        drop(lease);
        taker.join().expect("no panic");
        assert_eq!(books.payloads.load(Ordering::SeqCst), 1);
        drop(pool);
    });
}

#[test]
fn loom_pool_drop_against_a_payload_that_would_be_kept() {
    model(|books| {
        let pool = recycling_pool(books);
        let lease = pool.acquire(Payload::new(books, 1));
        let releaser = thread::spawn(move || drop(lease));
        drop(pool);
        releaser.join().expect("no panic");
    });
}
