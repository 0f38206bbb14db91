//! One success and one failure of each operation, as far as it can have both.

use std::collections::BTreeMap;

use keystead_crypto::{AsymmetricSpec, EncryptionAlgorithm, PublicKey};
use serde_json::{Value, json};

use super::Audited;
use crate::support::{from_base64, text, to_base64};

const NOWHERE: &str = "00000000-0000-4000-8000-000000000000";

/// What each request was, by its id.
pub(super) type Labels = BTreeMap<String, String>;

struct Run<'a> {
    on: &'a Audited,
    labels: Labels,
}

impl Run<'_> {
    async fn ok(&mut self, operation: &str, body: Value) -> Value {
        let shown = body.clone();
        let (id, result) = self.on.ask_as(crate::support::ACCOUNT, operation, body).await;
        self.labels.entry(id).or_insert_with(|| format!("{operation} success"));
        result.unwrap_or_else(|error| panic!("{operation} {shown}: {error}"))
    }

    async fn fails(&mut self, operation: &str, body: Value, name: &str) {
        let shown = body.clone();
        let (id, result) = self.on.ask_as(crate::support::ACCOUNT, operation, body).await;
        self.labels.insert(id, format!("{operation} failure"));
        assert_eq!(result.expect_err(operation), name, "{operation} {shown}");
    }

    /// A request that is not of interest itself.
    async fn aside(&mut self, operation: &str, body: Value) -> Value {
        let shown = body.clone();
        let (id, result) = self.on.ask_as(crate::support::ACCOUNT, operation, body).await;
        self.labels.insert(id, String::new());
        result.unwrap_or_else(|error| panic!("{operation} {shown}: {error}"))
    }

    async fn key(&mut self, body: Value) -> String {
        let made = self.aside("CreateKey", body).await;
        text(&made["KeyMetadata"], "KeyId").to_owned()
    }
}

/// A text for a member that must not be printed.
fn marked(name: &str) -> String {
    to_base64(format!("marked-{name}-0123456789abcdef"))
}

pub(super) async fn run(on: &Audited) -> Labels {
    let mut run = Run { on, labels: Labels::new() };
    let key = keys_and_aliases(&mut run).await;
    symmetric(&mut run, &key).await;
    asymmetric(&mut run, &key).await;
    management(&mut run, &key).await;
    grants(&mut run, &key).await;
    imports(&mut run, &key).await;
    regions(&mut run, &key).await;
    custom_key_stores(&mut run).await;
    deletion(&mut run, &key).await;
    run.labels
}

async fn keys_and_aliases(run: &mut Run<'_>) -> String {
    let made = run
        .ok(
            "CreateKey",
            json!({"Description": "first", "Tags": [{"TagKey": "Project", "TagValue": "α"}]}),
        )
        .await;
    let key = text(&made["KeyMetadata"], "KeyId").to_owned();
    let policy = "{\"Statement\": \"nonsense\"}";
    let bad = "MalformedPolicyDocumentException";
    run.fails("CreateKey", json!({"Policy": policy}), bad).await;
    let other = run.key(json!({})).await;
    let alias = json!({"AliasName": "alias/one", "TargetKeyId": key});
    run.ok("CreateAlias", alias.clone()).await;
    run.fails("CreateAlias", alias, "AlreadyExistsException").await;
    run.aside("CreateAlias", json!({"AliasName": "alias/two", "TargetKeyId": key})).await;
    run.ok("UpdateAlias", json!({"AliasName": "alias/two", "TargetKeyId": other})).await;
    let none = json!({"AliasName": "alias/none", "TargetKeyId": key});
    run.fails("UpdateAlias", none, "NotFoundException").await;
    run.ok("DeleteAlias", json!({"AliasName": "alias/two"})).await;
    run.fails("DeleteAlias", json!({"AliasName": "alias/none"}), "NotFoundException").await;
    key
}

async fn symmetric(run: &mut Run<'_>, key: &str) {
    let context = json!({"tenant": "a\n\"b", "order": "1"});
    let other = run.key(json!({})).await;
    let sealed = run
        .ok(
            "Encrypt",
            json!({"KeyId": key, "Plaintext": marked("plain"), "EncryptionContext": context}),
        )
        .await;
    let blob = text(&sealed, "CiphertextBlob");
    let dry = json!({"KeyId": key, "Plaintext": marked("plain"), "DryRun": true});
    run.fails("Encrypt", dry, "DryRunOperationException").await;
    run.ok("Decrypt", json!({"CiphertextBlob": blob, "EncryptionContext": context})).await;
    let wrong = json!({"CiphertextBlob": blob, "KeyId": other, "EncryptionContext": context});
    run.fails("Decrypt", wrong, "IncorrectKeyException").await;
    run.ok(
        "ReEncrypt",
        json!({"CiphertextBlob": blob, "SourceEncryptionContext": context,
               "DestinationKeyId": other, "DestinationEncryptionContext": {"to": "b"}}),
    )
    .await;
    let wrong = json!({"CiphertextBlob": blob, "DestinationKeyId": other});
    run.fails("ReEncrypt", wrong, "InvalidCiphertextException").await;

    let by_alias =
        json!({"KeyId": "alias/one", "KeySpec": "AES_256", "EncryptionContext": context});
    run.ok("GenerateDataKey", by_alias).await;
    let empty = json!({"KeyId": key, "NumberOfBytes": 0});
    run.fails("GenerateDataKey", empty, "ValidationException").await;
    let bytes = json!({"KeyId": key, "NumberOfBytes": 40});
    run.ok("GenerateDataKeyWithoutPlaintext", bytes).await;
    let both = json!({"KeyId": key, "NumberOfBytes": 40, "KeySpec": "AES_256"});
    run.fails("GenerateDataKeyWithoutPlaintext", both, "ValidationException").await;
    for operation in ["GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"] {
        let body =
            json!({"KeyId": key, "KeyPairSpec": "ECC_NIST_P256", "EncryptionContext": context});
        run.ok(operation, body).await;
        let nowhere = json!({"KeyId": NOWHERE, "KeyPairSpec": "ECC_NIST_P256"});
        run.fails(operation, nowhere, "NotFoundException").await;
    }
    run.ok("GenerateRandom", json!({"NumberOfBytes": 32})).await;
    let attested = json!({"NumberOfBytes": 32, "Recipient": {
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": marked("document")}});
    run.fails("GenerateRandom", attested, "UnsupportedOperationException").await;
}

async fn asymmetric(run: &mut Run<'_>, key: &str) {
    let mac_key = run.key(json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"})).await;
    let body = |key: &str| json!({"KeyId": key, "Message": marked("message"), "MacAlgorithm": "HMAC_SHA_256"});
    let mac = run.ok("GenerateMac", body(&mac_key)).await;
    run.fails("GenerateMac", body(key), "InvalidKeyUsageException").await;
    let mut verify = body(&mac_key);
    verify["Mac"] = mac["Mac"].clone();
    run.ok("VerifyMac", verify.clone()).await;
    verify["Mac"] = json!(marked("mac"));
    run.fails("VerifyMac", verify, "KMSInvalidMacException").await;

    let signer = run.key(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"})).await;
    let body = |key: &str| {
        json!({"KeyId": key, "Message": marked("message"), "MessageType": "RAW",
               "SigningAlgorithm": "ECDSA_SHA_256"})
    };
    let signed = run.ok("Sign", body(&signer)).await;
    run.fails("Sign", body(key), "InvalidKeyUsageException").await;
    let mut verify = body(&signer);
    verify["Signature"] = signed["Signature"].clone();
    run.ok("Verify", verify.clone()).await;
    verify["Signature"] = json!(marked("signature"));
    run.fails("Verify", verify, "KMSInvalidSignatureException").await;

    let agreeing = run.key(json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"})).await;
    let public = run.ok("GetPublicKey", json!({"KeyId": agreeing})).await;
    run.fails("GetPublicKey", json!({"KeyId": key}), "UnsupportedOperationException").await;
    let body = |key: &str| json!({"KeyId": key, "KeyAgreementAlgorithm": "ECDH", "PublicKey": public["PublicKey"]});
    run.ok("DeriveSharedSecret", body(&agreeing)).await;
    run.fails("DeriveSharedSecret", body(key), "InvalidKeyUsageException").await;
}

async fn management(run: &mut Run<'_>, key: &str) {
    let nowhere = || json!({"KeyId": NOWHERE});
    for operation in [
        "DescribeKey",
        "GetKeyLastUsage",
        "GetKeyPolicy",
        "GetKeyRotationStatus",
        "ListKeyPolicies",
        "ListKeyRotations",
        "ListResourceTags",
        "DisableKey",
        "EnableKey",
        "EnableKeyRotation",
        "RotateKeyOnDemand",
        "DisableKeyRotation",
    ] {
        run.ok(operation, json!({"KeyId": key})).await;
        run.fails(operation, nowhere(), "NotFoundException").await;
    }
    run.ok("ListKeys", json!({"Limit": 1})).await;
    run.fails("ListKeys", json!({"Limit": 0}), "ValidationException").await;
    run.ok("ListAliases", json!({"KeyId": key})).await;
    run.fails("ListAliases", json!({"Marker": "forged"}), "InvalidMarkerException").await;

    let policy = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"}]});
    run.ok("PutKeyPolicy", json!({"KeyId": key, "Policy": policy.to_string()})).await;
    let nonsense = json!({"KeyId": key, "Policy": "{"});
    run.fails("PutKeyPolicy", nonsense, "MalformedPolicyDocumentException").await;
    let tag = json!({"TagKey": "Cost", "TagValue": "7"});
    run.ok("TagResource", json!({"KeyId": key, "Tags": [tag]})).await;
    let reserved = json!({"TagKey": "aws:x", "TagValue": "7"});
    let reserved = json!({"KeyId": key, "Tags": [reserved]});
    run.fails("TagResource", reserved, "TagException").await;
    run.ok("UntagResource", json!({"KeyId": key, "TagKeys": ["Cost"]})).await;
    let nowhere = json!({"KeyId": NOWHERE, "TagKeys": ["Cost"]});
    run.fails("UntagResource", nowhere, "NotFoundException").await;
    run.ok("UpdateKeyDescription", json!({"KeyId": key, "Description": "changed"})).await;
    let nowhere = json!({"KeyId": NOWHERE, "Description": "changed"});
    run.fails("UpdateKeyDescription", nowhere, "NotFoundException").await;
}

async fn grants(run: &mut Run<'_>, key: &str) {
    let grantee = "arn:aws:iam::111122223333:role/worker";
    let body = json!({"KeyId": key, "GranteePrincipal": grantee, "Operations": ["Encrypt", "Decrypt"],
        "RetiringPrincipal": "arn:aws:iam::111122223333:root", "Name": "g",
        "Constraints": {"EncryptionContextSubset": {"tenant": "a"}}});
    let grant = run.ok("CreateGrant", body.clone()).await;
    let token = text(&grant, "GrantToken");
    let mut dry = body.clone();
    dry["DryRun"] = json!(true);
    run.fails("CreateGrant", dry, "DryRunOperationException").await;
    let with_token = json!({"KeyId": key, "Plaintext": marked("plain"), "GrantTokens": [token]});
    run.aside("Encrypt", with_token).await;
    // More tokens than are allowed: the message quotes them.
    let tokens = vec![token; 11];
    let too_many = json!({"KeyId": key, "Plaintext": marked("plain"), "GrantTokens": tokens});
    assert_eq!(run.on.ask("Encrypt", too_many).await.unwrap_err(), "ValidationException");
    run.ok("ListGrants", json!({"KeyId": key, "Limit": 5})).await;
    run.fails("ListGrants", json!({"KeyId": NOWHERE}), "NotFoundException").await;
    let retiring = json!({"RetiringPrincipal": "arn:aws:iam::111122223333:root"});
    run.ok("ListRetirableGrants", retiring).await;
    run.fails("ListRetirableGrants", json!({}), "ValidationException").await;
    run.ok("RetireGrant", json!({"GrantToken": token})).await;
    run.fails("RetireGrant", json!({}), "ValidationException").await;
    let again = run.aside("CreateGrant", body).await;
    run.ok("RevokeGrant", json!({"KeyId": key, "GrantId": again["GrantId"]})).await;
    let gone = json!({"KeyId": key, "GrantId": again["GrantId"]});
    run.fails("RevokeGrant", gone, "NotFoundException").await;
}

async fn imports(run: &mut Run<'_>, key: &str) {
    let mine = run.key(json!({"Origin": "EXTERNAL"})).await;
    let ask = |key: &str| {
        json!({"KeyId": key, "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
               "WrappingKeySpec": "RSA_2048"})
    };
    let parameters = run.ok("GetParametersForImport", ask(&mine)).await;
    run.fails("GetParametersForImport", ask(key), "UnsupportedOperationException").await;
    let spec = AsymmetricSpec::parse("RSA_2048").unwrap();
    let public = from_base64(text(&parameters, "PublicKey"));
    let public = PublicKey::from_spki(spec, &public).unwrap();
    let material = b"marked material, 32 bytes long..";
    run.on.hide(material);
    let wrapped = public.encrypt(EncryptionAlgorithm::RsaesOaepSha256, material).unwrap();
    let mut body = json!({"KeyId": mine, "ImportToken": parameters["ImportToken"],
        "EncryptedKeyMaterial": to_base64(&wrapped), "ExpirationModel": "KEY_MATERIAL_EXPIRES",
        "ValidTo": 1_767_700_000});
    let imported = run.ok("ImportKeyMaterial", body.clone()).await;
    body["ImportToken"] = json!(marked("token"));
    run.fails("ImportKeyMaterial", body.clone(), "InvalidImportTokenException").await;
    // Expires.
    run.on.advance(2);
    run.on.service.sweep().await.unwrap();
    run.on.advance(-2);
    body["ImportToken"] = parameters["ImportToken"].clone();
    run.aside("ImportKeyMaterial", body).await;
    let delete = json!({"KeyId": mine, "KeyMaterialId": imported["KeyMaterialId"]});
    run.ok("DeleteImportedKeyMaterial", delete).await;
    let other = json!({"KeyId": key});
    run.fails("DeleteImportedKeyMaterial", other, "UnsupportedOperationException").await;
}

async fn regions(run: &mut Run<'_>, key: &str) {
    let primary = run.key(json!({"MultiRegion": true})).await;
    let replicate = |key: &str| {
        json!({"KeyId": key, "ReplicaRegion": "eu-central-1",
        "Description": "there", "Tags": [{"TagKey": "a", "TagValue": "b"}]})
    };
    run.ok("ReplicateKey", replicate(&primary)).await;
    run.fails("ReplicateKey", replicate(key), "UnsupportedOperationException").await;
    run.aside("RotateKeyOnDemand", json!({"KeyId": primary})).await;
    let update = |key: &str| json!({"KeyId": key, "PrimaryRegion": "eu-central-1"});
    run.ok("UpdatePrimaryRegion", update(&primary)).await;
    run.fails("UpdatePrimaryRegion", update(key), "UnsupportedOperationException").await;
}

/// None can be made here, so there is nothing to succeed with but a list.
async fn custom_key_stores(run: &mut Run<'_>) {
    let made = json!({"CustomKeyStoreName": "store", "CloudHsmClusterId": "cluster-abcdefghijk",
        "TrustAnchorCertificate": "certificate", "KeyStorePassword": "marked-password-7"});
    run.fails("CreateCustomKeyStore", made, "CloudHsmClusterNotFoundException").await;
    let id = "cks-1234567890abcdef0";
    for operation in ["ConnectCustomKeyStore", "DeleteCustomKeyStore", "DisconnectCustomKeyStore"] {
        let body = json!({"CustomKeyStoreId": id});
        run.fails(operation, body, "CustomKeyStoreNotFoundException").await;
    }
    let update = json!({"CustomKeyStoreId": id, "NewCustomKeyStoreName": "new",
        "KeyStorePassword": "marked-password-8", "XksProxyAuthenticationCredential": {
            "AccessKeyId": "MARKEDACCESSKEYID234567",
            "RawSecretAccessKey": "marked+secret+access+key+0123456789abcdefgh"}});
    run.fails("UpdateCustomKeyStore", update, "CustomKeyStoreNotFoundException").await;
    run.ok("DescribeCustomKeyStores", json!({})).await;
    let none = json!({"CustomKeyStoreId": id});
    run.fails("DescribeCustomKeyStores", none, "CustomKeyStoreNotFoundException").await;
}

async fn deletion(run: &mut Run<'_>, key: &str) {
    let window = |days: i32| json!({"KeyId": key, "PendingWindowInDays": days});
    run.ok("ScheduleKeyDeletion", window(7)).await;
    run.fails("ScheduleKeyDeletion", window(6), "ValidationException").await;
    run.ok("CancelKeyDeletion", json!({"KeyId": key})).await;
    let again = json!({"KeyId": key});
    run.fails("CancelKeyDeletion", again, "KMSInvalidStateException").await;
    let doomed = run.key(json!({})).await;
    run.aside("ScheduleKeyDeletion", json!({"KeyId": doomed, "PendingWindowInDays": 7})).await;
    run.on.advance(8);
    run.on.service.sweep().await.unwrap();
}
