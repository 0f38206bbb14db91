//! Which message goes with which algorithm, and the parameters of each algorithm.

use aws_lc_rs::digest::{Algorithm as Hash, Digest, SHA256, SHA384, SHA512, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1,
    ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaSigningAlgorithm,
    EcdsaVerificationAlgorithm, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING,
    ML_DSA_87, ML_DSA_87_SIGNING, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaParameters,
};

use super::ffi::MU_LEN;
use super::{AsymmetricSpec, Message, MessageError, SigningAlgorithm};

/// Whether `message` can be signed with `algorithm` by a key of `spec`: everything about a request
/// that can be told without a key or a signature.
///
/// # Errors
/// [`MessageError`], the first that holds in the order of its variants.
pub fn check_message(
    spec: AsymmetricSpec,
    algorithm: SigningAlgorithm,
    message: &Message<'_>,
) -> Result<(), MessageError> {
    Input::of(spec, algorithm, message).map(|_| ())
}

/// A message in the form in which its algorithm signs it.
pub(super) enum Input<'a> {
    /// With this RSA padding.
    Rsa(RsaScheme, Digest),
    /// With the curve's only hash.
    Ecdsa(Digest),
    Sm2Message(&'a [u8]),
    /// The value e.
    Sm2Digest(&'a [u8; 32]),
    Ed25519(&'a [u8]),
    /// To be hashed by the algorithm.
    Ed25519Ph(&'a [u8]),
    MlDsa(&'a [u8]),
    MlDsaMu(&'a [u8; MU_LEN]),
}

impl<'a> Input<'a> {
    pub(super) fn of(
        spec: AsymmetricSpec,
        algorithm: SigningAlgorithm,
        message: &Message<'a>,
    ) -> Result<Self, MessageError> {
        use SigningAlgorithm as A;
        if !spec.signing_algorithms().contains(&algorithm) {
            return Err(MessageError::Algorithm);
        }
        match algorithm {
            A::EcdsaSha256 => hashed(&SHA256, message).map(Self::Ecdsa),
            A::EcdsaSha384 => hashed(&SHA384, message).map(Self::Ecdsa),
            A::EcdsaSha512 => hashed(&SHA512, message).map(Self::Ecdsa),
            A::Sm2Dsa => match *message {
                Message::Raw(message) => Ok(Self::Sm2Message(message)),
                Message::Digest(e) => fixed(e).map(Self::Sm2Digest),
                Message::ExternalMu(_) => Err(MessageError::MessageType),
            },
            A::Ed25519Sha512 => match *message {
                Message::Raw(message) => Ok(Self::Ed25519(message)),
                _ => Err(MessageError::MessageType),
            },
            A::Ed25519PhSha512 => match *message {
                // AWS hashes the digest once more (FIPS 186-5, 7.8.1 applied to what it is given).
                Message::Digest(digest) => {
                    fixed::<64>(digest).map(|digest| Self::Ed25519Ph(digest))
                }
                _ => Err(MessageError::MessageType),
            },
            A::MlDsaShake256 => match *message {
                Message::Raw(message) => Ok(Self::MlDsa(message)),
                Message::ExternalMu(mu) => fixed(mu).map(Self::MlDsaMu),
                Message::Digest(_) => Err(MessageError::MessageType),
            },
            _ => {
                let scheme = RsaScheme::of(algorithm).ok_or(MessageError::Algorithm)?;
                hashed(scheme.hash, message).map(|digest| Self::Rsa(scheme, digest))
            }
        }
    }
}

/// The hash of a raw message, or the digest given. The hash comes from the algorithm asked for,
/// never from the length.
fn hashed(hash: &'static Hash, message: &Message<'_>) -> Result<Digest, MessageError> {
    match *message {
        Message::Raw(message) => Ok(digest(hash, message)),
        Message::Digest(given) => Digest::import_less_safe(given, hash).map_err(|_| {
            MessageError::DigestLength { expected: hash.output_len(), actual: given.len() }
        }),
        Message::ExternalMu(_) => Err(MessageError::MessageType),
    }
}

fn fixed<const N: usize>(given: &[u8]) -> Result<&[u8; N], MessageError> {
    given.try_into().map_err(|_| MessageError::DigestLength { expected: N, actual: given.len() })
}

/// The two halves of one RSA signature scheme.
pub(super) struct RsaScheme {
    hash: &'static Hash,
    pub(super) signing: &'static dyn RsaEncoding,
    pub(super) verification: &'static RsaParameters,
}

impl RsaScheme {
    fn of(algorithm: SigningAlgorithm) -> Option<Self> {
        use SigningAlgorithm as A;
        Some(match algorithm {
            A::RsassaPssSha256 => Self {
                hash: &SHA256,
                signing: &RSA_PSS_SHA256,
                verification: &RSA_PSS_2048_8192_SHA256,
            },
            A::RsassaPssSha384 => Self {
                hash: &SHA384,
                signing: &RSA_PSS_SHA384,
                verification: &RSA_PSS_2048_8192_SHA384,
            },
            A::RsassaPssSha512 => Self {
                hash: &SHA512,
                signing: &RSA_PSS_SHA512,
                verification: &RSA_PSS_2048_8192_SHA512,
            },
            A::RsassaPkcs1V15Sha256 => Self {
                hash: &SHA256,
                signing: &RSA_PKCS1_SHA256,
                verification: &RSA_PKCS1_2048_8192_SHA256,
            },
            A::RsassaPkcs1V15Sha384 => Self {
                hash: &SHA384,
                signing: &RSA_PKCS1_SHA384,
                verification: &RSA_PKCS1_2048_8192_SHA384,
            },
            A::RsassaPkcs1V15Sha512 => Self {
                hash: &SHA512,
                signing: &RSA_PKCS1_SHA512,
                verification: &RSA_PKCS1_2048_8192_SHA512,
            },
            _ => return None,
        })
    }
}

/// A curve as AWS-LC knows it for ECDSA.
pub(super) struct EcdsaCurve {
    pub(super) signing: &'static EcdsaSigningAlgorithm,
    pub(super) verification: &'static EcdsaVerificationAlgorithm,
    /// Bytes of a coordinate and of the scalar.
    pub(super) field_len: usize,
}

pub(super) fn ecdsa(spec: AsymmetricSpec) -> Option<EcdsaCurve> {
    Some(match spec {
        AsymmetricSpec::EccNistP256 => EcdsaCurve {
            signing: &ECDSA_P256_SHA256_ASN1_SIGNING,
            verification: &ECDSA_P256_SHA256_ASN1,
            field_len: 32,
        },
        AsymmetricSpec::EccNistP384 => EcdsaCurve {
            signing: &ECDSA_P384_SHA384_ASN1_SIGNING,
            verification: &ECDSA_P384_SHA384_ASN1,
            field_len: 48,
        },
        AsymmetricSpec::EccNistP521 => EcdsaCurve {
            signing: &ECDSA_P521_SHA512_ASN1_SIGNING,
            verification: &ECDSA_P521_SHA512_ASN1,
            field_len: 66,
        },
        AsymmetricSpec::EccSecgP256k1 => EcdsaCurve {
            signing: &ECDSA_P256K1_SHA256_ASN1_SIGNING,
            verification: &ECDSA_P256K1_SHA256_ASN1,
            field_len: 32,
        },
        _ => return None,
    })
}

/// A parameter set of ML-DSA as AWS-LC knows it.
pub(super) struct MlDsa {
    pub(super) signing: &'static PqdsaSigningAlgorithm,
    pub(super) verification: &'static PqdsaVerificationAlgorithm,
}

pub(super) fn ml_dsa(spec: AsymmetricSpec) -> Option<MlDsa> {
    Some(match spec {
        AsymmetricSpec::MlDsa44 => MlDsa { signing: &ML_DSA_44_SIGNING, verification: &ML_DSA_44 },
        AsymmetricSpec::MlDsa65 => MlDsa { signing: &ML_DSA_65_SIGNING, verification: &ML_DSA_65 },
        AsymmetricSpec::MlDsa87 => MlDsa { signing: &ML_DSA_87_SIGNING, verification: &ML_DSA_87 },
        _ => return None,
    })
}
