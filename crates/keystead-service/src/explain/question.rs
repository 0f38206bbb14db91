//! What can be asked, and what a question supposes of a request that nobody has made.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use keystead_identity::Principal as Known;
use keystead_model::{
    AccountId, AliasName, CreateGrantRequest, EncryptionContextMap, GrantConstraints,
    GrantOperation, KeyReference, OperationName, Partition, Region,
};
use keystead_policy::{Fact, Facts as _};
use serde::{Deserialize, Serialize};

use super::NamesOnly;
use crate::authorization::{ConditionKeys, Connection, RequestFacts, omitted};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::Facts;
use crate::ops;
use crate::principal::{Principal, Session};
use crate::service::Service;

/// The name of the role session that a question about a role is about.
const SESSION: &str = "explain";

/// May this principal do that?
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The ARN of a user, a role, a role session or an account's root, or the account's 12 digits.
    pub principal: String,
    /// The action, with or without its `kms:` prefix, as [`Self::action_of`] reads it.
    pub action: String,
    /// The Region; if absent that of the key's ARN, or the only one that is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The key as a request names it: id, ARN, alias name or alias ARN. For CreateAlias, UpdateAlias
    /// and DeleteAlias an alias is the alias itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The encryption context; of CreateGrant the pairs of the constraint.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub encryption_context: BTreeMap<String, String>,
    /// Values of further condition keys, such as `aws:SourceIp`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, Values>,
    /// Grant tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grant_tokens: Vec<String>,
}

/// The values of a condition key: one, or several of a key that can have several.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// One.
    One(String),
    /// Any number.
    Many(Vec<String>),
}

impl fmt::Debug for Question {
    /// Neither values nor tokens.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Question")
            .field("principal", &self.principal)
            .field("action", &self.action)
            .field("region", &self.region)
            .field("key", &self.key)
            .field("encryption_context", &NamesOnly(&self.encryption_context))
            .field("conditions", &NamesOnly(&self.conditions))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Values(..)")
    }
}

impl Question {
    /// The action without its prefix and the operation that needs it. ReEncrypt needs two,
    /// `ReEncryptFrom` and `ReEncryptTo`, and is none itself.
    fn action_of(text: &str) -> Option<(&'static str, OperationName)> {
        let name = match text.split_once(':') {
            Some((service, name)) if service.eq_ignore_ascii_case("kms") => name,
            Some(_) => return None,
            None => text,
        };
        for action in ["ReEncryptFrom", "ReEncryptTo"] {
            if action.eq_ignore_ascii_case(name) {
                return Some((action, OperationName::ReEncrypt));
            }
        }
        let mut all = OperationName::ALL.iter();
        let operation = all.find(|one| one.as_str().eq_ignore_ascii_case(name))?;
        (*operation != OperationName::ReEncrypt).then_some((operation.as_str(), *operation))
    }
}

/// The action of a question.
pub(super) struct Wanted {
    pub(super) action: &'static str,
    pub(super) facts: Facts,
}

impl Wanted {
    /// # Errors
    /// ValidationException.
    pub(super) fn of(question: &Question) -> Result<Self> {
        let (action, operation) = Question::action_of(&question.action).ok_or_else(|| {
            Error::validation(format!(
                "`{}` is no action of KMS; ReEncrypt needs ReEncryptFrom and ReEncryptTo",
                question.action.escape_debug()
            ))
        })?;
        if operation == OperationName::RetireGrant {
            return Err(Error::validation(
                "RetireGrant is decided by the grant that is to be retired, and is not explained",
            ));
        }
        let wanted = Self { action, facts: ops::row(operation).facts };
        if !question.encryption_context.is_empty() && !wanted.has_context() {
            return Err(Error::validation(format!("{action} takes no encryption context")));
        }
        if !question.grant_tokens.is_empty() && !wanted.takes("GrantTokens") {
            return Err(Error::validation(format!("{action} takes no grant tokens")));
        }
        wanted.named(question)?;
        Ok(wanted)
    }

    fn takes(&self, member: &str) -> bool {
        self.facts.name.input().members().iter().any(|one| one.name == member)
    }

    fn has_context(&self) -> bool {
        ["EncryptionContext", "SourceEncryptionContext", "Constraints"]
            .iter()
            .any(|member| self.takes(member))
    }

    /// Whether an alias is what is acted upon, and not a name for a key.
    pub(super) fn is_on_aliases(&self) -> bool {
        use OperationName::{CreateAlias, DeleteAlias, UpdateAlias};
        matches!(self.facts.name, CreateAlias | DeleteAlias | UpdateAlias)
    }

    /// The key that the question names, if the action is on one.
    ///
    /// # Errors
    /// ValidationException where there must be one and is not, or the reverse.
    pub(super) fn named<'q>(&self, question: &'q Question) -> Result<Option<&'q str>> {
        use OperationName::{ListAliases, ListRetirableGrants, ReEncrypt, UpdateCustomKeyStore};
        let name = self.facts.name;
        let on_key = self.is_on_aliases()
            || name == ReEncrypt
            || self.takes("KeyId")
                && !matches!(name, ListAliases | ListRetirableGrants | UpdateCustomKeyStore);
        match (&question.key, on_key) {
            (Some(key), true) => Ok(Some(key)),
            (None, false) => Ok(None),
            (None, true) => Err(Error::validation(format!("{} needs a key", self.action))),
            (Some(_), false) => {
                Err(Error::validation(format!("{} is an action on no key", self.action)))
            }
        }
    }

    /// What else a request needs than what was asked about.
    pub(super) fn remarks(&self) -> &'static [&'static str] {
        match self.facts.name {
            OperationName::ReEncrypt => {
                &["ReEncrypt needs kms:ReEncryptFrom on the key of the ciphertext and \
                 kms:ReEncryptTo on the other; whether the two are one key is the condition key \
                 kms:ReEncryptOnSameKey"]
            }
            OperationName::CreateAlias => {
                &["the operation needs the action on the alias and on its key"]
            }
            OperationName::UpdateAlias | OperationName::DeleteAlias => {
                &["the operation needs the action on the alias and on each key that it points to, \
                 before and after"]
            }
            OperationName::CreateKey => {
                &["with tags the operation needs kms:TagResource as well, with a policy \
                 kms:PutKeyPolicy"]
            }
            OperationName::ReplicateKey => {
                &["the operation also needs kms:CreateKey in the Region of the replica, with tags \
                 kms:TagResource and with a policy kms:PutKeyPolicy"]
            }
            OperationName::UpdatePrimaryRegion => {
                &["the operation needs the action on the primary key and on its successor"]
            }
            _ => &[],
        }
    }
}

/// The alias of the caller's account and Region that a text names.
///
/// # Errors
/// ValidationException: it is elsewhere, or no alias can have this name.
pub(super) fn own_alias(caller: &Caller, given: &str) -> Result<Option<AliasName>> {
    let name = match KeyReference::parse(given) {
        Ok(KeyReference::AliasName(name)) => name,
        Ok(KeyReference::AliasArn { region, account, name, .. }) => {
            if account != caller.account() || region != caller.region().as_str() {
                return Err(Error::validation(
                    "An alias is made and changed in its own account and Region alone.",
                ));
            }
            name
        }
        _ => return Ok(None),
    };
    AliasName::parse(name)
        .map(Some)
        .ok_or_else(|| Error::validation("No alias can have this name."))
}

/// Condition keys of the caller that its session, and so a question, may settle.
const OF_SESSION: [&str; 4] = [
    "aws:tokenissuetime",
    "aws:multifactorauthpresent",
    "aws:sourceidentity",
    "aws:federatedprovider",
];

/// Condition keys that the connection gives; what a question does not suppose, it lacks.
const OF_CONNECTION: [&str; 4] =
    ["aws:sourceip", "aws:securetransport", "aws:useragent", "aws:referer"];

/// Condition keys of more than one value.
const MANY: [&str; 2] = ["aws:tagkeys", "kms:grantoperations"];

/// What a question supposes, in the place of a request.
pub(super) struct Suppositions {
    /// By condition key in lower case.
    conditions: BTreeMap<String, Vec<String>>,
    context: Option<EncryptionContextMap>,
    action: &'static str,
}

impl Suppositions {
    /// # Errors
    /// ValidationException.
    pub(super) fn of(question: &Question, wanted: &Wanted) -> Result<Self> {
        let mut conditions = BTreeMap::new();
        for (key, values) in &question.conditions {
            let values = match values {
                Values::One(value) => vec![value.clone()],
                Values::Many(values) => values.clone(),
            };
            if conditions.insert(key.to_ascii_lowercase(), values).is_some() {
                return Err(Error::validation(format!(
                    "the condition key `{}` is given twice",
                    key.escape_debug()
                )));
            }
        }
        let context = (!question.encryption_context.is_empty())
            .then(|| question.encryption_context.iter().collect());
        Ok(Self { conditions, context, action: wanted.action })
    }

    /// The encryption context.
    pub(super) fn context(&self) -> Option<&EncryptionContextMap> {
        self.context.as_ref()
    }

    /// Refuses a supposition about what the key, the principal or another part of the question
    /// settles already: the answer would be about no request that could be made.
    ///
    /// # Errors
    /// ValidationException.
    pub(super) fn check(&self, facts: &RequestFacts<'_>) -> Result<()> {
        let settled = RequestFacts { request: &Nothing, ..*facts };
        for key in self.conditions.keys() {
            let fixed = key.starts_with("kms:encryptioncontext")
                || key == "kms:requestalias"
                || key == "kms:resourcealiases"
                || key == "aws:requestedregion"
                || key.starts_with("aws:resourcetag/")
                || settled.is_settled(key) && !OF_SESSION.contains(&key.as_str());
            if fixed {
                return Err(Error::validation(format!(
                    "`{}` follows from key, principal, Region and encryption context: it cannot be \
                     given",
                    key.escape_debug()
                )));
            }
        }
        Ok(())
    }

    /// The grant to be made, if the action is CreateGrant, as far as grants look at it.
    pub(super) fn child(&self) -> CreateGrantRequest {
        let first = |key: &str| self.conditions.get(key).and_then(|values| values.first());
        let operations = self.conditions.get("kms:grantoperations");
        let operations = operations.into_iter().flatten();
        let subset = first("kms:grantconstrainttype").is_some_and(|kind| kind.ends_with("Subset"));
        let constraints = self.context.clone().map(|pairs| {
            let (equals, subset) = if subset { (None, Some(pairs)) } else { (Some(pairs), None) };
            GrantConstraints {
                encryption_context_equals: equals,
                encryption_context_subset: subset,
            }
        });
        CreateGrantRequest {
            key_id: String::new(),
            grantee_principal: first("kms:granteeprincipal").cloned().unwrap_or_default(),
            retiring_principal: first("kms:retiringprincipal").cloned(),
            operations: operations.filter_map(|name| GrantOperation::parse(name)).collect(),
            constraints,
            grant_tokens: None,
            name: None,
            dry_run: None,
        }
    }
}

impl ConditionKeys for Suppositions {
    fn supposed(&self, key: &str) -> Option<Fact<'_>> {
        let Some(values) = self.conditions.get(key) else {
            return OF_CONNECTION.contains(&key).then_some(Fact::Absent);
        };
        Some(match values.as_slice() {
            [value] if !MANY.contains(&key) => Fact::One(Cow::Borrowed(value)),
            values => {
                Fact::Many(values.iter().map(|value| Cow::Borrowed(value.as_str())).collect())
            }
        })
    }

    fn condition(&self, key: &str, action: &str) -> Fact<'_> {
        // The constraint whose pairs are given.
        if (key, self.action) == ("kms:grantconstrainttype", "CreateGrant")
            && self.context.is_some()
        {
            return Fact::One(Cow::Borrowed("EncryptionContextEquals"));
        }
        omitted(key, action)
    }

    fn context(&self, _: &str) -> [Option<&EncryptionContextMap>; 2] {
        [self.context.as_ref(), None]
    }
}

/// A request that says nothing.
struct Nothing;

impl ConditionKeys for Nothing {}

impl RequestFacts<'_> {
    /// Whether the key or the caller settles a condition key.
    fn is_settled(&self, key: &str) -> bool {
        let connection = OF_CONNECTION.contains(&key)
            || matches!(key, "aws:currenttime" | "aws:epochtime")
            || key.starts_with("aws:principaltag/");
        !connection && self.fact(key) != Fact::Absent
    }
}

impl Service {
    /// Who would call. Its tags are those of its user or role; tags of a session are condition keys.
    ///
    /// # Errors
    /// ValidationException.
    pub(super) fn supposed_caller(&self, question: &Question) -> Result<Caller> {
        let region = self.supposed_region(question)?;
        let principal = self.supposed_principal(&question.principal, region.partition())?;
        if principal.partition != region.partition() {
            return Err(Error::validation(format!(
                "The principal is of another partition than the Region {}.",
                region.as_str()
            )));
        }
        Ok(Caller::supposed(Arc::new(principal), region, Connection::supposed()))
    }

    fn supposed_region(&self, question: &Question) -> Result<Region> {
        let of_key = question.key.as_deref().and_then(|key| match KeyReference::parse(key) {
            Ok(KeyReference::KeyArn { region, .. } | KeyReference::AliasArn { region, .. }) => {
                Some(region)
            }
            _ => None,
        });
        let only = match self.settings.regions.as_deref() {
            Some([only]) => Some(only.as_str()),
            _ => None,
        };
        let name = question.region.as_deref().or(of_key).or(only).ok_or_else(|| {
            Error::validation("A Region is needed: the key is not named by an ARN.")
        })?;
        if !self.serves(name) {
            return Err(Error::validation(format!(
                "The Region `{}` is not served.",
                name.escape_debug()
            )));
        }
        name.parse().map_err(|_| Error::validation("That is no Region."))
    }

    fn supposed_principal(&self, given: &str, partition: Partition) -> Result<Principal> {
        let unknown = |why: &str| Error::validation(format!("`{}` {why}", given.escape_debug()));
        let root = root_of(given);
        let Some(directory) = self.gate.directory() else {
            let (account, own) = root.ok_or_else(|| {
                unknown(
                    "is no account and no root of one: without an identity file nobody else is \
                     known",
                )
            })?;
            if own.is_some_and(|own| own != partition.as_str()) {
                return Err(unknown("is of another partition than the Region"));
            }
            return Ok(Principal::root(partition, account));
        };
        let absent = || unknown("is not among the identities");
        if let Some((account, own)) = root {
            let account = directory.account(account).ok_or_else(absent)?;
            if own.is_some_and(|own| own != account.partition.as_str()) {
                return Err(absent());
            }
            return Ok(Principal::of_root(account));
        }
        let (found, session) = match session_of(given) {
            Some((partition, account, role, session)) => {
                let account = directory.account(account).ok_or_else(absent)?;
                if account.partition.as_str() != partition {
                    return Err(absent());
                }
                (account.role(role).map(Known::Role), session)
            }
            None => (directory.principal_by_arn(given), SESSION),
        };
        match found.ok_or_else(absent)? {
            Known::User(user) => {
                let account = directory.account(user.account).ok_or_else(absent)?;
                Ok(Principal::of_user(account, user))
            }
            Known::Role(role) => {
                let account = directory.account(role.account).ok_or_else(absent)?;
                let issued = Session { issued: self.clock.now(), ..Session::default() };
                Ok(Principal::of_role_session(account, role, session, Vec::new(), issued))
            }
        }
    }
}

/// The account whose root a text names; of an ARN its partition.
fn root_of(text: &str) -> Option<(AccountId, Option<&str>)> {
    if let Some(account) = AccountId::parse(text) {
        return Some((account, None));
    }
    let (partition, rest) = text.strip_prefix("arn:")?.split_once(':')?;
    let account = rest.strip_prefix("iam::")?.strip_suffix(":root")?;
    Some((AccountId::parse(account)?, Some(partition)))
}

/// Partition, account, role and session name of a role session's ARN.
fn session_of(text: &str) -> Option<(&str, AccountId, &str, &str)> {
    let (partition, rest) = text.strip_prefix("arn:")?.split_once(':')?;
    let (account, rest) = rest.strip_prefix("sts::")?.split_once(':')?;
    let (role, session) = rest.strip_prefix("assumed-role/")?.split_once('/')?;
    // RoleSessionName (AWS STS API reference, AssumeRole).
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    let named = (2..=64).contains(&session.len()) && session.bytes().all(allowed);
    named.then_some((partition, AccountId::parse(account)?, role, session))
}
