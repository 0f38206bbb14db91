//! What policies may ask about a request (AWS condition keys): of the caller, the key, the
//! connection and the request itself. Each value is made when a condition asks for it.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderValue;
use http::header::{REFERER, USER_AGENT};
use jiff::Timestamp;
use keystead_model::Region;
use keystead_policy::{Fact, Facts, PrincipalKind};

use super::condition_keys::ConditionKeys;
use crate::caller::Caller;
use crate::records::KeyRecord;
use crate::service::RawRequest;

/// The operations on no key that do not offer `kms:CallerAccount`.
const WITHOUT_CALLER_ACCOUNT: [&str; 4] =
    ["GenerateRandom", "ListAliases", "ListKeys", "ListRetirableGrants"];

/// What is known of the connection a request came by.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) source: IpAddr,
    /// Whether it came by TLS.
    pub(crate) secure: bool,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) referer: Option<HeaderValue>,
}

impl Connection {
    /// One that there is not: what is asked of it, the question supposes.
    pub(crate) fn supposed() -> Self {
        let source = IpAddr::from([0, 0, 0, 0]);
        Self { source, secure: false, user_agent: None, referer: None }
    }

    pub(crate) fn of(raw: &RawRequest<'_>) -> Self {
        Self {
            source: raw.source,
            secure: raw.secure,
            user_agent: raw.headers.get(USER_AGENT).cloned(),
            referer: raw.headers.get(REFERER).cloned(),
        }
    }
}

/// One permission of one request, as conditions see it.
#[derive(Clone, Copy)]
pub(crate) struct RequestFacts<'a> {
    pub(crate) caller: &'a Caller,
    /// The moment of the decision, the same for the whole of it; milliseconds since the epoch.
    pub(crate) now: i64,
    /// The key that the permission is about.
    pub(crate) key: Option<&'a KeyRecord>,
    /// The alias by which the request names the key.
    pub(crate) alias: Option<&'a str>,
    /// All aliases of the key, where a policy asks for them.
    pub(crate) aliases: Option<&'a [String]>,
    /// Whether source and destination of a ReEncrypt are one key.
    pub(crate) same_key: Option<bool>,
    /// The key whose properties the key to be made will have: a replica's primary.
    pub(crate) model: Option<&'a KeyRecord>,
    /// For how many whole days the key has not been used, where that is asked for.
    pub(crate) unused: Option<i64>,
    pub(crate) action: &'a str,
    /// The Region acted in, where it is not the caller's.
    pub(crate) region: Option<&'a Region>,
    pub(crate) request: &'a (dyn ConditionKeys + Sync),
    /// Whether a key policy asks, to which the key's tags and aliases are not shown.
    pub(crate) for_key_policy: bool,
}

/// A single-valued key, given once or under spellings that differ by case.
pub(crate) fn single(mut values: Vec<Cow<'_, str>>) -> Fact<'_> {
    match values.len() {
        0 => Fact::Absent,
        1 => values.pop().map_or(Fact::Absent, Fact::One),
        _ => Fact::Ambiguous(values),
    }
}

fn one(text: &str) -> Fact<'_> {
    Fact::One(Cow::Borrowed(text))
}

fn made<'a>(text: impl std::fmt::Display) -> Fact<'a> {
    Fact::One(Cow::Owned(text.to_string()))
}

fn boolean<'a>(value: bool) -> Fact<'a> {
    one(if value { "true" } else { "false" })
}

fn given(text: Option<&str>) -> Fact<'_> {
    text.map_or(Fact::Absent, one)
}

/// Milliseconds since the epoch as RFC 3339.
fn date<'a>(millis: i64) -> Fact<'a> {
    match Timestamp::from_millisecond(millis) {
        Ok(time) => made(time.strftime("%Y-%m-%dT%H:%M:%SZ")),
        Err(_) => Fact::Absent,
    }
}

pub(crate) fn tagged<'a>(tags: &'a [(String, String)], name: &str) -> Fact<'a> {
    let found = tags.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    single(found.map(|(_, value)| Cow::Borrowed(value.as_str())).collect())
}

impl Facts for RequestFacts<'_> {
    fn fact(&self, key: &str) -> Fact<'_> {
        let key = key.to_ascii_lowercase();
        if let Some(supposed) = self.request.supposed(&key) {
            return supposed;
        }
        if let Some(name) = key.strip_prefix("kms:encryptioncontext:") {
            return self.context_value(name);
        }
        if let Some(name) = key.strip_prefix("aws:principaltag/") {
            return tagged(&self.caller.principal().tags, name);
        }
        if let Some(name) = key.strip_prefix("aws:resourcetag/") {
            // Key policies cannot ask for them.
            return match self.key {
                Some(record) if !self.for_key_policy => tagged(&record.tags, name),
                _ => Fact::Absent,
            };
        }
        match self.of_key(&key) {
            Fact::Absent => {}
            found => return found,
        }
        match self.of_caller(&key) {
            Fact::Absent => {}
            found => return found,
        }
        match self.of_connection(&key) {
            Fact::Absent => self.request.condition(&key, self.action),
            found => found,
        }
    }
}

impl RequestFacts<'_> {
    fn context_value(&self, name: &str) -> Fact<'_> {
        let maps = self.request.context(self.action);
        let pairs = maps.into_iter().flatten().flat_map(|map| map.iter());
        let found = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        single(found.map(|(_, value)| Cow::Borrowed(value)).collect())
    }

    fn of_key(&self, key: &str) -> Fact<'_> {
        if key == "kms:encryptioncontextkeys" {
            let maps = self.request.context(self.action);
            let names = maps.into_iter().flatten().flat_map(|map| map.iter());
            let mut names: Vec<_> = names.map(|(name, _)| Cow::Borrowed(name)).collect();
            names.dedup();
            return if names.is_empty() { Fact::Absent } else { Fact::Many(names) };
        }
        if let (None, Some(primary)) = (self.key, self.model) {
            return match key {
                "kms:keyspec" | "kms:customermasterkeyspec" => one(primary.spec.as_str()),
                "kms:keyusage" | "kms:customermasterkeyusage" => one(primary.usage.as_str()),
                "kms:keyorigin" => one(primary.origin.as_str()),
                "kms:multiregion" => boolean(true),
                "kms:multiregionkeytype" => one("REPLICA"),
                _ => Fact::Absent,
            };
        }
        let Some(record) = self.key else { return Fact::Absent };
        match key {
            "kms:keyspec" | "kms:customermasterkeyspec" => one(record.spec.as_str()),
            "kms:keyusage" | "kms:customermasterkeyusage" => one(record.usage.as_str()),
            "kms:keyorigin" => one(record.origin.as_str()),
            "kms:multiregion" => boolean(record.multi_region.is_some()),
            "kms:multiregionkeytype" if record.multi_region.is_some() => {
                one(if record.is_replica() { "REPLICA" } else { "PRIMARY" })
            }
            "kms:requestalias" => given(self.alias),
            "kms:resourcealiases" if !self.for_key_policy => match self.aliases {
                Some(all) if !all.is_empty() && all.len() <= super::grants::ALIASES => {
                    Fact::Many(all.iter().map(|name| Cow::Borrowed(name.as_str())).collect())
                }
                _ => Fact::Absent,
            },
            "kms:reencryptonsamekey" => self.same_key.map_or(Fact::Absent, boolean),
            "kms:grantisforawsresource" if matches!(self.action, "ListGrants" | "RevokeGrant") => {
                boolean(false)
            }
            "kms:trailingdayswithoutkeyusage" => self.unused.map_or(Fact::Absent, made),
            "aws:resourceaccount" => one(record.account.as_str()),
            _ => Fact::Absent,
        }
    }

    fn of_caller(&self, key: &str) -> Fact<'_> {
        let principal = self.caller.principal();
        let session = principal.session.as_ref();
        match key {
            "kms:calleraccount" if !WITHOUT_CALLER_ACCOUNT.contains(&self.action) => {
                one(principal.account.as_str())
            }
            "aws:principalaccount" => one(principal.account.as_str()),
            "aws:principalarn" => one(&principal.arn),
            "aws:principaltype" => one(match principal.kind {
                PrincipalKind::Root => "Account",
                PrincipalKind::User => "User",
                PrincipalKind::RoleSession => "AssumedRole",
                PrincipalKind::FederatedUser => "FederatedUser",
                PrincipalKind::Service | PrincipalKind::WebIdentity => "Anonymous",
            }),
            "aws:principalorgid" => given(principal.organization.as_deref()),
            "aws:principalorgpaths" => match principal.organization_path.as_deref() {
                Some(path) => Fact::Many(vec![Cow::Borrowed(path)]),
                None => Fact::Absent,
            },
            "aws:principalisawsservice" | "aws:viaawsservice" => boolean(false),
            "aws:userid" => one(&principal.user_id),
            "aws:username" => given(principal.user_name.as_deref()),
            "aws:tokenissuetime" => session.map_or(Fact::Absent, |session| date(session.issued)),
            "aws:multifactorauthpresent" => session.map_or(Fact::Absent, |_| boolean(false)),
            "aws:sourceidentity" => {
                given(session.and_then(|session| session.source_identity.as_deref()))
            }
            "aws:federatedprovider" => {
                given(session.and_then(|session| session.provider.as_deref()))
            }
            _ => Fact::Absent,
        }
    }

    fn of_connection(&self, key: &str) -> Fact<'_> {
        match key {
            "aws:requestedregion" => one(self.region.unwrap_or(self.caller.region()).as_str()),
            _ => self.caller.connection().fact(self.now, key),
        }
    }
}

impl Connection {
    /// What is known of a request whoever sent it; `now` in milliseconds since the epoch.
    pub(crate) fn fact(&self, now: i64, key: &str) -> Fact<'_> {
        let header = |value: &'_ Option<HeaderValue>| match value.as_ref().map(HeaderValue::to_str)
        {
            Some(Ok(text)) => made(text),
            _ => Fact::Absent,
        };
        match key {
            "aws:sourceip" => made(self.source.to_canonical()),
            "aws:securetransport" => boolean(self.secure),
            "aws:currenttime" => date(now),
            "aws:epochtime" => made(now.div_euclid(1_000)),
            "aws:useragent" => header(&self.user_agent),
            "aws:referer" => header(&self.referer),
            _ => Fact::Absent,
        }
    }
}
