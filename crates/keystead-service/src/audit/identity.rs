//! Who a caller is, as a record's `userIdentity` says it.

use keystead_audit::{IssuerKind, SessionContext, SessionIssuer, UserIdentity};
use keystead_policy::PrincipalKind;

use crate::caller::Caller;
use crate::principal::Principal;

/// The `userIdentity` of a caller.
pub(super) fn of(caller: &Caller) -> UserIdentity<'_> {
    let principal = caller.principal();
    let (account, key) = (principal.account.as_str(), caller.access_key_id());
    let (id, arn) = (principal.user_id.as_str(), principal.shown_arn());
    let issuer = |kind: IssuerKind| SessionIssuer {
        kind,
        principal_id: principal.unique_id.as_deref().unwrap_or(account),
        arn: &principal.arn,
        account_id: account,
        user_name: last_part(&principal.arn),
    };
    let identity = match principal.kind {
        PrincipalKind::Root => UserIdentity::root(account, arn, Some(key)),
        PrincipalKind::User => {
            let name = principal.user_name.as_deref().or(last_part(arn)).unwrap_or_default();
            UserIdentity::iam_user(id, arn, account, key, name)
        }
        PrincipalKind::RoleSession => {
            let context = session(principal, Some(issuer(IssuerKind::Role)));
            return UserIdentity::assumed_role(id, arn, account, key, context);
        }
        PrincipalKind::FederatedUser => {
            let context = session(principal, Some(issuer(IssuerKind::IamUser)));
            return UserIdentity::federated_user(id, arn, account, key, context);
        }
        PrincipalKind::Service => return UserIdentity::service(arn),
        PrincipalKind::WebIdentity => {
            return UserIdentity::web_identity_user(id, id, arn);
        }
    };
    match principal.session {
        Some(_) => identity.with_session(session(principal, None)),
        None => identity,
    }
}

fn session<'a>(principal: &'a Principal, issuer: Option<SessionIssuer<'a>>) -> SessionContext<'a> {
    let session = principal.session.as_ref();
    SessionContext {
        issuer,
        web_identity: None,
        creation_date: session.map_or(0, |session| session.issued),
        mfa_authenticated: false,
        source_identity: session.and_then(|session| session.source_identity.as_deref()),
        ec2_role_delivery: None,
    }
}

/// The name at the end of the ARN of a user or role, behind its path.
fn last_part(arn: &str) -> Option<&str> {
    arn.rsplit_once('/').map(|(_, name)| name)
}
