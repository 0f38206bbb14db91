//! JSON into a buffer, within a bound, always valid.

use crate::record::date;

/// A JSON object of parameters, written as it is built and never longer than its limit.
///
/// A text that does not fit is cut at a character; a member that does not fit at all is left out.
/// Either way the object stays valid JSON. Member names are written in the order of the calls.
#[derive(Clone, Debug)]
pub struct Object {
    /// Without the closing brace of the outermost object.
    buffer: Vec<u8>,
    limit: usize,
    /// Objects and arrays that are open; each needs a byte at its end.
    depth: usize,
    cut: bool,
}

impl Object {
    /// An empty object for `requestParameters` or `responseElements`: at most 100 KB.
    pub fn parameters() -> Self {
        Self::limited(PARAMETERS)
    }

    /// An empty object for `additionalEventData`: at most 28 KB.
    pub fn additional() -> Self {
        Self::limited(ADDITIONAL)
    }

    /// An empty object of at most `limit` bytes of JSON, at least 2.
    pub fn limited(limit: usize) -> Self {
        let mut buffer = Vec::with_capacity(256);
        buffer.push(b'{');
        Self { buffer, limit: limit.max(2), depth: 1, cut: false }
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.buffer.len() == 1
    }

    /// Whether something did not fit.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Adds a text.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.member(name, |object| object.push_text(value))
    }

    /// Adds a text if there is one.
    pub fn optional_text(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Adds a number.
    pub fn integer(&mut self, name: &str, value: i64) -> &mut Self {
        self.member(name, |object| object.push_whole(value.to_string().as_bytes()))
    }

    /// Adds a boolean.
    pub fn boolean(&mut self, name: &str, value: bool) -> &mut Self {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.member(name, |object| object.push_whole(text))
    }

    /// Adds a point of time, in milliseconds since 1970, as the US English text that CloudTrail
    /// prints inside parameters: `May 21, 2025, 5:47:45 AM`.
    pub fn date(&mut self, name: &str, milliseconds: i64) -> &mut Self {
        let text = date::us_english(milliseconds);
        self.member(name, |object| object.push_text(&text))
    }

    /// Adds an array of texts.
    pub fn texts<'t>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = &'t str>,
    ) -> &mut Self {
        self.member(name, |object| {
            object.nest(b'[', b']', |object| {
                for value in values {
                    object.element(|object| object.push_text(value));
                }
            })
        })
    }

    /// Adds an object of texts, like an encryption context.
    pub fn map<'t>(
        &mut self,
        name: &str,
        members: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> &mut Self {
        self.object(name, |object| {
            for (name, value) in members {
                object.text(name, value);
            }
        })
    }

    /// Adds an object that `fill` writes.
    pub fn object(&mut self, name: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.member(name, |object| object.nest(b'{', b'}', fill))
    }

    /// Adds an array of objects, each written by `fill`.
    pub fn objects<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.member(name, |object| {
            object.nest(b'[', b']', |object| {
                for item in items {
                    object.element(|object| object.nest(b'{', b'}', |object| fill(object, item)));
                }
            })
        })
    }

    /// The object as a line, with its newline.
    pub(crate) fn line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(self.buffer.len() + 2);
        self.write(&mut line);
        line.push(b'\n');
        line
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.buffer);
        out.push(b'}');
    }

    /// Bytes that can be added while everything open can still be closed.
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.buffer.len() + self.depth)
    }

    fn member(&mut self, name: &str, value: impl FnOnce(&mut Self) -> bool) -> &mut Self {
        self.element(|object| {
            object.push_whole(b"\"")
                && {
                    let room = object.room();
                    escape(&mut object.buffer, name, room)
                }
                && object.push_whole(b"\":")
                && value(object)
        });
        self
    }

    /// Adds what `value` writes, with a comma before it where one is due, or nothing of it.
    fn element(&mut self, value: impl FnOnce(&mut Self) -> bool) {
        let start = self.buffer.len();
        // No text ends in a brace or bracket that is not its own: texts end in a quote.
        let first = matches!(self.buffer.last(), Some(b'{' | b'['));
        if !((first || self.push_whole(b",")) && value(self)) {
            self.buffer.truncate(start);
            self.cut = true;
        }
    }

    fn nest(&mut self, open: u8, close: u8, fill: impl FnOnce(&mut Self)) -> bool {
        if self.room() < 2 {
            return false;
        }
        self.buffer.push(open);
        self.depth += 1;
        fill(self);
        self.depth -= 1;
        self.buffer.push(close);
        true
    }

    fn push_whole(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.room();
        if fits {
            self.buffer.extend_from_slice(bytes);
        }
        fits
    }

    /// Writes a text, cut if need be.
    fn push_text(&mut self, text: &str) -> bool {
        let Some(room) = self.room().checked_sub(2) else { return false };
        self.buffer.push(b'"');
        if !escape(&mut self.buffer, text, room) {
            self.cut = true;
        }
        self.buffer.push(b'"');
        true
    }
}

/// Bytes of JSON in `requestParameters` and in `responseElements` (CloudTrail record contents).
const PARAMETERS: usize = 100 * 1024;
/// Bytes of JSON in `additionalEventData` (CloudTrail record contents).
const ADDITIONAL: usize = 28 * 1024;

/// Writes a text as the inside of a JSON string, at most `most` bytes of it; answers whether all of
/// it was written.
///
/// Beyond what JSON demands, everything is escaped that some reader takes for the end of a line or
/// for a command to a terminal: DEL, the C1 controls (U+0085 among them), U+2028, U+2029 and the
/// controls of text direction.
pub(super) fn escape(out: &mut Vec<u8>, text: &str, most: usize) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() <= most && !bytes.iter().any(|byte| SUSPECT[usize::from(*byte)]) {
        out.extend_from_slice(bytes);
        return true;
    }
    let end = out.len() + most;
    for character in text.chars() {
        let mut space = [0; 8];
        let piece = escaped(character, &mut space);
        if out.len() + piece.len() > end {
            return false;
        }
        out.extend_from_slice(piece);
    }
    true
}

fn escaped(character: char, space: &mut [u8; 8]) -> &[u8] {
    let short: &[u8] = match character {
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '\n' => b"\\n",
        '\r' => b"\\r",
        '\t' => b"\\t",
        '\0'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let code = u32::from(character);
            *space = *b"\\u0000\0\0";
            for (at, digit) in space.iter_mut().skip(2).take(4).enumerate() {
                *digit = DIGITS[(code >> (12 - 4 * at) & 15) as usize];
            }
            return space.get(..6).unwrap_or_default();
        }
        character => {
            let length = character.encode_utf8(space).len();
            return space.get(..length).unwrap_or_default();
        }
    };
    short
}

/// Bytes that make a text take the slow way: what may have to be escaped, or its first byte.
static SUSPECT: [bool; 256] = {
    let mut suspect = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        suspect[byte] = true;
        byte += 1;
    }
    suspect[b'"' as usize] = true;
    suspect[b'\\' as usize] = true;
    suspect[0x7f] = true;
    // U+0080 to U+00BF, and U+2000 to U+2FFF.
    suspect[0xc2] = true;
    suspect[0xe2] = true;
    suspect
};

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn written(object: &Object) -> Vec<u8> {
        let mut out = Vec::new();
        object.write(&mut out);
        out
    }

    fn parsed(object: &Object) -> Value {
        serde_json::from_slice(&written(object)).unwrap()
    }

    #[test]
    fn members_of_all_kinds() {
        let mut object = Object::parameters();
        object
            .text("keyId", "alias/a\"b\\c\n")
            .optional_text("absent", None)
            .integer("limit", -3)
            .boolean("multiRegion", true)
            .date("validTo", 1_747_806_465_000)
            .texts("operations", ["Encrypt", "Decrypt"])
            .map("encryptionContext", [("a", "1"), ("b", "2")])
            .objects("tags", [("k", "v")], |tag, (key, value)| {
                tag.text("tagKey", key).text("tagValue", value);
            })
            .object("constraints", |_| {});
        assert_eq!(
            written(&object),
            br#"{"keyId":"alias/a\"b\\c\n","limit":-3,"multiRegion":true,"validTo":"May 21, 2025, 5:47:45 AM","operations":["Encrypt","Decrypt"],"encryptionContext":{"a":"1","b":"2"},"tags":[{"tagKey":"k","tagValue":"v"}],"constraints":{}}"#
        );
        assert!(!object.is_cut());
        assert!(!object.is_empty());
    }

    #[test]
    fn a_text_too_long_is_cut_at_a_character() {
        let mut object = Object::limited(20);
        object.text("policy", "äöüäöüäöü").text("more", "x");
        assert_eq!(parsed(&object)["policy"], "äöü");
        assert!(object.is_cut());
        assert!(written(&object).len() <= 20);
    }

    #[test]
    fn nothing_that_breaks_a_line_is_left_bare() {
        let hostile: String =
            (0_u32..0x3000).filter_map(char::from_u32).chain(['\u{feff}', '\u{1f600}']).collect();
        let mut object = Object::parameters();
        object.text("userAgent", &hostile).map("c", [("a\nb\u{2028}", "\r")]);
        let text = String::from_utf8(written(&object)).unwrap();
        let breaks = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
        assert!(!text.contains(breaks));
        assert_eq!(parsed(&object)["userAgent"], hostile);
        assert_eq!(parsed(&object)["c"]["a\nb\u{2028}"], "\r");
    }

    proptest! {
        #[test]
        fn always_valid_and_within_the_limit(
            limit in 2_usize..200,
            members in prop::collection::vec((any::<String>(), any::<String>()), 0..6),
        ) {
            let mut object = Object::limited(limit);
            for (name, value) in &members {
                object.text(name, value).texts(name, [value.as_str(), "x"]);
                object.map("map", [(name.as_str(), value.as_str())]);
                object.objects("list", [1, 2], |inner, item| { inner.integer(name, item); });
            }
            let bytes = written(&object);
            prop_assert!(bytes.len() <= limit);
            prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
        }
    }
}
