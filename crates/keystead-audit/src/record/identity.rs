//! Who made a request: the `userIdentity` element.
//!
//! Source: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html>.

use super::{Members, date};

/// The `userIdentity` element. Each constructor is one kind of caller and takes what that kind has.
#[derive(Clone, Debug, Default)]
pub struct UserIdentity<'a> {
    kind: Option<&'static str>,
    principal_id: Option<&'a str>,
    arn: Option<&'a str>,
    account_id: Option<&'a str>,
    access_key_id: Option<&'a str>,
    user_name: Option<&'a str>,
    session: Option<SessionContext<'a>>,
    invoked_by: Option<&'a str>,
    identity_provider: Option<&'a str>,
}

impl<'a> UserIdentity<'a> {
    /// The root user of an account.
    pub fn root(account_id: &'a str, arn: &'a str, access_key_id: Option<&'a str>) -> Self {
        Self {
            kind: Some("Root"),
            principal_id: Some(account_id),
            arn: Some(arn),
            account_id: Some(account_id),
            access_key_id,
            ..Self::default()
        }
    }

    /// An IAM user; `principal_id` is its unique id (`AIDA…`).
    pub fn iam_user(
        principal_id: &'a str,
        arn: &'a str,
        account_id: &'a str,
        access_key_id: &'a str,
        user_name: &'a str,
    ) -> Self {
        Self {
            kind: Some("IAMUser"),
            principal_id: Some(principal_id),
            arn: Some(arn),
            account_id: Some(account_id),
            access_key_id: Some(access_key_id),
            user_name: Some(user_name),
            ..Self::default()
        }
    }

    /// A session of a role; `principal_id` is `AROA…:session`, `arn` that of the session.
    pub fn assumed_role(
        principal_id: &'a str,
        arn: &'a str,
        account_id: &'a str,
        access_key_id: &'a str,
        session: SessionContext<'a>,
    ) -> Self {
        Self {
            kind: Some("AssumedRole"),
            principal_id: Some(principal_id),
            arn: Some(arn),
            account_id: Some(account_id),
            access_key_id: Some(access_key_id),
            session: Some(session),
            ..Self::default()
        }
    }

    /// A federated user; `principal_id` is `account:name`.
    pub fn federated_user(
        principal_id: &'a str,
        arn: &'a str,
        account_id: &'a str,
        access_key_id: &'a str,
        session: SessionContext<'a>,
    ) -> Self {
        Self {
            kind: Some("FederatedUser"),
            ..Self::assumed_role(principal_id, arn, account_id, access_key_id, session)
        }
    }

    /// The holder of a token of an OpenID Connect provider, who has no credentials yet.
    /// `principal_id` is `provider:audience:subject`.
    pub fn web_identity_user(
        principal_id: &'a str,
        user_name: &'a str,
        identity_provider: &'a str,
    ) -> Self {
        Self {
            kind: Some("WebIdentityUser"),
            principal_id: Some(principal_id),
            user_name: Some(user_name),
            identity_provider: Some(identity_provider),
            ..Self::default()
        }
    }

    /// A service that acts for itself, by its DNS name.
    pub fn service(name: &'a str) -> Self {
        Self { kind: Some("AWSService"), invoked_by: Some(name), ..Self::default() }
    }

    /// The identity of a service event: it has no type.
    pub fn service_event(owner: &'a str) -> Self {
        Self { account_id: Some(owner), invoked_by: Some(super::INTERNAL), ..Self::default() }
    }

    /// Adds the session of an IAM user or root that signs with a session token.
    #[must_use]
    pub fn with_session(self, session: SessionContext<'a>) -> Self {
        Self { session: Some(session), ..self }
    }

    /// Says that a service, by its DNS name, made the request on behalf of this identity.
    #[must_use]
    pub fn invoked_by(self, service: &'a str) -> Self {
        Self { invoked_by: Some(service), ..self }
    }

    /// The account of the caller, where the caller has one.
    pub fn account_id(&self) -> Option<&'a str> {
        self.account_id
    }

    /// This identity as another account's copy of the record shows it: principal id and account, no
    /// ARN, no access key id.
    #[must_use]
    pub fn foreign(&self) -> Self {
        Self {
            kind: Some("AWSAccount"),
            principal_id: self.principal_id,
            account_id: self.account_id,
            ..Self::default()
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut members = Members::open(out);
        members.optional("type", self.kind);
        members.optional("principalId", self.principal_id);
        members.optional("arn", self.arn);
        members.optional("accountId", self.account_id);
        members.optional("accessKeyId", self.access_key_id);
        members.optional("userName", self.user_name);
        if let Some(session) = &self.session {
            members.nested("sessionContext", |out| session.write(out));
        }
        members.optional("identityProvider", self.identity_provider);
        members.optional("invokedBy", self.invoked_by);
        members.close();
    }
}

/// How temporary credentials came about.
#[derive(Clone, Debug)]
pub struct SessionContext<'a> {
    /// Whose credentials the session was made with, where it is a role's or a federated user's.
    pub issuer: Option<SessionIssuer<'a>>,
    /// The provider and the token of a session that a web identity was given.
    pub web_identity: Option<WebIdentity<'a>>,
    /// When the credentials were issued: milliseconds since 1970.
    pub creation_date: i64,
    /// Whether a second factor was shown.
    pub mfa_authenticated: bool,
    /// The source identity that the session carries.
    pub source_identity: Option<&'a str>,
    /// The version of the instance metadata service that delivered the credentials.
    pub ec2_role_delivery: Option<&'a str>,
}

impl SessionContext<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let mut members = Members::open(out);
        if let Some(issuer) = &self.issuer {
            members.nested("sessionIssuer", |out| issuer.write(out));
        }
        if let Some(identity) = &self.web_identity {
            members.nested("webIdFederationData", |out| {
                let mut members = Members::open(out);
                members.text("federatedProvider", identity.federated_provider);
                members.nested("attributes", |out| {
                    let mut members = Members::open(out);
                    for (name, value) in identity.attributes {
                        members.text(name, value);
                    }
                    members.close();
                });
                members.close();
            });
        }
        members.nested("attributes", |out| {
            let mut members = Members::open(out);
            members.nested("creationDate", |out| {
                out.push(b'"');
                date::push_iso(out, self.creation_date);
                out.push(b'"');
            });
            // Texts, not booleans: so does CloudTrail.
            let mfa = if self.mfa_authenticated { "true" } else { "false" };
            members.text("mfaAuthenticated", mfa);
            members.close();
        });
        members.optional("sourceIdentity", self.source_identity);
        members.optional("ec2RoleDelivery", self.ec2_role_delivery);
        members.close();
    }
}

/// The `sessionIssuer` element.
#[derive(Clone, Debug)]
pub struct SessionIssuer<'a> {
    /// What issued the session.
    pub kind: IssuerKind,
    /// Unique id of the role or user; the account id for root.
    pub principal_id: &'a str,
    /// ARN of the role, user or root.
    pub arn: &'a str,
    /// Account of the role, user or root.
    pub account_id: &'a str,
    /// Name of the role or user.
    pub user_name: Option<&'a str>,
}

impl SessionIssuer<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let mut members = Members::open(out);
        members.text(
            "type",
            match self.kind {
                IssuerKind::Role => "Role",
                IssuerKind::IamUser => "IAMUser",
                IssuerKind::Root => "Root",
            },
        );
        members.text("principalId", self.principal_id);
        members.text("arn", self.arn);
        members.text("accountId", self.account_id);
        members.optional("userName", self.user_name);
        members.close();
    }
}

/// The `type` of a session issuer.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum IssuerKind {
    /// A role.
    Role,
    /// An IAM user.
    IamUser,
    /// The root user of an account.
    Root,
}

/// The `webIdFederationData` element.
#[derive(Clone, Debug)]
pub struct WebIdentity<'a> {
    /// ARN of the OpenID Connect provider.
    pub federated_provider: &'a str,
    /// Claims that tell the holder, such as `https://issuer:aud`.
    pub attributes: &'a [(&'a str, &'a str)],
}
