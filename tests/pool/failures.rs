//! Strategies that refuse, at every point, and what is left as it was.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lease::strategy::AllocReason;
use lease::{AcquireError, Pool, PoolBuildError};

use crate::support::{Limited, Watched, with_a_large_stack};

#[test]
fn a_refused_segment_is_an_error_and_changes_nothing() {
    for limit in 0..5 {
        let books = Limited::new(limit, AllocReason::OutOfMemory);
        let pool = Pool::builder()
            .segment_bytes(16 << 10)
            .build_in(Watched(Arc::clone(&books)));
        let mut leases = Vec::new();
        let error = loop {
            match pool.try_acquire([leases.len(); 8]) {
                Ok(lease) => leases.push(lease),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, AcquireError::Memory(error) if error.reason == AllocReason::OutOfMemory));
        assert_eq!(pool.stats().segments, limit);
        assert_eq!(pool.stats().live, leases.len());
        assert!(leases.iter().enumerate().all(|(n, lease)| **lease == [n; 8]));

        books.limit.store(limit + 1, Ordering::SeqCst);
        leases.push(pool.acquire([leases.len(); 8]));
        drop((pool, leases));
        assert_eq!(books.live.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn a_strategy_that_never_serves_segments_is_named() {
    let books = Limited::new(0, AllocReason::TooLarge { limit: 4096 });
    let pool = Pool::new_in(Watched(books));
    let error = pool.try_acquire(1).unwrap_err();
    assert!(matches!(
        error,
        AcquireError::SegmentUnsupported {
            reason: AllocReason::TooLarge { limit: 4096 },
            ..
        }
    ));
}

#[test]
fn a_payload_larger_than_any_segment_is_refused() {
    with_a_large_stack(|| {
        let pool: Pool<[u8; 2 << 20]> = Pool::new();
        let error = pool.try_acquire_with(|| panic!("called")).unwrap_err();
        assert!(matches!(error, AcquireError::PayloadTooLarge { limit, .. } if limit == 2 << 20));
        assert_eq!(pool.stats().segments, 0);
    });
}

#[test]
fn segment_sizes_are_checked() {
    for given in [0, 1, 8 << 10, (16 << 10) + 1, 3 << 14, 4 << 20] {
        let refused = Pool::<u8>::builder().segment_bytes(given).try_build();
        assert_eq!(refused.unwrap_err(), PoolBuildError::SegmentBytes { given });
    }
    for shift in 14..=21 {
        let pool = Pool::builder().segment_bytes(1 << shift).build();
        let lease = pool.acquire(1);
        assert_eq!(pool.stats().bytes, 1 << shift);
        drop(lease);
    }
}
