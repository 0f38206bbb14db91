use std::fmt;

use aws_lc_rs::{constant_time, hmac};

use crate::arena::{Area, ArenaKey, KEY_LEN};
use crate::error::CryptoError;
use crate::framing;

/// Authenticates the records of a store, so that a record changed or moved behind our back is
/// noticed.
///
/// Made once per store and stored wrapped by the domain key; a rotation of the latter rewraps this
/// one key and leaves the tags of all records as they are. The tag of a record is the first 16
/// bytes of HMAC-SHA-256(record key, `be32(length) ‖ store key ‖ value`).
pub struct RecordKey {
    key: ArenaKey,
    // Outside the arena, which is no leak of the key: it holds the hash states after the two padded
    // keys, from which tags can be made but the key cannot be found.
    prepared: hmac::Key,
}

/// Bytes of a record's tag.
pub const RECORD_TAG_LEN: usize = 16;

impl RecordKey {
    /// The key of a new store.
    ///
    /// # Errors
    /// [`CryptoError::Random`] or [`CryptoError::SecretMemory`].
    pub fn generate() -> Result<Self, CryptoError> {
        Ok(Self::from_key(ArenaKey::random(Area::Roots)?))
    }

    /// The tag of `value` stored at `store_key`.
    #[must_use]
    pub fn tag(&self, store_key: &[u8], value: &[u8]) -> [u8; RECORD_TAG_LEN] {
        let mut context = hmac::Context::with_key(&self.prepared);
        context.update(&framing::be32(store_key.len()));
        context.update(store_key);
        context.update(value);
        let mut tag = [0; RECORD_TAG_LEN];
        tag.copy_from_slice(&context.sign().as_ref()[..RECORD_TAG_LEN]);
        tag
    }

    /// Whether `tag` is the tag of `value` at `store_key`; in constant time.
    #[must_use]
    pub fn verify(&self, store_key: &[u8], value: &[u8], tag: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.tag(store_key, value), tag).is_ok()
    }

    pub(crate) fn from_key(key: ArenaKey) -> Self {
        let prepared = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        Self { key, prepared }
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_LEN] {
        self.key.expose()
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordKey(..)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_as_documented() {
        let key = ArenaKey::filled(Area::Roots, |slot| {
            slot.fill(3);
            Ok::<_, CryptoError>(())
        });
        let expected =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[3; 32]), b"\0\0\0\x02k1value");
        assert_eq!(RecordKey::from_key(key.unwrap()).tag(b"k1", b"value"), expected.as_ref()[..16]);
    }

    #[test]
    fn a_tag_holds_for_one_key_one_place_and_one_value() {
        let key = RecordKey::generate().unwrap();
        let tag = key.tag(b"ab", b"c");
        assert!(key.verify(b"ab", b"c", &tag));
        assert!(!key.verify(b"a", b"bc", &tag));
        assert!(!key.verify(b"ab", b"", &tag));
        assert!(!RecordKey::generate().unwrap().verify(b"ab", b"c", &tag));
        for bit in 0..128 {
            let mut changed = tag;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(b"ab", b"c", &changed));
        }
        assert!(!key.verify(b"ab", b"c", &tag[..15]) && !key.verify(b"ab", b"c", b""));
    }

    #[test]
    fn the_prepared_key_does_not_contain_the_key() {
        let key = RecordKey::generate().unwrap();
        let shown = format!("{:?}", key.prepared);
        assert!(!shown.contains(&hex::encode(key.expose())));
    }
}
