//! Session credentials: temporary access keys of which nothing is stored.
//!
//! | session token | bytes |
//! | --- | --- |
//! | format `01` | 1 |
//! | N | 16 |
//! | IV | 12 |
//! | content, encrypted | n |
//! | tag | 16 |
//!
//! - Key: KBKDF-CTR-HMAC-SHA-256(sealing key, `"keystead/v1/session-token" ‖ 00 ‖ N ‖ be32(256)`).
//! - Authenticated data: all that precedes the ciphertext, then `be32(2)` and with its be32 length
//!   each of the label and the access key id. So a token opens beside its own access key id and no
//!   other, which the comparison of the tag tells in constant time.
//! - Secret access key: 40 characters, each the low six bits of a byte of
//!   KBKDF-CTR-HMAC-SHA-256(sealing key, `"keystead/v1/session-secret" ‖ 00 ‖ access key id ‖
//!   be32(320)`) in the alphabet of base64: 240 bits.
//!
//! Both come from the key that seals access keys, by labels of their own. A rotation of the domain
//! key rewraps that key and leaves it what it is, so sessions outlive it.

use crate::access_key::{ALPHABET, AccessKeySeal, SECRET_ACCESS_KEY_LEN};
use crate::arena::KEY_LEN;
use crate::error::CryptoError;
use crate::framing;
use crate::hierarchy::InvalidToken;
use crate::primitive::{self, IV_LEN, NONCE_LEN, TAG_LEN};
use crate::random;
use crate::secret::Secret;

use zeroize::Zeroizing;

/// The longest content of a session token, in bytes: its base64 stays under 4 KiB.
pub const MAX_SESSION_CONTENT: usize = 3_000;

impl AccessKeySeal {
    /// Seals what a session is into its token: 45 bytes longer than `content`.
    ///
    /// # Errors
    /// [`CryptoError::SecretLength`] unless it has 1 to [`MAX_SESSION_CONTENT`] bytes;
    /// [`CryptoError::Random`], [`CryptoError::Library`].
    pub fn seal_session(
        &self,
        access_key_id: &str,
        content: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        if content.is_empty() || content.len() > MAX_SESSION_CONTENT {
            return Err(CryptoError::SecretLength(content.len()));
        }
        let random = random::random_bytes::<{ NONCE_LEN + IV_LEN }>()?;
        let mut token = Vec::with_capacity(OVERHEAD + content.len());
        token.push(FORMAT);
        token.extend_from_slice(&random);
        let aad = authenticated(&token, access_key_id);
        let (key, iv) = self.session_once(&random)?;
        token.resize(OVERHEAD + content.len(), 0);
        let (ciphertext, tag) = token[HEAD_LEN..].split_at_mut(content.len());
        primitive::seal(&key, &iv, &aad, content, ciphertext, tag)?;
        Ok(token)
    }

    /// Opens a session token, for any bytes whatever.
    ///
    /// # Errors
    /// [`InvalidToken`]: not one of ours, changed, or of another access key or store.
    pub fn open_session(&self, access_key_id: &str, token: &[u8]) -> Result<Secret, InvalidToken> {
        if token.first() != Some(&FORMAT) {
            return Err(InvalidToken);
        }
        let len = token.len().checked_sub(OVERHEAD);
        let len = len.filter(|len| (1..=MAX_SESSION_CONTENT).contains(len)).ok_or(InvalidToken)?;
        let (before, rest) = token.split_at(HEAD_LEN);
        let (ciphertext, tag) = rest.split_at(len);
        let (key, iv) = self.session_once(&before[1..]).map_err(|_| InvalidToken)?;
        let aad = authenticated(before, access_key_id);
        Secret::filled(len, |out| {
            primitive::open(&key, &iv, &aad, ciphertext, tag, out).map_err(|_| InvalidToken)
        })
    }

    /// The secret access key that belongs to the id of a temporary access key. Any id has one: that
    /// it was ever issued is for the token to prove.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn session_secret(&self, access_key_id: &str) -> Result<Secret, CryptoError> {
        let bits = framing::be32(8 * SECRET_ACCESS_KEY_LEN);
        let info = [SECRET, &[0], access_key_id.as_bytes(), &bits].concat();
        Secret::filled(SECRET_ACCESS_KEY_LEN, |out| {
            primitive::kbkdf(self.expose(), &info, out)?;
            for byte in out {
                *byte = ALPHABET[usize::from(*byte % 64)];
            }
            Ok(())
        })
    }

    /// Key and IV of one token. `random` is N and IV.
    fn session_once(
        &self,
        random: &[u8],
    ) -> Result<(Zeroizing<[u8; KEY_LEN]>, [u8; IV_LEN]), CryptoError> {
        let (nonce, iv_bytes) = random.split_at(NONCE_LEN);
        let (mut key, mut iv) = (Zeroizing::new([0; KEY_LEN]), [0; IV_LEN]);
        iv.copy_from_slice(iv_bytes);
        primitive::derive(self.expose(), TOKEN, nonce, &mut key)?;
        Ok((key, iv))
    }
}

const FORMAT: u8 = 1;
const HEAD_LEN: usize = 1 + NONCE_LEN + IV_LEN;
const OVERHEAD: usize = HEAD_LEN + TAG_LEN;
const TOKEN: &[u8] = b"keystead/v1/session-token";
const SECRET: &[u8] = b"keystead/v1/session-secret";

fn authenticated(before: &[u8], access_key_id: &str) -> Vec<u8> {
    framing::authenticated(before, &[TOKEN, access_key_id.as_bytes()])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arena::{Area, ArenaKey};
    use crate::hierarchy::DomainKeys;

    const ID: &str = "ASIAIOSFODNN7EXAMPLE";

    fn fixed(byte: u8) -> AccessKeySeal {
        let key = ArenaKey::filled(Area::Roots, |slot| {
            slot.fill(byte);
            Ok::<_, CryptoError>(())
        });
        AccessKeySeal::from_key(key.unwrap())
    }

    #[test]
    fn a_token_opens_beside_its_access_key_alone() {
        let seal = fixed(7);
        let token = seal.seal_session(ID, b"content").unwrap();
        assert_eq!(token.len(), 45 + 7);
        assert!(seal.open_session(ID, &token).unwrap().ct_eq(b"content"));
        assert!(seal.open_session("ASIAIOSFODNN7EXAMPLF", &token).is_err());
        assert!(fixed(8).open_session(ID, &token).is_err());
        for bit in 0..token.len() * 8 {
            let mut changed = token.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(seal.open_session(ID, &changed).is_err(), "bit {bit}");
        }
        for len in 0..token.len() {
            assert!(seal.open_session(ID, &token[..len]).is_err(), "{len}");
        }
        for len in [0, MAX_SESSION_CONTENT + 1] {
            let refused = seal.seal_session(ID, &vec![0; len]);
            assert_eq!(refused, Err(CryptoError::SecretLength(len)));
        }
        assert_ne!(token, seal.seal_session(ID, b"content").unwrap());
    }

    /// A sealed secret of an access key is no token, nor a token a sealed secret.
    #[test]
    fn tokens_and_sealed_secrets_are_apart() {
        let seal = fixed(7);
        let token = seal.seal_session(ID, b"content").unwrap();
        assert!(seal.open(b"111122223333", ID, &token).is_err());
        let sealed = seal.seal(b"111122223333", ID, &Secret::from_slice(b"secret")).unwrap();
        assert!(seal.open_session(ID, &sealed).is_err());
    }

    /// Computed by Python's `hmac` from the formula above: HMAC-SHA-256 under the counters 1 and 2.
    #[test]
    fn the_secret_is_the_one_of_the_formula() {
        let secret = fixed(7).session_secret(ID).unwrap();
        assert_eq!(secret.expose(), b"xai+qY4O8+HLKnKMsg5sZgvJ3F9Bsf88VqWzV70S");
        assert!(!secret.ct_eq(fixed(7).session_secret("ASIAOTHER").unwrap().expose()));
        assert!(!secret.ct_eq(fixed(8).session_secret(ID).unwrap().expose()));
    }

    #[test]
    fn sessions_outlive_a_rotation_of_the_domain_key() {
        let mut keys = DomainKeys::generate([7; 16]).unwrap();
        let seal = AccessKeySeal::generate().unwrap();
        let token = seal.seal_session(ID, b"content").unwrap();
        let secret = seal.session_secret(ID).unwrap();
        let wrapped = keys.wrap_access_key_seal(&seal).unwrap();
        keys.add_epoch().unwrap();
        let wrapped = keys.rewrap_access_key_seal(&wrapped).unwrap().unwrap();
        keys.drop_epoch(1).unwrap();
        let seal = keys.unwrap_access_key_seal(&wrapped).unwrap();
        assert!(seal.open_session(ID, &token).unwrap().ct_eq(b"content"));
        assert!(seal.session_secret(ID).unwrap().ct_eq(secret.expose()));
    }

    proptest! {
        #[test]
        fn no_other_bytes_open(
            content in proptest::collection::vec(any::<u8>(), 1..300),
            garbage in proptest::collection::vec(any::<u8>(), 0..400),
            at in any::<proptest::sample::Index>(),
            change in 1_u8..,
        ) {
            let seal = fixed(7);
            let mut token = seal.seal_session(ID, &content).unwrap();
            prop_assert!(seal.open_session(ID, &token).unwrap().ct_eq(&content));
            let at = at.index(token.len());
            token[at] ^= change;
            prop_assert!(seal.open_session(ID, &token).is_err());
            prop_assert!(seal.open_session(ID, &garbage).is_err());
        }
    }
}
