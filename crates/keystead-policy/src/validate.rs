//! What policies of identities, sessions and roles must be beyond a policy. The texts are those of
//! IAM's MalformedPolicyDocument, as people have met them, unless noted otherwise.

use crate::arn;
use crate::document::{Clause, Policy, PolicyError, Statement};
use crate::json::quoted;
use crate::principal::{AwsPrincipal, Principals, is_federation, is_service_name};

impl Policy {
    /// Checks a policy that is attached to a user, group or role, or is a permissions boundary:
    /// no Id, no Principal; Action and Resource in every statement, resources as ARNs or `"*"`;
    /// letters and digits in a Sid (IAM JSON policy reference, "Grammar").
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with the text of a MalformedPolicyDocument.
    pub fn validate_as_identity_policy(&self) -> Result<(), PolicyError> {
        check_sids(self)?;
        if self.id().is_some() {
            // The form of the other prohibited fields; the text for this one is not on record.
            return Err(PolicyError::new("Has prohibited field Id"));
        }
        for statement in self.statements() {
            check_sid(statement)?;
            if statement.principals.is_some() {
                return Err(PolicyError::new("Policy document should not specify a principal."));
            }
            if is_missing(statement.actions.as_ref()) {
                return Err(PolicyError::new("Policy statement must contain actions."));
            }
            if is_missing(statement.resources.as_ref()) {
                return Err(PolicyError::new("Policy statement must contain resources."));
            }
            check_resources(statement)?;
        }
        Ok(())
    }

    /// Checks a session policy, for which the rules are those of an identity policy.
    ///
    /// # Errors
    ///
    /// As [`Policy::validate_as_identity_policy`].
    pub fn validate_as_session_policy(&self) -> Result<(), PolicyError> {
        self.validate_as_identity_policy()
    }

    /// Checks the trust policy of a role: a Principal in every statement, no NotPrincipal, only
    /// actions of STS, and no Resource.
    ///
    /// Whether a principal exists is not known here, except that a unique id (`AIDA…`, `AROA…`)
    /// stands for one that is gone.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with the text of a MalformedPolicyDocument.
    pub fn validate_as_trust_policy(&self) -> Result<(), PolicyError> {
        check_sids(self)?;
        for statement in self.statements() {
            check_sid(statement)?;
            match &statement.resources {
                Some(Clause::Only(_)) => {
                    return Err(PolicyError::new("Has prohibited field Resource"));
                }
                Some(Clause::AllBut(_)) => {
                    return Err(PolicyError::new("AssumeRole policy must not contain resources."));
                }
                None => {}
            }
            match &statement.principals {
                Some(Clause::Only(list)) if !list.is_empty() => check_trusted(list)?,
                Some(Clause::AllBut(_)) => {
                    return Err(PolicyError::new(
                        "AssumeRole policy must not contain NotPrincipal field.",
                    ));
                }
                _ => return Err(PolicyError::new("Missing required field Principal")),
            }
            check_assume_actions(statement)?;
        }
        Ok(())
    }
}

/// Sids are unique within a document of IAM. Key policies are free in this: the one that AWS writes
/// for `aws/secretsmanager` gives two statements one Sid.
fn check_sids(policy: &Policy) -> Result<(), PolicyError> {
    let mut sids = std::collections::HashSet::new();
    for sid in policy.statements().iter().filter_map(|statement| statement.sid.as_deref()) {
        if !sid.is_empty() && !sids.insert(sid) {
            return Err(PolicyError::new(format!(
                "Policy has more than one statement with the Sid {}.",
                quoted(sid)
            )));
        }
    }
    Ok(())
}

fn check_sid(statement: &Statement) -> Result<(), PolicyError> {
    let sid = statement.sid.as_deref().unwrap_or("");
    if sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(PolicyError::new(
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular \
         expression [0-9A-Za-z]*",
    ))
}

fn check_resources(statement: &Statement) -> Result<(), PolicyError> {
    let Some(clause) = &statement.resources else { return Ok(()) };
    for entry in clause.entries() {
        let text = entry.as_str();
        if text == "*" {
            continue;
        }
        // The service may not be a pattern; what fails so has a text of its own.
        match arn::split(text) {
            Some(["arn", _, service, ..]) if service.is_empty() || service.contains(['*', '?']) => {
                return Err(PolicyError::new(
                    "Resource vendor must be fully qualified and cannot contain regexes.",
                ));
            }
            Some(["arn", ..]) => {}
            _ => {
                let shown: String = text.chars().take(256).collect();
                return Err(PolicyError::new(format!(
                    "Resource {shown} must be in ARN format or \"*\"."
                )));
            }
        }
    }
    Ok(())
}

fn check_assume_actions(statement: &Statement) -> Result<(), PolicyError> {
    let actions = match &statement.actions {
        Some(Clause::Only(actions)) if !actions.is_empty() => actions,
        // NotAction would cover actions of every other service.
        Some(Clause::AllBut(_)) => return Err(only_assume_actions()),
        _ => return Err(PolicyError::new("Missing required field Action")),
    };
    let of_sts = |text: &str| {
        text.split_once(':').is_some_and(|(service, _)| service.eq_ignore_ascii_case("sts"))
    };
    if actions.iter().all(|action| of_sts(action.as_str())) {
        Ok(())
    } else {
        Err(only_assume_actions())
    }
}

fn only_assume_actions() -> PolicyError {
    PolicyError::new("AssumeRole policy may only specify STS AssumeRole actions.")
}

fn check_trusted(list: &Principals) -> Result<(), PolicyError> {
    let invalid = |kind: &str, text: &str| {
        let shown: String = text.chars().take(256).collect();
        Err(PolicyError::new(format!("Invalid principal in policy: \"{kind}\":\"{shown}\"")))
    };
    for entry in list.aws() {
        match entry {
            AwsPrincipal::Everyone | AwsPrincipal::Account { .. } | AwsPrincipal::Arn { .. } => {}
            AwsPrincipal::UniqueId(text)
            | AwsPrincipal::Impossible(text)
            | AwsPrincipal::Malformed(text) => return invalid("AWS", text),
        }
    }
    if let Principals::Named { service, federated, canonical_user, .. } = list {
        if let Some(text) = service.iter().find(|text| !is_service_name(text)) {
            return invalid("SERVICE", text);
        }
        if let Some(text) = federated.iter().find(|text| !is_federation(text)) {
            return invalid("FEDERATED", text);
        }
        if let Some(text) = canonical_user.first() {
            return invalid("CANONICALUSER", text);
        }
    }
    Ok(())
}

fn is_missing<T>(clause: Option<&Clause<Vec<T>>>) -> bool {
    clause.is_none_or(|clause| clause.entries().is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use super::*;

    fn parsed(statement: &str) -> Policy {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)).unwrap()
    }

    #[test]
    fn identity_policies() {
        let fault = |statement: &str| {
            parsed(statement).validate_as_identity_policy().map_err(|e| e.message().to_owned())
        };
        for good in [
            r#"{"Sid":"a1","Effect":"Allow","Action":"kms:*","Resource":"*"}"#,
            r#"{"Effect":"Deny","NotAction":"kms:*","NotResource":["arn:aws:kms:*:*:key/*"]}"#,
            r#"{"Effect":"Allow","Action":"kms:*","Resource":"arn:aws:kms:*:1:${aws:username}"}"#,
        ] {
            fault(good).expect(good);
        }
        for (bad, text) in [
            (
                r#"{"Effect":"Allow","Principal":"*","Action":"a:b","Resource":"*"}"#,
                "Policy document should not specify a principal.",
            ),
            (
                r#"{"Effect":"Allow","NotPrincipal":"*","Action":"a:b","Resource":"*"}"#,
                "Policy document should not specify a principal.",
            ),
            (r#"{"Effect":"Allow","Resource":"*"}"#, "Policy statement must contain actions."),
            (
                r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#,
                "Policy statement must contain actions.",
            ),
            (r#"{"Effect":"Allow","Action":"a:b"}"#, "Policy statement must contain resources."),
            (
                r#"{"Effect":"Allow","Action":"a:b","Resource":[]}"#,
                "Policy statement must contain resources.",
            ),
            (
                r#"{"Effect":"Allow","Action":"a:b","Resource":"invalid resource"}"#,
                "Resource invalid resource must be in ARN format or \"*\".",
            ),
            (
                r#"{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:k*:::x"}"#,
                "Resource vendor must be fully qualified and cannot contain regexes.",
            ),
        ] {
            assert_eq!(fault(bad), Err(text.to_owned()), "{bad}");
        }
        let sid = fault(r#"{"Sid":"a b","Effect":"Allow","Action":"a:b","Resource":"*"}"#);
        assert!(sid.unwrap_err().starts_with("Statement IDs (SID) must be alpha-numeric."));
        let with_id = r#"{"Id":"x","Statement":{"Effect":"Allow","Action":"a:b","Resource":"*"}}"#;
        let policy = Policy::parse(with_id).unwrap();
        assert!(policy.validate_as_identity_policy().is_err());
        assert!(policy.validate_as_session_policy().is_err());
    }

    #[test]
    fn trust_policies() {
        let fault = |statement: &str| {
            parsed(statement).validate_as_trust_policy().map_err(|e| e.message().to_owned())
        };
        let trust = |principal: &str, rest: &str| {
            format!(r#"{{"Effect":"Allow","Principal":{principal},{rest}}}"#)
        };
        let assume = r#""Action":"sts:AssumeRole""#;
        for good in [
            trust(r#"{"AWS":"111122223333"}"#, assume),
            trust(r#"{"AWS":"*"}"#, assume),
            trust(
                r#"{"Service":"ec2.amazonaws.com"}"#,
                r#""Action":["sts:AssumeRole","sts:TagSession"]"#,
            ),
            trust(
                r#"{"Federated":"arn:aws:iam::111122223333:oidc-provider/accounts.example.com"}"#,
                r#""Action":"sts:AssumeRoleWithWebIdentity""#,
            ),
        ] {
            fault(&good).expect(&good);
        }
        for (bad, text) in [
            (
                trust(r#"{"AWS":"*"}"#, r#""Action":"*""#),
                "AssumeRole policy may only specify STS AssumeRole actions.",
            ),
            (
                trust(r#"{"AWS":"*"}"#, r#""Action":"kms:Decrypt""#),
                "AssumeRole policy may only specify STS AssumeRole actions.",
            ),
            (
                trust(r#"{"AWS":"*"}"#, r#""NotAction":"kms:Decrypt""#),
                "AssumeRole policy may only specify STS AssumeRole actions.",
            ),
            (
                trust(r#"{"AWS":"*"}"#, r#""Action":"sts:AssumeRole","Resource":"*""#),
                "Has prohibited field Resource",
            ),
            (
                trust(r#"{"AWS":"*"}"#, r#""Action":"sts:AssumeRole","NotResource":"*""#),
                "AssumeRole policy must not contain resources.",
            ),
            (trust(r#"{"AWS":"*"}"#, r#""Sid":"x""#), "Missing required field Action"),
            (trust("{}", assume), "Missing required field Principal"),
            (
                trust("\"*\"", assume).replace("Principal", "NotPrincipal"),
                "AssumeRole policy must not contain NotPrincipal field.",
            ),
            (
                trust(r#"{"AWS":"nobody"}"#, assume),
                "Invalid principal in policy: \"AWS\":\"nobody\"",
            ),
            (
                trust(r#"{"AWS":"AROADBQP57FF2AEXAMPLE"}"#, assume),
                "Invalid principal in policy: \"AWS\":\"AROADBQP57FF2AEXAMPLE\"",
            ),
            (trust(r#"{"Service":"*"}"#, assume), "Invalid principal in policy: \"SERVICE\":\"*\""),
            (
                trust(r#"{"Federated":"*"}"#, assume),
                "Invalid principal in policy: \"FEDERATED\":\"*\"",
            ),
        ] {
            assert_eq!(fault(&bad), Err(text.to_owned()), "{bad}");
        }
    }
}
