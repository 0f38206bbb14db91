//! ListKeyPolicies: the names of a key's policies, which is always the one name `default`.

use keystead_model::{ListKeyPoliciesRequest, ListKeyPoliciesResponse, OperationName};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::key_policy;
use crate::operation::{Facts, Key, Operation, Reads};
use crate::proofs::Usable;
use crate::service::Service;

pub(super) struct ListKeyPolicies;

impl Operation for ListKeyPolicies {
    type Input = ListKeyPoliciesRequest;
    type Output = ListKeyPoliciesResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::ListKeyPolicies);

    /// One page holds it all, so no marker was ever given out and none can be right.
    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        match &input.marker {
            Some(marker) => {
                Err(Error::validation(format!("Could not deserialize marker '{marker}'")))
            }
            None => Ok(()),
        }
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Reads for ListKeyPolicies {
    async fn act(_: &Service, _: &Caller, _: Usable<Key>, _: &Self::Input) -> Result<Self::Output> {
        Ok(ListKeyPoliciesResponse {
            policy_names: Some(vec![key_policy::NAME.into()]),
            next_marker: None,
            truncated: Some(false),
        })
    }
}
