//! What is known of a request: who asks, for which action, on what, and the values of its
//! condition keys.

use std::borrow::Cow;

/// A request as policies see it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The action with its service, such as `kms:Encrypt`.
    pub action: &'a str,
    /// The ARN acted upon; `None` for an action on no resource, which only `"*"` covers.
    pub resource: Option<&'a str>,
    /// Who asks.
    pub principal: &'a RequestPrincipal<'a>,
    /// The values of condition keys.
    pub facts: &'a dyn Facts,
}

/// Who asks, in every form in which a policy may name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestPrincipal<'a> {
    /// What kind of principal it is.
    pub kind: PrincipalKind,
    /// The partition of its ARN, such as `aws`.
    pub partition: &'a str,
    /// Its account, 12 digits; empty for services and web identities, which are in none.
    pub account: &'a str,
    /// What `aws:PrincipalArn` says: the ARN of the user, of the root user, or for a session that
    /// of its role.
    pub arn: &'a str,
    /// The ARN of a role session (`arn:aws:sts::A:assumed-role/R/S`).
    pub session_arn: Option<&'a str>,
    /// The unique id (`AIDA…`, `AROA…`), which stands in stored policies for the ARN.
    pub unique_id: Option<&'a str>,
    /// The service principal name, or the identity provider of a web identity.
    pub name: Option<&'a str>,
}

/// The kinds of principals (IAM User Guide, "Principal").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// The root user of an account.
    Root,
    /// An IAM user.
    User,
    /// A session of a role.
    RoleSession,
    /// A federated user, made by GetFederationToken.
    FederatedUser,
    /// An AWS service that calls for itself.
    Service,
    /// The holder of an identity provider's token, who has no AWS identity yet: role trust
    /// policies alone speak of it.
    WebIdentity,
}

/// Looks up the condition keys of a request.
pub trait Facts {
    /// The values of a key. `key` comes as the document writes it; keys compare without ASCII case.
    ///
    /// Values are text: dates in RFC 3339 or epoch seconds, numbers in decimal, booleans `true` or
    /// `false`, addresses as they print, bytes in base64.
    fn fact(&self, key: &str) -> Fact<'_>;
}

/// The values of a condition key in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<'a> {
    /// The request does not have the key.
    Absent,
    /// A key of one value.
    One(Cow<'a, str>),
    /// A key of one value that the request gives several times, under spellings that differ in
    /// case alone. A test passes if any value passes, a negated test only if no value matches.
    Ambiguous(Vec<Cow<'a, str>>),
    /// A key of many values. Without a value the key counts as absent.
    Many(Vec<Cow<'a, str>>),
}

impl Fact<'_> {
    /// The values, none of them when the key is absent.
    #[must_use]
    pub fn values(&self) -> &[Cow<'_, str>] {
        match self {
            Self::Absent => &[],
            Self::One(value) => std::slice::from_ref(value),
            Self::Ambiguous(values) | Self::Many(values) => values,
        }
    }
}

/// No condition key has a value.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFacts;

impl Facts for NoFacts {
    fn fact(&self, _key: &str) -> Fact<'_> {
        Fact::Absent
    }
}
