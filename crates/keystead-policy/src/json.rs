//! Bounded JSON: members in the order sent, none given twice.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::document::PolicyError;

/// Rewrites a document in the layout in which GetKeyPolicy answers.
///
/// Members keep their order and single strings stay single strings; only white space and string
/// escapes change. The layout is that of AWS's documented examples: `"Key" : value`, objects
/// indented by two spaces, arrays on one line (`[ {`, `}, {`, `} ]`).
///
/// The text need not be a policy, only JSON within the bounds of [`Policy::parse`].
///
/// # Errors
///
/// [`PolicyError`] when the text is not JSON, gives a member twice, or is too deep or too long.
///
/// [`Policy::parse`]: crate::Policy::parse
pub fn pretty(text: &str) -> Result<String, PolicyError> {
    let mut out = String::with_capacity(text.len() * 2);
    write_value(&mut out, &parse(text)?, 0);
    Ok(out)
}

/// A JSON value whose members keep the order in which they were sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Names the kind of the value for a message, never the value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// Parses one JSON document within [`MAX_BYTES`] and [`MAX_DEPTH`].
pub(crate) fn parse(text: &str) -> Result<Json, PolicyError> {
    if text.len() > MAX_BYTES {
        return Err(PolicyError::new(format!("Policy is longer than {MAX_BYTES} bytes.")));
    }
    let mut source = serde_json::Deserializer::from_str(text);
    Value { depth: 0 }
        .deserialize(&mut source)
        .and_then(|value| source.end().map(|()| value))
        .map_err(|error| PolicyError::new(format!("Policy is not valid JSON: {error}.")))
}

/// Cuts text of the document to a length fit for a message.
pub(crate) fn quoted(text: &str) -> String {
    let mut cut: String = text.chars().take(64).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("'{cut}'")
}

/// Deserializes a value found inside `depth` arrays and objects.
struct Value {
    depth: usize,
}

impl Value {
    fn inner<E: serde::de::Error>(&self) -> Result<Value, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Value { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, source: D) -> Result<Json, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.inner()?)? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        // A parser that lets the last one win would hide a Deny from its reader.
        let mut seen = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("duplicate member {}", quoted(&name))));
            }
            members.push((name, map.next_value_seed(self.inner()?)?));
        }
        Ok(Json::Object(members))
    }
}

fn write_value(out: &mut String, value: &Json, indent: usize) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => out.push_str(&number.to_string()),
        Json::String(text) => write_string(out, text),
        Json::Array(items) if items.is_empty() => out.push_str("[ ]"),
        Json::Array(items) => {
            // Arrays do not indent: an object in an array stands as deep as the array itself.
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "[ " } else { ", " });
                write_value(out, item, indent);
            }
            out.push_str(" ]");
        }
        Json::Object(members) if members.is_empty() => out.push_str("{ }"),
        Json::Object(members) => {
            for (index, (name, value)) in members.iter().enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                new_line(out, indent + 2);
                write_string(out, name);
                out.push_str(" : ");
                write_value(out, value, indent + 2);
            }
            new_line(out, indent);
            out.push('}');
        }
    }
}

fn new_line(out: &mut String, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < '\u{20}' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Twice the 131,072 characters that the API model admits, since a character of the admitted set
/// (up to U+00FF) takes at most two bytes.
const MAX_BYTES: usize = 262_144;

/// A policy nests six levels (document, statements, statement, condition, operator, values);
/// the rest is margin.
const MAX_DEPTH: usize = 12;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn layout_is_that_of_get_key_policy() {
        let text = r#"{"a":["x","y"],"b":[],"c":{},"d":[{"e":1},{"f":true}],"g":null}"#;
        let expected = "{\n  \"a\" : [ \"x\", \"y\" ],\n  \"b\" : [ ],\n  \"c\" : { },\n  \
                        \"d\" : [ {\n    \"e\" : 1\n  }, {\n    \"f\" : true\n  } ],\n  \
                        \"g\" : null\n}";
        assert_eq!(pretty(text).unwrap(), expected);
    }

    #[test]
    fn member_order_is_kept() {
        assert_eq!(
            pretty(r#"{"z":"1","a":"2"}"#).unwrap(),
            "{\n  \"z\" : \"1\",\n  \"a\" : \"2\"\n}"
        );
    }

    #[test]
    fn duplicate_members_are_refused_at_any_depth_and_spelling() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#] {
            let message = pretty(text).unwrap_err().to_string();
            assert!(message.contains("duplicate member 'a'"), "{message}");
        }
        assert!(pretty(r#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(pretty(&nested(MAX_DEPTH)).is_ok());
        assert!(pretty(&nested(MAX_DEPTH + 2)).is_err());
        assert!(pretty(&nested(100_000)).is_err());
    }

    #[test]
    fn length_is_bounded() {
        let text = |len: usize| format!("\"{}\"", "x".repeat(len - 2));
        assert!(pretty(&text(MAX_BYTES)).is_ok());
        assert!(pretty(&text(MAX_BYTES + 1)).is_err());
    }

    #[test]
    fn trailing_text_and_bad_json_are_refused() {
        for text in ["", "{", "{} {}", "{\"a\":1e999}", "nul", "{'a':1}", "\"\\ud800\"", "[1,]"] {
            assert!(pretty(text).is_err(), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 48, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn pretty_text_is_equal_json(value in any_json()) {
            let printed = pretty(&value.to_string()).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
            prop_assert_eq!(pretty(&printed).unwrap(), printed);
        }

        #[test]
        fn any_text_is_answered(text in ".{0,200}") {
            let _ = pretty(&text);
        }
    }
}
