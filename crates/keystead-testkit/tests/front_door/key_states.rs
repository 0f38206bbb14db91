//! The key-state table: every built operation on a key, in every state, for every origin.
//!
//! What is expected comes from `testdata/key-states.csv`, which was written down from the published
//! table apart from the program's own; names and texts of the refusals are spelled here.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    AlgorithmSpec, DataKeyPairSpec, DataKeySpec, ExpirationModelType, GrantOperation,
    KeyAgreementAlgorithmSpec, MacAlgorithmSpec, SigningAlgorithmSpec, Tag, WrappingKeySpec,
};
use keystead_model::{KeyId, KeySpec, KeyUsageType, OperationName, OriginType};
use keystead_service::records::MultiRegion;
use keystead_service::state::State;
use keystead_testkit::fixtures::{KeyFixture, LaidKey};
use keystead_testkit::{Outcome, TestServer, outcome};

use crate::support::{ACCOUNT, REGION, new_key, refused, refused_silently, table};

/// A Region without any key.
const ELSEWHERE: &str = "ap-southeast-2";

const TABLE: &str = include_str!("../../testdata/key-states.csv");

/// The column of the table, its state, and how that state is told.
fn states() -> [(&'static str, State, &'static str); 8] {
    // Far in the future: the key does not go away under the test.
    let deletion = 4_000_000_000_000;
    [
        ("Enabled", State::Enabled, "not pending deletion"),
        ("Disabled", State::Disabled, "not pending deletion"),
        ("PD", State::PendingDeletion { deletion, window: 30 }, "pending deletion"),
        ("PD", State::PendingReplicaDeletion { window: 7 }, "pending replica deletion"),
        ("PendingImport", State::PendingImport, "pending import"),
        ("Unavailable", State::Unavailable { enabled: true }, "unavailable"),
        ("Creating", State::Creating, "creating"),
        ("Updating", State::Updating, "updating"),
    ]
}

/// Custom key stores have no multi-Region keys and no import; the other origins are tried in every
/// state, also in those that such a key cannot come to: the table's answer must hold regardless.
fn can_be(origin: OriginType, state: &State) -> bool {
    let own = matches!(origin, OriginType::AwsKms | OriginType::External);
    own || matches!(
        state,
        State::Enabled
            | State::Disabled
            | State::PendingDeletion { .. }
            | State::Unavailable { .. }
    )
}

/// The side of an operation on two keys that the key under test is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The only key; ReEncrypt: the source; UpdateAlias: the new target.
    First,
    /// ReEncrypt: the destination; UpdateAlias: the present target.
    Second,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let rows: BTreeMap<&str, Vec<&str>> =
        table(TABLE).into_iter().map(|row| (row[0], row)).collect();
    let header = &rows["Operation"];
    assert_eq!(rows.len(), 45, "44 operations act on a key");
    let built: Vec<OperationName> =
        keystead_service::built().filter(|name| rows.contains_key(name.as_str())).collect();
    let without_key: BTreeSet<&str> = keystead_service::built()
        .map(OperationName::as_str)
        .filter(|name| !rows.contains_key(name) && !name.contains("CustomKeyStore"))
        .collect();
    let free = ["CreateKey", "GenerateRandom", "ListKeys", "ListRetirableGrants"];
    assert_eq!(without_key, BTreeSet::from(free));

    let healthy = async || {
        let any = OperationName::DescribeKey;
        lay(&server, any, OriginType::AwsKms, State::Enabled).await
    };
    let (first, second) = (healthy().await, healthy().await);
    let healthy = [first, second];
    let (mut passed, mut total, mut failures) = (0, 0, Vec::new());
    for operation in built {
        for side in [Side::First, Side::Second] {
            let two = matches!(operation, OperationName::ReEncrypt | OperationName::UpdateAlias);
            if side == Side::Second && !two {
                continue;
            }
            for origin in OriginType::ALL {
                for (column, state, phrase) in states() {
                    if !can_be(*origin, &state) {
                        continue;
                    }
                    let column = header.iter().position(|name| *name == column).unwrap();
                    let cell = rows[operation.as_str()][column];
                    let key = lay(&server, operation, *origin, state.clone()).await;
                    let expected = expected(operation, side, cell, *origin, &key.arn, phrase);
                    let found = drive(&kms, operation, side, &key, &healthy).await;
                    total += 1;
                    if found == expected {
                        passed += 1;
                    } else {
                        failures.push(format!(
                            "{operation:?} {side:?} {origin} {state:?}: {found:?}, not {expected:?}"
                        ));
                    }
                }
            }
        }
    }
    println!("key states: {passed} of {total} cells passed");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(total >= 960, "only {total} cells were tried");
}

fn expected(
    operation: OperationName,
    side: Side,
    cell: &str,
    origin: OriginType,
    arn: &str,
    phrase: &str,
) -> Outcome {
    // Note (1): the state of the present target does not matter.
    if operation == OperationName::UpdateAlias && side == Side::Second {
        return Outcome::Ok;
    }
    let in_store = matches!(origin, OriginType::AwsCloudhsm | OriginType::ExternalKeyStore);
    let pair = matches!(
        operation,
        OperationName::GenerateDataKeyPair | OperationName::GenerateDataKeyPairWithoutPlaintext
    );
    let external = origin == OriginType::External;
    let wrong_origin = || {
        let text = format!("{arn} origin is {origin} which is not valid for this operation.");
        refused("UnsupportedOperationException", text)
    };
    let disabled = || refused("DisabledException", format!("{arn} is disabled."));
    let in_state = || refused("KMSInvalidStateException", format!("{arn} is {phrase}."));
    match cell {
        // Not the state but the kind of key: data key pairs are not made in custom key stores.
        "ok" if pair && in_store => refused_silently("UnsupportedOperationException"),
        // Nor is there anything to rotate there, nor imported material waiting for it.
        "ok" if operation == OperationName::RotateKeyOnDemand && in_store => wrong_origin(),
        "ok" if operation == OperationName::RotateKeyOnDemand && external => refused(
            "KMSInvalidStateException",
            format!("No available key material pending rotation for the key: {arn}."),
        ),
        // Only the state could be at fault, and it is not: a bad signature or MAC.
        "ok" if operation == OperationName::Verify => {
            refused_silently("KMSInvalidSignatureException")
        }
        "ok" if operation == OperationName::VerifyMac => refused_silently("KMSInvalidMacException"),
        // Nor is it at fault that a token is none, or that there is no replica to succeed.
        "ok" | "ok if EXTERNAL, else X"
            if operation == OperationName::ImportKeyMaterial && (cell == "ok" || external) =>
        {
            refused_silently("InvalidImportTokenException")
        }
        "ok" if operation == OperationName::UpdatePrimaryRegion => {
            let elsewhere = arn.replace(REGION, ELSEWHERE);
            refused("NotFoundException", format!("Key '{elsewhere}' does not exist"))
        }
        "ok" | "ok (2)" | "ok (no effect)" => Outcome::Ok,
        "ok if EXTERNAL, else X" if external => Outcome::Ok,
        "ok if EXTERNAL, else X" => wrong_origin(),
        "P or X" if of_import(operation) && external => in_state(),
        "P or X" if of_import(operation) => wrong_origin(),
        "ok if origin AWS_KMS, else X" if origin == OriginType::AwsKms => Outcome::Ok,
        "ok, custom key store X" if !in_store => Outcome::Ok,
        "ok if origin AWS_KMS, else X" | "ok, custom key store X" | "X" => wrong_origin(),
        "D or X" | "P or X" if origin != OriginType::AwsKms => wrong_origin(),
        "D" | "D or X" => disabled(),
        "N" => refused("KMSInvalidStateException", format!("{arn} is not pending deletion.")),
        // What cannot occur is refused by the name of the state: ours.
        "P" | "P or X" | "I" | "I (3)" | "U" | "C" | "G" | "see (1)" | "n/a" => in_state(),
        other => panic!("the cell `{other}` of {operation:?} is not understood here yet"),
    }
}

fn of_import(operation: OperationName) -> bool {
    matches!(operation, OperationName::GetParametersForImport | OperationName::ImportKeyMaterial)
}

fn of_related_keys(operation: OperationName) -> bool {
    matches!(operation, OperationName::ReplicateKey | OperationName::UpdatePrimaryRegion)
}

/// A public key of P-256 to agree with.
fn peer() -> Blob {
    let pair = keystead_crypto::generate_pair(keystead_crypto::PairSpec::EccNistP256).unwrap();
    Blob::new(pair.public_spki)
}

/// Spec and usage of a key that the operation can use.
fn kind(operation: OperationName) -> (KeySpec, KeyUsageType) {
    use OperationName as Op;
    match operation {
        Op::Sign | Op::Verify | Op::GetPublicKey => {
            (KeySpec::EccNistP256, KeyUsageType::SignVerify)
        }
        Op::DeriveSharedSecret => (KeySpec::EccNistP256, KeyUsageType::KeyAgreement),
        Op::GenerateMac | Op::VerifyMac => (KeySpec::Hmac256, KeyUsageType::GenerateVerifyMac),
        _ => (KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt),
    }
}

/// The id of the one grant of a laid key.
fn grant_id() -> String {
    "0123456789abcdef".repeat(4)
}

async fn lay(
    server: &TestServer,
    operation: OperationName,
    origin: OriginType,
    state: State,
) -> LaidKey {
    let (spec, usage) = kind(operation);
    let fixture = KeyFixture::new(ACCOUNT, REGION).unwrap().spec(spec, usage).origin(origin);
    let mut fixture = fixture.state(state).unwrap().grant(&grant_id());
    if of_related_keys(operation) {
        let primary = fixture.record.region.clone();
        fixture.record.id = KeyId::from_random(keystead_crypto::random_bytes().unwrap(), true);
        fixture.record.multi_region = Some(MultiRegion { primary, replicas: Vec::new() });
    }
    let alias = format!("alias/{}", fixture.record.id);
    fixture.alias(&alias).lay(server.service().unwrap()).await.unwrap()
}

async fn drive(
    kms: &Client,
    operation: OperationName,
    side: Side,
    key: &LaidKey,
    [first, second]: &[LaidKey; 2],
) -> Outcome {
    use OperationName as Op;
    let id = &key.id;
    let own_alias = format!("alias/{id}");
    let other_alias = format!("alias/other-{id}");
    let context = Some(("k", "v"));
    match (operation, side) {
        (Op::CancelKeyDeletion, _) => outcome(kms.cancel_key_deletion().key_id(id).send().await),
        (Op::CreateAlias, _) => {
            let request = kms.create_alias().alias_name(other_alias).target_key_id(id);
            outcome(request.send().await)
        }
        (Op::CreateGrant, _) => {
            let request = kms.create_grant().key_id(id).operations(GrantOperation::DescribeKey);
            let grantee = format!("arn:aws:iam::{ACCOUNT}:root");
            outcome(request.grantee_principal(grantee).send().await)
        }
        (Op::Decrypt, _) => {
            let blob = Blob::new(key.seal(b"sealed").unwrap());
            outcome(kms.decrypt().ciphertext_blob(blob).send().await)
        }
        (Op::DeleteImportedKeyMaterial, _) => {
            outcome(kms.delete_imported_key_material().key_id(id).send().await)
        }
        (Op::GetParametersForImport, _) => {
            let request = kms.get_parameters_for_import().key_id(id);
            let request = request.wrapping_key_spec(WrappingKeySpec::Rsa2048);
            outcome(request.wrapping_algorithm(AlgorithmSpec::RsaesOaepSha256).send().await)
        }
        (Op::ImportKeyMaterial, _) => {
            let request = kms.import_key_material().key_id(id).import_token(Blob::new("none"));
            let request = request.expiration_model(ExpirationModelType::KeyMaterialDoesNotExpire);
            outcome(request.encrypted_key_material(Blob::new("none")).send().await)
        }
        (Op::ReplicateKey, _) => {
            outcome(kms.replicate_key().key_id(id).replica_region(ELSEWHERE).send().await)
        }
        (Op::UpdatePrimaryRegion, _) => {
            outcome(kms.update_primary_region().key_id(id).primary_region(ELSEWHERE).send().await)
        }
        (Op::DeleteAlias, _) => outcome(kms.delete_alias().alias_name(own_alias).send().await),
        (Op::DeriveSharedSecret, _) => {
            let request = kms.derive_shared_secret().key_id(own_alias).public_key(peer());
            let request = request.key_agreement_algorithm(KeyAgreementAlgorithmSpec::Ecdh);
            outcome(request.send().await)
        }
        (Op::DescribeKey, _) => outcome(kms.describe_key().key_id(own_alias).send().await),
        (Op::DisableKey, _) => outcome(kms.disable_key().key_id(id).send().await),
        (Op::DisableKeyRotation, _) => outcome(kms.disable_key_rotation().key_id(id).send().await),
        (Op::EnableKey, _) => outcome(kms.enable_key().key_id(id).send().await),
        (Op::EnableKeyRotation, _) => outcome(kms.enable_key_rotation().key_id(id).send().await),
        (Op::Encrypt, _) => {
            let request = kms.encrypt().key_id(own_alias).plaintext(Blob::new("p"));
            outcome(request.set_encryption_context(context.map(pair)).send().await)
        }
        (Op::GenerateDataKey, _) => {
            let request = kms.generate_data_key().key_id(&key.arn);
            outcome(request.key_spec(DataKeySpec::Aes256).send().await)
        }
        (Op::GenerateDataKeyWithoutPlaintext, _) => {
            let request = kms.generate_data_key_without_plaintext().key_id(id);
            outcome(request.number_of_bytes(1).send().await)
        }
        (Op::GenerateDataKeyPair, _) => {
            let request = kms.generate_data_key_pair().key_id(id);
            outcome(request.key_pair_spec(DataKeyPairSpec::EccNistP256).send().await)
        }
        (Op::GenerateDataKeyPairWithoutPlaintext, _) => {
            let request = kms.generate_data_key_pair_without_plaintext().key_id(id);
            outcome(request.key_pair_spec(DataKeyPairSpec::EccNistP256).send().await)
        }
        (Op::GenerateMac, _) => {
            let request = kms.generate_mac().key_id(own_alias).message(Blob::new("m"));
            outcome(request.mac_algorithm(MacAlgorithmSpec::HmacSha256).send().await)
        }
        (Op::GetKeyLastUsage, _) => outcome(kms.get_key_last_usage().key_id(id).send().await),
        (Op::GetKeyPolicy, _) => outcome(kms.get_key_policy().key_id(id).send().await),
        (Op::GetKeyRotationStatus, _) => {
            outcome(kms.get_key_rotation_status().key_id(id).send().await)
        }
        (Op::GetPublicKey, _) => outcome(kms.get_public_key().key_id(own_alias).send().await),
        (Op::ListAliases, _) => outcome(kms.list_aliases().key_id(id).send().await),
        (Op::ListGrants, _) => outcome(kms.list_grants().key_id(id).send().await),
        (Op::ListKeyRotations, _) => outcome(kms.list_key_rotations().key_id(id).send().await),
        (Op::ListKeyPolicies, _) => outcome(kms.list_key_policies().key_id(id).send().await),
        (Op::ListResourceTags, _) => outcome(kms.list_resource_tags().key_id(id).send().await),
        (Op::PutKeyPolicy, _) => {
            let policy = kms.get_key_policy().key_id(id).send().await.unwrap().policy.unwrap();
            outcome(kms.put_key_policy().key_id(id).policy(policy).send().await)
        }
        (Op::ReEncrypt, side) => {
            let (source, destination) =
                if side == Side::First { (key, first) } else { (first, key) };
            let request = kms.re_encrypt().destination_key_id(&destination.id);
            let blob = Blob::new(source.seal(b"sealed").unwrap());
            outcome(request.ciphertext_blob(blob).send().await)
        }
        (Op::RetireGrant, _) => {
            outcome(kms.retire_grant().key_id(id).grant_id(grant_id()).send().await)
        }
        (Op::RevokeGrant, _) => {
            outcome(kms.revoke_grant().key_id(id).grant_id(grant_id()).send().await)
        }
        (Op::RotateKeyOnDemand, _) => outcome(kms.rotate_key_on_demand().key_id(id).send().await),
        (Op::Sign, _) => {
            let request = kms.sign().key_id(own_alias).message(Blob::new("m"));
            outcome(request.signing_algorithm(SigningAlgorithmSpec::EcdsaSha256).send().await)
        }
        (Op::ScheduleKeyDeletion, _) => {
            outcome(kms.schedule_key_deletion().key_id(id).send().await)
        }
        (Op::TagResource, _) => {
            let tag = Tag::builder().tag_key("k").tag_value("v").build().unwrap();
            outcome(kms.tag_resource().key_id(id).tags(tag).send().await)
        }
        (Op::UntagResource, _) => {
            outcome(kms.untag_resource().key_id(id).tag_keys("k").send().await)
        }
        (Op::UpdateAlias, side) => {
            let (alias, target) = if side == Side::First {
                let create = kms.create_alias().alias_name(&other_alias);
                create.target_key_id(&first.id).send().await.unwrap();
                (other_alias, key)
            } else {
                (own_alias, second)
            };
            let request = kms.update_alias().alias_name(alias).target_key_id(&target.id);
            outcome(request.send().await)
        }
        (Op::UpdateKeyDescription, _) => {
            let request = kms.update_key_description().key_id(id).description("new");
            outcome(request.send().await)
        }
        (Op::Verify, _) => {
            let request = kms.verify().key_id(own_alias).message(Blob::new("m"));
            let request = request.signature(Blob::new("none"));
            outcome(request.signing_algorithm(SigningAlgorithmSpec::EcdsaSha256).send().await)
        }
        (Op::VerifyMac, _) => {
            let request = kms.verify_mac().key_id(own_alias).message(Blob::new("m"));
            let request = request.mac(Blob::new("none"));
            outcome(request.mac_algorithm(MacAlgorithmSpec::HmacSha256).send().await)
        }
        (other, _) => panic!("no request for {other:?} here yet"),
    }
}

fn pair((key, value): (&str, &str)) -> std::collections::HashMap<String, String> {
    [(key.to_owned(), value.to_owned())].into()
}

/// The states that the API itself leads to, and what DescribeKey says of each.
#[tokio::test]
async fn the_ways_between_the_states() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let id = key.key_id();
    let state = async || {
        let key = kms.describe_key().key_id(id).send().await.unwrap().key_metadata.unwrap();
        let state = key.key_state.unwrap();
        assert_eq!(key.enabled, state.as_str() == "Enabled");
        assert_eq!(key.deletion_date.is_some(), state.as_str() == "PendingDeletion");
        state.as_str().to_owned()
    };
    assert_eq!(state().await, "Enabled");
    kms.disable_key().key_id(id).send().await.unwrap();
    assert_eq!(state().await, "Disabled");
    kms.disable_key().key_id(id).send().await.unwrap();
    kms.enable_key().key_id(id).send().await.unwrap();
    assert_eq!(state().await, "Enabled");
    let schedule = kms.schedule_key_deletion().key_id(id).pending_window_in_days(7);
    schedule.send().await.unwrap();
    assert_eq!(state().await, "PendingDeletion");
    // Always Disabled, whatever it was before.
    kms.cancel_key_deletion().key_id(id).send().await.unwrap();
    assert_eq!(state().await, "Disabled");
}
