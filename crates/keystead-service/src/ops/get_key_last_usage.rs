//! GetKeyLastUsage: when a key was last used successfully, and by which request.

use keystead_model::{
    GetKeyLastUsageRequest, GetKeyLastUsageResponse, KeyLastUsageData, OperationName, Timestamp,
};

use crate::caller::Caller;
use crate::error::Result;
use crate::operation::{Facts, Key, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;

pub(super) struct GetKeyLastUsage;

impl Operation for GetKeyLastUsage {
    type Input = GetKeyLastUsageRequest;
    type Output = GetKeyLastUsageResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::GetKeyLastUsage);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Reads for GetKeyLastUsage {
    /// Of a key without use, `KeyLastUsage` is there and empty: the developer guide's example
    /// ("Determine past usage of a KMS key"). `KeyId` is the key id there, no ARN.
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        _: &Self::Input,
    ) -> Result<Self::Output> {
        let record = &key.0.record;
        let last = service.last_use(&key.0.place).await?;
        let last = last.map_or_else(KeyLastUsageData::default, |last| KeyLastUsageData {
            operation: Some(last.operation),
            timestamp: Some(Timestamp::from_millis(last.moment)),
            cloud_trail_event_id: Some(last.event),
            kms_request_id: Some(last.request),
        });
        let tracked_since = record.created.max(service.usage.since);
        Ok(GetKeyLastUsageResponse {
            key_id: Some(record.id.to_string()),
            key_last_usage: Some(last),
            tracking_start_date: Some(Timestamp::from_millis(tracked_since)),
            key_creation_date: Some(Timestamp::from_millis(record.created)),
        })
    }
}
