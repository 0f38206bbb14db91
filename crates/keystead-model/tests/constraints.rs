//! Every constraint of every operation's input is broken once, driven by the model's own tables.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keystead_model::{
    Constraint, DecodeError, Kind, OperationName, Rule, Shape, constraints, decode_any,
};
use proptest::prelude::*;
use regex::Regex;
use serde_json::{Value, json};

/// A text that satisfies a pattern. A pattern that a later model brings must be added here.
fn matching(pattern: &str) -> &'static str {
    match pattern {
        "[0-9]{12}" => "111122223333",
        "^[a-f0-9]+$" => "a",
        "cluster-[2-7a-zA-Z]{11,16}" => "cluster-abcdefghijk",
        "^([a-z]+-){2,3}\\d+$" => "us-east-1",
        "^https://[a-zA-Z0-9.-]+$" => "https://a.example",
        "^(/[a-zA-Z0-9\\/_-]+/kms/xks/v\\d{1,2})$|^(/kms/xks/v\\d{1,2})$" => "/kms/xks/v1",
        "^(com|eu)\\.amazonaws\\.vpce\\.([a-z]+-){2,3}\\d+\\.vpce-svc-[0-9a-z]+$" => {
            "com.amazonaws.vpce.us-east-1.vpce-svc-1"
        }
        "^[a-zA-Z0-9:/_-]+$"
        | "^[a-zA-Z0-9:/_\\s.-]+$"
        | "[\\u0020-\\u00FF]*"
        | "[\\w]+"
        | "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"
        | "^[\\w+=,.@:/-]+$"
        | "^[a-zA-Z0-9-_.]+$"
        | "^[A-Z2-7]+$"
        | "^\\p{ASCII}+$"
        | "^[a-zA-Z0-9\\/+=]+$" => "A",
        other => panic!("no sample for pattern {other}"),
    }
}

/// A text that satisfies a shape, of the length given if the pattern lets it.
fn text(shape: &Shape, length: usize) -> String {
    let Kind::String { pattern, .. } = &shape.kind else { panic!("{} is no text", shape.name) };
    let sample = pattern.map_or("a", |pattern| matching(pattern.text));
    let fill = sample.chars().last().unwrap();
    sample.chars().chain(std::iter::repeat(fill)).take(length.max(1)).collect()
}

fn valid(shape: &Shape) -> Value {
    match &shape.kind {
        Kind::String { length, pattern } => {
            let sample = pattern.map_or(1, |pattern| matching(pattern.text).len());
            let min = usize::try_from(length.min.unwrap_or(0)).unwrap();
            text(shape, min.max(sample)).into()
        }
        Kind::Enum { values } => values[0].into(),
        Kind::Integer { range } => range.min.unwrap_or(1).into(),
        Kind::Boolean => true.into(),
        Kind::Timestamp => 1_614_905_581.947.into(),
        Kind::Blob { .. } => "YQ==".into(),
        Kind::List { member, .. } => json!([valid(member)]),
        Kind::Map { .. } => json!({"name": "value"}),
        Kind::Structure { members } => {
            members.iter().map(|member| (member.name.to_owned(), valid(member.shape))).collect()
        }
    }
}

/// A value that breaks the rule.
fn broken(constraint: &Constraint) -> Value {
    let shape = constraint.shape;
    let size = |bound: u32| usize::try_from(bound).unwrap();
    match constraint.rule {
        Rule::Required => Value::Null,
        Rule::Enum => "no such value".into(),
        Rule::MinValue(bound) => (bound - 1).into(),
        Rule::MaxValue(bound) => (bound + 1).into(),
        Rule::Pattern(pattern) => {
            let Value::String(text) = valid(shape) else { panic!("{pattern} is not of a text") };
            // No pattern of the model admits this character.
            let kept = text.chars().count() - 1;
            text.chars().take(kept).chain(['\u{100}']).collect::<String>().into()
        }
        Rule::MinLength(bound) => sized(shape, size(bound) - 1),
        Rule::MaxLength(bound) => sized(shape, size(bound) + 1),
    }
}

fn sized(shape: &Shape, length: usize) -> Value {
    match &shape.kind {
        Kind::String { .. } if length == 0 => "".into(),
        Kind::String { .. } => text(shape, length).into(),
        Kind::Blob { .. } => STANDARD.encode(vec![7; length]).into(),
        Kind::List { member, .. } => vec![valid(member); length].into(),
        _ => panic!("{} has no length", shape.name),
    }
}

fn rule_text(rule: Rule, shape: &Shape) -> String {
    match (rule, &shape.kind) {
        (Rule::Required, _) => "Member must not be null".to_owned(),
        (Rule::Enum, Kind::Enum { values }) => {
            format!("Member must satisfy enum value set: [{}]", values.join(", "))
        }
        (Rule::MinValue(n), _) => format!("Member must have value greater than or equal to {n}"),
        (Rule::MaxValue(n), _) => format!("Member must have value less than or equal to {n}"),
        (Rule::MinLength(n), _) => format!("Member must have length greater than or equal to {n}"),
        (Rule::MaxLength(n), _) => format!("Member must have length less than or equal to {n}"),
        (Rule::Pattern(p), _) => format!("Member must satisfy regular expression pattern: {p}"),
        _ => panic!("{} has no such rule", shape.name),
    }
}

/// What the message must say of a broken constraint, apart from the value.
fn expected(constraint: &Constraint) -> String {
    let lower = |name: &str| name[..1].to_lowercase() + &name[1..];
    let (mut path, mut inner_list) = (String::new(), false);
    for (i, step) in constraint.path.iter().enumerate() {
        let last = i + 1 == constraint.path.len();
        match *step {
            "member" if last => inner_list = true,
            "member" => path += ".1.member",
            name if path.is_empty() => path = lower(name),
            name => path = path + "." + &lower(name),
        }
    }
    let rules = if inner_list {
        // A smallest length of 0 cannot be broken but is told.
        let all = constraint.shape.rules();
        let all: Vec<String> = all.iter().map(|rule| rule_text(*rule, constraint.shape)).collect();
        format!("Member must satisfy constraint: [{}]", all.join(", "))
    } else {
        rule_text(constraint.rule, constraint.shape)
    };
    format!("at '{path}' failed to satisfy constraint: {rules}")
}

fn put(body: &mut Value, path: &[&str], value: Value) {
    let place = path.iter().fold(body, |place, step| match *step {
        "member" => &mut place[0],
        name => &mut place[name],
    });
    *place = value;
}

fn decode(operation: OperationName, body: &Value) -> Result<(), DecodeError> {
    decode_any(operation, &serde_json::to_vec(body).unwrap())
}

#[test]
fn a_valid_sample_of_every_input_is_accepted() {
    for operation in OperationName::ALL {
        let body = valid(operation.input());
        assert_eq!(decode(*operation, &body), Ok(()), "{operation}: {body}");
    }
}

#[test]
fn every_constraint_is_enforced_and_named() {
    let all = constraints();
    // Counted in the model's JSON by other means: a generator that drops some must not pass unseen.
    // To its 485 the generator adds the pattern of the 44 key identifiers.
    assert_eq!(all.len(), 485 + 44);
    for constraint in &all {
        let mut body = valid(constraint.operation.input());
        let value = broken(constraint);
        put(&mut body, &constraint.path, value.clone());
        let place = format!("{} {:?} {:?}", constraint.operation, constraint.path, constraint.rule);
        let Err(DecodeError::Validation(message)) = decode(constraint.operation, &body) else {
            panic!("{place} is not enforced")
        };
        assert!(message.contains(&expected(constraint)), "{place}: {message}");
        let (head, list) = message.split_once(": ").unwrap();
        let count = list.matches("failed to satisfy").count();
        let noun = if count == 1 { "error" } else { "errors" };
        assert_eq!(head, format!("{count} validation {noun} detected"), "{place}");
        if constraint.shape.is_hidden() && constraint.rule != Rule::Required {
            let shown = value.as_str().unwrap();
            assert!(shown.is_empty() || !message.contains(shown), "{place}: {message}");
            assert!(
                message.contains(&format!("Value {}", expected(constraint))),
                "{place}: {message}"
            );
        }
    }
}

#[test]
fn a_bound_itself_is_accepted() {
    for constraint in constraints() {
        let value = match constraint.rule {
            Rule::MinValue(bound) | Rule::MaxValue(bound) => bound.into(),
            Rule::MinLength(bound) | Rule::MaxLength(bound) => {
                sized(constraint.shape, usize::try_from(bound).unwrap())
            }
            _ => continue,
        };
        // Some patterns end before the greatest length that the model allows.
        if let (Kind::String { pattern: Some(pattern), .. }, Value::String(text)) =
            (&constraint.shape.kind, &value)
            && !(pattern.matches)(text)
        {
            continue;
        }
        let mut body = valid(constraint.operation.input());
        put(&mut body, &constraint.path, value);
        assert_eq!(decode(constraint.operation, &body), Ok(()), "{constraint:?}");
    }
}

#[test]
fn all_members_broken_at_once_are_all_named_in_order() {
    for operation in OperationName::ALL {
        let mut body = valid(operation.input());
        let mut names = Vec::new();
        for constraint in constraints().iter().filter(|c| c.operation == *operation) {
            let [name] = constraint.path[..] else { continue };
            if names.last() != Some(&name) {
                names.push(name);
            }
            put(&mut body, &[name], broken(constraint));
        }
        if names.is_empty() {
            continue;
        }
        let Err(DecodeError::Validation(message)) = decode(*operation, &body) else {
            panic!("{operation}: {body}")
        };
        let mut rest = message.as_str();
        for name in names {
            let path = format!("at '{}{}' failed", name[..1].to_lowercase(), &name[1..]);
            let at = rest.find(&path).unwrap_or_else(|| panic!("{operation}: {path} in {message}"));
            rest = &rest[at..];
        }
    }
}

/// Matchers made for simple patterns agree with the patterns as the service's Java reads them: ASCII
/// classes, the whole text.
fn as_java_reads(pattern: &str) -> Regex {
    let ascii = pattern
        .replace("\\w", "0-9A-Z_a-z")
        .replace("\\d", "[0-9]")
        .replace("\\s", " \\t\\n\\x0b\\f\\r");
    Regex::new(&format!("\\A(?:{ascii})\\z")).unwrap()
}

#[test]
fn matchers_agree_with_their_patterns_on_every_character() {
    for constraint in constraints() {
        let Kind::String { pattern: Some(pattern), .. } = constraint.shape.kind else { continue };
        let regex = as_java_reads(pattern.text);
        let sample = matching(pattern.text);
        for special in ('\0'..='\u{250}').chain(['\u{2028}', '\u{ff21}', '\u{ff11}', '😀']) {
            for text in [
                String::new(),
                special.to_string(),
                format!("{sample}{special}"),
                format!("{special}{sample}"),
            ] {
                assert_eq!(
                    (pattern.matches)(&text),
                    regex.is_match(&text),
                    "{} {text:?}",
                    pattern.text
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn matchers_agree_with_their_patterns(text in "[a-z0-9:/_.=+,@\\- \\n\u{ff}\u{100}A-Z]{0,12}|\\PC{0,6}") {
        let mut seen = std::collections::HashSet::new();
        for constraint in constraints() {
            let Kind::String { pattern: Some(pattern), .. } = constraint.shape.kind else { continue };
            if seen.insert(pattern.text) {
                let regex = as_java_reads(pattern.text);
                prop_assert_eq!((pattern.matches)(&text), regex.is_match(&text), "{}", pattern.text);
            }
        }
    }
}
