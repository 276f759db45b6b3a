//! Out of memory is an error, at every possible point, and changes nothing.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use lease::__private::{Storage, handle};
use lease::strategy::{AllocReason, MemoryStrategy, Quota};
use lease::{Scope, ScopeError};
use lease_tests::bookkeeper::Bookkeeper;
use lease_tests::failing::Failing;

thread_local! {
    static GLOBAL_FAILS: Cell<bool> = const { Cell::new(false) };
}

/// The global allocator of this test, out of memory for a thread that says so.
struct Global;

// SAFETY: what is not refused is the system allocator's, which keeps the contract.
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if GLOBAL_FAILS.get() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's duties are the callee's.
        unsafe { std::alloc::System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties are the callee's; every block is the system allocator's.
        unsafe { std::alloc::System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static GLOBAL: Global = Global;

/// Tries everything once, with sizes that need a new chunk now and then. Returns how many tries were refused.
fn try_everything(scope: &Scope<'_, '_>, kept: &Arc<()>) -> usize {
    let mut refused = 0;
    let mut count = |before: lease::ScopeReport, outcome: Result<(), ScopeError>| {
        if let Err(error) = outcome {
            assert!(
                matches!(error, ScopeError::Alloc(error) if error.reason == AllocReason::OutOfMemory),
                "{error}"
            );
            assert_eq!(
                scope.report(),
                before,
                "a refused call leaves the scope as it was"
            );
            refused += 1;
        }
    };
    for round in 0..3 {
        let long = vec![7_u8; 700 << round];
        let before = scope.report();
        count(
            before,
            scope
                .try_alloc([round; 50])
                .map(|numbers| assert_eq!(*numbers, [round; 50])),
        );
        let before = scope.report();
        count(
            before,
            scope.try_alloc_slice(&long).map(|copy| assert_eq!(*copy, *long)),
        );
        let before = scope.report();
        let text = "scope ".repeat(90 << round);
        count(
            before,
            scope.try_alloc_str(&text).map(|copy| assert_eq!(*copy, *text)),
        );
        let before = scope.report();
        let squares = scope.try_alloc_slice_with(300, |index| index * index);
        count(before, squares.map(|squares| assert_eq!(squares[299], 299 * 299)));
        let before = scope.report();
        count(before, scope.try_keep(Arc::clone(kept)).map(drop));
        let before = scope.report();
        let deferred = Arc::clone(kept);
        count(before, scope.try_defer(move || drop(deferred)));
    }
    refused
}

#[test]
fn whichever_allocation_fails_the_scope_stays_as_it_was_and_gives_all_back() {
    let mut failing = 0;
    for number in 0.. {
        let keeper = Bookkeeper::new();
        let kept = Arc::new(());
        {
            let mut scope = Storage::with_strategy(Failing::from(number, &keeper));
            let scope = handle(&mut scope);
            let refused = try_everything(&scope, &kept);
            let report = scope.report();
            assert_eq!(
                Arc::strong_count(&kept) - 1,
                report.guards,
                "what was refused is gone"
            );
            assert_eq!(report.chunks, keeper.live().len());
            assert_eq!(
                report.reserved,
                keeper.live().iter().map(Layout::size).sum::<usize>()
            );
            if refused == 0 {
                failing = number;
            }
        }
        assert_eq!(Arc::strong_count(&kept), 1);
        assert_eq!(keeper.live(), []);
        assert_eq!(keeper.validate(), Ok(()));
        if failing > 0 {
            break;
        }
    }
    assert!(failing > 4, "the script asks for many chunks");
}

#[test]
fn a_single_failure_is_mended_with_a_chunk_of_the_size_needed() {
    let keeper = Bookkeeper::new();
    let mut scope = Storage::with_strategy(Failing::at(0, &keeper));
    let scope = handle(&mut scope);
    assert_eq!(scope.try_alloc(7_u64).map(|number| *number), Ok(7));
    assert!(scope.report().reserved < 100, "{:?}", scope.report());
}

#[test]
fn a_scope_lives_within_a_quota() {
    let mut scope = Storage::with_strategy(Quota::bytes(2_000, Bookkeeper::new()));
    let scope = handle(&mut scope);
    let mut taken = 0;
    let refused = loop {
        match scope.try_alloc_slice(&[0_u8; 100]) {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert!(taken >= 15, "{taken} parts of 100 bytes in 2000");
    assert!(
        matches!(refused, ScopeError::Alloc(error) if matches!(error.reason, AllocReason::QuotaBytes { limit: 2_000, .. }))
    );
    assert!(scope.report().reserved <= 2_000);
}

#[test]
fn an_iterator_that_outgrows_memory_is_an_error_and_the_scope_goes_on() {
    let mut scope = Storage::with_strategy(Quota::bytes(4_000, Bookkeeper::new()));
    let scope = handle(&mut scope);
    let endless = std::iter::repeat(1_u64);
    let refused = scope
        .try_alloc_slice_from_iter(endless.take_while(|_| true))
        .unwrap_err();
    assert!(matches!(refused, ScopeError::Alloc(_)), "{refused}");
    assert_eq!(scope.try_alloc(3_u8).map(|number| *number), Ok(3));
}

#[test]
fn a_slice_longer_than_any_address_space_is_refused_before_anything_is_made() {
    let mut scope = Storage::new();
    let scope = handle(&mut scope);
    let refused = scope
        .try_alloc_slice_with(usize::MAX, |_| -> u16 { unreachable!("nothing is made") })
        .unwrap_err();
    assert_eq!(
        refused,
        ScopeError::TooLong {
            len: usize::MAX,
            element_size: 2
        }
    );
    assert_eq!(scope.report().chunks, 0);
}

#[test]
fn a_guard_list_that_cannot_grow_refuses_and_changes_nothing() {
    let kept = Arc::new(());
    let mut scope = Storage::new();
    let scope = handle(&mut scope);
    scope.alloc(1_u8);
    GLOBAL_FAILS.set(true);
    let refused = loop {
        let before = scope.report();
        if let Err(refused) = scope.try_keep(Arc::clone(&kept)) {
            assert_eq!(scope.report(), before);
            break refused;
        }
    };
    GLOBAL_FAILS.set(false);
    let inline = scope.report().guards;
    assert!(inline > 0, "the first guards need no list of their own");
    assert_eq!(refused, ScopeError::Guards { len: inline });
    assert_eq!(Arc::strong_count(&kept), 1 + inline);
    scope.keep(Arc::clone(&kept));
    assert_eq!(scope.report().guards, inline + 1);
}

#[test]
fn the_plain_form_panics_with_the_message_of_its_twin() {
    let mut scope = Storage::with_strategy(Failing::from(0, Bookkeeper::new()));
    let scope = handle(&mut scope);
    let expected = scope.try_alloc(1_u8).unwrap_err().to_string();
    let panic = catch_unwind(AssertUnwindSafe(|| *scope.alloc(1_u8))).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>(), Some(&expected));
    assert!(expected.starts_with("cannot allocate"), "{expected}");
}
