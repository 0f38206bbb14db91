//! Which members a response has: all that are due, and no others; absent, not null.
//!
//! What is expected comes from `testdata/members.csv`, written from the API reference and from
//! recordings of the real service.

use std::collections::{BTreeMap, BTreeSet};

use keystead_crypto::{AsymmetricSpec, EncryptionAlgorithm, PublicKey};
use keystead_model::{KeySpec, KeyUsageType};
use keystead_service::state::State;
use keystead_testkit::TestServer;
use keystead_testkit::fixtures::KeyFixture;
use serde_json::{Value, json};

use crate::support::{ACCOUNT, REGION, from_base64, table, text, to_base64};

const TABLE: &str = include_str!("../../testdata/members.csv");

/// The paths of all members of a response; the elements of a list count as one.
fn members(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => {
            for (name, value) in all {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                members(value, &path, found);
                if !matches!(value, Value::Object(_)) {
                    found.insert(path);
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| members(value, path, found)),
        Value::Null if !path.is_empty() => panic!("{path} is null"),
        _ => {}
    }
}

struct Check {
    server: TestServer,
    expected: BTreeMap<String, BTreeSet<String>>,
    passed: usize,
    failures: Vec<String>,
    operations: BTreeSet<String>,
}

impl Check {
    /// Sends a request and compares the members of its response with those of the row `case`,
    /// which begins with the operation's name.
    async fn case(&mut self, case: &str, request: Value) -> Value {
        let operation = case.split(' ').next().unwrap();
        let response = self.server.call(ACCOUNT, REGION, operation, &request).await.unwrap();
        assert_eq!(response.status, 200, "{case}: {}", response.body);
        let mut found = BTreeSet::new();
        members(&response.body, "", &mut found);
        let expected = self.expected.remove(case).unwrap_or_else(|| panic!("no row `{case}`"));
        self.operations.insert(operation.to_owned());
        if found == expected {
            self.passed += 1;
        } else {
            let missing: Vec<_> = expected.difference(&found).collect();
            let extra: Vec<_> = found.difference(&expected).collect();
            self.failures.push(format!("{case}: missing {missing:?}, not due {extra:?}"));
        }
        response.body
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_what_is_due() {
    let server = TestServer::start().await.unwrap();
    let expected = table(TABLE)
        .into_iter()
        .map(|row| {
            let members = row[1].split(' ').filter(|name| !name.is_empty());
            (row[0].to_owned(), members.map(str::to_owned).collect())
        })
        .collect();
    let mut check =
        Check { server, expected, passed: 0, failures: Vec::new(), operations: BTreeSet::new() };
    keys(&mut check).await;
    let key = check.case("CreateKey", json!({})).await;
    let id = text(&key["KeyMetadata"], "KeyId").to_owned();
    cryptography(&mut check, &id).await;
    lists(&mut check, &id).await;
    rotation(&mut check, &id).await;
    grants(&mut check, &id).await;
    asymmetric(&mut check).await;
    import(&mut check).await;
    related(&mut check).await;
    changes(&mut check, &id).await;

    let total = check.passed + check.failures.len();
    println!("members: {} of {total} responses passed", check.passed);
    assert!(check.failures.is_empty(), "{}", check.failures.join("\n"));
    assert!(check.expected.is_empty(), "rows without a request: {:?}", check.expected.keys());
    // Of custom key stores there is none, so that what acts on one cannot succeed.
    let never = ["Connect", "Create", "Delete", "Disconnect", "Update"];
    let never = never.map(|verb| format!("{verb}CustomKeyStore"));
    let built: BTreeSet<String> = keystead_service::built()
        .map(|name| name.as_str().to_owned())
        .filter(|name| !never.contains(name))
        .collect();
    assert_eq!(check.operations, built);
}

async fn import(check: &mut Check) {
    let key = check.case("CreateKey external", json!({"Origin": "EXTERNAL"})).await;
    let id = text(&key["KeyMetadata"], "KeyId").to_owned();
    let wanted = json!({
        "KeyId": id, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"
    });
    let parameters = check.case("GetParametersForImport", wanted).await;
    let spki = from_base64(text(&parameters, "PublicKey"));
    let wrapped = PublicKey::from_spki(AsymmetricSpec::Rsa2048, &spki)
        .unwrap()
        .encrypt(EncryptionAlgorithm::RsaesOaepSha256, &[7; 32])
        .unwrap();
    let import = json!({
        "KeyId": id, "ImportToken": parameters["ImportToken"],
        "EncryptedKeyMaterial": to_base64(&wrapped),
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    });
    check.case("ImportKeyMaterial", import).await;
    check.case("DescribeKey imported", json!({"KeyId": id})).await;
    let all = json!({"KeyId": id, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"});
    check.case("ListKeyRotations imported", all).await;
    check.case("DeleteImportedKeyMaterial", json!({"KeyId": id})).await;
    check.case("DescribeCustomKeyStores", json!({})).await;
}

async fn related(check: &mut Check) {
    let key = check.case("CreateKey multi-Region", json!({"MultiRegion": true})).await;
    let id = text(&key["KeyMetadata"], "KeyId").to_owned();
    check.case("ReplicateKey", json!({"KeyId": id, "ReplicaRegion": "eu-west-3"})).await;
    let tags = json!([{"TagKey": "k", "TagValue": "v"}]);
    let tagged = json!({"KeyId": id, "ReplicaRegion": "eu-west-2", "Tags": tags});
    check.case("ReplicateKey tags", tagged).await;
    let primary = json!({"KeyId": id, "PrimaryRegion": "eu-west-3"});
    check.case("UpdatePrimaryRegion", primary).await;
}

async fn keys(check: &mut Check) {
    let pending = State::PendingReplicaDeletion { window: 7 };
    let fixtures = [
        ("DescribeKey", KeyFixture::new(ACCOUNT, REGION).unwrap()),
        (
            "DescribeKey pending replica deletion",
            KeyFixture::new(ACCOUNT, REGION).unwrap().state(pending).unwrap(),
        ),
        (
            "DescribeKey HMAC",
            KeyFixture::new(ACCOUNT, REGION)
                .unwrap()
                .spec(KeySpec::Hmac256, KeyUsageType::GenerateVerifyMac),
        ),
        (
            "DescribeKey RSA signing",
            KeyFixture::new(ACCOUNT, REGION)
                .unwrap()
                .spec(KeySpec::Rsa2048, KeyUsageType::SignVerify),
        ),
        (
            "DescribeKey key agreement",
            KeyFixture::new(ACCOUNT, REGION)
                .unwrap()
                .spec(KeySpec::EccNistP256, KeyUsageType::KeyAgreement),
        ),
    ];
    for (case, fixture) in fixtures {
        let key = fixture.lay(check.server.service().unwrap()).await.unwrap();
        check.case(case, json!({"KeyId": key.id})).await;
    }
    let mut primary = KeyFixture::new(ACCOUNT, REGION).unwrap().state(State::Updating).unwrap();
    primary.record.state = State::Enabled;
    let primary = primary.lay(check.server.service().unwrap()).await.unwrap();
    check.case("ScheduleKeyDeletion of a primary", json!({"KeyId": primary.id})).await;
}

async fn cryptography(check: &mut Check, id: &str) {
    let plaintext = to_base64("plaintext");
    let request = json!({"KeyId": id, "Plaintext": plaintext});
    let sealed = check.case("Encrypt", request).await;
    let blob = text(&sealed, "CiphertextBlob").to_owned();
    check.case("Decrypt", json!({"CiphertextBlob": blob})).await;
    let request = json!({"CiphertextBlob": blob, "DestinationKeyId": id});
    check.case("ReEncrypt", request).await;
    let key = json!({"KeyId": id, "KeySpec": "AES_256"});
    check.case("GenerateDataKey", key.clone()).await;
    check.case("GenerateDataKeyWithoutPlaintext", key).await;
    let pair = json!({"KeyId": id, "KeyPairSpec": "ECC_NIST_P256"});
    check.case("GenerateDataKeyPair", pair.clone()).await;
    check.case("GenerateDataKeyPairWithoutPlaintext", pair).await;
    check.case("GenerateRandom", json!({"NumberOfBytes": 8})).await;
    check.case("GetKeyLastUsage", json!({"KeyId": id})).await;
}

async fn lists(check: &mut Check, id: &str) {
    let by_key = json!({"KeyId": id});
    check.case("ListResourceTags of none", by_key.clone()).await;
    check.case("ListAliases of none", by_key.clone()).await;
    for name in ["alias/a", "alias/b"] {
        let alias = json!({"AliasName": name, "TargetKeyId": id});
        let row = if name == "alias/a" { "CreateAlias" } else { "CreateAlias again" };
        check.case(row, alias).await;
    }
    let tags = json!([{"TagKey": "a", "TagValue": "1"}, {"TagKey": "b", "TagValue": ""}]);
    check.case("TagResource", json!({"KeyId": id, "Tags": tags})).await;
    check.case("ListAliases", json!({})).await;
    check.case("ListAliases page", json!({"Limit": 1})).await;
    check.case("ListKeys", json!({})).await;
    check.case("ListKeys page", json!({"Limit": 1})).await;
    check.case("ListResourceTags", by_key.clone()).await;
    check.case("ListResourceTags page", json!({"KeyId": id, "Limit": 1})).await;
    check.case("ListKeyPolicies", by_key).await;
}

async fn changes(check: &mut Check, id: &str) {
    let key = json!({"KeyId": id});
    let policy = check.case("GetKeyPolicy", key.clone()).await;
    let policy = text(&policy, "Policy");
    check.case("PutKeyPolicy", json!({"KeyId": id, "Policy": policy})).await;
    check.case("UntagResource", json!({"KeyId": id, "TagKeys": ["a"]})).await;
    check.case("UpdateAlias", json!({"AliasName": "alias/a", "TargetKeyId": id})).await;
    check.case("DeleteAlias", json!({"AliasName": "alias/a"})).await;
    check.case("UpdateKeyDescription", json!({"KeyId": id, "Description": "d"})).await;
    check.case("DisableKey", key.clone()).await;
    check.case("DescribeKey disabled", key.clone()).await;
    check.case("EnableKey", key.clone()).await;
    check.case("ScheduleKeyDeletion", key.clone()).await;
    check.case("DescribeKey pending deletion", key.clone()).await;
    check.case("CancelKeyDeletion", key).await;
}

async fn rotation(check: &mut Check, id: &str) {
    let key = json!({"KeyId": id});
    check.case("GetKeyRotationStatus", key.clone()).await;
    check.case("ListKeyRotations of none", key.clone()).await;
    check.case("EnableKeyRotation", key.clone()).await;
    check.case("GetKeyRotationStatus enabled", key.clone()).await;
    check.case("RotateKeyOnDemand", key.clone()).await;
    check.case("ListKeyRotations", key.clone()).await;
    let mut all = key.clone();
    (all["IncludeKeyMaterial"], all["Limit"]) = (json!("ALL_KEY_MATERIAL"), json!(1));
    // The first material alone: no rotation has brought it in.
    check.case("ListKeyRotations first material", all).await;
    check.case("DisableKeyRotation", key).await;
}

async fn grants(check: &mut Check, id: &str) {
    let role = format!("arn:aws:iam::{ACCOUNT}:role/r");
    let mut request =
        json!({"KeyId": id, "GranteePrincipal": role, "Operations": ["Decrypt"], "Name": "n"});
    let bare = check.case("CreateGrant", request.clone()).await;
    let key = json!({"KeyId": id});
    check.case("ListGrants", key.clone()).await;
    let bare = json!({"KeyId": id, "GrantId": bare["GrantId"]});
    check.case("RevokeGrant", bare).await;
    check.case("ListGrants of none", key).await;
    request["RetiringPrincipal"] = json!(role);
    request["Constraints"] = json!({"EncryptionContextSubset": {"k": "v"}});
    let full = check.case("CreateGrant with all", request).await;
    let by = json!({"RetiringPrincipal": role});
    check.case("ListRetirableGrants", by).await;
    check.case("RetireGrant", json!({"GrantToken": full["GrantToken"]})).await;
}

async fn asymmetric(check: &mut Check) {
    let kinds = [
        ("RSA_2048", "ENCRYPT_DECRYPT"),
        ("ECC_NIST_P256", "SIGN_VERIFY"),
        ("HMAC_256", "GENERATE_VERIFY_MAC"),
        ("ECC_NIST_P256", "KEY_AGREEMENT"),
    ];
    let mut ids = Vec::new();
    for (spec, usage) in kinds {
        let key = json!({"KeySpec": spec, "KeyUsage": usage});
        let key = check.server.call(ACCOUNT, REGION, "CreateKey", &key).await.unwrap().body;
        ids.push(text(&key["KeyMetadata"], "KeyId").to_owned());
    }
    check.case("GetKeyLastUsage unused", json!({"KeyId": ids[0]})).await;
    let message = to_base64("message");
    let algorithm = "RSAES_OAEP_SHA_256";
    let mut request =
        json!({"KeyId": ids[0], "Plaintext": message, "EncryptionAlgorithm": algorithm});
    let sealed = check.case("Encrypt RSA", request.clone()).await;
    request["CiphertextBlob"] = sealed["CiphertextBlob"].clone();
    check.case("Decrypt RSA", request).await;
    check.case("GetPublicKey RSA", json!({"KeyId": ids[0]})).await;
    check.case("GetPublicKey", json!({"KeyId": ids[1]})).await;
    let public = check.case("GetPublicKey key agreement", json!({"KeyId": ids[3]})).await;
    let mut request =
        json!({"KeyId": ids[1], "Message": message, "SigningAlgorithm": "ECDSA_SHA_256"});
    let signed = check.case("Sign", request.clone()).await;
    request["Signature"] = signed["Signature"].clone();
    check.case("Verify", request).await;
    let mut request = json!({"KeyId": ids[2], "Message": message, "MacAlgorithm": "HMAC_SHA_256"});
    let made = check.case("GenerateMac", request.clone()).await;
    request["Mac"] = made["Mac"].clone();
    check.case("VerifyMac", request).await;
    let request = json!({
        "KeyId": ids[3],
        "KeyAgreementAlgorithm": "ECDH",
        "PublicKey": public["PublicKey"],
    });
    check.case("DeriveSharedSecret", request).await;
}
