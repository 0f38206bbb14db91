//! ListAliases: the aliases of the account and Region, or of one key, by ascending name. Among those
//! of the account are the predefined ones of AWS managed keys that do not exist yet.

use std::collections::BTreeSet;

use keystead_model::{
    AliasListEntry, ListAliasesRequest, ListAliasesResponse, OperationName, Timestamp, alias_arn,
};
use keystead_store::KeyRange;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::managed_keys;
use crate::operation::{Facts, Operation, OptionalKey, Reads};
use crate::pagination::{List, Sizes, cut};
use crate::paths;
use crate::proofs::Usable;
use crate::records::{self, AliasRecord};
use crate::service::Service;

const SIZES: Sizes = Sizes { default: 50, maximum: 100 };

pub(super) struct ListAliases;

impl Operation for ListAliases {
    type Input = ListAliasesRequest;
    type Output = ListAliasesResponse;
    type Target = OptionalKey;

    const FACTS: Facts = Facts::management(OperationName::ListAliases);

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        SIZES.check(input.limit)
    }

    async fn resolve(
        service: &Service,
        caller: &Caller,
        input: &Self::Input,
    ) -> Result<OptionalKey> {
        match &input.key_id {
            Some(key) => service.key(caller, key, &Self::FACTS).await.map(Some),
            None => Ok(None),
        }
        .map(OptionalKey)
    }
}

impl Reads for ListAliases {
    async fn act(
        service: &Service,
        caller: &Caller,
        key: Usable<OptionalKey>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let (account, region) = (caller.account(), caller.region());
        let (filter, prefix) = match &key.0 {
            Some(key) => {
                let id = key.record.id;
                (id.to_string(), paths::key_aliases(account, region, id))
            }
            None => (String::new(), paths::aliases(account, region)),
        };
        let list = List { operation: Self::FACTS.name, filter: &filter, sizes: SIZES };
        let page = list.page(service, caller, input.limit, input.marker.as_deref())?;
        let mut range = KeyRange::prefix(prefix.clone());
        if let Some(last) = &page.after {
            range = range.after(&[&prefix, last.as_bytes()].concat());
        }
        let mut names = BTreeSet::new();
        for (path, _) in service.store.scan(range, page.size + 1).await? {
            let name = paths::tail(&path, &prefix);
            names.insert(name.ok_or_else(|| Error::internal("the path of an alias"))?.to_owned());
        }
        // Those of the store that were not read come after the page, wherever these fall.
        if key.0.is_none() {
            let follows = |name: &String| page.after.as_ref().is_none_or(|last| name > last);
            names.extend(managed_keys::predefined().filter(follows));
        }
        let mut found: Vec<String> = names.into_iter().take(page.size + 1).collect();
        let truncated = cut(&mut found, page.size);
        let mut aliases = Vec::with_capacity(found.len());
        for name in &found {
            aliases.extend(entry(service, caller, name).await?);
        }
        let next_marker = match found.last() {
            Some(last) if truncated => Some(list.marker(service, caller, last)?),
            _ => None,
        };
        Ok(ListAliasesResponse { aliases: Some(aliases), next_marker, truncated: Some(truncated) })
    }
}

/// One alias, unless it or its key has gone meanwhile.
async fn entry(service: &Service, caller: &Caller, name: &str) -> Result<Option<AliasListEntry>> {
    let (account, region) = (caller.account(), caller.region());
    let path = paths::alias(account, region, name);
    let Some(found) = service.store.read(&path).await? else {
        // An alias of an AWS managed key that does not exist yet: neither target nor dates.
        return Ok(managed_keys::of_alias(name).map(|_| AliasListEntry {
            alias_name: Some(name.to_owned()),
            alias_arn: Some(alias_arn(region, &account, name)),
            ..AliasListEntry::default()
        }));
    };
    let record: AliasRecord = records::decode(service.keyring.record_key(), &path, &found.value)
        .map_err(Error::internal)?;
    let key = service.keys.find(&service.keyring, record.target, region).await?;
    if key.is_none_or(|key| key.is_gone(service.clock.now())) {
        return Ok(None);
    }
    Ok(Some(AliasListEntry {
        alias_name: Some(name.to_owned()),
        alias_arn: Some(alias_arn(region, &account, name)),
        target_key_id: Some(record.target.to_string()),
        creation_date: Some(Timestamp::from_millis(record.created)),
        last_updated_date: Some(Timestamp::from_millis(record.updated)),
    }))
}
