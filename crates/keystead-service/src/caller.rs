//! Who calls: the proof that step 2 of the road was taken.

use http::HeaderMap;
use keystead_model::{AccountId, Region, root_arn};
use keystead_sigv4::{Authorization, TERMINATOR};

use crate::error::{Error, Result};

/// An authenticated caller. Made only by [`Caller::authenticate`].
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    account: AccountId,
    region: Region,
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
    pub(crate) fn authenticate(headers: &HeaderMap) -> Result<Self> {
        let authorization =
            Authorization::from_headers(headers).map_err(|error| Error::unsigned(&error))?;
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
        Ok(Self { account, region })
    }

    /// The account whose principal calls.
    pub(crate) fn account(&self) -> AccountId {
        self.account
    }

    /// The Region the request was signed for, hence the world it acts in.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// The principal as error texts and policies name it.
    pub(crate) fn arn(&self) -> String {
        root_arn(self.region.partition(), self.account)
    }
}
