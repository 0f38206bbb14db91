//! What a file says, ready for look-ups: immutable, shared by `Arc`, every look-up one or two probes
//! of a hash map and no allocation.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use keystead_model::{AccountId, Partition};
use keystead_policy::Policy;

/// Everybody that an identity file names.
#[derive(Debug, Default)]
pub struct Directory {
    pub(crate) accounts: HashMap<AccountId, Account>,
    pub(crate) access_keys: HashMap<String, AccessKey>,
    pub(crate) by_arn: HashMap<String, Place>,
    pub(crate) by_id: HashMap<String, Place>,
}

/// Where a user or role is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) account: AccountId,
    pub(crate) kind: Kind,
    pub(crate) index: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    User,
    Role,
}

/// Whether a principal that a policy names is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// The file has it.
    Exists,
    /// The file has its account, and not it; or the text names no principal at all.
    Missing,
    /// The file does not have its account, so nothing can be said.
    ForeignAccount,
}

/// A user or a role.
#[derive(Debug, Clone, Copy)]
pub enum Principal<'a> {
    /// A user.
    User(&'a User),
    /// A role.
    Role(&'a Role),
}

impl Directory {
    /// The access key of this id, whether or not it is active.
    #[must_use]
    pub fn access_key(&self, id: &str) -> Option<&AccessKey> {
        self.access_keys.get(id)
    }

    /// All access keys, active or not, in no particular order.
    pub fn access_keys(&self) -> impl Iterator<Item = &AccessKey> {
        self.access_keys.values()
    }

    /// An account.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// All accounts, in no particular order.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// The user of this name, compared with case.
    #[must_use]
    pub fn user(&self, account: AccountId, name: &str) -> Option<&User> {
        self.account(account)?.user(name)
    }

    /// The role of this name, compared with case.
    #[must_use]
    pub fn role(&self, account: AccountId, name: &str) -> Option<&Role> {
        self.account(account)?.role(name)
    }

    /// The user that an access key belongs to; `None` for a key of a root.
    #[must_use]
    pub fn owner(&self, owner: Owner) -> Option<&User> {
        match owner {
            Owner::Root(_) => None,
            Owner::User { account, index } => self.account(account)?.users.get(index),
        }
    }

    /// The user or role with this ARN (`arn:…:user/…`, `arn:…:role/…`), compared with case.
    #[must_use]
    pub fn principal_by_arn(&self, arn: &str) -> Option<Principal<'_>> {
        self.at(*self.by_arn.get(arn)?)
    }

    /// The user or role with this unique id (`AIDA…`, `AROA…`).
    #[must_use]
    pub fn principal_by_id(&self, id: &str) -> Option<Principal<'_>> {
        self.at(*self.by_id.get(id)?)
    }

    /// Whether the principal that a policy names exists: an account (12 digits or the ARN of its
    /// root), a user, a role, a role session, or a unique id. Of a session its role must exist. No
    /// session can be made here for a federated user, so none exists.
    #[must_use]
    pub fn principal_exists(&self, principal: &str) -> Existence {
        if let Some(account) = AccountId::parse(principal) {
            return self.account_exists(account);
        }
        if !principal.starts_with("arn:") {
            return Existence::of(self.by_id.contains_key(principal));
        }
        let mut parts = principal.splitn(6, ':').skip(1);
        let (Some(partition), Some(service), Some(""), Some(account), Some(resource)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Existence::Missing;
        };
        let Some(id) = AccountId::parse(account) else { return Existence::Missing };
        let Some(account) = self.account(id) else { return Existence::ForeignAccount };
        if account.partition.as_str() != partition {
            return Existence::Missing;
        }
        Existence::of(match (service, resource.split_once('/')) {
            ("iam", None) => resource == "root",
            ("iam", Some(("user" | "role", _))) => self.by_arn.contains_key(principal),
            ("sts", Some(("assumed-role", rest))) => {
                rest.split_once('/').is_some_and(|(role, session)| {
                    !session.is_empty() && !session.contains('/') && account.role(role).is_some()
                })
            }
            _ => false,
        })
    }

    fn account_exists(&self, account: AccountId) -> Existence {
        if self.accounts.contains_key(&account) {
            Existence::Exists
        } else {
            Existence::ForeignAccount
        }
    }

    fn at(&self, place: Place) -> Option<Principal<'_>> {
        let account = self.account(place.account)?;
        match place.kind {
            Kind::User => account.users.get(place.index).map(Principal::User),
            Kind::Role => account.roles.get(place.index).map(Principal::Role),
        }
    }
}

impl Existence {
    fn of(found: bool) -> Self {
        if found { Self::Exists } else { Self::Missing }
    }
}

/// An account and what belongs to it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Account {
    /// The 12 digits.
    pub id: AccountId,
    /// Its alias, a name for people.
    pub alias: Option<String>,
    /// The partition, which its ARNs begin with.
    pub partition: Partition,
    /// `arn:<partition>:iam::<id>:root`
    pub root_arn: String,
    /// What `aws:PrincipalOrgID` gives.
    pub organization_id: Option<String>,
    /// What `aws:PrincipalOrgPaths` gives.
    pub organization_path: Option<String>,
    /// Sets of guardrails (service control policies), one for each level of the organization: each
    /// must allow. None of them is empty.
    pub guardrails: Vec<Guardrail>,
    pub(crate) users: Vec<User>,
    pub(crate) roles: Vec<Role>,
    pub(crate) user_names: HashMap<String, usize>,
    pub(crate) role_names: HashMap<String, usize>,
    pub(crate) policies: HashMap<String, Arc<NamedPolicy>>,
    pub(crate) oidc_providers: HashMap<String, OidcProvider>,
}

impl Account {
    /// The user of this name, compared with case.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(*self.user_names.get(name)?)
    }

    /// The role of this name, compared with case.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(*self.role_names.get(name)?)
    }

    /// All users, in the order of the file.
    #[must_use]
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// All roles, in the order of the file.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The managed policy with this ARN.
    #[must_use]
    pub fn managed_policy(&self, arn: &str) -> Option<&Arc<NamedPolicy>> {
        self.policies.get(arn)
    }

    /// The OIDC provider whose issuer is this URL, byte for byte.
    #[must_use]
    pub fn oidc_provider(&self, issuer: &str) -> Option<&OidcProvider> {
        self.oidc_providers.get(issuer)
    }

    /// All OIDC providers, in no particular order.
    pub fn oidc_providers(&self) -> impl Iterator<Item = &OidcProvider> {
        self.oidc_providers.values()
    }
}

/// A policy document with the name under which a decision explains itself.
#[derive(Debug)]
#[non_exhaustive]
pub struct NamedPolicy {
    /// The ARN of a managed policy; else the place of the document within its account:
    /// `user/<user>/<policy>`, `group/<group>/<policy>`, `role/<role>/<policy>`,
    /// `role/<role>/trust_policy`, `guardrail/<level>/<policy>`.
    pub name: String,
    /// The document.
    pub policy: Policy,
}

impl NamedPolicy {
    /// A document that is in no file, such as a session policy.
    #[must_use]
    pub fn new(name: String, policy: Policy) -> Self {
        Self { name, policy }
    }
}

/// The guardrails of one level of the organization.
#[derive(Debug)]
#[non_exhaustive]
pub struct Guardrail {
    /// The name of the level.
    pub level: String,
    /// Its policies, at least one; together they must allow.
    pub policies: Vec<Arc<NamedPolicy>>,
}

/// An IAM user.
#[derive(Debug)]
#[non_exhaustive]
pub struct User {
    /// The account.
    pub account: AccountId,
    /// The name, unique in the account without regard to case.
    pub name: String,
    /// The path, `/` if none was given.
    pub path: String,
    /// The unique id, `AIDA…`.
    pub id: String,
    /// `arn:<partition>:iam::<account>:user<path><name>`
    pub arn: String,
    /// All identity policies: inline, attached, and those of its groups, each once.
    pub policies: Vec<Arc<NamedPolicy>>,
    /// The permissions boundary.
    pub boundary: Option<Arc<NamedPolicy>>,
    /// The names of its groups.
    pub groups: Vec<String>,
    /// Tags, ascending by key.
    pub tags: Vec<(String, String)>,
}

/// An IAM role.
#[derive(Debug)]
#[non_exhaustive]
pub struct Role {
    /// The account.
    pub account: AccountId,
    /// The name, unique in the account without regard to case.
    pub name: String,
    /// The path, `/` if none was given.
    pub path: String,
    /// The unique id, `AROA…`.
    pub id: String,
    /// `arn:<partition>:iam::<account>:role<path><name>`
    pub arn: String,
    /// Who may assume it.
    pub trust: Arc<NamedPolicy>,
    /// All identity policies: inline and attached.
    pub policies: Vec<Arc<NamedPolicy>>,
    /// The permissions boundary.
    pub boundary: Option<Arc<NamedPolicy>>,
    /// Tags, ascending by key.
    pub tags: Vec<(String, String)>,
    /// The longest session, seconds, 3600 to 43200.
    pub max_session_duration: u32,
}

/// A long-term access key.
#[derive(Debug)]
#[non_exhaustive]
pub struct AccessKey {
    /// `AKIA…`
    pub id: String,
    /// Whose it is.
    pub owner: Owner,
    /// Whether it may be used.
    pub active: bool,
    /// The secret as the file has it.
    pub secret: SealedSecret,
}

/// Whose an access key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The root of an account.
    Root(AccountId),
    /// A user; see [`Directory::owner`].
    User {
        /// The account.
        account: AccountId,
        /// Its place among [`Account::users`].
        index: usize,
    },
}

impl Owner {
    /// The account that the owner belongs to.
    #[must_use]
    pub fn account(self) -> AccountId {
        match self {
            Self::Root(account) | Self::User { account, .. } => account,
        }
    }
}

/// A secret access key as the file has it: sealed, and opened elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret(pub(crate) String);

impl SealedSecret {
    /// The sealed text, base64.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecret(..)")
    }
}

/// An OpenID Connect identity provider, whose tokens AssumeRoleWithWebIdentity takes.
#[derive(Debug)]
#[non_exhaustive]
pub struct OidcProvider {
    /// The account whose roles may trust it.
    pub account: AccountId,
    /// The issuer's URL, which the `iss` claim must equal byte for byte.
    pub issuer: String,
    /// `arn:<partition>:iam::<account>:oidc-provider/<issuer without https://>`
    pub arn: String,
    /// The audiences that are accepted, at least one.
    pub client_ids: Vec<String>,
    /// Where its keys come from.
    pub jwks: JwksSource,
}

/// Where the JSON Web Key Set of an issuer comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// A file.
    File(PathBuf),
    /// A URL on a loopback address.
    Url(String),
}
