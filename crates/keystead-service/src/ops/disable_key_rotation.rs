//! DisableKeyRotation: ends automatic rotation. Idempotent.

use keystead_model::{DisableKeyRotationRequest, Empty, OperationName};

use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Operation, Writes};
use crate::paths;
use crate::proofs::Usable;
use crate::rotation::{is_primary, is_rotatable};
use crate::service::Service;
use crate::write::{Change, Draft};

pub(super) struct DisableKeyRotation;

impl Operation for DisableKeyRotation {
    type Input = DisableKeyRotationRequest;
    type Output = Empty;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::DisableKeyRotation);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }

    fn fits(key: &Usable<Key>, _: &Self::Input) -> Result<()> {
        is_rotatable(&key.0)?;
        is_primary(&key.0)
    }
}

impl Writes for DisableKeyRotation {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        _: &Self::Input,
    ) -> Result<Change<Empty>> {
        let mut record = key.0.record.clone();
        let mut draft = Draft::default();
        if let Some(rotation) = record.rotation.take() {
            draft.delete(paths::due(rotation.next, record.account, &record.region, record.id));
            service.replace_related(&mut draft, &key.0, &record).await?;
        }
        Ok(draft.answering(Empty))
    }
}
