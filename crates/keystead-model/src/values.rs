//! The value types of the wire: bytes, sensitive text, time, encryption context.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

/// Bytes: base64 on the wire, wiped when dropped, never printed.
///
/// Equality takes the same time wherever the bytes differ.
#[derive(Default)]
pub struct Blob(Zeroizing<Vec<u8>>);

/// Text which the model marks as sensitive: wiped when dropped, never printed.
#[derive(Default)]
pub struct SensitiveString(Zeroizing<String>);

/// A point in time, in milliseconds since the Unix epoch; on the wire a JSON number of seconds.
#[derive(Copy, Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(i64);

/// An encryption context: names and values of free text, in the byte order of the names.
///
/// `Debug` prints the number of pairs alone.
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EncryptionContextMap(BTreeMap<String, String>);

impl Blob {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, still in their wiping container.
    pub fn into_inner(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Takes the allocation over; nothing is copied.
impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl From<Zeroizing<Vec<u8>>> for Blob {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl Eq for Blob {}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.len())
    }
}

impl SensitiveString {
    /// The text. Each use of it needs a reason.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SensitiveString {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl PartialEq for SensitiveString {
    fn eq(&self, other: &Self) -> bool {
        same(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl Eq for SensitiveString {}

impl fmt::Debug for SensitiveString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SensitiveString(..)")
    }
}

impl Timestamp {
    /// The first instant that the wire accepts: the beginning of year 1.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// The last instant that the wire accepts: the end of year 9999.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// From the spelling of a JSON number of seconds, rounded to milliseconds. None outside
    /// [`Self::MIN`] to [`Self::MAX`].
    pub(crate) fn from_json_number(number: &str) -> Option<Self> {
        let millis = (number.parse::<f64>().ok()? * 1000.0).round();
        // The bounds are integers of less than 53 bits, hence exact.
        #[allow(clippy::cast_precision_loss, reason = "the bounds are exact in a double")]
        let inside = millis >= Self::MIN.0 as f64 && millis <= Self::MAX.0 as f64;
        #[allow(clippy::cast_possible_truncation, reason = "an integer inside the bounds")]
        inside.then_some(Self(millis as i64))
    }
}

/// Seconds with one to three decimals, as AWS writes them: `1568565290.0`, `1614905581.947`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let millis = self.0.unsigned_abs();
        let (seconds, fraction) = (millis / 1000, millis % 1000);
        if fraction % 100 == 0 {
            write!(f, "{sign}{seconds}.{}", fraction / 100)
        } else if fraction % 10 == 0 {
            write!(f, "{sign}{seconds}.{:02}", fraction / 10)
        } else {
            write!(f, "{sign}{seconds}.{fraction:03}")
        }
    }
}

impl EncryptionContextMap {
    /// An empty context, which means the same as none.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a pair; the former value if the name was there.
    pub fn insert(&mut self, name: String, value: String) -> Option<String> {
        self.0.insert(name, value)
    }

    /// The value of a name, letter case and all.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The pairs in the byte order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of several values of one name the last is kept.
impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for EncryptionContextMap {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for EncryptionContextMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionContextMap({} pairs)", self.len())
    }
}

fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && std::hint::black_box(
            left.iter().zip(right).fold(0, |difference, (l, r)| difference | (l ^ r)),
        ) == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_are_written_as_aws_writes_them() {
        for (millis, text) in [
            (1_614_905_581_947, "1614905581.947"),
            (1_568_565_290_000, "1568565290.0"),
            (1_568_565_290_500, "1568565290.5"),
            (1_568_565_290_120, "1568565290.12"),
            (1_568_565_290_007, "1568565290.007"),
            (1_568_565_290_040, "1568565290.04"),
            (0, "0.0"),
            (-1, "-0.001"),
            (-1_500, "-1.5"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
            assert_eq!(Timestamp::from_json_number(text), Some(Timestamp::from_millis(millis)));
        }
    }

    #[test]
    fn timestamps_are_read_from_any_json_number_in_range() {
        let read = Timestamp::from_json_number;
        assert_eq!(read("1568565290"), Some(Timestamp(1_568_565_290_000)));
        assert_eq!(read("1.56856529E9"), Some(Timestamp(1_568_565_290_000)));
        assert_eq!(read("1568565290.0004"), Some(Timestamp(1_568_565_290_000)));
        assert_eq!(read("253402300799.999"), Some(Timestamp::MAX));
        assert_eq!(read("253402300800"), None);
        assert_eq!(read("-62135596801"), None);
        assert_eq!(read("1e999"), None);
        assert_eq!(read("-1e999"), None);
    }

    #[test]
    fn nothing_secret_is_printed() {
        assert_eq!(format!("{:?}", Blob::from(b"planted".to_vec())), "Blob(7 bytes)");
        let secret = SensitiveString::from("planted".to_owned());
        assert_eq!(format!("{secret:?}"), "SensitiveString(..)");
        let context: EncryptionContextMap = [("planted", "planted")].into_iter().collect();
        assert_eq!(format!("{context:?}"), "EncryptionContextMap(1 pairs)");
    }

    #[test]
    fn blobs_compare_by_content() {
        let blob = |bytes: &[u8]| Blob::from(bytes);
        assert_eq!(blob(b"abc"), blob(b"abc"));
        assert_ne!(blob(b"abc"), blob(b"abd"));
        assert_ne!(blob(b"abc"), blob(b"ab"));
        assert_eq!(blob(b""), Blob::default());
    }

    proptest! {
        #[test]
        fn timestamps_round_trip(millis in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let time = Timestamp(millis);
            prop_assert_eq!(Timestamp::from_json_number(&time.to_string()), Some(time));
        }
    }
}
