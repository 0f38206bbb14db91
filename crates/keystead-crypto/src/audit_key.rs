//! The key that signs the digests of the audit log: Ed25519 (RFC 8032), made once per store.
//!
//! What it signed is verified for years by the public key alone, so it is, like the key that seals
//! [access keys](crate::access_key), a key of its own, stored wrapped by the domain key: a rotation
//! rewraps it, and the public key stays.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::arena::{Area, ArenaKey, KEY_LEN};
use crate::error::CryptoError;

/// Bytes of an Ed25519 public key.
pub const AUDIT_PUBLIC_KEY_LEN: usize = 32;

/// Bytes of an Ed25519 signature.
pub const AUDIT_SIGNATURE_LEN: usize = 64;

/// Signs the digests of an audit log.
pub struct AuditSigningKey {
    seed: ArenaKey,
}

impl AuditSigningKey {
    /// The signing key of a new store.
    ///
    /// # Errors
    /// [`CryptoError::Random`] or [`CryptoError::SecretMemory`].
    pub fn generate() -> Result<Self, CryptoError> {
        Ok(Self::from_seed(ArenaKey::random(Area::Roots)?))
    }

    /// Signs a message: 64 bytes.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn sign(&self, message: &[u8]) -> Result<[u8; AUDIT_SIGNATURE_LEN], CryptoError> {
        let mut signature = [0; AUDIT_SIGNATURE_LEN];
        let made = self.pair()?.sign(message);
        let whole = made.as_ref().len() == signature.len();
        if !whole {
            return Err(CryptoError::Library("an Ed25519 signature has another length"));
        }
        signature.copy_from_slice(made.as_ref());
        Ok(signature)
    }

    /// The public key: 32 bytes.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn public_key(&self) -> Result<[u8; AUDIT_PUBLIC_KEY_LEN], CryptoError> {
        let pair = self.pair()?;
        let failed = |_| CryptoError::Library("an Ed25519 public key has another length");
        pair.public_key().as_ref().try_into().map_err(failed)
    }

    pub(crate) fn from_seed(seed: ArenaKey) -> Self {
        Self { seed }
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_LEN] {
        self.seed.expose()
    }

    /// Made for each signature, of which there is one a second, so that the seed stays in the arena.
    fn pair(&self) -> Result<Ed25519KeyPair, CryptoError> {
        Ed25519KeyPair::from_seed_unchecked(self.seed.expose())
            .map_err(|_| CryptoError::Library("an Ed25519 key cannot be made of its seed"))
    }
}

impl fmt::Debug for AuditSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditSigningKey(..)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn known_answer() {
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let seed: [u8; 32] = hex::decode(seed).unwrap().try_into().unwrap();
        let key = AuditSigningKey::from_seed(
            ArenaKey::filled(Area::Roots, |slot| {
                slot.copy_from_slice(&seed);
                Ok::<_, CryptoError>(())
            })
            .unwrap(),
        );
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(hex::encode(key.public_key().unwrap()), public);
        assert_eq!(
            hex::encode(key.sign(&[0x72]).unwrap()),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert_eq!(format!("{key:?}"), "AuditSigningKey(..)");
    }
}
