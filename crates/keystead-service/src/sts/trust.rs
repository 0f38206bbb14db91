//! Whether a role may be assumed: its trust policy, with the policies of the caller where they have a
//! part in it, asked about every permission that the session needs.

use std::borrow::Cow;
use std::sync::LazyLock;

use keystead_identity::{OidcProvider, Role};
use keystead_policy::{
    Documents, Fact, Facts, Policy, PrincipalKind, Request, RequestPrincipal, decide_trust,
};

use crate::authorization::{Bundle, ConditionKeys, Connection, RequestFacts, single, tagged};
use crate::caller::Caller;

/// What is asked of a role, as conditions see it.
pub(crate) struct Wish<'a> {
    pub(crate) session_name: &'a str,
    /// As given; absent when it was not.
    pub(crate) duration: Option<i64>,
    pub(crate) external_id: Option<&'a str>,
    /// As given.
    pub(crate) source_identity: Option<&'a str>,
    /// As given: without those that are inherited.
    pub(crate) tags: &'a [(&'a str, &'a str)],
    /// Keys, as given.
    pub(crate) transitive: &'a [&'a str],
}

/// What a verified token says of its holder.
pub(crate) struct WebIdentity<'a> {
    pub(crate) provider: &'a OidcProvider,
    /// `aud`: the client id.
    pub(crate) audience: &'a str,
    /// `oaud`: what the token says where `aud` is its authorized party.
    pub(crate) original_audience: &'a [String],
    pub(crate) subject: &'a str,
    pub(crate) amr: &'a [String],
}

/// Who wants to assume a role.
pub(crate) enum Wanting<'a> {
    Caller(&'a Caller),
    Web { identity: &'a WebIdentity<'a>, connection: &'a Connection },
}

/// Whether a permission is given. A role that does not exist is asked with the same work and gives
/// nothing.
pub(crate) fn permits(
    wanting: &Wanting<'_>,
    wish: &Wish<'_>,
    role: Option<&Role>,
    role_arn: &str,
    action: &str,
    now: i64,
) -> bool {
    let trust = role.map_or(&*NOBODY, |role| &role.trust.policy);
    let facts = TrustFacts { wanting, wish, role, action, now };
    let allowed = match wanting {
        Wanting::Caller(caller) => {
            let principal = caller.principal().for_policies();
            let resource = Some(role_arn);
            let request = Request { action, resource, principal: &principal, facts: &facts };
            let account = role_arn.split(':').nth(4).unwrap_or_default();
            Bundle::of(caller).decide_trust(&request, trust, account).allowed
        }
        Wanting::Web { identity, .. } => {
            let principal = RequestPrincipal {
                kind: PrincipalKind::WebIdentity,
                partition: role_arn.split(':').nth(1).unwrap_or_default(),
                account: "",
                arn: "",
                session_arn: None,
                unique_id: None,
                name: Some(&identity.provider.arn),
            };
            let resource = Some(role_arn);
            let request = Request { action, resource, principal: &principal, facts: &facts };
            let account = identity.provider.account;
            let documents = Documents {
                resource_policy: Some(trust),
                resource_account: Some(account.as_str()),
                ..Documents::default()
            };
            decide_trust(&request, &documents).allowed
        }
    };
    allowed && role.is_some()
}

/// A trust policy that trusts nobody: what is asked in place of that of a role that does not exist.
static NOBODY: LazyLock<Policy> = LazyLock::new(|| {
    let text = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:user/nobody"}, "Action": "sts:None"}}"#;
    #[expect(clippy::expect_used, reason = "a constant, read by a test")]
    Policy::parse(text).expect("a policy")
});

struct TrustFacts<'a> {
    wanting: &'a Wanting<'a>,
    wish: &'a Wish<'a>,
    role: Option<&'a Role>,
    action: &'a str,
    now: i64,
}

/// The parameters are asked for by [`TrustFacts`].
struct Nothing;

impl ConditionKeys for Nothing {}

fn one(text: &str) -> Fact<'_> {
    Fact::One(Cow::Borrowed(text))
}

fn given(text: Option<&str>) -> Fact<'_> {
    text.map_or(Fact::Absent, one)
}

fn many<'a>(texts: impl Iterator<Item = &'a str>) -> Fact<'a> {
    let texts: Vec<_> = texts.map(Cow::Borrowed).collect();
    if texts.is_empty() { Fact::Absent } else { Fact::Many(texts) }
}

impl Facts for TrustFacts<'_> {
    fn fact(&self, key: &str) -> Fact<'_> {
        let key = key.to_ascii_lowercase();
        match self.of_wish(&key) {
            Fact::Absent => {}
            found => return found,
        }
        match self.wanting {
            // Keys of KMS say nothing here.
            Wanting::Caller(_) if key.starts_with("kms:") => Fact::Absent,
            Wanting::Caller(caller) => self.of_caller(caller, &key),
            Wanting::Web { identity, connection } => match identity.fact(&key) {
                Fact::Absent => connection.fact(self.now, &key),
                found => found,
            },
        }
    }
}

impl TrustFacts<'_> {
    fn of_wish(&self, key: &str) -> Fact<'_> {
        let wish = self.wish;
        if let Some(name) = key.strip_prefix("aws:requesttag/") {
            let found = wish.tags.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
            return single(found.map(|(_, value)| Cow::Borrowed(*value)).collect());
        }
        if let Some(name) = key.strip_prefix("aws:resourcetag/") {
            return self.role.map_or(Fact::Absent, |role| tagged(&role.tags, name));
        }
        match key {
            "sts:rolesessionname" => one(wish.session_name),
            "sts:externalid" => given(wish.external_id),
            "sts:sourceidentity" => given(wish.source_identity),
            "sts:durationseconds" => match wish.duration {
                Some(seconds) => Fact::One(Cow::Owned(seconds.to_string())),
                None => Fact::Absent,
            },
            "sts:transitivetagkeys" => many(wish.transitive.iter().copied()),
            "aws:tagkeys" => many(wish.tags.iter().map(|(key, _)| *key)),
            "aws:resourceaccount" => {
                self.role.map_or(Fact::Absent, |role| one(role.account.as_str()))
            }
            _ => Fact::Absent,
        }
    }

    fn of_caller(&self, caller: &Caller, key: &str) -> Fact<'_> {
        let facts = RequestFacts {
            caller,
            now: self.now,
            key: None,
            alias: None,
            aliases: None,
            same_key: None,
            model: None,
            unused: None,
            action: self.action,
            region: None,
            request: &Nothing,
            for_key_policy: false,
        };
        owned(facts.fact(key))
    }
}

/// A fact that outlives what it was asked of.
fn owned<'a>(fact: Fact<'_>) -> Fact<'a> {
    let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    match fact {
        Fact::Absent => Fact::Absent,
        Fact::One(text) => Fact::One(own(text)),
        Fact::Ambiguous(texts) => Fact::Ambiguous(texts.into_iter().map(own).collect()),
        Fact::Many(texts) => Fact::Many(texts.into_iter().map(own).collect()),
    }
}

impl WebIdentity<'_> {
    /// `<issuer without https://>:<claim>`
    fn fact(&self, key: &str) -> Fact<'_> {
        if key == "aws:federatedprovider" {
            return one(&self.provider.arn);
        }
        let Some((issuer, claim)) = key.rsplit_once(':') else { return Fact::Absent };
        let own = self.provider.issuer.strip_prefix("https://").unwrap_or_default();
        if !own.eq_ignore_ascii_case(issuer) {
            return Fact::Absent;
        }
        match claim {
            "aud" => one(self.audience),
            "oaud" => many(self.original_audience.iter().map(String::as_str)),
            "sub" => one(self.subject),
            "amr" => many(self.amr.iter().map(String::as_str)),
            _ => Fact::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_a_policy() {
        assert_eq!(NOBODY.statements().len(), 1);
    }
}
