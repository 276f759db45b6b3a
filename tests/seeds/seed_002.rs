//! Seed `002_d8e037d27b77458e` (thread-safe memory management strategy): its two usage examples and its core
//! operations, translated.

use std::alloc::Layout;
use std::sync::Arc;

use lease::strategy::{
    AllocReason, FreeError, MemoryStrategy, Quota, Reasons, StrategyState, System, Tracked,
    validate_allocation, validate_deallocation, validate_strategy,
};
use lease_tests::bookkeeper::Bookkeeper;

const BLOCK: Layout = Layout::new::<[u8; 1024]>();

/// `initialize_your_strategy`: written against the interface alone, with data and a status tracker of its own.
fn initialize_your_strategy() -> Bookkeeper {
    Bookkeeper::new()
}

/// "Usage Example", line by line; `return 1` is `Err`, and cleaning up is the end of the scope.
fn usage(strategy: &dyn MemoryStrategy) -> Result<(), Box<dyn std::error::Error>> {
    // Verify strategy is valid
    strategy.validate()?;

    // Allocate memory
    let block = strategy.allocate(BLOCK)?;

    // Use the memory...
    // SAFETY: the block is live, ours, and 1024 bytes long.
    unsafe { block.cast::<[u8; 1024]>().write([7; 1024]) };
    // SAFETY: the block is live and has just been written.
    assert_eq!(unsafe { block.cast::<[u8; 1024]>().read() }, [7; 1024]);

    // Free the memory
    // SAFETY: the block is live, was asked with this layout, and is not used again.
    unsafe { strategy.deallocate(block.cast(), BLOCK) };
    Ok(())
}

#[test]
fn seed_002_the_usage_example_works_with_every_strategy() {
    let yours = initialize_your_strategy();
    usage(&yours).unwrap();
    assert_eq!(yours.live(), []);
    usage(&System).unwrap();
    usage(&Tracked::new(Quota::bytes(1024, System))).unwrap();
}

#[test]
fn seed_002_the_usage_example_reports_a_failed_allocation() {
    let error = usage(&Quota::bytes(1000, System)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot allocate 1024 bytes aligned to 1: the quota of 1000 bytes has 1000 left"
    );
}

/// `worker_thread` of "Thread-Safe Usage Example". Says whether it got memory.
fn worker_thread(strategy: &dyn MemoryStrategy) -> bool {
    // Always validate before use
    if validate_strategy(strategy).is_err() {
        return false;
    }

    // Thread-safe operations
    let Ok(block) = strategy.allocate(BLOCK) else {
        return false;
    };
    let block = block.cast::<u8>();
    validate_deallocation(strategy, block.as_ptr()).expect("what was just handed out can be given back");
    // Use memory...
    // SAFETY: the block is live, was asked with this layout, and is not used again.
    unsafe { strategy.deallocate(block, BLOCK) };
    true
}

#[test]
fn seed_002_the_thread_safe_example_works_with_two_threads() {
    let yours = Arc::new(initialize_your_strategy());
    let threads = [(); 2].map(|()| {
        let strategy: Arc<dyn MemoryStrategy> = yours.clone();
        std::thread::spawn(move || (0..500).all(|_| worker_thread(&strategy)))
    });
    for thread in threads {
        assert!(thread.join().expect("the worker does not panic"));
    }
    assert_eq!(yours.live(), []);
    assert_eq!(validate_strategy(&*yours), Ok(()));
    let status = yours.status();
    assert_eq!(
        (status.state, status.transitions, status.errors),
        (StrategyState::Active, 1, 0)
    );
}

#[test]
fn seed_002_a_worker_refuses_an_unhealthy_strategy() {
    let yours = initialize_your_strategy();
    // SAFETY: this strategy checks even trusted frees, and touches nothing that its books do not have.
    unsafe { yours.deallocate(std::ptr::NonNull::dangling(), BLOCK) };
    assert!(!worker_thread(&yours));
}

#[test]
fn seed_002_the_validator_answers_its_three_questions() {
    fn only<R: Clone>(outcome: Result<(), Reasons<R>>) -> Vec<R> {
        outcome.err().map_or_else(Vec::new, |reasons| reasons.to_vec())
    }
    let strategy = Quota::bytes(1024, initialize_your_strategy());
    // "Validate strategy state and interface compliance"; the second half is the compiler's.
    assert_eq!(validate_strategy(&strategy), Ok(()));
    // "Validate allocation parameters"
    assert_eq!(only(validate_allocation(&strategy, BLOCK)), []);
    assert_eq!(
        only(validate_allocation(&strategy, Layout::new::<()>())),
        [AllocReason::ZeroSize]
    );
    // "Validate deallocation parameters", where the original accepts 0x1000
    let foreign = std::ptr::without_provenance(0x1000);
    assert_eq!(
        only(validate_deallocation(&strategy, foreign)),
        [FreeError::Foreign { address: 0x1000 }]
    );
}
