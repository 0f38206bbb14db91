use std::fmt;

use crate::framing;

/// The encryption context of a symmetric operation, in the one form in which it is authenticated.
///
/// Canonical bytes: `be32(number of pairs)`, then for each pair in ascending order of the key's
/// UTF-8 bytes `be32(length) ‖ key ‖ be32(length) ‖ value`. So the order in which a caller wrote
/// its pairs does not matter, upper and lower case do, nothing is normalised, and no two contexts
/// share their bytes: `{"ab":"c"}` and `{"a":"bc"}` differ. The context is never stored in a blob;
/// an absent context is the empty one.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionContext(Vec<u8>);

impl EncryptionContext {
    /// The context of a request that names none.
    #[must_use]
    pub fn empty() -> Self {
        Self(vec![0; 4])
    }

    /// Brings `pairs` into the canonical form.
    ///
    /// # Errors
    /// [`DuplicateKey`] when two pairs have the same key.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, DuplicateKey> {
        let mut pairs: Vec<(&str, &str)> = pairs.into_iter().collect();
        pairs.sort_unstable_by_key(|&(key, _)| key);
        if pairs.windows(2).any(|two| two[0].0 == two[1].0) {
            return Err(DuplicateKey);
        }
        let len = pairs.iter().map(|(key, value)| 8 + key.len() + value.len()).sum::<usize>();
        let mut bytes = Vec::with_capacity(4 + len);
        bytes.extend_from_slice(&framing::be32(pairs.len()));
        for (key, value) in pairs {
            framing::push(&mut bytes, key.as_bytes());
            framing::push(&mut bytes, value.as_bytes());
        }
        Ok(Self(bytes))
    }

    /// The canonical bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len() == 4
    }
}

impl fmt::Debug for EncryptionContext {
    /// The content is no secret, but it is the caller's: audit records show it, logs do not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionContext({} canonical bytes)", self.0.len())
    }
}

/// An encryption context names a key twice.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the encryption context names a key twice")]
pub struct DuplicateKey;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, hash_map};
    use proptest::prelude::*;

    fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
        EncryptionContext::from_pairs(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn the_canonical_bytes_are_as_documented() {
        let bytes = b"\0\0\0\x02\0\0\0\x01B\0\0\0\x02yy\0\0\0\x01a\0\0\0\0";
        assert_eq!(context(&[("a", ""), ("B", "yy")]).as_bytes(), bytes);
        assert_eq!(EncryptionContext::empty(), context(&[]));
        assert!(context(&[]).is_empty() && !context(&[("", "")]).is_empty());
    }

    #[test]
    fn neighbours_differ() {
        let contexts = [
            context(&[]),
            context(&[("", "")]),
            context(&[("ab", "c")]),
            context(&[("a", "bc")]),
            context(&[("A", "bc")]),
            context(&[("a", "Bc")]),
            context(&[("a", "b"), ("c", "")]),
            context(&[("a", ""), ("b", "c")]),
            // One letter as one code point and as two: no normalisation.
            context(&[("\u{e9}", "")]),
            context(&[("e\u{301}", "")]),
        ];
        for (index, one) in contexts.iter().enumerate() {
            assert!(contexts[index + 1..].iter().all(|other| one != other), "context {index}");
        }
    }

    #[test]
    fn a_key_named_twice_is_refused() {
        assert_eq!(
            EncryptionContext::from_pairs([("a", "1"), ("b", "2"), ("a", "1")]),
            Err(DuplicateKey)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn equal_bytes_mean_equal_pairs(
            one in btree_map("[ab]{0,3}", "[ab]{0,3}", 0..3),
            two in btree_map("[ab]{0,3}", "[ab]{0,3}", 0..3),
        ) {
            let [first, second] = [&one, &two]
                .map(|map| EncryptionContext::from_pairs(map.iter().map(|(k, v)| (k.as_str(), v.as_str()))).unwrap());
            prop_assert_eq!(one == two, first == second);
        }

        #[test]
        fn order_does_not_matter(map in hash_map(".{0,8}", ".{0,8}", 0..6)) {
            let mut pairs: Vec<_> = map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let one = EncryptionContext::from_pairs(pairs.iter().copied()).unwrap();
            pairs.reverse();
            prop_assert_eq!(one, EncryptionContext::from_pairs(pairs).unwrap());
        }
    }
}
