//! What of the last uses is in the store: after a kill, on two nodes, when it is damaged or full.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, Method};
use keystead_crypto::RootKey;
use keystead_service::{
    Access, Clock, MovableClock, RawRequest, RequestId, Root, Service, ServiceSettings,
};
use keystead_store::memory::Memory;
use keystead_store::{
    Future, Guard, Health, KeyRange, Revision, Statistics, Store, StoreError, Versioned, Watch,
    Write,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{ACCOUNT, REGION, text};

const ELSEWHERE: &str = "ap-south-1";
const DAY: i64 = 86_400_000;

/// One store and the root key it is under; any number of services run over it.
struct Bench {
    store: Arc<Flaky>,
    folder: TempDir,
}

/// A service over the store, as a node of its own.
struct Node {
    service: Arc<Service>,
    clock: Arc<MovableClock>,
}

impl Bench {
    fn new() -> Self {
        let store = Arc::new(Flaky { store: Memory::new(), full: AtomicBool::new(false) });
        let folder = tempfile::tempdir().unwrap();
        RootKey::create_file(&folder.path().join("root-key")).unwrap();
        Self { store, folder }
    }

    fn root(&self) -> Root {
        Root::Key(RootKey::load_file(&self.folder.path().join("root-key")).unwrap())
    }

    async fn node(&self) -> Node {
        self.node_with(ServiceSettings::default()).await
    }

    async fn node_with(&self, settings: ServiceSettings) -> Node {
        let clock = Arc::new(MovableClock::default());
        self.node_at(settings, clock).await
    }

    async fn node_at(&self, settings: ServiceSettings, clock: Arc<MovableClock>) -> Node {
        let store: Arc<dyn Store> = self.store.clone();
        let service =
            Service::open(settings, Access::Open, store, self.root(), clock.clone()).await.unwrap();
        Node { service, clock }
    }

    async fn records(&self) -> Vec<(Vec<u8>, Versioned)> {
        self.store.scan(KeyRange::prefix("usage/"), 1_000).await.unwrap()
    }
}

impl Node {
    /// Asks as request `number`.
    async fn ask_in(
        &self,
        region: &str,
        number: u8,
        operation: &str,
        body: Value,
    ) -> Result<Value, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", format!("TrentService.{operation}").parse().unwrap());
        headers.insert("x-amz-date", "20250101T000000Z".parse().unwrap());
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={ACCOUNT}/20250101/{region}/kms/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={}",
            "0".repeat(64)
        );
        headers.insert("authorization", authorization.parse().unwrap());
        let body = body.to_string();
        let raw = RawRequest {
            method: &Method::POST,
            path: "/",
            query: None,
            authority: None,
            headers: &headers,
            body: body.as_bytes(),
            source: Ipv4Addr::LOCALHOST.into(),
            request_id: RequestId([number; 16]),
            secure: false,
        };
        match self.service.answer(raw).await.result {
            Ok(reply) if reply.is_empty() => Ok(Value::Null),
            Ok(reply) => Ok(serde_json::from_slice(&reply).unwrap()),
            Err(error) => Err(error.type_name()),
        }
    }

    async fn ask(&self, number: u8, operation: &str, body: Value) -> Result<Value, &'static str> {
        self.ask_in(REGION, number, operation, body).await
    }

    async fn key(&self) -> String {
        let key = self.ask(0, "CreateKey", json!({})).await.unwrap();
        text(&key["KeyMetadata"], "KeyId").to_owned()
    }

    async fn encrypt(&self, number: u8, id: &str) {
        let body = json!({"KeyId": id, "Plaintext": "cA=="});
        self.ask(number, "Encrypt", body).await.unwrap();
    }

    /// The number of the request that used the key last.
    async fn last(&self, id: &str) -> Option<u8> {
        self.last_in(REGION, id).await
    }

    async fn last_in(&self, region: &str, id: &str) -> Option<u8> {
        let found = self.ask_in(region, 0, "GetKeyLastUsage", json!({"KeyId": id})).await.unwrap();
        let request = found["KeyLastUsage"]["KmsRequestId"].as_str()?;
        Some(u8::from_str_radix(&request[..2], 16).unwrap())
    }
}

#[tokio::test]
async fn a_kill_loses_what_no_sweep_has_written() {
    let bench = Bench::new();
    let node = bench.node().await;
    let (known, forgotten) = (node.key().await, node.key().await);
    node.encrypt(1, &known).await;
    assert!(bench.records().await.is_empty(), "a request has written its use");
    let before = bench.store.revision();
    node.encrypt(2, &known).await;
    assert_eq!(bench.store.revision(), before);
    node.service.sweep().await.unwrap();
    node.encrypt(3, &known).await;
    node.encrypt(4, &forgotten).await;
    assert_eq!((node.last(&known).await, node.last(&forgotten).await), (Some(3), Some(4)));
    // Not shut down: its memory is simply gone.
    drop(node);
    let node = bench.node().await;
    assert_eq!((node.last(&known).await, node.last(&forgotten).await), (Some(2), None));
}

#[tokio::test]
async fn of_two_nodes_the_later_use_counts() {
    let bench = Bench::new();
    let (one, two) = (bench.node().await, bench.node().await);
    let id = one.key().await;
    one.encrypt(1, &id).await;
    // Later by more than the clock's precision, and by less than what makes a date incredible.
    two.clock.advance(10_000);
    two.encrypt(2, &id).await;
    // The later first: what is older does not take its place.
    assert_eq!(two.service.write_usage().await.unwrap(), 1);
    assert_eq!(one.service.write_usage().await.unwrap(), 0);
    assert_eq!((one.last(&id).await, two.last(&id).await), (Some(2), Some(2)));
    one.clock.advance(20_000);
    one.encrypt(3, &id).await;
    assert_eq!(one.last(&id).await, Some(3));
    assert_eq!(one.service.write_usage().await.unwrap(), 1);
    assert_eq!(two.last(&id).await, Some(3));
    assert_eq!(bench.records().await.len(), 1);
}

#[tokio::test]
async fn a_deleted_key_gets_no_record_and_a_new_one_in_its_place_none_of_its_uses() {
    let bench = Bench::new();
    let (one, two) = (bench.node().await, bench.node().await);
    let key = one.ask(0, "CreateKey", json!({"MultiRegion": true})).await.unwrap();
    let id = text(&key["KeyMetadata"], "KeyId").to_owned();
    let replicate = json!({"KeyId": id, "ReplicaRegion": ELSEWHERE});
    one.ask(0, "ReplicateKey", replicate.clone()).await.unwrap();
    let encrypt = json!({"KeyId": id, "Plaintext": "cA=="});
    // The one use is in the store, the other in a node's memory, when the replica goes.
    two.ask_in(ELSEWHERE, 1, "Encrypt", encrypt.clone()).await.unwrap();
    two.service.sweep().await.unwrap();
    assert_eq!(bench.records().await.len(), 1);
    one.ask_in(ELSEWHERE, 2, "Encrypt", encrypt.clone()).await.unwrap();
    let schedule = json!({"KeyId": id, "PendingWindowInDays": 7});
    two.ask_in(ELSEWHERE, 0, "ScheduleKeyDeletion", schedule).await.unwrap();
    two.clock.advance(8 * DAY);
    assert_eq!(two.service.sweep().await.unwrap(), 1);
    assert!(bench.records().await.is_empty());
    assert_eq!(one.service.write_usage().await.unwrap(), 0);
    assert!(bench.records().await.is_empty());

    // Once more, and now with a new replica by the time the note is to go over.
    one.clock.advance(8 * DAY);
    one.ask(0, "ReplicateKey", replicate.clone()).await.unwrap();
    one.ask_in(ELSEWHERE, 3, "Encrypt", encrypt.clone()).await.unwrap();
    let schedule = json!({"KeyId": id, "PendingWindowInDays": 7});
    two.ask_in(ELSEWHERE, 0, "ScheduleKeyDeletion", schedule).await.unwrap();
    two.clock.advance(8 * DAY);
    assert_eq!(two.service.sweep().await.unwrap(), 1);
    two.ask(0, "ReplicateKey", replicate).await.unwrap();
    one.clock.advance(8 * DAY);
    assert_eq!(one.last_in(ELSEWHERE, &id).await, None);
    assert_eq!(one.service.write_usage().await.unwrap(), 0);
    assert!(bench.records().await.is_empty());
    one.ask_in(ELSEWHERE, 4, "Encrypt", encrypt).await.unwrap();
    one.service.sweep().await.unwrap();
    assert_eq!(two.last_in(ELSEWHERE, &id).await, Some(4));
}

#[tokio::test]
async fn a_key_that_changes_all_the_time_holds_up_no_note() {
    let bench = Bench::new();
    let node = bench.node().await;
    let mut ids = Vec::new();
    for number in 1..=100 {
        let id = node.key().await;
        node.encrypt(number, &id).await;
        ids.push(id);
    }
    let change = async {
        for number in 0..50 {
            let body = json!({"KeyId": ids[0], "Description": number.to_string()});
            node.ask(0, "UpdateKeyDescription", body).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (_, written) = futures_util::future::join(change, node.service.write_usage()).await;
    assert_eq!(written.unwrap(), 100);
    drop(node);
    let node = bench.node().await;
    for (number, id) in (1..).zip(&ids) {
        assert_eq!(node.last(id).await, Some(number));
    }
}

#[tokio::test]
async fn more_keys_than_memory_takes_are_written_before_the_sweep() {
    let bench = Bench::new();
    let settings = || ServiceSettings { noted_uses: 1, ..ServiceSettings::default() };
    let node = bench.node_with(settings()).await;
    let mut ids = Vec::new();
    for number in 1..=200 {
        let id = node.key().await;
        node.encrypt(number, &id).await;
        ids.push(id);
    }
    // One for each of 64 parts of memory.
    assert!(bench.records().await.len() >= 200 - 64);
    for (number, id) in (1..).zip(&ids) {
        assert_eq!(node.last(id).await, Some(number));
    }
    // A full disk: keys are used all the same, and what memory has room for is known.
    node.service.sweep().await.unwrap();
    bench.store.full.store(true, Ordering::SeqCst);
    for id in &ids {
        node.encrypt(201, id).await;
    }
    assert!(node.service.sweep().await.is_err());
    let known = async || {
        let mut known = 0;
        for id in &ids {
            known += usize::from(node.last(id).await == Some(201));
        }
        known
    };
    let (before, room) = (known().await, 64);
    assert!((32..=room).contains(&before), "{before}");
    bench.store.full.store(false, Ordering::SeqCst);
    assert_eq!(node.service.write_usage().await.unwrap(), before as u64);
    for id in &ids {
        node.encrypt(202, id).await;
        assert_eq!(node.last(id).await, Some(202));
    }
}

#[tokio::test]
async fn a_damaged_record_is_refused_and_holds_up_no_other() {
    let bench = Bench::new();
    let node = bench.node().await;
    let (damaged, whole) = (node.key().await, node.key().await);
    for id in [&damaged, &whole] {
        node.encrypt(1, id).await;
    }
    node.service.sweep().await.unwrap();
    let of = |path: &[u8]| String::from_utf8_lossy(path).ends_with(damaged.as_str());
    let records = bench.records().await;
    let (path, found) = records.into_iter().find(|(path, _)| of(path)).unwrap();
    let mut value = found.value;
    let last = value.len() - 3;
    value[last] ^= 1;
    bench.store.commit(vec![], vec![Write::Put(path, value)]).await.unwrap();
    for id in [&damaged, &whole] {
        node.encrypt(2, id).await;
    }
    let refused = node.ask(0, "GetKeyLastUsage", json!({"KeyId": damaged})).await;
    assert_eq!(refused, Err("KMSInternalException"));
    assert_eq!(node.service.sweep().await.unwrap_err().type_name(), "KMSInternalException");
    drop(node);
    let node = bench.node().await;
    assert_eq!(node.last(&whole).await, Some(2));
}

/// A store of before uses were tracked: the first start begins, the later ones go on.
#[tokio::test]
async fn tracking_begins_once() {
    let bench = Bench::new();
    let node = bench.node().await;
    let id = node.key().await;
    drop(node);
    let path = b"meta/tracking".to_vec();
    bench.store.commit(vec![], vec![Write::Delete(path.clone())]).await.unwrap();
    let dates = async |node: &Node| {
        let found = node.ask(0, "GetKeyLastUsage", json!({"KeyId": id})).await.unwrap();
        assert_eq!(found["KeyLastUsage"], json!({}));
        let millis = |member: &str| {
            let seconds = found[member].as_f64().unwrap();
            i64::try_from(Duration::try_from_secs_f64(seconds + 0.0005).unwrap().as_millis())
                .unwrap()
        };
        (millis("KeyCreationDate"), millis("TrackingStartDate"))
    };
    let clock = Arc::new(MovableClock::default());
    clock.advance(30 * DAY);
    let opened = clock.now();
    let node = bench.node_at(ServiceSettings::default(), clock).await;
    let (created, tracked) = dates(&node).await;
    assert!(tracked >= opened && created <= opened - 30 * DAY);
    drop(node);
    let clock = Arc::new(MovableClock::default());
    clock.advance(60 * DAY);
    let node = bench.node_at(ServiceSettings::default(), clock).await;
    assert_eq!(dates(&node).await, (created, tracked));
    drop(node);
    // Nothing is guessed from a damaged date.
    bench.store.commit(vec![], vec![Write::Put(path, b"\x01damaged".to_vec())]).await.unwrap();
    let store: Arc<dyn Store> = bench.store.clone();
    let clock = Arc::new(MovableClock::default());
    assert!(
        Service::open(ServiceSettings::default(), Access::Open, store, bench.root(), clock)
            .await
            .is_err()
    );
}

/// A store whose disk can be full.
struct Flaky {
    store: Memory,
    full: AtomicBool,
}

impl Store for Flaky {
    fn read<'a>(&'a self, key: &'a [u8]) -> Future<'a, Result<Option<Versioned>, StoreError>> {
        self.store.read(key)
    }

    #[allow(clippy::type_complexity, reason = "the trait's own")]
    fn scan<'a>(
        &'a self,
        range: KeyRange,
        limit: usize,
    ) -> Future<'a, Result<Vec<(Vec<u8>, Versioned)>, StoreError>> {
        self.store.scan(range, limit)
    }

    fn commit<'a>(
        &'a self,
        guards: Vec<Guard>,
        writes: Vec<Write>,
    ) -> Future<'a, Result<Revision, StoreError>> {
        if self.full.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::Full) });
        }
        self.store.commit(guards, writes)
    }

    fn watch(&self, from: Option<Revision>) -> Result<Watch, StoreError> {
        self.store.watch(from)
    }

    fn revision(&self) -> Revision {
        self.store.revision()
    }

    fn erase<'a>(&'a self, keys: Vec<Vec<u8>>) -> Future<'a, Result<Revision, StoreError>> {
        self.store.erase(keys)
    }

    fn health(&self) -> Health {
        self.store.health()
    }

    fn statistics(&self) -> Statistics {
        self.store.statistics()
    }

    fn close<'a>(&'a self) -> Future<'a, Result<(), StoreError>> {
        self.store.close()
    }
}
