//! GetKeyLastUsage: which uses count, how exact the answer is, and what of it outlives what.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_kms::Client;
use aws_sdk_kms::error::SdkError;
use aws_sdk_kms::operation::RequestId as _;
use aws_sdk_kms::operation::get_key_last_usage::GetKeyLastUsageOutput;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    DataKeyPairSpec, DataKeySpec, EncryptionAlgorithmSpec, GrantOperation,
    KeyAgreementAlgorithmSpec, KeyLastUsageTrackingOperation as Tracked, KeySpec, KeyUsageType,
    MacAlgorithmSpec, SigningAlgorithmSpec, Tag,
};
use futures_util::future::join_all;
use keystead_testkit::fixtures::{CREATED, KeyFixture};
use keystead_testkit::{Outcome, TestServer, outcome};

use crate::support::{ACCOUNT, REGION, new_key, refused};

const ELSEWHERE: &str = "ap-south-1";
const DAY: Duration = Duration::from_secs(86_400);

async fn last_usage(kms: &Client, id: &str) -> GetKeyLastUsageOutput {
    kms.get_key_last_usage().key_id(id).send().await.unwrap()
}

/// Operation and request of the last use, if there is one.
async fn last_use(kms: &Client, id: &str) -> Option<(Tracked, String)> {
    let last = last_usage(kms, id).await.key_last_usage.expect("absent instead of empty");
    let request = last.kms_request_id?;
    assert!(last.timestamp.is_some() && last.cloud_trail_event_id.is_some());
    Some((last.operation.unwrap(), request))
}

async fn key_of(kms: &Client, spec: KeySpec, usage: KeyUsageType) -> String {
    let made = kms.create_key().key_spec(spec).key_usage(usage).send().await.unwrap();
    made.key_metadata.unwrap().key_id
}

async fn sealed(kms: &Client, id: &str) -> Blob {
    let made = kms.encrypt().key_id(id).plaintext(Blob::new("p")).send().await.unwrap();
    made.ciphertext_blob.unwrap()
}

/// The id of the request behind an output of the SDK.
macro_rules! request_of {
    ($builder:expr) => {
        $builder.send().await.unwrap().request_id().unwrap().to_owned()
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_counts_is_told_at_once() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await.key_id;
    let other = new_key(&kms).await.key_id;
    let signer = key_of(&kms, KeySpec::EccNistP256, KeyUsageType::SignVerify).await;
    let mac = key_of(&kms, KeySpec::Hmac256, KeyUsageType::GenerateVerifyMac).await;
    let agreer = key_of(&kms, KeySpec::EccNistP256, KeyUsageType::KeyAgreement).await;
    for id in [&key, &other, &signer, &mac, &agreer] {
        assert_eq!(last_use(&kms, id).await, None);
    }
    let mut seen = BTreeMap::new();
    let mut check = async |id: &str, operation: Tracked, request: String| {
        assert_eq!(last_use(&kms, id).await, Some((operation.clone(), request)), "{operation}");
        seen.insert(operation.as_str().to_owned(), ());
    };

    let blob = sealed(&kms, &other).await;
    let request = request_of!(kms.encrypt().key_id(&key).plaintext(Blob::new("p")));
    check(&key, Tracked::Encrypt, request).await;
    let request = request_of!(kms.decrypt().ciphertext_blob(blob.clone()));
    check(&other, Tracked::Decrypt, request).await;
    let request =
        request_of!(kms.re_encrypt().ciphertext_blob(blob.clone()).destination_key_id(&key));
    check(&key, Tracked::ReEncrypt, request.clone()).await;
    check(&other, Tracked::ReEncrypt, request).await;
    let request = request_of!(kms.generate_data_key().key_id(&key).key_spec(DataKeySpec::Aes256));
    check(&key, Tracked::GenerateDataKey, request).await;
    let without = kms.generate_data_key_without_plaintext().key_id(&key).number_of_bytes(1);
    check(&key, Tracked::GenerateDataKeyWithoutPlaintext, request_of!(without)).await;
    let spec = DataKeyPairSpec::EccNistP256;
    let pair = kms.generate_data_key_pair().key_id(&key).key_pair_spec(spec.clone());
    check(&key, Tracked::GenerateDataKeyPair, request_of!(pair)).await;
    let pair = kms.generate_data_key_pair_without_plaintext().key_id(&key).key_pair_spec(spec);
    check(&key, Tracked::GenerateDataKeyPairWithoutPlaintext, request_of!(pair)).await;

    let algorithm = SigningAlgorithmSpec::EcdsaSha256;
    let sign = kms.sign().key_id(&signer).message(Blob::new("m"));
    let signed = sign.signing_algorithm(algorithm.clone()).send().await.unwrap();
    check(&signer, Tracked::Sign, signed.request_id().unwrap().to_owned()).await;
    let verify = kms.verify().key_id(&signer).message(Blob::new("m")).signing_algorithm(algorithm);
    let request = request_of!(verify.signature(signed.signature.unwrap()));
    check(&signer, Tracked::Verify, request).await;
    let algorithm = MacAlgorithmSpec::HmacSha256;
    let generate = kms.generate_mac().key_id(&mac).message(Blob::new("m"));
    let made = generate.mac_algorithm(algorithm.clone()).send().await.unwrap();
    check(&mac, Tracked::GenerateMac, made.request_id().unwrap().to_owned()).await;
    let verify = kms.verify_mac().key_id(&mac).message(Blob::new("m")).mac_algorithm(algorithm);
    check(&mac, Tracked::VerifyMac, request_of!(verify.mac(made.mac.unwrap()))).await;
    let public = kms.get_public_key().key_id(&agreer).send().await.unwrap().public_key.unwrap();
    assert_eq!(last_use(&kms, &agreer).await, None);
    let derive = kms.derive_shared_secret().key_id(&agreer).public_key(public);
    let request = request_of!(derive.key_agreement_algorithm(KeyAgreementAlgorithmSpec::Ecdh));
    check(&agreer, Tracked::DeriveSharedSecret, request).await;

    let counted: Vec<&str> = seen.keys().map(String::as_str).collect();
    let mut model = keystead_model::KeyLastUsageTrackingOperation::WIRE.to_vec();
    model.sort_unstable();
    assert_eq!(counted, model);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_manages_a_key_or_needs_none_does_not_count() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let id = &new_key(&kms).await.key_id;
    let role = format!("arn:aws:iam::{ACCOUNT}:role/r");
    let tag = Tag::builder().tag_key("k").tag_value("v").build().unwrap();
    kms.describe_key().key_id(id).send().await.unwrap();
    kms.create_alias().alias_name("alias/a").target_key_id(id).send().await.unwrap();
    kms.list_aliases().key_id(id).send().await.unwrap();
    kms.tag_resource().key_id(id).tags(tag).send().await.unwrap();
    kms.list_resource_tags().key_id(id).send().await.unwrap();
    let grant = kms.create_grant().key_id(id).grantee_principal(&role);
    grant.operations(GrantOperation::Decrypt).send().await.unwrap();
    kms.list_grants().key_id(id).send().await.unwrap();
    kms.disable_key().key_id(id).send().await.unwrap();
    kms.enable_key().key_id(id).send().await.unwrap();
    kms.enable_key_rotation().key_id(id).send().await.unwrap();
    kms.rotate_key_on_demand().key_id(id).send().await.unwrap();
    kms.get_key_rotation_status().key_id(id).send().await.unwrap();
    kms.get_key_policy().key_id(id).send().await.unwrap();
    kms.update_key_description().key_id(id).description("d").send().await.unwrap();
    kms.generate_random().number_of_bytes(8).send().await.unwrap();
    kms.get_key_last_usage().key_id(id).send().await.unwrap();
    assert_eq!(last_use(&kms, id).await, None);
    server.service().unwrap().sweep().await.unwrap();
    assert_eq!(last_use(&kms, id).await, None);
    let store = server.service().unwrap().store().clone();
    assert!(store.scan(keystead_store::KeyRange::prefix("usage/"), 1).await.unwrap().is_empty());
}

fn failed<T: std::fmt::Debug, E: std::fmt::Debug>(result: Result<T, SdkError<E>>) {
    assert!(matches!(result, Err(SdkError::ServiceError(_))), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_and_dry_runs_do_not_count() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let id = &new_key(&kms).await.key_id;
    let rsa = &key_of(&kms, KeySpec::Rsa2048, KeyUsageType::EncryptDecrypt).await;
    let signer = &key_of(&kms, KeySpec::EccNistP256, KeyUsageType::SignVerify).await;
    let mac = &key_of(&kms, KeySpec::Hmac256, KeyUsageType::GenerateVerifyMac).await;
    let long = kms.encrypt().key_id(id).plaintext(Blob::new([1; 300])).send().await.unwrap();
    let known = Some((Tracked::Encrypt, long.request_id().unwrap().to_owned()));
    let long = long.ciphertext_blob.unwrap();

    // A wrong context, no ciphertext at all, one that the destination has no room for.
    let context = kms.decrypt().ciphertext_blob(long.clone()).encryption_context("k", "v");
    failed(context.send().await);
    failed(kms.decrypt().key_id(id).ciphertext_blob(Blob::new("none")).send().await);
    let algorithm = EncryptionAlgorithmSpec::RsaesOaepSha256;
    let again = kms.re_encrypt().ciphertext_blob(long.clone()).destination_key_id(rsa);
    failed(again.destination_encryption_algorithm(algorithm).send().await);
    // A usage the key does not have, a state that forbids it, too much plaintext.
    let sign = kms.sign().key_id(id).message(Blob::new("m"));
    failed(sign.signing_algorithm(SigningAlgorithmSpec::EcdsaSha256).send().await);
    failed(kms.encrypt().key_id(id).plaintext(Blob::new([1; 4097])).send().await);
    kms.disable_key().key_id(id).send().await.unwrap();
    failed(kms.encrypt().key_id(id).plaintext(Blob::new("p")).send().await);
    kms.enable_key().key_id(id).send().await.unwrap();
    // Another account.
    let stranger = server.client("444455556666", REGION);
    failed(stranger.decrypt().ciphertext_blob(long.clone()).send().await);
    // Signatures and MACs that are none.
    let none = Blob::new([1; 32]);
    let verify = kms.verify().key_id(signer).message(Blob::new("m")).signature(none.clone());
    failed(verify.signing_algorithm(SigningAlgorithmSpec::EcdsaSha256).send().await);
    let verify = kms.verify_mac().key_id(mac).message(Blob::new("m")).mac(none);
    failed(verify.mac_algorithm(MacAlgorithmSpec::HmacSha256).send().await);
    // Dry runs, which succeed by failing.
    failed(kms.encrypt().key_id(id).plaintext(Blob::new("p")).dry_run(true).send().await);
    failed(kms.decrypt().ciphertext_blob(long.clone()).dry_run(true).send().await);
    let again = kms.re_encrypt().ciphertext_blob(long).destination_key_id(id);
    failed(again.dry_run(true).send().await);
    failed(kms.generate_data_key().key_id(id).number_of_bytes(1).dry_run(true).send().await);

    assert_eq!(last_use(&kms, id).await, known);
    for unused in [rsa, signer, mac] {
        assert_eq!(last_use(&kms, unused).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_as_the_guide_shows_it() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let id = &key.key_id;
    let unused = last_usage(&kms, key.arn.as_deref().unwrap()).await;
    assert_eq!(unused.key_id.as_deref(), Some(id.as_str()));
    assert_eq!(unused.key_creation_date, key.creation_date);
    assert_eq!(unused.tracking_start_date, key.creation_date);
    let before = SystemTime::now() - Duration::from_millis(1);
    sealed(&kms, id).await;
    let after = SystemTime::now();
    let used = last_usage(&kms, id).await;
    assert_eq!(used.tracking_start_date, key.creation_date);
    let last = used.key_last_usage.unwrap();
    let moment = SystemTime::try_from(last.timestamp.unwrap()).unwrap();
    assert!((before..=after).contains(&moment));
    let (event, request) = (last.cloud_trail_event_id.unwrap(), last.kms_request_id.unwrap());
    assert_eq!(event.len(), 36);
    assert_ne!(event, request);
    // A key from before this store tracked anything.
    let old = KeyFixture::new(ACCOUNT, REGION).unwrap();
    let old = old.lay(server.service().unwrap()).await.unwrap();
    let unused = last_usage(&kms, &old.id).await;
    let created = unused.key_creation_date.unwrap().to_millis().unwrap();
    let tracked = unused.tracking_start_date.unwrap().to_millis().unwrap();
    let began = key.creation_date.unwrap().to_millis().unwrap();
    assert!(created == CREATED && tracked > created && tracked <= began);

    let alias = kms.create_alias().alias_name("alias/a").target_key_id(id);
    alias.send().await.unwrap();
    for name in ["alias/a".to_owned(), format!("arn:aws:kms:{REGION}:{ACCOUNT}:alias/a")] {
        let text = "Key Aliases are not supported for this operation.".to_owned();
        let found = outcome(kms.get_key_last_usage().key_id(&name).send().await);
        assert_eq!(found, refused("InvalidArnException", text));
    }
    let stranger = server.client("444455556666", REGION);
    let denied = stranger.get_key_last_usage().key_id(key.arn.unwrap()).send().await;
    let Outcome::Refused { name, .. } = outcome(denied) else { panic!("allowed") };
    assert_eq!(name, "AccessDeniedException");
}

#[tokio::test(flavor = "multi_thread")]
async fn re_encrypt_is_told_of_both_keys_with_one_event() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let (source, destination) = (new_key(&kms).await.key_id, new_key(&kms).await.key_id);
    let blob = sealed(&kms, &source).await;
    let again = kms.re_encrypt().ciphertext_blob(blob).destination_key_id(&destination);
    let request = request_of!(again);
    let (one, two) = (last_usage(&kms, &source).await, last_usage(&kms, &destination).await);
    // One account has one record of the request in its trail.
    assert_eq!(one.key_last_usage, two.key_last_usage);
    let last = one.key_last_usage.unwrap();
    assert_eq!(last.operation, Some(Tracked::ReEncrypt));
    assert_eq!(last.kms_request_id, Some(request));
}

#[tokio::test(flavor = "multi_thread")]
async fn related_keys_are_used_each_for_itself() {
    let mut server = TestServer::start().await.unwrap();
    let (kms, there) = (server.client(ACCOUNT, REGION), server.client(ACCOUNT, ELSEWHERE));
    let key = kms.create_key().multi_region(true).send().await.unwrap();
    let id = &key.key_metadata.unwrap().key_id;
    kms.replicate_key().key_id(id).replica_region(ELSEWHERE).send().await.unwrap();
    let blob = sealed(&kms, id).await;
    let of_primary = last_use(&kms, id).await;
    assert!(of_primary.is_some());
    assert_eq!(last_use(&there, id).await, None);
    let request = request_of!(there.decrypt().ciphertext_blob(blob));
    let of_replica = Some((Tracked::Decrypt, request));
    for _ in 0..2 {
        let (kms, there) = (server.client(ACCOUNT, REGION), server.client(ACCOUNT, ELSEWHERE));
        assert_eq!(last_use(&kms, id).await, of_primary);
        assert_eq!(last_use(&there, id).await, of_replica);
        server.restart().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_end_loses_nothing() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let (key, swept, unused) = (new_key(&kms).await, new_key(&kms).await, new_key(&kms).await);
    sealed(&kms, &swept.key_id).await;
    server.service().unwrap().sweep().await.unwrap();
    sealed(&kms, &swept.key_id).await;
    sealed(&kms, &key.key_id).await;
    let ids = [&key.key_id, &swept.key_id, &unused.key_id];
    let all = async |kms: &Client| {
        let found = join_all(ids.iter().map(|id| last_usage(kms, id))).await;
        let parts =
            found.into_iter().map(|found| (found.key_last_usage, found.tracking_start_date));
        parts.collect::<Vec<_>>()
    };
    let before = all(&kms).await;
    for _ in 0..2 {
        server.restart().await.unwrap();
        assert_eq!(all(&server.client(ACCOUNT, REGION)).await, before);
    }
    // Nothing is written when nothing was used.
    assert_eq!(server.service().unwrap().write_usage().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_counts_by_the_clock_that_was_moved() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let id = &new_key(&kms).await.key_id;
    let moment = async || last_usage(&kms, id).await.key_last_usage.unwrap().timestamp.unwrap();
    sealed(&kms, id).await;
    let first = moment().await;
    server.advance(400 * DAY).await.unwrap();
    assert_eq!(moment().await, first);
    sealed(&kms, id).await;
    let later = moment().await;
    assert!(later.secs() >= first.secs() + 400 * 86_400);
    // In the store by now. A clock that is set back does not keep the last use in the future.
    server.service().unwrap().sweep().await.unwrap();
    server.set_back(400 * DAY).unwrap();
    assert_eq!(moment().await, later);
    sealed(&kms, id).await;
    let last = moment().await;
    assert!(last.secs() < later.secs() && last.secs() >= first.secs());
    server.service().unwrap().sweep().await.unwrap();
    assert_eq!(moment().await, last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_clients_the_latest_request_is_told() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let id = new_key(&kms).await.key_id;
    let service = server.service().unwrap().clone();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sweeper = tokio::spawn({
        let stop = stop.clone();
        async move {
            let mut written = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                written += service.write_usage().await.unwrap();
                tokio::task::yield_now().await;
            }
            written
        }
    });
    let tasks = (0..64).map(|_| {
        let (kms, id) = (server.client(ACCOUNT, REGION), id.clone());
        tokio::spawn(async move {
            let mut requests = Vec::new();
            for _ in 0..8 {
                let begun = Instant::now();
                let request = request_of!(kms.encrypt().key_id(&id).plaintext(Blob::new("p")));
                requests.push((request, begun, Instant::now()));
            }
            requests
        })
    });
    let done = join_all(tasks).await;
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(sweeper.await.unwrap() > 1, "the notes never went over while the key was used");
    let requests: Vec<_> = done.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(requests.len(), 512);
    for _ in 0..2 {
        let (_, last) = last_use(&kms, &id).await.unwrap();
        let (_, _, ended) = requests.iter().find(|(request, ..)| *request == last).unwrap();
        // None began after it had been answered.
        assert!(requests.iter().all(|(_, begun, _)| begun <= ended));
        server.service().unwrap().sweep().await.unwrap();
    }
}
