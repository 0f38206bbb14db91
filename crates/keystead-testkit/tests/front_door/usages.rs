//! Specs and usages against operations (behaviour of the API reference and of recordings): which key
//! is refused by which cryptographic operation, with which text.

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    DataKeyPairSpec, EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, MacAlgorithmSpec,
    SigningAlgorithmSpec,
};
use keystead_crypto::{PairSpec, generate_pair};
use keystead_model::{KeySpec, KeyUsageType};
use keystead_testkit::fixtures::{KeyFixture, LaidKey};
use keystead_testkit::{Outcome, TestServer, outcome};

use crate::support::{ACCOUNT, REGION, refused, refused_silently, table};

const TABLE: &str = include_str!("../../testdata/usages.csv");

const INCORRECT_KEY: &str =
    "The key ID in the request does not identify a CMK that can perform this operation.";

/// The rows of requests; the second part names the side of ReEncrypt.
const REQUESTS: [&str; 14] = [
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "ReEncrypt destination",
    "ReEncrypt source",
    "Decrypt",
    "Sign",
    "Verify",
    "GenerateMac",
    "VerifyMac",
    "DeriveSharedSecret",
    "GetPublicKey",
];

/// What the requests name.
const SIGNING: &str = "ECDSA_SHA_256";
const MAC: &str = "HMAC_SHA_256";
const AGREEING: KeySpec = KeySpec::EccNistP256;

#[tokio::test(flavor = "multi_thread")]
async fn every_spec_and_usage() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let service = server.service().unwrap();
    let symmetric = KeyFixture::new(ACCOUNT, REGION).unwrap().lay(service).await.unwrap();
    let (mut passed, mut total, mut failures) = (0, 0, Vec::new());
    for row in table(TABLE) {
        let [spec, usage, algorithms] = row[..] else { panic!("{row:?}") };
        let (spec, usage) = (KeySpec::parse(spec).unwrap(), KeyUsageType::parse(usage).unwrap());
        let fixture = KeyFixture::new(ACCOUNT, REGION).unwrap().spec(spec, usage);
        let key = fixture.lay(service).await.unwrap();
        for request in REQUESTS {
            let expected = expected(request, spec, usage, algorithms, &key.arn);
            let found = drive(&kms, request, &key, &symmetric).await;
            total += 1;
            if found == expected {
                passed += 1;
            } else {
                failures.push(format!("{request} {spec} {usage}: {found:?}, not {expected:?}"));
            }
        }
    }
    println!("usages: {passed} of {total} cells passed");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(total, 24 * REQUESTS.len());
}

fn expected(
    request: &str,
    spec: KeySpec,
    usage: KeyUsageType,
    algorithms: &str,
    arn: &str,
) -> Outcome {
    let named = match request {
        "Sign" | "Verify" => SIGNING,
        "GenerateMac" | "VerifyMac" => MAC,
        _ => "ECDH",
    };
    let has = algorithms.split(' ').any(|algorithm| algorithm == named);
    let incompatible = || {
        let text = format!("Algorithm {named} is incompatible with key spec {spec}.");
        refused("InvalidKeyUsageException", text)
    };
    match (request, usage) {
        ("Sign" | "Verify", KeyUsageType::SignVerify) if !has => return incompatible(),
        ("GenerateMac" | "VerifyMac", KeyUsageType::GenerateVerifyMac) if !has => {
            return incompatible();
        }
        ("Sign", KeyUsageType::SignVerify) | ("GenerateMac", KeyUsageType::GenerateVerifyMac) => {
            return Outcome::Ok;
        }
        ("Verify", KeyUsageType::SignVerify) => {
            return refused_silently("KMSInvalidSignatureException");
        }
        ("VerifyMac", KeyUsageType::GenerateVerifyMac) => {
            return refused_silently("KMSInvalidMacException");
        }
        ("DeriveSharedSecret", KeyUsageType::KeyAgreement) if spec == AGREEING => {
            return Outcome::Ok;
        }
        // The peer's key is on another curve.
        ("DeriveSharedSecret", KeyUsageType::KeyAgreement) => {
            return refused_silently("ValidationException");
        }
        ("GetPublicKey", KeyUsageType::GenerateVerifyMac) => {
            return refused_silently("UnsupportedOperationException");
        }
        ("GetPublicKey", _) => return Outcome::Ok,
        _ => {}
    }
    // The key named with a ciphertext of another key: told before the usage of either.
    if matches!(request, "Decrypt" | "ReEncrypt source") {
        return refused("IncorrectKeyException", INCORRECT_KEY);
    }
    let operation = request.split(' ').next().unwrap();
    let text = match (usage, operation) {
        (KeyUsageType::EncryptDecrypt, "Encrypt" | "ReEncrypt") => {
            format!("Algorithm SYMMETRIC_DEFAULT is incompatible with key spec {spec}.")
        }
        (KeyUsageType::EncryptDecrypt, data_key) if data_key.starts_with("GenerateDataKey") => {
            "You cannot generate a data key with an asymmetric CMK".to_owned()
        }
        _ => format!("{arn} key usage is {usage} which is not valid for {operation}."),
    };
    refused("InvalidKeyUsageException", text)
}

async fn drive(kms: &Client, request: &str, key: &LaidKey, symmetric: &LaidKey) -> Outcome {
    let id = &key.id;
    let sealed = Blob::new(symmetric.seal(b"sealed").unwrap());
    let pair = DataKeyPairSpec::EccNistP256;
    match request {
        "Encrypt" => outcome(kms.encrypt().key_id(id).plaintext(Blob::new("p")).send().await),
        "GenerateDataKey" => {
            outcome(kms.generate_data_key().key_id(id).number_of_bytes(32).send().await)
        }
        "GenerateDataKeyWithoutPlaintext" => {
            let request = kms.generate_data_key_without_plaintext().key_id(id);
            outcome(request.number_of_bytes(32).send().await)
        }
        "GenerateDataKeyPair" => {
            outcome(kms.generate_data_key_pair().key_id(id).key_pair_spec(pair).send().await)
        }
        "GenerateDataKeyPairWithoutPlaintext" => {
            let request = kms.generate_data_key_pair_without_plaintext().key_id(id);
            outcome(request.key_pair_spec(pair).send().await)
        }
        "ReEncrypt destination" => {
            let request = kms.re_encrypt().ciphertext_blob(sealed).destination_key_id(id);
            outcome(request.send().await)
        }
        // The same key on both sides, as it was recorded.
        "ReEncrypt source" => {
            let request = kms.re_encrypt().ciphertext_blob(sealed);
            outcome(request.source_key_id(id).destination_key_id(id).send().await)
        }
        "Decrypt" => outcome(kms.decrypt().ciphertext_blob(sealed).key_id(id).send().await),
        "Sign" => {
            let request = kms.sign().key_id(id).message(Blob::new("m"));
            outcome(request.signing_algorithm(SigningAlgorithmSpec::from(SIGNING)).send().await)
        }
        "Verify" => {
            let request = kms.verify().key_id(id).message(Blob::new("m")).signature(Blob::new("x"));
            outcome(request.signing_algorithm(SigningAlgorithmSpec::from(SIGNING)).send().await)
        }
        "GenerateMac" => {
            let request = kms.generate_mac().key_id(id).message(Blob::new("m"));
            outcome(request.mac_algorithm(MacAlgorithmSpec::from(MAC)).send().await)
        }
        "VerifyMac" => {
            let request = kms.verify_mac().key_id(id).message(Blob::new("m")).mac(Blob::new("x"));
            outcome(request.mac_algorithm(MacAlgorithmSpec::from(MAC)).send().await)
        }
        "DeriveSharedSecret" => {
            let peer = generate_pair(PairSpec::parse(AGREEING.as_str()).unwrap()).unwrap();
            let request = kms.derive_shared_secret().key_id(id);
            let request = request.public_key(Blob::new(peer.public_spki));
            outcome(request.key_agreement_algorithm(KeyAgreementAlgorithmSpec::Ecdh).send().await)
        }
        "GetPublicKey" => outcome(kms.get_public_key().key_id(id).send().await),
        other => panic!("no request for {other}"),
    }
}

#[tokio::test]
async fn a_symmetric_key_neither_signs_nor_agrees() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let fixture = KeyFixture::new(ACCOUNT, REGION).unwrap();
    let key = fixture.lay(server.service().unwrap()).await.unwrap();
    for request in ["Sign", "Verify", "GenerateMac", "VerifyMac", "DeriveSharedSecret"] {
        let text =
            format!("{} key usage is ENCRYPT_DECRYPT which is not valid for {request}.", key.arn);
        let expected = refused("InvalidKeyUsageException", text);
        assert_eq!(drive(&kms, request, &key, &key).await, expected, "{request}");
    }
    let expected = refused_silently("UnsupportedOperationException");
    assert_eq!(drive(&kms, "GetPublicKey", &key, &key).await, expected);
}

#[tokio::test]
async fn algorithms_of_other_kinds_of_keys() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let fixture = KeyFixture::new(ACCOUNT, REGION).unwrap();
    let key = fixture.lay(server.service().unwrap()).await.unwrap();
    let sealed = Blob::new(key.seal(b"sealed").unwrap());
    for algorithm in keystead_model::EncryptionAlgorithmSpec::ALL {
        let algorithm = algorithm.as_str();
        let spec = EncryptionAlgorithmSpec::from(algorithm);
        let expected = match algorithm {
            "SYMMETRIC_DEFAULT" => Outcome::Ok,
            other => refused(
                "InvalidKeyUsageException",
                format!("Algorithm {other} is incompatible with key spec SYMMETRIC_DEFAULT."),
            ),
        };
        let encrypt = kms.encrypt().key_id(&key.id).plaintext(Blob::new("p"));
        assert_eq!(
            outcome(encrypt.encryption_algorithm(spec.clone()).send().await),
            expected,
            "{algorithm}"
        );
        let decrypt = kms.decrypt().key_id(&key.id).ciphertext_blob(sealed.clone());
        assert_eq!(
            outcome(decrypt.encryption_algorithm(spec.clone()).send().await),
            expected,
            "{algorithm}"
        );
        let anew = kms.re_encrypt().ciphertext_blob(sealed.clone()).destination_key_id(&key.id);
        assert_eq!(
            outcome(anew.destination_encryption_algorithm(spec).send().await),
            expected,
            "{algorithm}"
        );
    }
}
