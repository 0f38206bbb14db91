//! Stores and ciphertexts of earlier releases are of use for ever.
//!
//! `tests/fixtures/<release>/` holds a backup that the release made, the root key of that store
//! (made for this purpose, protecting nothing) and what the store was known to hold. Each release
//! adds its directory by `cargo test -p keystead-testkit --test front_door -- --ignored
//! write_the_fixture`, and never changes those of others.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeyPairSpec, OriginType, Tag};
use keystead_crypto::RootKey;
use keystead_service::{Access, MovableClock, Root, Service, ServiceSettings};
use keystead_store::Store;
use keystead_store::embedded::{Embedded, OpenOptions, backup, restore};
use keystead_testkit::TestServer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, REGION, ask, from_base64, text, to_base64};

const BACKUP: &str = "store.backup";
const ROOT_KEY: &str = "root-key.test-only";
const EXPECTED: &str = "expected.json";

/// What a store was known to hold.
#[derive(Serialize, Deserialize)]
struct Expected {
    /// When the backup was made, milliseconds since the epoch.
    moment: i64,
    keys: Vec<ExpectedKey>,
    ciphertexts: Vec<Ciphertext>,
}

/// A key; what is JSON here is as DescribeKey and the lists told it.
#[derive(Serialize, Deserialize)]
struct ExpectedKey {
    name: String,
    metadata: Value,
    aliases: Value,
    tags: Value,
    policy: String,
}

#[derive(Serialize, Deserialize)]
struct Ciphertext {
    /// The name of the key.
    key: String,
    context: HashMap<String, String>,
    /// Base64.
    blob: String,
    /// Base64.
    plaintext: String,
}

fn fixtures() -> PathBuf {
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
        opens(&fixture).await;
        releases += 1;
    }
    assert!(releases > 0);
}

async fn opens(fixture: &Path) {
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

    let store: Arc<dyn Store> = Arc::new(Embedded::open(&data, &OpenOptions::default()).unwrap());
    let clock = Arc::new(MovableClock::default());
    // The moment of the backup: later, what was pending deletion is gone.
    clock.set(expected.moment);
    let root = Root::Key(RootKey::load_file(&root_file).unwrap());
    let service =
        Service::open(ServiceSettings::default(), Access::Open, store, root, clock.clone());
    let service = service.await.unwrap();

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

/// Writes the fixture of the present release; not over one that is there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes into the source tree, once for each release"]
async fn write_the_fixture() {
    let fixture = fixtures().join(env!("CARGO_PKG_VERSION"));
    fs::create_dir(&fixture).expect("a fixture is written once");
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let mut writer = Writer { kms: &kms, names: Vec::new(), ciphertexts: Vec::new() };

    let plain = writer.key("plain", kms.create_key().description("plain")).await;
    for alias in ["alias/plain", "alias/also/plain"] {
        kms.create_alias().alias_name(alias).target_key_id(&plain).send().await.unwrap();
    }
    writer.encrypt("plain", &plain, "no context", &[]).await;
    writer.encrypt("plain", &plain, "some context", &[("purpose", "test"), ("größe", "½")]).await;
    writer.pair("plain", &plain, "ECC_NIST_P256").await;
    writer.pair("plain", &plain, "RSA_2048").await;

    let tag = |key: &str, value| Tag::builder().tag_key(key).tag_value(value).build().unwrap();
    let tagged = kms.create_key().tags(tag("stage", "test")).tags(tag("empty", ""));
    let tagged = writer.key("tagged, own policy", tagged).await;
    let policy = format!(
        "{{\"Version\":\"2012-10-17\",\"Id\":\"own\",\"Statement\":{{\"Effect\":\"Allow\",\"Principal\":\
         {{\"AWS\":\"arn:aws:iam::{ACCOUNT}:root\"}},\"Action\":\"kms:*\",\"Resource\":\"*\"}}}}"
    );
    kms.put_key_policy().key_id(&tagged).policy(policy).send().await.unwrap();
    writer.encrypt("tagged, own policy", &tagged, "tagged", &[("a", "")]).await;

    let multi = writer.key("multi-Region", kms.create_key().multi_region(true)).await;
    writer.encrypt("multi-Region", &multi, "multi", &[("a", "b")]).await;
    writer.key("external", kms.create_key().origin(OriginType::External)).await;
    let disabled = writer.key("disabled", kms.create_key()).await;
    writer.encrypt("disabled", &disabled, "of a disabled key", &[]).await;
    kms.disable_key().key_id(&disabled).send().await.unwrap();
    let pending = writer.key("pending deletion", kms.create_key()).await;
    writer.encrypt("pending deletion", &pending, "of a key about to go", &[]).await;
    kms.create_alias().alias_name("alias/going").target_key_id(&pending).send().await.unwrap();
    kms.schedule_key_deletion().key_id(&pending).send().await.unwrap();

    let (names, ciphertexts) = (writer.names, writer.ciphertexts);
    let mut keys = Vec::new();
    for (name, id) in names {
        let body = json!({"KeyId": id});
        let ask =
            async |operation| server.call(ACCOUNT, REGION, operation, &body).await.unwrap().body;
        keys.push(ExpectedKey {
            name,
            metadata: ask("DescribeKey").await["KeyMetadata"].clone(),
            aliases: ask("ListAliases").await["Aliases"].clone(),
            tags: ask("ListResourceTags").await["Tags"].clone(),
            policy: text(&ask("GetKeyPolicy").await, "Policy").to_owned(),
        });
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let moment = i64::try_from(now.as_millis()).unwrap();
    server.stop().await.unwrap();
    backup(server.data_dir(), &fixture.join(BACKUP)).unwrap();
    fs::copy(server.root_key_file(), fixture.join(ROOT_KEY)).unwrap();
    let expected = Expected { moment, keys, ciphertexts };
    let expected = serde_json::to_string_pretty(&expected).unwrap();
    fs::write(fixture.join(EXPECTED), expected + "\n").unwrap();
}

struct Writer<'c> {
    kms: &'c Client,
    /// Names and key ids.
    names: Vec<(String, String)>,
    ciphertexts: Vec<Ciphertext>,
}

type CreateKey = aws_sdk_kms::operation::create_key::builders::CreateKeyFluentBuilder;

impl Writer<'_> {
    async fn key(&mut self, name: &str, request: CreateKey) -> String {
        let id = request.send().await.unwrap().key_metadata.unwrap().key_id;
        self.names.push((name.to_owned(), id.clone()));
        id
    }

    async fn encrypt(&mut self, name: &str, id: &str, plaintext: &str, context: &[(&str, &str)]) {
        let context: HashMap<String, String> =
            context.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let request = self.kms.encrypt().key_id(id).plaintext(Blob::new(plaintext));
        let sealed = request.set_encryption_context(Some(context.clone())).send().await.unwrap();
        self.ciphertexts.push(Ciphertext {
            key: name.to_owned(),
            context,
            blob: to_base64(sealed.ciphertext_blob.unwrap()),
            plaintext: to_base64(plaintext),
        });
    }

    async fn pair(&mut self, name: &str, id: &str, spec: &str) {
        let request = self.kms.generate_data_key_pair().key_id(id);
        let pair = request.key_pair_spec(DataKeyPairSpec::from(spec)).send().await.unwrap();
        self.ciphertexts.push(Ciphertext {
            key: name.to_owned(),
            context: HashMap::new(),
            blob: to_base64(pair.private_key_ciphertext_blob.unwrap()),
            plaintext: to_base64(pair.private_key_plaintext.unwrap()),
        });
    }
}
