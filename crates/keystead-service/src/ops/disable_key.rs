//! DisableKey: stops all cryptographic use of a key. Idempotent.

use keystead_model::{DisableKeyRequest, Empty, OperationName};

use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Operation, Writes};
use crate::proofs::Usable;
use crate::service::Service;
use crate::state::State;
use crate::write::{Change, Draft};

pub(super) struct DisableKey;

impl Operation for DisableKey {
    type Input = DisableKeyRequest;
    type Output = Empty;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::DisableKey);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Writes for DisableKey {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        _: &Self::Input,
    ) -> Result<Change<Empty>> {
        let mut record = key.0.record.clone();
        record.state = match record.state {
            State::Unavailable { .. } => State::Unavailable { enabled: false },
            _ => State::Disabled,
        };
        let mut draft = Draft::default();
        if record.state != key.0.record.state {
            draft.replace(service, &key.0, &record)?;
        }
        Ok(draft.answering(Empty))
    }
}
