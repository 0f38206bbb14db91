//! Temporary credentials: a request that carries a session token is looked up here.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keystead_identity::{Account, Directory, NamedPolicy, Principal as Known};
use keystead_model::Region;
use keystead_policy::Policy;
use keystead_sigv4::{SecretAccessKey, SignatureError};

use crate::principal::{Principal, Session};
use crate::service::Service;
use crate::sts::contents::{Contents, Holder};

/// The longest session token, in characters; ours are shorter than 4 KiB.
const MAX_TOKEN: usize = 4_096;

/// What temporary credentials stand for.
pub(crate) struct TemporaryCredentials {
    pub(crate) secret: SecretAccessKey,
    pub(crate) principal: Arc<Principal>,
}

impl Service {
    /// The secret and the principal of temporary credentials. It is asked for every request, before
    /// the signature is compared; whether the token was issued for this access key, whether it is in
    /// date and whether who it stands for still exists in `directory` is decided here. That the
    /// account is of the Region's partition is for the caller to see.
    ///
    /// # Errors
    /// `InvalidToken`, `ExpiredToken`.
    pub(crate) fn session_principal(
        &self,
        directory: &Directory,
        access_key: &str,
        token: &str,
    ) -> Result<TemporaryCredentials, SignatureError<'static>> {
        let contents = self.opened(access_key, token)?.ok_or(SignatureError::InvalidToken)?;
        let account = directory.account(contents.account).ok_or(SignatureError::InvalidToken)?;
        let principal =
            revived(directory, account, contents).ok_or(SignatureError::InvalidToken)?;
        let secret = self.keyring.access_keys().session_secret(access_key);
        let secret = secret.map_err(|_| SignatureError::InvalidToken)?;
        Ok(TemporaryCredentials {
            secret: SecretAccessKey::new(secret.expose()),
            principal: Arc::new(principal),
        })
    }

    /// The principal of temporary credentials where nobody is known: the root of an account.
    /// `None` for a token that is none of ours, which there says as little as any other credential.
    ///
    /// # Errors
    /// `InvalidToken` for a session of somebody who is not known, `ExpiredToken`.
    pub(crate) fn session_root(
        &self,
        region: &Region,
        access_key: &str,
        token: &str,
    ) -> Result<Option<Principal>, SignatureError<'static>> {
        let Some(contents) = self.opened(access_key, token)? else { return Ok(None) };
        match contents.holder {
            Holder::Root => Ok(Some(Principal {
                session: Some(Session { issued: contents.issued, ..Session::default() }),
                ..Principal::root(region.partition(), contents.account)
            })),
            Holder::User { .. } | Holder::Role { .. } => Err(SignatureError::InvalidToken),
        }
    }

    /// What a token says; `None` if it is none of ours, or of another access key.
    fn opened(
        &self,
        access_key: &str,
        token: &str,
    ) -> Result<Option<Contents>, SignatureError<'static>> {
        if token.len() > MAX_TOKEN {
            return Ok(None);
        }
        let Ok(sealed) = STANDARD.decode(token) else { return Ok(None) };
        let opened = self.keyring.access_keys().open_session(access_key, &sealed);
        let Some(contents) = opened.ok().and_then(|bytes| Contents::from_bytes(bytes.expose()))
        else {
            return Ok(None);
        };
        // To the millisecond: no skew in the holder's favour.
        if self.clock.now() >= contents.expires {
            return Err(SignatureError::ExpiredToken);
        }
        Ok(Some(contents))
    }
}

/// The principal of a session, by what identities say now. `None`: its role or user is gone, or has
/// another id.
fn revived(directory: &Directory, account: &Account, contents: Contents) -> Option<Principal> {
    let session = Session {
        policies: None,
        issued: contents.issued,
        source_identity: contents.source_identity.clone(),
        provider: contents.provider.clone(),
        transitive: contents
            .tags
            .iter()
            .filter(|tag| tag.transitive)
            .map(|tag| (tag.key.clone(), tag.value.clone()))
            .collect(),
    };
    match &contents.holder {
        Holder::Root => Some(Principal { session: Some(session), ..Principal::of_root(account) }),
        Holder::User { id } => match directory.principal_by_id(id)? {
            Known::User(user) if user.account == account.id => {
                Some(Principal { session: Some(session), ..Principal::of_user(account, user) })
            }
            _ => None,
        },
        Holder::Role { id, session: name } => match directory.principal_by_id(id)? {
            Known::Role(role) if role.account == account.id => {
                let session = Session { policies: policies(account, &contents), ..session };
                let tags = contents.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
                Some(Principal::of_role_session(account, role, name, tags, session))
            }
            _ => None,
        },
    }
}

/// The session policies. A managed one that is gone adds nothing to what the others allow; where none
/// is left, nothing is allowed.
fn policies(account: &Account, contents: &Contents) -> Option<Vec<Arc<NamedPolicy>>> {
    if contents.policy.is_none() && contents.policy_arns.is_empty() {
        return None;
    }
    let inline = contents.policy.as_deref().and_then(|text| Policy::parse(text).ok());
    let inline = inline.map(|policy| Arc::new(NamedPolicy::new("session".to_owned(), policy)));
    let managed =
        contents.policy_arns.iter().filter_map(|arn| account.managed_policy(arn).cloned());
    Some(inline.into_iter().chain(managed).collect())
}
