//! Ticks: what can be compared, and how time becomes ticks and back.

use std::time::Duration;

use lease::{ClockId, Tick};
use proptest::prelude::*;

const BOOT: ClockId = ClockId([1; 16]);

#[test]
fn ticks_of_other_clocks_and_rates_have_not_been_reached() {
    let end = Tick::new(10, 1_000, BOOT);
    assert!(Tick::new(10, 1_000, BOOT).has_reached(&end));
    assert!(!Tick::new(9, 1_000, BOOT).has_reached(&end));
    for other in [Tick::new(99, 1_000, ClockId([2; 16])), Tick::new(99, 999, BOOT)] {
        assert!(!other.has_reached(&end));
        assert_eq!(other.until(&end), None);
    }
}

#[test]
fn a_rate_of_zero_compares_with_nothing() {
    let none = Tick::new(5, 0, BOOT);
    assert!(!none.is_comparable(&none));
    assert_eq!(none.until(&none), None);
    assert_eq!(none.saturating_add(Duration::MAX), none);
}

#[test]
fn a_duration_never_comes_early_and_stops_at_the_end() {
    let start = Tick::new(0, 1_000, BOOT);
    assert_eq!(start.saturating_add(Duration::from_nanos(1)).value, 1);
    assert_eq!(start.saturating_add(Duration::from_millis(1)).value, 1);
    assert_eq!(
        Tick::new(u64::MAX - 1, 1_000, BOOT)
            .saturating_add(Duration::from_secs(9))
            .value,
        u64::MAX
    );
    assert_eq!(start.saturating_add(Duration::MAX).value, u64::MAX);
}

#[test]
fn a_clock_id_is_shown_in_hex() {
    assert_eq!(
        format!("{:?}", ClockId([0xab; 16])),
        format!("ClockId({})", "ab".repeat(16))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn until_is_at_least_what_was_added(value in any::<u32>(), rate in 1..=1_000_000_000_u64, nanos in any::<u32>()) {
        let start = Tick::new(value.into(), rate, BOOT);
        let added = Duration::from_nanos(nanos.into());
        let left = start.until(&start.saturating_add(added)).unwrap();
        // Rounding down to nanoseconds can take one off what rounding up to ticks put on.
        prop_assert!(left + Duration::from_nanos(1) >= added);
        prop_assert!(left <= added + Duration::from_nanos(1_000_000_000 / rate + 1));
    }
}
