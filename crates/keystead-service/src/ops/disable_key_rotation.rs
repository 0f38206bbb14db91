//! DisableKeyRotation: ends automatic rotation. Idempotent; of a key that cannot be rotated there is
//! none to end, which the real service is reported to answer with success (2026).

use keystead_model::{DisableKeyRotationRequest, Empty, OperationName};

use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Operation, Writes};
use crate::paths;
use crate::proofs::Usable;
use crate::rotation::is_primary;
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
        if key.0.record.is_symmetric() { is_primary(&key.0) } else { Ok(()) }
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
