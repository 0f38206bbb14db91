//! One document against one request.

use crate::condition::Operator;
use crate::document::{Effect, Policy};
use crate::facts::Request;
use crate::rule::{Asked, DocumentKind, Miss, Reach};

/// What one document says about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    denied: Option<usize>,
    allowed: [Option<usize>; Reach::ALL.len()],
}

impl Verdict {
    /// The first statement that denies.
    #[must_use]
    pub fn denied(&self) -> Option<usize> {
        self.denied
    }

    /// The first statement that allows and reaches the principal in this way.
    #[must_use]
    pub fn allowed(&self, reach: Reach) -> Option<usize> {
        self.allowed[reach as usize]
    }

    /// The first statement that allows, however it reaches the principal, [`Reach::Account`]
    /// included.
    #[must_use]
    pub fn allowed_any(&self) -> Option<usize> {
        self.allowed.iter().flatten().min().copied()
    }
}

/// What became of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementTrace {
    /// The place of the statement in its document, from 0.
    pub statement: usize,
    /// The Sid element.
    pub sid: Option<String>,
    /// Allow or Deny.
    pub effect: Effect,
    /// Whether it applies, or what first kept it from applying.
    pub outcome: Outcome,
}

/// Whether a statement applies to a request. No value of the request appears in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It applies.
    Applies {
        /// How it reaches the principal; the most direct way if there are several.
        reach: Reach,
    },
    /// Its Principal element, or the lack of one, does not reach the principal.
    NotPrincipal,
    /// It does not cover the action.
    NotAction,
    /// It does not cover the resource.
    NotResource,
    /// A condition does not hold, the first one in the order written.
    ConditionFailed {
        /// The operator.
        operator: Operator,
        /// The key as the document writes it.
        key: String,
        /// Whether the request lacks the key.
        absent: bool,
    },
}

impl Policy {
    /// Evaluates the policy of a resource. A statement without Principal, Action or Resource has no
    /// effect.
    #[must_use]
    pub fn evaluate_resource_policy(&self, request: &Request<'_>) -> Verdict {
        self.evaluate(&Asked::new(request), DocumentKind::Resource)
    }

    /// Evaluates the trust policy of a role, which has no Resource element. A statement without
    /// Principal or Action has no effect.
    #[must_use]
    pub fn evaluate_trust_policy(&self, request: &Request<'_>) -> Verdict {
        self.evaluate(&Asked::new(request), DocumentKind::Trust)
    }

    /// Evaluates a policy that is attached to the principal. A statement with a Principal never
    /// applies.
    #[must_use]
    pub fn evaluate_identity_policy(&self, request: &Request<'_>) -> Verdict {
        self.evaluate(&Asked::new(request), DocumentKind::Identity)
    }

    /// What becomes of each statement.
    #[must_use]
    pub fn explain(&self, request: &Request<'_>, kind: DocumentKind) -> Vec<StatementTrace> {
        self.trace(&Asked::new(request), kind)
    }

    pub(crate) fn trace(&self, asked: &Asked<'_>, kind: DocumentKind) -> Vec<StatementTrace> {
        let traces = self.statements().iter().zip(self.rules()).enumerate();
        traces
            .map(|(index, (statement, rule))| StatementTrace {
                statement: index,
                sid: statement.sid.clone(),
                effect: statement.effect,
                outcome: match rule.apply(statement, asked, kind) {
                    Ok(reaches) => {
                        Outcome::Applies { reach: reaches.iter().next().unwrap_or(Reach::Identity) }
                    }
                    Err(Miss::Principal) => Outcome::NotPrincipal,
                    Err(Miss::Action) => Outcome::NotAction,
                    Err(Miss::Resource) => Outcome::NotResource,
                    Err(Miss::Condition(check)) => Outcome::ConditionFailed {
                        operator: check.operator,
                        key: check.key.clone(),
                        absent: check.is_absent(asked.request.facts),
                    },
                },
            })
            .collect()
    }

    pub(crate) fn evaluate(&self, asked: &Asked<'_>, kind: DocumentKind) -> Verdict {
        let mut verdict = Verdict::default();
        for (index, (statement, rule)) in self.statements().iter().zip(self.rules()).enumerate() {
            let Ok(reaches) = rule.apply(statement, asked, kind) else { continue };
            if rule.effect == Effect::Deny {
                verdict.denied.get_or_insert(index);
                continue;
            }
            for reach in reaches.iter() {
                verdict.allowed[reach as usize].get_or_insert(index);
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::condition::{SetOperator, Test};
    use crate::facts::{Fact, Facts, PrincipalKind, RequestPrincipal};

    const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/1234";

    fn alice() -> RequestPrincipal<'static> {
        RequestPrincipal {
            kind: PrincipalKind::User,
            partition: "aws",
            account: "111122223333",
            arn: "arn:aws:iam::111122223333:user/Alice",
            session_arn: None,
            unique_id: None,
            name: None,
        }
    }

    fn policy(statements: &str) -> Policy {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)).unwrap()
    }

    struct FromHome;

    impl Facts for FromHome {
        fn fact(&self, key: &str) -> Fact<'_> {
            match key.eq_ignore_ascii_case("aws:SourceIp") {
                true => Fact::One("192.0.2.1".into()),
                false => Fact::Absent,
            }
        }
    }

    #[test]
    fn each_statement_is_explained() {
        let policy = policy(
            r#"{"Sid":"all","Effect":"Allow","Principal":{"AWS":["111122223333","*"]},"Action":"*","Resource":"*"},
            {"Effect":"Deny","Principal":{"AWS":"444455556666"},"Action":"*","Resource":"*"},
            {"Effect":"Deny","Principal":"*","Action":"kms:Sign","Resource":"*"},
            {"Effect":"Deny","Principal":"*","Action":"*","Resource":"arn:aws:s3:::b"},
            {"Effect":"Deny","Principal":"*","Action":"*","Resource":"*",
             "Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}},
            {"Effect":"Allow","Principal":"*","Action":"*","Resource":"*",
             "Condition":{"ForAnyValue:StringLike":{"aws:TagKeys":"x"}}}"#,
        );
        let principal = alice();
        let request = Request {
            action: "kms:Decrypt",
            resource: Some(KEY),
            principal: &principal,
            facts: &FromHome,
        };
        let traces = policy.explain(&request, DocumentKind::Resource);
        let plain = |test| Operator { set: None, test, if_exists: false };
        assert_eq!(traces[0].sid.as_deref(), Some("all"));
        let outcomes: Vec<_> = traces.into_iter().map(|trace| trace.outcome).collect();
        assert_eq!(
            outcomes,
            [
                Outcome::Applies { reach: Reach::Everyone },
                Outcome::NotPrincipal,
                Outcome::NotAction,
                Outcome::NotResource,
                Outcome::ConditionFailed {
                    operator: plain(Test::NotIpAddress),
                    key: "aws:SourceIp".into(),
                    absent: false
                },
                Outcome::ConditionFailed {
                    operator: Operator {
                        set: Some(SetOperator::ForAnyValue),
                        ..plain(Test::StringLike)
                    },
                    key: "aws:TagKeys".into(),
                    absent: true
                },
            ]
        );
        let verdict = policy.evaluate_resource_policy(&request);
        assert_eq!(verdict.denied(), None);
        assert_eq!(verdict.allowed(Reach::Account), Some(0));
        assert_eq!(verdict.allowed(Reach::Everyone), Some(0));
        assert_eq!(verdict.allowed(Reach::User), None);
        let foreign = policy.explain(&request, DocumentKind::Identity);
        assert!(foreign.iter().all(|trace| trace.outcome == Outcome::NotPrincipal));
    }
}
