//! `Quota` and `Tracked`, alone and over one another.

use std::alloc::Layout;
use std::ptr::NonNull;

use lease::strategy::{
    AllocReason, Budget, MemoryStrategy, Quota, StrategyFault, StrategyStats, System, Tracked, Usage,
    validate_strategy,
};
use lease_tests::bookkeeper::Bookkeeper;
use lease_tests::failing::Failing;
use proptest::prelude::*;

fn bytes(len: usize) -> Layout {
    Layout::array::<u8>(len).unwrap()
}

fn live(stats: &StrategyStats) -> (usize, usize) {
    let live = stats.live.unwrap();
    (live.bytes, live.blocks)
}

fn take(strategy: &impl MemoryStrategy, len: usize) -> Result<NonNull<u8>, AllocReason> {
    strategy
        .allocate(bytes(len))
        .map(NonNull::cast)
        .map_err(|error| error.reason)
}

fn give(strategy: &impl MemoryStrategy, ptr: NonNull<u8>, len: usize) {
    // SAFETY: each caller gives a block that it took with this length, once.
    unsafe { strategy.deallocate(ptr, bytes(len)) };
}

#[test]
fn a_byte_quota_serves_up_to_its_limit_and_says_what_is_left() {
    let quota = Quota::bytes(100, Bookkeeper::new());
    let first = take(&quota, 60).unwrap();
    assert_eq!(
        take(&quota, 41),
        Err(AllocReason::QuotaBytes {
            limit: 100,
            remaining: 40
        })
    );
    let second = take(&quota, 40).unwrap();
    assert_eq!(
        take(&quota, 1),
        Err(AllocReason::QuotaBytes {
            limit: 100,
            remaining: 0
        })
    );
    give(&quota, first, 60);
    assert_eq!(
        quota.stats().bytes,
        Some(Budget {
            limit: 100,
            remaining: 60
        })
    );
    give(&quota, second, 40);
    assert_eq!(live(&quota.stats()), (0, 0));
    assert_eq!(quota.inner().live(), []);
}

#[test]
fn a_count_quota_serves_up_to_its_limit_of_live_blocks() {
    let quota = Quota::count(2, System);
    let blocks = [take(&quota, 1).unwrap(), take(&quota, 1_000_000).unwrap()];
    assert_eq!(take(&quota, 1), Err(AllocReason::QuotaCount { limit: 2 }));
    assert_eq!(live(&quota.stats()), (1_000_001, 2));
    give(&quota, blocks[1], 1_000_000);
    let third = take(&quota, 5).unwrap();
    give(&quota, blocks[0], 1);
    give(&quota, third, 5);
    assert_eq!(
        quota.stats().blocks,
        Some(Budget {
            limit: 2,
            remaining: 2
        })
    );
    assert_eq!(quota.stats().bytes, None);
}

#[test]
fn a_refusal_for_one_limit_takes_nothing_of_the_other() {
    let quota = Quota::new(100, 1, System);
    let block = take(&quota, 10).unwrap();
    assert_eq!(take(&quota, 10), Err(AllocReason::QuotaCount { limit: 1 }));
    assert_eq!(live(&quota.stats()), (10, 1));
    give(&quota, block, 10);
    assert!(take(&quota, 101).is_err());
    assert_eq!(live(&quota.stats()), (0, 0));
}

#[test]
fn growing_within_a_quota_counts_the_difference() {
    let quota = Quota::new(100, 1, System);
    let block = take(&quota, 10).unwrap();
    // SAFETY: the block is live with 10 bytes, and 101 is larger.
    let refused = unsafe { quota.grow(block, bytes(10), bytes(101)) }.unwrap_err();
    assert_eq!(
        refused.reason,
        AllocReason::QuotaBytes {
            limit: 100,
            remaining: 90
        }
    );
    assert_eq!(live(&quota.stats()), (10, 1));
    // SAFETY: the block is live with 10 bytes, and 100 is larger.
    let block = unsafe { quota.grow(block, bytes(10), bytes(100)) }
        .unwrap()
        .cast();
    assert_eq!(live(&quota.stats()), (100, 1));
    // SAFETY: the block is live with 100 bytes, and 30 is smaller.
    let block = unsafe { quota.shrink(block, bytes(100), bytes(30)) }
        .unwrap()
        .cast();
    assert_eq!(live(&quota.stats()), (30, 1));
    give(&quota, block, 30);
}

#[test]
fn of_two_quotas_the_tighter_one_is_shown() {
    let quota = Quota::bytes(100, Quota::new(50, 7, System));
    assert_eq!(
        quota.stats().bytes,
        Some(Budget {
            limit: 50,
            remaining: 50
        })
    );
    assert_eq!(
        quota.stats().blocks,
        Some(Budget {
            limit: 7,
            remaining: 7
        })
    );
    assert_eq!(
        take(&quota, 60),
        Err(AllocReason::QuotaBytes {
            limit: 50,
            remaining: 50
        })
    );
    assert_eq!(live(&quota.stats()), (0, 0));
}

#[test]
fn a_quota_whose_books_were_broken_by_a_wrong_free_says_so() {
    // The strategy below checks even trusted frees, so a broken promise about the layout does no harm here.
    let quota = Quota::bytes(100, Bookkeeper::new());
    let block = take(&quota, 1).unwrap();
    give(&quota, block, 2);
    let reasons = validate_strategy(&quota).unwrap_err();
    assert_eq!(reasons[0], StrategyFault::Unhealthy { errors: 1 });
    assert!(
        matches!(
            reasons[1..],
            [StrategyFault::Inconsistent {
                what: "live bytes and their limit",
                ..
            }]
        ),
        "{reasons}"
    );
    // SAFETY: the block is still live with one byte, and not used again.
    unsafe { quota.inner().try_deallocate(block, bytes(1)) }.unwrap();
}

#[test]
fn figures_broken_by_a_wrong_free_refuse_nothing_and_say_so() {
    let tracked = Tracked::new(Bookkeeper::new());
    let below = take(tracked.inner(), 8).unwrap();
    // SAFETY: the block is not used again; the strategy knows its own, so that is the only duty.
    unsafe { tracked.try_deallocate(below, bytes(8)) }.unwrap();
    assert!(validate_strategy(&tracked).is_err());
    let block = take(&tracked, 16).unwrap();
    give(&tracked, block, 16);
}

#[test]
fn tracking_shows_live_peak_failures_and_sizes() {
    let tracked = Tracked::new(Quota::bytes(1_000, System));
    let small = take(&tracked, 3).unwrap();
    let large = take(&tracked, 900).unwrap();
    assert!(take(&tracked, 98).is_err());
    assert!(take(&tracked, 0).is_err());
    give(&tracked, large, 900);
    let stats = tracked.stats();
    assert_eq!(stats.live, Some(Usage { bytes: 3, blocks: 1 }));
    assert_eq!(
        stats.peak,
        Some(Usage {
            bytes: 903,
            blocks: 2
        })
    );
    let failures = stats.failures.unwrap();
    assert_eq!(
        (failures.quota_bytes, failures.zero_size, failures.total()),
        (1, 1, 2)
    );
    assert_eq!(
        stats.sizes.unwrap().rows().collect::<Vec<_>>(),
        [(4, 1), (1_024, 1)]
    );
    assert_eq!(
        stats.bytes,
        Some(Budget {
            limit: 1_000,
            remaining: 997
        })
    );
    give(&tracked, small, 3);
}

#[test]
fn size_classes_end_at_powers_of_two() {
    let tracked = Tracked::new(System);
    for len in [1, 2, 3, 4, 5, 8, 9, 1 << 20, (1 << 20) + 1] {
        let block = take(&tracked, len).unwrap();
        give(&tracked, block, len);
    }
    let rows: Vec<_> = tracked.stats().sizes.unwrap().rows().collect();
    assert_eq!(
        rows,
        [
            (1, 1),
            (2, 1),
            (4, 2),
            (8, 2),
            (16, 1),
            (1 << 20, 1),
            (1 << 21, 1)
        ]
    );
}

#[test]
fn tracking_follows_growing_and_shrinking() {
    let tracked = Tracked::new(Failing::at(3, System));
    let block = take(&tracked, 10).unwrap();
    // SAFETY: the block is live with 10 bytes, and 50 is larger.
    let block = unsafe { tracked.grow(block, bytes(10), bytes(50)) }
        .unwrap()
        .cast();
    // SAFETY: the block is live with 50 bytes, and 20 is smaller.
    let block = unsafe { tracked.shrink(block, bytes(50), bytes(20)) }
        .unwrap()
        .cast();
    // SAFETY: the block is live with 20 bytes, and 30 is larger.
    assert!(unsafe { tracked.grow(block, bytes(20), bytes(30)) }.is_err());
    let stats = tracked.stats();
    assert_eq!(stats.live, Some(Usage { bytes: 20, blocks: 1 }));
    assert_eq!(stats.peak, Some(Usage { bytes: 50, blocks: 1 }));
    assert_eq!(stats.failures.unwrap().out_of_memory, 1);
    assert_eq!(stats.sizes.unwrap().rows().collect::<Vec<_>>(), [(16, 1)]);
    give(&tracked, block, 20);
}

#[test]
fn threads_share_a_quota_without_passing_it_or_losing_any() {
    let quota = Quota::new(8 * 64, 8, Tracked::new(System));
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..2_000 {
                    let mut blocks = Vec::new();
                    while let Ok(block) = take(&quota, 64) {
                        blocks.push(block);
                    }
                    for block in blocks {
                        give(&quota, block, 64);
                    }
                }
            });
        }
    });
    assert_eq!(live(&quota.stats()), (0, 0));
    let peak = quota.stats().peak.unwrap();
    assert!(peak.blocks <= 8 && peak.bytes <= 8 * 64, "{peak:?}");
    assert_eq!(validate_strategy(&quota), Ok(()));
}

/// One step of a script over a stack of blocks.
#[derive(Clone, Copy, Debug)]
enum Step {
    Take(usize),
    Zeroed(usize),
    Resize(usize),
    Give,
}

/// Runs a script; every step either happens or leaves all figures as they were. Returns the refusals.
fn run(strategy: &(impl MemoryStrategy + ?Sized), keeper: &Bookkeeper, script: &[Step]) -> Vec<AllocReason> {
    let mut blocks: Vec<(NonNull<u8>, usize)> = Vec::new();
    let mut refusals = Vec::new();
    for step in script {
        let before = strategy.stats();
        let outcome = match *step {
            Step::Take(len) => strategy
                .allocate(bytes(len))
                .map(|block| blocks.push((block.cast(), len))),
            Step::Zeroed(len) => strategy
                .allocate_zeroed(bytes(len))
                .map(|block| blocks.push((block.cast(), len))),
            Step::Resize(len) => match blocks.last_mut() {
                None => Ok(()),
                Some((ptr, old)) => {
                    let moved = if len >= *old {
                        // SAFETY: the block is live with `old` bytes, and `len` is no smaller.
                        unsafe { strategy.grow(*ptr, bytes(*old), bytes(len)) }
                    } else {
                        // SAFETY: the block is live with `old` bytes, and `len` is smaller.
                        unsafe { strategy.shrink(*ptr, bytes(*old), bytes(len)) }
                    };
                    moved.map(|block| (*ptr, *old) = (block.cast(), len))
                }
            },
            Step::Give => {
                if let Some((ptr, len)) = blocks.pop() {
                    // SAFETY: the block is live with `len` bytes and not used again.
                    unsafe { strategy.deallocate(ptr, bytes(len)) };
                }
                Ok(())
            }
        };
        let after = strategy.stats();
        if let Err(error) = outcome {
            refusals.push(error.reason);
            assert_eq!(after.live, before.live, "{step:?} failed and changed the books");
            assert_eq!((after.bytes, after.blocks), (before.bytes, before.blocks));
        }
        assert_eq!(live(&after), live(&keeper.stats()), "after {step:?}");
        assert_eq!(
            live(&after),
            (blocks.iter().map(|(_, len)| len).sum(), blocks.len())
        );
        assert_eq!(validate_strategy(strategy), Ok(()));
    }
    for (ptr, len) in blocks {
        // SAFETY: the block is live with `len` bytes and not used again.
        unsafe { strategy.deallocate(ptr, bytes(len)) };
    }
    assert_eq!(live(&strategy.stats()), (0, 0));
    assert_eq!(keeper.live(), []);
    refusals
}

#[test]
fn whichever_allocation_fails_the_layers_stay_as_they_were() {
    let script = [
        Step::Take(10),
        Step::Zeroed(20),
        Step::Resize(40),
        Step::Take(5),
        Step::Resize(2),
        Step::Give,
        Step::Resize(8),
        Step::Take(30),
    ];
    for number in 0.. {
        let keeper = Bookkeeper::new();
        let once = Tracked::new(Quota::new(1_000, 10, Failing::at(number, &keeper)));
        let refusals = run(&once, &keeper, &script);
        if refusals.is_empty() {
            assert_eq!(number, 7, "every request of the script has failed once");
            break;
        }
        assert_eq!(refusals, [AllocReason::OutOfMemory]);
        assert_eq!(once.stats().failures.unwrap().out_of_memory, 1);

        let ever_after = Quota::count(10, Tracked::new(Failing::from(number, &keeper)));
        assert!(!run(&ever_after, &keeper, &script).is_empty());
    }
}

proptest! {
    #[test]
    fn layers_agree_with_the_books_below_under_any_script(
        script in proptest::collection::vec(
            prop_oneof![
                3 => (0..80_usize).prop_map(Step::Take),
                1 => (0..80_usize).prop_map(Step::Zeroed),
                2 => (0..200_usize).prop_map(Step::Resize),
                2 => Just(Step::Give),
            ],
            0..60,
        ),
        limit in 0..400_usize,
        count in 0..8_usize,
        failing in 0..60_u64,
    ) {
        let keeper = Bookkeeper::new();
        let strategy = Tracked::new(Quota::new(limit, count, Failing::at(failing, &keeper)));
        let refusals = run(&strategy, &keeper, &script);
        let stats = strategy.stats();
        prop_assert_eq!(stats.failures.unwrap().total(), refusals.len() as u64);
        let peak = stats.peak.unwrap();
        prop_assert!(peak.bytes <= limit && peak.blocks <= count);
        for refusal in refusals {
            if let AllocReason::QuotaBytes { limit: told, remaining } = refusal {
                prop_assert!(told == limit && remaining <= limit);
            }
        }
    }
}
