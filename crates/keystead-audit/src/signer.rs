//! Who signs the digests of a log.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

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
}
