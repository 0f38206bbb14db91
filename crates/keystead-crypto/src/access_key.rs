//! Long-term access keys: made, and their secrets sealed for a file that lies outside the store.
//!
//! | sealed secret | bytes |
//! | --- | --- |
//! | format `01` | 1 |
//! | N | 16 |
//! | IV | 12 |
//! | secret, encrypted | n |
//! | tag | 16 |
//!
//! - Key: KBKDF-CTR-HMAC-SHA-256(sealing key, `"keystead/v1/access-key" ‖ 00 ‖ N ‖ be32(256)`), so
//!   that no AES-GCM key encrypts twice.
//! - Authenticated data: all that precedes the ciphertext, then `be32(3)` and with its be32 length
//!   each of the label, the account and the access key id. A sealed secret pasted behind another
//!   access key id, or into another account, does not open.
//!
//! Sealed secrets are where no command can rewrap them. So the sealing key is not of a domain key
//! epoch, which a rotation destroys: it is a key of its own, stored wrapped by the domain key, and a
//! rotation rewraps that one key, as it does the [record key](crate::RecordKey).

use std::fmt;

use zeroize::Zeroizing;

use crate::arena::{Area, ArenaKey, KEY_LEN};
use crate::error::{CryptoError, UnwrapError};
use crate::framing;
use crate::primitive::{self, IV_LEN, NONCE_LEN, TAG_LEN};
use crate::random;
use crate::secret::Secret;

/// Seals the secrets of access keys. Made once per store.
pub struct AccessKeySeal {
    key: ArenaKey,
}

/// Characters of a secret access key.
pub const SECRET_ACCESS_KEY_LEN: usize = 40;

impl AccessKeySeal {
    /// The sealing key of a new store.
    ///
    /// # Errors
    /// [`CryptoError::Random`] or [`CryptoError::SecretMemory`].
    pub fn generate() -> Result<Self, CryptoError> {
        Ok(Self::from_key(ArenaKey::random(Area::Roots)?))
    }

    /// Seals the secret of the access key `id` of an account: 45 bytes longer than the secret.
    ///
    /// # Errors
    /// [`CryptoError::SecretLength`] unless it has 1 to 128 bytes; [`CryptoError::Random`],
    /// [`CryptoError::Library`].
    pub fn seal(&self, account: &[u8], id: &str, secret: &Secret) -> Result<Vec<u8>, CryptoError> {
        if secret.is_empty() || secret.len() > MAX_LEN {
            return Err(CryptoError::SecretLength(secret.len()));
        }
        let random = random::random_bytes::<{ NONCE_LEN + IV_LEN }>()?;
        let mut sealed = Vec::with_capacity(OVERHEAD + secret.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&random);
        let aad = authenticated(&sealed, account, id);
        let (key, iv) = self.once(&random)?;
        sealed.resize(OVERHEAD + secret.len(), 0);
        let (ciphertext, tag) = sealed[HEAD_LEN..].split_at_mut(secret.len());
        primitive::seal(&key, &iv, &aad, secret.expose(), ciphertext, tag)?;
        Ok(sealed)
    }

    /// Opens a sealed secret, for any bytes whatever.
    ///
    /// # Errors
    /// [`UnwrapError::Format`]; [`UnwrapError::Authentication`] when it was changed, or sealed for
    /// another access key, for another account or by another store.
    pub fn open(&self, account: &[u8], id: &str, sealed: &[u8]) -> Result<Secret, UnwrapError> {
        match sealed.first() {
            Some(&FORMAT) => {}
            Some(&format) => return Err(UnwrapError::Format(Some(format))),
            None => return Err(UnwrapError::Format(None)),
        }
        let len = sealed.len().checked_sub(OVERHEAD).filter(|len| (1..=MAX_LEN).contains(len));
        let len = len.ok_or(UnwrapError::Format(None))?;
        let (before, rest) = sealed.split_at(HEAD_LEN);
        let (ciphertext, tag) = rest.split_at(len);
        let (key, iv) = self.once(&before[1..])?;
        let aad = authenticated(before, account, id);
        Secret::filled(len, |out| {
            primitive::open(&key, &iv, &aad, ciphertext, tag, out)
                .map_err(|_| UnwrapError::Authentication)
        })
    }

    pub(crate) fn from_key(key: ArenaKey) -> Self {
        Self { key }
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_LEN] {
        self.key.expose()
    }

    /// Key and IV of one sealed secret. `random` is N and IV.
    fn once(&self, random: &[u8]) -> Result<(Zeroizing<[u8; KEY_LEN]>, [u8; IV_LEN]), CryptoError> {
        let (nonce, iv_bytes) = random.split_at(NONCE_LEN);
        let (mut key, mut iv) = (Zeroizing::new([0; KEY_LEN]), [0; IV_LEN]);
        iv.copy_from_slice(iv_bytes);
        primitive::derive(self.key.expose(), LABEL, nonce, &mut key)?;
        Ok((key, iv))
    }
}

impl fmt::Debug for AccessKeySeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKeySeal(..)")
    }
}

/// A random access key id: `prefix`, such as `AKIA` of long-term keys, and 16 of `A-Z` and `2-7`.
///
/// # Errors
/// [`CryptoError::Random`].
pub fn random_access_key_id(prefix: &str) -> Result<String, CryptoError> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bytes = random::random_bytes::<16>()?;
    let mut id = String::with_capacity(prefix.len() + bytes.len());
    id.push_str(prefix);
    // 32 divides 256: every character is equally likely.
    id.extend(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])));
    Ok(id)
}

/// A random secret access key: [`SECRET_ACCESS_KEY_LEN`] characters of base64's alphabet, 240 bits.
///
/// # Errors
/// [`CryptoError::Random`].
pub fn random_secret_access_key() -> Result<Secret, CryptoError> {
    Secret::filled(SECRET_ACCESS_KEY_LEN, |out| {
        random::fill_random(out)?;
        for byte in out {
            // 64 divides 256. A look-up in a table of one cache line, of a value nobody else has yet.
            *byte = ALPHABET[usize::from(*byte % 64)];
        }
        Ok(())
    })
}

/// Of secret access keys: base64's.
pub(crate) const ALPHABET: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FORMAT: u8 = 1;
const HEAD_LEN: usize = 1 + NONCE_LEN + IV_LEN;
const OVERHEAD: usize = HEAD_LEN + TAG_LEN;
/// The longest secret access key that the API's model allows.
const MAX_LEN: usize = 128;
const LABEL: &[u8] = b"keystead/v1/access-key";

fn authenticated(before: &[u8], account: &[u8], id: &str) -> Vec<u8> {
    framing::authenticated(before, &[LABEL, account, id.as_bytes()])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const ACCOUNT: &[u8] = b"111122223333";
    const ID: &str = "AKIAIOSFODNN7EXAMPLE";

    fn fixed() -> AccessKeySeal {
        let key = ArenaKey::filled(Area::Roots, |slot| {
            slot.fill(7);
            Ok::<_, CryptoError>(())
        });
        AccessKeySeal::from_key(key.unwrap())
    }

    #[test]
    fn a_sealed_secret_opens_only_where_it_belongs() {
        let seal = AccessKeySeal::generate().unwrap();
        let secret = random_secret_access_key().unwrap();
        let sealed = seal.seal(ACCOUNT, ID, &secret).unwrap();
        assert_eq!(sealed.len(), 85);
        assert!(seal.open(ACCOUNT, ID, &sealed).unwrap().ct_eq(secret.expose()));
        assert!(!sealed.windows(8).any(|part| secret.expose().windows(8).any(|own| own == part)));

        let refused = |found: Result<Secret, UnwrapError>| found.map(|_| ()).unwrap_err();
        let other = AccessKeySeal::generate().unwrap();
        for wrong in [
            refused(seal.open(b"444455556666", ID, &sealed)),
            refused(seal.open(ACCOUNT, "AKIAIOSFODNN7EXAMPLF", &sealed)),
            refused(seal.open(b"111122223333A", "KIAIOSFODNN7EXAMPLE", &sealed)),
            refused(other.open(ACCOUNT, ID, &sealed)),
        ] {
            assert_eq!(wrong, UnwrapError::Authentication);
        }
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(seal.open(ACCOUNT, ID, &changed).is_err(), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(seal.open(ACCOUNT, ID, &sealed[..len]).is_err(), "{len}");
        }
        assert_eq!(
            refused(seal.open(ACCOUNT, ID, &[vec![2], sealed[1..].to_vec()].concat())),
            UnwrapError::Format(Some(2))
        );
        assert!(seal.open(ACCOUNT, ID, &[sealed.clone(), vec![0; 200]].concat()).is_err());
    }

    #[test]
    fn secrets_of_all_lengths_that_are_allowed() {
        let seal = fixed();
        for len in [1, 40, 128] {
            let secret = Secret::from_slice(&vec![b'x'; len]);
            let sealed = seal.seal(ACCOUNT, ID, &secret).unwrap();
            assert!(seal.open(ACCOUNT, ID, &sealed).unwrap().ct_eq(secret.expose()));
        }
        for len in [0, 129] {
            let secret = Secret::from_slice(&vec![b'x'; len]);
            assert_eq!(seal.seal(ACCOUNT, ID, &secret), Err(CryptoError::SecretLength(len)));
        }
    }

    /// Opened by hand, with nothing of this module but the key.
    #[test]
    fn the_layout_is_as_documented() {
        use aws_lc_rs::{aead, hmac};
        let secret = Secret::from_slice(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let sealed = fixed().seal(ACCOUNT, ID, &secret).unwrap();
        let message =
            [b"\0\0\0\x01keystead/v1/access-key\0", &sealed[1..17], b"\0\0\x01\0"].concat();
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), &message);
        let mut aad = sealed[..29].to_vec();
        aad.extend_from_slice(b"\0\0\0\x03\0\0\0\x16keystead/v1/access-key");
        aad.extend_from_slice(b"\0\0\0\x0c111122223333\0\0\0\x14AKIAIOSFODNN7EXAMPLE");
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, key.as_ref()).unwrap();
        let iv = aead::Nonce::try_assume_unique_for_key(&sealed[17..29]).unwrap();
        let mut rest = sealed[29..].to_vec();
        let opened =
            aead::LessSafeKey::new(key).open_in_place(iv, aead::Aad::from(aad), &mut rest).unwrap();
        assert!(secret.ct_eq(opened));
        assert_eq!(sealed[0], 1);
    }

    #[test]
    fn new_keys_have_aws_s_form() {
        let id = random_access_key_id("AKIA").unwrap();
        assert_eq!(id.len(), 20);
        let rest = id.strip_prefix("AKIA").unwrap();
        assert!(rest.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)), "{id}");
        assert_ne!(random_access_key_id("AKIA").unwrap(), id);
        let secret = random_secret_access_key().unwrap();
        assert_eq!(secret.len(), 40);
        let base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/".contains(b);
        assert!(secret.expose().iter().all(base64));
        assert!(!random_secret_access_key().unwrap().ct_eq(secret.expose()));
    }

    /// Every character comes up, about as often as every other: 64,000 draws, each of the 64
    /// characters between 800 and 1,200 times (more than six standard deviations).
    #[test]
    fn secrets_use_the_whole_alphabet_evenly() {
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..1_600 {
            for byte in random_secret_access_key().unwrap().expose() {
                *counts.entry(*byte).or_insert(0u32) += 1;
            }
        }
        assert_eq!(counts.len(), 64);
        assert!(counts.values().all(|count| (800..=1_200).contains(count)), "{counts:?}");
    }
}
