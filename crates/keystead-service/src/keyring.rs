//! The keys that protect the store: opened at start, rotated and rewrapped by command.
//!
//! ```text
//! root key ─ wraps ─► domain key epochs ─ wrap ─► key material of each KMS key
//!                                       ├ wraps ─► the record key, which authenticates records
//!                                       ├ wraps ─► the key that seals access keys
//!                                       └ wraps ─► the key that signs the audit log
//! ```
//! The root key itself comes from outside (a file, or a passphrase that opens a slot in the
//! store) and wraps nothing but the few domain key epochs, so changing it touches no KMS key.

use std::sync::{Arc, PoisonError, RwLock};

use keystead_crypto::{
    AccessKeySeal, Argon2Cost, AuditSigningKey, DomainKeys, MaterialContext, RecordKey,
    RootCheckError, RootKey, RootKeyError, Secret, SymmetricMaterial, UnwrapError,
    root_check_value, secret_material_id, verify_root_check_value,
};
use keystead_model::{KeyId, KeyMaterialId};
use keystead_store::{Guard, KeyRange, Revision, Store, StoreError, Versioned, Write};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::paths;
use crate::records::{self, KeyRecord, RecordError, ReferenceRecord};
use crate::sweep;

/// The newest store format this release reads and the one it writes.
pub const STORE_FORMAT: u32 = 1;

const PAGE: usize = 100;

/// Where the root key comes from.
#[derive(Debug)]
pub enum Root {
    /// The key itself, as a provider yields it.
    Key(RootKey),
    /// A passphrase that opens the slot in the store, or makes one in a new store.
    Passphrase(Secret),
}

/// Why a store could not be opened, or its keys not changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The root key is not the one this store was made with.
    #[error("the root key is not the one this store was made with")]
    WrongRootKey,
    /// The root key to change to is the one the store has.
    #[error("the new root key is the one the store is under already")]
    SameRootKey,
    /// The store was made under a root key of the other kind.
    #[error("{0}")]
    WrongProvider(&'static str),
    /// The store holds a format this release does not know.
    #[error("the store has format {found}, this release reads up to {STORE_FORMAT}")]
    Newer {
        /// The store's format.
        found: u32,
    },
    /// The store is not empty and has no header: not a store of ours.
    #[error("the store has records but no header: it is damaged or not a keystead store")]
    NoHeader,
    /// The store was made by a release that had no access keys, and not opened since.
    #[error("the store has no key for access keys yet: start the server once")]
    NoAccessKeys,
    /// The store was made by a release that had no audit log, and not opened since.
    #[error("the store has no key for the audit log yet: start the server once")]
    NoAuditKey,
    /// The audit log could not be opened.
    #[error("cannot open the audit log: {0}")]
    Audit(String),
    /// A record is damaged.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// The root key provider failed.
    #[error("{0}")]
    RootKey(#[from] RootKeyError),
    /// The cryptographic library failed.
    #[error("cryptography failed: {0}")]
    Crypto(#[from] keystead_crypto::CryptoError),
    /// A record could not be read.
    #[error("{0}")]
    Record(#[from] RecordError),
}

impl From<UnwrapError> for OpenError {
    fn from(error: UnwrapError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// The header of a store, the only record that is not authenticated by the record key: what it
/// says is proven by the check value.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    store_id: String,
    created: i64,
    root_check: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passphrase_slot: Option<String>,
    #[serde(flatten)]
    unknown: Map<String, Value>,
}

impl Header {
    fn store_id(&self) -> Result<[u8; 16], OpenError> {
        let mut id = [0; 16];
        hex::decode_to_slice(&self.store_id, &mut id)
            .map_err(|_| OpenError::Damaged("store id".into()))?;
        Ok(id)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, OpenError> {
        serde_json::to_vec(self).map_err(|error| OpenError::Damaged(error.to_string()))
    }
}

fn unhex(text: &str, what: &str) -> Result<Vec<u8>, OpenError> {
    hex::decode(text).map_err(|_| OpenError::Damaged(what.into()))
}

async fn header(store: &dyn Store) -> Result<Option<(Header, Revision)>, OpenError> {
    let Some(found) = store.read(paths::STORE).await? else { return Ok(None) };
    // The format is read alone first: a newer header may have another shape.
    let value: Value = serde_json::from_slice(&found.value)
        .map_err(|_| OpenError::Damaged("store header".into()))?;
    let format = value.get("format").and_then(Value::as_u64).unwrap_or(0);
    let format = u32::try_from(format).unwrap_or(u32::MAX);
    if format > STORE_FORMAT {
        return Err(OpenError::Newer { found: format });
    }
    let header =
        serde_json::from_value(value).map_err(|_| OpenError::Damaged("store header".into()))?;
    Ok(Some((header, found.revision)))
}

/// Opens the key that seals access keys, and nothing else. Reads alone: `store` may be a copy of the
/// records under [`META`](paths::META).
///
/// # Errors
/// [`OpenError`]; [`OpenError::NoAccessKeys`] for a store of an earlier release.
pub async fn open_access_keys(store: &dyn Store, root: Root) -> Result<AccessKeySeal, OpenError> {
    let Some((header, _)) = header(store).await? else { return Err(OpenError::NoHeader) };
    let domain = domain_keys(&root_key(&header, root)?, &header, &epochs(store).await?)?;
    let wrapped = store.read(paths::ACCESS_KEYS).await?.ok_or(OpenError::NoAccessKeys)?;
    Ok(domain.unwrap_access_key_seal(&wrapped.value)?)
}

/// The public key that verifies the audit log, an Ed25519 key. Reads alone: `store` may be a copy of
/// the records under [`META`](paths::META).
///
/// # Errors
/// [`OpenError`]; [`OpenError::NoAuditKey`] for a store of an earlier release.
pub async fn audit_public_key(store: &dyn Store, root: Root) -> Result<[u8; 32], OpenError> {
    let Some((header, _)) = header(store).await? else { return Err(OpenError::NoHeader) };
    let domain = domain_keys(&root_key(&header, root)?, &header, &epochs(store).await?)?;
    let wrapped = store.read(paths::AUDIT_KEY).await?.ok_or(OpenError::NoAuditKey)?;
    Ok(domain.unwrap_audit_key(&wrapped.value)?.public_key()?)
}

/// Whether the store has been given its keys.
///
/// # Errors
/// [`OpenError`] if it has a header that cannot be read.
pub async fn is_initialised(store: &dyn Store) -> Result<bool, OpenError> {
    Ok(header(store).await?.is_some())
}

/// The domain keys and the record key, open.
#[derive(Debug)]
pub struct Keyring {
    domain: RwLock<DomainKeys>,
    record_key: RecordKey,
    access_keys: AccessKeySeal,
    audit_key: Arc<AuditSigningKey>,
}

impl Keyring {
    /// Opens the keys of a store, or makes them if the store is empty. `now` is milliseconds since
    /// the epoch.
    ///
    /// # Errors
    /// [`OpenError`]; the store is unchanged then.
    pub async fn open(store: &dyn Store, root: Root, now: i64) -> Result<Self, OpenError> {
        match header(store).await? {
            Some((header, _)) => Self::unlock(store, &root_key(&header, root)?, &header).await,
            None if store.scan(KeyRange::all(), 1).await?.is_empty() => {
                Self::create(store, root, now).await
            }
            None => Err(OpenError::NoHeader),
        }
    }

    async fn create(store: &dyn Store, root: Root, now: i64) -> Result<Self, OpenError> {
        let (root, slot) = match root {
            Root::Key(root) => (root, None),
            Root::Passphrase(passphrase) => {
                let root = RootKey::generate()?;
                let slot = root.to_passphrase_slot(passphrase.expose(), &Argon2Cost::default())?;
                (root, Some(hex::encode(slot)))
            }
        };
        let store_id: [u8; 16] = keystead_crypto::random_bytes()?;
        let domain = DomainKeys::generate(store_id)?;
        let record_key = RecordKey::generate()?;
        let access_keys = AccessKeySeal::generate()?;
        let audit_key = AuditSigningKey::generate()?;
        let header = Header {
            format: STORE_FORMAT,
            store_id: hex::encode(store_id),
            created: now,
            root_check: hex::encode(root_check_value(&root, &store_id)?),
            passphrase_slot: slot,
            unknown: Map::new(),
        };
        let epoch = domain.current_epoch();
        let writes = vec![
            Write::Put(paths::STORE.to_vec(), header.to_bytes()?),
            Write::Put(paths::domain(epoch), domain.wrap_epoch(&root, epoch)?),
            Write::Put(paths::RECORD_KEY.to_vec(), domain.wrap_record_key(&record_key)?),
            Write::Put(paths::ACCESS_KEYS.to_vec(), domain.wrap_access_key_seal(&access_keys)?),
            Write::Put(paths::AUDIT_KEY.to_vec(), domain.wrap_audit_key(&audit_key)?),
        ];
        store.commit(vec![Guard::Absent(paths::STORE.to_vec())], writes).await?;
        let audit_key = Arc::new(audit_key);
        Ok(Self { domain: RwLock::new(domain), record_key, access_keys, audit_key })
    }

    async fn unlock(store: &dyn Store, root: &RootKey, header: &Header) -> Result<Self, OpenError> {
        let domain = domain_keys(root, header, &epochs(store).await?)?;
        let wrapped = store
            .read(paths::RECORD_KEY)
            .await?
            .ok_or_else(|| OpenError::Damaged("the record key is missing".into()))?;
        let record_key = domain.unwrap_record_key(&wrapped.value)?;
        let access_keys = match store.read(paths::ACCESS_KEYS).await? {
            Some(wrapped) => domain.unwrap_access_key_seal(&wrapped.value)?,
            // A store that was made before there were access keys.
            None => {
                let made = AccessKeySeal::generate()?;
                let path = paths::ACCESS_KEYS.to_vec();
                let write = Write::Put(path.clone(), domain.wrap_access_key_seal(&made)?);
                store.commit(vec![Guard::Absent(path)], vec![write]).await?;
                made
            }
        };
        let audit_key = match store.read(paths::AUDIT_KEY).await? {
            Some(wrapped) => domain.unwrap_audit_key(&wrapped.value)?,
            // A store that was made before there was an audit log.
            None => {
                let made = AuditSigningKey::generate()?;
                let path = paths::AUDIT_KEY.to_vec();
                let write = Write::Put(path.clone(), domain.wrap_audit_key(&made)?);
                store.commit(vec![Guard::Absent(path)], vec![write]).await?;
                made
            }
        };
        let audit_key = Arc::new(audit_key);
        Ok(Self { domain: RwLock::new(domain), record_key, access_keys, audit_key })
    }

    /// The key that authenticates records.
    pub fn record_key(&self) -> &RecordKey {
        &self.record_key
    }

    /// The key that seals the secrets of access keys.
    pub fn access_keys(&self) -> &AccessKeySeal {
        &self.access_keys
    }

    /// The key that signs the audit log.
    pub(crate) fn audit_key(&self) -> Arc<AuditSigningKey> {
        Arc::clone(&self.audit_key)
    }

    /// The domain keys as they are now.
    pub(crate) fn domain(&self) -> DomainKeys {
        // A poisoned lock only means that a reader panicked: the value is whole.
        self.domain.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wraps the material of a key of `spec`.
    ///
    /// # Errors
    /// [`keystead_crypto::CryptoError`] when the library or its random source fails.
    pub fn wrap(
        &self,
        record: &KeyRecord,
        id: KeyMaterialId,
        material: &SymmetricMaterial,
    ) -> Result<Vec<u8>, keystead_crypto::CryptoError> {
        let key_id = record.id.to_string();
        self.domain().wrap_material(&context(record, &key_id, &id), material)
    }

    /// Wraps the material of an asymmetric or HMAC key.
    ///
    /// # Errors
    /// [`keystead_crypto::CryptoError`] when the library or its random source fails.
    pub fn wrap_secret(
        &self,
        record: &KeyRecord,
        id: KeyMaterialId,
        secret: &[u8],
    ) -> Result<Vec<u8>, keystead_crypto::CryptoError> {
        let key_id = record.id.to_string();
        self.domain().wrap_secret(&context(record, &key_id, &id), secret)
    }

    /// Unwraps the material of an asymmetric or HMAC key.
    ///
    /// # Errors
    /// [`UnwrapError`] if the record is damaged or of another key.
    pub(crate) fn unwrap_secret(
        &self,
        record: &KeyRecord,
        id: KeyMaterialId,
        wrapped: &[u8],
    ) -> Result<Secret, UnwrapError> {
        let key_id = record.id.to_string();
        let secret = self.domain().unwrap_secret(&context(record, &key_id, &id), wrapped)?;
        // As with symmetric material: what was wrapped must be what the id says.
        let found = secret_material_id(secret.expose(), &key_id, record.spec.as_str())?;
        if Secret::from_slice(&found).ct_eq(id.as_bytes()) {
            Ok(secret)
        } else {
            Err(UnwrapError::Authentication)
        }
    }

    /// Unwraps one material of a key.
    ///
    /// # Errors
    /// [`UnwrapError`] if the record is damaged or of another key.
    pub(crate) fn unwrap(
        &self,
        record: &KeyRecord,
        id: KeyMaterialId,
        wrapped: &[u8],
    ) -> Result<SymmetricMaterial, UnwrapError> {
        let key_id = record.id.to_string();
        self.domain().unwrap_material(&context(record, &key_id, &id), wrapped)
    }
}

fn context<'a>(
    record: &'a KeyRecord,
    key_id: &'a str,
    material: &'a KeyMaterialId,
) -> MaterialContext<'a> {
    MaterialContext {
        account: record.account.as_str().as_bytes(),
        key_id,
        spec: record.spec.as_str(),
        material_id: material.as_bytes(),
    }
}

fn root_key(header: &Header, root: Root) -> Result<RootKey, OpenError> {
    match (root, &header.passphrase_slot) {
        (Root::Key(root), None) => Ok(root),
        (Root::Passphrase(passphrase), Some(slot)) => {
            let slot = unhex(slot, "passphrase slot")?;
            Ok(RootKey::from_passphrase_slot(passphrase.expose(), &slot)?)
        }
        (Root::Key(_), Some(_)) => Err(OpenError::WrongProvider(
            "the store's root key is behind a passphrase, and a root key file was given",
        )),
        (Root::Passphrase(_), None) => Err(OpenError::WrongProvider(
            "the store's root key is in a file, and a passphrase was given",
        )),
    }
}

/// The wrapped domain keys of a store, by epoch.
async fn epochs(store: &dyn Store) -> Result<Vec<(u32, Versioned)>, OpenError> {
    let mut epochs = Vec::new();
    for (path, found) in store.scan(KeyRange::prefix(paths::DOMAINS), 1_000).await? {
        let epoch = paths::tail(&path, paths::DOMAINS)
            .and_then(|tail| u32::from_str_radix(tail, 16).ok())
            .ok_or_else(|| OpenError::Damaged("the number of a domain key epoch".into()))?;
        epochs.push((epoch, found));
    }
    Ok(epochs)
}

fn domain_keys(
    root: &RootKey,
    header: &Header,
    epochs: &[(u32, Versioned)],
) -> Result<DomainKeys, OpenError> {
    let store_id = header.store_id()?;
    let check = unhex(&header.root_check, "root key check value")?;
    verify_root_check_value(root, &store_id, &check).map_err(|error| match error {
        RootCheckError::WrongRootKey => OpenError::WrongRootKey,
        other => OpenError::Damaged(other.to_string()),
    })?;
    let records = epochs.iter().map(|(epoch, found)| (*epoch, &found.value));
    Ok(DomainKeys::unwrap(store_id, root, records)?)
}

/// What [`rotate_domain_key`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The new epoch.
    pub epoch: u32,
    /// How many key materials were wrapped anew.
    pub rewrapped: u64,
    /// How many older epochs were destroyed.
    pub destroyed: usize,
}

/// Makes a new domain key epoch, wraps every key material under it and destroys the older epochs.
/// Run again after an interruption, it completes what is left.
///
/// # Errors
/// [`OpenError`]. Whatever was committed until then is consistent: all epochs still in use stay.
pub async fn rotate_domain_key(store: &dyn Store, root: Root) -> Result<Rotation, OpenError> {
    let Some((header, revision)) = header(store).await? else { return Err(OpenError::NoHeader) };
    let root = root_key(&header, root)?;
    let mut domain = domain_keys(&root, &header, &epochs(store).await?)?;
    let record_key = Keyring::unlock(store, &root, &header).await?.record_key;
    // Material of deleted keys has no key record to be wrapped by, and is to be gone anyway.
    sweep::bury(store, &record_key).await.map_err(|error| OpenError::Damaged(error.to_string()))?;
    let epoch = domain.add_epoch()?;
    let path = paths::domain(epoch);
    let write = Write::Put(path.clone(), domain.wrap_epoch(&root, epoch)?);
    // Under a header that has changed the store may be under another root key, which could not open
    // this epoch.
    let guards = vec![Guard::Absent(path), Guard::At(paths::STORE.to_vec(), revision)];
    store.commit(guards, vec![write]).await?;

    if let Some(found) = store.read(paths::RECORD_KEY).await?
        && let Some(wrapped) = domain.rewrap_record_key(&found.value)?
    {
        let guard = Guard::At(paths::RECORD_KEY.to_vec(), found.revision);
        store.commit(vec![guard], vec![Write::Put(paths::RECORD_KEY.to_vec(), wrapped)]).await?;
    }

    if let Some(found) = store.read(paths::ACCESS_KEYS).await?
        && let Some(wrapped) = domain.rewrap_access_key_seal(&found.value)?
    {
        let guard = Guard::At(paths::ACCESS_KEYS.to_vec(), found.revision);
        store.commit(vec![guard], vec![Write::Put(paths::ACCESS_KEYS.to_vec(), wrapped)]).await?;
    }

    if let Some(found) = store.read(paths::AUDIT_KEY).await?
        && let Some(wrapped) = domain.rewrap_audit_key(&found.value)?
    {
        let guard = Guard::At(paths::AUDIT_KEY.to_vec(), found.revision);
        store.commit(vec![guard], vec![Write::Put(paths::AUDIT_KEY.to_vec(), wrapped)]).await?;
    }

    let mut rewrapped = 0;
    let mut range = KeyRange::prefix(paths::MATERIALS);
    loop {
        let page = store.scan(range.clone(), PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        range = range.after(last);
        let (mut guards, mut writes) = (Vec::new(), Vec::new());
        for (path, found) in &page {
            let (key_id, material) = material_path(path)?;
            let record = key_record(store, &record_key, key_id).await?;
            let key_id = key_id.to_string();
            let context = context(&record, &key_id, &material);
            let wrapped = if record.is_symmetric() {
                domain.rewrap_material(&context, &found.value)?
            } else {
                domain.rewrap_secret(&context, &found.value)?
            };
            if let Some(wrapped) = wrapped {
                guards.push(Guard::At(path.clone(), found.revision));
                writes.push(Write::Put(path.clone(), wrapped));
            }
        }
        if !writes.is_empty() {
            rewrapped += writes.len() as u64;
            store.commit(guards, writes).await?;
        }
    }

    let old: Vec<u32> = domain.epochs().filter(|other| *other != epoch).collect();
    if !old.is_empty() {
        store.erase(old.iter().map(|epoch| paths::domain(*epoch)).collect()).await?;
    }
    Ok(Rotation { epoch, rewrapped, destroyed: old.len() })
}

fn material_path(path: &[u8]) -> Result<(KeyId, KeyMaterialId), OpenError> {
    let damaged = || OpenError::Damaged("the path of a key material".into());
    let tail = paths::tail(path, paths::MATERIALS).ok_or_else(damaged)?;
    let mut parts = tail.split('/').skip(1);
    let key = parts.next().and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
    // Behind a dot stands how often the material was imported.
    let material = parts.next().and_then(|text| text.split('.').next()).unwrap_or_default();
    Ok((key, material.parse().map_err(|_| damaged())?))
}

/// The key record that a material belongs to, in whichever Region.
async fn key_record(
    store: &dyn Store,
    record_key: &RecordKey,
    key: KeyId,
) -> Result<KeyRecord, OpenError> {
    let missing = || OpenError::Damaged(format!("key material without its key {key}"));
    let path = paths::reference(key);
    let found = store.read(&path).await?.ok_or_else(missing)?;
    let reference: ReferenceRecord = records::decode(record_key, &path, &found.value)?;
    let region = reference.regions.first().and_then(|region| region.parse().ok());
    let path = paths::key(reference.account, &region.ok_or_else(missing)?, key);
    let found = store.read(&path).await?.ok_or_else(missing)?;
    Ok(records::decode(record_key, &path, &found.value)?)
}

/// The root key that is to protect the store from now on.
#[derive(Debug)]
pub enum NewRoot {
    /// A key that a provider holds already.
    Key(RootKey),
    /// A new random key behind this passphrase.
    Passphrase(Secret),
}

/// Wraps the domain keys under another root key, in one commit. What the old one could open is
/// in the store's files until they are rewritten. Nothing is left to do, and so nothing is done, if
/// the old root key does not open the store but the new one does: an interrupted change is repeated
/// for the sake of what was to follow it.
///
/// # Errors
/// [`OpenError`]; until the commit the old root key opens the store, after it only the new one.
pub async fn rewrap_root(store: &dyn Store, old: Root, new: NewRoot) -> Result<(), OpenError> {
    let Some((mut header, revision)) = header(store).await? else {
        return Err(OpenError::NoHeader);
    };
    let epochs = epochs(store).await?;
    let opened = root_key(&header, old).and_then(|old| domain_keys(&old, &header, &epochs));
    let domain = match (opened, &new) {
        (Err(error), _) if new.opens(&header, &epochs) => {
            tracing::info!(%error, "the store is under the new root key already");
            return Ok(());
        }
        (Err(error), _) => return Err(error),
        // Whoever destroys the old root key next must not destroy the only one.
        (Ok(_), NewRoot::Key(_)) if new.opens(&header, &epochs) => {
            return Err(OpenError::SameRootKey);
        }
        (Ok(domain), _) => domain,
    };
    let root = match new {
        NewRoot::Key(root) => {
            header.passphrase_slot = None;
            root
        }
        NewRoot::Passphrase(passphrase) => {
            let root = RootKey::generate()?;
            let slot = root.to_passphrase_slot(passphrase.expose(), &Argon2Cost::default())?;
            header.passphrase_slot = Some(hex::encode(slot));
            root
        }
    };
    header.root_check = hex::encode(root_check_value(&root, &header.store_id()?)?);
    let mut guards = vec![Guard::At(paths::STORE.to_vec(), revision)];
    let mut writes = vec![Write::Put(paths::STORE.to_vec(), header.to_bytes()?)];
    // Exactly the epochs that were read: one more would be lost with the old root key, one less
    // would be back from the dead.
    guards.extend(
        domain.current_epoch().checked_add(1).map(|next| Guard::Absent(paths::domain(next))),
    );
    for (epoch, found) in &epochs {
        guards.push(Guard::At(paths::domain(*epoch), found.revision));
        writes.push(Write::Put(paths::domain(*epoch), domain.wrap_epoch(&root, *epoch)?));
    }
    store.commit(guards, writes).await?;
    Ok(())
}

impl NewRoot {
    /// Whether the store is under this root key.
    fn opens(&self, header: &Header, epochs: &[(u32, Versioned)]) -> bool {
        let opens = |root: &RootKey| domain_keys(root, header, epochs).is_ok();
        match (self, &header.passphrase_slot) {
            (Self::Key(root), None) => opens(root),
            (Self::Passphrase(passphrase), Some(slot)) => hex::decode(slot)
                .ok()
                .and_then(|slot| RootKey::from_passphrase_slot(passphrase.expose(), &slot).ok())
                .is_some_and(|root| opens(&root)),
            _ => false,
        }
    }
}
