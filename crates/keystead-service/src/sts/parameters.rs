//! The parameters of the operations, checked against the constraints of the API's model and told in
//! the words that AWS's services share.

use std::fmt::{self, Write};

use super::form::{Form, FormError};
use crate::error::{Error, Result};

/// How many violations a message tells; a list of bad items must not become a reply of megabytes.
const TOLD: usize = 128;
/// Characters that a message shows of a value.
const SHOWN: usize = 1_024;
/// Tags, and transitive tag keys.
const TAGS: usize = 50;
/// Managed session policies (API reference; the model has no bound).
const POLICY_ARNS: usize = 10;
/// Characters of all session policies together (API reference).
pub(crate) const POLICY_CHARACTERS: usize = 2_048;

/// What AssumeRole is asked for.
pub(crate) struct AssumeRole<'f> {
    pub(crate) role_arn: &'f str,
    pub(crate) session_name: &'f str,
    /// Seconds.
    pub(crate) duration: Option<i64>,
    pub(crate) policies: SessionPolicies<'f>,
    pub(crate) tags: Vec<(&'f str, &'f str)>,
    pub(crate) transitive: Vec<&'f str>,
    pub(crate) external_id: Option<&'f str>,
    pub(crate) source_identity: Option<&'f str>,
    /// Whether a device is named.
    pub(crate) mfa: bool,
}

/// What AssumeRoleWithWebIdentity is asked for.
pub(crate) struct AssumeRoleWithWebIdentity<'f> {
    pub(crate) role_arn: &'f str,
    pub(crate) session_name: &'f str,
    pub(crate) token: &'f str,
    /// Seconds.
    pub(crate) duration: Option<i64>,
    pub(crate) policies: SessionPolicies<'f>,
}

/// What GetSessionToken is asked for.
pub(crate) struct GetSessionToken {
    /// Seconds.
    pub(crate) duration: Option<i64>,
    /// Whether a device is named.
    pub(crate) mfa: bool,
}

/// The policies that narrow a session, as they were given.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SessionPolicies<'f> {
    pub(crate) inline: Option<&'f str>,
    pub(crate) arns: Vec<&'f str>,
}

impl<'f> AssumeRole<'f> {
    /// # Errors
    /// ValidationError.
    pub(crate) fn read(form: &'f Form) -> Result<Self> {
        let mut found = Violations::default();
        let role_arn = found.required(form, "RoleArn", ARN);
        let session_name = found.required(form, "RoleSessionName", NAME);
        let policies = found.policies(form, None)?;
        let duration = found.duration(form, 43_200);
        let mut tags = Vec::new();
        for (number, item) in (1..).zip(list(form, "Tags")?) {
            let member = |name: &str| item.iter().find(|(own, _)| *own == name).map(|(_, v)| *v);
            let (key, value) = (member(".Key"), member(".Value"));
            found.check(&format!("tags.{number}.member.key"), key, TAG_KEY, true);
            found.check(&format!("tags.{number}.member.value"), value, TAG_VALUE, true);
            tags.push((key.unwrap_or_default(), value.unwrap_or_default()));
        }
        found.items("tags", tags.len(), TAGS);
        let transitive = texts(form, "TransitiveTagKeys")?;
        for (number, key) in (1..).zip(&transitive) {
            let at = format!("transitiveTagKeys.{number}.member");
            found.check(&at, Some(key), TAG_KEY, true);
        }
        found.items("transitiveTagKeys", transitive.len(), TAGS);
        let external_id = found.optional(form, "ExternalId", EXTERNAL_ID);
        let mfa = found.mfa(form);
        let source_identity = found.optional(form, "SourceIdentity", NAME);
        let contexts = list(form, "ProvidedContexts")?;
        found.finish()?;
        if !contexts.is_empty() {
            return Err(Error::sts("ValidationError", "ProvidedContexts is not supported."));
        }
        Ok(Self {
            role_arn,
            session_name,
            duration,
            policies,
            tags,
            transitive,
            external_id,
            source_identity,
            mfa,
        })
    }
}

impl<'f> AssumeRoleWithWebIdentity<'f> {
    /// # Errors
    /// ValidationError.
    pub(crate) fn read(form: &'f Form) -> Result<Self> {
        let mut found = Violations::default();
        let role_arn = found.required(form, "RoleArn", ARN);
        let session_name = found.required(form, "RoleSessionName", NAME);
        let token = found.required(form, "WebIdentityToken", WEB_IDENTITY_TOKEN);
        let provider = found.optional(form, "ProviderId", PROVIDER_ID);
        let policies = found.policies(form, Some(POLICY_CHARACTERS))?;
        let duration = found.duration(form, 43_200);
        found.finish()?;
        if provider.is_some() {
            let message = "ProviderId is for OAuth 2.0 providers, which are not supported.";
            return Err(Error::sts("ValidationError", message));
        }
        Ok(Self { role_arn, session_name, token, duration, policies })
    }
}

impl GetSessionToken {
    /// # Errors
    /// ValidationError.
    pub(crate) fn read(form: &Form) -> Result<Self> {
        let mut found = Violations::default();
        let duration = found.duration(form, 129_600);
        let mfa = found.mfa(form);
        found.finish()?;
        Ok(Self { duration, mfa })
    }
}

/// Which characters a text may hold.
#[derive(Clone, Copy)]
struct Pattern {
    /// As the model writes it.
    text: &'static str,
    admits: fn(char) -> bool,
}

/// What a text may be.
#[derive(Clone, Copy)]
struct Rule {
    min: usize,
    max: usize,
    pattern: Option<Pattern>,
    /// Whether the value stays out of messages.
    hidden: bool,
}

const fn rule(min: usize, max: usize, text: &'static str, admits: fn(char) -> bool) -> Rule {
    Rule { min, max, pattern: Some(Pattern { text, admits }), hidden: false }
}

const ARN: Rule = rule(
    20,
    2_048,
    "[\\u0009\\u000A\\u000D\\u0020-\\u007E\\u0085\\u00A0-\\uD7FF\\uE000-\\uFFFD\\u10000-\\u10FFFF]+",
    |c| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..),
);
const NAME: Rule = rule(2, 64, "[\\w+=,.@-]*", |c| word(c) || "+=,.@-".contains(c));
const POLICY: Rule = rule(1, usize::MAX, "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", |c| {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}')
});
const TAG_KEY: Rule = rule(1, 128, "[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+", of_tag);
const TAG_VALUE: Rule = rule(0, 256, "[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*", of_tag);
const EXTERNAL_ID: Rule = rule(2, 1_224, "[\\w+=,.@:\\/-]*", |c| word(c) || "+=,.@:/-".contains(c));
const SERIAL_NUMBER: Rule = rule(9, 256, "[\\w+=/:,.@-]*", |c| word(c) || "+=/:,.@-".contains(c));
const TOKEN_CODE: Rule = rule(6, 6, "[\\d]*", |c| c.is_ascii_digit());
const WEB_IDENTITY_TOKEN: Rule = Rule { min: 4, max: 20_000, pattern: None, hidden: true };
const PROVIDER_ID: Rule = Rule { min: 4, max: 2_048, pattern: None, hidden: false };

/// `\w`, read as ASCII.
fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`; of letters Unicode's wider class "alphabetic".
pub(crate) fn of_tag(c: char) -> bool {
    c.is_alphanumeric() || c.is_whitespace() && !c.is_control() || "_.:/=+-@".contains(c)
}

/// Whether a text can be the key of a session tag.
pub(crate) fn is_tag_key(text: &str) -> bool {
    TAG_KEY.admits(text)
}

/// Whether a text can be the value of a session tag.
pub(crate) fn is_tag_value(text: &str) -> bool {
    TAG_VALUE.admits(text)
}

/// Whether a text can be a source identity.
pub(crate) fn is_source_identity(text: &str) -> bool {
    NAME.admits(text)
}

impl Rule {
    fn admits(&self, text: &str) -> bool {
        (self.min..=self.max).contains(&text.chars().count())
            && self.pattern.is_none_or(|pattern| text.chars().all(pattern.admits))
    }
}

fn list<'f>(form: &'f Form, name: &str) -> Result<Vec<Vec<(&'f str, &'f str)>>> {
    form.list(name).map_err(|FormError(message)| Error::sts("ValidationError", message))
}

/// A list of texts.
fn texts<'f>(form: &'f Form, name: &str) -> Result<Vec<&'f str>> {
    let items = list(form, name)?;
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match item[..] {
            [("", text)] => texts.push(text),
            _ => {
                let message = format!("The members of {name} are not texts.");
                return Err(Error::sts("ValidationError", message));
            }
        }
    }
    Ok(texts)
}

#[derive(Default)]
struct Violations {
    text: String,
    count: usize,
}

impl Violations {
    fn required<'f>(&mut self, form: &'f Form, name: &str, rule: Rule) -> &'f str {
        let value = form.scalar(name);
        self.check(&lower_first(name), value, rule, true);
        value.unwrap_or_default()
    }

    fn optional<'f>(&mut self, form: &'f Form, name: &str, rule: Rule) -> Option<&'f str> {
        let value = form.scalar(name);
        self.check(&lower_first(name), value, rule, false);
        value
    }

    fn policies<'f>(
        &mut self,
        form: &'f Form,
        longest: Option<usize>,
    ) -> Result<SessionPolicies<'f>> {
        let rule = Rule { max: longest.unwrap_or(usize::MAX), ..POLICY };
        let inline = self.optional(form, "Policy", rule);
        let mut arns = Vec::new();
        for (number, item) in (1..).zip(list(form, "PolicyArns")?) {
            let arn = item.iter().find(|(member, _)| *member == ".arn").map(|(_, value)| *value);
            self.check(&format!("policyArns.{number}.member.arn"), arn, ARN, true);
            arns.push(arn.unwrap_or_default());
        }
        self.items("policyArns", arns.len(), POLICY_ARNS);
        Ok(SessionPolicies { inline, arns })
    }

    fn duration(&mut self, form: &Form, longest: i64) -> Option<i64> {
        const AT: &str = "durationSeconds";
        let text = form.scalar("DurationSeconds")?;
        match text.parse::<i64>() {
            Ok(value) if value < 900 => {
                let bound = "Member must have value greater than or equal to 900";
                self.push(Some(text), AT, format_args!("{bound}"));
            }
            Ok(value) if value > longest => {
                let bound = "Member must have value less than or equal to";
                self.push(Some(text), AT, format_args!("{bound} {longest}"));
            }
            Ok(value) => return Some(value),
            Err(_) => self.push(Some(text), AT, format_args!("Member must be an integer")),
        }
        None
    }

    /// Whether a device is named, of which there are none.
    fn mfa(&mut self, form: &Form) -> bool {
        let serial = self.optional(form, "SerialNumber", SERIAL_NUMBER);
        let code = self.optional(form, "TokenCode", TOKEN_CODE);
        serial.is_some() || code.is_some()
    }

    fn check(&mut self, at: &str, value: Option<&str>, rule: Rule, required: bool) {
        let Some(value) = value else {
            if required {
                self.null(at);
            }
            return;
        };
        let shown = if rule.hidden { None } else { Some(value) };
        let length = value.chars().count();
        if length < rule.min {
            let bound =
                format_args!("Member must have length greater than or equal to {}", rule.min);
            self.push(shown, at, bound);
        }
        if length > rule.max {
            let bound = format_args!("Member must have length less than or equal to {}", rule.max);
            self.push(shown, at, bound);
        }
        if let Some(Pattern { text, admits }) = rule.pattern
            && !(value.chars().all(admits) && (length > 0 || !text.ends_with('+')))
        {
            let must = format_args!("Member must satisfy regular expression pattern: {text}");
            self.push(shown, at, must);
        }
    }

    fn items(&mut self, at: &str, count: usize, most: usize) {
        if count > most {
            let bound = format_args!("Member must have length less than or equal to {most}");
            self.push(None, at, bound);
        }
    }

    fn null(&mut self, at: &str) {
        self.part(format_args!(
            "Value null at '{at}' failed to satisfy constraint: Member must not be null"
        ));
    }

    fn push(&mut self, shown: Option<&str>, at: &str, constraint: fmt::Arguments<'_>) {
        let value = match shown {
            None => String::new(),
            Some(text) => match text.char_indices().nth(SHOWN) {
                None => format!("'{text}' "),
                Some((end, _)) => format!("'{}...' ", text.get(..end).unwrap_or_default()),
            },
        };
        self.part(format_args!(
            "Value {value}at '{at}' failed to satisfy constraint: {constraint}"
        ));
    }

    fn part(&mut self, text: fmt::Arguments<'_>) {
        if self.count == TOLD {
            return;
        }
        if self.count > 0 {
            self.text.push_str("; ");
        }
        self.count += 1;
        // Writing to a `String` cannot fail.
        let _ = self.text.write_fmt(text);
    }

    fn finish(self) -> Result<()> {
        let errors = match self.count {
            0 => return Ok(()),
            1 => "1 validation error".to_owned(),
            count => format!("{count} validation errors"),
        };
        Err(Error::sts("ValidationError", format!("{errors} detected: {}", self.text)))
    }
}

/// The name of a parameter as messages have it.
fn lower_first(name: &str) -> String {
    let mut name = name.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    name
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    const ROLE: &str = "RoleArn=arn:aws:iam::111122223333:role/R";

    fn form(body: &str) -> Form {
        Form::parse(body.as_bytes()).unwrap()
    }

    fn refusal<T>(result: Result<T>) -> String {
        let error = result.map(|_| ()).unwrap_err();
        assert_eq!(error.type_name(), "ValidationError");
        error.message().unwrap().to_owned()
    }

    #[test]
    fn everything_of_assume_role_is_read() {
        let body = format!(
            "{ROLE}&RoleSessionName=s-1&DurationSeconds=900&Policy=%7B%7D\
             &PolicyArns.member.1.arn=arn:aws:iam::111122223333:policy/P\
             &Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=b&Tags.member.2.Value=\
             &TransitiveTagKeys.member.1=a&ExternalId=x1&SourceIdentity=alice&Unknown=x"
        );
        let form = form(&body);
        let read = AssumeRole::read(&form).unwrap();
        assert_eq!(read.role_arn, "arn:aws:iam::111122223333:role/R");
        assert_eq!((read.session_name, read.duration), ("s-1", Some(900)));
        assert_eq!(read.policies.inline, Some("{}"));
        assert_eq!(read.policies.arns, ["arn:aws:iam::111122223333:policy/P"]);
        assert_eq!(read.tags, [("a", "1"), ("b", "")]);
        assert_eq!(read.transitive, ["a"]);
        assert_eq!((read.external_id, read.source_identity), (Some("x1"), Some("alice")));
        assert!(!read.mfa);
    }

    /// The first text is a recorded one.
    #[test]
    fn violations_in_words() {
        let of = |body: &str| refusal(AssumeRole::read(&form(body)));
        assert_eq!(
            of(&format!("{ROLE}&RoleSessionName=a:b")),
            "1 validation error detected: Value 'a:b' at 'roleSessionName' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
        );
        assert_eq!(
            of("DurationSeconds=899"),
            "3 validation errors detected: Value null at 'roleArn' failed to satisfy constraint: \
             Member must not be null; Value null at 'roleSessionName' failed to satisfy constraint: \
             Member must not be null; Value '899' at 'durationSeconds' failed to satisfy constraint: \
             Member must have value greater than or equal to 900"
        );
        for (more, part) in [
            ("&DurationSeconds=43201", "less than or equal to 43200"),
            ("&DurationSeconds=1h", "must be an integer"),
            ("&Policy=", "'policy' failed to satisfy constraint: Member must have length greater"),
            ("&Policy=%E2%82%AC", "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"),
            ("&Tags.member.1.Key=a", "Value null at 'tags.1.member.value'"),
            ("&Tags.member.1.Value=a", "Value null at 'tags.1.member.key'"),
            ("&Tags.member.1.Key=%3C&Tags.member.1.Value=", "'tags.1.member.key'"),
            ("&TransitiveTagKeys.member.1=", "'transitiveTagKeys.1.member'"),
            ("&PolicyArns.member.1.arn=short", "'policyArns.1.member.arn'"),
            ("&PolicyArns.member.1.x=short", "Value null at 'policyArns.1.member.arn'"),
            ("&ExternalId=x", "'externalId'"),
            ("&SourceIdentity=a%20b", "'sourceIdentity'"),
            ("&SerialNumber=12345678", "'serialNumber'"),
            ("&TokenCode=12345a", "'tokenCode'"),
            ("&ProvidedContexts.member.1.ProviderArn=x", "not supported"),
            ("&Tags.member.2.Key=a", "not numbered"),
            ("&TransitiveTagKeys.member.1.x=a", "not texts"),
        ] {
            let message = of(&format!("{ROLE}&RoleSessionName=session{more}"));
            assert!(message.contains(part), "{more}: {message}");
        }
        let many: String =
            (1..=51).map(|n| format!("&TransitiveTagKeys.member.{n}=k{n}")).collect();
        let message = of(&format!("{ROLE}&RoleSessionName=session{many}"));
        assert!(
            message.contains("'transitiveTagKeys' failed") && message.contains("50"),
            "{message}"
        );
        let long = of(&format!("RoleArn={}&RoleSessionName=session", "x".repeat(5_000)));
        assert!(long.len() < 1_300 && long.contains("xxx...' at 'roleArn'"), "{}", long.len());
    }

    #[test]
    fn the_web_identity_token_is_in_no_message() {
        let web = |more: &str| {
            let body = format!("{ROLE}&RoleSessionName=session{more}");
            refusal(AssumeRoleWithWebIdentity::read(&form(&body)))
        };
        let message = web(&format!("&WebIdentityToken={}", "secret".repeat(4_000)));
        assert!(message.contains("Value at 'webIdentityToken'") && !message.contains("secret"));
        assert!(web("").contains("Value null at 'webIdentityToken'"));
        assert!(web("&WebIdentityToken=a.b.c&ProviderId=www.amazon.com").contains("OAuth"));
        let policy = format!("&WebIdentityToken=a.b.c&Policy={}", "x".repeat(2_049));
        assert!(web(&policy).contains("less than or equal to 2048"));
    }

    #[test]
    fn session_tokens_have_their_own_bounds() {
        assert_eq!(
            GetSessionToken::read(&form("DurationSeconds=129600")).unwrap().duration,
            Some(129_600)
        );
        assert!(refusal(GetSessionToken::read(&form("DurationSeconds=129601"))).contains("129600"));
        assert!(GetSessionToken::read(&form("TokenCode=123456")).unwrap().mfa);
        assert!(!GetSessionToken::read(&form("")).unwrap().mfa);
    }
}
