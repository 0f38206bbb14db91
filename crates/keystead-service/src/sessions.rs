//! Temporary credentials: where a request that carries a session token is looked up.

use std::sync::Arc;

use keystead_identity::Directory;
use keystead_model::Region;
use keystead_sigv4::{SecretAccessKey, SignatureError};

use crate::principal::Principal;
use crate::service::Service;

/// What temporary credentials stand for.
pub(crate) struct TemporaryCredentials {
    pub(crate) secret: SecretAccessKey,
    pub(crate) principal: Arc<Principal>,
}

impl Service {
    /// The secret and the principal of temporary credentials. It is asked for every request, before
    /// the signature is compared; whether the token was issued for this access key, whether it is in
    /// date and whether who it stands for still exists in `directory` is decided here.
    ///
    /// # Errors
    /// `InvalidToken`, `ExpiredToken`. No temporary credentials are issued yet, so every token is
    /// invalid.
    pub(crate) fn session_principal(
        &self,
        _directory: &Directory,
        _region: &Region,
        _access_key: &str,
        _token: &str,
    ) -> Result<TemporaryCredentials, SignatureError<'static>> {
        Err(SignatureError::InvalidToken)
    }
}
