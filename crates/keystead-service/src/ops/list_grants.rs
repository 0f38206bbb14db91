//! ListGrants: the grants of a key by ascending id, or those that match a filter.

use keystead_model::{ListGrantsRequest, ListGrantsResponse, OperationName};
use keystead_store::KeyRange;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::grants::{Grant, GrantPlace, check_id, entry};
use crate::operation::{Facts, Key, Operation, Reads};
use crate::pagination::{List, Sizes};
use crate::paths;
use crate::proofs::Usable;
use crate::records::{self, GrantRecord};
use crate::service::Service;

/// How many grants one request looks at; a filter may leave a page empty with more to come.
const LOOKED_AT: usize = 1_000;

const SIZES: Sizes = Sizes { default: 50, maximum: 100 };

pub(super) struct ListGrants;

impl Operation for ListGrants {
    type Input = ListGrantsRequest;
    type Output = ListGrantsResponse;
    type Target = Key;

    const FACTS: Facts = Facts::management(OperationName::ListGrants).across_accounts();

    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        SIZES.check(input.limit)?;
        input.grant_id.iter().try_for_each(|id| check_id(id))
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Key> {
        service.key(caller, &input.key_id, &Self::FACTS).await.map(Key)
    }
}

impl Reads for ListGrants {
    async fn act(
        service: &Service,
        caller: &Caller,
        key: Usable<Key>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let record = &key.0.record;
        let (account, region, id) = (record.account, &record.region, record.id);
        let grantee = input.grantee_principal.as_deref();
        let filter = format!(
            "{id}/{}/{}",
            input.grant_id.as_deref().unwrap_or_default(),
            grantee.unwrap_or_default()
        );
        let list = List { operation: Self::FACTS.name, filter: &filter, sizes: SIZES };
        let page = list.page(service, caller, input.limit, input.marker.as_deref())?;
        let prefix = paths::grants(account, region, id);
        let mut range = match &input.grant_id {
            Some(grant) => KeyRange::prefix(paths::grant(account, region, id, grant)),
            None => KeyRange::prefix(prefix.clone()),
        };
        if let Some(last) = &page.after {
            range = range.after(&[&prefix, last.as_bytes()].concat());
        }
        let look = if grantee.is_some() { LOOKED_AT } else { page.size };
        let found = service.store.scan(range, look + 1).await?;
        let (mut grants, mut last, mut more) = (Vec::new(), None, found.len() > look);
        for (path, value) in found.iter().take(look) {
            if grants.len() == page.size {
                more = true;
                break;
            }
            let grant_id =
                paths::tail(path, &prefix).ok_or_else(|| Error::internal("the path of a grant"))?;
            let grant: GrantRecord =
                records::decode(service.keyring.record_key(), path, &value.value)
                    .map_err(Error::internal)?;
            if grantee.is_none_or(|grantee| grant.grantee == grantee) {
                let place =
                    GrantPlace { account, region: region.clone(), key: id, id: grant_id.into() };
                grants.push(entry(&Grant { place, record: grant, revision: value.revision }));
            }
            last = Some(grant_id);
        }
        let next_marker = match last {
            Some(last) if more => Some(list.marker(service, caller, last)?),
            _ => None,
        };
        Ok(ListGrantsResponse { grants: Some(grants), next_marker, truncated: Some(more) })
    }
}
