//! Quotas of resources and requests, at the last one allowed and beyond it; and the delays that let
//! passing states be seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use keystead_crypto::RootKey;
use keystead_model::{AccountId, KeyId, Region};
use keystead_service::records::{KeyRecord, decode, encode};
use keystead_service::{
    Access, Group, MovableClock, PerSecond, Quotas, Rate, Rates, Root, Service, ServiceSettings,
    paths,
};
use keystead_store::memory::Memory;
use keystead_store::{Store, Write};
use keystead_testkit::fixtures::KeyFixture;
use keystead_testkit::{Outcome, TestServer, outcome};
use serde_json::json;

use crate::support::{ACCOUNT, REGION, ask, new_key, refused, text};

const LIMIT: Result<serde_json::Value, &str> = Err("LimitExceededException");
const THROTTLED: Result<serde_json::Value, &str> = Err("ThrottlingException");

async fn service_with(
    settings: ServiceSettings,
) -> (Arc<Service>, Arc<dyn Store>, Arc<MovableClock>) {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let clock = Arc::new(MovableClock::default());
    let root = Root::Key(RootKey::generate().unwrap());
    let service = Service::open(settings, Access::Open, Arc::clone(&store), root, clock.clone())
        .await
        .unwrap();
    (service, store, clock)
}

fn quotas(quotas: Quotas) -> ServiceSettings {
    ServiceSettings { quotas, ..ServiceSettings::default() }
}

fn rates(limits: &[(&str, f64)]) -> ServiceSettings {
    let limit = |(name, rate): &(&str, f64)| {
        (Group::parse(name).unwrap(), Rate::Limit(PerSecond::new(*rate).unwrap()))
    };
    let groups: BTreeMap<_, _> = limits.iter().map(limit).collect();
    ServiceSettings { rates: Rates { others: Rate::Off, groups }, ..ServiceSettings::default() }
}

fn by_id(key: &serde_json::Value) -> String {
    json!({"KeyId": text(&key["KeyMetadata"], "KeyId")}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_up_to_the_quota_and_again_after_a_deletion() {
    let mut server = TestServer::start_with(|config| config.quotas.keys = 3).await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let first = new_key(&kms).await;
    let primary = kms.create_key().multi_region(true).send().await.unwrap().key_metadata.unwrap();
    new_key(&kms).await;
    let full = |region: &str| {
        let whose = format!("Your account has all the keys in {region}");
        refused("LimitExceededException", format!("{whose} that its quota of 3 allows."))
    };
    assert_eq!(outcome(kms.create_key().send().await), full(REGION));
    // Another Region and another account have quotas of their own; a replica counts in its Region.
    let elsewhere = server.client(ACCOUNT, "eu-west-2");
    new_key(&elsewhere).await;
    new_key(&elsewhere).await;
    let replicate = || kms.replicate_key().key_id(primary.key_id()).replica_region("eu-west-2");
    assert_eq!(outcome(replicate().send().await), Outcome::Ok);
    assert_eq!(outcome(elsewhere.create_key().send().await), full("eu-west-2"));
    let third = kms.replicate_key().key_id(primary.key_id()).replica_region("eu-west-3");
    assert_eq!(outcome(third.send().await), Outcome::Ok);
    assert_eq!(
        outcome(server.client("999988887777", REGION).create_key().send().await),
        Outcome::Ok
    );
    // In any state, until it is destroyed; enabling one makes no further one.
    kms.disable_key().key_id(first.key_id()).send().await.unwrap();
    kms.enable_key().key_id(first.key_id()).send().await.unwrap();
    let doomed = kms.schedule_key_deletion().key_id(first.key_id()).pending_window_in_days(7);
    doomed.send().await.unwrap();
    assert_eq!(outcome(kms.create_key().send().await), full(REGION));
    server.restart().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    assert_eq!(outcome(kms.create_key().send().await), full(REGION), "after a restart");
    server.advance(Duration::from_secs(8 * 86_400)).await.unwrap();
    new_key(&kms).await;
    assert_eq!(outcome(kms.create_key().send().await), full(REGION));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_made_at_once_do_not_pass_the_quota() {
    // On disk, where a commit takes its time and the others come meanwhile.
    let server = TestServer::start_with(|config| config.quotas.keys = 20).await.unwrap();
    let service = Arc::clone(server.service().unwrap());
    let tasks = (0..64).map(|_| {
        let service = Arc::clone(&service);
        tokio::spawn(async move { ask(&service, "CreateKey", "{}").await })
    });
    let answers: Vec<_> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 20);
    assert_eq!(answers.iter().filter(|answer| **answer == LIMIT).count(), 44);
    // A request that fails gives its place back.
    let (service, ..) = service_with(quotas(Quotas { keys: 1, ..Quotas::default() })).await;
    let lockout = json!({"Policy": r#"{"Version":"2012-10-17","Statement":[]}"#}).to_string();
    assert!(ask(&service, "CreateKey", &lockout).await.is_err());
    ask(&service, "CreateKey", "{}").await.unwrap();
    assert_eq!(ask(&service, "CreateKey", "{}").await, LIMIT);
}

/// AWS's own number, and what it costs: the stored keys are read through once.
#[tokio::test(flavor = "multi_thread")]
async fn the_hundred_thousandth_key() {
    let (service, store, _) = service_with(ServiceSettings::default()).await;
    let account: AccountId = ACCOUNT.parse().unwrap();
    let region: Region = REGION.parse().unwrap();
    let ids: Vec<u128> = (0..99_998).collect();
    for some in ids.chunks(100) {
        let put = |n: &u128| {
            let id = KeyId::from_parts(n.to_be_bytes(), false);
            Write::Put(paths::key(account, &region, id), Vec::new())
        };
        store.commit(vec![], some.iter().map(put).collect()).await.unwrap();
    }
    let before = store.statistics();
    ask(&service, "CreateKey", "{}").await.unwrap();
    assert!(store.statistics().scans - before.scans <= 201);
    let before = store.statistics();
    ask(&service, "CreateKey", "{}").await.unwrap();
    assert_eq!(store.statistics().scans, before.scans, "the count is kept");
    assert_eq!(ask(&service, "CreateKey", "{}").await, LIMIT);
    // An AWS managed key is no part of the quota, nor kept from being made by it.
    ask(&service, "DescribeKey", r#"{"KeyId":"alias/aws/s3"}"#).await.unwrap();
    assert_eq!(ask(&service, "CreateKey", "{}").await, LIMIT);
    let gone = paths::key(account, &region, KeyId::from_parts(7u128.to_be_bytes(), false));
    store.commit(vec![], vec![Write::Delete(gone)]).await.unwrap();
    ask(&service, "CreateKey", "{}").await.unwrap();
    assert_eq!(ask(&service, "CreateKey", "{}").await, LIMIT);
}

/// At a small number, and at AWS's; no CreateGrant looks at the grants there are.
#[tokio::test(flavor = "multi_thread")]
async fn grants_up_to_the_quota() {
    let small = quotas(Quotas { grants_per_key: 2, ..Quotas::default() });
    for (settings, stored) in [(small, 0), (ServiceSettings::default(), 49_998)] {
        let (service, store, _) = service_with(settings).await;
        let key = ask(&service, "CreateKey", "{}").await.unwrap();
        let id = text(&key["KeyMetadata"], "KeyId").to_owned();
        if stored > 0 {
            let (account, region) = (ACCOUNT.parse().unwrap(), REGION.parse().unwrap());
            let path = paths::key(account, &region, id.parse().unwrap());
            let record_key = service.keyring().record_key();
            let found = store.read(&path).await.unwrap().unwrap();
            let mut record: KeyRecord = decode(record_key, &path, &found.value).unwrap();
            record.grants = stored;
            let bytes = encode(record_key, &path, &record).unwrap();
            store.commit(vec![], vec![Write::Put(path, bytes)]).await.unwrap();
        }
        let grant = |name: Option<&str>, dry: bool| {
            json!({
                "KeyId": id, "Operations": ["Decrypt"], "Name": name, "DryRun": dry,
                "GranteePrincipal": format!("arn:aws:iam::{ACCOUNT}:role/r"),
            })
            .to_string()
        };
        let before = store.statistics();
        ask(&service, "CreateGrant", &grant(None, false)).await.unwrap();
        let named = ask(&service, "CreateGrant", &grant(Some("n"), false)).await.unwrap();
        assert_eq!(ask(&service, "CreateGrant", &grant(None, false)).await, LIMIT);
        assert_eq!(ask(&service, "CreateGrant", &grant(None, true)).await, LIMIT);
        assert_eq!(ask(&service, "CreateGrant", &grant(Some("m"), false)).await, LIMIT);
        let again = ask(&service, "CreateGrant", &grant(Some("n"), false)).await.unwrap();
        assert_eq!(again["GrantId"], named["GrantId"], "no further grant");
        let dry = ask(&service, "CreateGrant", &grant(Some("n"), true)).await;
        assert_eq!(dry, Err("DryRunOperationException"));
        let after = store.statistics();
        assert_eq!(after.scans, before.scans);
        assert!(after.reads - before.reads <= 20, "{}", after.reads - before.reads);
        let revoke = json!({"KeyId": id, "GrantId": named["GrantId"]}).to_string();
        ask(&service, "RevokeGrant", &revoke).await.unwrap();
        ask(&service, "CreateGrant", &grant(None, false)).await.unwrap();
        assert_eq!(ask(&service, "CreateGrant", &grant(None, false)).await, LIMIT);
    }
}

/// More aliases than one commit can delete go with their key, too.
#[tokio::test(flavor = "multi_thread")]
async fn aliases_policies_and_key_stores() {
    let limits = Quotas {
        aliases_per_key: 120,
        policy_bytes: 400,
        custom_key_stores: 0,
        ..Quotas::default()
    };
    let (service, _, clock) = service_with(quotas(limits)).await;
    let key = ask(&service, "CreateKey", "{}").await.unwrap();
    let id = text(&key["KeyMetadata"], "KeyId").to_owned();
    let alias = |n: u32| json!({"AliasName": format!("alias/{n}"), "TargetKeyId": id}).to_string();
    for n in 0..120 {
        ask(&service, "CreateAlias", &alias(n)).await.unwrap();
    }
    assert_eq!(ask(&service, "CreateAlias", &alias(120)).await, LIMIT);
    let policy = |length: usize| {
        let root = format!("arn:aws:iam::{ACCOUNT}:root");
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{root}"}},"Action":"kms:*","Resource":"*"}}]}}"#
        );
        let blank = " ".repeat(length - text.len());
        json!({"KeyId": id, "Policy": text + &blank}).to_string()
    };
    ask(&service, "PutKeyPolicy", &policy(400)).await.unwrap();
    assert_eq!(ask(&service, "PutKeyPolicy", &policy(401)).await, LIMIT);
    let store = json!({
        "CustomKeyStoreName": "s", "CloudHsmClusterId": "cluster-abcdefghijk",
        "TrustAnchorCertificate": "c", "KeyStorePassword": "kmsPswd",
    });
    assert_eq!(ask(&service, "CreateCustomKeyStore", &store.to_string()).await, LIMIT);
    ask(&service, "ScheduleKeyDeletion", &by_id(&key)).await.unwrap();
    clock.advance(31 * 86_400_000);
    assert_eq!(service.sweep().await.unwrap(), 1);
    let left = ask(&service, "ListAliases", "{}").await.unwrap();
    let left = left["Aliases"].as_array().unwrap();
    assert!(left.iter().all(|alias| alias.get("TargetKeyId").is_none()), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_in_aws_words_and_comes_back_with_time() {
    let mut server = TestServer::start_with(|config| {
        config.rates = rates(&[("GetParametersForImport", 0.25)]).rates;
    })
    .await
    .unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let throttled = refused(
        "ThrottlingException",
        "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
    );
    // Real time passes, too: with 0.25 per second less than one token comes back meanwhile.
    let absent = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let import = || {
        let request = kms.get_parameters_for_import().key_id(absent);
        let request = request.wrapping_key_spec("RSA_2048".into());
        request.wrapping_algorithm("RSAES_OAEP_SHA_256".into()).send()
    };
    assert_ne!(outcome(import().await), throttled);
    assert_eq!(outcome(import().await), throttled, "a request that failed has counted");
    let other = server.client("999988887777", REGION);
    assert_eq!(outcome(other.list_keys().send().await), Outcome::Ok);
    server.advance(Duration::from_secs(4)).await.unwrap();
    assert_ne!(outcome(import().await), throttled);
    let wire = server.call(ACCOUNT, REGION, "GetParametersForImport", &json!({})).await.unwrap();
    assert_eq!((wire.status, &wire.body["__type"]), (400, &json!("ThrottlingException")));
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_groups_and_what_counts() {
    let settings = rates(&[
        ("cryptographic_symmetric", 0.001),
        ("cryptographic_rsa", 0.001),
        ("cryptographic_ecc", 0.001),
        ("data_key_pair_ECC_NIST_P256", 0.001),
        ("data_key_pair_ECC_NIST_P384", 0.001),
        ("UpdatePrimaryRegion", 0.001),
    ]);
    let (service, _, clock) = service_with(settings).await;
    let key = ask(&service, "CreateKey", "{}").await.unwrap();
    let spec = |spec: &str, usage: &str| json!({"KeySpec": spec, "KeyUsage": usage}).to_string();
    let curve = ask(&service, "CreateKey", &spec("ECC_NIST_P256", "SIGN_VERIFY")).await.unwrap();
    let id = text(&key["KeyMetadata"], "KeyId").to_owned();
    let again = || clock.advance(1_000_000);
    let encrypt = |dry: bool| json!({"KeyId": id, "Plaintext": "cA==", "DryRun": dry}).to_string();
    // A dry run counts, and operations share.
    let dry = ask(&service, "Encrypt", &encrypt(true)).await;
    assert_eq!(dry, Err("DryRunOperationException"));
    assert_eq!(ask(&service, "Encrypt", &encrypt(false)).await, THROTTLED);
    assert_eq!(ask(&service, "GenerateRandom", r#"{"NumberOfBytes":1}"#).await, THROTTLED);
    // A body that is none counts as well, and is told only while the rate allows.
    assert_eq!(ask(&service, "Encrypt", "{").await, THROTTLED);
    again();
    assert_eq!(ask(&service, "Encrypt", "{").await, Err("SerializationException"));
    assert_eq!(ask(&service, "Encrypt", &encrypt(false)).await, THROTTLED);
    // Another spec is another group, told by the key.
    let sign = json!({
        "KeyId": curve["KeyMetadata"]["KeyId"], "Message": "cA==", "SigningAlgorithm": "ECDSA_SHA_256",
    })
    .to_string();
    ask(&service, "Sign", &sign).await.unwrap();
    assert_eq!(ask(&service, "Sign", &sign).await, THROTTLED);
    // Pairs: one group for each spec, shared by both operations, apart from the symmetric one.
    let pair = |spec: &str| json!({"KeyId": id, "KeyPairSpec": spec}).to_string();
    ask(&service, "GenerateDataKeyPair", &pair("ECC_NIST_P256")).await.unwrap();
    let without = "GenerateDataKeyPairWithoutPlaintext";
    assert_eq!(ask(&service, without, &pair("ECC_NIST_P256")).await, THROTTLED);
    ask(&service, without, &pair("ECC_NIST_P384")).await.unwrap();
    // ReEncrypt with two keys of one group counts once.
    again();
    let sealed = ask(&service, "Encrypt", &encrypt(false)).await.unwrap();
    again();
    let resealed =
        json!({"CiphertextBlob": sealed["CiphertextBlob"], "DestinationKeyId": id}).to_string();
    ask(&service, "ReEncrypt", &resealed).await.unwrap();
    assert_eq!(ask(&service, "ReEncrypt", &resealed).await, THROTTLED);
    // A new primary Region counts in both.
    again();
    let update = |to: &str| json!({"KeyId": id, "PrimaryRegion": to}).to_string();
    let found = ask(&service, "UpdatePrimaryRegion", &update("eu-west-2")).await;
    assert_ne!(found, THROTTLED);
    assert_eq!(ask(&service, "UpdatePrimaryRegion", &update("eu-west-3")).await, THROTTLED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_key_store_has_a_rate_of_its_own() {
    let (service, ..) = service_with(rates(&[("custom_key_store", 0.001)])).await;
    let key = KeyFixture::new(ACCOUNT, REGION).unwrap();
    let key = key.origin(keystead_model::OriginType::AwsCloudhsm).lay(&service).await.unwrap();
    let body = json!({"KeyId": key.id, "KeySpec": "AES_256"}).to_string();
    assert_ne!(ask(&service, "GenerateDataKey", &body).await, THROTTLED);
    assert_eq!(ask(&service, "GenerateDataKey", &body).await, THROTTLED);
    let other = ask(&service, "CreateKey", "{}").await.unwrap();
    let body = json!({"KeyId": text(&other["KeyMetadata"], "KeyId"), "KeySpec": "AES_256"});
    ask(&service, "GenerateDataKey", &body.to_string()).await.unwrap();
}

/// Creating, Updating and a rotation under way are seen for as long as they are set to last.
#[tokio::test(flavor = "multi_thread")]
async fn passing_states_are_seen() {
    let mut server = TestServer::start_with(|config| {
        (config.settling_delay, config.rotation_delay) = (600, 900);
    })
    .await
    .unwrap();
    let (west, east) = (server.client(ACCOUNT, REGION), server.client(ACCOUNT, "us-east-1"));
    let key = west.create_key().multi_region(true).send().await.unwrap().key_metadata.unwrap();
    let id = key.key_id();
    let state = async |kms: &aws_sdk_kms::Client| {
        let found = kms.describe_key().key_id(id).send().await.unwrap().key_metadata.unwrap();
        (found.key_state.unwrap().as_str().to_owned(), found.current_key_material_id)
    };
    west.replicate_key().key_id(id).replica_region("us-east-1").send().await.unwrap();
    assert_eq!(state(&east).await.0, "Creating");
    server.advance_unswept(Duration::from_secs(601)).unwrap();
    assert_eq!(state(&east).await.0, "Enabled");
    west.update_primary_region().key_id(id).primary_region("us-east-1").send().await.unwrap();
    assert_eq!(
        (state(&west).await.0, state(&east).await.0),
        ("Updating".into(), "Updating".into())
    );
    server.advance_unswept(Duration::from_secs(601)).unwrap();
    assert_eq!((state(&west).await.0, state(&east).await.0), ("Enabled".into(), "Enabled".into()));
    let (_, before) = state(&east).await;
    east.rotate_key_on_demand().key_id(id).send().await.unwrap();
    let started = async |kms: &aws_sdk_kms::Client| {
        let status = kms.get_key_rotation_status().key_id(id).send().await.unwrap();
        status.on_demand_rotation_start_date
    };
    assert!(started(&east).await.is_some());
    // No sweep: the rotation is completed on time for whoever looks, at the replica too.
    server.advance_unswept(Duration::from_secs(901)).unwrap();
    let (_, at_replica) = state(&west).await;
    assert_ne!(at_replica, before);
    assert_eq!(state(&east).await.1, at_replica);
    assert_eq!(started(&east).await, None);
}
