//! Health: the table of moves, and what the tracker does with it.

use lease::strategy::StrategyState::{self, Active, Closed, Error, Initialized, Transitioning};
use lease::strategy::{MemoryStrategy, StatusTracker};
use lease_tests::bookkeeper::Bookkeeper;

const STATES: [StrategyState; 5] = [Initialized, Active, Transitioning, Error, Closed];

/// The table of the documentation, row by row.
const TABLE: [[bool; 5]; 5] = [
    [false, true, true, true, true],
    [false, false, true, true, true],
    [false, true, false, true, true],
    [false, false, true, false, true],
    [false, false, false, false, false],
];

/// A tracker in this state, by a way the table allows.
fn tracker_in(state: StrategyState) -> StatusTracker {
    let tracker = StatusTracker::new();
    if state != Initialized {
        tracker.transition(state).unwrap();
    }
    tracker
}

#[test]
fn every_pair_of_states_moves_as_the_table_says_or_not_at_all() {
    for (from, row) in STATES.into_iter().zip(TABLE) {
        for (to, legal) in STATES.into_iter().zip(row) {
            assert_eq!(from.may_become(to), legal, "{from} to {to}");
            let tracker = tracker_in(from);
            let before = tracker.status();
            match tracker.transition(to) {
                Ok(after) => {
                    assert!(legal, "{from} became {to}");
                    assert_eq!(after, tracker.status());
                    assert_eq!((after.state, after.errors), (to, before.errors));
                    assert_eq!(after.transitions, before.transitions + 1);
                }
                Err(refused) => {
                    assert!(!legal, "{from} did not become {to}");
                    assert_eq!((refused.from, refused.to), (from, to));
                    assert_eq!(tracker.status(), before);
                }
            }
        }
    }
}

#[test]
fn errors_are_counted_in_every_state_and_move_where_the_table_allows() {
    for from in STATES {
        let tracker = tracker_in(from);
        let before = tracker.status();
        let first = tracker.record_error();
        let moves = from.may_become(Error);
        assert_eq!(first.state, if moves { Error } else { from });
        assert_eq!(first.errors, 1);
        assert_eq!(first.transitions, before.transitions + u32::from(moves));
        let second = tracker.record_error();
        assert_eq!((second.state, second.errors), (first.state, 2));
        assert_eq!(second.transitions, first.transitions);
    }
}

#[test]
fn a_repaired_strategy_keeps_its_count_of_errors() {
    let tracker = tracker_in(Active);
    tracker.record_error();
    tracker.transition(Transitioning).unwrap();
    let repaired = tracker.transition(Active).unwrap();
    assert_eq!(
        (repaired.state, repaired.errors, repaired.transitions),
        (Active, 1, 4)
    );
}

#[test]
fn a_callers_mistake_never_changes_health() {
    use std::alloc::Layout;
    use std::ptr::NonNull;

    let keeper = Bookkeeper::new();
    let layout = Layout::new::<u64>();
    let block = keeper.allocate(layout).unwrap().cast::<u8>();
    let healthy = keeper.status();
    assert!(keeper.allocate(Layout::new::<()>()).is_err());
    // SAFETY: the strategy knows what it owns and checks; nothing uses the address.
    assert!(unsafe { keeper.try_deallocate(NonNull::dangling(), layout) }.is_err());
    // SAFETY: as above; a wrong layout is refused.
    assert!(unsafe { keeper.try_deallocate(block, Layout::new::<u8>()) }.is_err());
    assert_eq!(keeper.status(), healthy);
    // SAFETY: the block is live under this layout and not used again.
    unsafe { keeper.try_deallocate(block, layout) }.unwrap();
    // SAFETY: as above; a second free is refused.
    assert!(unsafe { keeper.try_deallocate(block, layout) }.is_err());
    assert_eq!(keeper.status(), healthy);
}
