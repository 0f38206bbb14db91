//! AssumeRole.

use keystead_identity::{Directory, Principal as Known, Role};
use keystead_policy::{AwsPrincipal, PrincipalKind};

use super::contents::SessionTag;
use super::form::Form;
use super::issue::{RoleSession, tell_role};
use super::parameters::{AssumeRole, is_tag_key, is_tag_value};
use super::trust::{Wanting, Wish, permits};
use super::xml;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::service::{Reply, RequestId, Service};

pub(super) fn answer(
    service: &Service,
    caller: &Caller,
    request: RequestId,
    form: &Form,
) -> Result<Reply> {
    let input = AssumeRole::read(form)?;
    let principal = caller.principal();
    if principal.kind == PrincipalKind::Root {
        return Err(Error::sts("AccessDenied", "Roles may not be assumed by root accounts."));
    }
    if input.mfa {
        return Err(no_device());
    }
    check_role_arn(input.role_arn)?;
    let given = given_tags(&input.tags, &input.transitive)?;
    let session = principal.session.as_ref();
    let inherited = session.map(|session| session.transitive.as_slice()).unwrap_or_default();
    let tags = with_inherited(given, inherited)?;

    let directory = service.gate.directory();
    // Identities do not cross partitions.
    let here = input.role_arn.split(':').nth(1) == Some(principal.partition.as_str());
    let role = directory.as_deref().and_then(|directory| role(directory, input.role_arn));
    let role = role.filter(|_| here);
    let now = service.clock.now();
    let wish = Wish {
        session_name: input.session_name,
        duration: input.duration,
        external_id: input.external_id,
        source_identity: input.source_identity,
        tags: &input.tags,
        transitive: &input.transitive,
    };
    let permit = |action: &str| {
        if permits(&Wanting::Caller(caller), &wish, role, input.role_arn, action, now) {
            return Ok(());
        }
        let (who, arn) = (principal.shown_arn(), input.role_arn);
        let message =
            format!("User: {who} is not authorized to perform: {action} on resource: {arn}");
        Err(Error::sts("AccessDenied", message))
    };
    permit("sts:AssumeRole")?;
    if !tags.is_empty() {
        permit("sts:TagSession")?;
    }
    // Once set it stays, and nobody sets another.
    let before = session.and_then(|session| session.source_identity.as_deref());
    let source_identity = before.or(input.source_identity);
    if source_identity.is_some() {
        permit("sts:SetSourceIdentity")?;
    }
    if input.source_identity.is_some() && source_identity != input.source_identity {
        let message = format!(
            "User: {} is not authorized to perform: sts:SetSourceIdentity on resource: {}",
            principal.shown_arn(),
            input.role_arn
        );
        return Err(Error::sts("AccessDenied", message));
    }

    let role = role.ok_or_else(|| Error::internal("a role that is not there was assumed"))?;
    let account = directory.as_deref().and_then(|directory| directory.account(role.account));
    let assumed = RoleSession {
        account: account.ok_or_else(|| Error::internal("a role without an account"))?,
        role,
        name: input.session_name,
        duration: input.duration,
        chained: session.is_some(),
        policies: &input.policies,
        source_identity,
        provider: session.and_then(|session| session.provider.as_deref()),
        tags,
    };
    let contents = assumed.contents(now)?;
    let issued = service.issue(&contents)?;
    let packed = contents.packed_percent();
    Ok(xml::answer("AssumeRole", request, |xml| tell_role(xml, &issued, &assumed, packed)))
}

/// There are no devices, so whoever names one is refused: the text of a device that is not the
/// user's.
pub(super) fn no_device() -> Error {
    Error::sts(
        "AccessDenied",
        "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA \
         serial number is valid and associated with this user.",
    )
}

/// # Errors
/// ValidationError unless a text has the form of a role's ARN.
pub(super) fn check_role_arn(arn: &str) -> Result<()> {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    match AwsPrincipal::parse(arn) {
        AwsPrincipal::Arn { .. } if resource.starts_with("role/") => Ok(()),
        _ => Err(Error::sts("ValidationError", format!("{arn} is invalid"))),
    }
}

pub(super) fn role<'d>(directory: &'d Directory, arn: &str) -> Option<&'d Role> {
    match directory.principal_by_arn(arn) {
        Some(Known::Role(role)) => Some(role),
        Some(Known::User(_)) | None => None,
    }
}

/// The tags of a request: keys once without regard to case, none of them reserved, and among them
/// every key that is to be transitive.
///
/// # Errors
/// ValidationError.
pub(super) fn given_tags(tags: &[(&str, &str)], transitive: &[&str]) -> Result<Vec<SessionTag>> {
    let refused = |message: String| Err(Error::sts("ValidationError", message));
    let mut found: Vec<SessionTag> = Vec::with_capacity(tags.len());
    for (key, value) in tags {
        // Those of a token have not been looked at yet.
        if !is_tag_key(key) || !is_tag_value(value) {
            return refused("A session tag has an invalid key or value.".to_owned());
        }
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return refused("Tag keys that begin with aws: are reserved.".to_owned());
        }
        if found.iter().any(|tag| tag.key.eq_ignore_ascii_case(key)) {
            return refused(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive."
                    .to_owned(),
            );
        }
        found.push(SessionTag {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            transitive: false,
        });
    }
    for key in transitive {
        match found.iter_mut().find(|tag| tag.key.eq_ignore_ascii_case(key)) {
            Some(tag) => tag.transitive = true,
            None => return refused("A transitive tag key names no tag of the request.".to_owned()),
        }
    }
    Ok(found)
}

/// The tags of the session to be: those of the request and those that come down the chain.
fn with_inherited(
    mut tags: Vec<SessionTag>,
    inherited: &[(String, String)],
) -> Result<Vec<SessionTag>> {
    for (key, value) in inherited {
        if tags.iter().any(|tag| tag.key.eq_ignore_ascii_case(key)) {
            let message = "One of the specified transitive tag keys can't be set because it conflicts \
                           with a transitive tag key from the calling session.";
            return Err(Error::sts("ValidationError", message));
        }
        tags.push(SessionTag { key: key.clone(), value: value.clone(), transitive: true });
    }
    // Each step passes at most fifty, and so does the whole chain.
    if tags.len() > 50 {
        return Err(Error::sts("ValidationError", "A session has at most 50 tags."));
    }
    Ok(tags)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn role_arns() {
        for arn in ["arn:aws:iam::111122223333:role/R", "arn:aws-cn:iam::111122223333:role/a/b/R"] {
            assert!(check_role_arn(arn).is_ok(), "{arn}");
        }
        for arn in [
            "arn:aws:iam::111122223333:user/role/R",
            "arn:aws:iam::111122223333:root",
            "arn:aws:sts::111122223333:assumed-role/R/S",
            "arn:aws:iam::1111:role/R",
            "arn:aws:iam::111122223333:role/R*",
            "not-an-arn-but-long-enough",
        ] {
            let error = check_role_arn(arn).unwrap_err();
            assert_eq!(error.message().unwrap(), format!("{arn} is invalid"));
        }
    }

    #[test]
    fn tags_of_a_request() {
        let tags = given_tags(&[("a", "1"), ("B", "")], &["b"]).unwrap();
        let found: Vec<_> = tags.iter().map(|tag| (tag.key.as_str(), tag.transitive)).collect();
        assert_eq!(found, [("a", false), ("B", true)]);
        assert!(given_tags(&[("a", "1"), ("A", "2")], &[]).is_err());
        assert!(given_tags(&[("AWS:x", "1")], &[]).is_err());
        assert!(given_tags(&[("", "1")], &[]).is_err());
        assert!(given_tags(&[("a", "<")], &[]).is_err());
        assert!(given_tags(&[("a", "1")], &["b"]).is_err());
        assert!(given_tags(&[], &["b"]).is_err());
    }

    #[test]
    fn inherited_tags_come_along_and_cannot_be_given_anew() {
        let down = [("Team".to_owned(), "x".to_owned())];
        let tags = with_inherited(given_tags(&[("a", "1")], &[]).unwrap(), &down).unwrap();
        assert_eq!(tags.len(), 2);
        assert!(tags[1].transitive && tags[1].key == "Team");
        let again = given_tags(&[("team", "y")], &[]).unwrap();
        assert!(with_inherited(again, &down).is_err());
        let names: Vec<String> = (0..50).map(|n| format!("k{n}")).collect();
        let full: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        let full = given_tags(&full, &[]).unwrap();
        assert!(with_inherited(full.clone(), &[]).is_ok());
        assert!(with_inherited(full, &down).is_err());
    }
}
