//! How key material comes in from outside: under a wrapping key that is made for it and thrown away.
//!
//! | wrapping algorithm | wrapping key | the encrypted material |
//! | --- | --- | --- |
//! | RSAES_OAEP_SHA_1, _SHA_256 | RSA_* | one RSA block (RFC 8017), MGF1 with the same hash, empty label |
//! | RSA_AES_KEY_WRAP_SHA_1, _SHA_256 | RSA_* | such a block with an AES-256 key, then the material under that key by AES key wrap with padding (RFC 5649), as PKCS #11's CKM_RSA_AES_KEY_WRAP |
//! | SM2PKE | SM2 | ASN.1 of GM/T 0009 |
//!
//! Which material goes with which is [`check_wrapping`]'s to say. What comes out is raw bytes that
//! nothing has looked at yet: symmetric material is
//! [`SymmetricMaterial::from_slice`](crate::SymmetricMaterial::from_slice)'s to take, HMAC keys
//! [`MacKey::from_slice`](crate::MacKey::from_slice)'s, private keys
//! [`import_pkcs8`](crate::import_pkcs8)'s.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use zeroize::Zeroizing;

use crate::asymmetric::{
    AsymmetricSpec, EncryptionAlgorithm, InvalidKey, PrivateKey, generate_private_key,
};
use crate::error::CryptoError;
use crate::mac::MacSpec;
use crate::secret::Secret;

/// The kinds of wrapping keys, as AWS KMS names them (`WrappingKeySpec`).
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum WrappingKeySpec {
    /// RSA with a modulus of 2048 bits.
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
    /// SM2.
    Sm2,
}

impl WrappingKeySpec {
    /// All specs, in the order of AWS's model.
    pub const ALL: [Self; 4] = [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096, Self::Sm2];

    /// The name in AWS's model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.key_spec().as_str()
    }

    /// The spec of this name, which must be spelled exactly as in AWS's model.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|spec| spec.as_str() == name)
    }

    /// The spec of the key itself.
    #[must_use]
    pub fn key_spec(self) -> AsymmetricSpec {
        match self {
            Self::Rsa2048 => AsymmetricSpec::Rsa2048,
            Self::Rsa3072 => AsymmetricSpec::Rsa3072,
            Self::Rsa4096 => AsymmetricSpec::Rsa4096,
            Self::Sm2 => AsymmetricSpec::Sm2,
        }
    }
}

/// The wrapping algorithms of AWS KMS that are still allowed; RSAES_PKCS1_V1_5 has not been since
/// October 2023.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum WrappingAlgorithm {
    /// RSAES-OAEP with SHA-1.
    RsaesOaepSha1,
    /// RSAES-OAEP with SHA-256.
    RsaesOaepSha256,
    /// AES key wrap under a key that is wrapped by RSAES-OAEP with SHA-1.
    RsaAesKeyWrapSha1,
    /// AES key wrap under a key that is wrapped by RSAES-OAEP with SHA-256.
    RsaAesKeyWrapSha256,
    /// SM2 encryption.
    Sm2Pke,
}

impl WrappingAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 5] = [
        Self::RsaesOaepSha1,
        Self::RsaesOaepSha256,
        Self::RsaAesKeyWrapSha1,
        Self::RsaAesKeyWrapSha256,
        Self::Sm2Pke,
    ];

    /// The name in AWS's model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RsaesOaepSha1 => "RSAES_OAEP_SHA_1",
            Self::RsaesOaepSha256 => "RSAES_OAEP_SHA_256",
            Self::RsaAesKeyWrapSha1 => "RSA_AES_KEY_WRAP_SHA_1",
            Self::RsaAesKeyWrapSha256 => "RSA_AES_KEY_WRAP_SHA_256",
            Self::Sm2Pke => "SM2PKE",
        }
    }

    /// The algorithm of this name, which must be spelled exactly as in AWS's model.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Whether the material itself is under AES and only its key under the wrapping key.
    fn is_two_step(self) -> bool {
        matches!(self, Self::RsaAesKeyWrapSha1 | Self::RsaAesKeyWrapSha256)
    }

    fn outer(self) -> EncryptionAlgorithm {
        match self {
            Self::RsaesOaepSha1 | Self::RsaAesKeyWrapSha1 => EncryptionAlgorithm::RsaesOaepSha1,
            Self::RsaesOaepSha256 | Self::RsaAesKeyWrapSha256 => {
                EncryptionAlgorithm::RsaesOaepSha256
            }
            Self::Sm2Pke => EncryptionAlgorithm::Sm2Pke,
        }
    }
}

/// The kind of key material to be imported.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum ImportedMaterial {
    /// Of SYMMETRIC_DEFAULT.
    Symmetric,
    /// An HMAC key.
    Mac(MacSpec),
    /// A private key.
    Asymmetric(AsymmetricSpec),
}

/// Why this material cannot come in this way.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrappingMismatch {
    /// The wrapping algorithm is not one of the wrapping key's spec.
    #[error("the wrapping algorithm does not go with the wrapping key spec")]
    Key,
    /// The wrapping algorithm or key cannot carry this kind of material.
    #[error("the wrapping algorithm or key does not go with this kind of key material")]
    Material,
}

/// Whether a wrapping key, an algorithm and a kind of material go together.
///
/// As AWS documents: RSA private keys are too long for OAEP and for SM2PKE, and a P-521 private key
/// is for OAEP under RSA_2048. AWS takes no ML-DSA keys at all. The two-step algorithms are for private
/// keys alone: AWS was seen to refuse them for a symmetric key.
///
/// # Errors
/// [`WrappingMismatch`].
pub fn check_wrapping(
    key: WrappingKeySpec,
    algorithm: WrappingAlgorithm,
    material: ImportedMaterial,
) -> Result<(), WrappingMismatch> {
    let max = algorithm.outer().max_plaintext(key.key_spec()).ok_or(WrappingMismatch::Key)?;
    let fits = match material {
        ImportedMaterial::Symmetric | ImportedMaterial::Mac(_) => !algorithm.is_two_step(),
        ImportedMaterial::Asymmetric(spec) => match spec {
            AsymmetricSpec::MlDsa44 | AsymmetricSpec::MlDsa65 | AsymmetricSpec::MlDsa87 => false,
            _ if algorithm.is_two_step() => true,
            // PKCS #8 of 241 bytes.
            AsymmetricSpec::EccNistP521 => max >= 241,
            _ => !spec.is_rsa(),
        },
    };
    if fits { Ok(()) } else { Err(WrappingMismatch::Material) }
}

/// Generates a wrapping key: canonical PKCS #8, to be sealed into the import token.
///
/// # Errors
/// Those of [`generate_private_key`].
pub fn generate_wrapping_key(spec: WrappingKeySpec) -> Result<Secret, CryptoError> {
    generate_private_key(spec.key_spec())
}

/// The private half of a wrapping key.
#[derive(Debug)]
pub struct WrappingKey {
    key: PrivateKey,
}

impl WrappingKey {
    /// Reads what [`generate_wrapping_key`] has made.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn from_pkcs8(spec: WrappingKeySpec, pkcs8: &[u8]) -> Result<Self, InvalidKey> {
        Ok(Self { key: PrivateKey::from_pkcs8(spec.key_spec(), pkcs8)? })
    }

    /// The public half for the caller, DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn public_spki(&self) -> Vec<u8> {
        self.key.public_spki()
    }

    /// Unwraps key material.
    ///
    /// # Errors
    /// [`WrappingError`]; nothing tells one bad ciphertext from another.
    pub fn unwrap(
        &self,
        algorithm: WrappingAlgorithm,
        encrypted: &[u8],
    ) -> Result<Secret, WrappingError> {
        const INVALID: WrappingError = WrappingError::InvalidCiphertext;
        let outer = algorithm.outer();
        if outer.max_plaintext(self.key.spec()).is_none() {
            return Err(WrappingError::Algorithm);
        }
        let decrypt = |block: &[u8]| self.key.decrypt(outer, block).map_err(|_| INVALID);
        if !algorithm.is_two_step() {
            // An RSA block is as long as the modulus; SM2 has no such length.
            if self.key.spec().modulus_len().is_some_and(|length| length != encrypted.len()) {
                return Err(WrappingError::Length);
            }
            return decrypt(encrypted);
        }
        let block_len = self.key.spec().modulus_len().ok_or(WrappingError::Algorithm)?;
        let (block, wrapped) = encrypted.split_at_checked(block_len).ok_or(INVALID)?;
        unwrap_padded(decrypt(block)?.expose(), wrapped).ok_or(INVALID)
    }
}

/// Why no key material came out.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrappingError {
    /// The wrapping algorithm is not one of the wrapping key's spec.
    #[error("the wrapping algorithm does not go with the wrapping key")]
    Algorithm,
    /// One RSA block would be of another length.
    #[error("not of the length of a block")]
    Length,
    /// Not made with the public half of this key and this algorithm.
    #[error("invalid ciphertext")]
    InvalidCiphertext,
}

/// AES key wrap with padding (RFC 5649) under AES-256; a key of another size is refused.
fn unwrap_padded(key: &[u8], wrapped: &[u8]) -> Option<Secret> {
    if key.len() != 32 {
        return None;
    }
    let key = AesKek::new(&AES_256, key).ok()?;
    let mut buffer = Zeroizing::new(vec![0; wrapped.len()]);
    let material = key.unwrap_with_padding(wrapped, &mut buffer).ok()?;
    Some(Secret::from_slice(material))
}

#[cfg(test)]
#[path = "wrapping/tests.rs"]
mod tests;
