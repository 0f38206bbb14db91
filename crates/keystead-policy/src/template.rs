//! Policy variables: `${key}`, `${key, 'default'}`, and the escapes `${*}`, `${?}`, `${$}`.

use crate::document::Version;
use crate::facts::{Fact, Facts};
use crate::glob::{Code, Glob};

/// Text of a policy that may hold variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// No variable: matched as it stands.
    Fixed(Glob),
    /// Variables to fill in for each request.
    Variable(Template),
    /// `${` without an end, or around something that is no key.
    Malformed,
}

/// Text with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
    /// Whether `*` and `?` outside of variables are wildcards.
    wild: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Text as written.
    Text(Box<str>),
    /// An escaped character.
    Escape(&'static str),
    /// A variable.
    Variable { key: Box<str>, default: Option<Box<str>> },
}

/// Whether a value of the policy fits a value of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    Yes,
    No,
    /// One of the two cannot be understood. It matches nothing, but no Allow may rest on that.
    Unclear,
}

impl From<bool> for Match {
    fn from(matched: bool) -> Self {
        if matched { Self::Yes } else { Self::No }
    }
}

/// Splits text at its variables. Only version 2012-10-17 has any; `None` when one is malformed.
pub(crate) fn pieces(text: &str, version: Version) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while version == Version::V2012
        && let Some(start) = rest.find("${")
    {
        if start > 0 {
            pieces.push(Piece::Text(rest[..start].into()));
        }
        let (piece, after) = variable(&rest[start + 2..])?;
        pieces.push(piece);
        rest = after;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Some(pieces)
}

/// Reads a variable after its `${`, and returns what follows its `}`.
fn variable(text: &str) -> Option<(Piece, &str)> {
    for (name, escape) in [("*}", "*"), ("?}", "?"), ("$}", "$")] {
        if let Some(rest) = text.strip_prefix(name) {
            return Some((Piece::Escape(escape), rest));
        }
    }
    let end = text.find(['}', ','])?;
    let key = text[..end].trim();
    if key.is_empty() || key.contains(['$', '{', '\'', '*', '?']) {
        return None;
    }
    let (default, rest) = if text[end..].starts_with(',') {
        let (default, rest) = text[end + 1..].trim_start().strip_prefix('\'')?.split_once('\'')?;
        (Some(default.into()), rest.trim_start().strip_prefix('}')?)
    } else {
        (None, &text[end + 1..])
    };
    Some((Piece::Variable { key: key.into(), default }, rest))
}

impl Pattern {
    /// Text in which `*` and `?` are wildcards.
    pub(crate) fn wild(text: &str, version: Version) -> Self {
        Self::new(pieces(text, version), true)
    }

    /// Text to be equal to.
    pub(crate) fn exact(text: &str, version: Version) -> Self {
        Self::new(pieces(text, version), false)
    }

    pub(crate) fn new(pieces: Option<Vec<Piece>>, wild: bool) -> Self {
        match pieces {
            None => Self::Malformed,
            Some(pieces) => match &pieces[..] {
                [] => Self::Fixed(Glob::Exact("".into())),
                [Piece::Text(text)] if wild => Self::Fixed(Glob::new(text)),
                [Piece::Text(text)] => Self::Fixed(Glob::Exact(text.clone())),
                _ => Self::Variable(Template { pieces, wild }),
            },
        }
    }

    /// Whether the text fits, with the variables filled in from the facts. The value of a variable
    /// stands for itself, whatever characters it has. A variable without a value matches nothing.
    pub(crate) fn matches(&self, text: &str, facts: &dyn Facts) -> Match {
        match self {
            Self::Fixed(glob) => glob.matches(text).into(),
            Self::Malformed => Match::Unclear,
            Self::Variable(template) if template.wild => {
                let mut code = Code::default();
                match template.fill(facts, |literal, part| {
                    if literal { code.push_literal(part) } else { code.push_pattern(part) }
                }) {
                    Match::Yes => code.matches(text).into(),
                    other => other,
                }
            }
            Self::Variable(template) => template.matches_by(text, facts, |a, b| a == b),
        }
    }

    /// Whether the text is equal but for case. The pattern must be one made by [`Pattern::exact`].
    pub(crate) fn equals_ignoring_case(&self, text: &str, facts: &dyn Facts) -> Match {
        match self {
            Self::Fixed(Glob::Exact(exact)) => same_but_case(exact, text).into(),
            Self::Fixed(_) | Self::Malformed => Match::Unclear,
            Self::Variable(template) => template.matches_by(text, facts, same_but_case),
        }
    }
}

impl Template {
    fn matches_by(
        &self,
        text: &str,
        facts: &dyn Facts,
        same: impl FnOnce(&str, &str) -> bool,
    ) -> Match {
        let mut filled = String::new();
        match self.fill(facts, |_, part| filled.push_str(part)) {
            Match::Yes => same(&filled, text).into(),
            other => other,
        }
    }

    /// Hands out the parts in order, each with whether it is to be taken literally. `No` when a
    /// variable has no value, `Unclear` when it has several.
    fn fill(&self, facts: &dyn Facts, mut part: impl FnMut(bool, &str)) -> Match {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => part(false, text),
                Piece::Escape(text) => part(true, text),
                Piece::Variable { key, default } => match (facts.fact(key), default) {
                    (Fact::One(value), _) => part(true, &value),
                    (Fact::Absent, Some(default)) => part(true, default),
                    (Fact::Absent, None) => return Match::No,
                    (Fact::Ambiguous(_) | Fact::Many(_), _) => return Match::Unclear,
                },
            }
        }
        Match::Yes
    }
}

/// Compares character by character, each mapped to upper and then to lower case.
fn same_but_case(a: &str, b: &str) -> bool {
    let folded = |c: char| c.to_uppercase().flat_map(char::to_lowercase);
    a.eq_ignore_ascii_case(b) || a.chars().flat_map(folded).eq(b.chars().flat_map(folded))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::facts::NoFacts;

    struct Known;

    impl Facts for Known {
        fn fact(&self, key: &str) -> Fact<'_> {
            match key.to_ascii_lowercase().as_str() {
                "aws:username" => Fact::One("Alice".into()),
                "x:star" => Fact::One("*".into()),
                "x:many" => Fact::Many(vec!["a".into()]),
                _ => Fact::Absent,
            }
        }
    }

    fn wild(pattern: &str, text: &str) -> Match {
        Pattern::wild(pattern, Version::V2012).matches(text, &Known)
    }

    #[test]
    fn values_are_filled_in() {
        for (pattern, text, expected) in [
            ("u/${aws:username}/*", "u/Alice/x", Match::Yes),
            ("u/${AWS:UserName}/*", "u/Alice/x", Match::Yes),
            ("u/${ aws:username }", "u/Alice", Match::Yes),
            ("u/${aws:username}/*", "u/Bob/x", Match::No),
            ("${x:none, 'company'}*", "company-1", Match::Yes),
            ("${x:none,'a}b'}", "a}b", Match::Yes),
            ("${aws:username, 'company'}", "company", Match::No),
            ("${x:none}", "", Match::No),
            ("${x:none}*", "anything", Match::No),
            ("${x:many}", "a", Match::Unclear),
        ] {
            assert_eq!(wild(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn values_and_escapes_are_no_wildcards() {
        assert_eq!(wild("${x:star}", "*"), Match::Yes);
        assert_eq!(wild("${x:star}", "abc"), Match::No);
        assert_eq!(wild("a${*}b*", "a*bc"), Match::Yes);
        assert_eq!(wild("a${*}b", "axb"), Match::No);
        assert_eq!(wild("${?}${$}", "?$"), Match::Yes);
        assert_eq!(wild("${$}{aws:username}", "${aws:username}"), Match::Yes);
    }

    #[test]
    fn malformed_variables_are_unclear() {
        for pattern in ["${", "${}", "${aws:username", "${a,b}", "${a,'b}", "${a,'b'", "x${${a}}"] {
            assert_eq!(wild(pattern, pattern), Match::Unclear, "{pattern}");
        }
    }

    #[test]
    fn version_2008_has_no_variables() {
        let pattern = |text: &str| Pattern::wild(text, Version::V2008);
        assert_eq!(pattern("${aws:username}").matches("${aws:username}", &Known), Match::Yes);
        assert_eq!(pattern("${aws:username}").matches("Alice", &Known), Match::No);
        assert_eq!(pattern("${*}").matches("${x}", &NoFacts), Match::Yes);
        assert_eq!(pattern("${").matches("${", &NoFacts), Match::Yes);
    }

    #[test]
    fn case_of_all_letters_is_folded() {
        assert!(same_but_case("Äpfel", "äPFEL"));
        assert!(!same_but_case("a", "b"));
        let pattern = Pattern::exact("${aws:username}-A", Version::V2012);
        assert_eq!(pattern.equals_ignoring_case("ALICE-a", &Known), Match::Yes);
    }
}
