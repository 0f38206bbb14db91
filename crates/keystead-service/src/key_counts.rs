//! How many keys each account has in each Region, for the quota of keys.
//!
//! The first key that is made after a start counts the stored ones by reading through them once;
//! from then on the store's change feed keeps the number true, whichever node makes a key or
//! destroys it. Kept are the ids themselves, some 30 bytes each: the feed says that a record was
//! written, not whether it is a new one.
//!
//! A key counts from the moment its making begins, and for as long as it is stored. So the quota
//! cannot be passed by requests of one node, nor does a failed one take a place for longer than it
//! lasts. Requests on several nodes at once could pass it by as many as were under way.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keystead_model::{AccountId, KeyId, Region};
use keystead_store::{KeyRange, Store};

use crate::error::Result;
use crate::paths;

/// How many records are read at a time.
const PAGE: usize = 500;

/// How many accounts and Regions are kept count of, and how many ids for all of them together;
/// beyond, those not asked for the longest are counted anew when they are.
const PLACES: usize = 16_384;
const IDS: usize = 1 << 20;

/// The keys of all accounts that made some of late.
#[derive(Default)]
pub(crate) struct KeyCounts {
    places: Mutex<HashMap<(AccountId, Region), Arc<Place>>>,
    /// How many ids are kept, in all places.
    ids: AtomicUsize,
    /// Counts the uses of places, to tell the older from the newer.
    ticks: AtomicU64,
}

/// The keys of one account in one Region.
#[derive(Default)]
pub(crate) struct Place {
    /// Held by the one request that counts.
    counting: tokio::sync::Mutex<()>,
    held: Mutex<Held>,
    used: AtomicU64,
}

#[derive(Default)]
struct Held {
    /// The stored keys. `None`: not counted, or changes were missed.
    stored: Option<HashSet<KeyId>>,
    /// What the feed has said since a count began: the last word on each key, present or gone.
    meanwhile: Option<HashMap<KeyId, bool>>,
    /// The keys that are being made, and by how many requests: several may make one replica, of
    /// which one will succeed.
    making: HashMap<KeyId, usize>,
}

/// A key that is being made; it stops being that when this is dropped. By then the feed has been
/// applied, so that a key which came to be is among the stored ones.
pub(crate) struct Making {
    place: Arc<Place>,
    id: KeyId,
}

impl Drop for Making {
    fn drop(&mut self) {
        let mut held = self.place.held();
        if let Some(number) = held.making.get_mut(&self.id) {
            *number -= 1;
            if *number == 0 {
                held.making.remove(&self.id);
            }
        }
    }
}

impl Place {
    /// Whether the stored keys are known at this moment.
    pub(crate) fn is_counted(&self) -> bool {
        self.held().stored.is_some()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyCounts {
    /// The place of an account's keys in a Region.
    pub(crate) fn place(&self, account: AccountId, region: &Region) -> Arc<Place> {
        let mut places = self.places();
        if places.len() >= PLACES || self.ids.load(Ordering::Relaxed) > IDS {
            self.evict(&mut places);
        }
        let place = places.entry((account, region.clone())).or_default();
        place.used.store(self.ticks.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Arc::clone(place)
    }

    /// Counts the stored keys unless they are counted.
    ///
    /// # Errors
    /// KMSInternalException if the store fails.
    pub(crate) async fn count(
        &self,
        place: &Place,
        store: &dyn Store,
        account: AccountId,
        region: &Region,
    ) -> Result<()> {
        if place.is_counted() {
            return Ok(());
        }
        let _counting = place.counting.lock().await;
        while !place.is_counted() {
            // The feed is listened to before the first record is read, so that nothing is missed.
            place.held().meanwhile = Some(HashMap::new());
            let found = stored(store, account, region).await?;
            let mut held = place.held();
            // Changes were missed while the records were read: they are read again.
            let Some(meanwhile) = held.meanwhile.take() else { continue };
            let mut ids = found;
            for (id, present) in meanwhile {
                // The feed has the later word: a page may have been read before the change.
                if present {
                    ids.insert(id)
                } else {
                    ids.remove(&id)
                };
            }
            self.ids.fetch_add(ids.len(), Ordering::Relaxed);
            held.stored = Some(ids);
        }
        Ok(())
    }

    /// Takes a place for a key if there are fewer than `quota` then. `None` also when the keys are
    /// not counted at this moment.
    pub(crate) fn make(&self, place: &Arc<Place>, id: KeyId, quota: usize) -> Option<Making> {
        let mut held = place.held();
        let stored = held.stored.as_ref()?;
        // The sum may have keys twice, which matters only at the quota.
        if stored.len() + held.making.len() >= quota {
            let new = held.making.keys().filter(|id| !stored.contains(id)).count();
            let known = stored.contains(&id) || held.making.contains_key(&id);
            if !known && stored.len() + new >= quota {
                return None;
            }
        }
        *held.making.entry(id).or_default() += 1;
        Some(Making { place: Arc::clone(place), id })
    }

    /// Applies what the feed says of a key's record.
    pub(crate) fn changed(&self, account: AccountId, region: &Region, id: KeyId, present: bool) {
        let place = match self.places().get(&(account, region.clone())) {
            Some(place) => Arc::clone(place),
            None => return,
        };
        let mut held = place.held();
        if let Some(meanwhile) = &mut held.meanwhile {
            meanwhile.insert(id, present);
        }
        if let Some(stored) = &mut held.stored {
            match present {
                true if stored.insert(id) => _ = self.ids.fetch_add(1, Ordering::Relaxed),
                false if stored.remove(&id) => _ = self.ids.fetch_sub(1, Ordering::Relaxed),
                _ => {}
            }
        }
    }

    /// The feed has missed changes: everything is counted anew when it is asked for.
    pub(crate) fn lagged(&self) {
        for place in self.places().values() {
            let mut held = place.held();
            self.forget(&mut held);
            held.meanwhile = None;
        }
    }

    fn forget(&self, held: &mut Held) {
        let forgotten = held.stored.take().map_or(0, |ids| ids.len());
        self.ids.fetch_sub(forgotten, Ordering::Relaxed);
    }

    /// Makes room: a quarter of the places, the least recently used ones, but none in use.
    fn evict(&self, places: &mut HashMap<(AccountId, Region), Arc<Place>>) {
        let idle = places.iter().filter(|(_, place)| Arc::strong_count(place) == 1);
        let mut idle: Vec<_> =
            idle.map(|(key, place)| (place.used.load(Ordering::Relaxed), key.clone())).collect();
        idle.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in idle.into_iter().take(places.len().div_ceil(4)) {
            if let Some(place) = places.remove(&key) {
                self.forget(&mut place.held());
            }
        }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<(AccountId, Region), Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the ids of an account's keys in a Region.
async fn stored(store: &dyn Store, account: AccountId, region: &Region) -> Result<HashSet<KeyId>> {
    let prefix = paths::keys(account, region);
    let mut range = KeyRange::prefix(prefix.clone());
    let mut ids = HashSet::new();
    loop {
        let page = store.scan(range.clone(), PAGE).await?;
        ids.extend(
            page.iter()
                .filter_map(|(path, _)| paths::tail(path, &prefix))
                .filter_map(|id| id.parse::<KeyId>().ok()),
        );
        match page.last() {
            Some((last, _)) if page.len() == PAGE => range = range.after(last),
            _ => return Ok(ids),
        }
    }
}
