//! What the audit trail costs a GenerateDataKey, inside one process, over a store in memory:
//! `cargo run --release -p keystead-service --example audit_cost [DIRECTORY]`.
#![allow(clippy::unwrap_used, reason = "a measurement")]

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use keystead_crypto::RootKey;
use keystead_service::{
    Access, AuditSettings, AuditSync, MovableClock, RawRequest, RequestId, Root, Service,
    ServiceSettings,
};
use keystead_store::memory::Memory;

const SECOND: Duration = Duration::from_secs(1);

fn headers(operation: &str) -> HeaderMap {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=111122223333/20260105/eu-west-1/kms/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={}",
        "0".repeat(64)
    );
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-target", format!("TrentService.{operation}").parse().unwrap());
    headers.insert("x-amz-date", "20260105T100731Z".parse().unwrap());
    headers.insert("user-agent", "measurement/1".parse().unwrap());
    headers.insert("authorization", authorization.parse().unwrap());
    headers
}

async fn ask(service: &Service, headers: &HeaderMap, body: &[u8], number: u64) -> Vec<u8> {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let raw = RawRequest {
        method: &http::Method::POST,
        path: "/",
        query: None,
        authority: None,
        headers,
        body,
        source: Ipv4Addr::LOCALHOST.into(),
        request_id: RequestId(id),
        secure: false,
    };
    service.answer(raw).await.result.unwrap().to_vec()
}

#[tokio::main]
async fn main() {
    let place = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let modes = [
        ("off", None),
        ("interval", Some(AuditSync::Interval(SECOND))),
        ("every", Some(AuditSync::Every)),
    ];
    for clients in [1, 64] {
        for (name, sync) in modes {
            let folder = tempfile::tempdir_in(&place).unwrap();
            let audit = sync.map(|sync| AuditSettings {
                sync,
                ..AuditSettings::new(folder.path().join("audit"))
            });
            let settings = ServiceSettings { audit, ..ServiceSettings::default() };
            let root = Root::Key(RootKey::generate().unwrap());
            let (store, clock) = (Arc::new(Memory::new()), Arc::new(MovableClock::default()));
            let service = Service::open(settings, Access::Open, store, root, clock).await.unwrap();
            let made = ask(&service, &headers("CreateKey"), b"{}", 0).await;
            let made: serde_json::Value = serde_json::from_slice(&made).unwrap();
            let body = serde_json::json!({
                "KeyId": made["KeyMetadata"]["KeyId"],
                "KeySpec": "AES_256",
                "EncryptionContext": {"tenant": "a"},
            });
            let body = Arc::new(body.to_string());
            let rounds: u64 = if name == "every" { 6_400 } else { 64_000 };
            let begun = Instant::now();
            let tasks: Vec<_> = (0..clients)
                .map(|client| {
                    let (service, body) = (Arc::clone(&service), Arc::clone(&body));
                    tokio::spawn(async move {
                        let headers = headers("GenerateDataKey");
                        for round in 0..rounds / clients {
                            let number = 1 + client * rounds + round;
                            ask(&service, &headers, body.as_bytes(), number).await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let each = begun.elapsed().as_secs_f64() * 1e6 / (rounds / clients * clients) as f64;
            println!("{clients} clients, audit {name}: {each:.1} µs for each request");
            service.close_audit().await.unwrap();
        }
    }
}
