//! Who a caller is, as policies and grants see it.

use std::sync::{Arc, OnceLock};

use keystead_identity::{Account, NamedPolicy, Role, User};
use keystead_model::{AccountId, Partition, root_arn};
use keystead_policy::{PrincipalKind, RequestPrincipal};

/// A principal with everything a decision needs to know of it.
#[derive(Debug)]
pub(crate) struct Principal {
    pub(crate) kind: PrincipalKind,
    pub(crate) account: AccountId,
    pub(crate) partition: Partition,
    /// `aws:PrincipalArn`: the user, the root, or of a session its role.
    pub(crate) arn: String,
    /// The ARN of a role session; error texts name it in place of the role.
    pub(crate) session_arn: Option<String>,
    /// The unique id of a user or role (`AIDA…`, `AROA…`).
    pub(crate) unique_id: Option<String>,
    /// `aws:userid`.
    pub(crate) user_id: String,
    /// `aws:username`: of users alone.
    pub(crate) user_name: Option<String>,
    /// `aws:PrincipalTag/…`: of a session, its own tags before those of the role.
    pub(crate) tags: Vec<(String, String)>,
    /// The identity policies, attached and inline, and those of groups.
    pub(crate) policies: Vec<Arc<NamedPolicy>>,
    /// The permissions boundary.
    pub(crate) boundary: Option<Arc<NamedPolicy>>,
    /// The policies a session was narrowed by.
    pub(crate) session: Option<Session>,
    /// Policies of the account that every request has to pass, set by set.
    pub(crate) guardrails: Vec<Vec<Arc<NamedPolicy>>>,
    /// `aws:PrincipalOrgID`: the organization the account belongs to.
    pub(crate) organization: Option<String>,
    /// `aws:PrincipalOrgPaths`: where in it.
    pub(crate) organization_path: Option<String>,
    /// Whether a policy asks for the aliases of keys; worked out once, since every request on a key
    /// needs to know.
    pub(crate) asks_for_aliases: OnceLock<bool>,
}

/// What holds of temporary credentials alone.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Session policies; `None`: the session was not narrowed.
    pub(crate) policies: Option<Vec<Arc<NamedPolicy>>>,
    /// When the credentials were issued, milliseconds since the epoch.
    pub(crate) issued: i64,
    /// `aws:SourceIdentity`.
    pub(crate) source_identity: Option<String>,
    /// `aws:FederatedProvider`.
    pub(crate) provider: Option<String>,
    /// The tags that pass to the next session of a chain: keys with values.
    pub(crate) transitive: Vec<(String, String)>,
}

impl Principal {
    /// The root of an account of which nothing else is known.
    pub(crate) fn root(partition: Partition, account: AccountId) -> Self {
        Self {
            kind: PrincipalKind::Root,
            account,
            partition,
            arn: root_arn(partition, account),
            session_arn: None,
            unique_id: None,
            user_id: account.to_string(),
            user_name: None,
            tags: Vec::new(),
            policies: Vec::new(),
            boundary: None,
            session: None,
            guardrails: Vec::new(),
            organization: None,
            organization_path: None,
            asks_for_aliases: OnceLock::new(),
        }
    }

    /// The root of an account.
    pub(crate) fn of_root(account: &Account) -> Self {
        let guardrails = account.guardrails.iter().map(|level| level.policies.clone());
        Self {
            guardrails: guardrails.collect(),
            organization: account.organization_id.clone(),
            organization_path: account.organization_path.clone(),
            ..Self::root(account.partition, account.id)
        }
    }

    /// A user by its own credentials.
    pub(crate) fn of_user(account: &Account, user: &User) -> Self {
        Self {
            kind: PrincipalKind::User,
            arn: user.arn.clone(),
            unique_id: Some(user.id.clone()),
            user_id: user.id.clone(),
            user_name: Some(user.name.clone()),
            tags: user.tags.clone(),
            policies: user.policies.clone(),
            boundary: user.boundary.clone(),
            ..Self::of_root(account)
        }
    }

    /// A session of a role. A tag of the session hides that of the role whose key differs in case
    /// at most.
    pub(crate) fn of_role_session(
        account: &Account,
        role: &Role,
        name: &str,
        tags: Vec<(String, String)>,
        session: Session,
    ) -> Self {
        let hidden = |key: &str| tags.iter().any(|(own, _)| own.eq_ignore_ascii_case(key));
        let of_role: Vec<_> = role.tags.iter().filter(|(key, _)| !hidden(key)).cloned().collect();
        let partition = account.partition.as_str();
        Self {
            kind: PrincipalKind::RoleSession,
            arn: role.arn.clone(),
            session_arn: Some(format!(
                "arn:{partition}:sts::{}:assumed-role/{}/{name}",
                account.id, role.name
            )),
            unique_id: Some(role.id.clone()),
            user_id: format!("{}:{name}", role.id),
            tags: tags.into_iter().chain(of_role).collect(),
            policies: role.policies.clone(),
            boundary: role.boundary.clone(),
            session: Some(session),
            ..Self::of_root(account)
        }
    }

    /// The ARN that error texts and records show: of a role session, the session's.
    pub(crate) fn shown_arn(&self) -> &str {
        self.session_arn.as_deref().unwrap_or(&self.arn)
    }

    /// Whether a principal named in a grant is this one itself.
    pub(crate) fn is(&self, arn: &str) -> bool {
        self.arn == arn || self.session_arn.as_deref() == Some(arn)
    }

    /// Whether a policy of its asks for the aliases of keys.
    pub(crate) fn asks_for_aliases(&self) -> bool {
        let asks = |policy: &Arc<NamedPolicy>| policy.policy.mentions("kms:ResourceAliases");
        let session = || self.session.iter().flat_map(|session| session.policies.iter().flatten());
        *self.asks_for_aliases.get_or_init(|| {
            self.policies.iter().chain(&self.boundary).any(asks)
                || self.guardrails.iter().flatten().any(asks)
                || session().any(asks)
        })
    }

    /// The form in which policies are asked about it.
    pub(crate) fn for_policies(&self) -> RequestPrincipal<'_> {
        RequestPrincipal {
            kind: self.kind,
            partition: self.partition.as_str(),
            account: self.account.as_str(),
            arn: &self.arn,
            session_arn: self.session_arn.as_deref(),
            unique_id: self.unique_id.as_deref(),
            name: None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use keystead_identity::Directory;

    use super::*;

    #[test]
    fn a_session_is_its_role_by_another_name() {
        let directory = Directory::parse(
            "i.toml".as_ref(),
            r#"
            [accounts.111122223333]
            partition = "aws-cn"
            organization_id = "o-a1b2c3d4e5"

            [accounts.111122223333.guardrails.root]
            All = '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'

            [accounts.111122223333.roles.App]
            path = "/team/"
            tags = { Team = "payments", stage = "test" }
            trust_policy = """{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
                               "Principal": {"AWS": "111122223333"}}}"""

            [accounts.111122223333.roles.App.inline_policies]
            Sign = '{"Statement": {"Effect": "Allow", "Action": "kms:Sign", "Resource": "*"}}'
            "#,
        )
        .unwrap();
        let account = AccountId::parse("111122223333").unwrap();
        let (account, role) =
            (directory.account(account).unwrap(), directory.role(account, "App").unwrap());
        let tags = vec![("TEAM".to_owned(), "audit".to_owned())];
        let session = Session { issued: 5, ..Session::default() };
        let principal = Principal::of_role_session(account, role, "me", tags, session);
        assert_eq!(principal.arn, "arn:aws-cn:iam::111122223333:role/team/App");
        let session_arn = "arn:aws-cn:sts::111122223333:assumed-role/App/me";
        assert_eq!(principal.shown_arn(), session_arn);
        assert!(principal.is(session_arn) && principal.is(&role.arn));
        assert_eq!(principal.user_id, format!("{}:me", role.id));
        assert_eq!(principal.user_name, None);
        let tags: Vec<_> = principal.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(tags, [("TEAM", "audit"), ("stage", "test")]);
        assert_eq!(principal.policies[0].name, "role/App/Sign");
        assert_eq!(principal.guardrails[0][0].name, "guardrail/root/All");
        assert_eq!(principal.organization.as_deref(), Some("o-a1b2c3d4e5"));
        let asked = principal.for_policies();
        assert_eq!((asked.kind, asked.partition), (PrincipalKind::RoleSession, "aws-cn"));
        assert_eq!(asked.unique_id, Some(role.id.as_str()));
    }
}
