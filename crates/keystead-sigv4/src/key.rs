//! Secret access keys and the signing keys made from them.

use std::fmt;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::TERMINATOR;

/// A secret access key. Wiped when dropped, never printed, never compared.
pub struct SecretAccessKey {
    /// The secret behind the prefix with which it goes into the first HMAC.
    prefixed: Zeroizing<Vec<u8>>,
}

impl SecretAccessKey {
    /// Takes a copy of a secret; wiping the original is up to its owner.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        const PREFIX: &[u8] = b"AWS4";
        // The whole capacity at once: growing would leave a copy behind.
        let mut prefixed = Zeroizing::new(Vec::with_capacity(PREFIX.len() + secret.len()));
        prefixed.extend_from_slice(PREFIX);
        prefixed.extend_from_slice(secret);
        Self { prefixed }
    }
}

impl fmt::Debug for SecretAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretAccessKey(..)")
    }
}

/// The key that signs all requests of one access key on one day to one service in one Region. Wiped when dropped,
/// never printed.
pub struct SigningKey {
    /// Boxed: a move of the bytes themselves would leave a copy behind.
    bytes: Box<[u8; 32]>,
}

impl SigningKey {
    /// Derives the key of a scope: four HMACs in a row (IAM User Guide, "Create a signed AWS API request",
    /// step 4). `date` is `yyyymmdd`.
    ///
    /// The steps between lie in contexts that the library wipes and in its tags, which stay on the stack until it
    /// is written over.
    #[must_use]
    pub fn derive(secret: &SecretAccessKey, date: &str, region: &str, service: &str) -> Self {
        let mut tag = hmac_sha256(&secret.prefixed, &[date.as_bytes()]);
        for part in [region, service, TERMINATOR] {
            tag = hmac_sha256(tag.as_ref(), &[part.as_bytes()]);
        }
        let mut bytes = Box::new([0; 32]);
        bytes.copy_from_slice(tag.as_ref());
        Self { bytes }
    }

    /// The signature of the pieces of a string to sign.
    pub(crate) fn sign(&self, pieces: &[&[u8]]) -> hmac::Tag {
        hmac_sha256(&*self.bytes, pieces)
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

fn hmac_sha256(key: &[u8], pieces: &[&[u8]]) -> hmac::Tag {
    let key = hmac::Key::new(HMAC_SHA256, key);
    if let [piece] = pieces {
        return hmac::sign(&key, piece);
    }
    let mut context = hmac::Context::with_key(&key);
    pieces.iter().for_each(|piece| context.update(piece));
    context.sign()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the AWS General Reference, "Examples of how to derive a signing key for Signature Version 4".
    #[test]
    fn published_signing_key() {
        let secret = SecretAccessKey::new(b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let key = SigningKey::derive(&secret, "20150830", "us-east-1", "iam");
        let expected: String = key.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(expected, "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    }

    #[test]
    fn nothing_is_printed() {
        let secret = SecretAccessKey::new(b"planted-secret");
        let key = SigningKey::derive(&secret, "20150830", "us-east-1", "iam");
        let printed = format!("{secret:?} {key:?}");
        assert_eq!(printed, "SecretAccessKey(..) SigningKey(..)");
    }
}
