//! What a key policy must be beyond a policy.

use crate::condition::SetOperator;
use crate::document::{Clause, Effect, Policy, Statement};
use crate::principal::{
    AwsPrincipal, Principals, is_account, is_canonical_user, is_federation, is_service_name,
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

    /// The lockout safety check without knowledge of requests: whether the policy lets its
    /// principal replace it later on. [`Policy::allows_put_key_policy`] evaluates conditions too.
    ///
    /// `principal_arn` is the caller as policies name it (for a role session the role's ARN or the
    /// session's), `account` the caller's 12 digits, `key_arn` the key the policy is for. True
    /// when a statement allows `kms:PutKeyPolicy` on the key to the caller itself or to the root
    /// of its account, and none denies it. A statement for the account's root only delegates:
    /// whether the caller's own identity policies allow the action is left to who asks.
    ///
    /// Conditions are not evaluated, since they speak of requests to come. A statement with a
    /// Condition is read in the way that locks nobody out unseen: an Allow that has one does not
    /// count, a Deny that has one does. Whoever knows better has BypassPolicyLockoutSafetyCheck.
    /// The same caution reads policy variables: they never match in an Allow.
    #[must_use]
    pub fn allows_root_or_principal_put_policy(
        &self,
        principal_arn: &str,
        account: &str,
        key_arn: &str,
    ) -> bool {
        let caller = Caller::new(principal_arn, account);
        let concerns = |statement: &&Statement| caller.is_concerned(statement, key_arn);
        let mut applying = self.statements().iter().filter(concerns).peekable();
        applying.peek().is_some() && applying.all(|statement| statement.effect == Effect::Allow)
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

/// Who asks, in the forms in which a statement may name it.
struct Caller<'a> {
    arn: &'a str,
    account: &'a str,
    partition: &'a str,
    /// The role's name, when the caller is a session of a role.
    role: Option<&'a str>,
}

impl<'a> Caller<'a> {
    fn new(arn: &'a str, account: &'a str) -> Self {
        let mut parts = arn.splitn(6, ':').skip(1);
        let partition = parts.next().unwrap_or("");
        let role = parts
            .last()
            .and_then(|resource| resource.strip_prefix("assumed-role/"))
            .and_then(|rest| rest.split('/').next());
        Self { arn, account, partition, role }
    }

    /// Whether the statement speaks of this caller, this key and `kms:PutKeyPolicy`, in doubt
    /// towards refusal.
    fn is_concerned(&self, statement: &Statement, key_arn: &str) -> bool {
        let (Some(principals), Some(actions), Some(resources)) =
            (&statement.principals, &statement.actions, &statement.resources)
        else {
            return false;
        };
        let denies = statement.effect == Effect::Deny;
        (denies || statement.conditions.is_empty())
            && self.is_covered(principals, statement.effect)
            && actions.covers(|list| list.iter().any(|entry| entry.covers("kms:PutKeyPolicy")))
            && match resources {
                Clause::Only(list) => list.iter().any(|entry| {
                    entry.covers(key_arn) || (denies && entry.as_str().contains("${"))
                }),
                Clause::AllBut(list) => !list.iter().any(|entry| {
                    entry.covers(key_arn) || (!denies && entry.as_str().contains("${"))
                }),
            }
    }

    fn is_covered(&self, clause: &Clause<Principals>, effect: Effect) -> bool {
        let names_self = |list: &Principals| list.aws().any(|entry| self.is_named_by(entry));
        let names_account = |list: &Principals| list.aws().any(|entry| self.is_of(entry));
        match (clause, effect) {
            (Clause::Only(list), _) => names_self(list) || names_account(list),
            (Clause::AllBut(list), Effect::Allow) => !names_self(list) && !names_account(list),
            // To be spared by a Deny, a user or role must be listed beside its account.
            (Clause::AllBut(list), Effect::Deny) => {
                !(names_account(list) && (self.is_root() || names_self(list)))
            }
        }
    }

    fn is_root(&self) -> bool {
        matches!(AwsPrincipal::parse(self.arn), AwsPrincipal::Account { .. })
    }

    /// Whether the entry is the caller itself: its ARN, or for a session the ARN of its role, whose
    /// path a session's ARN does not show.
    fn is_named_by(&self, entry: &AwsPrincipal) -> bool {
        match entry {
            AwsPrincipal::Everyone => true,
            AwsPrincipal::Arn { arn, .. } if arn == self.arn => true,
            AwsPrincipal::Arn { arn, account } if account == self.account => {
                let parts: Vec<&str> = arn.splitn(6, ':').collect();
                match (self.role, &parts[..]) {
                    (Some(role), [_, partition, "iam", _, _, resource]) => {
                        *partition == self.partition
                            && resource.starts_with("role/")
                            && resource.rsplit('/').next() == Some(role)
                    }
                    _ => false,
                }
            }
            _ => false,
        }
    }

    /// Whether the entry is the caller's account, or everyone.
    fn is_of(&self, entry: &AwsPrincipal) -> bool {
        match entry {
            AwsPrincipal::Everyone => true,
            AwsPrincipal::Account { account, partition } => {
                is_account(account)
                    && account == self.account
                    && partition.as_deref().is_none_or(|partition| partition == self.partition)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::pretty;

    const ROOT: &str = "arn:aws:iam::111122223333:root";
    const USER: &str = "arn:aws:iam::111122223333:user/Alice";
    const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/Admin/me";
    const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn policy(statements: &str) -> Policy {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)).unwrap()
    }

    fn allow(principal: &str) -> String {
        format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"kms:*","Resource":"*"}}"#)
    }

    fn deny(principal: &str) -> String {
        allow(principal).replace("Allow", "Deny")
    }

    fn aws(principal: &str) -> String {
        format!(r#"{{"AWS":"{principal}"}}"#)
    }

    fn keeps(statements: &str, caller: &str) -> bool {
        policy(statements).allows_root_or_principal_put_policy(caller, "111122223333", KEY)
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
        assert!(keeps(&allow(&aws(ROOT)), ROOT));
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

    #[test]
    fn who_keeps_the_policy() {
        for caller in [ROOT, USER, SESSION] {
            assert!(keeps(&allow(&aws(ROOT)), caller));
            assert!(keeps(&allow(&aws("111122223333")), caller));
            assert!(keeps(&allow("\"*\""), caller));
            assert!(!keeps(&allow(&aws("444455556666")), caller));
            assert!(!keeps(&allow(&aws("arn:aws-cn:iam::111122223333:root")), caller));
            assert!(!keeps(&allow(r#"{"Service":"ec2.amazonaws.com"}"#), caller));
        }
        assert!(keeps(&allow(&aws(USER)), USER));
        assert!(!keeps(&allow(&aws(USER)), ROOT));
        assert!(!keeps(&allow(&aws(USER)), "arn:aws:iam::111122223333:user/Bob"));
        assert!(keeps(&allow(&aws(SESSION)), SESSION));
        assert!(keeps(&allow(&aws("arn:aws:iam::111122223333:role/path/Admin")), SESSION));
        assert!(!keeps(&allow(&aws("arn:aws:iam::111122223333:role/Other")), SESSION));
        assert!(!keeps(&allow(&aws("arn:aws:iam::444455556666:role/Admin")), SESSION));
    }

    #[test]
    fn deny_wins_in_any_order() {
        for caller in [ROOT, USER] {
            let both = [allow("\"*\""), deny(&aws(ROOT))];
            assert!(!keeps(&both.join(","), caller));
            assert!(!keeps(&[both[1].clone(), both[0].clone()].join(","), caller));
        }
        assert!(keeps(&[allow("\"*\""), deny(&aws(USER))].join(","), ROOT));
        assert!(!keeps(&[allow("\"*\""), deny(&aws(USER))].join(","), USER));
        assert!(!keeps(&deny("\"*\""), ROOT));
    }

    #[test]
    fn not_principal() {
        let but = |text: String| text.replace("Principal", "NotPrincipal");
        assert!(keeps(&but(allow(&aws(USER))), ROOT));
        assert!(!keeps(&but(allow(&aws(USER))), USER));
        let deny_but = |list: &str| format!("{},{}", allow("\"*\""), but(deny(list)));
        assert!(!keeps(&deny_but(&aws(USER)), USER));
        assert!(keeps(&deny_but(&format!(r#"{{"AWS":["{USER}","{ROOT}"]}}"#)), USER));
        assert!(keeps(&deny_but(&aws(ROOT)), ROOT));
        assert!(!keeps(&deny_but(&aws(ROOT)), USER));
    }

    #[test]
    fn actions_and_resources_count() {
        let with = |element: &str| {
            let rest = format!(r#"{{"Effect":"Allow","Principal":"*",{element}}}"#);
            keeps(&rest, ROOT)
        };
        assert!(with(r#""Action":["kms:Get*","kms:putkeypolicy"],"Resource":"*""#));
        assert!(with(r#""NotAction":"kms:Get*","Resource":"*""#));
        assert!(with(&format!(r#""Action":"*","Resource":"{KEY}""#)));
        assert!(with(r#""Action":"*","Resource":"arn:aws:kms:*:111122223333:key/*""#));
        assert!(with(r#""Action":"*","NotResource":"arn:aws:s3:::b""#));
        assert!(!with(r#""Action":"kms:Get*","Resource":"*""#));
        assert!(!with(r#""NotAction":"kms:Put*","Resource":"*""#));
        assert!(!with(r#""Action":"*","Resource":"arn:aws:kms:us-east-1:111122223333:key/other""#));
        assert!(!with(r#""Action":"*","NotResource":"*""#));
        assert!(!with(r#""Action":"*""#));
        assert!(!with(r#""Resource":"*""#));
        assert!(!with(r#""Action":"*","Resource":"arn:aws:kms:*:${aws:PrincipalAccount}:key/*""#));
    }

    #[test]
    fn conditions_are_read_towards_refusal() {
        let conditional = |text: String| {
            text.replace(r#""Resource""#, r#""Condition":{"Bool":{"a:b":"true"}},"Resource""#)
        };
        assert!(!keeps(&conditional(allow("\"*\"")), ROOT));
        assert!(keeps(&[conditional(allow("\"*\"")), allow("\"*\"")].join(","), ROOT));
        assert!(!keeps(&[allow("\"*\""), conditional(deny("\"*\""))].join(","), ROOT));
    }
}
