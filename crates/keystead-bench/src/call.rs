//! How a request looks, and how a true answer is known.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use keystead_crypto::{
    AsymmetricSpec, EncryptionAlgorithm, MacSpec, Message, PairSpec, PrivateKey, PublicKey,
    SigningAlgorithm,
};
use serde_json::{Value, json};

/// What is asked of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    /// A 256-bit data key.
    DataKey,
    /// 32 bytes under a symmetric key.
    Encrypt,
    /// A blob over 32 bytes.
    Decrypt,
    /// A data key pair.
    Pair(PairSpec),
    /// A signature of [`MESSAGE`].
    Sign(AsymmetricSpec, SigningAlgorithm),
    Verify(AsymmetricSpec, SigningAlgorithm),
    /// A MAC of [`MESSAGE`].
    GenerateMac(MacSpec),
    VerifyMac(MacSpec),
    /// A shared secret.
    Agree(AsymmetricSpec),
    /// 32 bytes under an asymmetric key.
    EncryptWith(AsymmetricSpec, EncryptionAlgorithm),
    DecryptWith(AsymmetricSpec, EncryptionAlgorithm),
    PublicKey(AsymmetricSpec),
}

/// The length of the request bodies with an encryption context, in bytes: a key ARN and four pairs, as an
/// application would send them, the last value padded. The others are as long as they must be.
const REQUEST_BYTES: usize = 600;

/// The bytes that Encrypt encrypts and Decrypt gives back.
pub(crate) const PLAINTEXT: [u8; 32] = [0x5a; 32];

/// What is signed; of Ed25519ph, which takes a digest, the first 64 bytes.
const MESSAGE: [u8; 256] = [0x3c; 256];

/// By how many bytes one answer of an operation may differ in length from another: RSA private keys and
/// ECDSA signatures vary.
pub(crate) const LENGTH_TOLERANCE: usize = 32;

/// A key in one Region, and what is needed to use it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) key_arn: String,
    /// Base64 of what the request gives back to the key: a blob, a signature, a MAC, a peer's public key.
    pub(crate) input: String,
    /// What the answer must contain, of calls whose answer is always the same.
    pub(crate) expected: Vec<u8>,
    /// The public half of an asymmetric key.
    pub(crate) public: Vec<u8>,
    /// A key of the benchmark's own and of the same spec, for the library and as a peer.
    pub(crate) private: Option<Arc<PrivateKey>>,
}

impl World {
    /// A world in which nothing has been made yet.
    pub(crate) fn new(key_arn: String) -> Self {
        Self {
            key_arn,
            input: "A".repeat(BLOB_BASE64),
            expected: Vec::new(),
            public: Vec::new(),
            private: None,
        }
    }

    /// The benchmark's own key.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn private(&self) -> Result<&PrivateKey> {
        self.private.as_deref().context("no key for the library")
    }
}

/// The encryption context of a request body.
pub(crate) fn context_of(body: &str) -> Result<Value> {
    let mut body: Value = serde_json::from_str(body)?;
    let context = body["EncryptionContext"].take();
    ensure!(context.is_object(), "a body without encryption context");
    Ok(context)
}

/// The message of an algorithm and its MessageType.
pub(crate) fn message_of(algorithm: SigningAlgorithm) -> Message<'static> {
    match algorithm {
        SigningAlgorithm::Ed25519PhSha512 => Message::Digest(&MESSAGE[..64]),
        _ => Message::Raw(&MESSAGE),
    }
}

impl Call {
    /// The operation's name in AWS's model.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::DataKey => "GenerateDataKey",
            Self::Encrypt | Self::EncryptWith(..) => "Encrypt",
            Self::Decrypt | Self::DecryptWith(..) => "Decrypt",
            Self::Pair(_) => "GenerateDataKeyPair",
            Self::Sign(..) => "Sign",
            Self::Verify(..) => "Verify",
            Self::GenerateMac(_) => "GenerateMac",
            Self::VerifyMac(_) => "VerifyMac",
            Self::Agree(_) => "DeriveSharedSecret",
            Self::PublicKey(_) => "GetPublicKey",
        }
    }

    /// The spec that its row is named by.
    pub(crate) fn spec_name(self) -> Option<&'static str> {
        match self {
            Self::Pair(spec) => Some(spec.as_str()),
            Self::GenerateMac(spec) | Self::VerifyMac(spec) => Some(spec.as_str()),
            _ => self.asymmetric().map(AsymmetricSpec::as_str),
        }
    }

    /// The algorithm that its row is named by.
    pub(crate) fn algorithm_name(self) -> Option<&'static str> {
        match self {
            Self::Sign(_, algorithm) | Self::Verify(_, algorithm) => Some(algorithm.as_str()),
            Self::EncryptWith(_, algorithm) | Self::DecryptWith(_, algorithm) => {
                Some(algorithm.as_str())
            }
            _ => None,
        }
    }

    /// The spec of the asymmetric key it needs.
    pub(crate) fn asymmetric(self) -> Option<AsymmetricSpec> {
        match self {
            Self::Sign(spec, _)
            | Self::Verify(spec, _)
            | Self::EncryptWith(spec, _)
            | Self::DecryptWith(spec, _)
            | Self::Agree(spec)
            | Self::PublicKey(spec) => Some(spec),
            _ => None,
        }
    }

    /// The body of the CreateKey that makes its key.
    pub(crate) fn new_key(self) -> String {
        let usage = match self {
            Self::DataKey | Self::Encrypt | Self::Decrypt | Self::Pair(_) => {
                return "{}".to_owned();
            }
            Self::Sign(..) | Self::Verify(..) | Self::PublicKey(_) => "SIGN_VERIFY",
            Self::GenerateMac(_) | Self::VerifyMac(_) => "GENERATE_VERIFY_MAC",
            Self::Agree(_) => "KEY_AGREEMENT",
            Self::EncryptWith(..) | Self::DecryptWith(..) => "ENCRYPT_DECRYPT",
        };
        json!({"KeySpec": self.spec_name(), "KeyUsage": usage}).to_string()
    }

    /// The call that makes what this one needs as its input, and the member of its answer that has it.
    pub(crate) fn maker(self) -> Option<(Self, &'static str)> {
        match self {
            Self::Decrypt => Some((Self::Encrypt, "CiphertextBlob")),
            Self::Verify(spec, algorithm) => Some((Self::Sign(spec, algorithm), "Signature")),
            Self::VerifyMac(spec) => Some((Self::GenerateMac(spec), "Mac")),
            Self::DecryptWith(spec, algorithm) => {
                Some((Self::EncryptWith(spec, algorithm), "CiphertextBlob"))
            }
            _ => None,
        }
    }

    /// A request body; with an encryption context it has [`REQUEST_BYTES`] bytes.
    pub(crate) fn body(self, world: &World) -> String {
        let mut body = json!({"KeyId": world.key_arn});
        let message = |body: &mut Value, algorithm| match message_of(algorithm) {
            Message::Digest(bytes) => {
                body["Message"] = json!(BASE64.encode(bytes));
                body["MessageType"] = json!("DIGEST");
            }
            Message::Raw(bytes) | Message::ExternalMu(bytes) => {
                body["Message"] = json!(BASE64.encode(bytes));
            }
        };
        match self {
            Self::DataKey => body["KeySpec"] = json!("AES_256"),
            Self::Encrypt => body["Plaintext"] = json!(BASE64.encode(PLAINTEXT)),
            Self::Decrypt => body["CiphertextBlob"] = json!(world.input),
            Self::Pair(spec) => body["KeyPairSpec"] = json!(spec.as_str()),
            Self::Sign(_, algorithm) | Self::Verify(_, algorithm) => {
                message(&mut body, algorithm);
                body["SigningAlgorithm"] = json!(algorithm.as_str());
                if let Self::Verify(..) = self {
                    body["Signature"] = json!(world.input);
                }
            }
            Self::GenerateMac(spec) | Self::VerifyMac(spec) => {
                body["Message"] = json!(BASE64.encode(MESSAGE));
                body["MacAlgorithm"] = json!(spec.algorithm_str());
                if let Self::VerifyMac(_) = self {
                    body["Mac"] = json!(world.input);
                }
            }
            Self::Agree(_) => {
                body["KeyAgreementAlgorithm"] = json!("ECDH");
                body["PublicKey"] = json!(world.input);
            }
            Self::EncryptWith(_, algorithm) => {
                body["EncryptionAlgorithm"] = json!(algorithm.as_str());
                body["Plaintext"] = json!(BASE64.encode(PLAINTEXT));
            }
            Self::DecryptWith(_, algorithm) => {
                body["EncryptionAlgorithm"] = json!(algorithm.as_str());
                body["CiphertextBlob"] = json!(world.input);
            }
            Self::PublicKey(_) => {}
        }
        if matches!(self, Self::DataKey | Self::Encrypt | Self::Decrypt | Self::Pair(_)) {
            body["EncryptionContext"] = context(0);
            let padding = REQUEST_BYTES.saturating_sub(body.to_string().len());
            body["EncryptionContext"] = context(padding);
        }
        body.to_string()
    }

    /// Refuses an answer that is not one to this call. Members are those of AWS's model.
    pub(crate) fn check(self, world: &World, answer: &[u8]) -> Result<()> {
        let answer: Value = serde_json::from_slice(answer).context("the answer is no JSON")?;
        ensure!(
            answer["KeyId"] == json!(world.key_arn),
            "another key answered: {}",
            answer["KeyId"]
        );
        match self {
            Self::DataKey => {
                let blob = bytes(&answer, "CiphertextBlob")?;
                ensure!(blob.starts_with(&BLOB_MAGIC), "not a blob of this program");
                ensure!(bytes(&answer, "Plaintext")?.len() == 32, "not a 256-bit key");
            }
            Self::Encrypt => {
                let blob = bytes(&answer, "CiphertextBlob")?;
                ensure!(blob.starts_with(&BLOB_MAGIC), "not a blob of this program");
            }
            Self::Decrypt | Self::DecryptWith(..) => {
                ensure!(bytes(&answer, "Plaintext")? == PLAINTEXT, "another plaintext");
            }
            Self::Pair(spec) => {
                ensure!(answer["KeyPairSpec"] == json!(spec.as_str()), "another spec");
                for member in ["PublicKey", "PrivateKeyPlaintext"] {
                    // Both are DER sequences.
                    ensure!(bytes(&answer, member)?.first() == Some(&0x30), "{member} is no DER");
                }
            }
            Self::Sign(spec, algorithm) => PublicKey::from_spki(spec, &world.public)?
                .verify(algorithm, message_of(algorithm), &bytes(&answer, "Signature")?)
                .context("the signature is none")?,
            Self::Verify(..) => ensure!(answer["SignatureValid"] == json!(true), "not valid"),
            Self::GenerateMac(spec) => {
                let mac = bytes(&answer, "Mac")?;
                ensure!(mac.len() == spec.mac_len(), "a MAC of another length");
                ensure!(world.expected.is_empty() || mac == world.expected, "another MAC");
            }
            Self::VerifyMac(_) => ensure!(answer["MacValid"] == json!(true), "not valid"),
            Self::Agree(_) => {
                ensure!(bytes(&answer, "SharedSecret")? == world.expected, "another secret");
            }
            // The rehearsal decrypts one.
            Self::EncryptWith(..) => {
                ensure!(!bytes(&answer, "CiphertextBlob")?.is_empty(), "an empty ciphertext");
            }
            Self::PublicKey(_) => {
                ensure!(bytes(&answer, "PublicKey")? == world.public, "another public key");
            }
        }
        Ok(())
    }

    /// The body of a Decrypt of what the answer to `body` sealed, and the plaintext that must come out.
    pub(crate) fn unsealing(
        self,
        world: &World,
        body: &str,
        answer: &[u8],
    ) -> Result<Option<(String, Vec<u8>)>> {
        let answer: Value = serde_json::from_slice(answer)?;
        let (blob, plaintext) = match self {
            Self::DataKey => ("CiphertextBlob", bytes(&answer, "Plaintext")?),
            Self::Encrypt | Self::EncryptWith(..) => ("CiphertextBlob", PLAINTEXT.to_vec()),
            Self::Pair(_) => ("PrivateKeyCiphertextBlob", bytes(&answer, "PrivateKeyPlaintext")?),
            _ => return Ok(None),
        };
        let blob = answer[blob].as_str().context("no blob in the answer")?;
        let mut request = json!({"CiphertextBlob": blob, "KeyId": world.key_arn});
        match self {
            Self::EncryptWith(_, algorithm) => {
                request["EncryptionAlgorithm"] = json!(algorithm.as_str());
            }
            _ => request["EncryptionContext"] = context_of(body)?,
        }
        Ok(Some((request.to_string(), plaintext)))
    }
}

fn context(padding: usize) -> Value {
    json!({
        "application": "benchmark",
        "table": "customers.payment_methods",
        "purpose": "column-encryption",
        "record": "0".repeat(padding),
    })
}

/// The member `name` of an answer, decoded from base64.
pub(crate) fn bytes(answer: &Value, name: &str) -> Result<Vec<u8>> {
    let Some(text) = answer[name].as_str() else { bail!("no {name} in the answer") };
    BASE64.decode(text).with_context(|| format!("{name} is no base64"))
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// How blobs begin (docs/formats.md).
const BLOB_MAGIC: [u8; 4] = [1, 2, 2, 0];

/// The length of a blob over 32 bytes, in base64.
const BLOB_BASE64: usize = (32 + keystead_crypto::BLOB_OVERHEAD).div_ceil(3) * 4;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::operations::operations;

    fn world() -> World {
        World::new(
            "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
                .to_owned(),
        )
    }

    #[test]
    fn bodies_with_a_context_have_one_length() {
        let world = world();
        let mut contexts = 0;
        for operation in operations() {
            let body = operation.call.body(&world);
            if context_of(&body).is_ok() {
                contexts += 1;
                assert_eq!(body.len(), REQUEST_BYTES, "{}", operation.name);
            }
        }
        assert_eq!(contexts, 12);
        assert!(context_of("{}").is_err());
    }

    #[test]
    fn false_answers_are_refused() {
        let world = world();
        let right = json!({"KeyId": world.key_arn, "Plaintext": BASE64.encode(PLAINTEXT)});
        assert!(Call::Decrypt.check(&world, right.to_string().as_bytes()).is_ok());
        for (member, value) in
            [("KeyId", "another"), ("Plaintext", "AAAA"), ("Plaintext", "not base64")]
        {
            let mut wrong = right.clone();
            wrong[member] = json!(value);
            assert!(Call::Decrypt.check(&world, wrong.to_string().as_bytes()).is_err());
        }
        assert!(Call::Decrypt.check(&world, b"").is_err());
        assert!(Call::DataKey.check(&world, right.to_string().as_bytes()).is_err());
        for operation in operations() {
            let empty = json!({"KeyId": world.key_arn}).to_string();
            let name = operation.name;
            assert!(operation.call.check(&world, empty.as_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_signature_of_another_key_is_refused() {
        let spec = AsymmetricSpec::EccNistEdwards25519;
        let new = || {
            let pkcs8 = keystead_crypto::generate_private_key(spec).unwrap();
            PrivateKey::from_pkcs8(spec, pkcs8.expose()).unwrap()
        };
        let (key, other) = (new(), new());
        let world = World { public: key.public_spki(), ..world() };
        for algorithm in spec.signing_algorithms() {
            for (signer, good) in [(&key, true), (&other, false)] {
                let signature = signer.sign(*algorithm, message_of(*algorithm)).unwrap();
                let answer = json!({"KeyId": world.key_arn, "Signature": base64(&signature)});
                let checked =
                    Call::Sign(spec, *algorithm).check(&world, answer.to_string().as_bytes());
                assert_eq!(checked.is_ok(), good);
            }
        }
    }
}
