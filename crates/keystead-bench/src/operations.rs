//! What is measured: one row per operation.
//!
//! A new operation is a row of [`OPERATIONS`] and, if none fits, a [`Call`] that says how its request looks
//! and how a true answer is known.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use keystead_crypto::PairSpec;
use serde_json::{Value, json};

/// One thing to measure.
pub(crate) struct Operation {
    /// How the table and `--only` name it.
    pub(crate) name: &'static str,
    pub(crate) call: Call,
    pub(crate) region: &'static str,
    pub(crate) pace: Pace,
}

/// What is asked of the server.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    /// A 256-bit data key.
    DataKey,
    /// 32 bytes.
    Encrypt,
    /// A blob over 32 bytes.
    Decrypt,
    /// A data key pair.
    Pair(PairSpec),
}

/// How many requests a second may bring.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Pace {
    /// Thousands: warm-up, all connections.
    Fast,
    /// A few: no warm-up, as many connections as cores, longer rounds. Left out of a quick run.
    Slow,
}

const VIRGINIA: &str = "us-east-1";

/// The Region in which SM2 is open without a setting.
const BEIJING: &str = "cn-north-1";

/// Every operation, in the order of the table.
pub(crate) const OPERATIONS: [Operation; 12] = [
    Operation::new("GenerateDataKey", Call::DataKey),
    Operation::new("Encrypt", Call::Encrypt),
    Operation::new("Decrypt", Call::Decrypt),
    Operation::new("GenerateDataKeyPair ECC_NIST_P256", Call::Pair(PairSpec::EccNistP256)),
    Operation::new("GenerateDataKeyPair ECC_NIST_P384", Call::Pair(PairSpec::EccNistP384)),
    Operation::new("GenerateDataKeyPair ECC_NIST_P521", Call::Pair(PairSpec::EccNistP521)),
    Operation::new("GenerateDataKeyPair ECC_SECG_P256K1", Call::Pair(PairSpec::EccSecgP256k1)),
    Operation::new(
        "GenerateDataKeyPair ECC_NIST_EDWARDS25519",
        Call::Pair(PairSpec::EccNistEdwards25519),
    ),
    Operation {
        region: BEIJING,
        ..Operation::new("GenerateDataKeyPair SM2", Call::Pair(PairSpec::Sm2))
    },
    Operation::slow("GenerateDataKeyPair RSA_2048", Call::Pair(PairSpec::Rsa2048)),
    Operation::slow("GenerateDataKeyPair RSA_3072", Call::Pair(PairSpec::Rsa3072)),
    Operation::slow("GenerateDataKeyPair RSA_4096", Call::Pair(PairSpec::Rsa4096)),
];

impl Operation {
    const fn new(name: &'static str, call: Call) -> Self {
        Self { name, call, region: VIRGINIA, pace: Pace::Fast }
    }

    const fn slow(name: &'static str, call: Call) -> Self {
        Self { pace: Pace::Slow, ..Self::new(name, call) }
    }

    /// Whether `part` is part of the name, in whatever case.
    pub(crate) fn is_named(&self, part: &str) -> bool {
        self.name.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
    }
}

/// The length of every request body, in bytes: a key ARN and four pairs of encryption context, as an
/// application would send them, the last value padded.
const REQUEST_BYTES: usize = 600;

/// The bytes that Encrypt encrypts and Decrypt gives back.
const PLAINTEXT: [u8; 32] = [0x5a; 32];

/// By how many bytes one answer of an operation may differ in length from another: RSA private keys vary.
pub(crate) const LENGTH_TOLERANCE: usize = 32;

/// A key in one Region, and what is needed to use it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) key_arn: String,
    /// Base64 of a blob over [`PLAINTEXT`] in the context of a Decrypt request.
    pub(crate) blob: String,
}

impl World {
    /// A world whose blob is still to be made, by [`Call::Encrypt`] in the context of [`Call::Decrypt`].
    pub(crate) fn new(key_arn: String) -> Self {
        Self { key_arn, blob: "A".repeat(BLOB_BASE64) }
    }

    /// The request that makes the blob.
    pub(crate) fn blob_body(&self) -> Result<String> {
        Ok(json!({
            "KeyId": self.key_arn,
            "Plaintext": BASE64.encode(PLAINTEXT),
            "EncryptionContext": context_of(&Call::Decrypt.body(self))?,
        })
        .to_string())
    }
}

/// The encryption context of a request body.
pub(crate) fn context_of(body: &str) -> Result<Value> {
    let mut body: Value = serde_json::from_str(body)?;
    let context = body["EncryptionContext"].take();
    ensure!(context.is_object(), "a body without encryption context");
    Ok(context)
}

impl Call {
    /// The operation's name in AWS's model.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::DataKey => "GenerateDataKey",
            Self::Encrypt => "Encrypt",
            Self::Decrypt => "Decrypt",
            Self::Pair(_) => "GenerateDataKeyPair",
        }
    }

    /// A request body of [`REQUEST_BYTES`] bytes.
    pub(crate) fn body(self, world: &World) -> String {
        let shortest = self.padded_body(world, 0);
        self.padded_body(world, REQUEST_BYTES.saturating_sub(shortest.len()))
    }

    fn padded_body(self, world: &World, padding: usize) -> String {
        let mut body = json!({
            "KeyId": world.key_arn,
            "EncryptionContext": {
                "application": "benchmark",
                "table": "customers.payment_methods",
                "purpose": "column-encryption",
                "record": "0".repeat(padding),
            },
        });
        match self {
            Self::DataKey => body["KeySpec"] = json!("AES_256"),
            Self::Encrypt => body["Plaintext"] = json!(BASE64.encode(PLAINTEXT)),
            Self::Decrypt => body["CiphertextBlob"] = json!(world.blob),
            Self::Pair(spec) => body["KeyPairSpec"] = json!(spec.as_str()),
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
            Self::Decrypt => {
                ensure!(bytes(&answer, "Plaintext")? == PLAINTEXT, "another plaintext");
            }
            Self::Pair(spec) => {
                ensure!(answer["KeyPairSpec"] == json!(spec.as_str()), "another spec");
                for member in ["PublicKey", "PrivateKeyPlaintext"] {
                    // Both are DER sequences.
                    ensure!(bytes(&answer, member)?.first() == Some(&0x30), "{member} is no DER");
                }
            }
        }
        Ok(())
    }

    /// The blob of an answer, in base64, and the plaintext it must decrypt to.
    pub(crate) fn sealed(self, answer: &[u8]) -> Result<Option<(String, Vec<u8>)>> {
        let answer: Value = serde_json::from_slice(answer)?;
        let (blob, plaintext) = match self {
            Self::DataKey => ("CiphertextBlob", bytes(&answer, "Plaintext")?),
            Self::Encrypt => ("CiphertextBlob", PLAINTEXT.to_vec()),
            Self::Decrypt => return Ok(None),
            Self::Pair(_) => ("PrivateKeyCiphertextBlob", bytes(&answer, "PrivateKeyPlaintext")?),
        };
        let blob = answer[blob].as_str().context("no blob in the answer")?;
        Ok(Some((blob.to_owned(), plaintext)))
    }
}

/// The member `name` of an answer, decoded from base64.
pub(crate) fn bytes(answer: &Value, name: &str) -> Result<Vec<u8>> {
    let Some(text) = answer[name].as_str() else { bail!("no {name} in the answer") };
    BASE64.decode(text).with_context(|| format!("{name} is no base64"))
}

/// How blobs begin (docs/formats.md).
const BLOB_MAGIC: [u8; 4] = [1, 2, 2, 0];

/// The length of a blob over 32 bytes, in base64.
const BLOB_BASE64: usize = (32 + keystead_crypto::BLOB_OVERHEAD).div_ceil(3) * 4;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn world() -> World {
        World::new(
            "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
                .to_owned(),
        )
    }

    #[test]
    fn all_bodies_have_one_length() {
        let world = world();
        for operation in &OPERATIONS {
            assert_eq!(operation.call.body(&world).len(), REQUEST_BYTES, "{}", operation.name);
        }
        let context = context_of(&Call::Decrypt.body(&world)).unwrap();
        assert_eq!(context_of(&world.blob_body().unwrap()).unwrap(), context);
        assert!(context_of("{}").is_err());
    }

    #[test]
    fn every_pair_spec_is_measured_and_names_are_unique() {
        for spec in PairSpec::ALL {
            assert!(OPERATIONS.iter().any(
                |operation| matches!(operation.call, Call::Pair(measured) if measured == spec)
                    && operation.name.ends_with(spec.as_str())
                    && (operation.pace == Pace::Slow) == spec.is_rsa()
            ));
        }
        for operation in &OPERATIONS {
            let same = OPERATIONS.iter().filter(|other| other.name == operation.name).count();
            assert_eq!(same, 1, "{}", operation.name);
        }
        assert!(OPERATIONS.iter().any(|operation| operation.is_named("generatedatakeypair sm2")));
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
    }
}
