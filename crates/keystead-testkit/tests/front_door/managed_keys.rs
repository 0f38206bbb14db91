//! AWS managed keys: made by the first request that names their alias, looked at by their account,
//! and used or changed by nobody.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, KeyMetadata, KeyUsageType, RotationType};
use futures_util::future::join_all;
use keystead_model::OperationName;
use keystead_testkit::fixtures::KeyFixture;
use keystead_testkit::{Outcome, TestServer, outcome};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, REGION, new_key, refused, refused_silently, text, to_base64};

const ROOT: &str = "arn:aws:iam::111122223333:root";
const GRANT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The aliases that are listed before they have a key.
pub(crate) const PREDEFINED: [&str; 11] = [
    "dynamodb",
    "ebs",
    "elasticfilesystem",
    "es",
    "glue",
    "kinesisvideo",
    "rds",
    "redshift",
    "s3",
    "ssm",
    "xray",
];

async fn describe(kms: &Client, name: &str) -> KeyMetadata {
    kms.describe_key().key_id(name).send().await.unwrap().key_metadata.unwrap()
}

/// All aliases with their targets.
async fn aliases(kms: &Client) -> Vec<(String, Option<String>)> {
    let listed = kms.list_aliases().limit(100).send().await.unwrap();
    assert!(!listed.truncated);
    let of = |entry: aws_sdk_kms::types::AliasListEntry| {
        assert_eq!(entry.target_key_id.is_some(), entry.creation_date.is_some());
        assert_eq!(entry.target_key_id.is_some(), entry.last_updated_date.is_some());
        (entry.alias_name.unwrap(), entry.target_key_id)
    };
    listed.aliases.unwrap().into_iter().map(of).collect()
}

async fn keys(kms: &Client) -> Vec<String> {
    let listed = kms.list_keys().send().await.unwrap().keys.unwrap();
    listed.into_iter().map(|key| key.key_id.unwrap()).collect()
}

fn denied(action: &str, arn: &str) -> Outcome {
    let text = format!(
        "User: {ROOT} is not authorized to perform: kms:{action} on resource: {arn} because no \
         resource-based policy allows the kms:{action} action"
    );
    refused("AccessDeniedException", text)
}

#[tokio::test(flavor = "multi_thread")]
async fn describing_the_alias_makes_the_key() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    assert_eq!(keys(&kms).await, Vec::<String>::new());
    let key = describe(&kms, "alias/aws/s3").await;
    assert_eq!(key.key_manager.unwrap().as_str(), "AWS");
    let text = "Default key that protects my S3 objects when no other key is defined";
    assert_eq!(key.description.as_deref(), Some(text));
    assert_eq!((key.enabled, key.multi_region), (true, Some(false)));
    assert_eq!(key.origin.unwrap().as_str(), "AWS_KMS");
    assert_eq!(key.key_state.unwrap().as_str(), "Enabled");
    assert_eq!(key.key_spec.unwrap().as_str(), "SYMMETRIC_DEFAULT");
    assert_eq!(key.key_usage, Some(KeyUsageType::EncryptDecrypt));
    assert_eq!(key.current_key_material_id.unwrap().len(), 64);
    let (id, arn) = (key.key_id, key.arn.unwrap());

    // By every name it is this key, now and after a restart.
    let alias_arn = format!("arn:aws:kms:{REGION}:{ACCOUNT}:alias/aws/s3");
    for name in ["alias/aws/s3", &alias_arn, &id, &arn] {
        assert_eq!(describe(&kms, name).await.key_id, id);
    }
    assert_eq!(keys(&kms).await, std::slice::from_ref(&id));
    server.restart().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    assert_eq!(describe(&kms, "alias/aws/s3").await.key_id, id);

    // An alias ARN makes one, too; other accounts and Regions have their own.
    let ebs = format!("arn:aws:kms:{REGION}:{ACCOUNT}:alias/aws/ebs");
    let ebs = describe(&kms, &ebs).await;
    assert_ne!(ebs.key_id, id);
    let elsewhere = describe(&server.client(ACCOUNT, "eu-west-2"), "alias/aws/s3").await;
    let others = describe(&server.client("444455556666", REGION), "alias/aws/s3").await;
    let all: BTreeSet<String> = [id, ebs.key_id, elsewhere.key_id, others.key_id].into();
    assert_eq!(all.len(), 4);
    assert_eq!(keys(&kms).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_no_key_of_a_service_makes_none() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let describe = async |name: &str| outcome(kms.describe_key().key_id(name).send().await);
    for name in ["alias/aws/foo", "alias/aws/S3", "alias/aws/s3/x", "alias/aws"] {
        let text = format!("Alias arn:aws:kms:{REGION}:{ACCOUNT}:{name} is not found.");
        assert_eq!(describe(name).await, refused("NotFoundException", text));
    }
    // Another account's, whether it has one or not; another Region's.
    let foreign = format!("arn:aws:kms:{REGION}:444455556666:alias/aws/s3");
    let Outcome::Refused { name, .. } = describe(&foreign).await else { panic!("allowed") };
    assert_eq!(name, "AccessDeniedException");
    let abroad = format!("arn:aws:kms:eu-west-2:{ACCOUNT}:alias/aws/s3");
    assert_eq!(describe(&abroad).await, refused("NotFoundException", "Invalid arn eu-west-2"));
    // Operations that take no alias.
    let policy = outcome(kms.get_key_policy().key_id("alias/aws/s3").send().await);
    assert_eq!(
        policy,
        refused("InvalidArnException", "Key Aliases are not supported for this operation.")
    );
    // Nor does a request that was refused before the key was looked for.
    let request = kms.generate_data_key().key_id("alias/aws/s3").send().await;
    assert!(
        matches!(outcome(request), Outcome::Refused { name, .. } if name == "ValidationException")
    );
    // A dry run changes nothing; it is refused as the request itself would be.
    let request = kms.encrypt().key_id("alias/aws/s3").plaintext(Blob::new("p")).dry_run(true);
    let Outcome::Refused { name, .. } = outcome(request.send().await) else { panic!("allowed") };
    assert_eq!(name, "AccessDeniedException");
    for (account, region) in [(ACCOUNT, REGION), (ACCOUNT, "eu-west-2"), ("444455556666", REGION)] {
        assert_eq!(keys(&server.client(account, region)).await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn use_makes_the_key_and_is_refused() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let request = kms.encrypt().key_id("alias/aws/ssm").plaintext(Blob::new("p"));
    let encrypted = outcome(request.send().await);
    let [id] = keys(&kms).await.try_into().unwrap();
    let arn = format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{id}");
    assert_eq!(encrypted, denied("Encrypt", &arn));
    assert_eq!(describe(&kms, "alias/aws/ssm").await.key_id, id);
    let request = kms.generate_data_key().key_id("alias/aws/ssm").key_spec(DataKeySpec::Aes256);
    assert_eq!(outcome(request.clone().send().await), denied("GenerateDataKey", &arn));
    // Now that there is one, a dry run is told the same.
    assert_eq!(outcome(request.dry_run(true).send().await), denied("GenerateDataKey", &arn));
    let own = new_key(&kms).await;
    let sealed = kms.encrypt().key_id(own.key_id()).plaintext(Blob::new("p")).send().await.unwrap();
    let request = kms.re_encrypt().ciphertext_blob(sealed.ciphertext_blob.unwrap());
    let moved = outcome(request.destination_key_id("alias/aws/lambda").send().await);
    let lambda = describe(&kms, "alias/aws/lambda").await.arn.unwrap();
    assert_eq!(moved, denied("ReEncryptTo", &lambda));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_first_uses_make_one_key() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let found = join_all((0..40).map(|number| {
        let kms = kms.clone();
        tokio::spawn(async move {
            if number % 2 == 0 {
                describe(&kms, "alias/aws/rds").await.key_id
            } else {
                let request = kms.encrypt().key_id("alias/aws/rds").plaintext(Blob::new("p"));
                let Outcome::Refused { name, message } = outcome(request.send().await) else {
                    panic!("allowed")
                };
                assert_eq!(name, "AccessDeniedException");
                let (_, rest) = message.as_deref().unwrap().split_once(":key/").unwrap();
                rest[..36].to_owned()
            }
        })
    }))
    .await;
    let found: BTreeSet<String> = found.into_iter().map(Result::unwrap).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(keys(&kms).await, found.into_iter().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lists_before_and_after() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let predefined = PREDEFINED.map(|name| (format!("alias/aws/{name}"), None));
    assert_eq!(aliases(&kms).await, predefined);

    let own = new_key(&kms).await.key_id;
    for name in ["alias/aws", "alias/before", "alias/a"] {
        kms.create_alias().alias_name(name).target_key_id(&own).send().await.unwrap();
    }
    let s3 = describe(&kms, "alias/aws/s3").await.key_id;
    let lambda = describe(&kms, "alias/aws/lambda").await.key_id;
    let mut expected: Vec<(String, Option<String>)> = predefined.into();
    expected.retain(|(name, _)| name != "alias/aws/s3");
    expected.push(("alias/aws/s3".into(), Some(s3.clone())));
    expected.push(("alias/aws/lambda".into(), Some(lambda)));
    for name in ["alias/aws", "alias/before", "alias/a"] {
        expected.push((name.into(), Some(own.clone())));
    }
    expected.sort();
    assert_eq!(aliases(&kms).await, expected);

    // By key, only what points to it.
    let listed = kms.list_aliases().key_id(&s3).send().await.unwrap().aliases.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].alias_name(), Some("alias/aws/s3"));
    let listed = kms.list_aliases().key_id(&own).send().await.unwrap().aliases.unwrap();
    assert_eq!(listed.len(), 3);

    // Pages of every size are the list, also when a key is made between two of them.
    for limit in 1..=18 {
        let (mut found, mut marker) = (Vec::new(), None);
        loop {
            let request = kms.list_aliases().limit(limit).set_marker(marker);
            let page = request.send().await.unwrap();
            assert!(page.aliases().len() <= usize::try_from(limit).unwrap());
            found.extend(page.aliases.unwrap().into_iter().map(|entry| entry.alias_name.unwrap()));
            if limit == 7 {
                describe(&kms, "alias/aws/xray").await;
            }
            assert_eq!(page.truncated, page.next_marker.is_some());
            marker = page.next_marker;
            if marker.is_none() {
                break;
            }
        }
        let names: Vec<String> = expected.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(found, names, "pages of {limit}");
    }
    assert_eq!(keys(&kms).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_rotates_every_year() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = describe(&kms, "alias/aws/ebs").await;
    let (id, created) = (key.key_id, key.creation_date.unwrap().as_secs_f64());
    let status = kms.get_key_rotation_status().key_id(&id).send().await.unwrap();
    assert!(status.key_rotation_enabled);
    assert_eq!(status.rotation_period_in_days, Some(365));
    let year = 365.0 * 86_400.0;
    let next = status.next_rotation_date.unwrap().as_secs_f64();
    assert!((next - created - year).abs() < 0.001);
    let first = key.current_key_material_id.unwrap();
    for years in 1..=3 {
        server.advance(Duration::from_secs(365 * 86_400)).await.unwrap();
        let listed = kms.list_key_rotations().key_id(&id).send().await.unwrap().rotations.unwrap();
        assert_eq!(listed.len(), years);
        let last = listed.last().unwrap();
        assert_eq!(last.rotation_type, Some(RotationType::Automatic));
        let current = describe(&kms, "alias/aws/ebs").await.current_key_material_id.unwrap();
        assert_eq!(last.key_material_id.as_deref(), Some(current.as_str()));
        assert_ne!(current, first);
    }
    let arn = key.arn.unwrap();
    let off = outcome(kms.disable_key_rotation().key_id(&id).send().await);
    assert_eq!(off, denied("DisableKeyRotation", &arn));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_each_service_is_shown() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    for (alias, id, via) in [
        ("alias/aws/s3", "auto-s3-2", "s3.eu-west-1.amazonaws.com"),
        ("alias/aws/lambda", "auto-awslambda", "lambda.eu-west-1.amazonaws.com"),
        ("alias/aws/ebs", "auto-ebs-2", "ec2.eu-west-1.amazonaws.com"),
    ] {
        let key = describe(&kms, alias).await.key_id;
        let answer = kms.get_key_policy().key_id(&key).send().await.unwrap();
        assert_eq!(answer.policy_name.as_deref(), Some("default"));
        let policy = answer.policy.unwrap();
        let beginning = format!("{{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"{id}\",");
        assert!(policy.starts_with(&beginning), "{policy}");
        let policy: Value = serde_json::from_str(&policy).unwrap();
        let condition = &policy["Statement"][0]["Condition"]["StringEquals"];
        assert_eq!(condition["kms:ViaService"], via);
        assert_eq!(condition["kms:CallerAccount"], ACCOUNT);
        assert_eq!(policy["Statement"][1]["Principal"]["AWS"], ROOT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_customers_alias_reaches_it() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let managed = describe(&kms, "alias/aws/s3").await;
    let (id, arn) = (managed.key_id, managed.arn.unwrap());
    let own = new_key(&kms).await.key_id;
    let request = kms.create_alias().alias_name("alias/mine").target_key_id(&id);
    assert_eq!(outcome(request.send().await), denied("CreateAlias", &arn));
    kms.create_alias().alias_name("alias/mine").target_key_id(&own).send().await.unwrap();
    let request = kms.update_alias().alias_name("alias/mine").target_key_id(&id);
    assert_eq!(outcome(request.send().await), denied("UpdateAlias", &arn));
    assert_eq!(describe(&kms, "alias/mine").await.key_id, own);
    // The reserved names, bound or not.
    let reserved = refused_silently("NotAuthorizedException");
    for name in ["alias/aws/s3", "alias/aws/ebs", "alias/aws/foo"] {
        let request = kms.create_alias().alias_name(name).target_key_id(&own);
        assert_eq!(outcome(request.send().await), reserved);
        let request = kms.update_alias().alias_name(name).target_key_id(&own);
        assert_eq!(outcome(request.send().await), reserved);
        assert_eq!(outcome(kms.delete_alias().alias_name(name).send().await), reserved);
    }
    assert_eq!(describe(&kms, "alias/aws/s3").await.key_id, id);
}

/// What a request on an AWS managed key comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// It is carried out.
    Allowed,
    /// AccessDeniedException, naming this action.
    Denied(&'static str),
    /// The policy allows it, but the key is of another kind, or there is no such grant.
    Refused(&'static str),
    /// It acts on no key, or on none by its id.
    NoKey,
}

fn expected(operation: OperationName) -> Expected {
    use Expected::*;
    use OperationName as Op;
    match operation {
        Op::DescribeKey
        | Op::GetKeyPolicy
        | Op::GetKeyRotationStatus
        | Op::ListAliases
        | Op::ListGrants
        | Op::ListKeyPolicies
        | Op::ListKeyRotations
        | Op::ListResourceTags => Allowed,
        Op::GetKeyLastUsage if keystead_service::built().any(|built| built == operation) => Allowed,
        Op::GetKeyLastUsage | Op::GetPublicKey | Op::GetParametersForImport => {
            Refused("UnsupportedOperationException")
        }
        Op::RetireGrant => Refused("NotFoundException"),
        Op::ReEncrypt => Denied("ReEncryptTo"),
        Op::CreateKey
        | Op::GenerateRandom
        | Op::ListKeys
        | Op::ListRetirableGrants
        | Op::DeleteAlias
        | Op::ConnectCustomKeyStore
        | Op::CreateCustomKeyStore
        | Op::DeleteCustomKeyStore
        | Op::DescribeCustomKeyStores
        | Op::DisconnectCustomKeyStore
        | Op::UpdateCustomKeyStore => NoKey,
        other => Denied(other.as_str()),
    }
}

/// The members that the operation needs besides its key.
fn body(operation: OperationName, id: &str, sealed: &str) -> Value {
    use OperationName as Op;
    let m = to_base64("m");
    match operation {
        Op::CreateAlias => json!({"AliasName": "alias/new", "TargetKeyId": id}),
        Op::UpdateAlias => json!({"AliasName": "alias/own", "TargetKeyId": id}),
        Op::CreateGrant => json!({"GranteePrincipal": ROOT, "Operations": ["DescribeKey"]}),
        Op::Decrypt => json!({"CiphertextBlob": sealed}),
        Op::ReEncrypt => json!({"CiphertextBlob": sealed, "DestinationKeyId": id}),
        Op::DeriveSharedSecret => json!({"KeyAgreementAlgorithm": "ECDH", "PublicKey": m}),
        Op::Encrypt => json!({"Plaintext": m}),
        Op::GenerateDataKey | Op::GenerateDataKeyWithoutPlaintext => json!({"KeySpec": "AES_256"}),
        Op::GenerateDataKeyPair | Op::GenerateDataKeyPairWithoutPlaintext => {
            json!({"KeyPairSpec": "ECC_NIST_P256"})
        }
        Op::GenerateMac => json!({"Message": m, "MacAlgorithm": "HMAC_SHA_256"}),
        Op::VerifyMac => json!({"Message": m, "MacAlgorithm": "HMAC_SHA_256", "Mac": m}),
        Op::Sign => json!({"Message": m, "SigningAlgorithm": "ECDSA_SHA_256"}),
        Op::Verify => json!({"Message": m, "SigningAlgorithm": "ECDSA_SHA_256", "Signature": m}),
        Op::GetParametersForImport => json!({
            "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"
        }),
        Op::ImportKeyMaterial => json!({
            "ImportToken": m, "EncryptedKeyMaterial": m,
            "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"
        }),
        Op::PutKeyPolicy => json!({
            "Policy": json!({"Version": "2012-10-17", "Statement": {
                "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"
            }}).to_string()
        }),
        Op::ReplicateKey => json!({"ReplicaRegion": "eu-west-2"}),
        Op::UpdatePrimaryRegion => json!({"PrimaryRegion": "eu-west-2"}),
        Op::RetireGrant | Op::RevokeGrant => json!({"GrantId": GRANT}),
        Op::TagResource => json!({"Tags": [{"TagKey": "k", "TagValue": "v"}]}),
        Op::UntagResource => json!({"TagKeys": ["k"]}),
        Op::UpdateKeyDescription => json!({"Description": "mine"}),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let managed = describe(&kms, "alias/aws/s3").await;
    let before = format!("{managed:?}");
    let (id, arn) = (managed.key_id, managed.arn.unwrap());
    let own = new_key(&kms).await.key_id;
    kms.create_alias().alias_name("alias/own").target_key_id(&own).send().await.unwrap();
    let sealed = kms.encrypt().key_id(&own).plaintext(Blob::new("p")).send().await.unwrap();
    let sealed = to_base64(sealed.ciphertext_blob.unwrap());

    let (mut passed, mut total, mut failures) = (0, 0, Vec::new());
    for operation in OperationName::ALL {
        let expected = expected(*operation);
        if expected == Expected::NoKey {
            continue;
        }
        let mut body = body(*operation, &id, &sealed);
        if !matches!(
            operation,
            OperationName::CreateAlias | OperationName::UpdateAlias | OperationName::ReEncrypt
        ) {
            body["KeyId"] = id.clone().into();
        }
        let answer = server.call(ACCOUNT, REGION, operation.as_str(), &body).await.unwrap();
        let status = answer.status;
        let name = answer.body["__type"].as_str().unwrap_or_default();
        let good = match expected {
            Expected::Allowed => status == 200,
            Expected::Refused(exception) => name == exception,
            Expected::Denied(action) => {
                name == "AccessDeniedException"
                    && denied(action, &arn)
                        == refused("AccessDeniedException", text(&answer.body, "Message"))
            }
            Expected::NoKey => true,
        };
        total += 1;
        if good {
            passed += 1;
        } else {
            failures.push(format!("{operation:?}: {status} {}, not {expected:?}", answer.body));
        }
    }
    println!("operations on an AWS managed key: {passed} of {total} passed");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(total, 43);
    // Nothing of it changed.
    assert_eq!(format!("{:?}", describe(&kms, "alias/aws/s3").await), before);
    let tags = kms.list_resource_tags().key_id(&id).send().await.unwrap();
    assert_eq!(tags.tags.unwrap(), []);
    let grants = kms.list_grants().key_id(&id).send().await.unwrap();
    assert_eq!(grants.grants.unwrap(), []);
    let policies = kms.list_key_policies().key_id(&id).send().await.unwrap();
    assert_eq!(policies.policy_names.unwrap(), ["default"]);
}

/// What a service would have sealed: its key does not open it for a customer, named or not.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_sealed_stays_closed() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    for (service, opens) in [("s3", false), ("ses", true)] {
        let managed = describe(&kms, &format!("alias/aws/{service}")).await;
        let policy = kms.get_key_policy().key_id(&managed.key_id).send().await.unwrap();
        let fixture = KeyFixture::new(ACCOUNT, REGION).unwrap();
        let mut fixture = fixture.policy(policy.policy().unwrap());
        fixture.record.managed_by = Some(service.to_owned());
        let key = fixture.lay(server.service().unwrap()).await.unwrap();
        let blob = Blob::new(key.seal(b"sealed").unwrap());
        for id in [None, Some(key.id.clone())] {
            let request = kms.decrypt().ciphertext_blob(blob.clone()).set_key_id(id);
            match outcome(request.send().await) {
                Outcome::Ok => assert!(opens, "{service}"),
                Outcome::Refused { name, .. } => {
                    assert!(!opens, "{service}");
                    assert_eq!(name, "AccessDeniedException");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Keys whose policies are not of the common form.
#[tokio::test(flavor = "multi_thread")]
async fn the_uncommon_policies() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    // Revoking is open where services work by grants; there is none to revoke.
    let dynamodb = describe(&kms, "alias/aws/dynamodb").await;
    let revoke = kms.revoke_grant().key_id(&dynamodb.key_id).grant_id(GRANT).send().await;
    let missing = refused("NotFoundException", format!("Grant ID {GRANT} not found"));
    assert_eq!(outcome(revoke), missing);
    // ACM's names what may be seen.
    let acm = describe(&kms, "alias/aws/acm").await;
    let (id, arn) = (acm.key_id, acm.arn.unwrap());
    assert_eq!(outcome(kms.get_key_policy().key_id(&id).send().await), Outcome::Ok);
    let tags = outcome(kms.list_resource_tags().key_id(&id).send().await);
    assert_eq!(tags, denied("ListResourceTags", &arn));
    assert_eq!(outcome(kms.list_aliases().key_id(&id).send().await), Outcome::Ok);
    // That of SES lets its account open mail, and nobody seal any.
    let ses = describe(&kms, "alias/aws/ses").await;
    let request = kms.encrypt().key_id(&ses.key_id).plaintext(Blob::new("p"));
    assert_eq!(outcome(request.send().await), denied("Encrypt", &ses.arn.unwrap()));
    let request = kms.decrypt().key_id(&ses.key_id).ciphertext_blob(Blob::new("no mail"));
    assert_eq!(outcome(request.send().await), refused_silently("InvalidCiphertextException"));
}
