//! Between memory and store: carrying notes over, and telling the last use from both.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use keystead_store::{Guard, Revision, Store, StoreError, Write};
use serde_json::Map;

use super::{Place, Use, supersedes};
use crate::error::{Error, Result};
use crate::event::EventId;
use crate::keyring::{Keyring, OpenError};
use crate::keys::KeyEntry;
use crate::paths;
use crate::records::{self, TrackingRecord, UsageRecord};
use crate::rotation::DAY;
use crate::service::Service;
use crate::write::Draft;

/// Keys in one commit: each has two guards, and a commit takes 128.
const BATCH: usize = 64;

/// Commits under way at once; the store makes those that wait durable together.
const AT_ONCE: usize = 8;

/// How often the note of one key is tried while others change that key.
const ATTEMPTS: usize = 100;

/// When this store began to track uses; from now on, if it has not yet.
///
/// # Errors
/// [`OpenError`] if the store fails or the record is damaged.
pub(crate) async fn tracked_since(
    store: &dyn Store,
    keyring: &Keyring,
    now: i64,
) -> std::result::Result<i64, OpenError> {
    loop {
        let path = paths::TRACKING;
        if let Some(found) = store.read(path).await? {
            let record: TrackingRecord = records::decode(keyring.record_key(), path, &found.value)?;
            return Ok(record.since);
        }
        let record = TrackingRecord { since: now, unknown: Map::new() };
        let bytes = records::encode(keyring.record_key(), path, &record)?;
        let write = Write::Put(path.to_vec(), bytes);
        match store.commit(vec![Guard::Absent(path.to_vec())], vec![write]).await {
            Ok(_) => return Ok(now),
            // Another node was faster.
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Service {
    /// The last use of a key, of what memory and store know.
    ///
    /// # Errors
    /// KMSInternalException if the store fails or the record is damaged.
    pub(crate) async fn last_use(&self, place: &Place) -> Result<Option<UsageRecord>> {
        // Memory first: what goes over to the store meanwhile is found there.
        let pending = self.usage.pending(place);
        let stored = self.stored_use(place).await?.map(|(record, _)| record);
        let stored = stored.filter(|record| record.key_created == place.created);
        let now = self.clock.now();
        Ok(match (pending, stored) {
            (Some(new), Some(old)) if !supersedes(new.moment, old.moment, now) => Some(old),
            (Some(new), _) => Some(self.usage_record(place, &new)),
            (None, stored) => stored,
        })
    }

    /// For how many whole days a key has not been used, as far as that is known: since its last use,
    /// else since it was created or this store began to track uses, whichever is later
    /// (`kms:TrailingDaysWithoutKeyUsage`).
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn unused_days(&self, key: &KeyEntry) -> Result<i64> {
        let last = self.last_use(&key.place).await?.map(|last| last.moment);
        let since = last.unwrap_or_else(|| key.record.created.max(self.usage.since));
        Ok(self.clock.now().saturating_sub(since).max(0).div_euclid(DAY))
    }

    /// Writes to the store which keys were used since this was done last: to be called now and then,
    /// and before an orderly end. Answers how many keys that were.
    ///
    /// # Errors
    /// The first KMSInternalException met: the store failed or a record is damaged. What could be
    /// written was; the rest stays in memory for the next time.
    pub async fn write_usage(&self) -> std::result::Result<u64, Error> {
        let _turn = self.usage.writing.lock().await;
        self.write_in_turn().await
    }

    /// Notes a use for which memory has no room.
    pub(super) async fn write_and_note(&self, place: &Arc<Place>, new: Use) {
        let _turn = self.usage.writing.lock().await;
        // Whoever had the turn before may have made room.
        if self.usage.note(place, new) {
            return;
        }
        // While the store fails, requests do not wait for it one after the other: the sweep tries.
        if !self.usage.failing.load(Ordering::Relaxed)
            && let Err(error) = self.write_in_turn().await
        {
            tracing::error!(detail = error.detail(), "last uses of keys cannot be written");
        }
        if !self.usage.note(place, new) {
            self.usage.failing.store(true, Ordering::Relaxed);
            self.usage.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn write_in_turn(&self) -> Result<u64> {
        let lost = self.usage.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "uses of keys are missing from GetKeyLastUsage");
        }
        let (mut written, mut failed) = (0, None);
        for some in self.usage.snapshot().chunks(BATCH * AT_ONCE) {
            let batches = some.chunks(BATCH).map(|batch| self.write_uses(batch));
            for result in join_all(batches).await {
                match result {
                    Ok(number) => written += number,
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        if written > 0 || failed.is_none() {
            self.usage.failing.store(false, Ordering::Relaxed);
        }
        failed.map_or(Ok(written), Err)
    }

    /// All in one commit, or one by one if some key is changed meanwhile.
    async fn write_uses(&self, batch: &[(Arc<Place>, Use)]) -> Result<u64> {
        match self.commit_uses(batch).await {
            Err(error) if error.is_conflict() => {}
            result => return result,
        }
        let (mut written, mut failed) = (0, None);
        for one in batch {
            match self.write_use(one).await {
                Ok(number) => written += number,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(written), Err)
    }

    async fn write_use(&self, one: &(Arc<Place>, Use)) -> Result<u64> {
        for _ in 0..ATTEMPTS {
            match self.commit_uses(std::slice::from_ref(one)).await {
                Err(error) if error.is_conflict() => tokio::task::yield_now().await,
                result => return result,
            }
        }
        Err(Error::conflict())
    }

    async fn commit_uses(&self, batch: &[(Arc<Place>, Use)]) -> Result<u64> {
        let now = self.clock.now();
        let mut draft = Draft::default();
        let (mut done, mut written, mut failed) = (Vec::new(), 0, None);
        for one in batch {
            let (place, last) = one;
            match self.draft_use(&mut draft, place, last, now).await {
                Ok(number) => {
                    written += number;
                    done.push(one);
                }
                // One damaged record holds up no other.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if written > 0 {
            draft.commit(self).await?;
        }
        self.usage.forget(&done);
        failed.map_or(Ok(written), Err)
    }

    /// Answers how many records that makes: none for a key that is gone, or whose last use the store
    /// has already.
    async fn draft_use(
        &self,
        draft: &mut Draft,
        place: &Place,
        last: &Use,
        now: i64,
    ) -> Result<u64> {
        let found = self.keys.find(&self.keyring, place.key, &place.region).await?;
        let Some(key) = found.filter(|key| *key.place == *place) else { return Ok(0) };
        let path = usage_path(place);
        let mut record = self.usage_record(place, last);
        match self.stored_use(place).await? {
            Some((old, revision)) => {
                let same_key = old.key_created == place.created;
                if same_key
                    && (old.request == record.request || !supersedes(last.moment, old.moment, now))
                {
                    return Ok(0);
                }
                record.unknown = old.unknown;
                draft.unchanged(path.clone(), revision);
            }
            None => {
                draft.absent(path.clone());
            }
        }
        // No record for a key that is deleted meanwhile: nobody would ever remove it.
        let key_path = paths::key(place.account, &place.region, place.key);
        draft.unchanged(key_path, key.revision).put(self, path, &record)?;
        Ok(1)
    }

    async fn stored_use(&self, place: &Place) -> Result<Option<(UsageRecord, Revision)>> {
        let path = usage_path(place);
        let Some(found) = self.store.read(&path).await? else { return Ok(None) };
        let record = records::decode(self.keyring.record_key(), &path, &found.value);
        Ok(Some((record.map_err(Error::internal)?, found.revision)))
    }

    fn usage_record(&self, place: &Place, last: &Use) -> UsageRecord {
        UsageRecord {
            key_created: place.created,
            moment: last.moment,
            operation: last.operation,
            request: last.request.to_string(),
            event: EventId::of(&self.keyring, last.request, place.account).to_string(),
            unknown: Map::new(),
        }
    }
}

fn usage_path(place: &Place) -> paths::Path {
    paths::usage(place.account, &place.region, place.key)
}
