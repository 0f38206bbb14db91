//! Action and resource patterns with `*` (any run, also empty) and `?` (one character).

use crate::glob::Glob;

/// An entry of Action or NotAction: `*`, or `service:Name` with wildcards in either part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPattern {
    text: String,
    /// The entry in lower case.
    lowered: Glob,
}

impl ActionPattern {
    /// Takes an entry as written; `None` when it is neither `*` nor `service:Name`.
    ///
    /// Names of actions that do not exist are well-formed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | '?' | '-' | '_');
        let well_formed = text == "*"
            || text.split_once(':').is_some_and(|(service, name)| {
                [service, name].iter().all(|part| !part.is_empty() && part.chars().all(name_char))
            });
        well_formed
            .then(|| Self { text: text.to_owned(), lowered: Glob::new(&text.to_ascii_lowercase()) })
    }

    /// The entry as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the entry covers an action (`kms:PutKeyPolicy`). Case plays no part.
    #[must_use]
    pub fn covers(&self, action: &str) -> bool {
        self.lowered.matches_lowered(action)
    }
}

/// An entry of Resource or NotResource: `*`, or an ARN with wildcards and policy variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePattern(String);

impl ResourcePattern {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The entry as written, policy variables unresolved.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the entry, taken literally, covers an ARN.
    ///
    /// `*` alone covers everything. Otherwise the six colon-separated parts are compared one by
    /// one, so that a wildcard never runs over a colon of the first five. Case counts. A policy
    /// variable (`${…}`) is not resolved and so never matches by its value.
    #[must_use]
    pub fn covers(&self, arn: &str) -> bool {
        if self.0 == "*" {
            return true;
        }
        let pattern: Vec<&str> = self.0.splitn(6, ':').collect();
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        pattern.len() == 6
            && parts.len() == 6
            && pattern.iter().zip(&parts).all(|(pattern, part)| Glob::new(pattern).matches(part))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn actions() {
        let covers =
            |pattern: &str| ActionPattern::parse(pattern).unwrap().covers("kms:PutKeyPolicy");
        for pattern in
            ["*", "kms:*", "KMS:putkeypolicy", "kms:Put*", "k?s:Put*y", "*:*", "kms:*Policy"]
        {
            assert!(covers(pattern), "{pattern}");
        }
        for pattern in ["kms:Put", "kms:Get*", "s3:*", "kms:?PutKeyPolicy", "kms:PutKeyPolicy?"] {
            assert!(!covers(pattern), "{pattern}");
        }
        for text in ["", "kms", "kms:", ":Put", "kms:Put:Key", "kms Put", "**", "kms:Put Key"] {
            assert_eq!(ActionPattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn resources() {
        let arn = "arn:aws:kms:us-east-1:111122223333:key/1234";
        let covers = |pattern: &str| ResourcePattern::new(pattern).covers(arn);
        for pattern in [arn, "*", "arn:aws:kms:*:111122223333:key/*", "arn:*:*:*:*:*"] {
            assert!(covers(pattern), "{pattern}");
        }
        for pattern in [
            "arn:aws:kms:*",
            "arn:*",
            "ARN:aws:kms:us-east-1:111122223333:key/1234",
            "",
            "arn:aws:kms:us-east-1:111122223333:alias/*",
            "arn:aws:kms:us-east-1:${aws:PrincipalAccount}:key/*",
        ] {
            assert!(!covers(pattern), "{pattern}");
        }
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = format!("kms:{}b", "a*".repeat(2000));
        assert!(
            !ActionPattern::parse(&pattern).unwrap().covers(&format!("kms:{}", "a".repeat(4000)))
        );
    }
}
