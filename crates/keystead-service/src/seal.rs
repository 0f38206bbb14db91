//! Sealing and opening with a key: the only place where key records meet the ciphertext blob.

use std::sync::Arc;

use keystead_crypto::{Blob, BlobHeader, EncryptionContext, Secret, decrypt, encrypt};
use keystead_model::{EncryptionAlgorithmSpec, EncryptionContextMap, KeyMaterialId, OriginType};

use crate::error::{Error, Result};
use crate::keys::KeyEntry;
use crate::operation::{Key, ReSealed, Sealed};
use crate::proofs::Usable;
use crate::service::Service;
use crate::specs;

/// The most characters an encryption context may have, keys and values together (behaviour.md 6).
const CONTEXT_CHARACTERS: usize = 8_192;

/// A key that may be used now: taken from a [`Usable`] target and from nothing else.
pub(crate) struct UsableKey<'u>(&'u Arc<KeyEntry>);

impl Usable<Key> {
    pub(crate) fn key(&self) -> UsableKey<'_> {
        UsableKey(&self.0)
    }
}

impl Usable<Sealed> {
    pub(crate) fn key(&self) -> UsableKey<'_> {
        UsableKey(&self.key)
    }
}

impl Usable<ReSealed> {
    pub(crate) fn source(&self) -> UsableKey<'_> {
        UsableKey(&self.source.key)
    }

    /// # Errors
    /// KMSInternalException if there is none, which authorization has refused.
    pub(crate) fn destination(&self) -> Result<UsableKey<'_>> {
        let missing = || Error::internal("no destination");
        self.destination.as_ref().map(UsableKey).ok_or_else(missing)
    }
}

/// A new ciphertext and the material it was made with.
pub(crate) struct Ciphertext {
    pub(crate) blob: Vec<u8>,
    pub(crate) material: KeyMaterialId,
}

/// An opened ciphertext and the material it had been made with.
pub(crate) struct Opened {
    pub(crate) plaintext: Secret,
    pub(crate) material: KeyMaterialId,
}

impl UsableKey<'_> {
    /// What is known of the key.
    pub(crate) fn entry(&self) -> &KeyEntry {
        self.0
    }

    /// Encrypts under the key's current material.
    ///
    /// # Errors
    /// KMSInvalidStateException if the key has no material, KMSInternalException.
    pub(crate) async fn seal(
        &self,
        service: &Service,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Ciphertext> {
        let entry = self.0;
        let id = entry.record.current_material().ok_or_else(|| without_material(entry))?;
        let material = service
            .keys
            .material(&service.keyring, entry, id)
            .await?
            .ok_or_else(|| without_material(entry))?;
        let header = BlobHeader {
            key_id: *entry.record.id.bytes(),
            multi_region: entry.record.id.is_multi_region(),
            material_id: *id.as_bytes(),
        };
        Ok(Ciphertext { blob: encrypt(&material, &header, plaintext, context)?, material: id })
    }

    /// Decrypts a ciphertext of the key.
    ///
    /// # Errors
    /// InvalidCiphertextException, the same for every fault; KMSInvalidStateException if the
    /// material it was made with is not there; KMSInternalException.
    pub(crate) async fn open(
        &self,
        service: &Service,
        ciphertext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Opened> {
        let entry = self.0;
        let blob = Blob::parse(ciphertext).map_err(|_| Error::invalid_ciphertext())?;
        let id = KeyMaterialId::new(blob.header().material_id);
        if !entry.record.materials.iter().any(|known| known.id == id) {
            return Err(Error::invalid_ciphertext());
        }
        let material = service
            .keys
            .material(&service.keyring, entry, id)
            .await?
            .ok_or_else(|| without_material(entry))?;
        let plaintext =
            decrypt(&material, &blob, context).map_err(|_| Error::invalid_ciphertext())?;
        Ok(Opened { plaintext, material: id })
    }
}

/// Why a key that should have key material has none.
pub(crate) fn without_material(entry: &KeyEntry) -> Error {
    match entry.record.origin {
        OriginType::External => Error::invalid_state(&entry.arn, "pending import"),
        _ => Error::internal(format!("{} has no key material", entry.arn)),
    }
}

/// The canonical form of a request's encryption context; absent and empty are the same.
///
/// # Errors
/// ValidationException for an empty context key or a context that is too long.
pub(crate) fn context(given: Option<&EncryptionContextMap>) -> Result<EncryptionContext> {
    let Some(pairs) = given else { return Ok(EncryptionContext::empty()) };
    let mut characters = 0_usize;
    for (key, value) in pairs.iter() {
        if key.is_empty() {
            return Err(Error::invalid_encryption_context());
        }
        characters = characters.saturating_add(key.chars().count() + value.chars().count());
    }
    if characters > CONTEXT_CHARACTERS {
        return Err(Error::invalid_encryption_context());
    }
    EncryptionContext::from_pairs(pairs.iter()).map_err(|_| Error::invalid_encryption_context())
}

/// Refuses an algorithm that the key's spec does not have; absent means SYMMETRIC_DEFAULT.
///
/// # Errors
/// InvalidKeyUsageException.
pub(crate) fn algorithm_fits(key: &KeyEntry, given: Option<EncryptionAlgorithmSpec>) -> Result<()> {
    let algorithm = given.unwrap_or(EncryptionAlgorithmSpec::SymmetricDefault);
    let spec = key.record.spec;
    if !specs::encryption_algorithms(spec).contains(&algorithm) {
        return Err(Error::incompatible_algorithm(algorithm.as_str(), spec.as_str()));
    }
    Ok(())
}

/// The same for a ciphertext to be opened. What SYMMETRIC_DEFAULT is asked to open is read before the
/// algorithm is compared with the key's spec, and no ciphertext of an asymmetric key can be read like
/// that [rep 2026].
///
/// # Errors
/// InvalidCiphertextException, InvalidKeyUsageException.
pub(crate) fn opens(
    key: &KeyEntry,
    given: Option<EncryptionAlgorithmSpec>,
    ciphertext: bool,
) -> Result<()> {
    let symmetric = given.is_none_or(|one| one == EncryptionAlgorithmSpec::SymmetricDefault);
    if ciphertext && symmetric && !key.record.is_symmetric() {
        return Err(Error::invalid_ciphertext());
    }
    algorithm_fits(key, given)
}

/// Refuses a context with a key that cannot bind it.
///
/// # Errors
/// ValidationException for a context with an asymmetric key.
pub(crate) fn context_fits(key: &KeyEntry, given: Option<&EncryptionContextMap>) -> Result<()> {
    let given = given.is_some_and(|pairs| pairs.iter().next().is_some());
    if given && !key.record.is_symmetric() {
        return Err(Error::invalid_encryption_context());
    }
    Ok(())
}
