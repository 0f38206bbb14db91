//! RotateKeyOnDemand: rotates a symmetric key's material now, at most 25 times in a key's life.
//! The schedule of automatic rotation stays as it is.

use keystead_model::{
    OperationName, OriginType, RotateKeyOnDemandRequest, RotateKeyOnDemandResponse, RotationType,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::import;
use crate::operation::{Facts, Key, Operation, Writes};
use crate::proofs::Usable;
use crate::records::OnDemand;
use crate::rotation::{is_primary, is_rotatable};
use crate::service::Service;
use crate::write::{Change, Draft};

/// How often a key can be rotated on demand.
const MAXIMUM: usize = 25;

/// How near an automatic rotation may be, milliseconds.
const NEAR: i64 = 20 * 60 * 1_000;

pub(super) struct RotateKeyOnDemand;

impl Operation for RotateKeyOnDemand {
    type Input = RotateKeyOnDemandRequest;
    type Output = RotateKeyOnDemandResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::RotateKeyOnDemand);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, _: &Self::Input) -> Result<()> {
        is_rotatable(&key.0)?;
        let origin = key.0.record.origin;
        if matches!(origin, OriginType::AwsCloudhsm | OriginType::ExternalKeyStore) {
            return Err(Error::wrong_origin(&key.0.arn, origin.as_str()));
        }
        is_primary(&key.0)?;
        let on_demand = |rotated: &crate::records::Rotated| rotated.kind == RotationType::OnDemand;
        let materials = &key.0.record.materials;
        let done =
            materials.iter().filter_map(|entry| entry.rotated.as_ref()).filter(|r| on_demand(r));
        if done.count() >= MAXIMUM {
            return Err(Error::on_demand_limit(&key.0.arn));
        }
        Ok(())
    }
}

impl Writes for RotateKeyOnDemand {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        _: &Self::Input,
    ) -> Result<Change<Self::Output>> {
        let now = service.clock.now();
        let mut record = key.0.record.clone();
        if record.on_demand.is_some() {
            return Err(Error::rotation_conflict(&key.0.arn));
        }
        let due = record.rotation.as_ref().map(|rotation| rotation.next);
        if due.is_some_and(|next| next <= now.saturating_add(NEAR)) {
            return Err(Error::rotation_conflict(&key.0.arn));
        }
        let mut draft = Draft::default();
        if record.origin == OriginType::External
            && !(import::has_pending(&record) && service.is_imported_everywhere(&record).await?)
        {
            return Err(Error::no_pending_material(&key.0.arn));
        }
        match service.settings.rotation_delay {
            0 => service.rotate(&mut record, &mut draft, now, RotationType::OnDemand)?,
            delay => {
                let completes = now.saturating_add(delay);
                record.on_demand = Some(OnDemand { started: now, completes });
                service.due(&mut draft, &record, completes)?;
            }
        }
        service.replace_related(&mut draft, &key.0, &record).await?;
        Ok(draft.answering(RotateKeyOnDemandResponse { key_id: Some(key.0.arn.clone()) }))
    }
}
