use std::fmt;

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey,
    PublicEncryptingKey,
};
use aws_lc_rs::signature::{ED25519, ParsedPublicKey, UnparsedPublicKey};

use super::ffi::{self, LibraryKey};
use super::signing::{self, Input};
use super::{
    AsymmetricSpec, EncryptError, EncryptionAlgorithm, InvalidKey, Message, SigningAlgorithm,
    VerifyError, encoding, sm2,
};
use crate::error::CryptoError;

/// The public half of a key, parsed and ready for use. Verifying and encrypting need no more.
pub struct PublicKey {
    spec: AsymmetricSpec,
    spki: Vec<u8>,
    key: Key,
}

enum Key {
    Rsa(OaepPublicEncryptingKey),
    Ec(ParsedPublicKey),
    Edwards { key: ParsedPublicKey, bytes: [u8; 32] },
    MlDsa { key: ParsedPublicKey, mu: LibraryKey },
    Sm2(::sm2::PublicKey),
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo, which must be of `spec`. Points must be uncompressed, on
    /// the curve and not the identity; a modulus must have exactly the bits of its spec.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn from_spki(spec: AsymmetricSpec, spki: &[u8]) -> Result<Self, InvalidKey> {
        let bytes = encoding::public_key(spec, spki)?;
        let key = match spec {
            AsymmetricSpec::Rsa2048 | AsymmetricSpec::Rsa3072 | AsymmetricSpec::Rsa4096 => {
                let key = PublicEncryptingKey::from_der(spki).map_err(|_| InvalidKey)?;
                if Some(key.key_size_bits()) != spec.modulus_len().map(|len| len * 8) {
                    return Err(InvalidKey);
                }
                Key::Rsa(OaepPublicEncryptingKey::new(key).map_err(|_| InvalidKey)?)
            }
            AsymmetricSpec::EccNistP256
            | AsymmetricSpec::EccNistP384
            | AsymmetricSpec::EccNistP521
            | AsymmetricSpec::EccSecgP256k1 => {
                let curve = signing::ecdsa(spec).ok_or(InvalidKey)?;
                if bytes.first() != Some(&4) || bytes.len() != 1 + 2 * curve.field_len {
                    return Err(InvalidKey);
                }
                let key = ParsedPublicKey::new(curve.verification, bytes);
                Key::Ec(key.map_err(|_| InvalidKey)?)
            }
            AsymmetricSpec::EccNistEdwards25519 => {
                let bytes = bytes.try_into().map_err(|_| InvalidKey)?;
                let key = ParsedPublicKey::new(&ED25519, bytes).map_err(|_| InvalidKey)?;
                Key::Edwards { key, bytes }
            }
            AsymmetricSpec::MlDsa44 | AsymmetricSpec::MlDsa65 | AsymmetricSpec::MlDsa87 => {
                let parameters = signing::ml_dsa(spec).ok_or(InvalidKey)?;
                if bytes.len() != parameters.signing.public_key_len() {
                    return Err(InvalidKey);
                }
                let key =
                    ParsedPublicKey::new(parameters.verification, bytes).map_err(|_| InvalidKey)?;
                Key::MlDsa { key, mu: LibraryKey::from_spki(spki).ok_or(InvalidKey)? }
            }
            AsymmetricSpec::Sm2 => {
                if bytes.first() != Some(&4) {
                    return Err(InvalidKey);
                }
                Key::Sm2(sm2::public_key(bytes).ok_or(InvalidKey)?)
            }
        };
        Ok(Self { spec, spki: spki.to_vec(), key })
    }

    /// The spec it was read as.
    #[must_use]
    pub fn spec(&self) -> AsymmetricSpec {
        self.spec
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Verifies a signature made with the form of `message` given here or any other.
    ///
    /// # Errors
    /// [`VerifyError`]. Bytes that are no signature at all are an invalid one.
    pub fn verify(
        &self,
        algorithm: SigningAlgorithm,
        message: Message<'_>,
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        let input = Input::of(self.spec, algorithm, &message)?;
        let valid = match (&self.key, input) {
            (Key::Rsa(_), Input::Rsa(scheme, digest)) => {
                UnparsedPublicKey::new(scheme.verification, &self.spki)
                    .verify_digest(&digest, signature)
                    .is_ok()
            }
            (Key::Ec(key), Input::Ecdsa(digest)) => {
                key.verify_digest_sig(&digest, signature).is_ok()
            }
            (Key::Edwards { key, .. }, Input::Ed25519(message)) => {
                key.verify_sig(message, signature).is_ok()
            }
            (Key::Edwards { bytes, .. }, Input::Ed25519Ph(message)) => signature
                .try_into()
                .is_ok_and(|signature| ffi::ed25519ph_verify_message(bytes, message, signature)),
            (Key::MlDsa { key, .. }, Input::MlDsa(message)) => {
                key.verify_sig(message, signature).is_ok()
            }
            (Key::MlDsa { mu: key, .. }, Input::MlDsaMu(mu)) => key.verify_mu(mu, signature),
            (Key::Sm2(key), Input::Sm2Message(message)) => {
                sm2::verify_message(key, message, signature)
            }
            (Key::Sm2(key), Input::Sm2Digest(e)) => sm2::verify_digest(key, e, signature),
            // `Input::of` has matched the algorithm with the spec, hence with the key.
            _ => false,
        };
        if valid { Ok(()) } else { Err(VerifyError::InvalidSignature) }
    }

    /// Encrypts. An RSA ciphertext is as long as the modulus; the empty plaintext has one, too.
    ///
    /// # Errors
    /// [`EncryptError`].
    pub fn encrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, EncryptError> {
        let max = algorithm.max_plaintext(self.spec).ok_or(EncryptError::Algorithm)?;
        if plaintext.len() > max {
            return Err(EncryptError::PlaintextLength { max });
        }
        match &self.key {
            Key::Rsa(key) => {
                let failed = |_| CryptoError::Library("RSA encryption");
                let oaep = oaep(algorithm).ok_or(EncryptError::Algorithm)?;
                let mut ciphertext = vec![0; key.ciphertext_size()];
                let len =
                    key.encrypt(oaep, plaintext, &mut ciphertext, None).map_err(failed)?.len();
                ciphertext.truncate(len);
                Ok(ciphertext)
            }
            Key::Sm2(_) if plaintext.is_empty() => Err(EncryptError::PlaintextLength { max }),
            Key::Sm2(key) => Ok(sm2::encrypt(key, plaintext)?),
            _ => Err(EncryptError::Algorithm),
        }
    }

    pub(super) fn modulus_len(&self) -> Option<usize> {
        self.spec.modulus_len()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {} bytes)", self.spec.as_str(), self.spki.len())
    }
}

/// The OAEP parameters; the label is always empty.
pub(super) fn oaep(algorithm: EncryptionAlgorithm) -> Option<&'static OaepAlgorithm> {
    match algorithm {
        EncryptionAlgorithm::RsaesOaepSha1 => Some(&OAEP_SHA1_MGF1SHA1),
        EncryptionAlgorithm::RsaesOaepSha256 => Some(&OAEP_SHA256_MGF1SHA256),
        EncryptionAlgorithm::Sm2Pke => None,
    }
}
