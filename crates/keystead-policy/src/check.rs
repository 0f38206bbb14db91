//! One key under one condition operator, made ready for evaluation.
//!
//! What cannot be understood, in the policy or in the request, matches nothing. Under a negated
//! operator that would satisfy the condition, so an Allow is denied that way: it never rests on a
//! value that nobody could read. A Deny keeps it.

use std::borrow::Cow;
use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::arn::{self, ArnPattern};
use crate::condition::{Condition, Operator, SetOperator, Test};
use crate::document::{Effect, Version};
use crate::facts::Facts;
use crate::scalar::{Decimal, Network, date};
use crate::template::{Match, Pattern};

/// A condition of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// The operator as written.
    pub(crate) operator: Operator,
    /// The key as written.
    pub(crate) key: String,
    values: Values,
}

/// The values of the policy, read as the operator reads them; `None` for what it cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Values {
    Exact(Vec<Pattern>),
    IgnoringCase(Vec<Pattern>),
    Like(Vec<Pattern>),
    Numbers(Relation, Vec<Option<Decimal>>),
    Dates(Relation, Vec<Option<i128>>),
    Booleans(Vec<String>),
    Bytes(Vec<Option<Vec<u8>>>),
    Networks(Vec<Option<Network>>),
    Arns(Vec<ArnPattern>),
    /// Whether the key is to be absent.
    Absence(Vec<Option<bool>>),
}

/// How the value of the request is to stand to that of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Check {
    pub(crate) fn new(condition: &Condition, version: Version) -> Self {
        let texts = &condition.values;
        let patterns = |read: fn(&str, Version) -> Pattern| {
            texts.iter().map(|text| read(text, version)).collect()
        };
        let numbers = |relation| {
            Values::Numbers(relation, texts.iter().map(|text| Decimal::parse(text)).collect())
        };
        let dates =
            |relation| Values::Dates(relation, texts.iter().map(|text| date(text)).collect());
        let values = match condition.operator.test {
            Test::StringEquals | Test::StringNotEquals => Values::Exact(patterns(Pattern::exact)),
            Test::StringEqualsIgnoreCase | Test::StringNotEqualsIgnoreCase => {
                Values::IgnoringCase(patterns(Pattern::exact))
            }
            Test::StringLike | Test::StringNotLike => Values::Like(patterns(Pattern::wild)),
            Test::NumericEquals | Test::NumericNotEquals => numbers(Relation::Equal),
            Test::NumericLessThan => numbers(Relation::Less),
            Test::NumericLessThanEquals => numbers(Relation::LessOrEqual),
            Test::NumericGreaterThan => numbers(Relation::Greater),
            Test::NumericGreaterThanEquals => numbers(Relation::GreaterOrEqual),
            Test::DateEquals | Test::DateNotEquals => dates(Relation::Equal),
            Test::DateLessThan => dates(Relation::Less),
            Test::DateLessThanEquals => dates(Relation::LessOrEqual),
            Test::DateGreaterThan => dates(Relation::Greater),
            Test::DateGreaterThanEquals => dates(Relation::GreaterOrEqual),
            Test::Bool => Values::Booleans(texts.clone()),
            Test::BinaryEquals => {
                Values::Bytes(texts.iter().map(|text| STANDARD.decode(text).ok()).collect())
            }
            Test::IpAddress | Test::NotIpAddress => {
                Values::Networks(texts.iter().map(|text| Network::parse(text)).collect())
            }
            Test::ArnEquals | Test::ArnLike | Test::ArnNotEquals | Test::ArnNotLike => {
                Values::Arns(
                    texts.iter().map(|text| ArnPattern::condition(text, version)).collect(),
                )
            }
            Test::Null => Values::Absence(
                texts.iter().map(|text| text.to_ascii_lowercase().parse().ok()).collect(),
            ),
        };
        Self { operator: condition.operator, key: condition.key.clone(), values }
    }

    /// Whether the condition holds, for a statement of this effect.
    pub(crate) fn holds(&self, facts: &dyn Facts, effect: Effect) -> bool {
        let fact = facts.fact(&self.key);
        let values = fact.values();
        if let Values::Absence(wanted) = &self.values {
            return wanted.contains(&Some(values.is_empty()));
        }
        let negated = self.operator.test.is_negated();
        if values.is_empty() {
            return self.operator.if_exists
                || match self.operator.set {
                    Some(SetOperator::ForAllValues) => true,
                    Some(SetOperator::ForAnyValue) => false,
                    None => negated,
                };
        }
        let passes = |value: &Cow<'_, str>| match self.values.any_matches(value, facts) {
            Match::Yes => !negated,
            Match::No => negated,
            Match::Unclear => negated && effect == Effect::Deny,
        };
        match self.operator.set {
            Some(SetOperator::ForAllValues) => values.iter().all(passes),
            Some(SetOperator::ForAnyValue) => values.iter().any(passes),
            // Several values without a set operator: a test needs one that matches, a negated
            // test that none does.
            None if negated => values.iter().all(passes),
            None => values.iter().any(passes),
        }
    }

    /// Whether the request lacks the key.
    pub(crate) fn is_absent(&self, facts: &dyn Facts) -> bool {
        facts.fact(&self.key).values().is_empty()
    }
}

impl Values {
    /// Whether a value of the request matches one of the policy's at least.
    fn any_matches(&self, value: &str, facts: &dyn Facts) -> Match {
        match self {
            Self::Exact(patterns) | Self::Like(patterns) => {
                first(patterns, |pattern| pattern.matches(value, facts))
            }
            Self::IgnoringCase(patterns) => {
                first(patterns, |pattern| pattern.equals_ignoring_case(value, facts))
            }
            Self::Numbers(relation, numbers) => {
                both(Decimal::parse(value), numbers, |a, b| relation.admits(a.cmp(b)))
            }
            Self::Dates(relation, dates) => {
                both(date(value), dates, |a, b| relation.admits(a.cmp(b)))
            }
            Self::Booleans(texts) => first(texts, |text| text.eq_ignore_ascii_case(value).into()),
            Self::Bytes(all) => both(STANDARD.decode(value).ok(), all, |a, b| a == b),
            Self::Networks(networks) => {
                both(Network::parse(value), networks, |address, network| network.contains(address))
            }
            Self::Arns(patterns) => match arn::split(value) {
                Some(arn) => first(patterns, |pattern| pattern.matches(&arn, facts)),
                None => Match::Unclear,
            },
            Self::Absence(_) => Match::Unclear,
        }
    }
}

/// `Yes` if one item matches, else `Unclear` if one is or if there are none, else `No`.
fn first<T>(items: &[T], mut matches: impl FnMut(&T) -> Match) -> Match {
    let mut result = if items.is_empty() { Match::Unclear } else { Match::No };
    for item in items {
        match matches(item) {
            Match::Yes => return Match::Yes,
            Match::No => {}
            Match::Unclear => result = Match::Unclear,
        }
    }
    result
}

/// Compares what could be read on both sides.
fn both<T>(value: Option<T>, wanted: &[Option<T>], fits: impl Fn(&T, &T) -> bool) -> Match {
    let Some(value) = value else { return Match::Unclear };
    first(wanted, |wanted| match wanted {
        Some(wanted) => fits(&value, wanted).into(),
        None => Match::Unclear,
    })
}

impl Relation {
    fn admits(self, found: Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}
