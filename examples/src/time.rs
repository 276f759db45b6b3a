//! Moments and spans as people read them.

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// A Unix time in nanoseconds as `2026-11-21 14:25:46.123`, in UTC.
pub fn moment(nanos: u64) -> String {
    let seconds = nanos / SECOND;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = nanos % SECOND / 1_000_000;
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03}")
}

/// A span in nanoseconds with the unit that fits: `350 µs`, `12.5 s`, `3 h 20 min`.
pub fn span(nanos: u64) -> String {
    let seconds = nanos / SECOND;
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{} µs", nanos / 1_000),
        1_000_000..SECOND => format!("{} ms", nanos / 1_000_000),
        _ if seconds < 60 => format!("{}.{} s", seconds, nanos % SECOND / 100_000_000).replace(".0 s", " s"),
        _ if seconds < 3_600 => pair(seconds / 60, "min", seconds % 60, "s"),
        _ if seconds < 86_400 => pair(seconds / 3_600, "h", seconds / 60 % 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

fn pair(large: u64, unit: &str, small: u64, sub_unit: &str) -> String {
    match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {sub_unit}"),
    }
}

/// Year, month and day of a day that is counted from the first of January 1970, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the day that not every year has is the last one.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        assert_eq!(moment(0), "1970-01-01 00:00:00.000");
        assert_eq!(moment(951_782_399_999_000_000), "2000-02-28 23:59:59.999");
        assert_eq!(moment(951_782_400_000_000_000), "2000-02-29 00:00:00.000");
        assert_eq!(moment(4_107_542_400_000_000_000), "2100-03-01 00:00:00.000");
        assert_eq!(moment(u64::MAX), "2554-07-21 23:34:33.709");
    }

    #[test]
    fn spans_have_the_unit_that_fits() {
        let spans = [
            (7, "7 ns"),
            (7_999, "7 µs"),
            (350_000_000, "350 ms"),
            (2 * SECOND, "2 s"),
            (12_540_000_000, "12.5 s"),
            (61 * SECOND, "1 min 1 s"),
            (12_000 * SECOND, "3 h 20 min"),
            (86_400 * SECOND, "1 d"),
        ];
        for (nanos, text) in spans {
            assert_eq!(span(nanos), text);
        }
    }
}
