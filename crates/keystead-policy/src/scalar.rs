//! Values that are more than text: numbers, dates, networks. All comparisons are exact.

use std::cmp::Ordering;
use std::net::IpAddr;

/// A decimal number of any length, compared without rounding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    /// The digits from the first to the last that is not zero; none for zero.
    digits: Vec<u8>,
    /// The power of ten of the first digit; 0 for zero.
    power: i64,
}

impl Decimal {
    /// Takes an optional sign, digits with at most one point, and an optional exponent; `None` for
    /// any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            // Five characters reach beyond any number that JSON readers take.
            Some((mantissa, exponent)) if exponent.len() <= 5 => (mantissa, exponent.parse().ok()?),
            Some(_) => return None,
            None => (unsigned, 0i64),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if all().next().is_none() || !all().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut digits: Vec<u8> = all().skip_while(|digit| *digit == b'0').collect();
        let leading = i64::try_from(whole.len() + fraction.len() - digits.len()).ok()?;
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self { negative: false, digits, power: 0 });
        }
        let power = i64::try_from(whole.len()).ok()? - 1 - leading + exponent;
        Some(Self { negative, digits, power })
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        // Zero has no digits and is never negative.
        let size = |a: &Self, b: &Self| match (a.digits.is_empty(), b.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => a.power.cmp(&b.power).then_with(|| a.digits.cmp(&b.digits)),
        };
        match (self.negative, other.negative) {
            (false, false) => size(self, other),
            (true, true) => size(other, self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Reads a date as nanoseconds since 1970: digits as epoch seconds, anything else as ISO 8601 in
/// the forms of the W3C profile (month, day, or time, with a UTC offset or in UTC).
pub(crate) fn date(text: &str) -> Option<i128> {
    if text.len() > 64 {
        return None;
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return epoch(text.starts_with('-'), digits);
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant.as_nanosecond());
    }
    let month = |text: &str| format!("{text}-01").parse::<jiff::civil::Date>();
    let civil = text
        .parse::<jiff::civil::DateTime>()
        .or_else(|_| month(text).map(jiff::civil::DateTime::from))
        .ok()?;
    Some(jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()?.as_nanosecond())
}

fn epoch(negative: bool, digits: &str) -> Option<i128> {
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !(1..=18).contains(&seconds.len()) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds = format!("{seconds}{fraction:0<9}").parse::<i128>().ok()?;
    Some(if negative { -nanoseconds } else { nanoseconds })
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    /// Leading bits that count.
    length: u32,
}

impl Network {
    /// Takes an address or a range in CIDR form. An IPv4 address mapped into IPv6 is an IPv4 one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().ok()?;
        let bits = width(written);
        let length = match length {
            None => bits,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|length| *length <= bits)?
            }
            Some(_) => return None,
        };
        let address = written.to_canonical();
        match bits - width(address) {
            // A range wider than all mapped addresses is one of IPv6.
            mapped if mapped > length => Some(Self { address: written, length }),
            mapped => Some(Self { address, length: length - mapped }),
        }
    }

    /// Whether an address, itself taken by [`Network::parse`], lies within the range.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        let differ = match (self.address, other.address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => return false,
        };
        other.length >= self.length && differ >= self.length
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).expect(text)
    }

    #[test]
    fn numbers_compare_exactly() {
        let ascending = [
            "-1e9999",
            "-100",
            "-99.5",
            "-1",
            "-0.1",
            "0",
            "1e-9999",
            "0.1",
            "0.10000000000000000001",
            "1",
            "9007199254740992",
            "9007199254740993",
            "1e400",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(number(a).cmp(&number(b)), i.cmp(&j), "{a} {b}");
            }
        }
        for (a, b) in [("1", "1.0"), ("-0", "0.0"), ("0100", "1e2"), ("+5", "5"), (".5", "0.50")] {
            assert_eq!(number(a), number(b), "{a} {b}");
        }
        assert!(number("1.1") < number("1.2") && number("10") > number("9.99"));
        for text in [
            "", "-", ".", "e5", "1e", "1 ", " 1", "1,0", "0x10", "١", "NaN", "inf", "1e999999",
            "--1",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn dates_of_both_kinds_compare() {
        let noon = date("2012-07-16T12:00:00Z").unwrap();
        for text in [
            "1342440000",
            "1342440000.0",
            "2012-07-16T14:00:00+02:00",
            "2012-07-16T12:00:00.000Z",
            "2012-07-16T12:00Z",
            "2012-07-16T12:00:00",
        ] {
            assert_eq!(date(text), Some(noon), "{text}");
        }
        assert_eq!(date("2012-07-16"), date("2012-07-16T00:00:00Z"));
        assert_eq!(date("2012-07"), date("2012-07-01"));
        assert_eq!(date("-1"), Some(-1_000_000_000));
        assert_eq!(date("0.000000001"), Some(1));
        for text in [
            "",
            "soon",
            "2012-13-01",
            "2012-02-30",
            "1.2.3",
            ".",
            "1e5",
            "1234567890123456789",
            "-",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn networks() {
        let inside = |network: &str, address: &str| {
            Network::parse(network).expect(network).contains(&Network::parse(address).unwrap())
        };
        for (network, address) in [
            ("203.0.113.0/24", "203.0.113.255"),
            ("203.0.113.77/24", "203.0.113.1"),
            ("203.0.113.5", "203.0.113.5"),
            ("0.0.0.0/0", "255.255.255.255"),
            ("::/0", "2001:db8::1"),
            ("2001:DB8:1234:5678::/64", "2001:db8:1234:5678::abcd"),
            ("10.0.0.0/8", "::ffff:10.1.2.3"),
            ("::ffff:10.0.0.0/104", "10.1.2.3"),
        ] {
            assert!(inside(network, address), "{network} {address}");
        }
        for (network, address) in [
            ("203.0.113.0/24", "203.0.114.0"),
            ("203.0.113.5", "203.0.113.6"),
            ("::/0", "10.0.0.1"),
            ("0.0.0.0/0", "2001:db8::1"),
            ("2001:db8::/33", "2001:db8:8000::"),
            ("10.0.0.0/9", "10.0.0.0/8"),
        ] {
            assert!(!inside(network, address), "{network} {address}");
        }
        for text in
            ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "010.0.0.1", "*"]
        {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_order_as_integers_do(a in any::<i64>(), b in any::<i64>()) {
            prop_assert_eq!(number(&a.to_string()).cmp(&number(&b.to_string())), a.cmp(&b));
            let tenths = |n: i64| format!("{n}e-1");
            prop_assert_eq!(number(&tenths(a)).cmp(&number(&tenths(b))), a.cmp(&b));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            let _ = (Decimal::parse(&text), date(&text), Network::parse(&text));
        }
    }
}
