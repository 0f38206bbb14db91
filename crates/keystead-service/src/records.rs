//! The records of the store: what each holds and how it becomes bytes.
//!
//! A record is `01 ‖ tag(16) ‖ JSON`. The tag is a truncated HMAC-SHA-256 under the store's record
//! key over the record's path and its JSON, so that a damaged, exchanged or forged record is found
//! when it is read. Unknown JSON members are kept when a record is written back, so that two
//! releases can share a store.

use std::collections::BTreeMap;

use keystead_crypto::RecordKey;
use keystead_model::{
    AccountId, GrantOperation, KeyId, KeyLastUsageTrackingOperation, KeyMaterialId, KeySpec,
    KeyUsageType, OriginType, Region, RotationType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::paths::{self, Path};
use crate::state::State;

const FORMAT: u8 = 1;
const TAG: usize = 16;

/// A record that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Too short, or its tag does not fit its path and content.
    #[error("record `{0}` is damaged")]
    Damaged(String),
    /// Written by a release that knows more than this one.
    #[error("record `{0}` has format {1}, newer than this release reads")]
    Newer(String, u8),
    /// Authentic but not of the expected shape.
    #[error("record `{0}` cannot be understood: {1}")]
    Shape(String, serde_json::Error),
}

fn name(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Writes a record for `path`.
///
/// # Errors
/// [`RecordError::Shape`] if the value has no JSON form, which no record type of ours lacks.
pub fn encode<T: Serialize>(
    key: &RecordKey,
    path: &[u8],
    record: &T,
) -> Result<Vec<u8>, RecordError> {
    let json = serde_json::to_vec(record).map_err(|error| RecordError::Shape(name(path), error))?;
    Ok(encode_bytes(key, path, &json))
}

/// Writes a record for `path` that has a form of its own in place of one JSON value.
pub(crate) fn encode_bytes(key: &RecordKey, path: &[u8], content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + TAG + content.len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&key.tag(path, content));
    bytes.extend_from_slice(content);
    bytes
}

/// Reads the record that was written for `path`.
///
/// # Errors
/// [`RecordError`], never with content of the record in its text.
pub fn decode<T: DeserializeOwned>(
    key: &RecordKey,
    path: &[u8],
    bytes: &[u8],
) -> Result<T, RecordError> {
    let json = decode_bytes(key, path, bytes)?;
    serde_json::from_slice(json).map_err(|error| RecordError::Shape(name(path), error))
}

/// Reads what [`encode_bytes`] wrote for `path`.
///
/// # Errors
/// [`RecordError::Damaged`], [`RecordError::Newer`].
pub(crate) fn decode_bytes<'a>(
    key: &RecordKey,
    path: &[u8],
    bytes: &'a [u8],
) -> Result<&'a [u8], RecordError> {
    let (&format, rest) = bytes.split_first().ok_or_else(|| RecordError::Damaged(name(path)))?;
    if format != FORMAT {
        return Err(RecordError::Newer(name(path), format));
    }
    let (tag, json) = rest.split_at_checked(TAG).ok_or_else(|| RecordError::Damaged(name(path)))?;
    if !key.verify(path, json, tag) {
        return Err(RecordError::Damaged(name(path)));
    }
    Ok(json)
}

/// A KMS key as one Region sees it. Dates are milliseconds since the epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The account that owns the key.
    #[serde(with = "text")]
    pub account: AccountId,
    /// The Region it lives in.
    #[serde(with = "text")]
    pub region: Region,
    /// Its id.
    #[serde(with = "text")]
    pub id: KeyId,
    /// When it was created.
    pub created: i64,
    /// What its owner says of it.
    pub description: String,
    /// Its spec.
    pub spec: KeySpec,
    /// Its usage.
    pub usage: KeyUsageType,
    /// Where its material comes from.
    pub origin: OriginType,
    /// Its state.
    pub state: State,
    /// For a multi-Region key, who is primary and who replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_region: Option<MultiRegion>,
    /// Its tags, sorted by tag key.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
    /// Its key materials, oldest first. Empty until key material is imported.
    #[serde(default)]
    pub materials: Vec<MaterialEntry>,
    /// The public half of an asymmetric key: SubjectPublicKeyInfo, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Automatic rotation, while it is switched on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// The end of a passing state: Creating, Updating.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settling: Option<Settling>,
    /// An on-demand rotation that is not completed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<OnDemand>,
    /// How many aliases point to it.
    #[serde(default)]
    pub aliases: u32,
    /// How many imports of key material it has seen.
    #[serde(default)]
    pub imports: u32,
    /// How many grants it has.
    #[serde(default)]
    pub grants: u32,
    /// The custom key store it lives in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_key_store: Option<String>,
    /// For an AWS managed key, the service whose key it is: `s3` of `alias/aws/s3`. `None`: a
    /// customer manages it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// What a newer release wrote and this one does not know.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl KeyRecord {
    /// The material that encrypts, the newest one marked current.
    pub fn current_material(&self) -> Option<KeyMaterialId> {
        self.materials.iter().rev().find(|entry| entry.current).map(|entry| entry.id)
    }

    /// Where the bytes of one of its materials are.
    pub(crate) fn material_path(&self, id: KeyMaterialId) -> Path {
        let entry = self.materials.iter().find(|entry| entry.id == id);
        let name = entry.map_or_else(|| id.to_string(), MaterialEntry::name);
        paths::material_by_name(self.account, self.id, &name)
    }

    /// When the first of the imported materials that are there expires.
    pub fn valid_to(&self) -> Option<i64> {
        let imported = self.materials.iter().filter_map(|entry| entry.imported.as_ref());
        imported.filter(|imported| imported.present).filter_map(|imported| imported.valid_to).min()
    }

    /// Whether every material that the key has had for good is there, and one at all.
    pub fn is_complete(&self) -> bool {
        self.current_material().is_some()
            && self
                .materials
                .iter()
                .filter_map(|entry| entry.imported.as_ref())
                .all(|imported| imported.present || imported.pending)
    }

    /// The moments at which a rotation of the key is noted as due.
    pub(crate) fn rotations_noted(&self) -> impl Iterator<Item = i64> {
        let scheduled = self.rotation.iter().map(|rotation| rotation.next);
        scheduled.chain(self.on_demand.iter().map(|on_demand| on_demand.completes))
    }

    /// Whether this is a multi-Region key that follows a primary key in another Region.
    pub fn is_replica(&self) -> bool {
        self.multi_region.as_ref().is_some_and(|all| all.primary != self.region)
    }

    /// Whether the key belongs to the kind that encrypts symmetrically.
    pub fn is_symmetric(&self) -> bool {
        self.spec == KeySpec::SymmetricDefault
    }
}

/// The Regions of a multi-Region key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MultiRegion {
    /// The primary key's Region.
    #[serde(with = "text")]
    pub primary: Region,
    /// The replicas' Regions.
    pub replicas: Vec<String>,
}

/// What a key in a passing state becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settling {
    /// When.
    pub at: i64,
    /// Into which state.
    pub into: State,
}

/// Automatic rotation of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// Days from one rotation to the next.
    pub period: i32,
    /// When the next rotation is due.
    pub next: i64,
}

/// A rotation by RotateKeyOnDemand on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnDemand {
    /// When it was asked for.
    pub started: i64,
    /// When it is completed.
    pub completes: i64,
}

/// How a key material came to be the current one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// When.
    pub date: i64,
    /// By schedule or by request.
    pub kind: RotationType,
}

/// One key material of a key; the bytes are in a record of their own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MaterialEntry {
    /// Its id.
    #[serde(with = "text")]
    pub id: KeyMaterialId,
    /// When it was made.
    pub created: i64,
    /// Whether new ciphertexts are made with it.
    pub current: bool,
    /// The rotation that brought it in. `None` for the first material.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated: Option<Rotated>,
    /// For imported material, what its import said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// What a newer release wrote and this one does not know.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// An imported key material.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Whether the material is there; not after its deletion or expiry, until it is imported again.
    pub present: bool,
    /// Which import of the key its bytes came with, counted from 0.
    #[serde(default)]
    pub generation: u32,
    /// The Region whose key it was imported into, for multi-Region keys: each has its own bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whether it waits for a rotation to make it the current one.
    #[serde(default)]
    pub pending: bool,
    /// When it expires, milliseconds since the epoch. `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<i64>,
    /// What its owner says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl MaterialEntry {
    /// The last component of the path of the material's bytes.
    pub(crate) fn name(&self) -> String {
        match &self.imported {
            Some(Imported { region: Some(region), generation, .. }) => {
                format!("{}.{generation}.{region}", self.id)
            }
            Some(Imported { generation: n @ 1.., .. }) => format!("{}.{n}", self.id),
            _ => self.id.to_string(),
        }
    }
}

/// Who holds a key id: the index that a ciphertext blob's key reference goes through.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReferenceRecord {
    /// The owner.
    #[serde(with = "text")]
    pub account: AccountId,
    /// The Regions with a key of this id; more than one only for multi-Region keys.
    pub regions: Vec<String>,
    /// What a newer release wrote and this one does not know.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A key policy as its owner wrote it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// The document.
    pub text: String,
    /// What a newer release wrote and this one does not know.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// An alias. Dates are milliseconds since the epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AliasRecord {
    /// The key it points to.
    #[serde(with = "text")]
    pub target: KeyId,
    /// When it was created.
    pub created: i64,
    /// When it was pointed to its present target.
    pub updated: i64,
    /// What a newer release wrote and this one does not know.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// A grant on a key; the key and the grant's id are in the path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrantRecord {
    /// The ARN of who may use the key by it.
    pub grantee: String,
    /// The ARN of who may retire it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring: Option<String>,
    /// The account that created it.
    #[serde(with = "text")]
    pub issuer: AccountId,
    /// What it allows, in the order of the model's enum, each once.
    pub operations: Vec<GrantOperation>,
    /// Encryption context pairs that a request must have, and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<BTreeMap<String, String>>,
    /// Encryption context pairs that a request must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<BTreeMap<String, String>>,
    /// Its name, by which its creation is idempotent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was created, milliseconds since the epoch.
    pub created: i64,
    /// What a newer release wrote and this one does not know.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Something that is due at a moment; the moment and the key are in the path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DueRecord {
    /// The key.
    #[serde(with = "text")]
    pub account: AccountId,
    /// Its Region.
    #[serde(with = "text")]
    pub region: Region,
    /// Its id.
    #[serde(with = "text")]
    pub id: KeyId,
    /// What a newer release wrote and this one does not know.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// The last use of a key; the key is in the path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// When the key was created: of an earlier key in the same place the record says nothing.
    pub key_created: i64,
    /// When it was used, milliseconds since the epoch.
    pub moment: i64,
    /// The operation.
    pub operation: KeyLastUsageTrackingOperation,
    /// The id of the request, a UUID.
    pub request: String,
    /// The id of the request's record in the audit trail of the key's account, a UUID.
    pub event: String,
    /// What a newer release wrote and this one does not know.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Since when the store records uses of keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrackingRecord {
    /// The date, milliseconds since the epoch.
    pub since: i64,
    /// What a newer release wrote and this one does not know.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Key material of a deleted key that must be erased yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GraveRecord {
    /// The owner of the deleted key.
    #[serde(with = "text")]
    pub account: AccountId,
    /// The deleted key.
    #[serde(with = "text")]
    pub id: KeyId,
    /// Its materials, by the last component of their paths.
    pub materials: Vec<String>,
}

/// Identifiers as their text form.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| de::Error::custom("not an identifier"))
    }
}
