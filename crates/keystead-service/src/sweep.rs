//! What time does: keys whose waiting period is over are destroyed, rotations that are due are
//! carried out, and the last uses of keys are written to the store.
//!
//! A key past its deletion date is gone for every request at once, since its state is derived from
//! the clock; the sweep makes that physical. First the records go in one commit that leaves a note
//! of the key material (the grave), then the material is erased from the files, then the note
//! goes. A sweep that is cut short is completed by the next.

use keystead_crypto::RecordKey;
use keystead_model::{AccountId, KeyId, OriginType, Region, key_arn};
use keystead_store::{KeyRange, Store, Versioned};

use crate::audit::KeyEvent;
use crate::error::{Error, Result};
use crate::paths;
use crate::records::{
    self, AliasRecord, DueRecord, GraveRecord, KeyRecord, MaterialEntry, ReferenceRecord,
};
use crate::service::Service;
use crate::state::State;
use crate::write::Draft;

const PAGE: usize = 100;

/// How many aliases one commit deletes; each has two records, and a commit takes 128 writes.
const ALIASES: usize = 50;

impl Service {
    /// Writes what was used, and destroys every key that is due. Answers how many were destroyed.
    ///
    /// # Errors
    /// The first KMSInternalException met: the store failed or a record is damaged. What could be
    /// destroyed was; the next sweep tries the rest again.
    pub async fn sweep(&self) -> std::result::Result<u64, Error> {
        // Its failure, told at the end, keeps no key alive.
        let unwritten = self.write_usage().await.err();
        self.may_act()?;
        let (mut destroyed, mut failed) = (0, None);
        // One moment for all of it: the clock may be moved back meanwhile.
        let now = self.clock.now();
        let end = paths::due_after(now);
        let mut range = KeyRange { start: paths::DUE.to_vec(), end: Some(end) };
        loop {
            let page = self.store.scan(range.clone(), PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            range = range.after(last);
            for (path, found) in page {
                match self.carry_out(path, &found, now).await {
                    Ok(true) => destroyed += 1,
                    Ok(false) => {}
                    // Somebody else was faster: cancelled the deletion, or swept.
                    Err(error) if error.is_conflict() => {}
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        bury(self.store.as_ref(), self.keyring.record_key()).await?;
        failed.or(unwritten).map_or(Ok(destroyed), Err)
    }

    async fn carry_out(&self, path: paths::Path, found: &Versioned, now: i64) -> Result<bool> {
        let due: DueRecord = records::decode(self.keyring.record_key(), &path, &found.value)
            .map_err(Error::internal)?;
        if self.destroy(due.account, &due.region, due.id, now).await? {
            return Ok(true);
        }
        if self.settle_if_due(due.account, &due.region, due.id).await? {
            Draft::default().delete(path).commit(self).await?;
            return Ok(false);
        }
        if self.expire_if_due(due.account, &due.region, due.id).await? {
            Draft::default().delete(path).commit(self).await?;
            return Ok(false);
        }
        if self.rotate_if_due(due.account, &due.region, due.id).await? {
            // The next rotation has an entry of its own by now.
            Draft::default().delete(path).commit(self).await?;
            return Ok(false);
        }
        // The deletion was cancelled or moved, or the key cannot rotate now: left alone, the entry
        // would be found for ever.
        let mut draft = Draft::default();
        draft.unchanged(path.clone(), found.revision).delete(path);
        draft.commit(self).await?;
        Ok(false)
    }

    /// Destroys a key if its waiting period is over at `now`, but for its material, which the next sweep
    /// erases. Answers whether it was destroyed.
    pub(crate) async fn destroy(
        &self,
        account: AccountId,
        region: &Region,
        key: KeyId,
        now: i64,
    ) -> Result<bool> {
        let record_key = self.keyring.record_key();
        let path = paths::key(account, region, key);
        let Some(found) = self.store.read(&path).await? else { return Ok(false) };
        let record: KeyRecord =
            records::decode(record_key, &path, &found.value).map_err(Error::internal)?;
        let State::PendingDeletion { deletion, .. } = record.state else { return Ok(false) };
        if deletion > now {
            return Ok(false);
        }
        self.delete_grants(account, region, key).await?;
        let reference_path = paths::reference(key);
        let reference = self
            .store
            .read(&reference_path)
            .await?
            .ok_or_else(|| Error::internal("a key without its reference"))?;
        let mut holders: ReferenceRecord =
            records::decode(record_key, &reference_path, &reference.value)
                .map_err(Error::internal)?;
        holders.regions.retain(|other| other != region.as_str());

        let mut draft = Draft::default();
        // As many aliases as a key usually has go with it in one commit, more of them before it.
        while self.forget_aliases(&mut draft, account, region, key).await? {
            draft.commit(self).await?;
        }
        draft.unchanged(path.clone(), found.revision).delete(path);
        draft.unchanged(reference_path.clone(), reference.revision);
        draft.delete(paths::policy(account, region, key));
        draft.delete(paths::usage(account, region, key));
        draft.delete(paths::due(deletion, account, region, key));
        // What the key had been noted for besides: its rotations.
        for moment in record.rotations_noted() {
            draft.delete(paths::due(moment, account, region, key));
        }
        // Related keys in other Regions share what AWS_KMS made: the last one takes it along.
        // Imported bytes are each key's own.
        let last = holders.regions.is_empty();
        if last || record.origin == OriginType::External {
            let materials = record.materials.iter().map(MaterialEntry::name).collect();
            let grave = GraveRecord { account, id: key, materials };
            draft.put(self, paths::grave_of(account, key, region.as_str()), &grave)?;
        }
        if last {
            draft.delete(reference_path);
        } else {
            draft.put(self, reference_path, &holders)?;
            self.part_from_related(&mut draft, &record, deletion).await?;
        }
        let arn = key_arn(region, account, key);
        self.note_event(&mut draft, &KeyEvent::of_key("DeleteKey", &record, &arn))?;
        draft.commit(self).await?;
        Ok(true)
    }
}

impl Service {
    /// Deletes the first aliases of a key. Answers whether there are more.
    async fn forget_aliases(
        &self,
        draft: &mut Draft,
        account: AccountId,
        region: &Region,
        key: KeyId,
    ) -> Result<bool> {
        let prefix = paths::key_aliases(account, region, key);
        let found = self.store.scan(KeyRange::prefix(prefix.clone()), ALIASES + 1).await?;
        let more = found.len() > ALIASES;
        for (path, _) in found.into_iter().take(ALIASES) {
            if let Some(name) = paths::tail(&path, &prefix) {
                let alias = paths::alias(account, region, name);
                // The entry carries no tag: only the alias itself says whose it is.
                if let Some(found) = self.store.read(&alias).await?
                    && let Ok(record) = records::decode::<AliasRecord>(
                        self.keyring.record_key(),
                        &alias,
                        &found.value,
                    )
                    && record.target == key
                {
                    draft.unchanged(alias.clone(), found.revision).delete(alias);
                }
            }
            draft.delete(path);
        }
        Ok(more)
    }
}

/// Erases the key material that the graves name, and the graves with it.
///
/// # Errors
/// KMSInternalException if the store fails or a grave is damaged; what the others name is erased.
pub(crate) async fn bury(store: &dyn Store, record_key: &RecordKey) -> Result<()> {
    let mut failed = None;
    let mut range = KeyRange::prefix(paths::GRAVES);
    loop {
        let graves = store.scan(range.clone(), PAGE).await?;
        let Some((last, _)) = graves.last() else { break };
        range = range.after(last);
        let mut doomed = Vec::new();
        for (path, found) in graves {
            match content(record_key, &path, &found.value) {
                Ok(materials) => doomed.extend(materials.into_iter().chain([path])),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        for batch in doomed.chunks(PAGE) {
            store.erase(batch.to_vec()).await?;
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The paths of the key material that a grave names.
fn content(record_key: &RecordKey, path: &[u8], value: &[u8]) -> Result<Vec<paths::Path>> {
    let grave: GraveRecord = records::decode(record_key, path, value).map_err(Error::internal)?;
    let place = |name: &String| paths::material_by_name(grave.account, grave.id, name);
    Ok(grave.materials.iter().map(place).collect())
}
