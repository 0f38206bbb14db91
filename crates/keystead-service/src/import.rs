//! Imported key material (behaviour.md 4.7): import tokens, what an import does to a key, expiry.

use keystead_crypto::{
    AsymmetricSpec, ImportedMaterial, MacKey, MacSpec, PrivateKey, Secret, SymmetricMaterial,
    WrappingAlgorithm, WrappingKeySpec, import_pkcs8, secret_material_id,
};
use keystead_model::{
    AccountId, AlgorithmSpec, ImportType, KeyId, KeyMaterialId, KeySpec, Region, RotationType,
};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::asymmetric::encode_public_key;
use crate::audit::KeyEvent;
use crate::error::{Error, Result};
use crate::keys::KeyEntry;
use crate::paths;
use crate::records::{GraveRecord, Imported, KeyRecord, MaterialEntry, Rotated};
use crate::service::Service;
use crate::state::State;
use crate::write::{Draft, FollowUp};

/// How long a token and its wrapping key are good for, milliseconds.
pub(crate) const TOKEN_LIFE: i64 = 24 * 60 * 60 * 1_000;

/// What an import token holds, sealed: it is all that is kept of GetParametersForImport.
#[derive(Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) key: String,
    pub(crate) algorithm: String,
    pub(crate) spec: String,
    pub(crate) expires: i64,
}

/// A token that was opened: what it says and the private wrapping key.
pub(crate) struct OpenToken {
    pub(crate) token: Token,
    pub(crate) pkcs8: Secret,
}

impl Service {
    /// Seals a token: `be32(length) ‖ JSON ‖ wrapping key`, bound to the key's account and Region.
    pub(crate) fn import_token(
        &self,
        key: &KeyEntry,
        token: &Token,
        pkcs8: &Secret,
    ) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(token).map_err(Error::internal)?;
        let length = u32::try_from(json.len()).map_err(Error::internal)?.to_be_bytes();
        let total = length.len() + json.len() + pkcs8.len();
        let content = Secret::filled(total, |out| {
            let parts = [&length[..], &json, pkcs8.expose()];
            let mut rest = out;
            for part in parts {
                let (head, tail) = rest.split_at_mut(part.len());
                head.copy_from_slice(part);
                rest = tail;
            }
            Ok::<_, Error>(())
        })?;
        Ok(self.keyring.domain().seal_import_token(&binding(key), content.expose())?)
    }

    /// Opens a token of this key.
    ///
    /// # Errors
    /// InvalidImportTokenException, ExpiredImportTokenException.
    pub(crate) fn open_import_token(&self, key: &KeyEntry, sealed: &[u8]) -> Result<OpenToken> {
        let unusable = Error::invalid_import_token;
        let content = self
            .keyring
            .domain()
            .open_import_token(&binding(key), sealed)
            .map_err(|_| unusable())?;
        let (length, rest) = content.expose().split_first_chunk().ok_or_else(unusable)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| unusable())?;
        let (json, pkcs8) = rest.split_at_checked(length).ok_or_else(unusable)?;
        let token: Token = serde_json::from_slice(json).map_err(|_| unusable())?;
        if token.key != key.record.id.to_string() {
            return Err(unusable());
        }
        if token.expires <= self.clock.now() {
            return Err(Error::expired_import_token());
        }
        Ok(OpenToken { token, pkcs8: Secret::from_slice(pkcs8) })
    }

    /// Removes imported material whose time is over. Answers whether any was.
    ///
    /// # Errors
    /// A conflict if the key changed meanwhile, KMSInternalException.
    pub(crate) async fn expire_if_due(
        &self,
        account: AccountId,
        region: &Region,
        key: KeyId,
    ) -> Result<bool> {
        let Some(entry) = self.keys.fresh(&self.keyring, account, region, key).await? else {
            return Ok(false);
        };
        let now = self.clock.now();
        let mut record = entry.record.clone();
        let expired: Vec<KeyMaterialId> = record
            .materials
            .iter()
            .filter(|entry| {
                let imported = entry.imported.as_ref().filter(|imported| imported.present);
                imported.and_then(|imported| imported.valid_to).is_some_and(|end| end <= now)
            })
            .map(|entry| entry.id)
            .collect();
        if expired.is_empty() {
            return Ok(false);
        }
        for id in &expired {
            forget(&mut record, *id);
        }
        let mut draft = Draft::default();
        self.drop_materials(&mut draft, &entry, &record, &expired)?;
        let key = record.id.to_string();
        for id in &expired {
            let event = KeyEvent {
                name: "DeleteExpiredKeyMaterial",
                account: record.account,
                region: &record.region,
                arn: &entry.arn,
                details: &[("keyId", &key), ("keyMaterialId", &id.to_string())],
            };
            self.note_event(&mut draft, &event)?;
        }
        draft.commit(self).await?;
        Ok(true)
    }

    /// Writes a record that lost materials, whose bytes are to be erased.
    pub(crate) fn drop_materials(
        &self,
        draft: &mut Draft,
        entry: &KeyEntry,
        record: &KeyRecord,
        gone: &[KeyMaterialId],
    ) -> Result<()> {
        for lost in entry.record.materials.iter().filter(|entry| gone.contains(&entry.id)) {
            let (account, id, name) = (record.account, record.id, lost.name());
            let path = paths::grave_of(account, id, &name);
            draft.put(self, path, &GraveRecord { account, id, materials: vec![name] })?;
        }
        draft.replace(self, entry, record)?.then(FollowUp::Bury);
        Ok(())
    }
}

fn binding(key: &KeyEntry) -> Vec<u8> {
    format!("{}/{}/{}", key.record.account, key.record.region, key.record.id).into_bytes()
}

/// What kind of material a key takes.
pub(crate) fn kind(spec: KeySpec) -> Result<ImportedMaterial> {
    if spec == KeySpec::SymmetricDefault {
        return Ok(ImportedMaterial::Symmetric);
    }
    MacSpec::parse(spec.as_str())
        .map(ImportedMaterial::Mac)
        .or_else(|| AsymmetricSpec::parse(spec.as_str()).map(ImportedMaterial::Asymmetric))
        .ok_or_else(|| Error::internal("a key spec that takes no material"))
}

/// The wrapping algorithm as the cryptography knows it.
///
/// # Errors
/// UnsupportedOperationException for RSAES_PKCS1_V1_5, refused since October 2023; text ours.
pub(crate) fn algorithm(algorithm: AlgorithmSpec) -> Result<WrappingAlgorithm> {
    WrappingAlgorithm::parse(algorithm.as_str()).ok_or_else(|| {
        Error::unsupported(format!("WrappingAlgorithm {algorithm} is not supported."))
    })
}

/// Material as it came out of its wrapping, checked against the key's spec.
pub(crate) struct NewMaterial {
    pub(crate) id: KeyMaterialId,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) public_key: Option<String>,
}

impl Service {
    /// Takes unwrapped material for a key.
    ///
    /// # Errors
    /// IncorrectKeyMaterialException for what does not fit the key's spec.
    pub(crate) fn take_material(&self, record: &KeyRecord, bytes: &Secret) -> Result<NewMaterial> {
        let incorrect = |_| Error::incorrect_key_material();
        let (id, spec) = (record.id.to_string(), record.spec.as_str());
        let secret = match kind(record.spec)? {
            ImportedMaterial::Symmetric => {
                let bytes = bytes
                    .expose()
                    .try_into()
                    .map_err(|_: std::array::TryFromSliceError| Error::incorrect_key_material())?;
                let material = SymmetricMaterial::from_slice(bytes)?;
                let id = KeyMaterialId::new(material.id(&id, spec)?);
                let wrapped = self.keyring.wrap(record, id, &material)?;
                return Ok(NewMaterial { id, wrapped, public_key: None });
            }
            ImportedMaterial::Mac(spec) => {
                MacKey::from_slice(spec, bytes.expose()).map_err(incorrect)?;
                (Secret::from_slice(bytes.expose()), None)
            }
            ImportedMaterial::Asymmetric(spec) => {
                let pkcs8 = import_pkcs8(spec, bytes.expose()).map_err(incorrect)?;
                let key = PrivateKey::from_pkcs8(spec, pkcs8.expose()).map_err(incorrect)?;
                (pkcs8, Some(encode_public_key(&key.public_spki())))
            }
        };
        let (secret, public_key) = secret;
        let id = KeyMaterialId::new(secret_material_id(secret.expose(), &id, spec)?);
        let wrapped = self.keyring.wrap_secret(record, id, secret.expose())?;
        Ok(NewMaterial { id, wrapped, public_key })
    }
}

/// Puts imported material into a key's record.
///
/// # Errors
/// IncorrectKeyMaterialException, KMSInvalidStateException.
pub(crate) fn put(
    record: &mut KeyRecord,
    arn: &str,
    new: &NewMaterial,
    import_type: Option<ImportType>,
    named: Option<&str>,
    imported: Imported,
    now: i64,
) -> Result<()> {
    let first = record.materials.is_empty();
    let import_type = import_type.unwrap_or(match first {
        true => ImportType::NewKeyMaterial,
        false => ImportType::ExistingKeyMaterial,
    });
    if named.is_some_and(|named| named != new.id.to_string()) {
        return Err(Error::incorrect_key_material());
    }
    let symmetric = record.is_symmetric();
    let generation = record.imports;
    let region = record.multi_region.as_ref().map(|_| record.region.to_string());
    if import_type == ImportType::NewKeyMaterial && record.is_replica() {
        return Err(Error::incorrect_key_material());
    }
    record.imports = generation.saturating_add(1);
    let waiting = record.materials.iter().find(|entry| is_pending(entry)).map(|entry| entry.id);
    let known = record.materials.iter_mut().find(|entry| entry.id == new.id);
    match (import_type, known) {
        (ImportType::ExistingKeyMaterial, Some(entry)) => {
            let old = entry.imported.take();
            let pending = old.as_ref().is_some_and(|old| old.pending);
            let region = region.clone();
            let kept = old.as_ref().filter(|old| old.present).map(|old| old.generation);
            let generation = kept.unwrap_or(generation);
            let description = imported.description.clone().or(old.and_then(|old| old.description));
            entry.imported =
                Some(Imported { pending, generation, region, description, ..imported });
        }
        (ImportType::NewKeyMaterial, None) if first || symmetric => {
            if let Some(waiting) = waiting {
                let (new, waiting) = (new.id.to_string(), waiting.to_string());
                return Err(Error::another_material_pending(&new, arn, &waiting));
            }
            record.materials.push(MaterialEntry {
                id: new.id,
                created: now,
                current: first,
                rotated: None,
                imported: Some(Imported { pending: !first, generation, region, ..imported }),
                unknown: Map::new(),
            });
        }
        _ => return Err(Error::incorrect_key_material()),
    }
    if record.state == State::PendingImport && record.is_complete() {
        record.state = State::Enabled;
    }
    Ok(())
}

/// Takes note that a material is gone. One that only waited for a rotation leaves the record.
pub(crate) fn forget(record: &mut KeyRecord, id: KeyMaterialId) {
    record.materials.retain(|entry| entry.id != id || !is_pending(entry));
    for entry in record.materials.iter_mut().filter(|entry| entry.id == id) {
        if let Some(imported) = &mut entry.imported {
            imported.present = false;
            imported.valid_to = None;
        }
    }
    let falls = matches!(record.state, State::Enabled | State::Disabled);
    if falls && !record.is_complete() {
        record.state = State::PendingImport;
    }
}

/// Makes the waiting material the current one.
pub(crate) fn promote(record: &mut KeyRecord, date: i64, kind: RotationType) {
    let Some(place) = record.materials.iter().position(is_pending) else { return };
    for (index, entry) in record.materials.iter_mut().enumerate() {
        entry.current = index == place;
        if index == place {
            entry.rotated = Some(Rotated { date, kind });
            if let Some(imported) = &mut entry.imported {
                imported.pending = false;
            }
        }
    }
}

/// Whether a material waits for a rotation.
pub(crate) fn has_pending(record: &KeyRecord) -> bool {
    record.materials.iter().any(is_pending)
}

fn is_pending(entry: &MaterialEntry) -> bool {
    entry.imported.as_ref().is_some_and(|imported| imported.pending)
}

/// The spec of the wrapping key as the cryptography knows it.
pub(crate) fn wrapping_spec(spec: keystead_model::WrappingKeySpec) -> Result<WrappingKeySpec> {
    WrappingKeySpec::parse(spec.as_str())
        .ok_or_else(|| Error::internal("a wrapping key spec only of the model"))
}
