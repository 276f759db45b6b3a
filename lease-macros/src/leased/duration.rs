//! Times as people write them: `"30s"`, `"5m"`, `"250ms"`, `"1h"`.

use std::time::Duration;

const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// Reads one number with one unit. The error says what was found and what would do.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if text.starts_with('-') {
        return Err(format!("`{text}` is negative"));
    }
    if number.is_empty() {
        return Err(format!(
            "`{text}` is not a time: write a number and a unit, as in \"30s\""
        ));
    }
    if unit.is_empty() {
        return Err(format!(
            "`{text}` has no unit: write \"{text}s\", or use `ms`, `m`, `h`"
        ));
    }
    let Some(&(_, millis)) = UNITS.iter().find(|&&(name, _)| name == unit) else {
        return Err(format!("unknown unit `{unit}`: write `ms`, `s`, `m` or `h`"));
    };
    number
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(millis))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_understood() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(parse("1h"), Ok(Duration::from_hours(1)));
    }

    #[test]
    fn what_is_no_time_is_told_apart() {
        for (text, found) in [
            ("-5s", "is negative"),
            ("", "is not a time"),
            ("soon", "is not a time"),
            ("30", "has no unit: write \"30s\""),
            ("30 s", "unknown unit ` s`"),
            ("1d", "unknown unit `d`"),
            ("1.5s", "unknown unit `.5s`"),
            ("99999999999999999999h", "is too long"),
            ("18446744073709551615h", "is too long"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(found), "{text}: {error}");
        }
    }
}
