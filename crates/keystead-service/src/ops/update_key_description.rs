//! UpdateKeyDescription: changes what a key says of itself; an empty text clears it.

use keystead_model::{Empty, OperationName, UpdateKeyDescriptionRequest};

use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Operation, Writes};
use crate::proofs::Usable;
use crate::service::Service;
use crate::write::{Change, Draft};

pub(super) struct UpdateKeyDescription;

impl Operation for UpdateKeyDescription {
    type Input = UpdateKeyDescriptionRequest;
    type Output = Empty;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::UpdateKeyDescription);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Writes for UpdateKeyDescription {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Change<Empty>> {
        let mut record = key.0.record.clone();
        record.description = input.description.clone();
        let mut draft = Draft::default();
        draft.replace(service, &key.0, &record)?;
        Ok(draft.answering(Empty))
    }
}
