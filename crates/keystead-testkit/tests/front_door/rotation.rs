//! Rotation under a clock that is moved: by schedule, on demand, and of the domain key below.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::operation::get_key_rotation_status::GetKeyRotationStatusOutput as Status;
use aws_sdk_kms::primitives::{Blob, DateTime};
use keystead_crypto::{RootKey, wrapped_epoch};
use keystead_service::keyring::rotate_domain_key;
use keystead_service::{Access, Clock, MovableClock, Root, Service, ServiceSettings};
use keystead_store::embedded::{Embedded, OpenOptions};
use keystead_store::memory::Memory;
use keystead_store::{KeyRange, Store};
use keystead_testkit::{Outcome, TestServer, outcome};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, REGION, ask, new_key, open, refused, table, text, to_base64};

const DAY: Duration = Duration::from_secs(86_400);

async fn seal(kms: &Client, id: &str, plaintext: &str) -> Blob {
    let sealed = kms.encrypt().key_id(id).plaintext(Blob::new(plaintext)).send().await.unwrap();
    sealed.ciphertext_blob.unwrap()
}

/// Opens a ciphertext and answers the id of the material it was made with.
async fn opens(kms: &Client, blob: &Blob, plaintext: &str) -> String {
    let opened = kms.decrypt().ciphertext_blob(blob.clone()).send().await.unwrap();
    assert_eq!(opened.plaintext.unwrap().as_ref(), plaintext.as_bytes());
    opened.key_material_id.unwrap()
}

/// Dates come over the wire as decimal fractions of seconds, which the SDK reads as floating point.
#[allow(clippy::cast_possible_truncation, reason = "dates of this era")]
fn millis(date: &DateTime) -> i64 {
    (date.as_secs_f64() * 1_000.0).round() as i64
}

async fn status(kms: &Client, id: &str) -> Status {
    kms.get_key_rotation_status().key_id(id).send().await.unwrap()
}

async fn current_material(kms: &Client, id: &str) -> String {
    let key = kms.describe_key().key_id(id).send().await.unwrap().key_metadata.unwrap();
    key.current_key_material_id.unwrap()
}

async fn rotations(kms: &Client, id: &str) -> Vec<(String, i64)> {
    let listed = kms.list_key_rotations().key_id(id).send().await.unwrap().rotations.unwrap();
    let of = |entry: aws_sdk_kms::types::RotationsListEntry| {
        let kind = entry.rotation_type.unwrap().as_str().to_owned();
        (kind, millis(&entry.rotation_date.unwrap()))
    };
    listed.into_iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_rotations_and_every_generation_decrypts() {
    let mut server = TestServer::start().await.unwrap();
    let mut kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let (id, arn) = (key.key_id(), key.arn().unwrap());
    kms.enable_key_rotation().key_id(id).rotation_period_in_days(90).send().await.unwrap();
    let first = status(&kms, id).await;
    assert!(first.key_rotation_enabled);
    assert_eq!((first.key_id.as_deref(), first.rotation_period_in_days), (Some(arn), Some(90)));
    let first_date = millis(&first.next_rotation_date.unwrap());

    let mut generations = vec![seal(&kms, id, "generation 0").await];
    for generation in 1..=10 {
        server.advance(90 * DAY).await.unwrap();
        if generation == 5 {
            server.restart().await.unwrap();
            kms = server.client(ACCOUNT, REGION);
        }
        generations.push(seal(&kms, id, &format!("generation {generation}")).await);
    }
    let mut materials = Vec::new();
    for (generation, blob) in generations.iter().enumerate() {
        materials.push(opens(&kms, blob, &format!("generation {generation}")).await);
    }
    assert_eq!(materials[10], current_material(&kms, id).await);
    materials.sort();
    materials.dedup();
    assert_eq!(materials.len(), 11);
    let period = i64::try_from((90 * DAY).as_millis()).unwrap();
    let expected: Vec<_> =
        (0..10).map(|number| ("AUTOMATIC".to_owned(), first_date + number * period)).collect();
    assert_eq!(rotations(&kms, id).await, expected);
    let next = millis(&status(&kms, id).await.next_rotation_date.unwrap());
    assert_eq!(next, first_date + 10 * period);

    // All of it is still so after another start.
    server.restart().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    for (generation, blob) in generations.iter().enumerate() {
        opens(&kms, blob, &format!("generation {generation}")).await;
    }
    kms.disable_key_rotation().key_id(id).send().await.unwrap();
    let off = status(&kms, id).await;
    assert!(!off.key_rotation_enabled);
    assert_eq!((off.rotation_period_in_days, off.next_rotation_date), (None, None));
    server.advance(400 * DAY).await.unwrap();
    assert_eq!(rotations(&kms, id).await.len(), 10);
}

/// A clock that leaps over many dates carries them all out, each at its date.
#[tokio::test(flavor = "multi_thread")]
async fn a_leap_makes_up_for_every_date() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let id = key.key_id();
    let before = seal(&kms, id, "before").await;
    kms.enable_key_rotation().key_id(id).rotation_period_in_days(90).send().await.unwrap();
    server.advance(90 * 60 * DAY + DAY).await.unwrap();
    let found = rotations(&kms, id).await;
    assert_eq!(found.len(), 60);
    let period = i64::try_from((90 * DAY).as_millis()).unwrap();
    assert!(found.windows(2).all(|pair| pair[1].1 - pair[0].1 == period));
    opens(&kms, &before, "before").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_key_rests_and_catches_up_once() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let id = key.key_id();
    kms.enable_key_rotation().key_id(id).rotation_period_in_days(90).send().await.unwrap();
    let blob = seal(&kms, id, "before").await;
    let material = current_material(&kms, id).await;
    kms.disable_key().key_id(id).send().await.unwrap();
    server.advance(300 * DAY).await.unwrap();
    assert_eq!(rotations(&kms, id).await, []);
    assert_eq!(current_material(&kms, id).await, material);
    assert!(status(&kms, id).await.key_rotation_enabled);

    kms.enable_key().key_id(id).send().await.unwrap();
    assert_eq!(rotations(&kms, id).await.len(), 1);
    assert_ne!(current_material(&kms, id).await, material);
    opens(&kms, &blob, "before").await;
    server.advance(89 * DAY).await.unwrap();
    assert_eq!(rotations(&kms, id).await.len(), 1);
    server.advance(DAY).await.unwrap();
    assert_eq!(rotations(&kms, id).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setting_outlives_a_cancelled_deletion() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let id = key.key_id();
    kms.enable_key_rotation().key_id(id).rotation_period_in_days(100).send().await.unwrap();
    let date = status(&kms, id).await.next_rotation_date;
    let schedule = kms.schedule_key_deletion().key_id(id).pending_window_in_days(30);
    schedule.send().await.unwrap();
    let pending = status(&kms, id).await;
    assert!(!pending.key_rotation_enabled);
    assert_eq!((pending.rotation_period_in_days, pending.next_rotation_date), (None, None));
    kms.cancel_key_deletion().key_id(id).send().await.unwrap();
    let back = status(&kms, id).await;
    assert!(back.key_rotation_enabled);
    assert_eq!((back.rotation_period_in_days, back.next_rotation_date), (Some(100), date));
    kms.enable_key().key_id(id).send().await.unwrap();
    server.advance(101 * DAY).await.unwrap();
    assert_eq!(rotations(&kms, id).await.len(), 1);
}

/// A clock that stands still.
#[derive(Default)]
struct Standing(AtomicI64);

impl Clock for Standing {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The deletion and the rotation of a key may be due at one moment.
#[tokio::test]
async fn a_deletion_at_the_moment_of_a_rotation() {
    const DAY: i64 = 86_400_000;
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let clock = Arc::new(Standing::default());
    let root = Root::Key(RootKey::generate().unwrap());
    let service = Service::open(
        ServiceSettings::default(),
        Access::Open,
        Arc::clone(&store),
        root,
        clock.clone(),
    );
    let service = service.await.unwrap();
    for cancelled in [true, false] {
        let begin = clock.now();
        let key = ask(&service, "CreateKey", "{}").await.unwrap();
        let by_id = json!({"KeyId": text(&key["KeyMetadata"], "KeyId")});
        let mut request = by_id.clone();
        request["RotationPeriodInDays"] = json!(90);
        ask(&service, "EnableKeyRotation", &request.to_string()).await.unwrap();
        clock.0.store(begin + 60 * DAY, Ordering::SeqCst);
        let mut request = by_id.clone();
        request["PendingWindowInDays"] = json!(30);
        ask(&service, "ScheduleKeyDeletion", &request.to_string()).await.unwrap();
        let by_id = by_id.to_string();
        if cancelled {
            ask(&service, "CancelKeyDeletion", &by_id).await.unwrap();
            ask(&service, "EnableKey", &by_id).await.unwrap();
        }
        clock.0.store(begin + 90 * DAY, Ordering::SeqCst);
        assert_eq!(service.sweep().await.unwrap(), u64::from(!cancelled));
        if cancelled {
            let listed = ask(&service, "ListKeyRotations", &by_id).await.unwrap();
            assert_eq!(listed["Rotations"].as_array().unwrap().len(), 1);
            // Another period may end where the old one would have.
            let mut request: Value = serde_json::from_str(&by_id).unwrap();
            clock.0.store(begin + 90 * DAY + 10 * DAY, Ordering::SeqCst);
            request["RotationPeriodInDays"] = json!(100);
            ask(&service, "EnableKeyRotation", &request.to_string()).await.unwrap();
            clock.0.store(begin + 90 * DAY + 20 * DAY, Ordering::SeqCst);
            request["RotationPeriodInDays"] = json!(90);
            ask(&service, "EnableKeyRotation", &request.to_string()).await.unwrap();
            assert_eq!(store.scan(KeyRange::prefix("due/"), 9).await.unwrap().len(), 1);
            ask(&service, "DisableKeyRotation", &by_id).await.unwrap();
        } else {
            assert_eq!(ask(&service, "DescribeKey", &by_id).await, Err("NotFoundException"));
        }
        assert!(store.scan(KeyRange::prefix("due/"), 1).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_five_rotations_on_demand_and_no_more() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let (id, arn) = (key.key_id(), key.arn().unwrap());
    kms.enable_key_rotation().key_id(id).send().await.unwrap();
    let scheduled = status(&kms, id).await;
    assert_eq!(scheduled.rotation_period_in_days, Some(365));
    let mut generations = vec![seal(&kms, id, "0").await];
    for generation in 1..=25 {
        let rotated = kms.rotate_key_on_demand().key_id(id).send().await.unwrap();
        assert_eq!(rotated.key_id.as_deref(), Some(arn));
        generations.push(seal(&kms, id, &generation.to_string()).await);
    }
    let limit = refused(
        "LimitExceededException",
        format!(
            "The on-demand rotations limit has been reached for the given keyId. No more on-demand \
             rotations can be performed for this key: {arn}"
        ),
    );
    assert_eq!(outcome(kms.rotate_key_on_demand().key_id(id).send().await), limit);
    let mut materials = Vec::new();
    for (generation, blob) in generations.iter().enumerate() {
        materials.push(opens(&kms, blob, &generation.to_string()).await);
    }
    materials.sort();
    materials.dedup();
    assert_eq!(materials.len(), 26);
    let found = rotations(&kms, id).await;
    assert_eq!(found.len(), 25);
    assert!(found.iter().all(|(kind, _)| kind == "ON_DEMAND"));
    // The schedule stays as it was.
    assert_eq!(status(&kms, id).await.next_rotation_date, scheduled.next_rotation_date);
}

/// The pages of a list of rotations, with and without the first material.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_rotations_in_pages() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let id = key.key_id();
    for _ in 0..5 {
        kms.rotate_key_on_demand().key_id(id).send().await.unwrap();
    }
    for (include, expected) in [("ROTATIONS_ONLY", 5), ("ALL_KEY_MATERIAL", 6)] {
        let (mut found, mut marker, mut pages) = (Vec::new(), None, 0);
        loop {
            let request = kms.list_key_rotations().key_id(id).limit(2).set_marker(marker);
            let page = request.include_key_material(include.into()).send().await.unwrap();
            let entries = page.rotations.unwrap().into_iter();
            found.extend(entries.map(|entry| entry.key_material_id.unwrap()));
            pages += 1;
            assert_eq!(page.truncated, page.next_marker.is_some());
            if page.next_marker.is_none() {
                break;
            }
            marker = page.next_marker;
        }
        assert_eq!(pages, 3, "{include}");
        assert_eq!(found.last(), Some(&current_material(&kms, id).await), "{include}");
        found.sort();
        found.dedup();
        assert_eq!(found.len(), expected, "{include}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_on_demand_that_takes_its_time() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let clock = Arc::new(MovableClock::default());
    let root = Root::Key(RootKey::generate().unwrap());
    let settings = ServiceSettings { rotation_delay: 3_600_000, ..ServiceSettings::default() };
    let service = Service::open(settings, Access::Open, store, root, clock.clone()).await.unwrap();
    let key = ask(&service, "CreateKey", "{}").await.unwrap();
    let material = key["KeyMetadata"]["CurrentKeyMaterialId"].clone();
    let by_id = json!({"KeyId": text(&key["KeyMetadata"], "KeyId")}).to_string();
    ask(&service, "RotateKeyOnDemand", &by_id).await.unwrap();
    assert_eq!(ask(&service, "RotateKeyOnDemand", &by_id).await, Err("ConflictException"));
    let current = async || {
        service.sweep().await.unwrap();
        let status = ask(&service, "GetKeyRotationStatus", &by_id).await.unwrap();
        let key = ask(&service, "DescribeKey", &by_id).await.unwrap();
        (status, key["KeyMetadata"]["CurrentKeyMaterialId"].clone())
    };
    clock.advance(3_000_000);
    let (status, found) = current().await;
    assert_eq!(status["KeyRotationEnabled"], false);
    assert!(status["OnDemandRotationStartDate"].is_number(), "{status}");
    assert_eq!(found, material);
    clock.advance(700_000);
    let (status, found) = current().await;
    assert_eq!(status.get("OnDemandRotationStartDate"), None);
    assert_ne!(found, material);
    let listed = ask(&service, "ListKeyRotations", &by_id).await.unwrap();
    assert_eq!(listed["Rotations"].as_array().unwrap().len(), 1);
    assert_eq!(
        ask(&service, "RotateKeyOnDemand", &by_id).await,
        Ok(json!({"KeyId": key["KeyMetadata"]["Arn"]}))
    );
}

/// An automatic rotation due in twenty minutes stands in the way of one on demand.
#[tokio::test(flavor = "multi_thread")]
async fn a_near_automatic_rotation_is_a_conflict() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let id = key.key_id();
    kms.enable_key_rotation().key_id(id).rotation_period_in_days(90).send().await.unwrap();
    server.advance(90 * DAY - Duration::from_secs(600)).await.unwrap();
    let found = outcome(kms.rotate_key_on_demand().key_id(id).send().await);
    assert!(
        matches!(&found, Outcome::Refused { name, .. } if name == "ConflictException"),
        "{found:?}"
    );
    server.advance(Duration::from_secs(700)).await.unwrap();
    kms.rotate_key_on_demand().key_id(id).send().await.unwrap();
    let kinds: Vec<_> = rotations(&kms, id).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["AUTOMATIC", "ON_DEMAND"]);
}

/// The domain key's rotation takes along the material of every kind of key, every generation of
/// it; grant tokens of before are of no use after it, their grants stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_domain_key_opens_keys_of_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("root-key"));
    let root = || Root::Key(RootKey::load_file(&file).unwrap());
    RootKey::create_file(&file).unwrap();
    let options = OpenOptions { create: true, ..OpenOptions::default() };
    let reopen = || -> Arc<dyn Store> { Arc::new(Embedded::open(&data, &options).unwrap()) };
    let store = reopen();
    let service = open(&store, root()).await;
    // What is asked afterwards, and the member of the answer that must be as it is here.
    let mut later: Vec<(&str, String, &str, Value)> = Vec::new();
    let mut materials = 0;
    for row in table(include_str!("../../testdata/usages.csv")) {
        if row[0] == "SM2" {
            continue;
        }
        let request = json!({"KeySpec": row[0], "KeyUsage": row[1]}).to_string();
        let key = ask(&service, "CreateKey", &request).await.unwrap();
        materials += 1;
        let algorithm = row[2].split(' ').next().unwrap();
        let (request, undo, answer, check) = match row[1] {
            "SIGN_VERIFY" => ("Sign", "Sign", "Signature", "SigningAlgorithm"),
            "GENERATE_VERIFY_MAC" => ("GenerateMac", "VerifyMac", "Mac", "MacAlgorithm"),
            "ENCRYPT_DECRYPT" => ("Encrypt", "Decrypt", "CiphertextBlob", "EncryptionAlgorithm"),
            _ => ("DeriveSharedSecret", "DeriveSharedSecret", "SharedSecret", "SharedSecret"),
        };
        let mut body = json!({
            "KeyId": key["KeyMetadata"]["KeyId"],
            "Message": to_base64("message"),
            "Plaintext": to_base64("message"),
            "SigningAlgorithm": algorithm,
            "MacAlgorithm": algorithm,
            "EncryptionAlgorithm": algorithm,
            "KeyAgreementAlgorithm": "ECDH",
        });
        if request == "DeriveSharedSecret" {
            let spec = keystead_crypto::PairSpec::parse(row[0]).unwrap();
            let peer = keystead_crypto::generate_pair(spec).unwrap();
            body["PublicKey"] = json!(to_base64(peer.public_spki));
        }
        let done = ask(&service, request, &body.to_string()).await.unwrap();
        body[answer] = done[answer].clone();
        later.push((undo, body.to_string(), check, done[check].clone()));
    }
    let key = ask(&service, "CreateKey", "{}").await.unwrap();
    let id = text(&key["KeyMetadata"], "KeyId").to_owned();
    let by_id = json!({"KeyId": id}).to_string();
    for generation in 0..3 {
        let plaintext = to_base64(format!("generation {generation}"));
        let body = json!({"KeyId": id, "Plaintext": plaintext}).to_string();
        let sealed = ask(&service, "Encrypt", &body).await.unwrap();
        let body = json!({"CiphertextBlob": sealed["CiphertextBlob"]}).to_string();
        later.push(("Decrypt", body, "Plaintext", json!(plaintext)));
        ask(&service, "RotateKeyOnDemand", &by_id).await.unwrap();
    }
    materials += 4;
    let grant = json!({
        "KeyId": id,
        "GranteePrincipal": format!("arn:aws:iam::{ACCOUNT}:role/r"),
        "Operations": ["Decrypt"],
    });
    let granted = ask(&service, "CreateGrant", &grant.to_string()).await.unwrap();
    drop(service);
    store.close().await.unwrap();

    let store = reopen();
    let rotation = rotate_domain_key(store.as_ref(), root()).await.unwrap();
    assert_eq!((rotation.rewrapped, rotation.destroyed), (materials, 1));
    for (path, found) in store.scan(KeyRange::prefix("material/"), 1_000).await.unwrap() {
        assert_eq!(wrapped_epoch(&found.value), Some(2), "{}", path.escape_ascii());
    }
    store.close().await.unwrap();
    let store = reopen();
    let service = open(&store, root()).await;
    for (operation, body, member, expected) in &later {
        let found = ask(&service, operation, body).await;
        assert_eq!(found.as_ref().map(|found| &found[member]), Ok(expected), "{operation} {body}");
    }
    let token = json!({"GrantToken": granted["GrantToken"]}).to_string();
    assert_eq!(ask(&service, "RetireGrant", &token).await, Err("InvalidGrantTokenException"));
    let listed = ask(&service, "ListGrants", &by_id).await.unwrap();
    assert_eq!(listed["Grants"][0]["GrantId"], granted["GrantId"]);
    store.close().await.unwrap();
}
