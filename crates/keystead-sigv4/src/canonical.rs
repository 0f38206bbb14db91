//! The canonical request: what both sides hash (IAM User Guide, "Create a signed AWS API request").

use std::borrow::Cow;

use http::HeaderMap;

use crate::{SignatureError, hash::Sink};

/// The parts of a canonical request, as they came.
pub(crate) struct Canonical<'r, 'a> {
    pub(crate) method: &'r str,
    /// As on the request line, already [`normalized`].
    pub(crate) path: &'r str,
    pub(crate) query: &'r str,
    pub(crate) headers: &'r HeaderMap,
    /// Stands in for a `Host` header.
    pub(crate) authority: Option<&'r str>,
    /// INVARIANT: sorted.
    pub(crate) signed_headers: &'a str,
    /// The hash of the body, in hexadecimal digits.
    pub(crate) payload: &'r [u8; 64],
}

impl<'a> Canonical<'_, 'a> {
    /// Writes the canonical request.
    ///
    /// # Errors
    /// A header that was signed and is not there; a query with `+` or a bad escape.
    pub(crate) fn write(&self, sink: &mut impl Sink) -> Result<(), SignatureError<'a>> {
        sink.put(self.method.as_bytes());
        sink.put(b"\n");
        // The path came encoded; for all services but S3 it is encoded once more.
        encode(sink, self.path.as_bytes(), true);
        sink.put(b"\n");
        write_query(sink, self.query)?;
        sink.put(b"\n");
        for name in self.signed_headers.split(';') {
            let mut values = self.headers.get_all(name).iter().map(http::HeaderValue::as_bytes);
            let value = match (values.next(), name, self.authority) {
                (Some(value), ..) => value,
                (None, "host", Some(authority)) => authority.as_bytes(),
                (None, ..) => return Err(SignatureError::HeaderAbsent { name }),
            };
            sink.put(name.as_bytes());
            sink.put(b":");
            write_value(sink, value);
            for value in values {
                sink.put(b",");
                write_value(sink, value);
            }
            sink.put(b"\n");
        }
        sink.put(b"\n");
        sink.put(self.signed_headers.as_bytes());
        sink.put(b"\n");
        sink.put(self.payload);
        Ok(())
    }
}

/// The path without empty segments, `.` and `..`; a trailing `/`, `/.` or `/..` leaves a slash at the end
/// (RFC 3986 5.2.4, and slashes in a row count as one). Works on the path as sent: `%2e` is no dot.
pub(crate) fn normalized(path: &str) -> Cow<'_, str> {
    if path == "/" || (path.starts_with('/') && !path.contains("//") && !path.contains("/.")) {
        return Cow::Borrowed(path);
    }
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut normal = String::with_capacity(path.len() + 1);
    for segment in &segments {
        normal.push('/');
        normal.push_str(segment);
    }
    let open = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if open || normal.is_empty() {
        normal.push('/');
    }
    Cow::Owned(normal)
}

/// Whether the query holds a parameter of the presigned form (`X-Amz-Signature` and its companions).
pub(crate) fn is_presigned(query: &str) -> Result<bool, SignatureError<'static>> {
    for piece in query.split('&') {
        let (name, _) = piece.split_once('=').unwrap_or((piece, ""));
        if is_amazon_header(&decode(name)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a name begins with `x-amz-` in any case. `x-amzn-…` does not: signers leave `x-amzn-trace-id` out.
pub(crate) fn is_amazon_header(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"x-amz-";
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Splits, decodes, encodes and sorts.
fn write_query(sink: &mut impl Sink, query: &str) -> Result<(), SignatureError<'static>> {
    if query.is_empty() {
        return Ok(());
    }
    let mut pairs = Vec::new();
    for piece in query.split('&').filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let (mut encoded_name, mut encoded_value) = (Vec::new(), Vec::new());
        encode(&mut encoded_name, &decode(name)?, false);
        encode(&mut encoded_value, &decode(value)?, false);
        pairs.push((encoded_name, encoded_value));
    }
    pairs.sort_unstable();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            sink.put(b"&");
        }
        sink.put(name);
        sink.put(b"=");
        sink.put(value);
    }
    Ok(())
}

/// Decodes percent escapes. A raw `+` is refused rather than guessed: signers of AWS's SDKs take it for a space,
/// for a plus sign or leave it, and whoever reads the parameter must see what was signed.
fn decode(text: &str) -> Result<Cow<'_, [u8]>, SignatureError<'static>> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    let digit = |byte: Option<&u8>| {
        byte.and_then(|byte| char::from(*byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
            .ok_or(SignatureError::QueryForm)
    };
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes().iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => return Err(SignatureError::QueryForm),
            b'%' => digit(bytes.next())? << 4 | digit(bytes.next())?,
            byte => *byte,
        });
    }
    Ok(Cow::Owned(decoded))
}

/// Percent-encodes all but the unreserved characters of RFC 3986 2.3, and `/` where it is to stay.
fn encode(sink: &mut impl Sink, bytes: &[u8], keep_slash: bool) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let stays = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'~')
            || (keep_slash && *byte == b'/')
    };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| !stays(byte)) {
        let (plain, tail) = rest.split_at(at);
        sink.put(plain);
        if let Some((byte, tail)) = tail.split_first() {
            sink.put(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            rest = tail;
        }
    }
    sink.put(rest);
}

/// A header's value without white space at its ends and with single spaces inside, in quotes too. Only spaces are
/// collapsed: signers disagree about tabs.
fn write_value(sink: &mut impl Sink, value: &[u8]) {
    let mut rest = value.trim_ascii();
    while let Some(at) = rest.windows(2).position(|pair| pair == b"  ") {
        let (text, spaces) = rest.split_at(at);
        sink.put(text);
        sink.put(b" ");
        rest = &spaces[spaces.iter().take_while(|byte| **byte == b' ').count()..];
    }
    sink.put(rest);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// The expectations are those of RFC 3986 5.2.4 with runs of slashes as one.
    #[test]
    fn paths_are_normalized() {
        for (path, expected) in [
            ("/", "/"),
            ("", "/"),
            ("//", "/"),
            ("/.", "/"),
            ("/..", "/"),
            ("/../..", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/..", "/"),
            ("/../a", "/a"),
            ("/.a/b.", "/.a/b."),
            ("/...", "/..."),
            ("/%2e%2e/a", "/%2e%2e/a"),
            ("a", "/a"),
            ("/a/..b", "/a/..b"),
        ] {
            assert_eq!(normalized(path), expected, "{path}");
        }
    }

    fn query(text: &str) -> String {
        let mut bytes = Vec::new();
        write_query(&mut bytes, text).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn queries_are_decoded_encoded_and_sorted() {
        for (text, expected) in [
            ("", ""),
            ("a", "a="),
            ("a=", "a="),
            ("=", "="),
            ("b=1&a=2", "a=2&b=1"),
            ("a=2&a=1", "a=1&a=2"),
            ("a=1&A=1", "A=1&a=1"),
            ("a=b=c", "a=b%3Dc"),
            ("a=%2f%2F/", "a=%2F%2F%2F"),
            ("a=%20%2B", "a=%20%2B"),
            ("%61=%7e", "a=~"),
            ("a=%c3%BC", "a=%C3%BC"),
            ("a=ü", "a=%C3%BC"),
            ("a=%00%ff", "a=%00%FF"),
            ("&&a=1&", "a=1"),
            ("a=1&a%2d=2&a-=1", "a=1&a-=1&a-=2"),
            ("a=*'()", "a=%2A%27%28%29"),
        ] {
            assert_eq!(query(text), expected, "{text}");
        }
    }

    #[test]
    fn doubtful_queries_are_refused() {
        for text in ["a+b=1", "a=1+2", "a=%", "a=%1", "a=%1g", "a=%+1", "a=1%&b=2", "%zz"] {
            let mut bytes = Vec::new();
            assert_eq!(write_query(&mut bytes, text), Err(SignatureError::QueryForm), "{text}");
            assert_eq!(
                is_presigned(text).is_err(),
                text.split('=').next().unwrap().contains(['%', '+']),
                "{text}"
            );
        }
    }

    #[test]
    fn presigned_parameters_are_seen_through_case_and_escapes() {
        for text in [
            "X-Amz-Signature=a",
            "a=1&x-amz-credential=",
            "X%2DAmz%2dAlgorithm=1",
            "X-Amz-Security-Token",
        ] {
            assert_eq!(is_presigned(text), Ok(true), "{text}");
        }
        for text in
            ["", "Action=GetCallerIdentity", "a=X-Amz-Signature", "X-Amzn-Trace-Id=1", "x-amz"]
        {
            assert_eq!(is_presigned(text), Ok(false), "{text}");
        }
    }

    #[test]
    fn values_are_trimmed_and_their_spaces_collapsed() {
        for (value, expected) in [
            ("", ""),
            (" ", ""),
            ("a", "a"),
            ("  a  ", "a"),
            ("a  b", "a b"),
            ("a   b    c d", "a b c d"),
            ("\"a   b\"", "\"a b\""),
            ("\ta\t", "a"),
            ("a\t\tb", "a\t\tb"),
            ("a \t b", "a \t b"),
        ] {
            let mut bytes = Vec::new();
            write_value(&mut bytes, value.as_bytes());
            assert_eq!(bytes, expected.as_bytes(), "{value:?}");
        }
    }
}
