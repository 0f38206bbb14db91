//! A service whose callers can be anybody: users, role sessions, roots, with any policies.

use std::net::Ipv4Addr;
use std::sync::Arc;

use keystead_crypto::RootKey;
use keystead_identity::NamedPolicy;
use keystead_model::{AccountId, OperationName, Region};
use keystead_policy::{Policy, PrincipalKind};
use keystead_store::memory::Memory;
use serde_json::{Value, json};

use super::Connection;
use crate::caller::Caller;
use crate::error::Error;
use crate::principal::{Principal, Session};
use crate::service::RequestId;
use crate::{Access, MovableClock, Root, Service, ServiceSettings, ops};

pub(super) const OWNER: &str = "111122223333";
pub(super) const GUEST: &str = "444455556666";
pub(super) const HERE: &str = "eu-west-1";

/// A service with its clock.
pub(super) struct World {
    pub(super) service: Arc<Service>,
    pub(super) clock: Arc<MovableClock>,
}

impl World {
    pub(super) async fn new(settings: ServiceSettings) -> Self {
        let (store, clock) = (Arc::new(Memory::new()), Arc::new(MovableClock::default()));
        let root = Root::Key(RootKey::generate().unwrap());
        let service = Service::open(settings, Access::Open, store, root, Arc::clone(&clock) as _)
            .await
            .unwrap();
        Self { service, clock }
    }

    /// One request in the Region of the tests.
    pub(super) async fn ask(
        &self,
        who: &Arc<Principal>,
        operation: &str,
        body: &Value,
    ) -> Result<Value, Error> {
        self.ask_in(HERE, who, operation, body).await
    }

    pub(super) async fn ask_in(
        &self,
        region: &str,
        who: &Arc<Principal>,
        operation: &str,
        body: &Value,
    ) -> Result<Value, Error> {
        let connection = Connection {
            source: Ipv4Addr::LOCALHOST.into(),
            secure: true,
            user_agent: None,
            referer: None,
        };
        let caller = Caller::supposed(Arc::clone(who), region.parse().unwrap(), connection);
        let name = OperationName::from_target(&format!("TrentService.{operation}")).unwrap();
        let body = body.to_string();
        let run = ops::row(name).run;
        let reply = run(&self.service, caller, RequestId([7; 16]), body.as_bytes()).await?;
        if reply.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&reply).unwrap())
    }

    /// A new key, by its ARN.
    pub(super) async fn key(&self, who: &Arc<Principal>, body: &Value) -> String {
        let answer = self.ask(who, "CreateKey", body).await.unwrap();
        text(&answer["KeyMetadata"], "Arn")
    }

    /// A new key under this policy, which is not checked for lockout.
    pub(super) async fn key_under(&self, who: &Arc<Principal>, policy: &Value) -> String {
        let body = json!({"Policy": policy.to_string(), "BypassPolicyLockoutSafetyCheck": true});
        self.key(who, &body).await
    }
}

pub(super) fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}")).to_owned()
}

/// What became of a request: `ok`, or the exception.
pub(super) fn fate(result: &Result<Value, Error>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.type_name().to_owned(),
    }
}

/// The whole of a refusal, as the caller sees it.
pub(super) fn told(result: Result<Value, Error>) -> (String, String) {
    let error = result.unwrap_err();
    (error.type_name().to_owned(), error.message().unwrap_or_default().to_owned())
}

pub(super) fn region() -> Region {
    HERE.parse().unwrap()
}

pub(super) fn account(text: &str) -> AccountId {
    text.parse().unwrap()
}

pub(super) fn root(of: &str) -> Principal {
    Principal::root(region().partition(), account(of))
}

pub(super) fn user(of: &str, name: &str) -> Principal {
    Principal {
        kind: PrincipalKind::User,
        arn: format!("arn:aws:iam::{of}:user/{name}"),
        unique_id: Some(format!("AIDA{}", name.to_uppercase())),
        user_id: format!("AIDA{}", name.to_uppercase()),
        user_name: Some(name.to_owned()),
        ..root(of)
    }
}

pub(super) fn role_session(of: &str, role: &str) -> Principal {
    Principal {
        kind: PrincipalKind::RoleSession,
        arn: format!("arn:aws:iam::{of}:role/{role}"),
        session_arn: Some(format!("arn:aws:sts::{of}:assumed-role/{role}/session")),
        unique_id: Some(format!("AROA{}", role.to_uppercase())),
        user_id: format!("AROA{}:session", role.to_uppercase()),
        session: Some(Session::default()),
        ..root(of)
    }
}

pub(super) fn policy(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

pub(super) fn parsed(statements: &[Value]) -> Arc<NamedPolicy> {
    let policy = Policy::parse(&policy(statements).to_string()).unwrap();
    Arc::new(NamedPolicy::new("test".to_owned(), policy))
}

/// A statement of an identity policy.
pub(super) fn may(effect: &str, action: &str) -> Value {
    json!({"Effect": effect, "Action": action, "Resource": "*"})
}

/// A statement of a key policy.
pub(super) fn let_in(effect: &str, principal: &str, action: &str) -> Value {
    json!({"Effect": effect, "Principal": {"AWS": principal}, "Action": action, "Resource": "*"})
}

/// The statement that hands decisions to the owner's identity policies.
pub(super) fn delegation() -> Value {
    let_in("Allow", &format!("arn:aws:iam::{OWNER}:root"), "kms:*")
}

/// Someone of the owner's account who may do everything by identity policies, and by every key
/// policy of the tests.
pub(super) fn admin() -> Arc<Principal> {
    let policies = vec![parsed(&[may("Allow", "kms:*")])];
    Arc::new(Principal { policies, ..user(OWNER, "admin") })
}

pub(super) fn for_admin() -> Value {
    let_in("Allow", &admin().arn, "kms:*")
}
