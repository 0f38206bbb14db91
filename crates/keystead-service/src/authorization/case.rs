//! One permission of one request: the one place where everything that has a say in it is brought
//! together, for deciding it and for explaining the decision.

use std::borrow::Cow;
use std::sync::Arc;

use keystead_model::{GrantOperation, alias_arn, key_arn};
use keystead_policy::{
    Decision, DocumentTrace, Documents, Grant as Reach, Layer, Policy, Reason, Request, decide,
    explain,
};

use super::{Asked, Bundle, RequestFacts};
use crate::error::{Error, Result};
use crate::keys::KeyEntry;
use crate::operation::{Demand, Resource, Told};
use crate::service::Service;

/// A permission with everything that has a say in it, but for grants.
pub(crate) struct Case<'a> {
    asked: &'a Asked<'a>,
    demand: &'a Demand<'a>,
    /// With its `kms:` prefix.
    action: String,
    resource: Option<Cow<'a, str>>,
    key: Option<&'a Arc<KeyEntry>>,
    /// The key's policy; `None`: there is no key, and identity policies alone decide.
    policy: Option<Arc<Policy>>,
    /// All aliases of the key, where a policy asks for them.
    aliases: Option<Vec<String>>,
    /// For how many whole days the key has not been used, where that is asked for.
    unused: Option<i64>,
    /// The moment of the decision, milliseconds since the epoch.
    now: i64,
}

impl<'a> Case<'a> {
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn of(
        service: &Service,
        asked: &'a Asked<'a>,
        demand: &'a Demand<'a>,
    ) -> Result<Self> {
        let caller = asked.caller;
        let (resource, key) = match &demand.resource {
            Some(Resource::Key(key) | Resource::Grant { key, .. }) => {
                (Some(Cow::Borrowed(key.arn.as_str())), Some(*key))
            }
            Some(Resource::Alias(name)) => {
                let arn = alias_arn(caller.region(), &caller.account(), name.as_str());
                (Some(Cow::Owned(arn)), None)
            }
            Some(Resource::Principal(arn)) => (Some(Cow::Borrowed(*arn)), None),
            Some(Resource::OutOfReach) | None => (None, None),
        };
        let (policy, aliases, unused) = match key {
            Some(key) => {
                let policy = service.keys.policy(&service.keyring, key).await?;
                // Retiring a grant does not offer them.
                let offered = demand.action != "RetireGrant";
                let aliases = match offered && caller.principal().asks_for_aliases() {
                    true => Some(service.aliases_of(key).await?),
                    false => None,
                };
                let unused = match demand.action {
                    "DisableKey" | "ScheduleKeyDeletion" => Some(service.unused_days(key).await?),
                    _ => None,
                };
                (Some(policy), aliases, unused)
            }
            None => (None, None, None),
        };
        let action = format!("kms:{}", demand.action);
        let now = service.clock.now();
        Ok(Self { asked, demand, action, resource, key, policy, aliases, unused, now })
    }

    /// Decides, by policies and then by grants.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn decide(&self, service: &Service) -> Result<Decision> {
        let by_policy = self.weigh(Reach::None);
        let implicit = matches!(by_policy.reason, Reason::Implicit { .. });
        let (Some(key), Some(operation)) = (self.key, self.grantable()) else {
            return Ok(by_policy);
        };
        if by_policy.allowed || !implicit {
            return Ok(by_policy);
        }
        let asked = self.asked;
        let principal = asked.caller.principal();
        match service.granted(principal, key, operation, asked.wish, asked.grants).await? {
            Reach::None => Ok(by_policy),
            reach => Ok(self.weigh(reach)),
        }
    }

    /// What becomes of each statement of each document.
    pub(crate) fn traces(&self) -> Vec<DocumentTrace> {
        self.hear(Reach::None, explain)
    }

    /// The ARN acted upon.
    pub(crate) fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    /// The action as an operation that grants can give, if it is one.
    pub(crate) fn grantable(&self) -> Option<GrantOperation> {
        GrantOperation::parse(self.demand.action)
    }

    /// Whether the key is of another account than the caller.
    pub(crate) fn is_foreign(&self) -> bool {
        self.key.is_some_and(|key| key.record.account != self.asked.caller.account())
    }

    /// What conditions can ask.
    pub(crate) fn facts(&self) -> RequestFacts<'_> {
        let asked = self.asked;
        RequestFacts {
            caller: asked.caller,
            now: self.now,
            key: self.key.map(|key| &key.record),
            alias: self.key.and(asked.alias),
            aliases: self.aliases.as_deref(),
            same_key: self.key.and(asked.same_key),
            model: if self.key.is_none() { self.demand.model } else { None },
            unused: self.unused,
            action: self.demand.action,
            region: self.demand.region,
            request: asked.request,
            for_key_policy: false,
        }
    }

    /// Hands out the request and all its documents.
    pub(super) fn hear<T>(
        &self,
        grant: Reach,
        what: impl FnOnce(&Request<'_>, &Documents<'_>) -> T,
    ) -> T {
        let caller = self.asked.caller;
        let facts = self.facts();
        let for_policy = RequestFacts { for_key_policy: true, ..facts };
        let principal = caller.principal().for_policies();
        let request = Request {
            action: &self.action,
            resource: self.resource(),
            principal: &principal,
            facts: &facts,
        };
        let owner = self.key.map(|key| key.record.account);
        let policy = self.policy.as_deref().zip(owner.as_ref().map(|owner| owner.as_str()));
        let resource_facts = policy.map(|_| &for_policy);
        Bundle::of(caller)
            .hear(policy, resource_facts, grant, |documents| what(&request, documents))
    }

    fn weigh(&self, grant: Reach) -> Decision {
        self.hear(grant, decide)
    }

    /// The refusal in AWS's words. Of another account's key, and of a key that only a ciphertext
    /// names, nothing is told: neither that it exists nor why.
    pub(crate) fn refusal(&self, reason: Reason) -> Error {
        let caller = self.asked.caller;
        let arn = caller.principal().shown_arn();
        match (self.demand.told, self.key) {
            (Told::Named, _) | (Told::Missing, None) => {}
            (Told::OfCiphertext, _) => return Error::denied_ciphertext(arn, &self.action),
            (Told::Missing, Some(key)) => {
                let id = key.record.id;
                return Error::no_such_key(&key_arn(caller.region(), caller.account(), id));
            }
        }
        if self.is_foreign() {
            return Error::denied_across_accounts(arn, &self.action);
        }
        let (layer, explicit) = match reason {
            Reason::Explicit { layer, .. } => (layer, true),
            Reason::Implicit { layer } => (layer, false),
            // Not a refusal at all.
            Reason::AllowedBy { .. } | Reason::AllowedByGrant | Reason::AllowedToRoot => {
                (Layer::Identity, false)
            }
        };
        Error::denied(arn, &self.action, self.resource(), layer, explicit)
    }
}
