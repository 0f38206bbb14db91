//! Rotation: new key material for a key that keeps its id, by schedule or on demand
//! (behaviour.md 4.6). Old material stays and opens what it sealed.

use keystead_crypto::SymmetricMaterial;
use keystead_model::{AccountId, KeyId, KeyMaterialId, OriginType, Region, RotationType};
use serde_json::Map;

use crate::error::{Error, Result};
use crate::import;
use crate::keys::KeyEntry;
use crate::paths;
use crate::records::{DueRecord, KeyRecord, MaterialEntry, Rotated};
use crate::service::Service;
use crate::state::State;
use crate::write::Draft;

/// The most rotations one commit carries out when the clock has leapt.
const AT_ONCE: usize = 50;

/// One day, milliseconds.
pub(crate) const DAY: i64 = 86_400_000;

/// Refuses a key whose material cannot be rotated by schedule or on demand: no message [obs].
///
/// # Errors
/// UnsupportedOperationException.
pub(crate) fn is_rotatable(key: &KeyEntry) -> Result<()> {
    if key.record.is_symmetric() { Ok(()) } else { Err(Error::unsupported_silent()) }
}

/// Refuses a replica: its rotation is its primary key's affair.
///
/// # Errors
/// UnsupportedOperationException; the text is ReplicateKey's [obs], its use here ours.
pub(crate) fn is_primary(key: &KeyEntry) -> Result<()> {
    if key.record.is_replica() {
        return Err(Error::not_primary(&key.arn));
    }
    Ok(())
}

impl Service {
    /// Gives a key new current material; one with imported material takes the one that waits.
    pub(crate) fn rotate(
        &self,
        record: &mut KeyRecord,
        draft: &mut Draft,
        date: i64,
        kind: RotationType,
    ) -> Result<()> {
        if record.origin == OriginType::External {
            import::promote(record, date, kind);
            return Ok(());
        }
        let material = SymmetricMaterial::generate()?;
        let id = KeyMaterialId::new(material.id(&record.id.to_string(), record.spec.as_str())?);
        let wrapped = self.keyring.wrap(record, id, &material)?;
        draft.put_raw(paths::material(record.account, record.id, id), wrapped);
        record.materials.iter_mut().for_each(|entry| entry.current = false);
        record.materials.push(MaterialEntry {
            id,
            created: date,
            current: true,
            rotated: Some(Rotated { date, kind }),
            imported: None,
            unknown: Map::new(),
        });
        Ok(())
    }

    /// Completes what is due of a key's rotations. Answers whether anything was.
    ///
    /// # Errors
    /// A conflict if the key changed meanwhile, KMSInternalException.
    pub(crate) async fn rotate_if_due(
        &self,
        account: AccountId,
        region: &Region,
        key: KeyId,
    ) -> Result<bool> {
        let Some(entry) = self.keys.fresh(&self.keyring, account, region, key).await? else {
            return Ok(false);
        };
        if entry.record.is_replica() {
            // Material of its own would part it from its related keys, and the primary key's next
            // rotation would drop it from the record.
            return Ok(false);
        }
        let now = self.clock.now();
        let mut record = entry.record.clone();
        let mut draft = Draft::default();
        let mut rotated = 0;
        if let Some(on_demand) = record.on_demand.take_if(|on_demand| on_demand.completes <= now) {
            self.rotate(&mut record, &mut draft, on_demand.completes, RotationType::OnDemand)?;
            rotated += 1;
        }
        while rotated < AT_ONCE
            && record.state == State::Enabled
            && let Some(rotation) = record.rotation.clone().filter(|rotation| rotation.next <= now)
        {
            self.rotate(&mut record, &mut draft, rotation.next, RotationType::Automatic)?;
            let next = rotation.next.saturating_add(DAY * i64::from(rotation.period));
            record.rotation = Some(crate::records::Rotation { next, ..rotation });
            rotated += 1;
        }
        if rotated == 0 {
            return Ok(false);
        }
        if let Some(rotation) = &record.rotation {
            self.due(&mut draft, &record, rotation.next)?;
        }
        self.replace_related(&mut draft, &entry, &record).await?;
        draft.commit(self).await?;
        Ok(true)
    }

    /// Notes that the key is to be looked at when `moment` has come.
    pub(crate) fn due(&self, draft: &mut Draft, record: &KeyRecord, moment: i64) -> Result<()> {
        let (account, region, id) = (record.account, &record.region, record.id);
        let due = DueRecord { account, region: region.clone(), id, unknown: Map::new() };
        draft.put(self, paths::due(moment, account, region, id), &due)?;
        Ok(())
    }
}
