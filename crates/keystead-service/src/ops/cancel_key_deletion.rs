//! CancelKeyDeletion: ends a key's waiting period. The key is disabled then, whatever it was before.

use keystead_model::{CancelKeyDeletionRequest, CancelKeyDeletionResponse, OperationName};

use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Operation, Writes};
use crate::paths;
use crate::proofs::Usable;
use crate::service::Service;
use crate::state::State;
use crate::write::{Change, Draft};

pub(super) struct CancelKeyDeletion;

impl Operation for CancelKeyDeletion {
    type Input = CancelKeyDeletionRequest;
    type Output = CancelKeyDeletionResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::CancelKeyDeletion);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Writes for CancelKeyDeletion {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        _: &Self::Input,
    ) -> Result<Change<Self::Output>> {
        let mut record = key.0.record.clone();
        let mut draft = Draft::default();
        if let State::PendingDeletion { deletion, .. } = record.state
            && record.rotation.as_ref().is_none_or(|rotation| rotation.next != deletion)
        {
            draft.delete(paths::due(deletion, record.account, &record.region, record.id));
        }
        record.state = State::Disabled;
        draft.replace(service, &key.0, &record)?;
        Ok(draft.answering(CancelKeyDeletionResponse { key_id: Some(key.0.arn.clone()) }))
    }
}
