//! Principals of a statement.

/// The value of a Principal or NotPrincipal element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principals {
    /// `"*"`: every principal of every account.
    Everyone,
    /// An object of principals by kind; each list holds the entries in the order written.
    Named {
        /// `AWS`: accounts, users, roles, sessions, or everyone.
        aws: Vec<AwsPrincipal>,
        /// `Service`: service principals such as `ec2.amazonaws.com`.
        service: Vec<String>,
        /// `Federated`: identity providers.
        federated: Vec<String>,
        /// `CanonicalUser`: canonical user ids, a form of Amazon S3.
        canonical_user: Vec<String>,
    },
}

impl Principals {
    /// The entries under `AWS`, `"*"` counting as one.
    pub fn aws(&self) -> impl Iterator<Item = &AwsPrincipal> {
        match self {
            Self::Everyone => std::slice::from_ref(&AwsPrincipal::Everyone).iter(),
            Self::Named { aws, .. } => aws.iter(),
        }
    }

    /// Whether not one principal is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Everyone => false,
            Self::Named { aws, service, federated, canonical_user } => {
                aws.is_empty()
                    && service.is_empty()
                    && federated.is_empty()
                    && canonical_user.is_empty()
            }
        }
    }
}

/// An entry under `AWS`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AwsPrincipal {
    /// `*`: every principal of every account.
    Everyone,
    /// An account, written as 12 digits or as the ARN of its root. On Allow it hands the decision
    /// to that account's identity policies; on Deny it covers all of its principals.
    Account {
        /// The 12 digits.
        account: String,
        /// The partition of the root ARN; `None` when written as digits alone.
        partition: Option<String>,
    },
    /// A user, role, role session or federated user, by ARN.
    Arn {
        /// The whole ARN as written.
        arn: String,
        /// The account within it.
        account: String,
    },
    /// The internal id (`AIDA…`, `AROA…`) which stands for a user or role that is gone.
    UniqueId(String),
    /// An ARN that cannot be a principal, such as that of a group or of another service.
    Impossible(String),
    /// Neither an ARN nor any other form of a principal.
    Malformed(String),
}

impl AwsPrincipal {
    /// Sorts an entry into its kind. Every text has one; which kinds are acceptable is decided
    /// where the document is put to use.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::Everyone;
        }
        if is_account(text) {
            return Self::Account { account: text.to_owned(), partition: None };
        }
        if is_unique_id(text) {
            return Self::UniqueId(text.to_owned());
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, region, account, resource] = parts[..] else {
            return Self::Malformed(text.to_owned());
        };
        if !is_partition(partition) || service.is_empty() || resource.is_empty() {
            return Self::Malformed(text.to_owned());
        }
        if !matches!(service, "iam" | "sts") {
            return Self::Impossible(text.to_owned());
        }
        if !region.is_empty() || !is_account(account) || resource.contains(['*', '?']) {
            return Self::Malformed(text.to_owned());
        }
        let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
        let well_formed = match (service, kind) {
            ("iam", "root") if resource == "root" => {
                return Self::Account {
                    account: account.to_owned(),
                    partition: Some(partition.to_owned()),
                };
            }
            ("iam", "user" | "role") => is_path_and_name(rest),
            ("sts", "assumed-role") => rest
                .split_once('/')
                .is_some_and(|(role, session)| is_name(role) && is_name(session)),
            ("sts", "federated-user") => is_name(rest),
            _ => return Self::Impossible(text.to_owned()),
        };
        if well_formed {
            Self::Arn { arn: text.to_owned(), account: account.to_owned() }
        } else {
            Self::Malformed(text.to_owned())
        }
    }

    /// The partition that the entry is written for; `None` where it names none.
    #[must_use]
    pub fn partition(&self) -> Option<&str> {
        match self {
            Self::Account { partition, .. } => partition.as_deref(),
            Self::Arn { arn, .. } | Self::Impossible(arn) => arn.split(':').nth(1),
            Self::Everyone | Self::UniqueId(_) | Self::Malformed(_) => None,
        }
    }
}

pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether the text can be a service principal: a host name in lower case with at least one dot.
pub(crate) fn is_service_name(text: &str) -> bool {
    text.len() <= 128
        && text.contains('.')
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

/// Whether the text can be an identity provider: a host name, or the ARN of one in IAM.
pub(crate) fn is_federation(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts[..] {
        ["arn", partition, "iam", "", account, resource] => {
            is_partition(partition)
                && is_account(account)
                && !resource.contains(['*', '?'])
                && ["saml-provider/", "oidc-provider/"]
                    .iter()
                    .any(|kind| resource.strip_prefix(kind).is_some_and(|name| !name.is_empty()))
        }
        // A provider may be named with a path below its host.
        _ => {
            is_service_name(text.split('/').next().unwrap_or(""))
                && text.bytes().all(|b| b.is_ascii_graphic() && b != b'*')
        }
    }
}

pub(crate) fn is_canonical_user(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_partition(text: &str) -> bool {
    text == "aws"
        || text.strip_prefix("aws-").is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        })
}

fn is_unique_id(text: &str) -> bool {
    (16..=128).contains(&text.len())
        && ["AIDA", "AROA"].iter().any(|prefix| text.starts_with(prefix))
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Names of users, roles and sessions: `[\w+=,.@-]`, at most 64 (IAM API reference).
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
}

/// An optional path of printable characters, at most 512 with its slashes, then a name.
fn is_path_and_name(text: &str) -> bool {
    let (path, name) = text.rsplit_once('/').unwrap_or(("", text));
    is_name(name) && path.len() <= 510 && path.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn kinds_of_principals() {
        assert_eq!(AwsPrincipal::parse("*"), AwsPrincipal::Everyone);
        assert_eq!(
            AwsPrincipal::parse("000000000001"),
            AwsPrincipal::Account { account: "000000000001".into(), partition: None }
        );
        assert_eq!(
            AwsPrincipal::parse("arn:aws-cn:iam::111122223333:root"),
            AwsPrincipal::Account {
                account: "111122223333".into(),
                partition: Some("aws-cn".into())
            }
        );
        for arn in [
            "arn:aws:iam::111122223333:user/Alice",
            "arn:aws:iam::111122223333:user/division/team/Alice",
            "arn:aws-us-gov:iam::111122223333:role/aws-service-role/x.amazonaws.com/R",
            "arn:aws:sts::111122223333:assumed-role/R/session@example",
            "arn:aws:sts::111122223333:federated-user/Bob",
        ] {
            assert!(matches!(AwsPrincipal::parse(arn), AwsPrincipal::Arn { .. }), "{arn}");
        }
        for id in ["AIDACKCEVSQ6C2EXAMPLE", "AROADBQP57FF2AEXAMPLE"] {
            assert_eq!(AwsPrincipal::parse(id), AwsPrincipal::UniqueId(id.into()));
        }
        for arn in [
            "arn:aws:iam::111122223333:group/Admins",
            "arn:aws:iam::111122223333:policy/P",
            "arn:aws:iam::111122223333:rooty",
            "arn:aws:sts::111122223333:session",
            "arn:aws:s3:::bucket",
            "arn:aws:kms:us-east-1:111122223333:key/1",
        ] {
            assert!(matches!(AwsPrincipal::parse(arn), AwsPrincipal::Impossible(_)), "{arn}");
        }
        for text in [
            "",
            "Alice",
            "1111",
            "1111222233334",
            "arn:aws:iam::111122223333",
            "arn:aws:iam::1111:root",
            "arn:gcp:iam::111122223333:root",
            "arn:aws:iam:us-east-1:111122223333:root",
            "arn:aws:iam::111122223333:user/*",
            "arn:aws:iam::111122223333:user/",
            "arn:aws:iam::111122223333:role/a b",
            "arn:aws:sts::111122223333:assumed-role/R",
            "arn:aws:sts::111122223333:assumed-role/R/a/b",
            "ARN:aws:iam::111122223333:root",
            "arn:aws:iam::111122223333:",
            "arn::iam::111122223333:root",
        ] {
            assert!(matches!(AwsPrincipal::parse(text), AwsPrincipal::Malformed(_)), "{text}");
        }
    }

    #[test]
    fn partitions() {
        for (text, partition) in [
            ("arn:aws-cn:iam::111122223333:root", Some("aws-cn")),
            ("arn:aws:iam::111122223333:role/r", Some("aws")),
            ("arn:aws-us-gov:iam::111122223333:group/g", Some("aws-us-gov")),
            ("111122223333", None),
            ("*", None),
            ("AIDACKCEVSQ6C2EXAMPLE", None),
            ("arn:aws", None),
        ] {
            assert_eq!(AwsPrincipal::parse(text).partition(), partition, "{text}");
        }
    }

    #[test]
    fn services_and_providers() {
        assert!(is_service_name("logs.us-east-1.amazonaws.com"));
        for text in ["", "ec2", "EC2.amazonaws.com", "*.amazonaws.com", ".com", "a..b"] {
            assert!(!is_service_name(text), "{text}");
        }
        for text in [
            "accounts.google.com",
            "arn:aws:iam::111122223333:saml-provider/P",
            "token.actions.githubusercontent.com/enterprise",
            "www.amazon.com",
        ] {
            assert!(is_federation(text), "{text}");
        }
        for text in [
            "",
            "*",
            "arn:aws:iam::111122223333:saml-provider/",
            "arn:aws:iam::111122223333:user/x",
        ] {
            assert!(!is_federation(text), "{text}");
        }
    }
}
