//! Credentials: made from a session's contents, and told.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use keystead_crypto::{Secret, random_access_key_id};
use keystead_identity::{Account, Role};
use keystead_policy::Policy;

use super::contents::{Contents, Holder, SessionTag};
use super::parameters::{self, SessionPolicies};
use super::xml::Xml;
use crate::error::{Error, Result};
use crate::service::Service;

/// The longest session by role chaining, and of a root, seconds (API reference).
pub(crate) const HOUR: i64 = 3_600;

/// Temporary credentials that nobody has seen yet.
pub(crate) struct Issued {
    access_key_id: String,
    secret: Secret,
    token: String,
    expires: i64,
}

impl Service {
    /// Makes the credentials of a session.
    ///
    /// # Errors
    /// PackedPolicyTooLarge; an internal error when the library or its random source fails.
    pub(crate) fn issue(&self, contents: &Contents) -> Result<Issued> {
        let percent = contents.packed_percent();
        if percent > 100 {
            let policies = contents.policy.is_some() || !contents.policy_arns.is_empty();
            let message = if policies {
                format!(
                    "Packed policy consumes {percent}% of allotted space, please use smaller policy."
                )
            } else {
                format!("Packed size of session tags consumes {percent}% of allotted space.")
            };
            return Err(Error::sts("PackedPolicyTooLarge", message));
        }
        let bytes = contents.to_bytes();
        let bytes = bytes.ok_or_else(|| Error::internal("a session does not fit its token"))?;
        let access_key_id = random_access_key_id("ASIA")?;
        let seal = self.keyring.access_keys();
        let token = STANDARD.encode(seal.seal_session(&access_key_id, &bytes)?);
        let secret = seal.session_secret(&access_key_id)?;
        Ok(Issued { access_key_id, secret, token, expires: contents.expires })
    }
}

impl Issued {
    /// The element `Credentials`.
    pub(crate) fn tell(&self, xml: &mut Xml) {
        xml.within("Credentials", |xml| {
            xml.text("AccessKeyId", &self.access_key_id);
            // 40 characters of base64's alphabet.
            xml.text(
                "SecretAccessKey",
                std::str::from_utf8(self.secret.expose()).unwrap_or_default(),
            );
            xml.text("SessionToken", &self.token);
            xml.text("Expiration", &date(self.expires));
        });
    }
}

/// `2026-11-25T00:00:00Z`, rounded down: never later than the session ends.
fn date(millis: i64) -> String {
    let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What is asked of a session of a role, once it may be assumed.
pub(crate) struct RoleSession<'a> {
    pub(crate) account: &'a Account,
    pub(crate) role: &'a Role,
    pub(crate) name: &'a str,
    /// Seconds, as given.
    pub(crate) duration: Option<i64>,
    /// Whether the caller is a session itself.
    pub(crate) chained: bool,
    pub(crate) policies: &'a SessionPolicies<'a>,
    pub(crate) source_identity: Option<&'a str>,
    pub(crate) provider: Option<&'a str>,
    pub(crate) tags: Vec<SessionTag>,
}

impl RoleSession<'_> {
    /// The contents of the session's token. To be called once the role may be assumed: what is
    /// refused here tells of the role.
    ///
    /// # Errors
    /// ValidationError for a session that is too long, MalformedPolicyDocument.
    pub(crate) fn contents(&self, now: i64) -> Result<Contents> {
        let seconds = self.duration.unwrap_or(HOUR);
        if self.chained && seconds > HOUR {
            let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles \
                           assumed by role chaining.";
            return Err(Error::sts("ValidationError", message));
        }
        if seconds > i64::from(self.role.max_session_duration) {
            let message =
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
            return Err(Error::sts("ValidationError", message));
        }
        let owned = |text: &str| text.to_owned();
        let holder = Holder::Role { id: self.role.id.clone(), session: owned(self.name) };
        Ok(Contents {
            source_identity: self.source_identity.map(owned),
            provider: self.provider.map(owned),
            policy: self.inline()?,
            policy_arns: self.managed()?,
            tags: self.tags.clone(),
            ..Contents::new(holder, self.role.account, now, seconds)
        })
    }

    fn inline(&self) -> Result<Option<String>> {
        let Some(text) = self.policies.inline else { return Ok(None) };
        if text.chars().count() > parameters::POLICY_CHARACTERS {
            let message = format!(
                "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member \
                 must have length less than or equal to {}",
                parameters::POLICY_CHARACTERS
            );
            return Err(Error::sts("ValidationError", message));
        }
        let read = Policy::parse(text);
        match read.and_then(|policy| policy.validate_as_session_policy()) {
            Ok(()) => Ok(Some(text.to_owned())),
            Err(error) => Err(Error::sts("MalformedPolicyDocument", error.message().to_owned())),
        }
    }

    /// Managed policies of the role's account; that they exist at the session's begin, too, is for
    /// whoever misspells one.
    fn managed(&self) -> Result<Vec<String>> {
        let mut arns: Vec<String> = Vec::new();
        for arn in &self.policies.arns {
            if self.account.managed_policy(arn).is_none() {
                let message = format!("Policy {arn} does not exist or is not attachable.");
                return Err(Error::sts("ValidationError", message));
            }
            if !arns.iter().any(|known| known == arn) {
                arns.push((*arn).to_owned());
            }
        }
        Ok(arns)
    }
}

/// What the results of both ways to assume a role have in common, in the order of the model.
pub(crate) fn tell_role(xml: &mut Xml, issued: &Issued, session: &RoleSession<'_>, packed: usize) {
    issued.tell(xml);
    let (role, account) = (session.role, session.account);
    xml.within("AssumedRoleUser", |xml| {
        xml.text("AssumedRoleId", &format!("{}:{}", role.id, session.name));
        xml.text(
            "Arn",
            &format!(
                "arn:{}:sts::{}:assumed-role/{}/{}",
                account.partition.as_str(),
                account.id,
                role.name,
                session.name
            ),
        );
    });
    // Left out where neither a policy nor a tag takes space.
    if packed > 0 {
        xml.text("PackedPolicySize", &packed.to_string());
    }
    if let Some(identity) = session.source_identity {
        xml.text("SourceIdentity", identity);
    }
}
