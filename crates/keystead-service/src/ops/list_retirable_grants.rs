//! ListRetirableGrants: the grants that name a principal of the caller's account as their retiring
//! principal, on keys of any account.

use keystead_model::{ListGrantsResponse, ListRetirableGrantsRequest, OperationName};
use keystead_policy::AwsPrincipal;
use keystead_store::KeyRange;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::grants::{GrantPlace, check_principal, entry};
use crate::operation::{Demand, Demands, Facts, Operation, Reads, Resource, Target};
use crate::pagination::{List, Sizes, cut};
use crate::paths;
use crate::proofs::Usable;
use crate::service::Service;

const SIZES: Sizes = Sizes { default: 50, maximum: 100 };

pub(super) struct ListRetirableGrants;

/// The retiring principal that is asked about.
pub(crate) struct Retirable(String);

impl Target for Retirable {
    fn demands(&self, facts: &Facts) -> Demands<'_> {
        let principal = Some(Resource::Principal(&self.0));
        [Some(Demand::elsewhere(facts.name.as_str(), principal)), None, None, None]
    }
}

impl Operation for ListRetirableGrants {
    type Input = ListRetirableGrantsRequest;
    type Output = ListGrantsResponse;
    type Target = Retirable;

    const FACTS: Facts = Facts::management(OperationName::ListRetirableGrants);

    /// A principal of another account is refused as one that the caller may not ask about.
    fn check(_: &Service, caller: &Caller, input: &Self::Input) -> Result<()> {
        SIZES.check(input.limit)?;
        check_principal(&input.retiring_principal, caller)?;
        let account = match AwsPrincipal::parse(&input.retiring_principal) {
            AwsPrincipal::Arn { account, .. } => account.to_string(),
            AwsPrincipal::Account { account, .. } => account.to_string(),
            _ => return Err(Error::invalid_principal()),
        };
        if account != caller.account().as_str() {
            let arn = caller.principal().shown_arn();
            return Err(Error::denied_across_accounts(arn, "kms:ListRetirableGrants"));
        }
        Ok(())
    }

    async fn resolve(_: &Service, _: &Caller, input: &Self::Input) -> Result<Retirable> {
        Ok(Retirable(input.retiring_principal.clone()))
    }
}

impl Reads for ListRetirableGrants {
    async fn act(
        service: &Service,
        caller: &Caller,
        _: Usable<Retirable>,
        input: &Self::Input,
    ) -> Result<Self::Output> {
        let principal = &input.retiring_principal;
        let list = List { operation: Self::FACTS.name, filter: principal, sizes: SIZES };
        let page = list.page(service, caller, input.limit, input.marker.as_deref())?;
        let prefix = paths::retirables(caller.region(), principal);
        let mut range = KeyRange::prefix(prefix.clone());
        if let Some(last) = &page.after {
            range = range.after(&[&prefix, last.as_bytes()].concat());
        }
        let mut found = service.store.scan(range, page.size + 1).await?;
        let truncated = cut(&mut found, page.size);
        let (mut grants, mut last) = (Vec::new(), None);
        for (path, _) in &found {
            let tail =
                paths::tail(path, &prefix).ok_or_else(|| Error::internal("a retirable grant"))?;
            let place = place(caller, tail).ok_or_else(|| Error::internal("a retirable grant"))?;
            grants.extend(service.grant(place).await?.as_ref().map(entry));
            last = Some(tail);
        }
        let next_marker = match last {
            Some(last) if truncated => Some(list.marker(service, caller, last)?),
            _ => None,
        };
        Ok(ListGrantsResponse { grants: Some(grants), next_marker, truncated: Some(truncated) })
    }
}

fn place(caller: &Caller, tail: &str) -> Option<GrantPlace> {
    let mut parts = tail.split('/');
    Some(GrantPlace {
        account: parts.next()?.parse().ok()?,
        region: caller.region().clone(),
        key: parts.next()?.parse().ok()?,
        id: parts.next()?.to_owned(),
    })
}
