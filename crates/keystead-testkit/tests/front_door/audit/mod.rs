//! The audit trail as its readers find it: what each operation leaves there, and what never.

mod accounts;
mod faults;
mod golden;
mod scenario;

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use keystead_crypto::RootKey;
use keystead_service::{
    AuditSettings, Clock, RawRequest, RequestId, Root, Service, ServiceSettings,
};
use keystead_store::Store;
use keystead_store::memory::Memory;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{ACCOUNT, REGION, from_base64};

/// 2026-01-05T10:07:31Z.
const BEGIN: i64 = 1_767_607_651_000;

/// A clock that stands until it is moved.
struct Still(AtomicI64);

impl Clock for Still {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A service that keeps an audit trail.
struct Audited {
    service: Arc<Service>,
    clock: Arc<Still>,
    store: Arc<dyn Store>,
    folder: TempDir,
    requests: AtomicU64,
    secrets: Mutex<BTreeSet<Vec<u8>>>,
}

impl Audited {
    async fn open() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut AuditSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        RootKey::create_file(&folder.path().join("root-key")).unwrap();
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let clock = Arc::new(Still(AtomicI64::new(BEGIN)));
        let mut settings = AuditSettings::new(folder.path().join("audit"));
        change(&mut settings);
        let service = start(&folder, &store, &clock, settings).await;
        let (requests, secrets) = (AtomicU64::new(0), Mutex::default());
        Self { service, clock, store, folder, requests, secrets }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    /// Ends the service and begins another one over the same store and the same trail.
    async fn restart(&mut self) {
        let settings = AuditSettings::new(self.directory());
        self.service = start(&self.folder, &self.store, &self.clock, settings).await;
    }

    fn advance(&self, days: i64) {
        self.clock.0.fetch_add(days * 86_400_000, Ordering::Relaxed);
    }

    /// Asks in the usual account.
    async fn ask(&self, operation: &str, body: Value) -> Result<Value, String> {
        self.ask_as(ACCOUNT, operation, body).await.1
    }

    /// Asks, and answers the id of the request, too.
    async fn ask_as(
        &self,
        account: &str,
        operation: &str,
        body: Value,
    ) -> (String, Result<Value, String>) {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let mut id = [0; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        let id = RequestId(id);
        let signature = format!("{number:064x}");
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={account}/20260105/{REGION}/kms/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        let token = format!("session-token-{number:032x}");
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", format!("TrentService.{operation}").parse().unwrap());
        headers.insert("x-amz-date", "20260105T100731Z".parse().unwrap());
        headers.insert("x-amz-security-token", token.parse().unwrap());
        headers.insert("user-agent", "test-client/1.0".parse().unwrap());
        headers.insert("authorization", authorization.parse().unwrap());
        self.hide(signature.as_bytes());
        self.hide(token.as_bytes());
        self.harvest(&body);
        let text = body.to_string();
        let raw = RawRequest {
            method: &http::Method::POST,
            path: "/",
            query: None,
            authority: None,
            headers: &headers,
            body: text.as_bytes(),
            source: Ipv4Addr::new(192, 0, 2, 7).into(),
            request_id: id,
            secure: false,
        };
        let result = match self.service.answer(raw).await.result {
            Ok(reply) if reply.is_empty() => Ok(Value::Null),
            Ok(reply) => Ok(serde_json::from_slice(&reply).unwrap()),
            Err(error) => Err(error.type_name().to_owned()),
        };
        if let Ok(answer) = &result {
            self.harvest(answer);
        }
        (id.to_string(), result)
    }

    fn hide(&self, secret: &[u8]) {
        if secret.len() >= 12 {
            self.secrets.lock().unwrap().insert(secret.to_vec());
        }
    }

    /// Remembers what must not be in the trail.
    fn harvest(&self, value: &Value) {
        const BLOBS: [&str; 13] = [
            "AttestationDocument",
            "CiphertextBlob",
            "CiphertextForRecipient",
            "EncryptedKeyMaterial",
            "ImportToken",
            "Mac",
            "Message",
            "Plaintext",
            "PrivateKeyCiphertextBlob",
            "PrivateKeyPlaintext",
            "PublicKey",
            "SharedSecret",
            "Signature",
        ];
        const TEXTS: [&str; 5] =
            ["GrantToken", "GrantTokens", "KeyStorePassword", "RawSecretAccessKey", "AccessKeyId"];
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(text) if BLOBS.contains(&name.as_str()) => {
                            self.hide(&from_base64(text));
                        }
                        Value::String(text) if TEXTS.contains(&name.as_str()) => {
                            self.hide(text.as_bytes());
                        }
                        Value::Array(tokens) if TEXTS.contains(&name.as_str()) => {
                            tokens.iter().filter_map(Value::as_str).for_each(|token| {
                                self.hide(token.as_bytes());
                            });
                        }
                        other => self.harvest(other),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.harvest(item)),
            _ => {}
        }
    }

    /// Closes the trail and answers what is in it.
    async fn records(&self) -> Vec<Value> {
        self.service.close_audit().await.unwrap();
        records_in(&self.directory())
    }
}

async fn start(
    folder: &TempDir,
    store: &Arc<dyn Store>,
    clock: &Arc<Still>,
    settings: AuditSettings,
) -> Arc<Service> {
    let root = Root::Key(RootKey::load_file(&folder.path().join("root-key")).unwrap());
    let settings = ServiceSettings { audit: Some(settings), ..ServiceSettings::default() };
    Service::open(settings, keystead_service::Access::Open, Arc::clone(store), root, clock.clone())
        .await
        .unwrap()
}

/// The records of a directory, in the order of its files.
fn records_in(directory: &Path) -> Vec<Value> {
    files(directory, "audit-", ".jsonl")
        .iter()
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let read = |line: &str| serde_json::from_str(line).unwrap();
            text.lines().map(read).collect::<Vec<Value>>()
        })
        .collect()
}

fn files(directory: &Path, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(prefix) && name.ends_with(suffix)
    };
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(named).collect();
    paths.sort();
    paths
}
