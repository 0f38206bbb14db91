//! GetKeyPolicy: a key's policy, printed anew with the member order of its author.

use keystead_model::{GetKeyPolicyRequest, GetKeyPolicyResponse, OperationName};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Key, Operation, Reads};
use crate::proofs::Usable;
use crate::records::{self, PolicyRecord};
use crate::service::Service;
use crate::{key_policy, paths};

pub(super) struct GetKeyPolicy;

impl Operation for GetKeyPolicy {
    type Input = GetKeyPolicyRequest;
    type Output = GetKeyPolicyResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::GetKeyPolicy);

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Reads for GetKeyPolicy {
    async fn act(
        service: &Service,
        _: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        if input.policy_name.as_deref().is_some_and(|name| name != key_policy::NAME) {
            return Err(Error::not_found("No such policy exists"));
        }
        let record = &key.0.record;
        let path = paths::policy(record.account, &record.region, record.id);
        let found = service
            .store
            .read(&path)
            .await?
            .ok_or_else(|| Error::internal("a key without its policy"))?;
        let policy: PolicyRecord =
            records::decode(service.keyring.record_key(), &path, &found.value)
                .map_err(Error::internal)?;
        let text = keystead_policy::pretty(&policy.text).map_err(Error::internal)?;
        Ok(GetKeyPolicyResponse { policy: Some(text), policy_name: Some(key_policy::NAME.into()) })
    }
}
