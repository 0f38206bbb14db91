//! Whether a caller may do what it asks: the documents of a request are brought together here and
//! decided by `keystead-policy`; what it may not do is told in AWS's words.

use std::collections::BTreeMap;
use std::sync::Arc;

use keystead_identity::NamedPolicy;
use keystead_model::{
    GrantConstraints, GrantOperation, PutKeyPolicyRequest, alias_arn, key_arn, root_arn,
};
use keystead_policy::{
    Decision, Documents, Grant as Reach, Layer, Policy, PrincipalKind, Reason, Request, decide,
    decide_trust,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::grants::Grant;
use crate::keys::KeyEntry;
use crate::operation::{Demand, Resource, Told};
use crate::records::KeyRecord;
use crate::service::Service;

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

pub(crate) use condition_keys::ConditionKeys;
pub(crate) use facts::{Connection, RequestFacts, single, tagged};
pub(crate) use grants::{Wish, index_grantees};

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
    let caller = asked.caller;
    let action = format!("kms:{}", demand.action);
    let (decision, key) = match &demand.resource {
        Some(Resource::Key(key)) => {
            (on_key(service, asked, demand, &action, key).await?, Some(key))
        }
        Some(Resource::Alias(name)) => {
            let arn = alias_arn(caller.region(), &caller.account(), name.as_str());
            (by_identity(service, asked, demand, &action, Some(&arn)), None)
        }
        // Retiring has rules of its own.
        Some(Resource::Grant { key, grant }) => {
            return permit_retiring(service, asked, key, grant).await;
        }
        Some(Resource::Principal(arn)) => {
            (by_identity(service, asked, demand, &action, Some(arn)), None)
        }
        Some(Resource::OutOfReach) => {
            let arn = caller.principal().shown_arn();
            return Err(Error::denied_across_accounts(arn, &action));
        }
        None => (by_identity(service, asked, demand, &action, None), None),
    };
    if decision.allowed {
        return Ok(());
    }
    Err(refusal(asked, demand, &action, key.map(|key| key.as_ref()), decision.reason))
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
    let policy = service.keys.policy(&service.keyring, key).await?;
    let demand = Demand::on_key("RetireGrant", key);
    let pairs =
        |map: &Option<BTreeMap<String, String>>| map.as_ref().map(|map| map.iter().collect());
    let constraints = GrantConstraints {
        encryption_context_equals: pairs(&record.equals),
        encryption_context_subset: pairs(&record.subset),
    };
    let asked = &Asked { request: &constraints, ..*asked };
    let facts = facts_on_key(service, asked, &demand, key, None);
    let for_policy = RequestFacts { for_key_policy: true, ..facts };
    let for_policies = principal.for_policies();
    let request = Request {
        action: "kms:RetireGrant",
        resource: Some(&key.arn),
        principal: &for_policies,
        facts: &facts,
    };
    let bundle = Bundle::of(asked.caller);
    let owner = key.record.account;
    let everything = Some((policy.as_ref(), owner.as_str()));
    // Of the key policy only what it forbids counts; of all the rest, what guardrails leave out, too.
    let all = bundle.decide(&request, everything, Some(&for_policy), Reach::None);
    let unguarded = Reason::Implicit { layer: Layer::ServiceControl };
    if matches!(all.reason, Reason::Explicit { .. }) || all.reason == unguarded {
        return Err(refused());
    }
    if bundle.decide(&request, None, None, Reach::None).allowed {
        return Ok(());
    }
    let unbounded = Bundle { boundary: None, ..bundle };
    let by_session = unbounded.decide(&request, None, None, Reach::None);
    let narrowed = as_role && by_session.reason == Reason::Implicit { layer: Layer::Session };
    if by_grant && !narrowed { Ok(()) } else { Err(refused()) }
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
    Bundle::of(caller).decide(&request, policy, Some(&for_policy), Reach::None).allowed
}

/// A permission that identity policies alone give: there is no key, and its place has no policy.
fn by_identity(
    service: &Service,
    asked: &Asked<'_>,
    demand: &Demand<'_>,
    action: &str,
    resource: Option<&str>,
) -> Decision {
    let facts = RequestFacts {
        caller: asked.caller,
        now: service.clock.now(),
        key: None,
        alias: None,
        aliases: None,
        same_key: None,
        model: demand.model,
        unused: None,
        action: demand.action,
        region: demand.region,
        request: asked.request,
        for_key_policy: false,
    };
    let principal = asked.caller.principal().for_policies();
    let request = Request { action, resource, principal: &principal, facts: &facts };
    Bundle::of(asked.caller).decide(&request, None, None, Reach::None)
}

fn facts_on_key<'a>(
    service: &Service,
    asked: &Asked<'a>,
    demand: &Demand<'a>,
    key: &'a KeyEntry,
    aliases: Option<&'a [String]>,
) -> RequestFacts<'a> {
    RequestFacts {
        caller: asked.caller,
        now: service.clock.now(),
        key: Some(&key.record),
        alias: asked.alias,
        aliases,
        same_key: asked.same_key,
        model: None,
        unused: None,
        action: demand.action,
        region: demand.region,
        request: asked.request,
        for_key_policy: false,
    }
}

async fn on_key(
    service: &Service,
    asked: &Asked<'_>,
    demand: &Demand<'_>,
    action: &str,
    key: &Arc<KeyEntry>,
) -> Result<Decision> {
    let caller = asked.caller;
    let policy = service.keys.policy(&service.keyring, key).await?;
    let aliases = match caller.principal().asks_for_aliases() {
        true => Some(service.aliases_of(key).await?),
        false => None,
    };
    let unused = match demand.action {
        "DisableKey" | "ScheduleKeyDeletion" => Some(service.unused_days(key).await?),
        _ => None,
    };
    let facts = facts_on_key(service, asked, demand, key, aliases.as_deref());
    let facts = RequestFacts { unused, ..facts };
    let decide = |grant: Reach| {
        let principal = caller.principal().for_policies();
        let for_policy = RequestFacts { for_key_policy: true, ..facts };
        let (resource, facts) = (Some(key.arn.as_str()), &facts);
        let request = Request { action, resource, principal: &principal, facts };
        let owner = key.record.account;
        let policy = Some((policy.as_ref(), owner.as_str()));
        Bundle::of(caller).decide(&request, policy, Some(&for_policy), grant)
    };
    let by_policy = decide(Reach::None);
    let implicit = matches!(by_policy.reason, Reason::Implicit { .. });
    let Some(operation) = GrantOperation::parse(demand.action) else { return Ok(by_policy) };
    if by_policy.allowed || !implicit {
        return Ok(by_policy);
    }
    let reach =
        service.granted(caller.principal(), key, operation, asked.wish, asked.grants).await?;
    match reach {
        Reach::None => Ok(by_policy),
        reach => Ok(decide(reach)),
    }
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

    /// `resource`: the key's policy and its account; `None` where identity policies alone decide.
    fn decide(
        &self,
        request: &Request<'_>,
        resource: Option<(&Policy, &str)>,
        resource_facts: Option<&RequestFacts<'_>>,
        grant: Reach,
    ) -> Decision {
        let guardrails: Vec<&[&Policy]> = self.guardrails.iter().map(Vec::as_slice).collect();
        let documents = Documents {
            resource_policy: resource.map(|(policy, _)| policy),
            resource_account: resource.map(|(_, account)| account),
            identity: &self.identity,
            boundary: self.boundary,
            session: self.session.as_deref(),
            guardrails: &guardrails,
            resource_facts: resource_facts.map(|facts| facts as &dyn keystead_policy::Facts),
            grant,
        };
        decide(request, &documents)
    }
}

/// The refusal in AWS's words. Of another account's key, and of a key that only a ciphertext names,
/// nothing is told: neither that it exists nor why.
fn refusal(
    asked: &Asked<'_>,
    demand: &Demand<'_>,
    action: &str,
    key: Option<&KeyEntry>,
    reason: Reason,
) -> Error {
    let caller = asked.caller;
    let arn = caller.principal().shown_arn();
    match (demand.told, key) {
        (Told::Named, _) | (Told::Missing, None) => {}
        (Told::OfCiphertext, _) => return Error::denied_ciphertext(arn, action),
        (Told::Missing, Some(key)) => {
            let id = key.record.id;
            return Error::no_such_key(&key_arn(caller.region(), caller.account(), id));
        }
    }
    if key.is_some_and(|key| key.record.account != caller.account()) {
        return Error::denied_across_accounts(arn, action);
    }
    let resource = match &demand.resource {
        Some(Resource::Key(key) | Resource::Grant { key, .. }) => Some(key.arn.clone()),
        Some(Resource::Alias(name)) => {
            Some(alias_arn(caller.region(), &caller.account(), name.as_str()))
        }
        Some(Resource::Principal(arn)) => Some((*arn).to_owned()),
        Some(Resource::OutOfReach) | None => None,
    };
    let (layer, explicit) = match reason {
        Reason::Explicit { layer, .. } => (layer, true),
        Reason::Implicit { layer } => (layer, false),
        // Not a refusal at all.
        Reason::AllowedBy { .. } | Reason::AllowedByGrant | Reason::AllowedToRoot => {
            (Layer::Identity, false)
        }
    };
    Error::denied(arn, action, resource.as_deref(), layer, explicit)
}
