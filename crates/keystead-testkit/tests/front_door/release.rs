//! Stores and ciphertexts of earlier releases are of use for ever.
//!
//! `tests/fixtures/<release>/` holds a backup that the release made, the root key of that store
//! (made for this purpose, protecting nothing) and what the store was known to hold. Each release
//! adds its directory (`release_fixture.rs`), and never changes those of others.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystead_crypto::RootKey;
use keystead_model::{AccountId, GrantOperation, KeyId, Region};
use keystead_service::records::{GrantRecord, KeyRecord, decode, encode};
use keystead_service::{Access, MovableClock, Root, Service, ServiceSettings, paths};
use keystead_store::embedded::{Embedded, OpenOptions, restore};
use keystead_store::{KeyRange, Store, Write};
use keystead_testkit::invariants;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::support::{ACCOUNT, REGION, ask, ask_as, from_base64, text, to_base64};

pub(crate) const BACKUP: &str = "store.backup";
pub(crate) const ROOT_KEY: &str = "root-key.test-only";
pub(crate) const EXPECTED: &str = "expected.json";

/// An account that uses keys of `ACCOUNT` by grants alone.
pub(crate) const OTHER: &str = "444455556666";

/// What a store was known to hold.
#[derive(Serialize, Deserialize)]
pub(crate) struct Expected {
    /// When the backup was made, milliseconds since the epoch.
    pub(crate) moment: i64,
    pub(crate) keys: Vec<ExpectedKey>,
    pub(crate) ciphertexts: Vec<Ciphertext>,
    /// What is asked in this order, the first of all, and what must be answered. The later ones
    /// change the store.
    #[serde(default)]
    pub(crate) asked: Vec<Asked>,
}

/// A key; what is JSON here is as DescribeKey and the lists told it.
#[derive(Serialize, Deserialize)]
pub(crate) struct ExpectedKey {
    pub(crate) name: String,
    pub(crate) metadata: Value,
    pub(crate) aliases: Value,
    pub(crate) tags: Value,
    pub(crate) policy: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Ciphertext {
    /// The name of the key.
    pub(crate) key: String,
    pub(crate) context: HashMap<String, String>,
    /// Base64.
    pub(crate) blob: String,
    /// Base64.
    pub(crate) plaintext: String,
}

/// A request and its answer, of which each member must be found again.
#[derive(Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) operation: String,
    pub(crate) body: Value,
    pub(crate) answer: Value,
}

/// Whether a later answer has everything that an earlier one had. A later release may tell more.
fn has(later: &Value, earlier: &Value) -> bool {
    match (later, earlier) {
        (Value::Object(later), Value::Object(earlier)) => earlier
            .iter()
            .all(|(member, value)| later.get(member).is_some_and(|found| has(found, value))),
        (Value::Array(later), Value::Array(earlier)) => {
            later.len() == earlier.len()
                && later.iter().zip(earlier).all(|(later, earlier)| has(later, earlier))
        }
        _ => later == earlier,
    }
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

#[tokio::test]
async fn every_release_is_opened_and_decrypted() {
    let mut releases = 0;
    for entry in fs::read_dir(fixtures()).unwrap() {
        let fixture = entry.unwrap().path();
        if !fixture.is_dir() {
            continue;
        }
        println!("release {}", fixture.file_name().unwrap().display());
        opens(&fixture, false).await;
        opens(&fixture, true).await;
        releases += 1;
    }
    assert_eq!(releases, 2);
}

/// A fixture, restored.
struct Restored {
    expected: Expected,
    store: Arc<dyn Store>,
    root_file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Restored {
    fn new(fixture: &Path) -> Self {
        let expected: Expected =
            serde_json::from_slice(&fs::read(fixture.join(EXPECTED)).unwrap()).unwrap();
        assert!(!expected.keys.is_empty() && !expected.ciphertexts.is_empty());
        let folder = tempfile::tempdir().unwrap();
        // A checkout keeps no modes, and a root key that others may read is refused.
        let root_file = folder.path().join("root-key");
        fs::copy(fixture.join(ROOT_KEY), &root_file).unwrap();
        fs::set_permissions(&root_file, fs::Permissions::from_mode(0o600)).unwrap();
        let data = folder.path().join("data");
        restore(&fixture.join(BACKUP), &data).unwrap();
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(&data, &OpenOptions::default()).unwrap());
        Self { expected, store, root_file, _folder: folder }
    }

    async fn service(&self) -> Arc<Service> {
        let clock = Arc::new(MovableClock::default());
        // The moment of the backup: later, what was pending deletion is gone.
        clock.set(self.expected.moment);
        let root = Root::Key(RootKey::load_file(&self.root_file).unwrap());
        let (settings, store) = (ServiceSettings::default(), Arc::clone(&self.store));
        Service::open(settings, Access::Open, store, root, clock).await.unwrap()
    }

    /// Takes away the index of grants by grantee, which the first releases with grants did not have.
    async fn without_grantees(&self) {
        let found = self.store.scan(KeyRange::prefix(&b"grantee/"[..]), 100).await.unwrap();
        assert!(found.len() < 100);
        let mut writes: Vec<_> = found.into_iter().map(|(path, _)| Write::Delete(path)).collect();
        writes.push(Write::Delete(b"meta/grantees".to_vec()));
        self.store.commit(Vec::new(), writes).await.unwrap();
    }
}

async fn opens(fixture: &Path, without_grantees: bool) {
    let restored = Restored::new(fixture);
    if without_grantees {
        restored.without_grantees().await;
    }
    let (service, expected) = (restored.service().await, &restored.expected);
    invariants::check(&service).await.unwrap();

    let mut signing = 0;
    for Asked { account, region, operation, body, answer } in &expected.asked {
        let found = ask_as(&service, account, region, operation, &body.to_string()).await;
        let found = found.unwrap_or_else(|error| panic!("{operation} {body}: {error}"));
        assert!(has(&found, answer), "{operation} {body}: {found}, not {answer}");
        let key = &answer["KeyMetadata"];
        if key["KeyUsage"] == "SIGN_VERIFY" && key["KeyState"] == "Enabled" {
            signs(&service, region, key).await;
            signing += 1;
        }
    }
    assert!(expected.asked.is_empty() || signing > 10);
    invariants::check(&service).await.unwrap();
    for key in &expected.keys {
        let body = json!({"KeyId": key.metadata["KeyId"]}).to_string();
        let found = ask(&service, "DescribeKey", &body).await.unwrap();
        // A later release may tell more.
        for (member, value) in key.metadata.as_object().unwrap() {
            assert_eq!(found["KeyMetadata"][member], *value, "{} {member}", key.name);
        }
        let found = ask(&service, "ListAliases", &body).await.unwrap();
        assert_eq!(found["Aliases"], key.aliases, "{}", key.name);
        let found = ask(&service, "ListResourceTags", &body).await.unwrap();
        assert_eq!(found["Tags"], key.tags, "{}", key.name);
        let found = ask(&service, "GetKeyPolicy", &body).await.unwrap();
        assert_eq!(text(&found, "Policy"), key.policy, "{}", key.name);
    }
    for key in &expected.keys {
        let body = json!({"KeyId": key.metadata["KeyId"]}).to_string();
        match text(&key.metadata, "KeyState") {
            "PendingDeletion" => {
                ask(&service, "CancelKeyDeletion", &body).await.unwrap();
                ask(&service, "EnableKey", &body).await.unwrap();
            }
            "Disabled" => {
                ask(&service, "EnableKey", &body).await.unwrap();
            }
            _ => {}
        }
    }
    for ciphertext in &expected.ciphertexts {
        let key = expected.keys.iter().find(|key| key.name == ciphertext.key).unwrap();
        let body = json!({
            "CiphertextBlob": ciphertext.blob,
            "EncryptionContext": ciphertext.context,
        });
        let opened = ask(&service, "Decrypt", &body.to_string()).await.unwrap();
        assert_eq!(text(&opened, "Plaintext"), ciphertext.plaintext, "{}", ciphertext.key);
        assert_eq!(opened["KeyId"], key.metadata["Arn"]);
        assert_eq!(opened["KeyMaterialId"], key.metadata["CurrentKeyMaterialId"]);
        assert!(!from_base64(&ciphertext.plaintext).is_empty());
    }
}

/// The private key is the one that belongs to the public key of the record.
async fn signs(service: &Service, region: &str, key: &Value) {
    let mut body = json!({
        "KeyId": key["KeyId"], "SigningAlgorithm": key["SigningAlgorithms"][0],
        "Message": to_base64("signed by a later release"),
    });
    let made = ask_as(service, ACCOUNT, region, "Sign", &body.to_string()).await.unwrap();
    body["Signature"] = made["Signature"].clone();
    let verified = ask_as(service, ACCOUNT, region, "Verify", &body.to_string()).await.unwrap();
    assert_eq!(verified["SignatureValid"], true, "{key}");
}

/// A grant as the first releases with grants wrote it, found by its id alone: whoever it is for can
/// use the key once the store was opened, and no longer when it is revoked.
#[tokio::test]
async fn a_grant_of_an_older_store_opens_its_key() {
    let restored = Restored::new(&fixtures().join("0.1.0"));
    let expected = &restored.expected;
    let sealed = expected.ciphertexts.iter().find(|sealed| sealed.context.is_empty()).unwrap();
    let key = expected.keys.iter().find(|key| key.name == sealed.key).unwrap();
    let (account, region): (AccountId, Region) =
        (ACCOUNT.parse().unwrap(), REGION.parse().unwrap());
    let id: KeyId = text(&key.metadata, "KeyId").parse().unwrap();
    let grant_id = "ab".repeat(32);
    {
        let service = restored.service().await;
        let record_key = service.keyring().record_key();
        let path = paths::key(account, &region, id);
        let found = restored.store.read(&path).await.unwrap().unwrap();
        let mut record: KeyRecord = decode(record_key, &path, &found.value).unwrap();
        record.grants += 1;
        let mut writes =
            vec![Write::Put(path.clone(), encode(record_key, &path, &record).unwrap())];
        let grant = GrantRecord {
            grantee: format!("arn:aws:iam::{OTHER}:root"),
            retiring: None,
            issuer: account,
            operations: vec![GrantOperation::Decrypt],
            equals: None,
            subset: None,
            name: None,
            created: expected.moment,
            unknown: Map::new(),
        };
        let path = paths::grant(account, &region, id, &grant_id);
        writes.push(Write::Put(path.clone(), encode(record_key, &path, &grant).unwrap()));
        restored.store.commit(Vec::new(), writes).await.unwrap();
    }
    restored.without_grantees().await;

    let service = restored.service().await;
    let body = json!({"CiphertextBlob": sealed.blob}).to_string();
    let decrypt = async || ask_as(&service, OTHER, REGION, "Decrypt", &body).await;
    assert_eq!(text(&decrypt().await.unwrap(), "Plaintext"), sealed.plaintext);
    invariants::check(&service).await.unwrap();
    let revoke = json!({"KeyId": id.to_string(), "GrantId": grant_id}).to_string();
    ask(&service, "RevokeGrant", &revoke).await.unwrap();
    assert_eq!(decrypt().await, Err("AccessDeniedException"));
    invariants::check(&service).await.unwrap();
}
