//! Who signs the digests of a log.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Signs digests. The signatures must be Ed25519 (RFC 8032), since that is what
/// [`verify()`](crate::verify()) checks.
pub trait Signer: Send + Sync + 'static {
    /// The signature of a message: 64 bytes.
    ///
    /// # Errors
    /// [`SignerError`]; the log takes no records until a signature can be made again.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError>;

    /// The public key: 32 bytes.
    fn public_key(&self) -> Vec<u8>;
}

/// A signature could not be made, or a key not be read. The text holds nothing of a key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the audit signing key cannot be used: {0}")]
pub struct SignerError(pub String);

/// A signing key in memory.
pub struct Ed25519Signer(Ed25519KeyPair);

impl Ed25519Signer {
    /// The key of a seed, the private key of RFC 8032. The caller wipes its own copy.
    ///
    /// # Errors
    /// [`SignerError`] when the library refuses it.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, SignerError> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .map(Self)
            .map_err(|_| SignerError("not a seed".to_owned()))
    }
}

impl std::fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ed25519Signer(..)")
    }
}

impl Signer for Ed25519Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }

    fn public_key(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }
}

/// A public key as PEM, which `openssl pkey -pubin` reads: SubjectPublicKeyInfo of RFC 8410.
pub fn public_key_pem(public_key: &[u8]) -> String {
    let der = [INFO, public_key].concat();
    format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der))
}

/// Reads the public keys of a PEM file, one or more.
///
/// # Errors
/// [`NotAPublicKey`] if there is none, or anything else between the marks than an Ed25519 key.
pub fn read_public_keys(pem: &str) -> Result<Vec<Vec<u8>>, NotAPublicKey> {
    let mut keys = Vec::new();
    for block in pem.split(BEGIN).skip(1) {
        let (body, _) = block.split_once(END).ok_or(NotAPublicKey)?;
        let text: String = body.split_ascii_whitespace().collect();
        let der = STANDARD.decode(text).map_err(|_| NotAPublicKey)?;
        let key = der.strip_prefix(INFO).filter(|key| key.len() == 32).ok_or(NotAPublicKey)?;
        keys.push(key.to_vec());
    }
    if keys.is_empty() { Err(NotAPublicKey) } else { Ok(keys) }
}

/// A text that holds no Ed25519 public key.
#[derive(Copy, Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the PEM of an Ed25519 public key")]
pub struct NotAPublicKey;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";
/// What comes before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410, 4).
const INFO: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Whether a signature is that of a message.
pub(crate) fn is_signature(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(message, signature).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn known_answer() {
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let signer =
            Ed25519Signer::from_seed(&hex::decode(seed).unwrap().try_into().unwrap()).unwrap();
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(hex::encode(signer.public_key()), public);
        let signature = signer.sign(&[0x72]).unwrap();
        assert_eq!(
            hex::encode(&signature),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert!(is_signature(&signer.public_key(), &[0x72], &signature));
        assert!(!is_signature(&signer.public_key(), &[0x73], &signature));
        assert!(!is_signature(&[], &[0x72], &signature));
        assert!(!format!("{signer:?}").contains("4c"));
    }

    /// The example of RFC 8410, 10.1.
    #[test]
    fn pem() {
        let pem = "-----BEGIN PUBLIC KEY-----\n\
                   MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                   -----END PUBLIC KEY-----\n";
        let keys = read_public_keys(pem).unwrap();
        assert_eq!(
            hex::encode(&keys[0]),
            "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
        );
        assert_eq!(public_key_pem(&keys[0]), pem);
        let two = format!("# old\n{pem}# new\r\n{}", pem.replace('\n', "\r\n"));
        assert_eq!(read_public_keys(&two).unwrap().len(), 2);
        let rsa = public_key_pem(&[0; 33]);
        for bad in ["", "x", &pem[..60], &rsa, &pem.replace('M', "N")] {
            assert_eq!(read_public_keys(bad), Err(NotAPublicKey));
        }
    }
}
