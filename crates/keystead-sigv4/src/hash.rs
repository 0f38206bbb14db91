//! SHA-256 over text that comes in pieces, and its hexadecimal form.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// Where the pieces of a canonical request go.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Collects small pieces in a block on the stack, so that a usual request costs one call into the hash, no
/// allocation, and leaves no copy of its headers on the heap.
pub(crate) struct Hasher {
    block: [u8; BLOCK],
    used: usize,
    /// Made when the first block is full.
    context: Option<Context>,
}

/// The canonical request of an SDK's call has about 500 bytes, one with a session token about 1,500.
const BLOCK: usize = 1024;

impl Hasher {
    pub(crate) fn new() -> Self {
        Self { block: [0; BLOCK], used: 0, context: None }
    }

    /// The hash of all that was put, in lower-case hexadecimal digits.
    pub(crate) fn finish(self) -> [u8; 64] {
        let rest = &self.block[..self.used];
        match self.context {
            None => hex(digest(&SHA256, rest).as_ref()),
            Some(mut context) => {
                context.update(rest);
                hex(context.finish().as_ref())
            }
        }
    }
}

impl Sink for Hasher {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(space) = self.block[self.used..].get_mut(..bytes.len()) {
            space.copy_from_slice(bytes);
            self.used += bytes.len();
            return;
        }
        let context = self.context.get_or_insert_with(|| Context::new(&SHA256));
        context.update(&self.block[..self.used]);
        self.used = 0;
        if let Some(space) = self.block.get_mut(..bytes.len()) {
            space.copy_from_slice(bytes);
            self.used = bytes.len();
        } else {
            context.update(bytes);
        }
    }
}

/// The SHA-256 of a body, in lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> [u8; 64] {
    hex(digest(&SHA256, bytes).as_ref())
}

/// The 32 bytes behind 64 lower-case hexadecimal digits. Upper-case ones are no digits: no signer writes them.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let pairs: &[[u8; 2]; 32] = pairs.try_into().ok()?;
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// Two digits for each of the first 32 bytes.
fn hex(bytes: &[u8]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'0'; 64];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// The hash of nothing and of "abc": FIPS 180-4 examples.
    #[test]
    fn known_hashes() {
        let empty = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(&sha256_hex(b""), empty);
        assert_eq!(&Hasher::new().finish(), empty);
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(std::str::from_utf8(&sha256_hex(b"abc")).unwrap(), abc);
        assert_eq!(hex(&unhex(abc).unwrap()), abc.as_bytes());
    }

    #[test]
    fn pieces_of_all_sizes_hash_as_their_whole() {
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        for piece in [1, 7, 64, 1000, 1023, 1024, 1025, 2049, 5000] {
            let mut hasher = Hasher::new();
            bytes.chunks(piece).for_each(|piece| hasher.put(piece));
            assert_eq!(hasher.finish(), sha256_hex(&bytes), "{piece}");
        }
    }

    #[test]
    fn digits_are_64_and_lower_case() {
        for text in [
            "",
            "0",
            &"0".repeat(63),
            &"0".repeat(65),
            &"0".repeat(66),
            &"A".repeat(64),
            &"g".repeat(64),
        ] {
            assert_eq!(unhex(text), None, "{text}");
        }
        assert_eq!(unhex(&"é".repeat(32)), None);
    }
}
