//! Asymmetric and HMAC keys: every algorithm of every spec does what it is for, and nothing else
//! passes. What is expected of each spec comes from `testdata/usages.csv`.

use keystead_crypto::{AsymmetricSpec, PairSpec, PrivateKey, generate_pair};
use keystead_model::{KeySpec, KeyUsageType};
use keystead_testkit::TestServer;
use keystead_testkit::fixtures::KeyFixture;
use serde_json::{Value, json};

use crate::support::{ACCOUNT, REGION, from_base64, table, text, to_base64};

const TABLE: &str = include_str!("../../testdata/usages.csv");

/// What a request came to: the response, or the exception's name and its text, if it has one.
type Found = Result<Value, (String, Option<String>)>;

async fn ask(server: &TestServer, operation: &str, request: Value) -> Found {
    let response = server.call(ACCOUNT, REGION, operation, &request).await.unwrap();
    if response.status == 200 {
        return Ok(response.body);
    }
    let message = response.body.get("message").or(response.body.get("Message"));
    Err((
        text(&response.body, "__type").to_owned(),
        message.and_then(Value::as_str).map(str::to_owned),
    ))
}

fn silent(name: &str) -> Found {
    Err((name.to_owned(), None))
}

/// The rows of the table, each with a key of its kind.
async fn keys(server: &TestServer) -> Vec<(KeySpec, KeyUsageType, Vec<&'static str>, String)> {
    let mut keys = Vec::new();
    for row in table(TABLE) {
        let (spec, usage) = (KeySpec::parse(row[0]).unwrap(), KeyUsageType::parse(row[1]).unwrap());
        let fixture = KeyFixture::new(ACCOUNT, REGION).unwrap().spec(spec, usage);
        let key = fixture.lay(server.service().unwrap()).await.unwrap();
        keys.push((spec, usage, row[2].split(' ').collect(), key.id));
    }
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn every_algorithm_of_every_spec() {
    let server = TestServer::start().await.unwrap();
    let mut tried = 0;
    for (spec, usage, algorithms, id) in keys(&server).await {
        let member = match usage {
            KeyUsageType::SignVerify => "SigningAlgorithms",
            KeyUsageType::EncryptDecrypt => "EncryptionAlgorithms",
            KeyUsageType::GenerateVerifyMac => "MacAlgorithms",
            _ => "KeyAgreementAlgorithms",
        };
        let described = ask(&server, "DescribeKey", json!({"KeyId": id})).await.unwrap();
        assert_eq!(described["KeyMetadata"][member], json!(algorithms), "{spec}");
        if usage != KeyUsageType::GenerateVerifyMac {
            let public = ask(&server, "GetPublicKey", json!({"KeyId": id})).await.unwrap();
            assert_eq!(public[member], json!(algorithms), "{spec}");
            assert_eq!(public["KeySpec"], spec.as_str());
        }
        for algorithm in &algorithms {
            match usage {
                KeyUsageType::SignVerify => signs(&server, &id, algorithm).await,
                KeyUsageType::EncryptDecrypt => encrypts(&server, &id, spec, algorithm).await,
                KeyUsageType::GenerateVerifyMac => authenticates(&server, &id, algorithm).await,
                _ => agrees(&server, &id, spec).await,
            }
            tried += 1;
        }
    }
    assert_eq!(tried, 4 + 6 + 18 + 2 * 3 + 3 + 3 + 3);
}

async fn signs(server: &TestServer, id: &str, algorithm: &str) {
    // Ed25519ph takes digests alone.
    let (kind, message, other) = match algorithm {
        "ED25519_PH_SHA_512" => ("DIGEST", to_base64([1; 64]), to_base64([2; 64])),
        _ => ("RAW", to_base64("message"), to_base64("messagf")),
    };
    let request = json!({
        "KeyId": id, "Message": message, "MessageType": kind, "SigningAlgorithm": algorithm,
    });
    let signed = ask(server, "Sign", request.clone()).await.unwrap();
    let mut request = request;
    request["Signature"] = signed["Signature"].clone();
    let verified = ask(server, "Verify", request.clone()).await.unwrap();
    assert_eq!(verified["SignatureValid"], true, "{algorithm}");
    let invalid = silent("KMSInvalidSignatureException");
    let mut of_another = request.clone();
    of_another["Message"] = json!(other);
    assert_eq!(ask(server, "Verify", of_another).await, invalid, "{algorithm}");
    let mut signature = from_base64(text(&signed, "Signature"));
    *signature.last_mut().unwrap() ^= 1;
    request["Signature"] = json!(to_base64(&signature));
    assert_eq!(ask(server, "Verify", request.clone()).await, invalid, "{algorithm}");
    // A digest of the wrong length is told before the signature is looked at.
    if algorithm.contains("SHA_") && !algorithm.starts_with("ED25519_SHA") {
        request["MessageType"] = json!("DIGEST");
        request["Message"] = json!(to_base64("short"));
        let refusal = format!("Digest is invalid length for algorithm {algorithm}.");
        let refusal = Err(("ValidationException".to_owned(), Some(refusal)));
        assert_eq!(ask(server, "Verify", request).await, refusal, "{algorithm}");
    }
}

async fn encrypts(server: &TestServer, id: &str, spec: KeySpec, algorithm: &str) {
    // The sizes are those of the API reference.
    let maximum = match (spec, algorithm) {
        (KeySpec::Rsa2048, "RSAES_OAEP_SHA_1") => 214,
        (KeySpec::Rsa2048, _) => 190,
        (KeySpec::Rsa3072, "RSAES_OAEP_SHA_1") => 342,
        (KeySpec::Rsa3072, _) => 318,
        (KeySpec::Rsa4096, "RSAES_OAEP_SHA_1") => 470,
        (KeySpec::Rsa4096, _) => 446,
        _ => 1024,
    };
    let encrypt = |length: usize| {
        json!({
            "KeyId": id, "Plaintext": to_base64(vec![7; length]), "EncryptionAlgorithm": algorithm,
        })
    };
    let too_large = Err((
        "ValidationException".to_owned(),
        Some(format!(
            "Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {maximum} bytes."
        )),
    ));
    assert_eq!(ask(server, "Encrypt", encrypt(maximum + 1)).await, too_large);
    let mut with_context = encrypt(1);
    with_context["EncryptionContext"] = json!({"a": "b"});
    let no_context =
        Err(("ValidationException".to_owned(), Some("Invalid EncryptionContext".to_owned())));
    assert_eq!(ask(server, "Encrypt", with_context).await, no_context);
    let sealed = ask(server, "Encrypt", encrypt(maximum)).await.unwrap();
    assert_eq!(sealed["EncryptionAlgorithm"], algorithm);
    let request = json!({
        "KeyId": id, "CiphertextBlob": sealed["CiphertextBlob"], "EncryptionAlgorithm": algorithm,
    });
    let opened = ask(server, "Decrypt", request.clone()).await.unwrap();
    assert_eq!(text(&opened, "Plaintext"), to_base64(vec![7; maximum]));
    assert_eq!(opened.get("KeyMaterialId"), None);
    let invalid = silent("InvalidCiphertextException");
    let mut damaged = from_base64(text(&sealed, "CiphertextBlob"));
    *damaged.last_mut().unwrap() ^= 1;
    let mut request = request;
    request["CiphertextBlob"] = json!(to_base64(damaged));
    assert_eq!(ask(server, "Decrypt", request).await, invalid);
    // Without KeyId it is no ciphertext of ours.
    let request = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    assert_eq!(ask(server, "Decrypt", request).await, invalid);

    // To a symmetric key and back.
    let other = ask(server, "CreateKey", json!({})).await.unwrap();
    let other = text(&other["KeyMetadata"], "KeyId");
    let request = json!({
        "SourceKeyId": id,
        "SourceEncryptionAlgorithm": algorithm,
        "CiphertextBlob": sealed["CiphertextBlob"],
        "DestinationKeyId": other,
    });
    let moved = ask(server, "ReEncrypt", request).await.unwrap();
    assert_eq!(moved.get("SourceKeyMaterialId"), None);
    assert!(moved.get("DestinationKeyMaterialId").is_some());
    let request = json!({
        "CiphertextBlob": moved["CiphertextBlob"],
        "DestinationKeyId": id,
        "DestinationEncryptionAlgorithm": algorithm,
    });
    let back = ask(server, "ReEncrypt", request).await.unwrap();
    assert_eq!(back.get("DestinationKeyMaterialId"), None);
    let request = json!({
        "KeyId": id, "CiphertextBlob": back["CiphertextBlob"], "EncryptionAlgorithm": algorithm,
    });
    let opened = ask(server, "Decrypt", request).await.unwrap();
    assert_eq!(text(&opened, "Plaintext"), to_base64(vec![7; maximum]));
}

async fn authenticates(server: &TestServer, id: &str, algorithm: &str) {
    let message = to_base64("message");
    let request = json!({"KeyId": id, "Message": message, "MacAlgorithm": algorithm});
    let made = ask(server, "GenerateMac", request.clone()).await.unwrap();
    let mac = from_base64(text(&made, "Mac"));
    let bits: usize = algorithm.rsplit('_').next().unwrap().parse().unwrap();
    assert_eq!(mac.len() * 8, bits);
    let mut request = request;
    request["Mac"] = made["Mac"].clone();
    let verified = ask(server, "VerifyMac", request.clone()).await.unwrap();
    assert_eq!(verified["MacValid"], true);
    let mut of_another = request.clone();
    of_another["Message"] = json!(to_base64("messagf"));
    let invalid = silent("KMSInvalidMacException");
    assert_eq!(ask(server, "VerifyMac", of_another).await, invalid);
    request["Mac"] = json!(to_base64(&mac[..mac.len() - 1]));
    assert_eq!(ask(server, "VerifyMac", request).await, invalid);
}

async fn agrees(server: &TestServer, id: &str, spec: KeySpec) {
    let peer = generate_pair(PairSpec::parse(spec.as_str()).unwrap()).unwrap();
    let request = json!({
        "KeyId": id,
        "KeyAgreementAlgorithm": "ECDH",
        "PublicKey": to_base64(&peer.public_spki),
    });
    let ours = ask(server, "DeriveSharedSecret", request.clone()).await.unwrap();
    let public = ask(server, "GetPublicKey", json!({"KeyId": id})).await.unwrap();
    let asymmetric = AsymmetricSpec::parse(spec.as_str()).unwrap();
    let private = PrivateKey::from_pkcs8(asymmetric, peer.private_pkcs8.expose()).unwrap();
    let theirs = private.agree(&from_base64(text(&public, "PublicKey"))).unwrap();
    assert_eq!(from_base64(text(&ours, "SharedSecret")), theirs.expose(), "{spec}");
    let mut request = request;
    request["PublicKey"] = json!(to_base64("no key"));
    let refusal = ask(server, "DeriveSharedSecret", request).await;
    assert_eq!(refusal, silent("ValidationException"), "{spec}");
}

/// A key whose record names no material, which only damage can bring about: refused as the server's
/// own fault, and the server goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_material_is_a_clean_error() {
    let server = TestServer::start().await.unwrap();
    let mut asked = 0;
    for row in table(TABLE) {
        let (spec, usage) = (KeySpec::parse(row[0]).unwrap(), KeyUsageType::parse(row[1]).unwrap());
        let algorithm = row[2].split(' ').next().unwrap();
        let fixture = KeyFixture::new(ACCOUNT, REGION).unwrap().spec(spec, usage);
        let key = fixture.without_material().lay(server.service().unwrap()).await.unwrap();
        let (id, message) = (&key.id, to_base64("message"));
        let signing = json!({
            "KeyId": id, "Message": message, "SigningAlgorithm": algorithm, "Signature": message,
        });
        let mac =
            json!({"KeyId": id, "Message": message, "MacAlgorithm": algorithm, "Mac": message});
        let sealing = json!({
            "KeyId": id,
            "Plaintext": message,
            "CiphertextBlob": message,
            "EncryptionAlgorithm": algorithm,
        });
        // Of the key's own curve: another is refused before the key is looked into.
        let curve = PairSpec::parse(spec.as_str()).filter(|_| usage == KeyUsageType::KeyAgreement);
        let peer = curve.map(|curve| to_base64(generate_pair(curve).unwrap().public_spki));
        let agreeing = json!({"KeyId": id, "KeyAgreementAlgorithm": algorithm, "PublicKey": peer});
        let public = ("GetPublicKey", json!({"KeyId": id}));
        let requests = match usage {
            KeyUsageType::SignVerify => {
                vec![("Sign", signing.clone()), ("Verify", signing), public]
            }
            KeyUsageType::GenerateVerifyMac => {
                vec![("GenerateMac", mac.clone()), ("VerifyMac", mac)]
            }
            KeyUsageType::EncryptDecrypt => {
                vec![("Encrypt", sealing.clone()), ("Decrypt", sealing), public]
            }
            _ => vec![("DeriveSharedSecret", agreeing), public],
        };
        for (operation, request) in requests {
            let (name, _) = ask(&server, operation, request).await.unwrap_err();
            assert_eq!(name, "KMSInternalException", "{operation} {spec}");
            asked += 1;
        }
        ask(&server, "DescribeKey", json!({"KeyId": id})).await.unwrap();
    }
    assert_eq!(asked, 12 * 3 + 4 * 3 + 4 * 2 + 4 * 2);
}

/// Keys that the API itself has made, of every spec, live through a restart.
#[tokio::test(flavor = "multi_thread")]
async fn created_keys_survive_a_restart() {
    // SM2 is open in the China Regions.
    const CHINA: &str = "cn-north-1";
    let mut server = TestServer::start().await.unwrap();
    let mut made = Vec::new();
    for row in table(TABLE) {
        let request = json!({"KeySpec": row[0], "KeyUsage": row[1]});
        let key = server.call(ACCOUNT, CHINA, "CreateKey", &request).await.unwrap();
        assert_eq!(key.status, 200, "{} {}: {}", row[0], row[1], key.body);
        let id = text(&key.body["KeyMetadata"], "KeyId").to_owned();
        let algorithm = row[2].split(' ').next().unwrap();
        let (request, undo, answer) = match row[1] {
            "SIGN_VERIFY" => ("Sign", "Verify", "Signature"),
            "GENERATE_VERIFY_MAC" => ("GenerateMac", "VerifyMac", "Mac"),
            "ENCRYPT_DECRYPT" => ("Encrypt", "Decrypt", "CiphertextBlob"),
            _ => ("GetPublicKey", "GetPublicKey", "PublicKey"),
        };
        let mut body = json!({
            "KeyId": id,
            "Message": to_base64("message"),
            "Plaintext": to_base64("message"),
            "SigningAlgorithm": algorithm,
            "MacAlgorithm": algorithm,
            "EncryptionAlgorithm": algorithm,
        });
        let done = server.call(ACCOUNT, CHINA, request, &body).await.unwrap();
        assert_eq!(done.status, 200, "{request} {}: {}", row[0], done.body);
        body[answer] = done.body[answer].clone();
        made.push((undo, body, done.body[answer].clone()));
    }
    assert_eq!(made.len(), 24);
    server.restart().await.unwrap();
    for (operation, body, answer) in made {
        let found = server.call(ACCOUNT, CHINA, operation, &body).await.unwrap();
        assert_eq!(found.status, 200, "{operation}: {}", found.body);
        match operation {
            "Decrypt" => assert_eq!(text(&found.body, "Plaintext"), to_base64("message")),
            "GetPublicKey" => assert_eq!(found.body["PublicKey"], answer),
            _ => {}
        }
    }
}
