//! AssumeRoleWithWebIdentity: a role for the holder of an identity provider's token (sts.md 5).

use keystead_identity::{Account, OidcProvider};
use keystead_model::AccountId;

use super::assume_role::{check_role_arn, given_tags, role};
use super::form::Form;
use super::issue::{RoleSession, tell_role};
use super::jws::{Claims, Jws, OneOrMany};
use super::parameters::{AssumeRoleWithWebIdentity, is_source_identity};
use super::providers::Unverified;
use super::trust::{Wanting, WebIdentity, Wish, permits};
use super::xml;
use crate::authorization::Connection;
use crate::error::{Error, Result};
use crate::service::{RawRequest, Reply, Service};

/// How far the clock of an issuer may be ahead of ours, seconds.
const SKEW: i64 = 60;

pub(super) async fn answer(service: &Service, raw: &RawRequest<'_>, form: &Form) -> Result<Reply> {
    let input = AssumeRoleWithWebIdentity::read(form)?;
    check_role_arn(input.role_arn)?;
    let token = Jws::parse(input.token)
        .map_err(|_| invalid("The ID Token provided is not a valid JWT."))?;
    let directory = service.gate.directory();
    let account = directory.as_deref().and_then(|directory| {
        let account = AccountId::parse(input.role_arn.split(':').nth(4)?)?;
        directory.account(account)
    });
    let provider = account.and_then(|account| account.oidc_provider(&token.issuer));
    let (Some(directory), Some(account), Some(provider)) = (&directory, account, provider) else {
        let message =
            format!("No OpenIDConnect provider found in your account for {}", shown(&token.issuer));
        return Err(Error::sts("InvalidIdentityToken", message));
    };
    let now = service.clock.now();
    service.providers.verify(provider, &token, now).await.map_err(|why| match why {
        Unverified::Timeout => Error::sts(
            "IDPCommunicationError",
            "The keys of the identity provider could not be read in time.",
        ),
        Unverified::Refused => invalid(
            "Couldn't retrieve verification key from your identity provider,  please reference \
             AssumeRoleWithWebIdentity documentation for requirements",
        ),
    })?;
    let claims = token.claims().map_err(|_| invalid("The claims of the token are invalid."))?;
    check(&claims, provider, now)?;
    assume(service, raw, &input, account, provider, &claims, role(directory, input.role_arn))
}

/// The role, for a token that is verified.
fn assume(
    service: &Service,
    raw: &RawRequest<'_>,
    input: &AssumeRoleWithWebIdentity<'_>,
    account: &Account,
    provider: &OidcProvider,
    claims: &Claims,
    role: Option<&keystead_identity::Role>,
) -> Result<Reply> {
    let (pairs, transitive) = claimed_tags(claims)?;
    let tags = given_tags(&pairs, &transitive)?;
    let source_identity = claims.source_identity.as_deref();
    if source_identity.is_some_and(|identity| !is_source_identity(identity)) {
        return Err(invalid("The source identity of the token is invalid."));
    }
    let party = claims.azp.as_deref();
    let audience = party.or_else(|| accepted(&claims.aud, provider)).unwrap_or_default();
    let identity = WebIdentity {
        provider,
        audience,
        original_audience: party.map(|_| claims.aud.all()).unwrap_or_default(),
        subject: &claims.sub,
        amr: claims.amr.as_ref().map(OneOrMany::all).unwrap_or_default(),
    };
    let wish = Wish {
        session_name: input.session_name,
        duration: input.duration,
        external_id: None,
        source_identity,
        tags: &pairs,
        transitive: &transitive,
    };
    let now = service.clock.now();
    let connection = Connection::of(raw);
    let wanting = Wanting::Web { identity: &identity, connection: &connection };
    let mut permissions = vec!["sts:AssumeRoleWithWebIdentity"];
    permissions.extend((!tags.is_empty()).then_some("sts:TagSession"));
    permissions.extend(source_identity.map(|_| "sts:SetSourceIdentity"));
    for action in permissions {
        if !permits(&wanting, &wish, role, input.role_arn, action, now) {
            return Err(not_authorized());
        }
    }
    let session = RoleSession {
        account,
        role: role.ok_or_else(not_authorized)?,
        name: input.session_name,
        duration: input.duration,
        chained: false,
        policies: &input.policies,
        source_identity,
        provider: Some(&provider.arn),
        tags,
    };
    let contents = session.contents(now)?;
    let issued = service.issue(&contents)?;
    let packed = contents.packed_percent();
    Ok(xml::answer("AssumeRoleWithWebIdentity", raw.request_id, |xml| {
        tell_role(xml, &issued, &session, packed);
        xml.text("SubjectFromWebIdentityToken", &claims.sub);
        xml.text("Provider", &claims.iss);
        xml.text("Audience", audience);
    }))
}

/// The claims of a verified token against the provider and the time.
fn check(claims: &Claims, provider: &OidcProvider, now: i64) -> Result<()> {
    let now = now.div_euclid(1_000);
    if claims.iss != provider.issuer {
        return Err(invalid("The issuer of the token is not the identity provider."));
    }
    let known = |id: &str| provider.client_ids.iter().any(|known| known == id);
    if accepted(&claims.aud, provider).is_none()
        || claims.azp.as_deref().is_some_and(|party| !known(party))
    {
        return Err(invalid("Incorrect token audience"));
    }
    if now >= claims.exp {
        let message = format!(
            "Token expired: current date/time {now} must be before the expiration date/time {}",
            claims.exp
        );
        return Err(Error::sts("ExpiredTokenException", message));
    }
    let latest = now.saturating_add(SKEW);
    if claims.iat > latest || claims.nbf.is_some_and(|begin| begin > latest) {
        return Err(invalid("The token is not valid yet."));
    }
    if !(6..=255).contains(&claims.sub.chars().count()) {
        return Err(invalid("The subject of the token must have 6 to 255 characters."));
    }
    Ok(())
}

/// The first audience that is a client id of the provider.
fn accepted<'c>(audience: &'c OneOrMany, provider: &OidcProvider) -> Option<&'c str> {
    let mut all = audience.all().iter();
    all.find(|one| provider.client_ids.contains(one)).map(String::as_str)
}

/// Keys with values, and the transitive keys.
type Tags<'c> = (Vec<(&'c str, &'c str)>, Vec<&'c str>);

fn claimed_tags(claims: &Claims) -> Result<Tags<'_>> {
    let Some(tags) = &claims.tags else { return Ok((Vec::new(), Vec::new())) };
    if tags.principal_tags.len() > 50 || tags.transitive_tag_keys.len() > 50 {
        return Err(invalid("The token has more than 50 session tags."));
    }
    let mut pairs = Vec::with_capacity(tags.principal_tags.len());
    for (key, value) in &tags.principal_tags {
        match value.all() {
            [value] => pairs.push((key.as_str(), value.as_str())),
            _ => return Err(invalid("A session tag of the token has not one value.")),
        }
    }
    Ok((pairs, tags.transitive_tag_keys.iter().map(String::as_str).collect()))
}

fn invalid(message: &'static str) -> Error {
    Error::sts("InvalidIdentityToken", message)
}

fn not_authorized() -> Error {
    Error::sts("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
}

/// An issuer as a message shows it.
fn shown(issuer: &str) -> &str {
    issuer.char_indices().nth(256).and_then(|(end, _)| issuer.get(..end)).unwrap_or(issuer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use keystead_identity::Directory;
    use serde_json::json;

    use super::*;

    fn checked(change: serde_json::Value, now: i64) -> Option<(String, String)> {
        let directory = Directory::parse(
            "identities.toml".as_ref(),
            "[accounts.111122223333.oidc_providers.\"https://issuer.example\"]\n\
             client_ids = [\"web\", \"cli\"]\njwks = { url = \"http://127.0.0.1:1/\" }\n",
        )
        .unwrap();
        let account = directory.account(AccountId::parse("111122223333").unwrap()).unwrap();
        let mut claims = json!({
            "iss": "https://issuer.example", "sub": "subject", "aud": "web", "exp": 1_000, "iat": 100,
        });
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let claims: Claims = serde_json::from_value(claims).unwrap();
        let provider = account.oidc_provider("https://issuer.example").unwrap();
        let error = check(&claims, provider, now * 1_000).err()?;
        Some((error.type_name().to_owned(), error.message().unwrap().to_owned()))
    }

    #[test]
    fn claims_must_fit_provider_and_time() {
        let invalid = |change, now| {
            let (code, message) = checked(change, now).unwrap();
            assert_eq!(code, "InvalidIdentityToken", "{message}");
            message
        };
        assert_eq!(checked(json!({}), 100), None);
        assert_eq!(checked(json!({}), 999), None);
        assert_eq!(
            checked(json!({}), 1_000).unwrap(),
            (
                "ExpiredTokenException".to_owned(),
                "Token expired: current date/time 1000 must be before the expiration date/time 1000"
                    .to_owned()
            )
        );
        assert_eq!(checked(json!({"iat": 160}), 100), None);
        invalid(json!({"iat": 161}), 100);
        assert_eq!(checked(json!({"nbf": 160}), 100), None);
        invalid(json!({"nbf": 161}), 100);
        assert_eq!(invalid(json!({"aud": "other"}), 100), "Incorrect token audience");
        invalid(json!({"aud": []}), 100);
        assert_eq!(checked(json!({"aud": ["other", "cli"]}), 100), None);
        assert_eq!(checked(json!({"azp": "cli"}), 100), None);
        invalid(json!({"azp": "other"}), 100);
        invalid(json!({"iss": "https://issuer.example/"}), 100);
        invalid(json!({"sub": "short"}), 100);
        invalid(json!({"sub": "s".repeat(256)}), 100);
    }
}
