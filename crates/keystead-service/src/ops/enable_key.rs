//! EnableKey: makes a disabled key usable again. Idempotent.

use keystead_model::{Empty, EnableKeyRequest, OperationName, OriginType};

use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Operation, Writes};
use crate::proofs::Usable;
use crate::service::Service;
use crate::state::State;
use crate::write::{Change, Draft, FollowUp};

pub(super) struct EnableKey;

impl Operation for EnableKey {
    type Input = EnableKeyRequest;
    type Output = Empty;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::EnableKey);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Writes for EnableKey {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        _: &Self::Input,
    ) -> Result<Change<Empty>> {
        let mut record = key.0.record.clone();
        let waits = record.origin == OriginType::External && !record.is_complete();
        record.state = match record.state {
            State::Unavailable { .. } => State::Unavailable { enabled: true },
            _ if waits => State::PendingImport,
            _ => State::Enabled,
        };
        if record.state == key.0.record.state {
            return Ok(Draft::default().answering(Empty));
        }
        let mut draft = Draft::default();
        let now = service.clock.now();
        let overdue = record.rotation.as_ref().is_some_and(|rotation| rotation.next <= now);
        if let Some(rotation) = &mut record.rotation
            && record.state == State::Enabled
            && !key.0.record.is_replica()
        {
            // What came due meanwhile is made up for once, at once.
            rotation.next = rotation.next.max(now);
            let next = rotation.next;
            service.due(&mut draft, &record, next)?;
        }
        service.replace_related(&mut draft, &key.0, &record).await?;
        if overdue {
            draft.then(FollowUp::Rotate(record.account, record.region, record.id));
        }
        Ok(draft.answering(Empty))
    }
}
