//! A strategy behind a pointer, behind `dyn`, in a `static`.

use std::alloc::Layout;
use std::sync::Arc;

use lease::strategy::{MemoryStrategy, Quota, StrategyId, System, Tracked};
use lease_tests::bookkeeper::Bookkeeper;

const WORD: Layout = Layout::new::<u64>();

fn live_blocks(strategy: &(impl MemoryStrategy + ?Sized)) -> Option<usize> {
    strategy.stats().live.map(|live| live.blocks)
}

/// Every method, through whatever pointer `strategy` is.
fn use_every_method(strategy: impl MemoryStrategy) {
    let larger = Layout::array::<u64>(9).unwrap();
    let block = strategy.allocate(WORD).unwrap().cast::<u64>();
    // SAFETY: the block is live and large enough.
    unsafe { block.write(7) };
    // SAFETY: the block is live under `WORD`, and larger is larger.
    let block = unsafe { strategy.grow(block.cast(), WORD, larger) }.unwrap();
    // SAFETY: the block is live under `larger`, and `WORD` is smaller.
    let block = unsafe { strategy.shrink(block.cast(), larger, WORD) }
        .unwrap()
        .cast::<u64>();
    // SAFETY: the block is live and holds what was written before it moved.
    assert_eq!(unsafe { block.read() }, 7);
    // SAFETY: the block is live under `WORD` and not used again.
    unsafe { strategy.deallocate(block.cast(), WORD) };

    let zeroed = strategy.allocate_zeroed(WORD).unwrap().cast::<u64>();
    // SAFETY: the block is live and zero.
    assert_eq!(unsafe { zeroed.read() }, 0);
    let known = strategy.owns(zeroed.cast());
    assert_eq!(known, lease::strategy::Ownership::Live(WORD));
    // SAFETY: the block is live under `WORD` and not used again.
    unsafe { strategy.try_deallocate(zeroed.cast(), WORD) }.unwrap();
    assert_eq!(strategy.validate(), Ok(()));
    assert_eq!(strategy.status().errors, 0);
    assert_eq!(live_blocks(&strategy), Some(0));
}

#[test]
fn every_pointer_forwards_every_method() {
    let keeper = Bookkeeper::new();
    use_every_method(&keeper);
    use_every_method(keeper);
    use_every_method(Box::new(Bookkeeper::new()));
    use_every_method(Arc::new(Bookkeeper::new()));
    use_every_method(&Bookkeeper::new() as &dyn MemoryStrategy);
    use_every_method(Box::new(Bookkeeper::new()) as Box<dyn MemoryStrategy>);
    use_every_method(Arc::new(Bookkeeper::new()) as Arc<dyn MemoryStrategy>);
    use_every_method(Tracked::new(Quota::new(1 << 10, 2, Bookkeeper::new())));
    use_every_method(Quota::count(2, Box::new(Tracked::new(&Bookkeeper::new()))));
}

#[test]
fn identity_is_the_pointees() {
    let quota = Arc::new(Quota::bytes(8, System));
    let id = quota.identity();
    assert_eq!(id, (*quota).identity());
    assert_eq!(id, (&*quota as &dyn MemoryStrategy).identity());
    assert_eq!(id, Arc::clone(&quota).identity());
    assert_eq!(id, (Arc::clone(&quota) as Arc<dyn MemoryStrategy>).identity());
    assert_ne!(id, Quota::bytes(8, System).identity());

    let boxed = Box::new(Quota::bytes(8, System));
    let id = boxed.identity();
    let moved = boxed;
    assert_eq!(id, moved.identity());
}

#[test]
fn a_layer_is_not_the_strategy_it_wraps() {
    let tracked = Tracked::new(Quota::bytes(8, Bookkeeper::new()));
    let ids = [
        tracked.identity(),
        tracked.inner().identity(),
        tracked.inner().inner().identity(),
    ];
    assert!(
        ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2],
        "{ids:?}"
    );
}

#[test]
fn types_of_one_name_are_not_one_strategy() {
    // As two versions of a crate have them.
    let one = {
        struct Heap;
        StrategyId::of(&Heap)
    };
    let other = {
        struct Heap;
        StrategyId::of(&Heap)
    };
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    assert_ne!(one, other);
}

#[test]
fn the_system_allocator_is_always_itself() {
    assert_eq!(System.identity(), StrategyId::SYSTEM);
    assert_eq!(Box::new(System).identity(), (&&System).identity());
    assert_ne!(Tracked::new(System).identity(), StrategyId::SYSTEM);
    assert_eq!(format!("{:?}", System.identity()), "System");
}

#[test]
fn layers_work_in_a_static() {
    static SCRATCH: Tracked<Quota<System>> = Tracked::new(Quota::new(64, 2, System));
    static SHARED: &dyn MemoryStrategy = &SCRATCH;
    let block = SHARED.allocate(WORD).unwrap();
    assert_eq!(live_blocks(&SCRATCH), Some(1));
    // SAFETY: the block is live under `WORD` and not used again.
    unsafe { SHARED.deallocate(block.cast(), WORD) };
    assert_eq!(live_blocks(&SCRATCH), Some(0));
}

#[test]
fn strategies_and_their_errors_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Tracked<Quota<System>>>();
    crosses::<Arc<dyn MemoryStrategy>>();
    crosses::<lease::strategy::AllocError>();
    crosses::<lease::strategy::FreeError>();
    crosses::<lease::strategy::StrategyFault>();
}
