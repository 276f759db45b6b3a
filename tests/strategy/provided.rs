//! `System`, and what the trait provides by itself.

use std::alloc::Layout;
use std::ptr::NonNull;

use lease::strategy::{AllocReason, MemoryStrategy, Ownership, StrategyStats, StrategyStatus, System};
use lease_tests::bookkeeper::Bookkeeper;
use lease_tests::failing::Failing;

fn bytes(len: usize, align: usize) -> Layout {
    Layout::from_size_align(len, align).unwrap()
}

fn fill(block: NonNull<[u8]>, len: usize) {
    for index in 0..len {
        // SAFETY: the block is live, ours alone, and longer than `index`.
        let place = unsafe { block.cast::<u8>().add(index) };
        // SAFETY: as above.
        unsafe { place.write(index.to_le_bytes()[0]) };
    }
}

fn holds(block: NonNull<[u8]>, len: usize) -> bool {
    (0..len).all(|index| {
        // SAFETY: the block is live and longer than `index`.
        let place = unsafe { block.cast::<u8>().add(index) };
        // SAFETY: the place was written by `fill` before the block moved.
        unsafe { place.read() == index.to_le_bytes()[0] }
    })
}

/// A walk through sizes and alignments; contents and alignment must survive each step.
fn resize(strategy: &impl MemoryStrategy) {
    let mut layout = bytes(10, 1);
    let mut block = strategy.allocate(layout).unwrap();
    for (size, align) in [(100, 1), (100, 64), (5_000, 64), (200, 8), (10, 4096), (10, 1)] {
        let next = bytes(size, align);
        fill(block, layout.size());
        let moved = if next.size() >= layout.size() {
            // SAFETY: the block is live under `layout`, and the next is no smaller.
            unsafe { strategy.grow(block.cast(), layout, next) }
        } else {
            // SAFETY: the block is live under `layout`, and the next is no larger.
            unsafe { strategy.shrink(block.cast(), layout, next) }
        };
        block = moved.unwrap();
        assert!(holds(block, layout.size().min(size)), "to {next:?}");
        assert!(block.len() >= size && block.cast::<u8>().addr().get().is_multiple_of(align));
        layout = next;
    }
    // SAFETY: the block is live under `layout` and not used again.
    unsafe { strategy.deallocate(block.cast(), layout) };
}

#[test]
fn growing_and_shrinking_keep_contents_and_alignment() {
    resize(&System);
    let keeper = Bookkeeper::new();
    resize(&keeper);
    assert_eq!(keeper.live(), []);
    assert_eq!(keeper.validate(), Ok(()));
}

#[test]
fn a_failed_resize_leaves_the_old_block_to_the_caller() {
    let strategy = Failing::from(1, Bookkeeper::new());
    let layout = bytes(16, 8);
    let block = strategy.allocate(layout).unwrap();
    fill(block, 16);
    // SAFETY: the block is live under `layout`, and the new size is larger.
    let refused = unsafe { strategy.grow(block.cast(), layout, bytes(32, 8)) }.unwrap_err();
    assert_eq!(refused.layout, bytes(32, 8));
    // SAFETY: the block is live under `layout`, and the new size is smaller.
    unsafe { strategy.shrink(block.cast(), layout, bytes(8, 8)) }.unwrap_err();
    assert!(holds(block, 16));
    assert_eq!(strategy.owns(block.cast()), Ownership::Live(layout));
    // SAFETY: the block is live under `layout` and not used again.
    unsafe { strategy.deallocate(block.cast(), layout) };
}

#[test]
fn shrinking_to_nothing_is_refused_and_the_block_stays() {
    for strategy in [&System as &dyn MemoryStrategy, &Bookkeeper::new()] {
        let layout = bytes(16, 8);
        let block = strategy.allocate(layout).unwrap();
        // SAFETY: the block is live under `layout`, and the new size is smaller.
        let refused = unsafe { strategy.shrink(block.cast(), layout, bytes(0, 8)) }.unwrap_err();
        assert_eq!(refused.reason, AllocReason::ZeroSize);
        // SAFETY: the block is live under `layout` and not used again.
        unsafe { strategy.deallocate(block.cast(), layout) };
    }
}

#[test]
fn zeroed_memory_is_zero_whoever_provides_it() {
    let keeper = Bookkeeper::new();
    for strategy in [&System as &dyn MemoryStrategy, &keeper] {
        let layout = bytes(1 << 12, 16);
        // A block that is not zero, so that the next may be the same.
        let dirty = strategy.allocate(layout).unwrap();
        fill(dirty, layout.size());
        // SAFETY: the block is live under `layout` and not used again.
        unsafe { strategy.deallocate(dirty.cast(), layout) };
        let block = strategy.allocate_zeroed(layout).unwrap();
        for index in 0..layout.size() {
            // SAFETY: the block is live and longer than `index`.
            let place = unsafe { block.cast::<u8>().add(index) };
            // SAFETY: zeroed memory is initialised.
            assert_eq!(unsafe { place.read() }, 0);
        }
        // SAFETY: the block is live under `layout` and not used again.
        unsafe { strategy.deallocate(block.cast(), layout) };
        assert_eq!(
            strategy.allocate_zeroed(bytes(0, 1)).unwrap_err().reason,
            AllocReason::ZeroSize
        );
    }
}

#[test]
fn the_system_allocator_keeps_no_books() {
    assert_eq!(System.owns(NonNull::dangling()), Ownership::Unknown);
    assert_eq!(System.status(), StrategyStatus::ACTIVE);
    assert_eq!(System.stats(), StrategyStats::default());
}

/// `AddressSanitizer` asks this how to behave, where it is linked: out of memory shall be an answer, not a crash.
// SAFETY: no other item of this binary has the name, and the sanitizer's own is weak.
#[unsafe(no_mangle)]
extern "C" fn __asan_default_options() -> *const std::ffi::c_char {
    c"allocator_may_return_null=1".as_ptr()
}

#[test]
fn size_zero_and_out_of_memory_are_errors_that_name_the_layout() {
    let nothing = bytes(0, 32);
    let refused = System.allocate(nothing).unwrap_err();
    assert_eq!((refused.layout, refused.reason), (nothing, AllocReason::ZeroSize));
    let everything = bytes(isize::MAX.unsigned_abs(), 1);
    let refused = System.allocate(everything).unwrap_err();
    assert_eq!(
        (refused.layout, refused.reason),
        (everything, AllocReason::OutOfMemory)
    );
    assert_eq!(
        refused.to_string(),
        format!("cannot allocate {} bytes aligned to 1: out of memory", isize::MAX)
    );
}
