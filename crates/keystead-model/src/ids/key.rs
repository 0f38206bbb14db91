//! Key ids and key material ids.

use std::fmt;

/// The id of a KMS key: a UUID in lower case, or `mrk-` and 32 hexadecimal digits for a multi-Region key.
///
/// A UUID without hyphens is not a key id (observed: `Invalid keyId`); nor is one with capitals.
#[derive(Copy, Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId {
    bytes: [u8; 16],
    multi_region: bool,
}

/// The id of key material: 64 hexadecimal digits in lower case.
#[derive(Copy, Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyMaterialId([u8; 32]);

const MULTI_REGION: &str = "mrk-";

impl KeyId {
    /// An id from random bytes. Without `multi_region` six of the bits become those of a version 4 UUID
    /// (RFC 9562, section 5.4).
    pub fn from_random(mut bytes: [u8; 16], multi_region: bool) -> Self {
        if !multi_region {
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
        }
        Self { bytes, multi_region }
    }

    /// The id of exactly these bytes.
    pub const fn from_parts(bytes: [u8; 16], multi_region: bool) -> Self {
        Self { bytes, multi_region }
    }

    /// Reads an id in either form.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix(MULTI_REGION) {
            return Some(Self { bytes: lower_hex(digits.as_bytes())?, multi_region: true });
        }
        let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
        let mut digits = [0; 32];
        let mut free = digits.iter_mut();
        for (i, byte) in text.iter().enumerate() {
            match (i, byte) {
                (8 | 13 | 18 | 23, b'-') => {}
                (8 | 13 | 18 | 23, _) => return None,
                _ => *free.next()? = *byte,
            }
        }
        Some(Self { bytes: lower_hex(&digits)?, multi_region: false })
    }

    /// The 16 bytes.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// Whether the id is that of a multi-Region key.
    pub const fn is_multi_region(&self) -> bool {
        self.multi_region
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.multi_region {
            f.write_str(MULTI_REGION)?;
        }
        for (i, byte) in self.bytes.iter().enumerate() {
            if !self.multi_region && matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl KeyMaterialId {
    /// The id of exactly these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads an id.
    pub fn parse(text: &str) -> Option<Self> {
        lower_hex(text.as_bytes()).map(Self)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyMaterialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Exactly so many bytes in lower-case hexadecimal digits.
fn lower_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_both_forms() {
        let id = KeyId::parse("1234abcd-12ab-34cd-56ef-1234567890ab").unwrap();
        assert!(!id.is_multi_region());
        assert_eq!(id.bytes()[..4], [0x12, 0x34, 0xab, 0xcd]);
        assert_eq!(id.to_string(), "1234abcd-12ab-34cd-56ef-1234567890ab");
        let id = KeyId::parse("mrk-1234abcd12ab34cd56ef1234567890ab").unwrap();
        assert!(id.is_multi_region());
        assert_eq!(id.to_string(), "mrk-1234abcd12ab34cd56ef1234567890ab");
    }

    #[test]
    fn refuses_every_other_form() {
        for text in [
            "",
            "134f2428cec14b25a1ae9048164dba47",
            "1234ABCD-12ab-34cd-56ef-1234567890ab",
            "1234abcd-12ab-34cd-56ef-1234567890a",
            "1234abcd-12ab-34cd-56ef-1234567890abc",
            "1234abcd012ab-34cd-56ef-1234567890ab",
            "1234abcd-12ab-34cd-56ef-1234567890-b",
            "{1234abcd-12ab-34cd-56ef-1234567890ab}",
            "mrk-fake-key-id",
            "mrk-",
            "MRK-1234abcd12ab34cd56ef1234567890ab",
            "mrk-1234ABCD12ab34cd56ef1234567890ab",
            "mrk-1234abcd-12ab-34cd-56ef-1234567890ab",
            "mrk-1234abcd12ab34cd56ef1234567890abcd",
            "mrk-1234abcd12ab34cd56ef1234567890é",
        ] {
            assert_eq!(KeyId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_random_id_is_a_version_4_uuid() {
        let id = KeyId::from_random([0xff; 16], false);
        assert_eq!(id.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let id = KeyId::from_random([0; 16], false);
        assert_eq!(id.to_string(), "00000000-0000-4000-8000-000000000000");
        let id = KeyId::from_random([0xff; 16], true);
        assert_eq!(id.to_string(), format!("mrk-{}", "f".repeat(32)));
    }

    #[test]
    fn material_ids_are_64_digits() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(KeyMaterialId::parse(&text).unwrap().to_string(), text);
        for text in [&text[1..], &text.to_uppercase(), &format!("{text}00"), ""] {
            assert_eq!(KeyMaterialId::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn key_ids_round_trip(bytes: [u8; 16], multi_region: bool) {
            let id = KeyId::from_parts(bytes, multi_region);
            prop_assert_eq!(KeyId::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn material_ids_round_trip(bytes: [u8; 32]) {
            let id = KeyMaterialId::new(bytes);
            prop_assert_eq!(KeyMaterialId::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "(mrk-)?[0-9a-f-]{30,40}") {
            if let Some(id) = KeyId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
