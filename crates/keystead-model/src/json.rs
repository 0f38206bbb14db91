//! A bounded, strict reader of JSON texts (RFC 8259) that borrows from the body.
//!
//! It is our own for three reasons: members named twice must be refused, whatever they hold; text that
//! may be secret must not stay behind in a scratch buffer; depth and size of the tree need a bound.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use zeroize::Zeroizing;

/// Arrays and objects may be nested this deep. The model needs 4 levels.
pub(crate) const MAX_DEPTH: usize = 32;

/// Values in one body, those of unknown members included. It bounds the memory of the tree to a few
/// megabytes; the largest request which the service accepts has some hundred values.
pub(crate) const MAX_VALUES: usize = 65_536;

/// Why a body could not be read; a fixed text without any content of the request.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// One JSON value. Numbers keep their spelling, so that nothing is lost before the type is known.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Text<'a>),
    Array(Vec<Value<'a>>),
    Object(Vec<(Text<'a>, Value<'a>)>),
}

/// A string: a part of the body, or, if it was written with escapes, a copy that is wiped.
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Unescaped(Zeroizing<String>),
}

/// Reads a whole body. An empty one, or one of white space alone, is an empty object: AWS answers
/// operations without required members in that case (reported for GenerateRandom).
pub(crate) fn parse(body: &[u8]) -> Result<Value<'_>, Malformed> {
    let text = str::from_utf8(body).map_err(|_| Malformed("the body is not valid UTF-8"))?;
    let mut reader = Reader { text, at: 0, values: 0 };
    reader.skip_space();
    if reader.at == text.len() {
        return Ok(Value::Object(Vec::new()));
    }
    if reader.peek() != Some(b'{') {
        return Err(Malformed("the body is not a JSON object"));
    }
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at == text.len() { Ok(value) } else { Err(SYNTAX) }
}

const SYNTAX: Malformed = Malformed("the body is not valid JSON");

struct Reader<'a> {
    text: &'a str,
    at: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, expected: u8) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, expected: u8) -> Result<(), Malformed> {
        if self.take(expected) { Ok(()) } else { Err(SYNTAX) }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The part of the text from `start` to here. Both lie at the border of an ASCII character.
    fn since(&self, start: usize) -> Result<&'a str, Malformed> {
        self.text.get(start..self.at).ok_or(SYNTAX)
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Malformed> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(Malformed("the body holds too many values"));
        }
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Value::Number(self.number()?)),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(SYNTAX),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Malformed> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(SYNTAX);
        }
        self.at += word.len();
        Ok(value)
    }

    fn descend(&mut self, depth: usize) -> Result<(), Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed("the body is nested too deeply"));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, Malformed> {
        self.descend(depth)?;
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Malformed> {
        self.descend(depth)?;
        let mut members = Vec::new();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(SYNTAX);
            }
            let name = self.string()?;
            self.skip_space();
            self.expect(b':')?;
            self.skip_space();
            members.push((name, self.value(depth)?));
            self.skip_space();
            if self.take(b'}') {
                break;
            }
            self.expect(b',')?;
        }
        if has_duplicate(&members) {
            return Err(Malformed("an object of the body names a member twice"));
        }
        Ok(Value::Object(members))
    }

    fn number(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        self.since(start)
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(SYNTAX) }
    }

    fn string(&mut self) -> Result<Text<'a>, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    // What follows is judged by `unescape`; here it only must not end the string.
                    self.at += 2;
                }
                None | Some(0..=0x1f) => return Err(SYNTAX),
                Some(_) => self.at += 1,
            }
        }
        let raw = self.since(start)?;
        self.at += 1;
        if escaped { Ok(Text::Unescaped(unescape(raw)?)) } else { Ok(Text::Borrowed(raw)) }
    }
}

/// No escape is shorter than what it stands for, so the copy never grows beyond its first allocation.
fn unescape(raw: &str) -> Result<Zeroizing<String>, Malformed> {
    let mut text = Zeroizing::new(String::with_capacity(raw.len()));
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let kind = escape.chars().next().ok_or(SYNTAX)?;
        rest = escape.get(kind.len_utf8()..).ok_or(SYNTAX)?;
        text.push(match kind {
            '"' | '\\' | '/' => kind,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let mut unit = code_unit(&mut rest)?;
                if (0xd800..0xdc00).contains(&unit) {
                    rest = rest.strip_prefix("\\u").ok_or(SYNTAX)?;
                    let low = code_unit(&mut rest)?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(SYNTAX);
                    }
                    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                }
                // A lone low surrogate is no character.
                char::from_u32(unit).ok_or(SYNTAX)?
            }
            _ => return Err(SYNTAX),
        });
    }
    text.push_str(rest);
    Ok(text)
}

fn code_unit(rest: &mut &str) -> Result<u32, Malformed> {
    let (digits, after) = rest.split_at_checked(4).ok_or(SYNTAX)?;
    // `from_str_radix` alone would take a sign.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(SYNTAX);
    }
    *rest = after;
    u32::from_str_radix(digits, 16).map_err(|_| SYNTAX)
}

/// Compares pairwise while that is cheaper than hashing. The set is keyed at random, so that names
/// chosen to collide do not make it slow.
fn has_duplicate(members: &[(Text<'_>, Value<'_>)]) -> bool {
    if members.len() <= 12 {
        let names = || members.iter().map(|(name, _)| &**name).enumerate();
        return names().any(|(i, name)| names().take(i).any(|(_, earlier)| earlier == name));
    }
    let mut seen = HashSet::with_capacity(members.len());
    !members.iter().all(|(name, _)| seen.insert(name))
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Unescaped(text) => text,
        }
    }
}

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text<'_> {}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// Prints the length alone: the text may be secret.
impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn to_serde(value: &Value<'_>) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(truth) => (*truth).into(),
            Value::Number(number) => serde_json::from_str(number).unwrap(),
            Value::Text(text) => (**text).into(),
            Value::Array(items) => items.iter().map(to_serde).collect(),
            Value::Object(members) => {
                members.iter().map(|(name, value)| (name.to_string(), to_serde(value))).collect()
            }
        }
    }

    #[test]
    fn reads_what_rfc_8259_allows() {
        for text in [
            "{}",
            " \t\r\n{ \"a\" : [ 1 , -0 , 1.50 , 1e5, -2E-3, 0.0e+7 ] , \"b\" : null } ",
            r#"{"a":"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00é😀"}"#,
            r#"{"":{"":[[],{}]},"t":true,"f":false}"#,
            r#"{"a":"\ud800\udc00\udbff\udfff\ud7ff\ue000\uffff"}"#,
        ] {
            let expected: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(to_serde(&parse(text.as_bytes()).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        for text in ["", " ", "\r\n\t"] {
            assert!(
                matches!(parse(text.as_bytes()), Ok(Value::Object(members)) if members.is_empty())
            );
        }
    }

    #[test]
    fn refuses_what_rfc_8259_does_not_allow() {
        for text in [
            "{",
            "}",
            "{]",
            "[]",
            "null",
            "1",
            "\"\"",
            "{}{}",
            "{} x",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":[1,]}",
            "{\"a\":[,1]}",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":.5}",
            "{\"a\":5.}",
            "{\"a\":1e}",
            "{\"a\":-}",
            "{\"a\":NaN}",
            "{\"a\":Infinity}",
            "{\"a\":-Infinity}",
            "{\"a\":0x10}",
            "{\"a\":tru}",
            "{\"a\":True}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"\\u+123\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\ud800x\"}",
            "{\"a\":\"\\ud800\\u0041\"}",
            "{\"a\":\"\\udc00\"}",
            "{\"a\":\"\\",
            "{\"a\":\"\\\"",
            "{\"a\":\"é",
            "\u{feff}{}",
            "{\"a\":\"\\é\"}",
            "{\"a\":\"\\u00é0\"}",
            "{\"a\" 1}",
            "{/**/}",
            "{}\u{0}",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(br#"{"a":"\ud800\ue000"}"#).is_err());
        for control in '\0'..' ' {
            assert!(parse(format!("{{\"a\":\"{control}\"}}").as_bytes()).is_err());
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
        assert!(parse(b"{\"a\":\"\xed\xa0\x80\"}").is_err());
    }

    #[test]
    fn refuses_members_named_twice_at_any_place() {
        for text in
            [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"unknown":[{"b":1,"c":2,"b":3}]}"#]
        {
            assert_eq!(
                parse(text.as_bytes()).unwrap_err(),
                Malformed("an object of the body names a member twice")
            );
        }
        let many: Vec<String> = (0..100).map(|i| format!("\"{i}\":0")).collect();
        assert!(parse(format!("{{{}}}", many.join(",")).as_bytes()).is_ok());
        assert!(parse(format!("{{{},\"57\":1}}", many.join(",")).as_bytes()).is_err());
        assert!(parse(br#"{"a":1,"A":1}"#).is_ok());
    }

    #[test]
    fn bounds_depth_and_number_of_values() {
        let nested = |depth: usize| {
            let inner = depth - 1;
            format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
        };
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(parse(nested(500_000).as_bytes()).is_err());
        let wide = |values: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(values - 3));
        assert!(parse(wide(MAX_VALUES).as_bytes()).is_ok());
        assert!(parse(wide(MAX_VALUES + 1).as_bytes()).is_err());
    }

    #[test]
    fn debug_does_not_show_text() {
        let value = parse(br#"{"planted":"secr\u0065t"}"#).unwrap();
        assert!(!format!("{value:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&body);
        }

        /// Both readers accept the same texts and read the same from them.
        #[test]
        fn agrees_with_serde_json(tokens in proptest::collection::vec(token(), 0..12)) {
            agree(&format!("{{\"x\":[{}]}}", tokens.concat()))?;
        }

        /// The same for texts that are one character away from a valid one.
        #[test]
        fn agrees_with_serde_json_near_valid_texts(
            items in proptest::collection::vec(item(), 1..6), at: prop::sample::Index, token in token(),
        ) {
            let text = format!("{{\"x\":[{}]}}", items.join(","));
            agree(&text)?;
            let mut changed: Vec<char> = text.chars().collect();
            let at = at.index(changed.len());
            changed.splice(at..=at, token.chars());
            agree(&changed.iter().collect::<String>())?;
        }
    }

    fn token() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\"a\"",
            "\"\\u0061\"",
            "\"b\":",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "0",
            "1",
            "-",
            "+",
            ".",
            "e",
            "E5",
            "1.5",
            "-0",
            "null",
            "true",
            "false",
            " ",
            "\t",
            "\n",
            "\u{0}",
            "\u{7f}",
            "é",
            "\\n",
            "\\u00",
            "",
        ])
    }

    fn item() -> impl Strategy<Value = String> {
        "(-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9])?)|\"([a-zé ]|\\\\[nt\\\\/bfr\"]|\\\\u0[0-9a-fA-F]{3}){0,5}\"\
         |null|true|\\{\\}|\\[ \\]|\\{\"a\" : \\[1 , \\{\"b\":2\\}\\],\"c\":\"d\"\\}"
    }

    fn agree(text: &str) -> Result<(), TestCaseError> {
        match (parse(text.as_bytes()), serde_json::from_str::<serde_json::Value>(text)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(to_serde(&ours), theirs),
            (Err(Malformed(why)), Ok(theirs)) => {
                // serde_json takes other values than objects, and the last of two members.
                prop_assert!(why.contains("twice") || !theirs.is_object(), "{}: {}", text, why);
            }
            // serde_json refuses numbers beyond the range of f64 when it reads them.
            (Ok(_), Err(error)) => {
                prop_assert!(error.to_string().contains("out of range"), "{}: {}", text, error);
            }
            (Err(_), Err(_)) => {}
        }
        Ok(())
    }
}
