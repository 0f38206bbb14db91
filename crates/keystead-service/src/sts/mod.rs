//! The Security Token Service: the calls by which credential providers get and refresh credentials
//! (sts.md), beside KMS on one port.
//!
//! A request is one of STS if it has no `X-Amz-Target` and a form for a body. Of that form `Action`
//! and `Version` are looked at before it is known who sent it, everything else after.
//!
//! - Credentials are stateless: a token holds all there is of a session ([`contents`]), sealed, and
//!   the secret is derived from the access key id. Nothing is stored.
//! - Each use looks role or user up anew, by unique id (`crate::sessions`): one that is gone, or has
//!   another id, takes its sessions with it.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use keystead_policy::PrincipalKind;

use self::contents::{Contents, Holder};
use self::form::{Form, FormError};
use self::issue::HOUR;
use self::parameters::GetSessionToken;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::service::{Answer, Protocol, RawRequest, Reply, RequestId, Service};

mod assume_role;
mod issue;
mod parameters;
mod trust;
mod web_identity;

pub(crate) mod contents;
pub(crate) mod providers;
pub(crate) mod xml;

pub mod form;
pub mod jws;
pub mod key_set;

/// The version of the API.
const VERSION: &str = "2011-06-15";

/// Whether a request that has no `X-Amz-Target` is one of STS.
pub(crate) fn speaks(headers: &HeaderMap) -> bool {
    let Some(Ok(kind)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Takes a request of STS to its end.
pub(crate) async fn answer(service: &Service, raw: RawRequest<'_>) -> Answer {
    let operation = match form::head(raw.body) {
        (action, VERSION) => Operation::parse(action),
        _ => None,
    };
    let (name, result) = match operation {
        Some(operation) => (operation.name(), travel(service, &raw, operation).await),
        None => ("unknown", Err(unknown(raw.body))),
    };
    Answer { operation: name, protocol: Protocol::Query, result }
}

async fn travel(service: &Service, raw: &RawRequest<'_>, operation: Operation) -> Result<Reply> {
    if operation == Operation::AssumeRoleWithWebIdentity {
        // Its holder has no credentials to sign with; a signature that comes along says nothing.
        return web_identity::answer(service, raw, &form(raw)?).await;
    }
    let caller = Caller::authenticate(service, raw, "sts")
        .map_err(|error| Error::sts_unauthenticated(&error))?;
    let form = form(raw)?;
    match operation {
        Operation::AssumeRole => assume_role::answer(service, &caller, raw.request_id, &form),
        Operation::GetSessionToken => session_token(service, &caller, raw.request_id, &form),
        _ => Ok(caller_identity(&caller, raw.request_id)),
    }
}

fn form(raw: &RawRequest<'_>) -> Result<Form> {
    Form::parse(raw.body).map_err(|FormError(message)| Error::sts("ValidationError", message))
}

/// The operations that are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    AssumeRole,
    AssumeRoleWithWebIdentity,
    GetCallerIdentity,
    GetSessionToken,
}

impl Operation {
    fn parse(action: &str) -> Option<Self> {
        let all = [
            Self::AssumeRole,
            Self::AssumeRoleWithWebIdentity,
            Self::GetCallerIdentity,
            Self::GetSessionToken,
        ];
        all.into_iter().find(|operation| operation.name() == action)
    }

    fn name(self) -> &'static str {
        match self {
            Self::AssumeRole => "AssumeRole",
            Self::AssumeRoleWithWebIdentity => "AssumeRoleWithWebIdentity",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::GetSessionToken => "GetSessionToken",
        }
    }
}

/// An action that is none of ours, also one of the seven that STS has and this does not.
fn unknown(body: &[u8]) -> Error {
    let (action, version) = form::head(body);
    let cut = |text: &str| text.chars().take(128).collect::<String>();
    let (action, version) = (cut(action), cut(version));
    let message = format!("Could not find operation {action} for version {version}");
    Error::sts("InvalidAction", message)
}

/// GetCallerIdentity: whoever signed is told who it is, whatever any policy says.
fn caller_identity(caller: &Caller, request: RequestId) -> Reply {
    let principal = caller.principal();
    xml::answer("GetCallerIdentity", request, |xml| {
        xml.text("Arn", principal.shown_arn());
        xml.text("UserId", &principal.user_id);
        xml.text("Account", principal.account.as_str());
    })
}

/// GetSessionToken: for a user or a root by long-term credentials, with no permission.
fn session_token(
    service: &Service,
    caller: &Caller,
    request: RequestId,
    form: &Form,
) -> Result<Reply> {
    /// The default of a user, seconds.
    const TWELVE_HOURS: i64 = 43_200;
    let input = GetSessionToken::read(form)?;
    let principal = caller.principal();
    let (holder, seconds) = match (principal.kind, &principal.session, &principal.unique_id) {
        (PrincipalKind::Root, None, _) => (Holder::Root, input.duration.unwrap_or(HOUR).min(HOUR)),
        (PrincipalKind::User, None, Some(id)) => {
            (Holder::User { id: id.clone() }, input.duration.unwrap_or(TWELVE_HOURS))
        }
        _ => {
            let message = "Cannot call GetSessionToken with session credentials";
            return Err(Error::sts("AccessDenied", message));
        }
    };
    if input.mfa {
        return Err(assume_role::no_device());
    }
    let contents = Contents::new(holder, principal.account, service.clock.now(), seconds);
    let issued = service.issue(&contents)?;
    Ok(xml::answer("GetSessionToken", request, |xml| issued.tell(xml)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_by_their_content_type() {
        let speaks = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            super::speaks(&headers)
        };
        assert!(speaks("application/x-www-form-urlencoded; charset=utf-8"));
        assert!(speaks("Application/X-WWW-Form-Urlencoded"));
        assert!(!speaks("application/x-amz-json-1.1"));
        assert!(!speaks("application/x-www-form-urlencoded-not"));
        assert!(!super::speaks(&HeaderMap::new()));
    }

    #[test]
    fn the_seven_others_are_no_actions() {
        for action in [
            "AssumeRoleWithSAML",
            "AssumeRoot",
            "DecodeAuthorizationMessage",
            "GetAccessKeyInfo",
            "GetDelegatedAccessToken",
            "GetFederationToken",
            "GetWebIdentityToken",
            "getcalleridentity",
            "",
        ] {
            assert_eq!(Operation::parse(action), None, "{action}");
        }
        assert_eq!(
            unknown(b"Action=Get&Version=2011-06-15").message(),
            Some("Could not find operation Get for version 2011-06-15")
        );
    }
}
