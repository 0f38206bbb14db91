//! ARNs, compared part by part.

use crate::document::Version;
use crate::facts::Facts;
use crate::template::{Match, Pattern, Piece, pieces};

/// The parts of an ARN: six, of which the last may hold colons of its own.
pub(crate) const PARTS: usize = 6;

/// An ARN split into its parts; `None` for other text.
pub(crate) fn split(arn: &str) -> Option<[&str; PARTS]> {
    let mut parts = arn.splitn(PARTS, ':');
    let mut found = [""; PARTS];
    for part in &mut found {
        *part = parts.next()?;
    }
    Some(found)
}

/// A pattern of an ARN: a wildcard does not run over the colons between parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ArnPattern {
    /// One pattern for each part.
    Parts(Box<[Pattern; PARTS]>),
    /// Not an ARN, or one with a variable where there may be none.
    Malformed,
}

impl ArnPattern {
    /// A value of an Arn operator: variables anywhere.
    pub(crate) fn condition(text: &str, version: Version) -> Self {
        Self::new(text, version, PARTS)
    }

    /// An entry of Resource: variables in the last part alone, which is what follows the fifth
    /// colon (IAM User Guide, "Where you can use policy variables").
    pub(crate) fn resource(text: &str, version: Version) -> Self {
        Self::new(text, version, 1)
    }

    /// `variables` counts the parts, from the last, that may hold variables.
    fn new(text: &str, version: Version, variables: usize) -> Self {
        let Some(pieces) = pieces(text, version) else { return Self::Malformed };
        let mut parts: Vec<Vec<Piece>> = vec![Vec::new()];
        for piece in pieces {
            // Only colons that are written separate parts, never those of a variable's value.
            let mut rest = match piece {
                Piece::Text(text) => text,
                other => {
                    push(&mut parts, other);
                    continue;
                }
            };
            while parts.len() < PARTS
                && let Some((before, after)) = rest.split_once(':')
            {
                push(&mut parts, Piece::Text(before.into()));
                parts.push(Vec::new());
                rest = after.into();
            }
            push(&mut parts, Piece::Text(rest));
        }
        let misplaced = |part: &Vec<Piece>| part.iter().any(|p| !matches!(p, Piece::Text(_)));
        if parts.iter().rev().skip(variables).any(misplaced) {
            return Self::Malformed;
        }
        let patterns: Vec<Pattern> =
            parts.into_iter().map(|pieces| Pattern::new(Some(pieces), true)).collect();
        match <Box<[Pattern; PARTS]>>::try_from(patterns.into_boxed_slice()) {
            Ok(parts) => Self::Parts(parts),
            Err(_) => Self::Malformed,
        }
    }

    /// Whether an ARN fits.
    pub(crate) fn matches(&self, arn: &[&str; PARTS], facts: &dyn Facts) -> Match {
        let Self::Parts(patterns) = self else { return Match::Unclear };
        let mut result = Match::Yes;
        for (pattern, part) in patterns.iter().zip(arn) {
            match pattern.matches(part, facts) {
                Match::Yes => {}
                Match::No => return Match::No,
                Match::Unclear => result = Match::Unclear,
            }
        }
        result
    }
}

/// Adds to the part that is being read, without empty text.
fn push(parts: &mut [Vec<Piece>], piece: Piece) {
    if matches!(&piece, Piece::Text(text) if text.is_empty()) {
        return;
    }
    if let Some(part) = parts.last_mut() {
        part.push(piece);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::facts::Fact;

    struct Known;

    impl Facts for Known {
        fn fact(&self, key: &str) -> Fact<'_> {
            match key {
                "k:account" => Fact::One("111122223333".into()),
                "k:colons" => Fact::One("a:b".into()),
                _ => Fact::Absent,
            }
        }
    }

    fn resource(pattern: &str, arn: &str) -> Match {
        let pattern = ArnPattern::resource(pattern, Version::V2012);
        pattern.matches(&split(arn).unwrap(), &Known)
    }

    const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/1234";

    #[test]
    fn parts_are_compared_one_by_one() {
        assert_eq!(resource("arn:aws:kms:*:111122223333:key/*", KEY), Match::Yes);
        assert_eq!(resource("arn:*:*:*:*:*", KEY), Match::Yes);
        assert_eq!(resource("arn:aws:*:key/*", KEY), Match::Unclear);
        assert_eq!(resource("arn:aws:k*:111122223333:key/1234:", KEY), Match::No);
        assert_eq!(resource("arn:aws:s3:::b", "arn:aws:s3:::b"), Match::Yes);
        assert_eq!(resource("arn:aws:s3:::*", "arn:aws:s3:::a:b:c"), Match::Yes);
        assert_eq!(resource("arn:aws:s3:::", "arn:aws:s3:::a"), Match::No);
    }

    #[test]
    fn variables_stand_where_they_may() {
        let arn = "arn:aws:x:::111122223333/a:b";
        assert_eq!(resource("arn:aws:x:::${k:account}/${k:colons}", arn), Match::Yes);
        assert_eq!(resource("arn:aws:kms:*:${k:account}:key/*", KEY), Match::Unclear);
        assert_eq!(resource("${k:colons}:aws:x:::y", arn), Match::Unclear);
        let anywhere = ArnPattern::condition("arn:aws:kms:*:${k:account}:key/*", Version::V2012);
        assert_eq!(anywhere.matches(&split(KEY).unwrap(), &Known), Match::Yes);
        let colons = ArnPattern::condition("arn:aws:x:${k:colons}::y", Version::V2012);
        assert_eq!(colons.matches(&split("arn:aws:x:a:b:y").unwrap(), &Known), Match::No);
        let literal = ArnPattern::resource("arn:aws:kms:*:${k}:key/*", Version::V2008);
        assert_eq!(
            literal.matches(&split("arn:aws:kms:x:${k}:key/1").unwrap(), &Known),
            Match::Yes
        );
    }

    #[test]
    fn other_text_is_no_arn() {
        for text in ["", "*", "arn:aws", "a:b:c:d:e", "arn:aws:kms:*"] {
            assert_eq!(split(text), None);
            assert_eq!(ArnPattern::resource(text, Version::V2012), ArnPattern::Malformed);
        }
    }
}
