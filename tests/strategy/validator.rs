//! The independent validator gathers every reason.

use std::alloc::Layout;
use std::ptr;

use lease::strategy::{
    AllocReason, FreeError, MemoryStrategy, Quota, StrategyFault, StrategyState, System, Tracked,
    validate_allocation, validate_deallocation, validate_strategy,
};
use lease_tests::bookkeeper::Bookkeeper;

const WORD: Layout = Layout::new::<u64>();

/// A strategy in its error state: it was made to free what its books do not have.
fn broken() -> Bookkeeper {
    let keeper = Bookkeeper::new();
    // SAFETY: this strategy checks its books even here, and touches nothing that they do not have.
    unsafe { keeper.deallocate(ptr::NonNull::dangling(), WORD) };
    keeper
}

#[test]
fn a_healthy_strategy_has_nothing_against_it() {
    let strategy = Tracked::new(Quota::new(1_000, 10, Bookkeeper::new()));
    assert_eq!(validate_strategy(&strategy), Ok(()));
    assert_eq!(validate_allocation(&strategy, WORD), Ok(()));
    assert_eq!(validate_strategy(&System as &dyn MemoryStrategy), Ok(()));
}

#[test]
fn a_broken_strategy_is_reported_once_through_every_layer() {
    let strategy = Tracked::new(Quota::count(1, broken()));
    let unhealthy = StrategyFault::Unhealthy { errors: 1 };
    assert_eq!(strategy.validate(), Err(unhealthy.clone()));
    assert_eq!(strategy.inner().validate(), Err(unhealthy.clone()));
    let reasons = validate_strategy(&strategy).unwrap_err();
    assert_eq!(*reasons, [unhealthy]);
    assert_eq!(
        reasons.to_string(),
        "the strategy is in its error state after 1 errors"
    );
}

#[test]
fn every_reason_against_an_allocation_is_given() {
    let strategy = Quota::new(4, 0, broken());
    let reasons = validate_allocation(&strategy, WORD).unwrap_err();
    assert_eq!(
        *reasons,
        [
            AllocReason::NotReady {
                state: StrategyState::Error
            },
            AllocReason::QuotaBytes {
                limit: 4,
                remaining: 4
            },
            AllocReason::QuotaCount { limit: 0 },
        ]
    );
    assert_eq!(
        reasons.to_string(),
        "the strategy is in error; the quota of 4 bytes has 4 left; the quota of 0 live blocks is used up"
    );
    let nothing = validate_allocation(&System, Layout::new::<()>()).unwrap_err();
    assert_eq!(*nothing, [AllocReason::ZeroSize]);
}

#[test]
fn a_closed_strategy_takes_back_and_hands_nothing_out() {
    let keeper = Bookkeeper::new();
    let block = keeper.allocate(WORD).unwrap().cast::<u8>();
    keeper.close();
    let reasons = validate_allocation(&keeper, WORD).unwrap_err();
    assert_eq!(*reasons, [AllocReason::Closed]);
    assert_eq!(keeper.allocate(WORD).unwrap_err().reason, AllocReason::Closed);
    assert_eq!(validate_deallocation(&keeper, block.as_ptr()), Ok(()));
    // SAFETY: the block is live under `WORD` and not used again.
    unsafe { keeper.try_deallocate(block, WORD) }.unwrap();
    assert_eq!(validate_strategy(&keeper), Ok(()));
}

#[test]
fn what_the_validator_predicts_is_what_the_strategy_does() {
    let strategy = Quota::new(20, 2, System);
    let mut blocks = Vec::new();
    for size in [0, 21, 20, 1, 0] {
        let layout = Layout::array::<u8>(size).unwrap();
        let predicted = validate_allocation(&strategy, layout);
        match strategy.allocate(layout) {
            Ok(block) => {
                assert_eq!(predicted, Ok(()));
                blocks.push((block, layout));
            }
            Err(error) => assert!(predicted.unwrap_err().contains(&error.reason)),
        }
    }
    assert_eq!(blocks.len(), 1);
    for (block, layout) in blocks {
        // SAFETY: the block is live under its layout and not used again.
        unsafe { strategy.deallocate(block.cast(), layout) };
    }
}

#[test]
fn foreign_interior_and_freed_addresses_are_told_apart() {
    let keeper = Bookkeeper::new();
    let strategy = Quota::count(3, &keeper);
    let layout = Layout::new::<[u8; 32]>();
    let block = strategy.allocate(layout).unwrap().cast::<u8>();
    let start = block.addr().get();
    assert_eq!(validate_deallocation(&strategy, block.as_ptr()), Ok(()));

    let inside = validate_deallocation(&strategy, block.as_ptr().wrapping_add(5)).unwrap_err();
    assert_eq!(
        *inside,
        [FreeError::Interior {
            address: start + 5,
            start
        }]
    );
    let foreign = validate_deallocation(&strategy, ptr::without_provenance(0x1000)).unwrap_err();
    assert_eq!(*foreign, [FreeError::Foreign { address: 0x1000 }]);
    let null = validate_deallocation(&strategy, ptr::null()).unwrap_err();
    assert_eq!(*null, [FreeError::Null]);

    // SAFETY: the block is live under its layout and not used again.
    unsafe { strategy.deallocate(block, layout) };
    let freed = validate_deallocation(&strategy, block.as_ptr()).unwrap_err();
    assert_eq!(*freed, [FreeError::AlreadyFreed { address: start }]);
}

#[test]
fn a_checked_free_refuses_what_the_validator_refuses_and_changes_nothing() {
    let keeper = Bookkeeper::new();
    let strategy = Tracked::new(Quota::count(3, &keeper));
    let layout = Layout::new::<[u8; 32]>();
    let block = strategy.allocate(layout).unwrap().cast::<u8>();
    let address = block.addr().get();
    let before = strategy.stats();
    // SAFETY: the strategy below checks; a wrong layout is refused.
    let refused = unsafe { strategy.try_deallocate(block, WORD) }.unwrap_err();
    assert_eq!(
        refused,
        FreeError::LayoutMismatch {
            address,
            allocated: layout,
            given: WORD
        }
    );
    // SAFETY: the strategy below checks; an address inside a block is refused.
    let inside = unsafe { block.add(8) };
    // SAFETY: as above.
    assert!(unsafe { strategy.try_deallocate(inside, layout) }.is_err());
    assert_eq!(strategy.stats(), before);
    // SAFETY: the block is live under its layout and not used again.
    unsafe { strategy.try_deallocate(block, layout) }.unwrap();
    // SAFETY: as above; a second free is refused.
    let refused = unsafe { strategy.try_deallocate(block, layout) }.unwrap_err();
    assert_eq!(refused, FreeError::AlreadyFreed { address });
    assert_eq!(strategy.stats().live.map(|live| live.blocks), Some(0));
    assert_eq!(strategy.validate(), Ok(()));
}

#[test]
fn the_validator_may_be_called_from_inside_a_strategy() {
    use lease::strategy::{AllocError, Ownership, StrategyId, StrategyStats, StrategyStatus};
    use std::ptr::NonNull;

    /// Validates itself before each allocation, as the original's hooks do.
    struct Suspicious(Quota<System>);

    // SAFETY: blocks are the inner strategy's.
    unsafe impl MemoryStrategy for Suspicious {
        fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
            assert_eq!(validate_strategy(self), Ok(()));
            if let Err(reasons) = validate_allocation(self, layout) {
                return Err(AllocError::new(layout, reasons[0]));
            }
            self.0.allocate(layout)
        }
        unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
            assert_eq!(validate_deallocation(self, ptr.as_ptr()), Ok(()));
            // SAFETY: the caller's duties are the callee's.
            unsafe { self.0.deallocate(ptr, layout) }
        }
        unsafe fn try_deallocate(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), FreeError> {
            // SAFETY: the caller's duties are the callee's.
            unsafe { self.0.try_deallocate(ptr, layout) }
        }
        fn owns(&self, ptr: NonNull<u8>) -> Ownership {
            self.0.owns(ptr)
        }
        fn status(&self) -> StrategyStatus {
            self.0.status()
        }
        fn validate(&self) -> Result<(), StrategyFault> {
            self.0.validate()
        }
        fn identity(&self) -> StrategyId {
            StrategyId::of(self)
        }
        fn stats(&self) -> StrategyStats {
            self.0.stats()
        }
    }

    let strategy = Suspicious(Quota::count(1, System));
    let block = strategy.allocate(WORD).unwrap();
    assert_eq!(
        strategy.allocate(WORD).unwrap_err().reason,
        AllocReason::QuotaCount { limit: 1 }
    );
    // SAFETY: the block is live under `WORD` and not used again.
    unsafe { strategy.deallocate(block.cast(), WORD) };
}
