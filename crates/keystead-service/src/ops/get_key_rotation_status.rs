//! GetKeyRotationStatus: whether and when a key is rotated. Keys that cannot be rotated say no.

use keystead_model::{
    GetKeyRotationStatusRequest, GetKeyRotationStatusResponse, OperationName, Timestamp,
};

use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;
use crate::state::State;

pub(super) struct GetKeyRotationStatus;

impl Operation for GetKeyRotationStatus {
    type Input = GetKeyRotationStatusRequest;
    type Output = GetKeyRotationStatusResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::GetKeyRotationStatus).across_accounts();

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Reads for GetKeyRotationStatus {
    /// A key that waits for deletion reports no rotation; the setting is kept for its return.
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        _: &Self::Input,
    ) -> Result<Self::Output> {
        let record = &key.0.record;
        let waits = matches!(
            record.state,
            State::PendingDeletion { .. } | State::PendingReplicaDeletion { .. }
        );
        let rotation = record.rotation.as_ref().filter(|_| !waits);
        let now = service.clock.now();
        let on_demand = record.on_demand.as_ref().filter(|on_demand| on_demand.completes > now);
        Ok(GetKeyRotationStatusResponse {
            key_rotation_enabled: Some(rotation.is_some()),
            key_id: Some(key.0.arn.clone()),
            rotation_period_in_days: rotation.map(|rotation| rotation.period),
            next_rotation_date: rotation.map(|rotation| Timestamp::from_millis(rotation.next)),
            on_demand_rotation_start_date: on_demand
                .map(|on_demand| Timestamp::from_millis(on_demand.started)),
        })
    }
}
