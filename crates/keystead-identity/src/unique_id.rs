//! Unique ids of users and roles that the file does not give.

use aws_lc_rs::digest::{SHA256, digest};

/// The 20-character id of a user (`AIDA…`) or role (`AROA…`).
///
/// Base32 (RFC 4648, without padding) of the first ten bytes of SHA-256(`keystead/v1/unique-id` and
/// the parts, each followed by a zero byte): the same file gives the same ids on every machine and
/// at every start, which sessions rely on.
pub(crate) fn derive(prefix: &str, account: &str, path: &str, name: &str) -> String {
    let mut message = b"keystead/v1/unique-id\0".to_vec();
    for part in [prefix, account, path, name] {
        // No part holds a zero byte.
        message.extend_from_slice(part.as_bytes());
        message.push(0);
    }
    let hash = digest(&SHA256, &message);
    let mut id = prefix.to_owned();
    let mut bits = 0u32;
    let mut held = 0;
    for byte in hash.as_ref().iter().take(10) {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            id.push(char::from(ALPHABET[(bits >> held & 31) as usize]));
        }
    }
    id
}

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by Python: `base64.b32encode(hashlib.sha256(...).digest()[:10])`.
    #[test]
    fn ids_are_stable() {
        assert_eq!(derive("AIDA", "111122223333", "/", "alice"), "AIDARI2G7NDQCMMQHV7R");
        assert_eq!(derive("AROA", "111122223333", "/x/", "R"), "AROADEXHN2ZFP4EL3WVA");
    }

    #[test]
    fn every_part_counts() {
        let base = derive("AIDA", "111122223333", "/", "alice");
        assert_eq!(base.len(), 20);
        for (account, path, name) in [
            ("111122223334", "/", "alice"),
            ("111122223333", "/a/", "alice"),
            ("111122223333", "/", "Alice"),
        ] {
            assert_ne!(derive("AIDA", account, path, name), base);
        }
    }
}
