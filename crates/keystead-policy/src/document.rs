//! A policy document as a typed tree.

use crate::condition::{Condition, Operator};
use crate::json::{self, Json, quoted};
use crate::pattern::{ActionPattern, ResourcePattern};
use crate::principal::{AwsPrincipal, Principals};
use crate::rule::Rule;

/// A policy document, read completely.
///
/// The tree says what the document says and nothing else: an element that was not written is
/// `None`, and nothing is normalised but the choice between a value and a list of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    version: Version,
    id: Option<String>,
    statements: Vec<Statement>,
    /// The statements in the form in which they are evaluated, one for one.
    rules: Vec<Rule>,
}

impl Policy {
    /// Reads a document.
    ///
    /// Element names and the values of Effect are case-sensitive, elements come in any order, and
    /// any list may be given as a bare value. A statement may lack Action, Resource and Principal:
    /// identity policies have no Principal, and key policies accept a statement without Action or
    /// Resource, which then has no effect (AWS KMS Developer Guide, key policies).
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with the text of a MalformedPolicyDocumentException when the text is not
    /// JSON, is nested or sized beyond any policy, gives a member twice, holds an unknown element
    /// or operator, or a value of the wrong kind.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let Json::Object(members) = json::parse(text)? else {
            return Err(PolicyError::new("Policy must be a JSON object."));
        };
        let (mut version, mut id, mut statements) = (None, None, None);
        for (name, value) in members {
            match name.as_str() {
                "Version" => version = Some(Version::parse(&value)?),
                "Id" => id = Some(string(value, "Id")?),
                "Statement" => statements = Some(statement_list(value)?),
                _ => {
                    return Err(PolicyError::new(format!(
                        "Policy has the unknown element {}.",
                        quoted(&name)
                    )));
                }
            }
        }
        let statements =
            statements.ok_or_else(|| PolicyError::new("Policy must contain a Statement."))?;
        let version = version.unwrap_or_default();
        let rules = statements.iter().map(|statement| Rule::new(statement, version)).collect();
        Ok(Self { version, id, statements, rules })
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The version of the language; [`Version::V2008`] when none is written.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The Id element.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The statements in the order written, at least one.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Whether a condition asks for a key, in whichever letter case.
    #[must_use]
    pub fn mentions(&self, key: &str) -> bool {
        let mut conditions = self.statements.iter().flat_map(|statement| &statement.conditions);
        conditions.any(|condition| condition.key.eq_ignore_ascii_case(key))
    }

    /// Every principal of kind `AWS` that the document names, under Principal or NotPrincipal, in
    /// the order written and as often as written.
    pub fn principals(&self) -> impl Iterator<Item = &AwsPrincipal> {
        self.statements
            .iter()
            .filter_map(|statement| statement.principals.as_ref())
            .flat_map(|clause| clause.entries().aws())
    }
}

/// Version of the policy language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// `2008-10-17`, also when Version is absent: `${…}` is literal text.
    #[default]
    V2008,
    /// `2012-10-17`: `${…}` is a policy variable.
    V2012,
}

impl Version {
    fn parse(value: &Json) -> Result<Self, PolicyError> {
        match value {
            Json::String(text) if text == "2012-10-17" => Ok(Self::V2012),
            Json::String(text) if text == "2008-10-17" => Ok(Self::V2008),
            _ => Err(PolicyError::new("Version must be '2012-10-17' or '2008-10-17'.")),
        }
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement {
    /// The Sid element.
    pub sid: Option<String>,
    /// Allow or Deny.
    pub effect: Effect,
    /// Principal or NotPrincipal.
    pub principals: Option<Clause<Principals>>,
    /// Action or NotAction. Without it the statement has no effect.
    pub actions: Option<Clause<Vec<ActionPattern>>>,
    /// Resource or NotResource. Without it the statement has no effect.
    pub resources: Option<Clause<Vec<ResourcePattern>>>,
    /// The condition block, one entry for each key of each operator; all must hold.
    pub conditions: Vec<Condition>,
}

/// What a statement does when it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// `Allow`
    Allow,
    /// `Deny`
    Deny,
}

/// An element, or its `Not…` form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause<T> {
    /// The entries listed.
    Only(T),
    /// Everything but the entries listed.
    AllBut(T),
}

impl<T> Clause<T> {
    /// The entries, whichever form they are in.
    pub fn entries(&self) -> &T {
        match self {
            Self::Only(entries) | Self::AllBut(entries) => entries,
        }
    }

    /// Whether the clause covers something, given whether its entries do.
    #[must_use]
    pub fn covers(&self, listed: impl FnOnce(&T) -> bool) -> bool {
        match self {
            Self::Only(entries) => listed(entries),
            Self::AllBut(entries) => !listed(entries),
        }
    }
}

/// The document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PolicyError {
    message: String,
}

impl PolicyError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// The text for a MalformedPolicyDocumentException. AWS's own texts for these faults are not
    /// on record, so the wording is ours.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

fn statement_list(value: Json) -> Result<Vec<Statement>, PolicyError> {
    let items = match value {
        Json::Array(items) => items,
        one => vec![one],
    };
    if items.is_empty() {
        return Err(PolicyError::new("Policy must contain at least one statement."));
    }
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            statement(item).map_err(|error| {
                PolicyError::new(format!("Statement {}: {}", index + 1, error.message))
            })
        })
        .collect()
}

fn statement(value: Json) -> Result<Statement, PolicyError> {
    let Json::Object(members) = value else {
        return Err(wrong_kind("Statement", "an object", &value));
    };
    let (mut sid, mut effect, mut principals, mut actions, mut resources) =
        (None, None, None, None, None);
    let mut conditions = Vec::new();
    for (name, value) in members {
        match name.as_str() {
            // Key policies admit more in a Sid than the letters and digits of IAM; policies in
            // AWS's own guides hold spaces and hyphens, so no character is refused.
            "Sid" => sid = Some(string(value, "Sid")?),
            "Effect" => effect = Some(parse_effect(&value)?),
            "Principal" => once(&mut principals, Clause::Only(parse_principals(value)?), &name)?,
            "NotPrincipal" => {
                once(&mut principals, Clause::AllBut(parse_principals(value)?), &name)?;
            }
            "Action" => once(&mut actions, Clause::Only(parse_actions(value, &name)?), &name)?,
            "NotAction" => once(&mut actions, Clause::AllBut(parse_actions(value, &name)?), &name)?,
            "Resource" => {
                once(&mut resources, Clause::Only(parse_resources(value, &name)?), &name)?;
            }
            "NotResource" => {
                once(&mut resources, Clause::AllBut(parse_resources(value, &name)?), &name)?;
            }
            "Condition" => conditions = parse_conditions(value)?,
            _ => return Err(PolicyError::new(format!("unknown element {}.", quoted(&name)))),
        }
    }
    let effect = effect.ok_or_else(|| PolicyError::new("Effect is missing."))?;
    Ok(Statement { sid, effect, principals, actions, resources, conditions })
}

/// Fills a slot which an element shares with its `Not…` form.
fn once<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), PolicyError> {
    if slot.is_some() {
        let plain = name.strip_prefix("Not").unwrap_or(name);
        return Err(PolicyError::new(format!("{plain} and Not{plain} exclude each other.")));
    }
    *slot = Some(value);
    Ok(())
}

fn parse_effect(value: &Json) -> Result<Effect, PolicyError> {
    match value {
        Json::String(text) if text == "Allow" => Ok(Effect::Allow),
        Json::String(text) if text == "Deny" => Ok(Effect::Deny),
        _ => Err(PolicyError::new("Effect must be 'Allow' or 'Deny'.")),
    }
}

fn parse_principals(value: Json) -> Result<Principals, PolicyError> {
    let members = match value {
        Json::String(text) if text == "*" => return Ok(Principals::Everyone),
        Json::Object(members) => members,
        other => return Err(wrong_kind("a principal", "'*' or an object", &other)),
    };
    let (mut aws, mut service, mut federated, mut canonical_user) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (kind, value) in members {
        let slot = match kind.as_str() {
            "AWS" => {
                aws = strings(value, &kind)?.iter().map(|text| AwsPrincipal::parse(text)).collect();
                continue;
            }
            "Service" => &mut service,
            "Federated" => &mut federated,
            "CanonicalUser" => &mut canonical_user,
            _ => {
                return Err(PolicyError::new(format!(
                    "unknown kind of principal {}.",
                    quoted(&kind)
                )));
            }
        };
        *slot = strings(value, &kind)?;
    }
    Ok(Principals::Named { aws, service, federated, canonical_user })
}

fn parse_actions(value: Json, name: &str) -> Result<Vec<ActionPattern>, PolicyError> {
    strings(value, name)?
        .iter()
        .map(|text| {
            ActionPattern::parse(text).ok_or_else(|| {
                PolicyError::new(format!("{} is not of the form service:Action.", quoted(text)))
            })
        })
        .collect()
}

fn parse_resources(value: Json, name: &str) -> Result<Vec<ResourcePattern>, PolicyError> {
    Ok(strings(value, name)?.iter().map(|text| ResourcePattern::new(text)).collect())
}

fn parse_conditions(value: Json) -> Result<Vec<Condition>, PolicyError> {
    let Json::Object(operators) = value else {
        return Err(wrong_kind("Condition", "an object", &value));
    };
    let mut conditions = Vec::new();
    for (name, value) in operators {
        let operator = Operator::parse(&name).ok_or_else(|| {
            PolicyError::new(format!("unknown condition operator {}.", quoted(&name)))
        })?;
        let Json::Object(keys) = value else {
            return Err(wrong_kind("a condition operator", "an object", &value));
        };
        for (key, value) in keys {
            if key.is_empty() {
                return Err(PolicyError::new("a condition key is empty."));
            }
            let items = match value {
                Json::Array(items) => items,
                one => vec![one],
            };
            let values = items
                .into_iter()
                .map(|item| match item {
                    Json::String(text) => Ok(text),
                    Json::Bool(value) => Ok(value.to_string()),
                    Json::Number(number) => Ok(number.to_string()),
                    other => Err(wrong_kind("a condition value", "a scalar", &other)),
                })
                .collect::<Result<Vec<_>, _>>()?;
            conditions.push(Condition { operator, key, values });
        }
    }
    Ok(conditions)
}

/// A string or a list of strings.
fn strings(value: Json, name: &str) -> Result<Vec<String>, PolicyError> {
    match value {
        Json::Array(items) => items.into_iter().map(|item| string(item, name)).collect(),
        one => Ok(vec![string(one, name)?]),
    }
}

fn string(value: Json, name: &str) -> Result<String, PolicyError> {
    match value {
        Json::String(text) => Ok(text),
        other => Err(wrong_kind(name, "a string", &other)),
    }
}

fn wrong_kind(name: &str, expected: &str, found: &Json) -> PolicyError {
    PolicyError::new(format!("{name} must be {expected}, not {}.", found.kind()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use proptest::prelude::*;

    use super::*;
    use crate::{SetOperator, Test};

    #[test]
    fn a_full_document_becomes_a_full_tree() {
        let policy = Policy::parse(
            r#"{"Version":"2012-10-17","Id":"i","Statement":[
                {"Sid":"one","Effect":"Allow","Principal":{"AWS":["111122223333","*"],
                 "Service":"ec2.amazonaws.com","Federated":"f.example","CanonicalUser":["c"]},
                 "Action":["kms:*","s3:Get?"],"Resource":"*",
                 "Condition":{"ForAnyValue:StringLikeIfExists":{"a:b":["x",true,3,1.5]},"Null":{"c":"true"}}},
                {"Effect":"Deny","NotPrincipal":"*","NotAction":"kms:Get*","NotResource":["r"]}]}"#,
        )
        .unwrap();
        assert_eq!(policy.version(), Version::V2012);
        assert_eq!(policy.id(), Some("i"));
        let [one, two] = policy.statements() else { panic!("two statements") };
        assert_eq!(one.sid.as_deref(), Some("one"));
        assert_eq!(one.effect, Effect::Allow);
        assert_eq!(
            one.principals,
            Some(Clause::Only(Principals::Named {
                aws: vec![AwsPrincipal::parse("111122223333"), AwsPrincipal::Everyone],
                service: vec!["ec2.amazonaws.com".into()],
                federated: vec!["f.example".into()],
                canonical_user: vec!["c".into()],
            }))
        );
        assert_eq!(one.actions.as_ref().unwrap().entries()[1].as_str(), "s3:Get?");
        assert_eq!(one.conditions.len(), 2);
        assert_eq!(
            one.conditions[0],
            Condition {
                operator: Operator {
                    set: Some(SetOperator::ForAnyValue),
                    test: Test::StringLike,
                    if_exists: true
                },
                key: "a:b".into(),
                values: vec!["x".into(), "true".into(), "3".into(), "1.5".into()],
            }
        );
        assert_eq!(two.principals, Some(Clause::AllBut(Principals::Everyone)));
        assert!(matches!(two.actions, Some(Clause::AllBut(_))));
        assert!(matches!(two.resources, Some(Clause::AllBut(_))));
        assert_eq!(policy.principals().count(), 3);
    }

    #[test]
    fn statement_may_be_one_object_and_parts_may_be_absent() {
        let policy = Policy::parse(r#"{"Statement":{"Effect":"Deny"}}"#).unwrap();
        assert_eq!(policy.version(), Version::V2008);
        assert_eq!(policy.statements()[0].actions, None);
        assert_eq!(policy.statements()[0].resources, None);
        assert_eq!(policy.statements()[0].principals, None);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_place() {
        for (text, part) in [
            ("[]", "JSON object"),
            ("x", "not valid JSON"),
            ("{}", "must contain a Statement"),
            (r#"{"Statement":[]}"#, "at least one"),
            (r#"{"Statement":[1]}"#, "Statement 1: Statement must be an object, not a number"),
            (r#"{"Version":"2012-10-18","Statement":{"Effect":"Allow"}}"#, "Version"),
            (r#"{"Version":2012,"Statement":{"Effect":"Allow"}}"#, "Version"),
            (r#"{"version":"2012-10-17","Statement":{"Effect":"Allow"}}"#, "'version'"),
            (r#"{"Id":1,"Statement":{"Effect":"Allow"}}"#, "Id must be a string"),
            (r#"{"Statement":[{"Effect":"Allow"},{}]}"#, "Statement 2: Effect is missing"),
            (r#"{"Statement":{"Effect":"allow"}}"#, "Effect must be"),
            (r#"{"Statement":{"effect":"Allow"}}"#, "unknown element 'effect'"),
            (r#"{"Statement":{"Effect":"Allow","Effect":"Deny"}}"#, "duplicate member 'Effect'"),
            (r#"{"Statement":{"Effect":"Allow","Sid":null}}"#, "Sid must be a string, not null"),
            (r#"{"Statement":{"Effect":"Allow","Action":"kms"}}"#, "'kms' is not of the form"),
            (r#"{"Statement":{"Effect":"Allow","Action":[["kms:*"]]}}"#, "not an array"),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"*","NotAction":"*"}}"#,
                "Action and NotAction",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","NotResource":"*","Resource":"*"}}"#,
                "Resource and NotResource",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Principal":"*","NotPrincipal":"*"}}"#,
                "exclude each other",
            ),
            (r#"{"Statement":{"Effect":"Allow","Principal":"me"}}"#, "principal must be"),
            (
                r#"{"Statement":{"Effect":"Allow","Principal":{"Aws":"*"}}}"#,
                "kind of principal 'Aws'",
            ),
            (r#"{"Statement":{"Effect":"Allow","Resource":{}}}"#, "not an object"),
            (r#"{"Statement":{"Effect":"Allow","Condition":[]}}"#, "Condition must be"),
            (
                r#"{"Statement":{"Effect":"Allow","Condition":{"Equals":{"a":"b"}}}}"#,
                "operator 'Equals'",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Condition":{"Bool":"x"}}}"#,
                "operator must be an object",
            ),
            (r#"{"Statement":{"Effect":"Allow","Condition":{"Bool":{"":"x"}}}}"#, "key is empty"),
            (r#"{"Statement":{"Effect":"Allow","Condition":{"Bool":{"k":null}}}}"#, "not null"),
        ] {
            let message = Policy::parse(text).expect_err(text).message().to_owned();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn messages_stay_short() {
        let text = format!(r#"{{"Statement":{{"Effect":"Allow","{}":1}}}}"#, "x".repeat(10_000));
        assert!(Policy::parse(&text).unwrap_err().message().len() < 200);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,300}") {
            let _ = Policy::parse(&text);
        }

        #[test]
        fn any_json_of_policy_words_is_answered(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "{", "}", "[", "]", ":", ",", "\"Statement\"", "\"Effect\"", "\"Allow\"", "\"*\"",
                "\"Principal\"", "\"AWS\"", "\"Condition\"", "\"Bool\"", "\"Action\"", "null", "1",
            ]), 0..40)
        ) {
            if let Ok(policy) = Policy::parse(&parts.concat()) {
                let _ = policy.validate_as_key_policy();
            }
        }
    }
}
