use std::fmt;

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, UnparsedPublicKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair, PqdsaKeyPair};
use zeroize::Zeroizing;

use super::encoding::{self, EcPrivateKey, PrivateKeyInfo};
use super::ffi::{self, LibraryKey};
use super::public::{self, PublicKey};
use super::signing::{self, Input};
use super::{
    AgreeError, AsymmetricSpec, DecryptError, EncryptError, EncryptionAlgorithm, InvalidKey,
    Message, SignError, SigningAlgorithm, VerifyError, sm2,
};
use crate::error::CryptoError;
use crate::secret::Secret;

/// A private key, parsed and ready for use, with its public half.
///
/// The secrets lie on the heap of AWS-LC, which wipes whatever it frees, or in memory of ours that
/// is wiped on drop; they are not in the [arena](crate::arena). So hold few of these, not for long.
pub struct PrivateKey {
    public: PublicKey,
    key: Key,
}

enum Key {
    Rsa { signing: RsaKeyPair, decrypting: OaepPrivateDecryptingKey },
    Ec { signing: EcdsaKeyPair, agreeing: Option<agreement::PrivateKey> },
    Edwards { signing: Ed25519KeyPair, seed_and_public: Secret },
    MlDsa { signing: PqdsaKeyPair, mu: LibraryKey },
    Sm2(Box<::sm2::SecretKey>),
}

impl PrivateKey {
    /// Reads the PKCS #8 that [`generate_private_key`](super::generate_private_key) and
    /// [`import_pkcs8`](super::import_pkcs8) make, which must be of `spec`; anything else may be
    /// refused. The library checks that the parts of the key belong together.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn from_pkcs8(spec: AsymmetricSpec, pkcs8: &[u8]) -> Result<Self, InvalidKey> {
        let info = PrivateKeyInfo::parse(spec, pkcs8)?;
        let (key, spki) = match spec {
            AsymmetricSpec::Rsa2048 | AsymmetricSpec::Rsa3072 | AsymmetricSpec::Rsa4096 => {
                let signing = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| InvalidKey)?;
                let decrypting = PrivateDecryptingKey::from_pkcs8(pkcs8)
                    .map_err(|_| InvalidKey)
                    .and_then(|key| OaepPrivateDecryptingKey::new(key).map_err(|_| InvalidKey))?;
                let spki = spki(signing.public_key());
                (Key::Rsa { signing, decrypting }, spki)
            }
            AsymmetricSpec::EccNistP256
            | AsymmetricSpec::EccNistP384
            | AsymmetricSpec::EccNistP521
            | AsymmetricSpec::EccSecgP256k1 => {
                let curve = signing::ecdsa(spec).ok_or(InvalidKey)?;
                let signing =
                    EcdsaKeyPair::from_pkcs8(curve.signing, pkcs8).map_err(|_| InvalidKey)?;
                let agreeing = ecdh(spec)
                    .map(|algorithm| agreement::PrivateKey::from_private_key_der(algorithm, pkcs8))
                    .transpose()
                    .map_err(|_| InvalidKey)?;
                let spki = spki(signing.public_key());
                (Key::Ec { signing, agreeing }, spki)
            }
            AsymmetricSpec::EccNistEdwards25519 => {
                let seed = encoding::edwards_seed(info.inner)?;
                let signing = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidKey)?;
                let public = signing.public_key();
                let seed_and_public = Secret::filled(ffi::ED25519_PRIVATE_LEN, |out| {
                    let (left, right) = out.split_at_mut(seed.len());
                    left.copy_from_slice(seed);
                    right.copy_from_slice(public.as_ref());
                    Ok::<_, InvalidKey>(())
                })?;
                let spki = spki(public);
                (Key::Edwards { signing, seed_and_public }, spki)
            }
            AsymmetricSpec::MlDsa44 | AsymmetricSpec::MlDsa65 | AsymmetricSpec::MlDsa87 => {
                let parameters = signing::ml_dsa(spec).ok_or(InvalidKey)?;
                let signing =
                    PqdsaKeyPair::from_pkcs8(parameters.signing, pkcs8).map_err(|_| InvalidKey)?;
                let mu = LibraryKey::from_pkcs8(pkcs8).ok_or(InvalidKey)?;
                let spki = spki(signing.public_key());
                (Key::MlDsa { signing, mu }, spki)
            }
            AsymmetricSpec::Sm2 => {
                let parts = EcPrivateKey::parse(spec, info.inner)?;
                let scalar = parts.scalar.try_into().map_err(|_| InvalidKey)?;
                let key = sm2::private_key(scalar).ok_or(InvalidKey)?;
                if !parts.public.is_some_and(|point| encoding::is_point(point, &sm2::point(&key))) {
                    return Err(InvalidKey);
                }
                let spki = sm2::to_spki(&key);
                (Key::Sm2(key), spki)
            }
        };
        let public = PublicKey::from_spki(spec, &spki.map_err(|_| InvalidKey)?)?;
        Ok(Self { public, key })
    }

    /// The spec it was read as.
    #[must_use]
    pub fn spec(&self) -> AsymmetricSpec {
        self.public.spec()
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The public half as DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn public_spki(&self) -> Vec<u8> {
        self.public.spki().to_vec()
    }

    /// Signs. Whether two signatures of one message are equal is not promised for any algorithm.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(
        &self,
        algorithm: SigningAlgorithm,
        message: Message<'_>,
    ) -> Result<Vec<u8>, SignError> {
        let failed = |_| CryptoError::Library("signing");
        let input = Input::of(self.spec(), algorithm, &message)?;
        let signature = match (&self.key, input) {
            (Key::Rsa { signing, .. }, Input::Rsa(scheme, digest)) => {
                let mut signature = vec![0; signing.public_modulus_len()];
                signing.sign_digest(scheme.signing, &digest, &mut signature).map_err(failed)?;
                signature
            }
            (Key::Ec { signing, .. }, Input::Ecdsa(digest)) => {
                signing.sign_digest(&digest).map_err(failed)?.as_ref().to_vec()
            }
            (Key::Edwards { signing, .. }, Input::Ed25519(message)) => {
                signing.try_sign(message).map_err(failed)?.as_ref().to_vec()
            }
            (Key::Edwards { seed_and_public, .. }, Input::Ed25519Ph(message)) => {
                let failed = || CryptoError::Library("signing with Ed25519ph");
                let private = seed_and_public.expose().try_into().map_err(|_| failed())?;
                ffi::ed25519ph_sign_message(private, message).ok_or_else(failed)?.to_vec()
            }
            (Key::MlDsa { signing, .. }, Input::MlDsa(message)) => {
                let mut signature = vec![0; signing.algorithm().signature_len()];
                signing.sign(message, &mut signature).map_err(failed)?;
                signature
            }
            (Key::MlDsa { signing, mu: key }, Input::MlDsaMu(mu)) => key
                .sign_mu(mu, signing.algorithm().signature_len())
                .ok_or(CryptoError::Library("signing with ML-DSA over mu"))?,
            (Key::Sm2(key), Input::Sm2Message(message)) => sm2::sign_message(key, message)?,
            (Key::Sm2(key), Input::Sm2Digest(e)) => sm2::sign_digest(key, e)?,
            // `Input::of` has matched the algorithm with the spec, hence with the key.
            _ => return Err(CryptoError::Library("choice of the signing key").into()),
        };
        Ok(signature)
    }

    /// Verifies with the public half, see [`PublicKey::verify`].
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(
        &self,
        algorithm: SigningAlgorithm,
        message: Message<'_>,
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        self.public.verify(algorithm, message, signature)
    }

    /// Encrypts with the public half, see [`PublicKey::encrypt`].
    ///
    /// # Errors
    /// [`EncryptError`].
    pub fn encrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, EncryptError> {
        self.public.encrypt(algorithm, plaintext)
    }

    /// Decrypts.
    ///
    /// # Errors
    /// [`DecryptError`]; nothing tells one bad ciphertext from another.
    pub fn decrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
    ) -> Result<Secret, DecryptError> {
        if algorithm.max_plaintext(self.spec()).is_none() {
            return Err(DecryptError::Algorithm);
        }
        match &self.key {
            Key::Rsa { decrypting, .. } => {
                let oaep = public::oaep(algorithm).ok_or(DecryptError::Algorithm)?;
                if self.public.modulus_len() != Some(ciphertext.len()) {
                    return Err(DecryptError::InvalidCiphertext);
                }
                let mut buffer = Zeroizing::new(vec![0; decrypting.min_output_size()]);
                decrypting
                    .decrypt(oaep, ciphertext, &mut buffer, None)
                    .map(|plaintext| Secret::from_slice(plaintext))
                    .map_err(|_| DecryptError::InvalidCiphertext)
            }
            Key::Sm2(key) => sm2::decrypt(key, ciphertext).ok_or(DecryptError::InvalidCiphertext),
            _ => Err(DecryptError::Algorithm),
        }
    }

    /// The raw shared secret of ECDH with cofactor 1 (SP 800-56A r3, 5.7.1.2): the x coordinate of
    /// the common point with its leading zeros, 32, 48 or 66 bytes.
    ///
    /// `peer` is a DER SubjectPublicKeyInfo with a named curve, the point uncompressed or
    /// compressed. It is fully validated.
    ///
    /// # Errors
    /// [`AgreeError`].
    pub fn agree(&self, peer: &[u8]) -> Result<Secret, AgreeError> {
        if !self.spec().can_agree() {
            return Err(AgreeError::Spec);
        }
        let point = encoding::public_key(self.spec(), peer).map_err(|_| AgreeError::PeerKey)?;
        match &self.key {
            Key::Ec { agreeing: Some(key), .. } => {
                // The library would take the hybrid form, too, and a point without a form.
                if !matches!(point, [2..=4, ..]) {
                    return Err(AgreeError::PeerKey);
                }
                let peer = UnparsedPublicKey::new(key.algorithm(), point);
                agreement::agree(key, peer, AgreeError::PeerKey, |x| Ok(Secret::from_slice(x)))
            }
            Key::Sm2(key) => {
                let peer = sm2::public_key(point).ok_or(AgreeError::PeerKey)?;
                Ok(sm2::agree(key, &peer))
            }
            _ => Err(AgreeError::Spec),
        }
    }

    /// The pairwise consistency test of an RSA key that came from outside: whether what the private
    /// half signs the public half verifies. Finds factors that are no primes.
    pub(super) fn is_consistent_rsa(&self) -> bool {
        const MESSAGE: &[u8] = b"keystead/v1/pairwise-consistency";
        let Key::Rsa { signing, .. } = &self.key else { return false };
        let mut signature = vec![0; signing.public_modulus_len()];
        signing
            .sign(
                &aws_lc_rs::signature::RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                MESSAGE,
                &mut signature,
            )
            .is_ok()
            && self
                .verify(SigningAlgorithm::RsassaPkcs1V15Sha256, Message::Raw(MESSAGE), &signature)
                .is_ok()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, ..)", self.spec().as_str())
    }
}

/// A public key of AWS-LC as SubjectPublicKeyInfo.
pub(super) fn spki(public: &impl AsDer<PublicKeyX509Der<'static>>) -> Result<Vec<u8>, CryptoError> {
    public
        .as_der()
        .map(|der| der.as_ref().to_vec())
        .map_err(|_| CryptoError::Library("encoding of a public key"))
}

fn ecdh(spec: AsymmetricSpec) -> Option<&'static agreement::Algorithm> {
    match spec {
        AsymmetricSpec::EccNistP256 => Some(&ECDH_P256),
        AsymmetricSpec::EccNistP384 => Some(&ECDH_P384),
        AsymmetricSpec::EccNistP521 => Some(&ECDH_P521),
        _ => None,
    }
}
