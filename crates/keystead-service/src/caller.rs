//! Who calls: the proof that step 2 of the road was taken.

use std::sync::Arc;

use keystead_model::{AccountId, Region};
use keystead_sigv4::{
    Authorization, Expectation, SignatureError, SignedRequest, TERMINATOR, examine,
};

use crate::access::{Gate, Holder, Verifier};
use crate::authorization::Connection;
use crate::principal::Principal;
use crate::service::{RawRequest, Service};

/// An authenticated caller. For requests made only by [`Caller::authenticate`].
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    principal: Arc<Principal>,
    access_key: Arc<str>,
    region: Region,
    connection: Connection,
}

/// The account of access keys that name none.
const NOBODY: &str = "000000000000";

/// How far the date of a request may lie from ours, milliseconds (authorization.md 1.3).
const SKEW: i64 = 15 * 60 * 1_000;

impl Caller {
    /// Takes the caller from the request. `scope` is the service that the request has to be signed
    /// for, such as `kms`. Nothing of the body is looked at but its hash.
    ///
    /// # Errors
    /// [`SignatureError`], in the wording of whichever service is asked.
    pub(crate) fn authenticate<'a>(
        service: &Service,
        raw: &RawRequest<'a>,
        scope: &'static str,
    ) -> Result<Self, SignatureError<'a>> {
        let authorization = Authorization::from_headers(raw.headers)?;
        let (Holder { access_key, principal }, region) = match &service.gate {
            Gate::Open => believed(service, raw, &authorization, scope)?,
            Gate::Verified(verifier) => verified(service, verifier, raw, &authorization, scope)?,
        };
        Ok(Self { principal, access_key, region, connection: Connection::of(raw) })
    }

    /// Who would call, for a question what would be decided: no request, and nothing was proved. It
    /// is asked about, and never handed to an operation but by tests of what follows
    /// authentication.
    pub(crate) fn supposed(
        principal: Arc<Principal>,
        region: Region,
        connection: Connection,
    ) -> Self {
        Self { principal, access_key: "".into(), region, connection }
    }

    /// The account whose principal calls.
    pub(crate) fn account(&self) -> AccountId {
        self.principal.account
    }

    /// The id of the access key that signed.
    pub(crate) fn access_key_id(&self) -> &str {
        &self.access_key
    }

    /// How the request came.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Who calls.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The Region the request was signed for, hence the world it acts in.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }
}

/// The caller as an unverified header names it: the root of an account. Temporary credentials that
/// were issued here are that account's root as well, for as long as they are in date.
fn believed<'a>(
    service: &Service,
    raw: &RawRequest<'a>,
    authorization: &Authorization<'a>,
    scope: &'static str,
) -> Result<(Holder, Region), SignatureError<'a>> {
    let region = region(service, authorization.region)?;
    if authorization.service != scope {
        return Err(SignatureError::Service { expected: scope });
    }
    if authorization.terminator != TERMINATOR {
        return Err(SignatureError::Terminator { terminator: authorization.terminator });
    }
    let token = raw.headers.get("x-amz-security-token").and_then(|token| token.to_str().ok());
    if let Some(token) = token
        && let Some(found) = service.session_root(&region, authorization.access_key_id, token)?
    {
        let access_key = authorization.access_key_id.into();
        return Ok((Holder { access_key, principal: Arc::new(found) }, region));
    }
    let account = AccountId::parse(authorization.access_key_id)
        .or_else(|| AccountId::parse(NOBODY))
        .ok_or(SignatureError::InvalidToken)?;
    let principal = Arc::new(Principal::root(region.partition(), account));
    Ok((Holder { access_key: authorization.access_key_id.into(), principal }, region))
}

/// The caller whose access key has signed the request.
fn verified<'a>(
    service: &Service,
    verifier: &Verifier,
    raw: &RawRequest<'a>,
    authorization: &Authorization<'a>,
    scope: &'static str,
) -> Result<(Holder, Region), SignatureError<'a>> {
    let request = SignedRequest {
        method: raw.method,
        path: raw.path,
        query: raw.query,
        headers: raw.headers,
        authority: raw.authority,
        body: raw.body,
    };
    let serves = |region: &str| service.serves(region);
    let expectation = Expectation {
        service: scope,
        regions: Some(&serves),
        now: service.clock.now(),
        skew: SKEW,
        unsigned_token: false,
    };
    let examined = examine(&request, authorization, &expectation)?;
    let region = region(service, authorization.region)?;
    let snapshot = verifier.snapshot();
    let refused = || verifier.refuse(&service.keyring, &snapshot, &examined);
    let id = authorization.access_key_id;

    let temporary = id.starts_with("ASIA");
    let holder = match examined.token() {
        Some(token) if temporary => {
            let found = service.session_principal(&snapshot.directory, id, token);
            let found = found.inspect_err(|_| {
                // The same work; the token's own error.
                let _ = refused();
            })?;
            if found.principal.partition != region.partition() {
                return Err(refused());
            }
            snapshot
                .signing
                .verify(&examined, || Ok::<_, SignatureError<'static>>(found.secret))?;
            Holder { access_key: id.into(), principal: found.principal }
        }
        None if !temporary => {
            let key = snapshot.usable(id, &region).ok_or_else(refused)?;
            snapshot.signing.verify(&examined, || service.secret_of(key))?;
            snapshot.holder(key).ok_or(SignatureError::InvalidToken)?
        }
        // A token belongs to temporary credentials, and to no others.
        _ => return Err(refused()),
    };
    Ok((holder, region))
}

fn region<'a>(service: &Service, scope: &'a str) -> Result<Region, SignatureError<'a>> {
    let refused = SignatureError::Region { region: scope };
    if !service.serves(scope) {
        return Err(refused);
    }
    scope.parse().map_err(|_| refused)
}
