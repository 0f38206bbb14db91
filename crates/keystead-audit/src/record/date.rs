//! The two ways in which CloudTrail writes a date.

use std::fmt::Write;

/// `2026-01-05T10:07:31Z`: whole seconds, as `eventTime` and session dates are written.
pub(crate) fn iso(milliseconds: i64) -> String {
    let Civil { year, month, day, hour, minute, second } = civil(milliseconds);
    let mut text = String::with_capacity(20);
    // Writing to a String cannot fail.
    let _ = write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    text
}

/// Appends the 20 bytes of [`iso`].
pub(super) fn push_iso(out: &mut Vec<u8>, milliseconds: i64) {
    let Civil { year, month, day, hour, minute, second } = civil(milliseconds);
    if !(0..=9999).contains(&year) {
        out.extend_from_slice(iso(milliseconds).as_bytes());
        return;
    }
    let mut two = |value: i64, after: u8| {
        // Both digits are below ten, since every part is below a hundred.
        let digit = |value: i64| b'0' + u8::try_from(value % 10).unwrap_or(0);
        out.extend_from_slice(&[digit(value / 10), digit(value)]);
        if after != 0 {
            out.push(after);
        }
    };
    two(year / 100, 0);
    two(year % 100, b'-');
    two(month, b'-');
    two(day, b'T');
    two(hour, b':');
    two(minute, b':');
    two(second, b'Z');
}

/// `May 21, 2025, 5:47:45 AM`: as dates inside parameters are written.
pub(super) fn us_english(milliseconds: i64) -> String {
    let Civil { year, month, day, hour, minute, second } = civil(milliseconds);
    let name = usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).unwrap_or(&"");
    let half = if hour < 12 { "AM" } else { "PM" };
    let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
    format!("{name} {day}, {year}, {hour}:{minute:02}:{second:02} {half}")
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

/// The proleptic Gregorian date of a point of time in UTC: eras of 400 years that begin in March,
/// so that the leap day is the last of its year.
fn civil(milliseconds: i64) -> Civil {
    let seconds = milliseconds.div_euclid(1000);
    let days = seconds.div_euclid(86_400) + 719_468;
    let time = seconds.rem_euclid(86_400);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * shifted + 2) / 5 + 1,
        hour: time / 3600,
        minute: time / 60 % 60,
        second: time % 60,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        // Computed by GNU date.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (1_767_607_651, "2026-01-05T10:07:31Z"),
        ] {
            assert_eq!(iso(seconds * 1000), text);
            assert_eq!(iso(seconds * 1000 + 999), text, "whole seconds, rounded down");
            let mut bytes = Vec::new();
            push_iso(&mut bytes, seconds * 1000);
            assert_eq!(bytes, text.as_bytes());
        }
    }

    #[test]
    fn us_english_dates() {
        // The first is a published sample.
        assert_eq!(us_english(1_747_806_465_000), "May 21, 2025, 5:47:45 AM");
        assert_eq!(us_english(0), "Jan 1, 1970, 12:00:00 AM");
        assert_eq!(us_english(43_200_000), "Jan 1, 1970, 12:00:00 PM");
        assert_eq!(us_english(86_399_000), "Jan 1, 1970, 11:59:59 PM");
    }
}
