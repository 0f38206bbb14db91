//! The two spellings of a request's date, and the calendar behind them.

use std::fmt;

const SECONDS_PER_DAY: i64 = 86_400;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Reads `yyyymmddThhmmssZ`: seconds since 1970 in UTC. Nothing else of ISO 8601 is taken.
pub(crate) fn parse_basic(text: &str) -> Option<i64> {
    let text: &[u8; 16] = text.as_bytes().try_into().ok()?;
    if text[8] != b'T' || text[15] != b'Z' {
        return None;
    }
    seconds(
        number(&text[0..4])?,
        number(&text[4..6])?,
        number(&text[6..8])?,
        number(&text[9..11])?,
        number(&text[11..13])?,
        number(&text[13..15])?,
    )
}

/// Reads `Sun, 30 Aug 2015 12:36:00 GMT` (RFC 1123, as RFC 9110 5.6.7 has it): seconds since 1970. The weekday has to
/// be that of the date. For `GMT`, `-0000` is taken, as botocore writes it, and `+0000`.
pub(crate) fn parse_http(text: &str) -> Option<i64> {
    let (bytes, zone) = text.as_bytes().split_first_chunk::<25>()?;
    let separators = [&bytes[3..5], &bytes[7..8], &bytes[11..12], &bytes[16..17]];
    if separators != [&b", "[..], b" ", b" ", b" "]
        || !matches!(zone, b" GMT" | b" -0000" | b" +0000")
        || bytes[19] != b':'
        || bytes[22] != b':'
    {
        return None;
    }
    let month = MONTHS.iter().position(|name| name.as_bytes() == &bytes[8..11])?;
    let at = seconds(
        number(&bytes[12..16])?,
        i64::try_from(month).ok()? + 1,
        number(&bytes[5..7])?,
        number(&bytes[17..19])?,
        number(&bytes[20..22])?,
        number(&bytes[23..25])?,
    )?;
    let weekday = usize::try_from(at.div_euclid(SECONDS_PER_DAY).rem_euclid(7)).ok()?;
    (WEEKDAYS[weekday].as_bytes() == &bytes[0..3]).then_some(at)
}

/// Prints seconds since 1970 as `yyyymmddThhmmssZ`.
pub(crate) struct Basic(pub(crate) i64);

impl fmt::Display for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(SECONDS_PER_DAY));
        let second = self.0.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
    })
}

/// No leap second: no clock that signs requests shows one.
fn seconds(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, month, day);
    // A day that the month lacks comes back as another date.
    if civil(days) != (year, month, day) {
        return None;
    }
    Some(days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, by counting years from March: the leap day is then
/// the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days`]: year, month, day.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Seconds by `date -u +%s`.
    #[test]
    fn known_dates() {
        for (basic, http, seconds) in [
            ("19700101T000000Z", "Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("20150830T123600Z", "Sun, 30 Aug 2015 12:36:00 GMT", 1_440_938_160),
            ("20240229T235959Z", "Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
            ("20000301T000000Z", "Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("99991231T235959Z", "Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ] {
            assert_eq!(parse_basic(basic), Some(seconds), "{basic}");
            assert_eq!(parse_http(http), Some(seconds), "{http}");
            assert_eq!(Basic(seconds).to_string(), basic);
        }
    }

    /// The form of Python's `email.utils.formatdate`, which botocore signs.
    #[test]
    fn zones_that_mean_utc() {
        for zone in ["GMT", "-0000", "+0000"] {
            let text = format!("Sun, 30 Aug 2015 12:36:00 {zone}");
            assert_eq!(parse_http(&text), Some(1_440_938_160), "{zone}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_returns() {
        let mut previous = civil(-146_097);
        for day in -146_096..146_097 {
            let date = civil(day);
            assert_eq!(days(date.0, date.1, date.2), day);
            assert!(date > previous);
            previous = date;
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "20150830",
            "20150830T123600",
            "20150830T123600z",
            "2015-08-30T12:36:00Z",
            "20150830t123600Z",
            "20150230T000000Z",
            "20230229T000000Z",
            "20151301T000000Z",
            "20150001T000000Z",
            "20150800T000000Z",
            "20150830T240000Z",
            "20150830T236000Z",
            "20150830T235960Z",
            "2015083\u{660}T12360Z",
            "+0150830T123600Z",
            " 20150830T123600Z",
            "20150830T123600ZZ",
        ] {
            assert_eq!(parse_basic(text), None, "{text}");
        }
        for text in [
            "",
            "Sun, 30 Aug 2015 12:36:00 UTC",
            "Mon, 30 Aug 2015 12:36:00 GMT",
            "Sun, 30 aug 2015 12:36:00 GMT",
            "Sunday, 30-Aug-15 12:36:00 GMT",
            "Sun Aug 30 12:36:00 2015",
            "Sun, 30 Aug 2015 12:36:00 +000",
            "Sun, 31 Feb 2015 12:36:00 GMT",
            "Sun, 30 Aug 2015 12-36:00 GMT",
        ] {
            assert_eq!(parse_http(text), None, "{text}");
        }
    }
}
