//! The chain: signed digests of the records, each naming the one before.
//!
//! A digest holds the SHA-256 of every line it covers, not one hash of all of them: that is what
//! lets a verification name the record that was touched, and tell a removed one from an altered
//! one. See `docs/audit.md` for the members.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::lines::Line;
use crate::record::iso;
use crate::signer::is_signature;
use crate::{Signer, SignerError};

/// The SHA-256 of a line without its newline.
pub(crate) type Leaf = [u8; 32];

/// The [`Leaf`] of a line.
pub(crate) fn leaf(line: &[u8]) -> Leaf {
    let mut leaf = [0; 32];
    // SHA-256 has 32 bytes.
    leaf.copy_from_slice(digest(&SHA256, line).as_ref());
    leaf
}

/// Records of the most that one digest covers, which bounds the length of its line.
pub(crate) const MOST_LEAVES: usize = 4096;

/// Bytes of the longest line of a chain file: the leaves in base64 and what is around them.
pub(crate) const LONGEST_DIGEST: usize = MOST_LEAVES * 44 + 4096;

/// One digest of a chain: its number and its hash. Kept elsewhere, it proves later that the chain
/// up to there is the same.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Anchor {
    /// Number of the digest; the first is 1.
    pub sequence: u64,
    /// SHA-256 of the digest's line.
    pub hash: [u8; 32],
}

impl Anchor {
    /// What comes before the first digest.
    pub(crate) const START: Self = Self { sequence: 0, hash: [0; 32] };
}

/// `number:hash`, the hash in hexadecimal.
impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, hex::encode(self.hash))
    }
}

impl FromStr for Anchor {
    type Err = NotAnAnchor;

    fn from_str(text: &str) -> Result<Self, NotAnAnchor> {
        let (sequence, hash) = text.split_once(':').ok_or(NotAnAnchor)?;
        let mut anchor =
            Self { sequence: sequence.parse().map_err(|_| NotAnAnchor)?, hash: [0; 32] };
        hex::decode_to_slice(hash, &mut anchor.hash).map_err(|_| NotAnAnchor)?;
        Ok(anchor)
    }
}

/// A text that is no [`Anchor`].
#[derive(Copy, Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not of the form `number:hash` with 64 hexadecimal digits")]
pub struct NotAnAnchor;

/// Records that one digest covers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Span {
    pub(crate) segment: u64,
    /// Offset of the first byte in the file.
    pub(crate) from: u64,
    /// Offset after the last newline.
    pub(crate) to: u64,
    /// Records of the segment before these.
    pub(crate) first: u64,
    pub(crate) leaves: Vec<u8>,
    pub(crate) first_event: Option<String>,
    pub(crate) last_event: Option<String>,
}

impl Span {
    /// Nothing yet, after `first` records that end at `from`.
    pub(crate) fn after(segment: u64, from: u64, first: u64) -> Self {
        Self { segment, from, to: from, first, ..Self::default() }
    }

    pub(crate) fn records(&self) -> u64 {
        (self.leaves.len() / size_of::<Leaf>()) as u64
    }

    /// Adds a line that is known without its newline.
    pub(crate) fn push(&mut self, text: &[u8]) {
        self.add(leaf(text), text.len() as u64 + 1, Some(text));
    }

    /// Adds a line as it was read.
    pub(crate) fn push_line(&mut self, line: &Line<'_>) {
        self.add(line.leaf, line.length, line.text);
    }

    fn add(&mut self, leaf: Leaf, length: u64, text: Option<&[u8]>) {
        self.leaves.extend_from_slice(&leaf);
        self.to += length;
        let id = text.and_then(crate::record::event_id_of);
        if let Some(id) = id.map(|id| String::from_utf8_lossy(id).into_owned()) {
            self.first_event.get_or_insert_with(|| id.clone());
            self.last_event = Some(id);
        }
    }
}

/// How a segment ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct End {
    pub(crate) reason: Reason,
    /// The segment that was begun before this one was ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) next: Option<u64>,
    /// Bytes of a torn line that were cut off.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) cut: Option<u64>,
}

#[derive(Copy, Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reason {
    /// The next segment took over.
    Rotated,
    /// The log was closed.
    Closed,
    /// A write or flush failed; the next segment took over when writing was possible again.
    Abandoned,
    /// The log was not closed; this was found when it was opened again.
    Recovered,
}

/// A digest as read from a chain file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Digest {
    pub(crate) anchor: Anchor,
    pub(crate) previous: [u8; 32],
    pub(crate) time: String,
    pub(crate) span: Span,
    pub(crate) end: Option<End>,
}

/// Writes the line of a digest, without the newline, and answers what it is in the chain.
pub(crate) fn sign(
    previous: Anchor,
    time: i64,
    span: &Span,
    end: Option<&End>,
    signer: &dyn Signer,
) -> Result<(Vec<u8>, Anchor), SignerError> {
    let sequence = previous.sequence + 1;
    let signed = Signed {
        version: VERSION,
        sequence,
        previous: hex::encode(previous.hash),
        time: iso(time),
        segment: span.segment,
        from: span.from,
        to: span.to,
        first: span.first,
        records: span.records(),
        first_event: span.first_event.clone(),
        last_event: span.last_event.clone(),
        leaves: STANDARD.encode(&span.leaves),
        end: end.cloned(),
        key: key_id(&signer.public_key()),
        _signature: String::new(),
    };
    let failed = |_| SignerError("a digest cannot be written".to_owned());
    let mut line = serde_json::to_vec(&signed).map_err(failed)?;
    // The signature is the last member, so that what is signed is a prefix of the line.
    line.pop();
    let signature = signer.sign(&message(&line))?;
    line.extend_from_slice(SIGNATURE);
    line.extend_from_slice(STANDARD.encode(signature).as_bytes());
    line.extend_from_slice(b"\"}");
    let hash = leaf(&line);
    Ok((line, Anchor { sequence, hash }))
}

/// Reads a line of a chain file and checks its signature by the one of `keys` that it names.
pub(crate) fn read(line: &[u8], keys: &[Vec<u8>]) -> Result<Digest, Invalid> {
    let (digest, key) = parts(line)?;
    let at = line.windows(SIGNATURE.len()).rposition(|window| window == SIGNATURE);
    let (signed, rest) = line.split_at_checked(at.ok_or(Invalid::Form)?).ok_or(Invalid::Form)?;
    let signature = rest
        .strip_prefix(SIGNATURE)
        .and_then(|rest| rest.strip_suffix(b"\"}"))
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or(Invalid::Form)?;
    let known = keys.iter().find(|known| key_id(known) == key).ok_or(Invalid::UnknownKey)?;
    if !is_signature(known, &message(signed), &signature) {
        return Err(Invalid::Signature);
    }
    Ok(digest)
}

/// Reads a line of a chain file without checking its signature.
pub(crate) fn parse(line: &[u8]) -> Result<Digest, Invalid> {
    parts(line).map(|(digest, _)| digest)
}

/// A digest and the name of its key.
fn parts(line: &[u8]) -> Result<(Digest, String), Invalid> {
    let read: Signed = serde_json::from_slice(line).map_err(|_| Invalid::Form)?;
    if read.version != VERSION {
        return Err(Invalid::Version);
    }
    let leaves = STANDARD.decode(&read.leaves).map_err(|_| Invalid::Form)?;
    let whole = leaves.len() % size_of::<Leaf>() == 0 && leaves.len() <= MOST_LEAVES * 32;
    let numbers = [read.sequence, read.segment, read.from, read.to, read.first];
    let plausible = numbers.iter().all(|number| *number <= MOST);
    let span = Span {
        segment: read.segment,
        from: read.from,
        to: read.to,
        first: read.first,
        leaves,
        first_event: read.first_event,
        last_event: read.last_event,
    };
    if !whole || !plausible || span.records() != read.records || span.from > span.to {
        return Err(Invalid::Form);
    }
    let mut previous = [0; 32];
    hex::decode_to_slice(&read.previous, &mut previous).map_err(|_| Invalid::Form)?;
    let digest = Digest {
        anchor: Anchor { sequence: read.sequence, hash: leaf(line) },
        previous,
        time: read.time,
        span,
        end: read.end,
    };
    Ok((digest, read.key))
}

/// Why a line of a chain file is no digest.
#[derive(Copy, Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("not of the form of a digest")]
    Form,
    #[error("a version that this program does not know")]
    Version,
    #[error("signed by a key that was not given")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
}

/// How a digest names the key that signed it: the first 8 bytes of the SHA-256 of the public key, in
/// hexadecimal.
pub(crate) fn key_id(public_key: &[u8]) -> String {
    hex::encode(leaf(public_key).get(..8).unwrap_or_default())
}

/// What is signed: a digest shall never be mistaken for anything else that the key might sign.
fn message(line: &[u8]) -> Vec<u8> {
    [DOMAIN, line].concat()
}

const VERSION: u32 = 1;
/// The largest number in a digest: whoever adds to it need not fear an overflow.
const MOST: u64 = 1 << 60;
const DOMAIN: &[u8] = b"keystead audit digest 1\n";
const SIGNATURE: &[u8] = b",\"signature\":\"";

#[derive(Deserialize, Serialize)]
struct Signed {
    version: u32,
    sequence: u64,
    previous: String,
    time: String,
    segment: u64,
    from: u64,
    to: u64,
    first: u64,
    records: u64,
    #[serde(rename = "firstEventID", skip_serializing_if = "Option::is_none", default)]
    first_event: Option<String>,
    #[serde(rename = "lastEventID", skip_serializing_if = "Option::is_none", default)]
    last_event: Option<String>,
    leaves: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    end: Option<End>,
    key: String,
    /// Only read: what is signed is written without it.
    #[serde(rename = "signature", skip_serializing)]
    _signature: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::Ed25519Signer;

    fn signed() -> (Vec<u8>, Anchor, Vec<Vec<u8>>) {
        let signer = Ed25519Signer::from_seed(&[1; 32]).unwrap();
        let mut span = Span::after(3, 100, 7);
        span.push(br#"{"eventID":"11111111-2222-4333-8444-555555555555"}"#);
        span.push(b"{}");
        let end = End { reason: Reason::Rotated, next: Some(4), cut: None };
        let previous = Anchor { sequence: 8, hash: [9; 32] };
        let (line, anchor) = sign(previous, 0, &span, Some(&end), &signer).unwrap();
        (line, anchor, vec![vec![0; 32], signer.public_key()])
    }

    #[test]
    fn what_is_written_is_read() {
        let (line, anchor, keys) = signed();
        let digest = read(&line, &keys).unwrap();
        assert_eq!(digest.anchor, anchor);
        assert_eq!((digest.anchor.sequence, digest.previous), (9, [9; 32]));
        assert_eq!((digest.span.first, digest.span.records(), digest.span.from), (7, 2, 100));
        assert_eq!(digest.span.to, 100 + 51 + 3);
        assert_eq!(digest.span.leaves[32..], leaf(b"{}"));
        assert_eq!(digest.time, "1970-01-01T00:00:00Z");
        let first = digest.span.first_event.unwrap();
        assert_eq!(first, "11111111-2222-4333-8444-555555555555");
        assert_eq!(digest.end.unwrap().next, Some(4));
        assert_eq!(anchor.to_string().parse(), Ok(anchor));
        assert_eq!("9:zz".parse::<Anchor>(), Err(NotAnAnchor));
    }

    #[test]
    fn no_byte_can_be_changed() {
        let (line, _, keys) = signed();
        for at in 0..line.len() {
            for flip in [1, 0x20, 0x80] {
                let mut changed = line.clone();
                changed[at] ^= flip;
                assert!(read(&changed, &keys).is_err(), "byte {at}");
            }
        }
        assert_eq!(read(&line, &keys[..1]).unwrap_err(), Invalid::UnknownKey);
    }

    #[test]
    fn numbers_that_would_overflow_are_refused() {
        let (line, ..) = signed();
        let text = String::from_utf8(line).unwrap();
        for name in ["sequence\":9", "segment\":3", "first\":7", "from\":100"] {
            let (name, _) = name.split_once(':').unwrap();
            let at = text.find(name).unwrap() + name.len() + 1;
            let end = at + text[at..].find(',').unwrap();
            let huge = format!("{}{}{}", &text[..at], u64::MAX, &text[end..]);
            assert_eq!(parse(huge.as_bytes()).unwrap_err(), Invalid::Form, "{huge}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            at in 0_usize..500,
        ) {
            let (line, _, keys) = signed();
            let mut mixed = line.clone();
            let at = at.min(mixed.len());
            mixed.splice(at..at, bytes.iter().copied());
            let _ = read(&bytes, &keys);
            proptest::prop_assert!(bytes.is_empty() || read(&mixed, &keys).is_err());
        }
    }

    #[test]
    fn the_longest_fits() {
        let signer = Ed25519Signer::from_seed(&[1; 32]).unwrap();
        let mut span = Span::after(MOST, 0, 0);
        while span.records() < MOST_LEAVES as u64 {
            span.push(br#"{"eventID":"11111111-2222-4333-8444-555555555555"}"#);
        }
        assert_eq!(span.records(), MOST_LEAVES as u64);
        let (line, _) = sign(Anchor::START, 0, &span, None, &signer).unwrap();
        assert!(line.len() < LONGEST_DIGEST);
        assert!(read(&line, &[signer.public_key()]).is_ok());
    }
}
