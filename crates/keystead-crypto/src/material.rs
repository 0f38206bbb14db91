use std::fmt;

use zeroize::Zeroizing;

use crate::arena::{Area, ArenaKey, KEY_LEN};
use crate::error::CryptoError;
use crate::{framing, primitive};

const ID_LABEL: &[u8] = b"keystead/v1/material-id";

/// The 256 secret bits behind one version of a symmetric KMS key ("HSM backing key" at AWS), held
/// in the arena.
///
/// It never encrypts anything itself: every encryption derives a key of its own
/// ([`encrypt`](crate::encrypt)).
pub struct SymmetricMaterial {
    key: ArenaKey,
}

impl SymmetricMaterial {
    /// New material: direct output of the generator (NIST SP 800-133r2, 6.1).
    ///
    /// # Errors
    /// [`CryptoError::Random`] or [`CryptoError::SecretMemory`].
    pub fn generate() -> Result<Self, CryptoError> {
        Ok(Self { key: ArenaKey::random(Area::Keys)? })
    }

    /// Takes over material that was made elsewhere; wiping the original is the caller's affair.
    ///
    /// # Errors
    /// [`CryptoError::SecretMemory`].
    pub fn from_slice(material: &[u8; KEY_LEN]) -> Result<Self, CryptoError> {
        let fill = |slot: &mut [u8; KEY_LEN]| {
            slot.copy_from_slice(material);
            Ok::<_, CryptoError>(())
        };
        ArenaKey::filled(Area::Keys, fill).map(Self::from_key)
    }

    /// The key material id: HMAC-SHA-256 over `label ‖ be32(length) ‖ key id ‖ be32(length) ‖ key
    /// spec`, under a key derived from the material for this purpose alone.
    ///
    /// The same material under the same key id always has the same id, in every Region; under
    /// another key id it has an unrelated one; and the id of a poor secret cannot be tested against
    /// guesses more cheaply than the secret itself.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn id(&self, key_id: &str, spec: &str) -> Result<[u8; 32], CryptoError> {
        secret_material_id(self.key.expose(), key_id, spec)
    }

    pub(crate) fn from_key(key: ArenaKey) -> Self {
        Self { key }
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_LEN] {
        self.key.expose()
    }
}

/// The key material id of secrets of any length (canonical PKCS #8, HMAC keys), by the formula of
/// [`SymmetricMaterial::id`]. Where the length is not 32, a further field, the length as be32, ends
/// the message: HMAC, of which both steps are made, takes a key and the same key with zeros behind
/// it for one.
///
/// # Errors
/// [`CryptoError::Library`].
pub fn secret_material_id(
    material: &[u8],
    key_id: &str,
    spec: &str,
) -> Result<[u8; 32], CryptoError> {
    let mut mac_key = Zeroizing::new([0; KEY_LEN]);
    primitive::derive(material, ID_LABEL, &[], &mut mac_key)?;
    let mut message = ID_LABEL.to_vec();
    framing::push(&mut message, key_id.as_bytes());
    framing::push(&mut message, spec.as_bytes());
    if material.len() != KEY_LEN {
        framing::push(&mut message, &framing::be32(material.len()));
    }
    let mut id = [0; 32];
    id.copy_from_slice(primitive::mac(&mac_key, &message).as_ref());
    Ok(id)
}

impl fmt::Debug for SymmetricMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricMaterial(..)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
pub(crate) mod tests {
    use super::*;
    use aws_lc_rs::hmac;

    pub(crate) fn planted(byte: u8) -> SymmetricMaterial {
        let key = ArenaKey::filled(Area::Keys, |slot| {
            slot.fill(byte);
            Ok::<_, CryptoError>(())
        });
        SymmetricMaterial::from_key(key.unwrap())
    }

    #[test]
    fn the_id_is_as_documented() {
        let prf = |key: &[u8], message: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
        };
        let sub_key = prf(&[7; 32], b"\0\0\0\x01keystead/v1/material-id\0\0\0\x01\0");
        let expected = prf(&sub_key, b"keystead/v1/material-id\0\0\0\x03key\0\0\0\x04SPEC");
        assert_eq!(planted(7).id("key", "SPEC").unwrap().to_vec(), expected);
    }

    #[test]
    fn imported_material_and_secrets_have_the_same_id() {
        let imported = SymmetricMaterial::from_slice(&[9; 32]).unwrap();
        assert_eq!(imported.expose(), &[9; 32]);
        assert_eq!(imported.id("a", "S"), planted(9).id("a", "S"));
        assert_eq!(secret_material_id(&[9; 32], "a", "S"), planted(9).id("a", "S"));
        let zeros = |len| secret_material_id(&[&[9; 28][..], &vec![0; len]].concat(), "a", "S");
        let ids: std::collections::HashSet<_> = (0..40).map(|len| zeros(len).unwrap()).collect();
        assert_eq!(ids.len(), 40, "zeros at the end count");
    }

    #[test]
    fn the_id_depends_on_material_key_and_spec() {
        let one = planted(1);
        let id = one.id("a", "S").unwrap();
        assert_eq!(id, one.id("a", "S").unwrap());
        for other in [one.id("b", "S"), one.id("a", "T"), one.id("aS", ""), planted(2).id("a", "S")]
        {
            assert_ne!(id, other.unwrap());
        }
        assert_ne!(
            SymmetricMaterial::generate().unwrap().id("a", "S"),
            SymmetricMaterial::generate().unwrap().id("a", "S")
        );
    }
}
