//! Strategies under other people's collections, and figures as data.

use std::alloc::Layout;
use std::sync::Arc;

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use lease::strategy::{AsAllocator, MemoryStrategy, Quota, System, Tracked};
use lease_tests::bookkeeper::Bookkeeper;
use lease_tests::failing::Failing;
use lease_tests::generous::Generous;

#[test]
fn a_vector_grows_shrinks_and_gives_all_back() {
    let keeper = Bookkeeper::new();
    {
        let mut numbers = Vec::new_in(AsAllocator::new(&keeper));
        assert_eq!(keeper.live(), [], "an empty vector takes nothing");
        numbers.extend(0..1_000_u32);
        assert!(numbers.iter().copied().eq(0..1_000));
        numbers.truncate(10);
        numbers.shrink_to_fit();
        assert_eq!(keeper.live(), [Layout::array::<u32>(10).unwrap()]);
        numbers.clear();
        numbers.shrink_to_fit();
        assert_eq!(keeper.live(), []);
    }
    assert_eq!(keeper.validate(), Ok(()));
}

#[test]
fn a_map_of_hashbrown_lives_in_a_strategy() {
    let keeper = Bookkeeper::new();
    {
        let mut map = hashbrown::HashMap::<_, _, std::hash::RandomState, _>::with_hasher_in(
            std::hash::RandomState::new(),
            AsAllocator::new(&keeper),
        );
        for number in 0..1_000 {
            map.insert(number, number * number);
        }
        let copy = map.clone();
        assert_eq!(copy.get(&30), Some(&900));
        assert_eq!(keeper.live().len(), 2);
    }
    assert_eq!(keeper.live(), []);
    assert_eq!(keeper.validate(), Ok(()));
}

#[test]
fn empty_layouts_are_served_without_the_strategy() {
    let strategy = AsAllocator::new(Failing::from(0, System));
    let empty = Layout::from_size_align(0, 64).unwrap();
    for block in [strategy.allocate(empty), strategy.allocate_zeroed(empty)] {
        let block = block.unwrap();
        assert_eq!(block.len(), 0);
        assert!(block.cast::<u8>().addr().get().is_multiple_of(64));
        // SAFETY: the block is live under this layout and not used again.
        unsafe { strategy.deallocate(block.cast(), empty) };
    }
    assert!(!strategy.strategy().has_failed());
}

#[test]
fn blocks_grow_from_nothing_and_shrink_to_nothing() {
    let keeper = Bookkeeper::new();
    let strategy = AsAllocator::new(&keeper);
    let (empty, word) = (Layout::new::<[u64; 0]>(), Layout::new::<u64>());
    let block = strategy.allocate(empty).unwrap();
    // SAFETY: the block is live under `empty`, and a word is larger.
    let block = unsafe { strategy.grow(block.cast(), empty, word) }.unwrap();
    assert_eq!(keeper.live(), [word]);
    // SAFETY: the block is live under `word`, and nothing is smaller.
    let block = unsafe { strategy.shrink(block.cast(), word, empty) }.unwrap();
    assert_eq!(keeper.live(), []);
    // SAFETY: the block is live under `empty`, and a word is larger.
    let block = unsafe { strategy.grow_zeroed(block.cast(), empty, word) }
        .unwrap()
        .cast::<u64>();
    // SAFETY: the block is live and zero.
    assert_eq!(unsafe { block.read() }, 0);
    // SAFETY: the block is live under `word` and not used again.
    unsafe { strategy.deallocate(block.cast(), word) };
}

#[test]
fn a_block_is_never_longer_than_asked() {
    // A collection may give a longer one back by its whole length, which is not what the strategy was asked with.
    let strategy = AsAllocator::new(Generous);
    let (word, words) = (Layout::new::<u64>(), Layout::new::<[u64; 3]>());
    for block in [strategy.allocate(word), strategy.allocate_zeroed(word)] {
        let block = block.unwrap();
        assert_eq!(block.len(), word.size());
        // SAFETY: the block is live under `word`, and `words` is larger.
        let block = unsafe { strategy.grow(block.cast(), word, words) }.unwrap();
        assert_eq!(block.len(), words.size());
        // SAFETY: the block is live under `words`, and `word` is smaller.
        let block = unsafe { strategy.shrink(block.cast(), words, word) }.unwrap();
        assert_eq!(block.len(), word.size());
        // SAFETY: the block is live under `word` and not used again.
        unsafe { strategy.deallocate(block.cast(), word) };
    }
}

#[test]
fn out_of_memory_reaches_the_collection_as_an_error() {
    let quota = Quota::bytes(64, System);
    let mut numbers = Vec::<u64, _>::new_in(AsAllocator::new(&quota));
    assert!(numbers.try_reserve_exact(8).is_ok());
    assert!(numbers.try_reserve_exact(9).is_err());
    assert!(Box::try_new_in([0_u64; 8], AsAllocator::new(&quota)).is_err());
}

#[test]
fn a_clone_shares_the_strategy_and_keeps_it_alive() {
    let tracked = Arc::new(Tracked::new(System));
    let mut first = Vec::with_capacity_in(10, AsAllocator::new(Arc::clone(&tracked)));
    first.extend(0..10_u8);
    let second = first.clone();
    drop(first);
    assert_eq!(tracked.stats().live.map(|live| live.bytes), Some(10));
    let figures = Arc::downgrade(&tracked);
    drop(tracked);
    assert!(figures.upgrade().is_some());
    drop(second);
    assert!(figures.upgrade().is_none());
}

#[test]
fn figures_are_data() {
    let tracked = Tracked::new(Quota::bytes(10, System));
    assert!(tracked.allocate(Layout::new::<u128>()).is_err());
    let layout = Layout::new::<u64>();
    let block = tracked.allocate(layout).unwrap();
    let data = serde_json::to_value(tracked.stats()).unwrap();
    assert_eq!(data["live"], serde_json::json!({ "bytes": 8, "blocks": 1 }));
    assert_eq!(data["bytes"], serde_json::json!({ "limit": 10, "remaining": 2 }));
    assert_eq!(data["blocks"], serde_json::Value::Null);
    assert_eq!(data["failures"]["quota_bytes"], 1);
    assert_eq!(data["sizes"], serde_json::json!([[8, 1]]));
    let status = serde_json::to_value(tracked.status()).unwrap();
    assert_eq!(
        status,
        serde_json::json!({ "state": "Active", "transitions": 0, "errors": 0 })
    );
    // SAFETY: the block is live under this layout and not used again.
    unsafe { tracked.deallocate(block.cast(), layout) };
}
