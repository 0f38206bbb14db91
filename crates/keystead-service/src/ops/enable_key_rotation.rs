//! EnableKeyRotation: rotates a symmetric key's material every 90 to 2560 days, by default 365.

use keystead_model::{Empty, EnableKeyRotationRequest, OperationName};

use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Operation, Writes};
use crate::paths;
use crate::proofs::Usable;
use crate::records::Rotation;
use crate::rotation::{DAY, is_primary, is_rotatable};
use crate::service::Service;
use crate::write::{Change, Draft};

const DEFAULT_DAYS: i32 = 365;

pub(super) struct EnableKeyRotation;

impl Operation for EnableKeyRotation {
    type Input = EnableKeyRotationRequest;
    type Output = Empty;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::EnableKeyRotation);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, _: &Self::Input) -> Result<()> {
        is_rotatable(&key.0)?;
        is_primary(&key.0)
    }
}

impl Writes for EnableKeyRotation {
    /// Enabled again with the period it has, a key keeps its schedule.
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Change<Empty>> {
        let period = input.rotation_period_in_days.unwrap_or(DEFAULT_DAYS);
        let mut record = key.0.record.clone();
        if record.rotation.as_ref().is_some_and(|rotation| rotation.period == period) {
            return Ok(Draft::default().answering(Empty));
        }
        let mut draft = Draft::default();
        if let Some(old) = &record.rotation {
            draft.delete(paths::due(old.next, record.account, &record.region, record.id));
        }
        let next = service.clock.now().saturating_add(DAY * i64::from(period));
        record.rotation = Some(Rotation { period, next });
        service.due(&mut draft, &record, next)?;
        service.replace_related(&mut draft, &key.0, &record).await?;
        Ok(draft.answering(Empty))
    }
}
