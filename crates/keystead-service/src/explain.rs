//! Would this principal be allowed to do that, and which statement of which document says so?
//!
//! The question is decided as a request would be: the key is found by [`crate::resolve`], the
//! documents are brought together by [`Case`], grants are judged by the function that judges them
//! for requests. What is added here is the caller who is only supposed, and the telling.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::authorization::{Asked, Case, Obstacle, Wish, better, judge, named_alias};
use crate::caller::Caller;
use crate::error::{Error, Fault, Result};
use crate::grants::{Grant, GrantPlace};
use crate::keys::KeyEntry;
use crate::operation::{Demand, Resource};
use crate::paths;
use crate::principal::Principal;
use crate::records::{self, GrantRecord};
use crate::service::Service;
use keystead_model::{AliasName, GrantOperation};
use keystead_policy::{DocumentTrace, Grant as Reach, Layer, Outcome, Reason};
use keystead_store::KeyRange;

mod answer;
mod question;
#[cfg(test)]
mod tests;

pub use answer::{
    DocumentAnswer, Explanation, GrantAnswer, GrantOutcome, Place, Refusal, StatementAnswer,
    StatementOutcome, Why,
};
pub use question::{Question, Values};

use question::{Suppositions, Wanted};

/// How many grants one look at the store reads.
const AT_ONCE: usize = 1_000;

/// How many of a key's grants an answer tells of, besides the one that decided.
const TOLD: usize = 100;

impl Service {
    /// Decides whether a principal would be allowed to use an action, and tells by what. Nothing is
    /// changed, no use is noted, no request is counted.
    ///
    /// # Errors
    /// ValidationException where the question cannot be asked: its text says why and holds no value
    /// of a condition. KMSInternalException.
    pub async fn explain(&self, question: &Question) -> std::result::Result<Explanation, Error> {
        let wanted = Wanted::of(question)?;
        let caller = self.supposed_caller(question)?;
        let supposed = Suppositions::of(question, &wanted)?;
        let answer = Explanation::begin(&caller, wanted.action);

        let mut named = Vec::new();
        for token in &question.grant_tokens {
            match self.grant_of_token(token).await {
                Ok(grant) => named.push(grant),
                Err(error) => {
                    return answer.refused(
                        error,
                        "a grant token is not genuine, or its \
                     grant is gone: any request that carries it is refused",
                    );
                }
            }
        }
        let resource = match self.wanted_resource(&caller, question, &wanted).await {
            Ok(resource) => resource,
            Err(Unresolved::Question(error)) => return Err(error),
            Err(Unresolved::Request(error, remark)) => return answer.refused(error, remark),
        };
        let demand = match &resource {
            Found::Key(key) => Demand::on_key(wanted.action, key),
            Found::Alias(name) => Demand::elsewhere(wanted.action, Some(Resource::Alias(name))),
            Found::Nothing => Demand::elsewhere(wanted.action, None),
        };
        let child = supposed.child();
        let asked = Asked {
            caller: &caller,
            request: &supposed,
            alias: question.key.as_deref().and_then(named_alias),
            same_key: None,
            grants: &named,
            wish: match wanted.action {
                "CreateGrant" => Wish::Child(&child),
                "DescribeKey" | "GetPublicKey" => Wish::Unconstrained,
                _ => Wish::Use(supposed.context()),
            },
        };
        let case = Case::of(self, &asked, &demand).await?;
        supposed.check(&case.facts())?;
        let decision = case.decide(self).await?;
        let mut answer = answer;
        let names = Names { principal: caller.principal(), key: case.resource() };
        answer.allowed = decision.allowed;
        answer.resource = case.resource().map(str::to_owned);
        answer.documents = case.traces().iter().map(|document| names.document(document)).collect();
        if let (Found::Key(key), Some(operation)) = (&resource, case.grantable()) {
            let looked = self.look_at_grants(&caller, key, operation, &asked).await?;
            answer.tell_grants(looked, decision.reason == Reason::AllowedByGrant);
        }
        answer.why = match decision.reason {
            Reason::AllowedByGrant => Why::Grant { id: answer.deciding_grant() },
            Reason::AllowedToRoot => Why::Root,
            Reason::Implicit { layer } => Why::NoAllow { layer: layer_name(layer).to_owned() },
            Reason::AllowedBy { layer, document, statement }
            | Reason::Explicit { layer, document, statement } => {
                Why::Statement(answer.place(layer_name(layer), document, statement))
            }
        };
        answer.delegated_by =
            decision.delegated_by.map(|statement| answer.place("key policy", 0, statement));
        if !decision.allowed {
            answer.refusal = Some(Refusal::of(&case.refusal(decision.reason)));
        }
        if case.is_foreign() {
            answer.remarks.push(
                "the key is of another account: its key policy has to admit the principal or its \
                 account, and the principal's own policies have to allow the action, unless a grant \
                 names the principal; a refusal tells the caller nothing of the key"
                    .to_owned(),
            );
        }
        answer.remarks.extend(wanted.remarks().iter().map(|&remark| remark.to_owned()));
        Ok(answer)
    }

    async fn wanted_resource(
        &self,
        caller: &Caller,
        question: &Question,
        wanted: &Wanted,
    ) -> std::result::Result<Found, Unresolved> {
        let Some(given) = wanted.named(question)? else { return Ok(Found::Nothing) };
        if wanted.is_on_aliases()
            && let Some(name) = question::own_alias(caller, given)?
        {
            return Ok(Found::Alias(name));
        }
        let error = match self.key_for(caller, given, &wanted.facts, wanted.action).await {
            Ok(key) => return Ok(Found::Key(key)),
            Err(error) if error.fault() == Fault::Server => return Err(error.into()),
            Err(error) => error,
        };
        if error.first_use().is_some() {
            return Err(Error::validation(
                "The AWS managed key does not exist yet: the first request for it makes it.",
            )
            .into());
        }
        let remark = if error.is_not_found() {
            "the request names no key that is there, in this account and Region"
        } else if error.type_name() == "InvalidArnException" {
            "the key is not named in a form that a request could use here"
        } else if wanted.facts.crosses_accounts {
            "the key is of another account, and there is none with this name; the caller is not \
             told so"
        } else {
            "the operation cannot be used on keys of other accounts, whatever policies say"
        };
        Err(Unresolved::Request(error, remark))
    }

    /// Every grant of the key with what it comes to, by the judgement that requests get. Kept are
    /// those that reach the principal, and a number of the others.
    async fn look_at_grants(
        &self,
        caller: &Caller,
        key: &KeyEntry,
        operation: GrantOperation,
        asked: &Asked<'_>,
    ) -> Result<Looked> {
        let record = &key.record;
        let (account, region, id) = (record.account, &record.region, record.id);
        let named = |id: &str| asked.grants.iter().any(|one: &Grant| one.place.id == id);
        let prefix = paths::grants(account, region, id);
        let mut range = KeyRange::prefix(prefix.clone());
        let (now, mut looked) = (self.clock.now(), Looked::default());
        loop {
            let page = self.store.scan(range.clone(), AT_ONCE).await?;
            for (path, found) in &page {
                let grant: GrantRecord =
                    records::decode(self.keyring.record_key(), path, &found.value)
                        .map_err(Error::internal)?;
                let place = GrantPlace::of_path(path)
                    .ok_or_else(|| Error::internal("the path of a grant"))?;
                let spread = named(&place.id) || self.has_spread(&grant, now);
                let judged = judge(&grant, caller.principal(), operation, asked.wish, spread);
                looked.take(place.id, &grant, judged);
            }
            match page.last() {
                Some((last, _)) if page.len() == AT_ONCE => range = range.after(last),
                _ => return Ok(looked),
            }
        }
    }
}

/// What a question is about, found.
enum Found {
    Key(Arc<KeyEntry>),
    Alias(AliasName),
    Nothing,
}

/// Why the resource of a question was not found.
enum Unresolved {
    /// The question cannot be answered.
    Question(Error),
    /// A request would be refused by this before any policy is asked.
    Request(Error, &'static str),
}

impl From<Error> for Unresolved {
    fn from(error: Error) -> Self {
        Self::Question(error)
    }
}

/// The grants of a key, judged.
#[derive(Default)]
struct Looked {
    grants: Vec<GrantAnswer>,
    /// What the best gives, and where it is among `grants`.
    best: Option<(Reach, usize)>,
    untold: usize,
}

impl Looked {
    fn take(
        &mut self,
        id: String,
        grant: &GrantRecord,
        judged: std::result::Result<Reach, Obstacle>,
    ) {
        let improves = match (judged, self.best) {
            (Ok(_), None) => true,
            (Ok(reach), Some((best, _))) => better(best, reach) != best,
            (Err(_), _) => false,
        };
        if !improves && self.grants.len() >= TOLD {
            self.untold += 1;
            return;
        }
        if let (true, Ok(reach)) = (improves, judged) {
            self.best = Some((reach, self.grants.len()));
        }
        let outcome = answer::grant_outcome(judged);
        self.grants.push(GrantAnswer {
            id,
            name: grant.name.clone(),
            grantee: grant.grantee.clone(),
            operations: grant.operations.iter().map(|one| one.as_str().to_owned()).collect(),
            outcome,
            decides: false,
        });
    }
}

/// The names of the documents that have a say for a principal.
struct Names<'a> {
    principal: &'a Principal,
    key: Option<&'a str>,
}

impl Names<'_> {
    fn document(&self, trace: &DocumentTrace) -> DocumentAnswer {
        let principal = self.principal;
        let nth = trace.document;
        let found = match trace.layer {
            Layer::ServiceControl => principal.guardrails.iter().flatten().nth(nth),
            Layer::Boundary => principal.boundary.as_ref(),
            Layer::Session => {
                let session = principal.session.as_ref();
                session.and_then(|session| session.policies.as_ref()?.get(nth))
            }
            Layer::Identity => principal.policies.get(nth),
            Layer::Resource => None,
        };
        let name = match found {
            Some(named) => named.name.clone(),
            None => self.key.unwrap_or_default().to_owned(),
        };
        let statements = trace.statements.iter().map(|statement| StatementAnswer {
            statement: statement.statement,
            sid: statement.sid.clone(),
            effect: answer::effect(statement.effect).to_owned(),
            outcome: match &statement.outcome {
                Outcome::Applies { reach } => {
                    StatementOutcome::Applies { reach: answer::reach_name(*reach).to_owned() }
                }
                Outcome::NotPrincipal => StatementOutcome::NotPrincipal,
                Outcome::NotAction => StatementOutcome::NotAction,
                Outcome::NotResource => StatementOutcome::NotResource,
                Outcome::ConditionFailed { operator, key, absent } => {
                    StatementOutcome::ConditionFailed {
                        operator: operator.to_string(),
                        key: key.clone(),
                        absent: *absent,
                    }
                }
            },
        });
        DocumentAnswer {
            layer: layer_name(trace.layer).to_owned(),
            name,
            statements: statements.collect(),
        }
    }
}

fn layer_name(layer: Layer) -> &'static str {
    match layer {
        Layer::ServiceControl => "guardrail",
        Layer::Resource => "key policy",
        Layer::Boundary => "permissions boundary",
        Layer::Session => "session policy",
        Layer::Identity => "identity policy",
    }
}

/// The pairs of a map by name alone: values are not for logs.
struct NamesOnly<'a, V>(&'a BTreeMap<String, V>);

impl<V> fmt::Debug for NamesOnly<'_, V> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}
