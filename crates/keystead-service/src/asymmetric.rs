//! Use of asymmetric and HMAC keys. A private key is unwrapped and parsed for one request and
//! dropped with it: parsed keys lie in the ordinary heap, where none is to stay. Public keys are
//! in the key's record.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keystead_crypto::{
    AsymmetricSpec, DecryptError, EncryptError, EncryptionAlgorithm, MacKey, MacSpec, Message,
    MessageError, PrivateKey, PublicKey, Secret, SigningAlgorithm, check_message,
};
use keystead_model::{
    EncryptionAlgorithmSpec, KeySpec, MacAlgorithmSpec, MessageType, SigningAlgorithmSpec,
};

use crate::error::{Error, Result};
use crate::keys::KeyEntry;
use crate::records::KeyRecord;
use crate::seal::UsableKey;
use crate::service::Service;
use crate::specs;

/// The spec as the cryptography knows it.
///
/// # Errors
/// KMSInternalException for a spec that is not asymmetric.
pub(crate) fn spec(spec: KeySpec) -> Result<AsymmetricSpec> {
    AsymmetricSpec::parse(spec.as_str())
        .ok_or_else(|| Error::internal(format!("{spec} is not asymmetric")))
}

/// The public key of a key's record.
///
/// # Errors
/// KMSInternalException if it has none; KMSInvalidStateException while key material is missing.
pub(crate) fn public_key_bytes(key: &KeyEntry) -> Result<Vec<u8>> {
    let text = key.record.public_key.as_ref().ok_or_else(|| crate::seal::without_material(key))?;
    STANDARD.decode(text).map_err(Error::internal)
}

pub(crate) fn encode_public_key(spki: &[u8]) -> String {
    STANDARD.encode(spki)
}

/// The message of Sign and Verify, if it fits key and algorithm.
///
/// # Errors
/// InvalidKeyUsageException for an algorithm of other specs; ValidationException for a message
/// type that does not go with it or a wrong length.
pub(crate) fn message<'m>(
    record: &KeyRecord,
    algorithm: SigningAlgorithmSpec,
    kind: Option<MessageType>,
    bytes: &'m [u8],
) -> Result<(SigningAlgorithm, Message<'m>)> {
    if !specs::signing_algorithms(record.spec).contains(&algorithm) {
        return Err(Error::incompatible_algorithm(algorithm.as_str(), record.spec.as_str()));
    }
    let known = SigningAlgorithm::parse(algorithm.as_str())
        .ok_or_else(|| Error::internal("a signing algorithm only of the model"))?;
    let message = match kind.unwrap_or(MessageType::Raw) {
        MessageType::Raw => Message::Raw(bytes),
        MessageType::Digest => Message::Digest(bytes),
        MessageType::ExternalMu => Message::ExternalMu(bytes),
    };
    check_message(spec(record.spec)?, known, &message)
        .map_err(|error| message_error(&error, algorithm, kind, record.spec))?;
    Ok((known, message))
}

fn message_error(
    error: &MessageError,
    algorithm: SigningAlgorithmSpec,
    kind: Option<MessageType>,
    spec: KeySpec,
) -> Error {
    match error {
        MessageError::DigestLength { .. } => {
            Error::validation(format!("Digest is invalid length for algorithm {algorithm}."))
        }
        // Of ML-DSA the key spec is named, of Ed25519 the algorithm [rep 2026]; the others are ours.
        MessageError::MessageType => {
            let kind = kind.unwrap_or(MessageType::Raw);
            Error::validation(match spec {
                KeySpec::EccNistEdwards25519 => {
                    format!("Message type {kind} is incompatible with algorithm {algorithm}.")
                }
                _ => format!("Message type {kind} is incompatible with key spec {spec}."),
            })
        }
        _ => Error::incompatible_algorithm(algorithm.as_str(), spec.as_str()),
    }
}

/// The encryption algorithm for an asymmetric key; `algorithm_fits` has spoken before.
pub(crate) fn encryption(given: Option<EncryptionAlgorithmSpec>) -> Result<EncryptionAlgorithm> {
    given
        .and_then(|algorithm| EncryptionAlgorithm::parse(algorithm.as_str()))
        .ok_or_else(|| Error::internal("an encryption algorithm only of the model"))
}

/// Refuses more plaintext than an asymmetric key can encrypt.
///
/// # Errors
/// ValidationException [obs].
pub(crate) fn plaintext_fits(
    key: &KeyEntry,
    algorithm: Option<EncryptionAlgorithmSpec>,
    length: usize,
) -> Result<()> {
    if key.record.is_symmetric() {
        return Ok(());
    }
    let (algorithm, key_spec) = (encryption(algorithm)?, key.record.spec);
    match algorithm.max_plaintext(spec(key_spec)?) {
        Some(maximum) if length > maximum => Err(Error::validation(format!(
            "Algorithm {} and key spec {key_spec} cannot encrypt data larger than {maximum} bytes.",
            algorithm.as_str()
        ))),
        _ => Ok(()),
    }
}

/// Refuses a MAC algorithm of another spec.
///
/// # Errors
/// InvalidKeyUsageException [obs].
pub(crate) fn mac_fits(record: &KeyRecord, algorithm: MacAlgorithmSpec) -> Result<()> {
    if specs::mac_algorithms(record.spec).contains(&algorithm) {
        return Ok(());
    }
    Err(Error::incompatible_algorithm(algorithm.as_str(), record.spec.as_str()))
}

impl UsableKey<'_> {
    /// Encrypts with the public half.
    pub(crate) async fn encrypt_asymmetric(
        &self,
        service: &Service,
        algorithm: Option<EncryptionAlgorithmSpec>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>> {
        let (algorithm, public) = (encryption(algorithm)?, self.public_key()?);
        let plaintext = Secret::from_slice(plaintext);
        let sealed = service
            .private_operations
            .run(move || public.encrypt(algorithm, plaintext.expose()))
            .await?;
        sealed.map_err(|error| match error {
            EncryptError::Crypto(error) => error.into(),
            other => Error::internal(other),
        })
    }

    /// Decrypts with the private half.
    ///
    /// # Errors
    /// InvalidCiphertextException, the same for every fault.
    pub(crate) async fn decrypt_asymmetric(
        &self,
        service: &Service,
        algorithm: Option<EncryptionAlgorithmSpec>,
        ciphertext: &[u8],
    ) -> Result<Secret> {
        let (algorithm, ciphertext) = (encryption(algorithm)?, ciphertext.to_vec());
        let opened =
            self.with_private_key(service, move |key| key.decrypt(algorithm, &ciphertext)).await?;
        opened.map_err(|error| match error {
            DecryptError::InvalidCiphertext => Error::invalid_ciphertext(),
            other => Error::internal(other),
        })
    }

    /// The public key, ready for use.
    pub(crate) fn public_key(&self) -> Result<PublicKey> {
        let entry = self.entry();
        PublicKey::from_spki(spec(entry.record.spec)?, &public_key_bytes(entry)?)
            .map_err(|_| Error::internal(format!("the public key of {}", entry.arn)))
    }

    /// Runs `work` with the private key, away from the threads that serve requests.
    pub(crate) async fn with_private_key<T: Send + 'static>(
        &self,
        service: &Service,
        work: impl FnOnce(&PrivateKey) -> T + Send + 'static,
    ) -> Result<T> {
        let entry = self.entry();
        let (spec, arn) = (spec(entry.record.spec)?, entry.arn.clone());
        let pkcs8 = self.secret(service).await?;
        let done = service
            .private_operations
            .run(move || PrivateKey::from_pkcs8(spec, pkcs8.expose()).map(|key| work(&key)));
        done.await?.map_err(|_| Error::internal(format!("the private key of {arn}")))
    }

    /// The HMAC key.
    pub(crate) async fn mac_key(&self, service: &Service) -> Result<MacKey> {
        let entry = self.entry();
        let spec = MacSpec::parse(entry.record.spec.as_str())
            .ok_or_else(|| Error::internal("not an HMAC key"))?;
        MacKey::from_slice(spec, self.secret(service).await?.expose())
            .map_err(|_| Error::internal(format!("the material of {}", entry.arn)))
    }

    /// The key's current material as its bytes.
    async fn secret(&self, service: &Service) -> Result<Secret> {
        let entry = self.entry();
        let without = || crate::seal::without_material(entry);
        let id = entry.record.current_material().ok_or_else(without)?;
        service.keys.secret(&service.keyring, entry, id).await?.ok_or_else(without)
    }
}
