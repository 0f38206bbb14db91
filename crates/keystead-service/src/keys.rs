//! Key records in memory: looked up by key id or alias, kept true by the store's change feed.
//!
//! Before every look-up the feed is compared with what has been applied: one atomic load when
//! nothing changed. The store publishes a change before it acknowledges the commit, so a request
//! that starts after another was answered sees what that one did.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use keystead_crypto::{Secret, SymmetricMaterial};
use keystead_model::{AccountId, KeyId, KeyMaterialId, Region, key_arn};
use keystead_store::{Revision, Store, Watch};
use quick_cache::sync::Cache;

use crate::error::{Error, Result};
use crate::keyring::Keyring;
use crate::paths::{self, Path};
use crate::records::{self, AliasRecord, KeyRecord, MaterialEntry, ReferenceRecord};
use crate::state::State;

/// Buckets of the generation counters; a power of two.
const GENERATIONS: usize = 1024;

/// A key as it stands in the store, with its current material once it was needed.
#[derive(Debug)]
pub(crate) struct KeyEntry {
    pub(crate) record: KeyRecord,
    pub(crate) revision: Revision,
    pub(crate) arn: String,
    material: OnceLock<Arc<SymmetricMaterial>>,
    /// The wrapped material of an asymmetric or HMAC key.
    wrapped: OnceLock<Vec<u8>>,
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
    materials: Cache<(KeyId, KeyMaterialId), Arc<SymmetricMaterial>>,
    aliases: Cache<Path, KeyId>,
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
            materials: Cache::new(capacity),
            aliases: Cache::new(capacity),
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
            record,
            revision: found.revision,
            material: OnceLock::new(),
            wrapped: OnceLock::new(),
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
        let current = record.current_material() == Some(id);
        if current && let Some(material) = entry.material.get() {
            return Ok(Some(Arc::clone(material)));
        }
        let there = |known: &MaterialEntry| {
            known.id == id && known.imported.as_ref().is_none_or(|imported| imported.present)
        };
        if !record.materials.iter().any(there) {
            return Ok(None);
        }
        if !current && let Some(material) = self.materials.get(&(record.id, id)) {
            return Ok(Some(material));
        }
        let path = record.material_path(id);
        let generation = self.generation(&path);
        let Some(found) = self.store.read(&path).await? else { return Ok(None) };
        let material = Arc::new(keyring.unwrap(record, id, &found.value).map_err(Error::internal)?);
        if current {
            // Two requests may race here; both have the same material.
            let _ = entry.material.set(Arc::clone(&material));
        } else {
            let _feed = self.lock();
            if self.generation(&path) == generation {
                self.materials.insert((record.id, id), Arc::clone(&material));
            }
        }
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

    /// Applies what the store's feed has and the caches do not know yet.
    fn refresh(&self) {
        if self.store.revision().0 <= self.applied.load(Ordering::Acquire) {
            return;
        }
        let mut feed = self.lock();
        while let Some(batch) = feed.try_next() {
            match batch {
                Ok(changes) => changes.iter().for_each(|change| self.forget(&change.key)),
                Err(_lagged) => self.forget_all(),
            }
        }
        self.applied.store(feed.revision().0, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        // A panic while the lock was held leaves at worst an entry too few in the caches.
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, path: &[u8]) {
        self.bump(path);
        let Ok(text) = std::str::from_utf8(path) else { return };
        let mut parts = text.split('/');
        match parts.next() {
            Some("key") => {
                let (region, key) = (parts.nth(1), parts.next());
                if let (Some(Ok(region)), Some(Ok(key))) =
                    (region.map(str::parse), key.map(str::parse))
                {
                    self.keys.remove(&(key, region));
                }
            }
            Some("material") => {
                let (key, material) = (parts.nth(1), parts.next());
                let material = material.and_then(|name| name.split('.').next());
                if let (Some(Ok(key)), Some(Ok(material))) =
                    (key.map(str::parse), material.map(str::parse))
                {
                    self.materials.remove(&(key, material));
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
        self.materials.clear();
        self.aliases.clear();
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
