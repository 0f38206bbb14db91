//! Condition blocks: operators by name, keys and values as written.

/// One key under one operator: `{operator: {key: values}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// How the values are compared.
    pub operator: Operator,
    /// The condition key as written; its case plays no part in evaluation.
    pub key: String,
    /// The values, booleans and numbers in their JSON spelling.
    pub values: Vec<String>,
}

/// A condition operator: a test, possibly over a set, possibly passing when the key is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operator {
    /// `ForAllValues:` or `ForAnyValue:`, if written.
    pub set: Option<SetOperator>,
    /// The comparison.
    pub test: Test,
    /// Whether the name ends in `IfExists`.
    pub if_exists: bool,
}

/// The set operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SetOperator {
    /// Every value of the request must pass; an absent key passes.
    ForAllValues,
    /// At least one value of the request must pass; an absent key fails.
    ForAnyValue,
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        /// The comparisons of the policy language, under their own names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Test {
            $(#[doc = concat!("`", stringify!($name), "`")] $name,)*
        }

        impl Test {
            /// Every comparison.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name as documents write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

tests! {
    StringEquals, StringNotEquals, StringEqualsIgnoreCase, StringNotEqualsIgnoreCase,
    StringLike, StringNotLike,
    NumericEquals, NumericNotEquals, NumericLessThan, NumericLessThanEquals,
    NumericGreaterThan, NumericGreaterThanEquals,
    DateEquals, DateNotEquals, DateLessThan, DateLessThanEquals,
    DateGreaterThan, DateGreaterThanEquals,
    Bool, BinaryEquals, IpAddress, NotIpAddress,
    ArnEquals, ArnNotEquals, ArnLike, ArnNotLike,
    Null,
}

impl Test {
    /// Whether the test passes when no value matches.
    #[must_use]
    pub const fn is_negated(self) -> bool {
        matches!(
            self,
            Self::StringNotEquals
                | Self::StringNotEqualsIgnoreCase
                | Self::StringNotLike
                | Self::NumericNotEquals
                | Self::DateNotEquals
                | Self::NotIpAddress
                | Self::ArnNotEquals
                | Self::ArnNotLike
        )
    }
}

impl Operator {
    /// Takes an operator name as written; `None` when there is no such operator.
    ///
    /// `Null` asks whether a key exists and so takes no `IfExists`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (set, rest) = match text.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(SetOperator::ForAllValues), rest),
            Some(("ForAnyValue", rest)) => (Some(SetOperator::ForAnyValue), rest),
            Some(_) => return None,
            None => (None, text),
        };
        let (name, if_exists) = match rest.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        let test = *Test::ALL.iter().find(|test| test.as_str() == name)?;
        (!(if_exists && test == Test::Null)).then_some(Self { set, test, if_exists })
    }
}

impl std::fmt::Display for Operator {
    /// As documents write it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let set = match self.set {
            None => "",
            Some(SetOperator::ForAllValues) => "ForAllValues:",
            Some(SetOperator::ForAnyValue) => "ForAnyValue:",
        };
        let if_exists = if self.if_exists { "IfExists" } else { "" };
        write!(f, "{set}{}{if_exists}", self.test.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn every_operator_in_every_form() {
        assert_eq!(Test::ALL.len(), 27);
        for test in Test::ALL {
            for (prefix, set) in [
                ("", None),
                ("ForAllValues:", Some(SetOperator::ForAllValues)),
                ("ForAnyValue:", Some(SetOperator::ForAnyValue)),
            ] {
                let name = format!("{prefix}{}", test.as_str());
                let plain = Operator { set, test: *test, if_exists: false };
                assert_eq!(Operator::parse(&name), Some(plain), "{name}");
                assert_eq!(plain.to_string(), name);
                let soft = (*test != Test::Null).then_some(Operator { if_exists: true, ..plain });
                assert_eq!(Operator::parse(&format!("{name}IfExists")), soft, "{name}");
            }
        }
    }

    #[test]
    fn other_names_are_no_operators() {
        for name in [
            "",
            "stringequals",
            "StringEqual",
            "ForSome:StringEquals",
            "IfExists",
            "ForAllValues:",
            "ForAllValues:ForAnyValue:Bool",
            "BoolIfExistsIfExists",
            " Bool",
        ] {
            assert_eq!(Operator::parse(name), None, "{name}");
        }
    }
}
