//! PutKeyPolicy: replaces a key's policy. Idempotent.

use keystead_model::{Empty, OperationName, PutKeyPolicyRequest};
use serde_json::Map;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Key, Operation, Writes};
use crate::proofs::Usable;
use crate::records::PolicyRecord;
use crate::service::Service;
use crate::write::{Change, Draft};
use crate::{key_policy, paths};

pub(super) struct PutKeyPolicy;

impl Operation for PutKeyPolicy {
    type Input = PutKeyPolicyRequest;
    type Output = Empty;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::PutKeyPolicy);

    fn check(service: &Service, caller: &Caller, input: &Self::Input) -> Result<()> {
        if let Some(name) = input.policy_name.as_deref().filter(|name| *name != key_policy::NAME) {
            return Err(Error::unsupported(format!(
                "The name of a key policy is default, not {name}."
            )));
        }
        key_policy::check(service, &input.policy, caller)
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Writes for PutKeyPolicy {
    async fn act(
        service: &Service,
        caller: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Change<Empty>> {
        if input.bypass_policy_lockout_safety_check != Some(true) {
            key_policy::check_lockout(service, caller, &input.policy, &key.0.record)?;
        }
        let record = &key.0.record;
        let (account, region, id) = (record.account, &record.region, record.id);
        let policy = PolicyRecord { text: input.policy.clone(), unknown: Map::new() };
        let mut draft = Draft::default();
        // The key must still exist: a policy of a deleted key would stay for ever. And its record is
        // written anew, so that what was permitted by the policy of before and is not committed yet
        // loses the race, and asks again.
        draft.replace(service, &key.0, record)?;
        draft.put(service, paths::policy(account, region, id), &policy)?;
        Ok(draft.answering(Empty))
    }
}
