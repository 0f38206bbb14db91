//! Who calls: the proof that step 2 of the road was taken.

use std::sync::Arc;

use keystead_model::{AccountId, Region};
use keystead_sigv4::{Authorization, TERMINATOR};

use crate::authorization::Connection;
use crate::error::{Error, Result};
use crate::principal::Principal;
use crate::service::RawRequest;

/// An authenticated caller. Made only by [`Caller::authenticate`].
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    principal: Arc<Principal>,
    region: Region,
    connection: Connection,
    access_key_id: Box<str>,
}

/// The account of access keys that name none.
const NOBODY: &str = "000000000000";

impl Caller {
    /// Takes the caller from the Authorization header as `keystead dev` does: the signature is not
    /// verified, a 12-digit access key names the account, and the caller is that account's root.
    ///
    /// # Errors
    /// MissingAuthenticationTokenException, IncompleteSignatureException or
    /// InvalidSignatureException (behaviour.md 5.4).
    pub(crate) fn authenticate(raw: &RawRequest<'_>) -> Result<Self> {
        let authorization =
            Authorization::from_headers(raw.headers).map_err(|error| Error::unsigned(&error))?;
        let scope_region = authorization.region;
        let region =
            scope_region.parse::<Region>().map_err(|_| Error::scope_region(scope_region))?;
        if authorization.service != "kms" {
            return Err(Error::scope_service());
        }
        if authorization.terminator != TERMINATOR {
            return Err(Error::scope_terminator(authorization.terminator));
        }
        let account = authorization
            .access_key_id
            .parse::<AccountId>()
            .or_else(|_| NOBODY.parse())
            .map_err(|_| Error::internal("the account of nameless callers"))?;
        let principal = Arc::new(Principal::root(&region, account));
        let access_key_id = authorization.access_key_id.into();
        Ok(Self { principal, region, connection: Connection::of(raw), access_key_id })
    }

    /// The account whose principal calls.
    pub(crate) fn account(&self) -> AccountId {
        self.principal.account
    }

    /// The access key the request was signed with.
    pub(crate) fn access_key_id(&self) -> &str {
        &self.access_key_id
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
