//! The asymmetric keys of KMS keys: generation, import, signatures, encryption, key agreement.
//!
//! A private key is stored as DER PKCS #8 of version 0 without attributes, in exactly one encoding
//! per key ([the table](crate::pairs), and for ML-DSA the 32-byte seed, 54 bytes in all). What a
//! caller imports may be written in other ways; [`import_pkcs8`] checks it and writes it anew, so
//! that no foreign byte is stored and equal keys have equal material ids.
//!
//! | algorithm | key specs | message | signature |
//! | --- | --- | --- | --- |
//! | RSASSA_PSS_SHA_n | RSA_* | raw, digest | as long as the modulus; MGF1 with the same hash, salt as long as the hash (RFC 8017) |
//! | RSASSA_PKCS1_V1_5_SHA_n | RSA_* | raw, digest | as long as the modulus |
//! | ECDSA_SHA_256 | ECC_NIST_P256, ECC_SECG_P256K1 | raw, digest | DER, s as it comes |
//! | ECDSA_SHA_384, _512 | ECC_NIST_P384, _P521 | raw, digest | DER |
//! | SM2DSA | SM2 | raw (signer id 1234567812345678), digest (the value e of GM/T 0003.2) | DER |
//! | ED25519_SHA_512 | ECC_NIST_EDWARDS25519 | raw | 64 bytes (RFC 8032) |
//! | ED25519_PH_SHA_512 | ECC_NIST_EDWARDS25519 | digest, 64 bytes, hashed once more as Ed25519ph does with its message | 64 bytes |
//! | ML_DSA_SHAKE_256 | ML_DSA_* | raw, external mu | 2420, 3309 or 4627 bytes (FIPS 204, pure, empty context) |
//!
//! All of it is AWS-LC's work except SM2, which is `sm2`'s: not audited, not approved by NIST, and
//! leaving copies of the scalar on the stack while it computes.

mod encoding;
mod ffi;
mod import;
mod private;
mod public;
mod signing;
mod sm2;

use std::fmt;

use aws_lc_rs::signature::{KeyPair, PqdsaKeyPair};

use crate::error::CryptoError;
use crate::pairs::{PairSpec, generate_pair};
use crate::secret::Secret;

pub use import::import_pkcs8;
pub use private::PrivateKey;
pub use public::PublicKey;
pub use signing::check_message;

/// The key specs of asymmetric KMS keys.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum AsymmetricSpec {
    /// RSA with a modulus of 2048 bits.
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
    /// NIST curve P-256 (secp256r1).
    EccNistP256,
    /// NIST curve P-384 (secp384r1).
    EccNistP384,
    /// NIST curve P-521 (secp521r1).
    EccNistP521,
    /// Curve secp256k1. Not approved by NIST for general use.
    EccSecgP256k1,
    /// Ed25519 and Ed25519ph (RFC 8032).
    EccNistEdwards25519,
    /// ML-DSA-44 (FIPS 204).
    MlDsa44,
    /// ML-DSA-65 (FIPS 204).
    MlDsa65,
    /// ML-DSA-87 (FIPS 204).
    MlDsa87,
    /// SM2 (GM/T 0003). Not approved by NIST; comes from an implementation that has not been
    /// audited.
    Sm2,
}

impl AsymmetricSpec {
    /// All specs.
    pub const ALL: [Self; 12] = [
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::EccNistP256,
        Self::EccNistP384,
        Self::EccNistP521,
        Self::EccSecgP256k1,
        Self::EccNistEdwards25519,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
        Self::Sm2,
    ];

    /// The name in AWS's model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MlDsa44 => "ML_DSA_44",
            Self::MlDsa65 => "ML_DSA_65",
            Self::MlDsa87 => "ML_DSA_87",
            other => other.pair().map_or("", PairSpec::as_str),
        }
    }

    /// The spec of this name, which must be spelled exactly as in AWS's model.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|spec| spec.as_str() == name)
    }

    /// Whether generation takes a tenth of a second to some seconds of CPU time.
    #[must_use]
    pub fn is_rsa(self) -> bool {
        self.modulus_len().is_some()
    }

    /// Whether keys of this spec can derive shared secrets.
    #[must_use]
    pub fn can_agree(self) -> bool {
        matches!(self, Self::EccNistP256 | Self::EccNistP384 | Self::EccNistP521 | Self::Sm2)
    }

    /// The signing algorithms of this spec, in AWS's order.
    #[must_use]
    pub fn signing_algorithms(self) -> &'static [SigningAlgorithm] {
        use SigningAlgorithm as A;
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &[
                A::RsassaPkcs1V15Sha256,
                A::RsassaPkcs1V15Sha384,
                A::RsassaPkcs1V15Sha512,
                A::RsassaPssSha256,
                A::RsassaPssSha384,
                A::RsassaPssSha512,
            ],
            Self::EccNistP256 | Self::EccSecgP256k1 => &[A::EcdsaSha256],
            Self::EccNistP384 => &[A::EcdsaSha384],
            Self::EccNistP521 => &[A::EcdsaSha512],
            Self::EccNistEdwards25519 => &[A::Ed25519Sha512, A::Ed25519PhSha512],
            Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87 => &[A::MlDsaShake256],
            Self::Sm2 => &[A::Sm2Dsa],
        }
    }

    /// The encryption algorithms of this spec, in AWS's order.
    #[must_use]
    pub fn encryption_algorithms(self) -> &'static [EncryptionAlgorithm] {
        use EncryptionAlgorithm as A;
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => {
                &[A::RsaesOaepSha1, A::RsaesOaepSha256]
            }
            Self::Sm2 => &[A::Sm2Pke],
            _ => &[],
        }
    }

    /// Bytes of the modulus of an RSA spec.
    pub(crate) fn modulus_len(self) -> Option<usize> {
        match self {
            Self::Rsa2048 => Some(256),
            Self::Rsa3072 => Some(384),
            Self::Rsa4096 => Some(512),
            _ => None,
        }
    }

    fn pair(self) -> Option<PairSpec> {
        Some(match self {
            Self::Rsa2048 => PairSpec::Rsa2048,
            Self::Rsa3072 => PairSpec::Rsa3072,
            Self::Rsa4096 => PairSpec::Rsa4096,
            Self::EccNistP256 => PairSpec::EccNistP256,
            Self::EccNistP384 => PairSpec::EccNistP384,
            Self::EccNistP521 => PairSpec::EccNistP521,
            Self::EccSecgP256k1 => PairSpec::EccSecgP256k1,
            Self::EccNistEdwards25519 => PairSpec::EccNistEdwards25519,
            Self::Sm2 => PairSpec::Sm2,
            Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87 => return None,
        })
    }
}

/// The signing algorithms of AWS KMS.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum SigningAlgorithm {
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    RsassaPssSha256,
    /// RSASSA-PSS with SHA-384 and a salt of 48 bytes.
    RsassaPssSha384,
    /// RSASSA-PSS with SHA-512 and a salt of 64 bytes.
    RsassaPssSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsassaPkcs1V15Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsassaPkcs1V15Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsassaPkcs1V15Sha512,
    /// ECDSA with SHA-256, on P-256 and secp256k1.
    EcdsaSha256,
    /// ECDSA with SHA-384, on P-384.
    EcdsaSha384,
    /// ECDSA with SHA-512, on P-521.
    EcdsaSha512,
    /// SM2 signatures (GM/T 0003.2) with SM3.
    Sm2Dsa,
    /// Ed25519.
    Ed25519Sha512,
    /// Ed25519ph with an empty context.
    Ed25519PhSha512,
    /// ML-DSA.
    MlDsaShake256,
}

impl SigningAlgorithm {
    /// All algorithms, in the order of AWS's model.
    pub const ALL: [Self; 13] = [
        Self::RsassaPssSha256,
        Self::RsassaPssSha384,
        Self::RsassaPssSha512,
        Self::RsassaPkcs1V15Sha256,
        Self::RsassaPkcs1V15Sha384,
        Self::RsassaPkcs1V15Sha512,
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::Sm2Dsa,
        Self::MlDsaShake256,
        Self::Ed25519Sha512,
        Self::Ed25519PhSha512,
    ];

    /// The name in AWS's model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RsassaPssSha256 => "RSASSA_PSS_SHA_256",
            Self::RsassaPssSha384 => "RSASSA_PSS_SHA_384",
            Self::RsassaPssSha512 => "RSASSA_PSS_SHA_512",
            Self::RsassaPkcs1V15Sha256 => "RSASSA_PKCS1_V1_5_SHA_256",
            Self::RsassaPkcs1V15Sha384 => "RSASSA_PKCS1_V1_5_SHA_384",
            Self::RsassaPkcs1V15Sha512 => "RSASSA_PKCS1_V1_5_SHA_512",
            Self::EcdsaSha256 => "ECDSA_SHA_256",
            Self::EcdsaSha384 => "ECDSA_SHA_384",
            Self::EcdsaSha512 => "ECDSA_SHA_512",
            Self::Sm2Dsa => "SM2DSA",
            Self::Ed25519Sha512 => "ED25519_SHA_512",
            Self::Ed25519PhSha512 => "ED25519_PH_SHA_512",
            Self::MlDsaShake256 => "ML_DSA_SHAKE_256",
        }
    }

    /// The algorithm of this name, which must be spelled exactly as in AWS's model.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// The encryption algorithms of AWS KMS for asymmetric keys.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum EncryptionAlgorithm {
    /// RSAES-OAEP (RFC 8017) with SHA-1 in OAEP and MGF1, and an empty label.
    RsaesOaepSha1,
    /// RSAES-OAEP with SHA-256 in OAEP and MGF1, and an empty label.
    RsaesOaepSha256,
    /// SM2 encryption (GM/T 0003.4), the ciphertext as ASN.1 of GM/T 0009.
    Sm2Pke,
}

impl EncryptionAlgorithm {
    /// All algorithms, in the order of AWS's model.
    pub const ALL: [Self; 3] = [Self::RsaesOaepSha1, Self::RsaesOaepSha256, Self::Sm2Pke];

    /// The name in AWS's model.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RsaesOaepSha1 => "RSAES_OAEP_SHA_1",
            Self::RsaesOaepSha256 => "RSAES_OAEP_SHA_256",
            Self::Sm2Pke => "SM2PKE",
        }
    }

    /// The algorithm of this name, which must be spelled exactly as in AWS's model.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// The longest plaintext in bytes; `None` when this algorithm does not go with `spec`.
    #[must_use]
    pub fn max_plaintext(self, spec: AsymmetricSpec) -> Option<usize> {
        match self {
            // RFC 8017, 7.1.1: k − 2·hLen − 2.
            Self::RsaesOaepSha1 => spec.modulus_len().map(|modulus| modulus - 2 * 20 - 2),
            Self::RsaesOaepSha256 => spec.modulus_len().map(|modulus| modulus - 2 * 32 - 2),
            Self::Sm2Pke => (spec == AsymmetricSpec::Sm2).then_some(1024),
        }
    }
}

/// What is signed, and in which form the caller gives it (AWS: MessageType).
#[derive(Copy, Clone)]
pub enum Message<'a> {
    /// The message itself.
    Raw(&'a [u8]),
    /// Its digest; of SM2 the value e, of Ed25519ph the 64 bytes that are hashed once more.
    Digest(&'a [u8]),
    /// The 64-byte message representative μ of ML-DSA (FIPS 204, 6.2).
    ExternalMu(&'a [u8]),
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (form, bytes) = match self {
            Self::Raw(bytes) => ("Raw", bytes),
            Self::Digest(bytes) => ("Digest", bytes),
            Self::ExternalMu(bytes) => ("ExternalMu", bytes),
        };
        write!(f, "{form}({} bytes)", bytes.len())
    }
}

/// Why a message cannot be signed or verified as asked. Says nothing about any signature.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The signing algorithm is not one of the key's spec.
    #[error("the signing algorithm does not go with the key spec")]
    Algorithm,
    /// The algorithm does not take this form of message.
    #[error("the signing algorithm does not take this form of message")]
    MessageType,
    /// A digest, or μ, of the wrong length.
    #[error("a digest of {actual} bytes instead of {expected}")]
    DigestLength {
        /// The only right length, in bytes.
        expected: usize,
        /// The length given, in bytes.
        actual: usize,
    },
}

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The request does not fit the key.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A fault of this machine.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// Why a signature did not verify.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The request does not fit the key; the signature was not looked at.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Not a signature of this message by this key, or not a signature at all.
    #[error("invalid signature")]
    InvalidSignature,
}

/// Why nothing was encrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// The encryption algorithm is not one of the key's spec.
    #[error("the encryption algorithm does not go with the key spec")]
    Algorithm,
    /// The plaintext is empty (SM2 has no ciphertext for it) or longer than the algorithm takes.
    #[error("the plaintext is empty or longer than {max} bytes")]
    PlaintextLength {
        /// The longest plaintext, in bytes.
        max: usize,
    },
    /// A fault of this machine.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// Why a ciphertext did not decrypt. Whatever is wrong with the ciphertext is one error.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// The encryption algorithm is not one of the key's spec.
    #[error("the encryption algorithm does not go with the key spec")]
    Algorithm,
    /// Not a ciphertext of this key and algorithm.
    #[error("invalid ciphertext")]
    InvalidCiphertext,
}

/// Why no shared secret was derived.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgreeError {
    /// Keys of this spec derive no shared secrets.
    #[error("the key spec is not for key agreement")]
    Spec,
    /// The peer's bytes are no public key on the curve of this key.
    #[error("invalid public key of the peer")]
    PeerKey,
}

/// Bytes that are no key of the spec they should be of: not decodable, of another kind or size, or
/// inconsistent in themselves.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid key of its spec")]
pub struct InvalidKey;

/// Generates a private key, tests it, and returns its canonical PKCS #8.
///
/// Blocks for as long as [`AsymmetricSpec::is_rsa`] says: RSA belongs on threads of its own.
///
/// # Errors
/// [`CryptoError::ConsistencyTest`] or [`CryptoError::AsymmetricConsistencyTest`]: the key was
/// discarded, and the machine is not to be trusted. [`CryptoError::Random`],
/// [`CryptoError::Library`].
pub fn generate_private_key(spec: AsymmetricSpec) -> Result<Secret, CryptoError> {
    if let Some(pair) = spec.pair() {
        return generate_pair(pair).map(|pair| pair.private_pkcs8);
    }
    const FAILED: CryptoError = CryptoError::Library("ML-DSA key generation");
    let algorithm = signing::ml_dsa(spec).ok_or(FAILED)?.signing;
    let key = PqdsaKeyPair::generate(algorithm).map_err(|_| FAILED)?;
    let pkcs8 = Secret::from_slice(key.to_pkcs8v1().map_err(|_| FAILED)?.as_ref());
    if signs_for(spec, pkcs8.expose(), private::spki(key.public_key())?) {
        Ok(pkcs8)
    } else {
        Err(CryptoError::AsymmetricConsistencyTest(spec))
    }
}

/// The pairwise consistency test of a key that signs: the exported private key signs, the public key
/// made with it verifies.
fn signs_for(spec: AsymmetricSpec, pkcs8: &[u8], spki: Vec<u8>) -> bool {
    const MESSAGE: Message<'_> = Message::Raw(b"keystead/v1/pairwise-consistency");
    let Some(&algorithm) = spec.signing_algorithms().first() else { return false };
    let (Ok(private), Ok(public)) =
        (PrivateKey::from_pkcs8(spec, pkcs8), PublicKey::from_spki(spec, &spki))
    else {
        return false;
    };
    private
        .sign(algorithm, MESSAGE)
        .is_ok_and(|signature| public.verify(algorithm, MESSAGE, &signature).is_ok())
}
