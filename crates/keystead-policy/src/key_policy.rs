//! What a key policy must be beyond a policy.

use crate::condition::SetOperator;
use crate::document::{Clause, Effect, Policy, Statement};
use crate::principal::{
    AwsPrincipal, Principals, is_canonical_user, is_federation, is_service_name,
};

/// The key policy of a key that was created without one, as the service writes it (recorded in a
/// ReplicaPolicy, 2025): the account's root may do everything, and identity policies of the
/// account count.
#[must_use]
pub fn default_key_policy(partition: &str, account: &str) -> String {
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:{partition}:iam::{account}:root"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#
    )
}

/// The document cannot be a key policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyPolicyError {
    /// To be answered as MalformedPolicyDocumentException.
    #[error("{message}")]
    MalformedPolicyDocument {
        /// The text of the exception.
        message: String,
    },
    /// To be answered as InvalidArnException.
    #[error("{message}")]
    InvalidArn {
        /// The text of the exception.
        message: String,
    },
}

impl KeyPolicyError {
    /// The text of the exception, whichever it is.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::MalformedPolicyDocument { message } | Self::InvalidArn { message } => message,
        }
    }

    fn malformed(message: impl Into<String>) -> Self {
        Self::MalformedPolicyDocument { message: message.into() }
    }
}

impl Policy {
    /// Checks what CreateKey and PutKeyPolicy ask of a document by itself: every statement names a
    /// principal, principals are well-formed, NotPrincipal stands with Deny, and no condition is one that AWS refuses as overly
    /// permissive.
    ///
    /// Whether a principal exists is not known here, except that a unique id (`AIDA…`, `AROA…`)
    /// stands for one that is gone.
    ///
    /// # Errors
    ///
    /// [`KeyPolicyError::InvalidArn`] for an ARN that no principal can have, such as a group's;
    /// [`KeyPolicyError::MalformedPolicyDocument`] for everything else. The texts about principals
    /// and ARNs are recorded ones.
    pub fn validate_as_key_policy(&self) -> Result<(), KeyPolicyError> {
        for (index, statement) in self.statements().iter().enumerate() {
            let principals = match &statement.principals {
                Some(clause) if !clause.entries().is_empty() => clause.entries(),
                _ => {
                    return Err(KeyPolicyError::malformed(format!(
                        "Statement {}: a statement of a key policy must contain a principal.",
                        index + 1
                    )));
                }
            };
            if statement.effect == Effect::Allow
                && matches!(statement.principals, Some(Clause::AllBut(_)))
            {
                return Err(KeyPolicyError::malformed(format!(
                    "Statement {}: NotPrincipal must be used with Deny.",
                    index + 1
                )));
            }
            check_principals(principals)?;
            check_conditions(statement)?;
        }
        Ok(())
    }
}

fn check_principals(principals: &Principals) -> Result<(), KeyPolicyError> {
    // An impossible ARN has a code of its own, which a malformed principal beside it must not hide.
    if principals.aws().any(|principal| matches!(principal, AwsPrincipal::Impossible(_))) {
        return Err(KeyPolicyError::InvalidArn {
            message: "An ARN in the specified key policy is invalid.".to_owned(),
        });
    }
    let unusable = |principal: &AwsPrincipal| {
        matches!(principal, AwsPrincipal::Malformed(_) | AwsPrincipal::UniqueId(_))
    };
    let well_formed = !principals.aws().any(unusable)
        && match principals {
            Principals::Everyone => true,
            Principals::Named { service, federated, canonical_user, .. } => {
                service.iter().all(|text| is_service_name(text))
                    && federated.iter().all(|text| is_federation(text))
                    && canonical_user.iter().all(|text| is_canonical_user(text))
            }
        };
    if well_formed {
        Ok(())
    } else {
        Err(KeyPolicyError::malformed(
            "Policy contains a statement with one or more invalid principals.",
        ))
    }
}

/// Refuses `ForAllValues` on the two families of single-valued keys for which AWS does, because an
/// absent key passes it. The text is AWS's, the code that carries it not on record.
fn check_conditions(statement: &Statement) -> Result<(), KeyPolicyError> {
    for condition in &statement.conditions {
        if condition.operator.set != Some(SetOperator::ForAllValues) {
            continue;
        }
        let key = condition.key.to_ascii_lowercase();
        let what = if key.starts_with("kms:encryptioncontext:") {
            "encryption context"
        } else if key.starts_with("aws:requesttag/") {
            "tag"
        } else {
            continue;
        };
        return Err(KeyPolicyError::malformed(format!(
            "OverlyPermissiveCondition: Using the ForAllValues set operator with a single-valued \
             condition key matches requests without the specified {what} or with an unspecified \
             {what}. To fix, remove ForAllValues."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::pretty;

    fn policy(statements: &str) -> Policy {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)).unwrap()
    }

    fn allow(principal: &str) -> String {
        format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"kms:*","Resource":"*"}}"#)
    }

    fn aws(principal: &str) -> String {
        format!(r#"{{"AWS":"{principal}"}}"#)
    }

    #[test]
    fn default_policy_is_recorded_text_and_its_own_pretty_form() {
        let text = default_key_policy("aws-cn", "012345678901");
        assert_eq!(pretty(&text).unwrap(), text);
        assert!(text.contains(r#""AWS" : "arn:aws-cn:iam::012345678901:root""#));
        assert!(
            text.starts_with("{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"key-default-1\"")
        );
        assert!(text.ends_with("\"Resource\" : \"*\"\n  } ]\n}"));
        Policy::parse(&text).unwrap().validate_as_key_policy().unwrap();
    }

    #[test]
    fn principals_are_needed_and_checked() {
        const PRINCIPALS: &str = "Policy contains a statement with one or more invalid principals.";
        let error = |statement: &str| policy(statement).validate_as_key_policy().unwrap_err();
        for statement in [
            r#"{"Effect":"Allow","Action":"kms:*","Resource":"*"}"#,
            &allow("{}"),
            &allow(r#"{"AWS":[]}"#),
            &format!("{},{}", allow("\"*\""), r#"{"Effect":"Deny"}"#),
        ] {
            assert!(error(statement).message().contains("must contain a principal"), "{statement}");
        }
        for principal in [
            aws("nobody"),
            aws("arn:aws:iam::1:root"),
            aws("arn:aws:iam::111122223333:user/*"),
            aws("AIDACKCEVSQ6C2EXAMPLE"),
            r#"{"Service":"*"}"#.into(),
            r#"{"Federated":"*"}"#.into(),
            r#"{"CanonicalUser":"x"}"#.into(),
        ] {
            let found = error(&allow(&principal));
            assert_eq!(found, KeyPolicyError::malformed(PRINCIPALS), "{principal}");
        }
        let group = error(&allow(r#"{"AWS":["nobody","arn:aws:iam::111122223333:group/G"]}"#));
        assert_eq!(
            group,
            KeyPolicyError::InvalidArn {
                message: "An ARN in the specified key policy is invalid.".into()
            }
        );
        for principal in ["\"*\"", r#"{"AWS":["111122223333"],"Service":"ec2.amazonaws.com"}"#] {
            policy(&allow(principal)).validate_as_key_policy().unwrap();
        }
        // Without Action or Resource a statement is accepted, and has no effect.
        policy(r#"{"Effect":"Allow","Principal":"*"}"#).validate_as_key_policy().unwrap();
    }

    #[test]
    fn overly_permissive_conditions_are_refused() {
        let with = |operator: &str, key: &str| {
            policy(&format!(
                r#"{{"Effect":"Allow","Principal":"*","Condition":{{"{operator}":{{"{key}":"x"}}}}}}"#
            ))
            .validate_as_key_policy()
        };
        let error = with("ForAllValues:StringEquals", "KMS:EncryptionContext:App").unwrap_err();
        assert!(error.message().starts_with("OverlyPermissiveCondition: Using the ForAllValues"));
        assert!(error.message().contains("specified encryption context or"));
        assert!(with("ForAllValues:StringLike", "aws:RequestTag/a").is_err());
        with("ForAnyValue:StringEquals", "kms:EncryptionContext:App").unwrap();
        with("ForAllValues:StringEquals", "kms:EncryptionContextKeys").unwrap();
        with("StringEquals", "aws:RequestTag/a").unwrap();
    }
}
