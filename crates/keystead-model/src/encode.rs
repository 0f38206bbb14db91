//! From a typed output to a response body, without a copy that is not wiped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::{Blob, EncryptionContextMap, SensitiveString, Timestamp};

/// The output of an operation.
pub trait Output {
    /// The response body: the members that are there, in the order of the model.
    ///
    /// The buffer has its final size from the start, so that no half-written copy of a plaintext is left
    /// behind by growing, and wipes itself when dropped.
    fn encode(&self) -> Zeroizing<Vec<u8>>;
}

/// The output of operations without an output shape: a body of no bytes.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Empty;

impl Output for Empty {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::default()
    }
}

/// Encodes for `Output::encode`: once to learn the size, once to write.
pub(crate) fn encode_body<T: ToWire>(output: &T) -> Zeroizing<Vec<u8>> {
    let mut size = Size(0);
    output.to_wire(&mut size);
    let mut buffer = Buffer(Zeroizing::new(Vec::with_capacity(size.0)));
    output.to_wire(&mut buffer);
    debug_assert_eq!(buffer.0.len(), size.0, "both passes write the same");
    buffer.0
}

/// A type that becomes a JSON value.
pub(crate) trait ToWire {
    fn to_wire(&self, sink: &mut impl Sink);
}

/// Where JSON goes: a count of bytes or a buffer.
pub(crate) trait Sink {
    /// Bytes that are JSON already.
    fn raw(&mut self, bytes: &[u8]);

    /// Bytes as base64, without quotes.
    fn base64(&mut self, bytes: &[u8]);
}

struct Size(usize);

struct Buffer(Zeroizing<Vec<u8>>);

impl Sink for Size {
    fn raw(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.0 += base64_len(bytes);
    }
}

fn base64_len(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(3) * 4
}

impl Buffer {
    /// Room for so many more bytes. The first pass has made it, unless that pass is wrong; even then
    /// the smaller buffer is wiped.
    fn reserve(&mut self, more: usize) {
        let needed = self.0.len() + more;
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed * 2));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
    }
}

impl Sink for Buffer {
    fn raw(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn base64(&mut self, bytes: &[u8]) {
        let (start, length) = (self.0.len(), base64_len(bytes));
        self.reserve(length);
        self.0.resize(start + length, 0);
        if let Some(room) = self.0.get_mut(start..) {
            // The room is as long as the text, the only thing that could fail.
            let written = STANDARD.encode_slice(bytes, room);
            debug_assert_eq!(written, Ok(length));
        }
    }
}

/// An object being written.
pub(crate) struct ObjectWriter<'s, S> {
    sink: &'s mut S,
    empty: bool,
}

impl<'s, S: Sink> ObjectWriter<'s, S> {
    pub(crate) fn open(sink: &'s mut S) -> Self {
        sink.raw(b"{");
        Self { sink, empty: true }
    }

    /// Writes a member if it is there.
    pub(crate) fn member<T: ToWire>(&mut self, name: &str, value: Option<&T>) {
        let Some(value) = value else { return };
        if !self.empty {
            self.sink.raw(b",");
        }
        self.empty = false;
        text(self.sink, name);
        self.sink.raw(b":");
        value.to_wire(self.sink);
    }

    pub(crate) fn close(self) {
        self.sink.raw(b"}");
    }
}

/// Implements [`ToWire`] for a generated structure.
macro_rules! encode_structure {
    ($name:ident { $($kind:ident $field:ident $wire:literal),* $(,)? }) => {
        impl $crate::encode::ToWire for $name {
            #[allow(unused_mut, reason = "a structure may have no members")]
            fn to_wire(&self, sink: &mut impl $crate::encode::Sink) {
                let mut object = $crate::encode::ObjectWriter::open(sink);
                $(object.member($wire, $crate::encode::present!($kind self.$field));)*
                object.close();
            }
        }
    };
}

/// A required member is always there.
macro_rules! present {
    (required $this:ident.$field:ident) => {
        Some(&$this.$field)
    };
    (optional $this:ident.$field:ident) => {
        $this.$field.as_ref()
    };
}

pub(crate) use {encode_structure, present};

impl ToWire for str {
    fn to_wire(&self, sink: &mut impl Sink) {
        text(sink, self);
    }
}

impl ToWire for String {
    fn to_wire(&self, sink: &mut impl Sink) {
        text(sink, self);
    }
}

impl ToWire for SensitiveString {
    fn to_wire(&self, sink: &mut impl Sink) {
        text(sink, self.expose());
    }
}

impl ToWire for bool {
    fn to_wire(&self, sink: &mut impl Sink) {
        sink.raw(if *self { b"true" } else { b"false" });
    }
}

impl ToWire for i32 {
    fn to_wire(&self, sink: &mut impl Sink) {
        sink.raw(self.to_string().as_bytes());
    }
}

impl ToWire for Timestamp {
    fn to_wire(&self, sink: &mut impl Sink) {
        sink.raw(self.to_string().as_bytes());
    }
}

impl ToWire for Blob {
    fn to_wire(&self, sink: &mut impl Sink) {
        sink.raw(b"\"");
        sink.base64(self.as_slice());
        sink.raw(b"\"");
    }
}

impl<T: ToWire> ToWire for Vec<T> {
    fn to_wire(&self, sink: &mut impl Sink) {
        sink.raw(b"[");
        for (i, item) in self.iter().enumerate() {
            if i > 0 {
                sink.raw(b",");
            }
            item.to_wire(sink);
        }
        sink.raw(b"]");
    }
}

impl ToWire for EncryptionContextMap {
    fn to_wire(&self, sink: &mut impl Sink) {
        sink.raw(b"{");
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                sink.raw(b",");
            }
            text(sink, name);
            sink.raw(b":");
            text(sink, value);
        }
        sink.raw(b"}");
    }
}

/// A JSON string. Escaped is what RFC 8259, section 7, demands, and U+007F, which some readers dislike.
fn text(sink: &mut impl Sink, text: &str) {
    sink.raw(b"\"");
    let mut rest = text.as_bytes();
    while let Some(end) =
        rest.iter().position(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\' | 0x7f))
    {
        let (plain, special) = rest.split_at(end);
        sink.raw(plain);
        let Some((byte, after)) = special.split_first() else { break };
        match byte {
            b'"' => sink.raw(b"\\\""),
            b'\\' => sink.raw(b"\\\\"),
            b'\n' => sink.raw(b"\\n"),
            b'\r' => sink.raw(b"\\r"),
            b'\t' => sink.raw(b"\\t"),
            byte => sink.raw(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = after;
    }
    sink.raw(rest);
    sink.raw(b"\"");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use proptest::prelude::*;

    use super::*;
    use crate::{
        GenerateDataKeyPairResponse, GetPublicKeyResponse, KeyMetadata, ListResourceTagsResponse,
        SigningAlgorithmSpec, Tag,
    };

    fn encoded<T: Output>(output: &T) -> String {
        String::from_utf8(output.encode().to_vec()).unwrap()
    }

    #[test]
    fn members_that_are_there_are_written_in_the_order_of_the_model() {
        let output = GenerateDataKeyPairResponse {
            key_id: Some("arn".to_owned()),
            private_key_plaintext: Some(Blob::from(b"\x00\xff\xfe".as_slice())),
            public_key: Some(Blob::from(b"ab".as_slice())),
            ..Default::default()
        };
        assert_eq!(
            encoded(&output),
            r#"{"PrivateKeyPlaintext":"AP/+","PublicKey":"YWI=","KeyId":"arn"}"#
        );
        assert_eq!(encoded(&GenerateDataKeyPairResponse::default()), "{}");
        assert_eq!(encoded(&Empty), "");
    }

    #[test]
    fn nested_values_are_written() {
        let tag =
            |key: &str, value: &str| Tag { tag_key: key.to_owned(), tag_value: value.to_owned() };
        let output = ListResourceTagsResponse {
            tags: Some(vec![tag("a", ""), tag("b", "é\"\\\n\u{1}\u{7f}")]),
            next_marker: None,
            truncated: Some(false),
        };
        assert_eq!(
            encoded(&output),
            "{\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"\"},{\"TagKey\":\"b\",\
             \"TagValue\":\"é\\\"\\\\\\n\\u0001\\u007f\"}],\"Truncated\":false}"
        );
        let empty = ListResourceTagsResponse { tags: Some(Vec::new()), ..Default::default() };
        assert_eq!(encoded(&empty), r#"{"Tags":[]}"#);
        let metadata = crate::DescribeKeyResponse {
            key_metadata: Some(KeyMetadata {
                creation_date: Some(Timestamp::from_millis(1_568_565_290_000)),
                pending_deletion_window_in_days: Some(7),
                ..Default::default()
            }),
        };
        assert_eq!(
            encoded(&metadata),
            r#"{"KeyMetadata":{"CreationDate":1568565290.0,"PendingDeletionWindowInDays":7}}"#
        );
        let key = GetPublicKeyResponse {
            signing_algorithms: Some(vec![SigningAlgorithmSpec::EcdsaSha256]),
            ..Default::default()
        };
        assert_eq!(encoded(&key), r#"{"SigningAlgorithms":["ECDSA_SHA_256"]}"#);
    }

    #[test]
    fn a_buffer_that_must_grow_keeps_what_it_holds() {
        let mut buffer = Buffer(Zeroizing::new(Vec::with_capacity(1)));
        text(&mut buffer, "longer than one byte");
        assert_eq!(&buffer.0[..], b"\"longer than one byte\"");
    }

    proptest! {
        #[test]
        fn serde_json_reads_back_what_is_written(
            key_id in any::<String>(), plaintext in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let output = GenerateDataKeyPairResponse {
                key_id: Some(key_id.clone()),
                private_key_plaintext: Some(Blob::from(plaintext.clone())),
                ..Default::default()
            };
            let body = output.encode();
            prop_assert_eq!(body.len(), body.capacity());
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(value["KeyId"].as_str(), Some(key_id.as_str()));
            let blob = value["PrivateKeyPlaintext"].as_str().unwrap();
            prop_assert_eq!(STANDARD.decode(blob).unwrap(), plaintext);
        }
    }
}
