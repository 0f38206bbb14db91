//! ListKeys: the keys of the account and Region by ascending key id.

use keystead_model::{KeyListEntry, ListKeysRequest, ListKeysResponse, OperationName, key_arn};
use keystead_store::KeyRange;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Nothing, Operation, Reads};
use crate::pagination::{List, Sizes, cut};
use crate::paths;
use crate::proofs::Usable;
use crate::records::{self, KeyRecord};
use crate::service::Service;
use crate::state::State;

pub(super) struct ListKeys;

impl Operation for ListKeys {
    type Input = ListKeysRequest;
    type Output = ListKeysResponse;
    type Target = Nothing;

    const FACTS: Facts = Facts::management(OperationName::ListKeys);

    async fn resolve(_: &Service, _: &Caller, _: &Self::Input) -> Result<Nothing> {
        Ok(Nothing)
    }
}

impl Reads for ListKeys {
    async fn act(
        service: &Service,
        caller: &Caller,
        _: Usable<Nothing>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let sizes = Sizes { default: 100, maximum: 1_000 };
        let list = List { operation: Self::FACTS.name, filter: "", sizes };
        let page = list.page(service, caller, input.limit, input.marker.as_deref())?;
        let prefix = paths::keys(caller.account(), caller.region());
        let mut range = KeyRange::prefix(prefix.clone());
        if let Some(last) = &page.after {
            range = range.after(&[&prefix, last.as_bytes()].concat());
        }
        let now = service.clock.now();
        let mut found = service.store.scan(range, page.size + 1).await?;
        let truncated = cut(&mut found, page.size);
        let (mut keys, mut last) = (Vec::with_capacity(found.len()), None);
        for (path, value) in &found {
            let record: KeyRecord =
                records::decode(service.keyring.record_key(), path, &value.value)
                    .map_err(Error::internal)?;
            // A key whose time has come is gone before the sweep finds it; its page is shorter.
            if !matches!(record.state, State::PendingDeletion { deletion, .. } if deletion <= now) {
                keys.push(KeyListEntry {
                    key_id: Some(record.id.to_string()),
                    key_arn: Some(key_arn(&record.region, record.account, record.id)),
                });
            }
            last = Some(record.id.to_string());
        }
        let next_marker = match last {
            Some(last) if truncated => Some(list.marker(service, caller, &last)?),
            _ => None,
        };
        Ok(ListKeysResponse { keys: Some(keys), next_marker, truncated: Some(truncated) })
    }
}
