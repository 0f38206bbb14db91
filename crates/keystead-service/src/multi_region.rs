//! Multi-Region keys (behaviour.md 4.10): related keys in several Regions of one store that share
//! id, material, rotation and the question who is primary, and nothing else.

use keystead_model::{AccountId, KeyId, KeyMaterialId, OriginType, Region};

use crate::audit::KeyEvent;
use crate::error::{Error, Result};
use crate::keys::KeyEntry;
use crate::records::{Imported, KeyRecord, MaterialEntry, MultiRegion, Settling};
use crate::service::Service;
use crate::state::State;
use crate::write::Draft;

impl Service {
    /// The other keys that a multi-Region key is related to, as the store has them.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn related(&self, record: &KeyRecord) -> Result<Vec<KeyEntry>> {
        let Some(all) = &record.multi_region else { return Ok(Vec::new()) };
        let mut related = Vec::new();
        for region in all.regions()?.into_iter().filter(|region| *region != record.region) {
            let key = self.keys.fresh(&self.keyring, record.account, &region, record.id);
            related.extend(key.await?);
        }
        Ok(related)
    }

    /// Replaces a key's record, and in those of its related keys what they share with it.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn replace_related(
        &self,
        draft: &mut Draft,
        entry: &KeyEntry,
        record: &KeyRecord,
    ) -> Result<()> {
        self.replace_related_but(draft, entry, record, &record.region).await
    }

    /// The same, but for the key in `region`, which the caller writes itself.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn replace_related_but(
        &self,
        draft: &mut Draft,
        entry: &KeyEntry,
        record: &KeyRecord,
        region: &Region,
    ) -> Result<()> {
        draft.replace(self, entry, record)?;
        if record.is_replica() {
            return Ok(());
        }
        let related = self.related(record).await?;
        for other in related.iter().filter(|other| other.record.region != *region) {
            let changed = KeyRecord {
                materials: shared(&record.materials, &other.record),
                rotation: record.rotation.clone(),
                on_demand: record.on_demand.clone(),
                multi_region: record.multi_region.clone(),
                ..other.record.clone()
            };
            draft.replace(self, other, &changed)?;
            let event = KeyEvent::of_key("SynchronizeMultiRegionKey", &changed, &other.arn);
            self.note_event(draft, &event)?;
        }
        Ok(())
    }

    /// Commits an import into a key's record; the first or a new material of a primary key becomes
    /// known to its replicas, which must import it, too.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn announce_import(
        &self,
        draft: &mut Draft,
        entry: &KeyEntry,
        record: &KeyRecord,
        new: KeyMaterialId,
    ) -> Result<()> {
        if entry.record.materials.iter().any(|known| known.id == new) {
            draft.replace(self, entry, record)?;
            return Ok(());
        }
        self.replace_related(draft, entry, record).await
    }

    /// Whether all related keys have every material that waits for a rotation.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn is_imported_everywhere(&self, record: &KeyRecord) -> Result<bool> {
        let related = self.related(record).await?;
        let lacks = |entry: &MaterialEntry| {
            entry.imported.as_ref().is_some_and(|imported| imported.pending && !imported.present)
        };
        Ok(!related.iter().any(|other| other.record.materials.iter().any(lacks)))
    }

    /// Takes a destroyed key off the lists of its related keys. A primary key that waited for its
    /// last replica begins its own waiting period at `moment`.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn part_from_related(
        &self,
        draft: &mut Draft,
        gone: &KeyRecord,
        moment: i64,
    ) -> Result<()> {
        for other in self.related(gone).await? {
            let mut record = other.record.clone();
            if let Some(all) = &mut record.multi_region {
                all.replicas.retain(|region| region != gone.region.as_str());
                let alone = all.replicas.is_empty();
                if let State::PendingReplicaDeletion { window } = record.state
                    && alone
                {
                    let deletion = moment.saturating_add(crate::rotation::DAY * i64::from(window));
                    record.state = State::PendingDeletion { deletion, window };
                    self.due(draft, &record, deletion)?;
                }
            }
            draft.replace(self, &other, &record)?;
        }
        Ok(())
    }

    /// Ends a passing state whose time is over. Answers whether there was one.
    ///
    /// # Errors
    /// A conflict if the key changed meanwhile, KMSInternalException.
    pub(crate) async fn settle_if_due(
        &self,
        account: AccountId,
        region: &Region,
        key: KeyId,
    ) -> Result<bool> {
        let Some(entry) = self.keys.fresh(&self.keyring, account, region, key).await? else {
            return Ok(false);
        };
        let mut record = entry.record.clone();
        let now = self.clock.now();
        let Some(settling) = record.settling.take_if(|settling| settling.at <= now) else {
            return Ok(false);
        };
        // Whoever changed the state meanwhile meant it.
        if matches!(record.state, State::Creating | State::Updating) {
            record.state = settling.into;
        }
        Draft::default().replace(self, &entry, &record)?.commit(self).await?;
        Ok(true)
    }

    /// Puts a key into a passing state, if such states are to be seen.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) fn settle_later(
        &self,
        draft: &mut Draft,
        record: &mut KeyRecord,
        passing: State,
    ) -> Result<()> {
        let delay = self.settings.settling_delay;
        if delay > 0 {
            let at = self.clock.now().saturating_add(delay);
            let into = std::mem::replace(&mut record.state, passing);
            record.settling = Some(Settling { at, into });
            self.due(draft, record, at)?;
        }
        Ok(())
    }
}

impl MultiRegion {
    /// The Regions of all related keys, the primary's first.
    pub(crate) fn regions(&self) -> Result<Vec<Region>> {
        let replica = |region: &String| {
            region.parse().map_err(|_| Error::internal("the Region of a replica"))
        };
        std::iter::once(Ok(self.primary.clone())).chain(self.replicas.iter().map(replica)).collect()
    }
}

/// The materials of a primary key as a related key has them: for imported material, what is there
/// and until when is each key's own.
pub(crate) fn shared(materials: &[MaterialEntry], own: &KeyRecord) -> Vec<MaterialEntry> {
    let share = |entry: &MaterialEntry| {
        let known = own.materials.iter().find(|known| known.id == entry.id);
        let imported = entry.imported.as_ref().map(|theirs| {
            let absent = Imported {
                present: false,
                generation: 0,
                region: Some(own.region.to_string()),
                pending: theirs.pending,
                valid_to: None,
                description: None,
            };
            let ours = known.and_then(|known| known.imported.clone()).unwrap_or(absent);
            Imported { pending: theirs.pending, ..ours }
        });
        MaterialEntry { imported, ..entry.clone() }
    };
    materials.iter().map(share).collect()
}

/// Refuses what is not a multi-Region primary key, in any state [obs].
///
/// # Errors
/// UnsupportedOperationException.
pub(crate) fn must_be_primary(key: &KeyEntry) -> Result<()> {
    if key.record.multi_region.is_none() || key.record.is_replica() {
        return Err(Error::not_primary(&key.arn));
    }
    Ok(())
}

/// The state of a replica that was just made.
pub(crate) fn first_state(origin: OriginType) -> State {
    match origin {
        OriginType::External => State::PendingImport,
        _ => State::Enabled,
    }
}
