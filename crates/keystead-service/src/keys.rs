//! Key records in memory: looked up by key id or alias, kept true by the store's change feed.
//!
//! Before every look-up the feed is compared with what has been applied: one atomic load when
//! nothing changed. The store publishes a change before it acknowledges the commit, so a request
//! that starts after another was answered sees what that one did.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use keystead_crypto::{Secret, SymmetricMaterial};
use keystead_model::{AccountId, KeyId, KeyMaterialId, Region, key_arn};
use keystead_policy::Policy;
use keystead_store::{Change, ChangeKind, Revision, Store, Watch};
use quick_cache::sync::Cache;

use crate::error::{Error, Result};
use crate::key_counts::KeyCounts;
use crate::keyring::Keyring;
use crate::paths::{self, Path};
use crate::records::{
    self, AliasRecord, GrantRecord, KeyRecord, MaterialEntry, PolicyRecord, ReferenceRecord,
};
use crate::state::State;
use crate::usage::Place;

/// Buckets of the generation counters; a power of two.
const GENERATIONS: usize = 1024;

/// A key as it stands in the store, with those of its materials that were needed. They go with it:
/// once its record changes (it is disabled, say), nothing keeps them in memory but the requests that
/// use them.
#[derive(Debug)]
pub(crate) struct KeyEntry {
    pub(crate) record: KeyRecord,
    pub(crate) revision: Revision,
    pub(crate) arn: String,
    /// What its uses are filed under.
    pub(crate) place: Arc<Place>,
    /// One place for each of the record's materials.
    materials: Box<[OnceLock<Arc<SymmetricMaterial>>]>,
    /// The wrapped material of an asymmetric or HMAC key.
    wrapped: OnceLock<Vec<u8>>,
    /// Its key policy, read.
    policy: OnceLock<Arc<Policy>>,
    /// The grants of those who came lately.
    pub(crate) grants: Grantees,
}

/// The grants of a key by grantee, of a few grantees.
#[derive(Debug, Default)]
pub(crate) struct Grantees(Mutex<Vec<(String, Arc<[GrantRecord]>)>>);

/// How many grantees of a key are remembered.
const GRANTEES: usize = 16;

impl Grantees {
    pub(crate) fn find(&self, grantee: &str) -> Option<Arc<[GrantRecord]>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(name, _)| name == grantee).map(|(_, grants)| Arc::clone(grants))
    }

    pub(crate) fn keep(&self, grantee: &str, grants: &Arc<[GrantRecord]>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(name, _)| name != grantee);
        if known.len() == GRANTEES {
            known.remove(0);
        }
        known.push((grantee.to_owned(), Arc::clone(grants)));
    }
}

impl KeyEntry {
    /// Whether the key's waiting period is over: it no longer exists, swept or not.
    pub(crate) fn is_gone(&self, now: i64) -> bool {
        matches!(self.record.state, State::PendingDeletion { deletion, .. } if deletion <= now)
    }
}

/// Bounded caches over the store.
pub(crate) struct Keys {
    store: Arc<dyn Store>,
    keys: Cache<(KeyId, Region), Arc<KeyEntry>>,
    aliases: Cache<Path, KeyId>,
    counts: KeyCounts,
    feed: Mutex<Watch>,
    applied: AtomicU64,
    /// Counts invalidations by hash of the path, so that a value read before a change is not
    /// cached after it.
    generations: Box<[AtomicU64]>,
}

impl Keys {
    /// `capacity`: how many keys, and as many aliases, are kept at most.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        capacity: usize,
    ) -> std::result::Result<Self, keystead_store::StoreError> {
        let watch = store.watch(None)?;
        Ok(Self {
            keys: Cache::new(capacity),
            aliases: Cache::new(capacity),
            counts: KeyCounts::default(),
            applied: AtomicU64::new(watch.revision().0),
            feed: Mutex::new(watch),
            generations: (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect(),
            store,
        })
    }

    /// The key of this id in this Region, whoever owns it.
    ///
    /// # Errors
    /// KMSInternalException if the store fails or the record is damaged.
    pub(crate) async fn find(
        &self,
        keyring: &Keyring,
        key: KeyId,
        region: &Region,
    ) -> Result<Option<Arc<KeyEntry>>> {
        self.refresh();
        let place = (key, region.clone());
        if let Some(entry) = self.keys.get(&place) {
            return Ok(Some(entry));
        }
        let path = paths::reference(key);
        let Some(found) = self.store.read(&path).await? else { return Ok(None) };
        let reference: ReferenceRecord =
            records::decode(keyring.record_key(), &path, &found.value).map_err(Error::internal)?;
        if !reference.regions.iter().any(|other| other == region.as_str()) {
            return Ok(None);
        }
        let path = paths::key(reference.account, region, key);
        let generation = self.generation(&path);
        let Some(entry) = self.fresh(keyring, reference.account, region, key).await? else {
            return Ok(None);
        };
        let entry = Arc::new(entry);
        let _feed = self.lock();
        if self.generation(&path) == generation {
            self.keys.insert(place, Arc::clone(&entry));
        }
        Ok(Some(entry))
    }

    /// A key as the store has it now, past the caches.
    ///
    /// # Errors
    /// KMSInternalException if the store fails or the record is damaged.
    pub(crate) async fn fresh(
        &self,
        keyring: &Keyring,
        account: AccountId,
        region: &Region,
        key: KeyId,
    ) -> Result<Option<KeyEntry>> {
        let path = paths::key(account, region, key);
        let Some(found) = self.store.read(&path).await? else { return Ok(None) };
        let record: KeyRecord =
            records::decode(keyring.record_key(), &path, &found.value).map_err(Error::internal)?;
        Ok(Some(KeyEntry {
            arn: key_arn(region, record.account, record.id),
            place: Arc::new(Place {
                account: record.account,
                region: region.clone(),
                key: record.id,
                created: record.created,
            }),
            materials: record.materials.iter().map(|_| OnceLock::new()).collect(),
            record,
            revision: found.revision,
            wrapped: OnceLock::new(),
            policy: OnceLock::new(),
            grants: Grantees::default(),
        }))
    }

    /// The key that an alias points to.
    ///
    /// # Errors
    /// KMSInternalException if the store fails or the record is damaged.
    pub(crate) async fn alias(
        &self,
        keyring: &Keyring,
        account: AccountId,
        region: &Region,
        name: &str,
    ) -> Result<Option<KeyId>> {
        self.refresh();
        let path = paths::alias(account, region, name);
        if let Some(target) = self.aliases.get(&path) {
            return Ok(Some(target));
        }
        let generation = self.generation(&path);
        let Some(found) = self.store.read(&path).await? else { return Ok(None) };
        let record: AliasRecord =
            records::decode(keyring.record_key(), &path, &found.value).map_err(Error::internal)?;
        let _feed = self.lock();
        if self.generation(&path) == generation {
            self.aliases.insert(path, record.target);
        }
        Ok(Some(record.target))
    }

    /// A key's policy.
    ///
    /// # Errors
    /// KMSInternalException if it is missing, damaged or cannot be read: then nobody may anything.
    pub(crate) async fn policy(&self, keyring: &Keyring, entry: &KeyEntry) -> Result<Arc<Policy>> {
        if let Some(policy) = entry.policy.get() {
            return Ok(Arc::clone(policy));
        }
        let record = &entry.record;
        let path = paths::policy(record.account, &record.region, record.id);
        let found = self.store.read(&path).await?;
        let found = found.ok_or_else(|| Error::internal("a key without a policy"))?;
        let text: PolicyRecord =
            records::decode(keyring.record_key(), &path, &found.value).map_err(Error::internal)?;
        let policy = Policy::parse(&text.text)
            .map_err(|_| Error::internal("a key policy that cannot be read"))?;
        Ok(Arc::clone(entry.policy.get_or_init(|| Arc::new(policy))))
    }

    /// One material of a key, unwrapped.
    ///
    /// # Errors
    /// `None` if the key has no such material; KMSInternalException if its record is damaged.
    pub(crate) async fn material(
        &self,
        keyring: &Keyring,
        entry: &KeyEntry,
        id: KeyMaterialId,
    ) -> Result<Option<Arc<SymmetricMaterial>>> {
        let record = &entry.record;
        let position = record.materials.iter().position(|known| known.id == id);
        let Some(place) = position.and_then(|position| entry.materials.get(position)) else {
            return Ok(None);
        };
        if let Some(material) = place.get() {
            return Ok(Some(Arc::clone(material)));
        }
        // Imported material that was taken away is not there, whoever still holds its bytes.
        let taken = |known: &MaterialEntry| {
            known.id == id && known.imported.as_ref().is_some_and(|imported| !imported.present)
        };
        if record.materials.iter().any(taken) {
            return Ok(None);
        }
        let path = record.material_path(id);
        let Some(found) = self.store.read(&path).await? else { return Ok(None) };
        let material = Arc::new(keyring.unwrap(record, id, &found.value).map_err(Error::internal)?);
        // Two requests may race here; both have the same material.
        let _ = place.set(Arc::clone(&material));
        Ok(Some(material))
    }

    /// The material of an asymmetric or HMAC key, for one request.
    ///
    /// # Errors
    /// `None` if it is not there; KMSInternalException if its record is damaged.
    pub(crate) async fn secret(
        &self,
        keyring: &Keyring,
        entry: &KeyEntry,
        id: KeyMaterialId,
    ) -> Result<Option<Secret>> {
        let wrapped = match entry.wrapped.get() {
            Some(wrapped) => wrapped,
            None => {
                let path = entry.record.material_path(id);
                let Some(found) = self.store.read(&path).await? else { return Ok(None) };
                entry.wrapped.get_or_init(|| found.value)
            }
        };
        keyring.unwrap_secret(&entry.record, id, wrapped).map(Some).map_err(Error::internal)
    }

    /// How many keys there are, by account and Region.
    pub(crate) fn counts(&self) -> &KeyCounts {
        &self.counts
    }

    /// Applies what the store's feed has and the caches do not know yet.
    pub(crate) fn refresh(&self) {
        if self.store.revision().0 <= self.applied.load(Ordering::Acquire) {
            return;
        }
        let mut feed = self.lock();
        while let Some(batch) = feed.try_next() {
            match batch {
                Ok(changes) => changes.iter().for_each(|change| self.forget(change)),
                Err(_lagged) => self.forget_all(),
            }
        }
        self.applied.store(feed.revision().0, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        // A panic while the lock was held leaves at worst an entry too few in the caches.
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, change: &Change) {
        let path = &*change.key;
        self.bump(path);
        let Ok(text) = std::str::from_utf8(path) else { return };
        let mut parts = text.split('/');
        match parts.next() {
            // The policy is kept with the key; what changes a grant changes its key's record.
            Some(kind @ ("key" | "policy")) => {
                let (account, region, key) = (parts.next(), parts.next(), parts.next());
                if let (Some(Ok(account)), Some(Ok(region)), Some(Ok(key))) =
                    (account.map(str::parse), region.map(str::parse), key.map(str::parse))
                {
                    if kind == "key" {
                        let present = matches!(change.kind, ChangeKind::Put(_));
                        self.counts.changed(account, &region, key, present);
                    }
                    self.keys.remove(&(key, region));
                }
            }
            Some("alias") => {
                self.aliases.remove(path);
            }
            _ => {}
        }
    }

    fn forget_all(&self) {
        for generation in &self.generations {
            generation.fetch_add(1, Ordering::SeqCst);
        }
        self.keys.clear();
        self.aliases.clear();
        self.counts.lagged();
    }

    fn generation(&self, path: &[u8]) -> u64 {
        self.bucket(path).map_or(0, |bucket| bucket.load(Ordering::SeqCst))
    }

    fn bump(&self, path: &[u8]) {
        if let Some(bucket) = self.bucket(path) {
            bucket.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn bucket(&self, path: &[u8]) -> Option<&AtomicU64> {
        // FNV-1a: the paths are ours, nobody gains from a collision but a missed caching.
        let hash = path.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        usize::try_from(hash).ok().and_then(|hash| self.generations.get(hash % GENERATIONS))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::sync::Weak;

    use keystead_crypto::RootKey;
    use keystead_store::memory::Memory;

    use crate::records::MaterialEntry;
    use crate::write::Draft;
    use crate::{Access, MovableClock, Root, Service, ServiceSettings};

    /// A key with two materials, both in memory, of which only weak handles are kept.
    async fn used_key(service: &Service) -> (KeyRecord, Vec<Weak<SymmetricMaterial>>) {
        let id = KeyId::from_random([7; 16], false);
        let mut record: KeyRecord = serde_json::from_value(serde_json::json!({
            "account": "111122223333", "region": "eu-west-1", "id": id.to_string(), "created": 0,
            "description": "", "spec": "SYMMETRIC_DEFAULT", "usage": "ENCRYPT_DECRYPT",
            "origin": "AWS_KMS", "state": {"name": "Enabled"},
        }))
        .unwrap();
        let mut draft = Draft::default();
        for current in [false, true] {
            let material = SymmetricMaterial::generate().unwrap();
            let material_id = material.id(&id.to_string(), record.spec.as_str()).unwrap();
            let material_id = KeyMaterialId::new(material_id);
            let wrapped = service.keyring.wrap(&record, material_id, &material).unwrap();
            draft.put_raw(paths::material(record.account, id, material_id), wrapped);
            let unknown = serde_json::Map::new();
            record.materials.push(MaterialEntry {
                id: material_id,
                created: 0,
                current,
                rotated: None,
                imported: None,
                unknown,
            });
        }
        let regions = vec![record.region.to_string()];
        let reference =
            ReferenceRecord { account: record.account, regions, unknown: serde_json::Map::new() };
        draft.put(service, paths::reference(id), &reference).unwrap();
        draft.put(service, paths::key(record.account, &record.region, id), &record).unwrap();
        draft.commit(service).await.unwrap();

        let find = || service.keys.find(&service.keyring, id, &record.region);
        let entry = find().await.unwrap().unwrap();
        let mut handles = Vec::new();
        for material in &record.materials {
            let found = service.keys.material(&service.keyring, &entry, material.id).await.unwrap();
            handles.push(Arc::downgrade(&found.unwrap()));
        }
        drop(entry);
        assert!(handles.iter().all(|handle| handle.strong_count() > 0), "nothing is cached");
        (record, handles)
    }

    async fn service() -> Arc<Service> {
        let (store, clock) = (Arc::new(Memory::new()), Arc::new(MovableClock::default()));
        let root = Root::Key(RootKey::generate().unwrap());
        Service::open(ServiceSettings::default(), Access::Open, store, root, clock).await.unwrap()
    }

    #[tokio::test]
    async fn a_disabled_key_keeps_no_material_in_memory() {
        let service = service().await;
        let (mut record, handles) = used_key(&service).await;
        record.state = State::Disabled;
        let path = paths::key(record.account, &record.region, record.id);
        let mut draft = Draft::default();
        draft.put(&service, path, &record).unwrap().commit(&service).await.unwrap();
        // No other request comes.
        assert!(handles.iter().all(|handle| handle.strong_count() == 0));
    }

    #[tokio::test]
    async fn a_destroyed_key_keeps_no_material_in_memory() {
        let service = service().await;
        let (mut record, _) = used_key(&service).await;
        record.state = State::PendingDeletion { deletion: 0, window: 7 };
        let path = paths::key(record.account, &record.region, record.id);
        // Written behind the service's back, and found in memory by it as it was.
        let bytes = records::encode(service.keyring.record_key(), &path, &record).unwrap();
        let write = keystead_store::Write::Put(path, bytes);
        service.store.commit(vec![], vec![write]).await.unwrap();
        let entry = service.keys.find(&service.keyring, record.id, &record.region).await;
        let entry = entry.unwrap().unwrap();
        let id = record.materials[0].id;
        let material = service.keys.material(&service.keyring, &entry, id).await.unwrap();
        let handle = Arc::downgrade(&material.unwrap());
        drop(entry);
        assert!(handle.strong_count() > 0);
        service.destroy(record.account, &record.region, record.id, 1).await.unwrap();
        assert_eq!(handle.strong_count(), 0);
    }
}
