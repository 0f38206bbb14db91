//! ScheduleKeyDeletion: begins a key's waiting period, 7 to 30 days, after which it is destroyed.

use keystead_model::{
    KeyState, OperationName, ScheduleKeyDeletionRequest, ScheduleKeyDeletionResponse, Timestamp,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Key, Operation, Writes};
use crate::proofs::Usable;
use crate::rotation::DAY;
use crate::service::Service;
use crate::state::State;
use crate::write::{Change, Draft};

const DEFAULT_DAYS: i32 = 30;

pub(super) struct ScheduleKeyDeletion;

impl Operation for ScheduleKeyDeletion {
    type Input = ScheduleKeyDeletionRequest;
    type Output = ScheduleKeyDeletionResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::ScheduleKeyDeletion);

    /// The model allows 1 to 365 days, the service 7 to 30 [obs 2020].
    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        match input.pending_window_in_days {
            None | Some(7..=30) => Ok(()),
            Some(_) => Err(Error::validation("PendingWindowInDays must be between 7 and 30")),
        }
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Writes for ScheduleKeyDeletion {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Change<Self::Output>> {
        let window = input.pending_window_in_days.unwrap_or(DEFAULT_DAYS);
        let mut record = key.0.record.clone();
        let mut draft = Draft::default();
        let waits_for_replicas = record
            .multi_region
            .as_ref()
            .is_some_and(|all| all.primary == record.region && !all.replicas.is_empty());
        let deletion = if waits_for_replicas {
            record.state = State::PendingReplicaDeletion { window };
            None
        } else {
            let deletion = service.clock.now().saturating_add(DAY * i64::from(window));
            record.state = State::PendingDeletion { deletion, window };
            service.due(&mut draft, &record, deletion)?;
            Some(Timestamp::from_millis(deletion))
        };
        draft.replace(service, &key.0, &record)?;
        Ok(draft.answering(ScheduleKeyDeletionResponse {
            key_id: Some(key.0.arn.clone()),
            deletion_date: deletion,
            key_state: Some(match deletion {
                Some(_) => KeyState::PendingDeletion,
                None => KeyState::PendingReplicaDeletion,
            }),
            pending_window_in_days: Some(window),
        }))
    }
}
