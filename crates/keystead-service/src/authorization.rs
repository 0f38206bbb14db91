//! Whether a caller may do what it asks: the documents of a request are brought together here and
//! decided by `keystead-policy`; what it may not do is told in AWS's words.

use std::collections::BTreeMap;
use std::sync::Arc;

use keystead_identity::NamedPolicy;
use keystead_model::{GrantConstraints, GrantOperation, PutKeyPolicyRequest, key_arn, root_arn};
use keystead_policy::{
    Decision, Documents, Grant as Reach, Layer, Policy, PrincipalKind, Reason, Request, decide,
    decide_trust,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::grants::Grant;
use crate::keys::KeyEntry;
use crate::operation::{Demand, Resource};
use crate::records::KeyRecord;
use crate::service::Service;

mod case;
mod condition_keys;
mod facts;
mod grants;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
mod conditions;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
mod intrusion;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
mod matrix;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
mod trials;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
mod unused;

pub(crate) use case::Case;
pub(crate) use condition_keys::{ConditionKeys, omitted};
pub(crate) use facts::{Connection, RequestFacts, single, tagged};
pub(crate) use grants::{Obstacle, Wish, better, index_grantees, judge};

/// A request, as far as every permission it needs is decided by the same things.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) request: &'a (dyn ConditionKeys + Sync),
    /// The alias by which the request names its key.
    pub(crate) alias: Option<&'a str>,
    /// Whether source and destination of a ReEncrypt are one key.
    pub(crate) same_key: Option<bool>,
    /// The grants that the request's tokens name.
    pub(crate) grants: &'a [Grant],
    pub(crate) wish: Wish<'a>,
}

/// The alias that a `KeyId` is, or whose ARN it is.
pub(crate) fn named_alias(given: &str) -> Option<&str> {
    let name = match given.strip_prefix("arn:") {
        Some(_) => given.splitn(6, ':').nth(5)?,
        None => given,
    };
    name.starts_with("alias/").then_some(name)
}

/// Decides one permission.
///
/// # Errors
/// AccessDeniedException, KMSInternalException.
pub(crate) async fn permit(
    service: &Service,
    asked: &Asked<'_>,
    demand: &Demand<'_>,
) -> Result<()> {
    match &demand.resource {
        // Retiring has rules of its own.
        Some(Resource::Grant { key, grant }) => {
            return permit_retiring(service, asked, key, grant).await;
        }
        Some(Resource::OutOfReach) => {
            let (arn, action) = (asked.caller.principal().shown_arn(), demand.action);
            return Err(Error::denied_across_accounts(arn, &format!("kms:{action}")));
        }
        Some(Resource::Key(_) | Resource::Alias(_) | Resource::Principal(_)) | None => {}
    }
    let case = Case::of(service, asked, demand).await?;
    let decision = case.decide(service).await?;
    if decision.allowed { Ok(()) } else { Err(case.refusal(decision.reason)) }
}

/// Whether the grant may be retired by the caller: by the grant's own say, or by identity policies
/// of the accounts that have a part in it. Key policies can only forbid it.
///
/// # Errors
/// AccessDeniedException, KMSInternalException.
pub(crate) async fn permit_retiring(
    service: &Service,
    asked: &Asked<'_>,
    key: &Arc<KeyEntry>,
    grant: &Grant,
) -> Result<()> {
    let (principal, record) = (asked.caller.principal(), &grant.record);
    let refused = || match grant.place.account == principal.account {
        true => Error::denied_retiring(principal.shown_arn(), &grant.place.key_arn()),
        false => Error::denied_across_accounts(principal.shown_arn(), "kms:RetireGrant"),
    };
    let grantee = record.operations.contains(&GrantOperation::RetireGrant);
    let named = [record.retiring.as_deref(), grantee.then_some(record.grantee.as_str())];
    let as_role = |arn: &str| principal.kind == PrincipalKind::RoleSession && principal.arn == arn;
    let by_grant = named.iter().flatten().any(|arn| principal.is(arn));
    // Session policies limit what is given to the role.
    let as_role = !named.iter().flatten().any(|arn| principal.is(arn) && !as_role(arn));
    let account = root_arn(principal.partition, principal.account);
    let takes_part = record.issuer == principal.account
        || grant.place.account == principal.account
        || record.retiring.as_ref() == Some(&account)
        || record.grantee == account && grantee;
    if !by_grant && !takes_part {
        return Err(refused());
    }
    let demand = Demand::on_key("RetireGrant", key);
    let pairs =
        |map: &Option<BTreeMap<String, String>>| map.as_ref().map(|map| map.iter().collect());
    let constraints = GrantConstraints {
        encryption_context_equals: pairs(&record.equals),
        encryption_context_subset: pairs(&record.subset),
    };
    let asked = &Asked { request: &constraints, ..*asked };
    let case = Case::of(service, asked, &demand).await?;
    let permitted = case.hear(Reach::None, |request, documents| {
        // Of the key policy only what it forbids counts; of all the rest, what guardrails leave out,
        // too.
        let all = decide(request, documents).reason;
        let unguarded = Reason::Implicit { layer: Layer::ServiceControl };
        if matches!(all, Reason::Explicit { .. }) || all == unguarded {
            return false;
        }
        let own = Documents { resource_policy: None, resource_account: None, ..*documents };
        if decide(request, &own).allowed {
            return true;
        }
        let by_session = decide(request, &Documents { boundary: None, ..own }).reason;
        let narrowed = as_role && by_session == Reason::Implicit { layer: Layer::Session };
        by_grant && !narrowed
    });
    if permitted { Ok(()) } else { Err(refused()) }
}

/// The lockout safety check: whether the caller could replace a key's policy if it were `policy`.
pub(crate) fn could_put_policy(
    service: &Service,
    caller: &Caller,
    policy: &Policy,
    record: &KeyRecord,
) -> bool {
    // The request to come: it has no parameters that conditions speak of.
    let request = PutKeyPolicyRequest {
        key_id: String::new(),
        policy_name: None,
        policy: String::new(),
        bypass_policy_lockout_safety_check: None,
    };
    let facts = RequestFacts {
        caller,
        now: service.clock.now(),
        key: Some(record),
        alias: None,
        aliases: None,
        same_key: None,
        model: None,
        unused: None,
        action: "PutKeyPolicy",
        region: Some(&record.region),
        request: &request,
        for_key_policy: false,
    };
    let principal = caller.principal().for_policies();
    let arn = key_arn(&record.region, record.account, record.id);
    let request = Request {
        action: "kms:PutKeyPolicy",
        resource: Some(&arn),
        principal: &principal,
        facts: &facts,
    };
    let owner = record.account;
    let for_policy = RequestFacts { for_key_policy: true, ..facts };
    let policy = Some((policy, owner.as_str()));
    Bundle::of(caller).hear(policy, Some(&for_policy), Reach::None, |documents| {
        decide(&request, documents).allowed
    })
}

/// The policies of a caller, in the form in which a decision takes them.
pub(crate) struct Bundle<'a> {
    identity: Vec<&'a Policy>,
    boundary: Option<&'a Policy>,
    session: Option<Vec<&'a Policy>>,
    guardrails: Vec<Vec<&'a Policy>>,
}

impl<'a> Bundle<'a> {
    pub(crate) fn of(caller: &'a Caller) -> Self {
        let principal = caller.principal();
        let all = |named: &'a [Arc<NamedPolicy>]| named.iter().map(|one| &one.policy).collect();
        let session = principal.session.as_ref().and_then(|session| session.policies.as_deref());
        Self {
            identity: all(&principal.policies),
            boundary: principal.boundary.as_ref().map(|named| &named.policy),
            session: session.map(all),
            guardrails: principal.guardrails.iter().map(|set| all(set)).collect(),
        }
    }

    /// Decides whether a role may be assumed, or what goes with that: `trust` is its trust policy,
    /// `account` its account.
    pub(crate) fn decide_trust(
        &self,
        request: &Request<'_>,
        trust: &Policy,
        account: &str,
    ) -> Decision {
        let guardrails: Vec<&[&Policy]> = self.guardrails.iter().map(Vec::as_slice).collect();
        let documents = Documents {
            resource_policy: Some(trust),
            resource_account: Some(account),
            identity: &self.identity,
            boundary: self.boundary,
            session: self.session.as_deref(),
            guardrails: &guardrails,
            resource_facts: None,
            grant: Reach::None,
        };
        decide_trust(request, &documents)
    }

    /// Hands out all documents of a request. `resource`: the key's policy and its account; `None`
    /// where identity policies alone decide.
    fn hear<T>(
        &self,
        resource: Option<(&Policy, &str)>,
        resource_facts: Option<&RequestFacts<'_>>,
        grant: Reach,
        what: impl FnOnce(&Documents<'_>) -> T,
    ) -> T {
        let guardrails: Vec<&[&Policy]> = self.guardrails.iter().map(Vec::as_slice).collect();
        what(&Documents {
            resource_policy: resource.map(|(policy, _)| policy),
            resource_account: resource.map(|(_, account)| account),
            identity: &self.identity,
            boundary: self.boundary,
            session: self.session.as_deref(),
            guardrails: &guardrails,
            resource_facts: resource_facts.map(|facts| facts as &dyn keystead_policy::Facts),
            grant,
        })
    }
}
