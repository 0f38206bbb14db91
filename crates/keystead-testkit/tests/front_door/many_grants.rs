//! A key with as many grants as a key may have: what each of them costs the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keystead_crypto::RootKey;
use keystead_model::{AccountId, GrantOperation, KeyId, Region};
use keystead_service::records::{GrantRecord, KeyRecord, decode, encode};
use keystead_service::{Root, Service, paths};
use keystead_store::memory::Memory;
use keystead_store::{Store, Write};
use keystead_testkit::invariants;
use serde_json::{Map, json};

use crate::support::{ACCOUNT, REGION, ask, ask_as, open, text};

const GRANTEE: &str = "444455556666";
const MOST: u32 = 50_000;

/// Lays grants, each to a grantee of its own or all to one, with their index entries, up to `count`
/// in all.
async fn lay(
    service: &Service,
    store: &Arc<dyn Store>,
    id: &str,
    count: u32,
    to_one: Option<&str>,
) {
    let (account, region): (AccountId, Region) =
        (ACCOUNT.parse().unwrap(), REGION.parse().unwrap());
    let id: KeyId = id.parse().unwrap();
    let record_key = service.keyring().record_key();
    let path = paths::key(account, &region, id);
    let found = store.read(&path).await.unwrap().unwrap();
    let mut record: KeyRecord = decode(record_key, &path, &found.value).unwrap();
    let mut writes = Vec::new();
    for number in record.grants..count {
        let grant_id = format!("{number:064x}");
        let grantee = format!("arn:aws:iam::{ACCOUNT}:role/grantee-{number}");
        let grantee = to_one.map_or(grantee, str::to_owned);
        let index = format!("grantee/{account}/{region}/{id}/{grantee}|{grant_id}");
        writes.push(Write::Put(index.into_bytes(), Vec::new()));
        let grant = GrantRecord {
            grantee,
            retiring: None,
            issuer: account,
            operations: vec![GrantOperation::GenerateDataKey],
            equals: None,
            subset: None,
            name: None,
            created: 0,
            unknown: Map::new(),
        };
        let path = paths::grant(account, &region, id, &grant_id);
        let bytes = encode(record_key, &path, &grant).unwrap();
        writes.push(Write::Put(path, bytes));
        if writes.len() >= 126 {
            store.commit(Vec::new(), std::mem::take(&mut writes)).await.unwrap();
        }
    }
    record.grants = count;
    writes.push(Write::Put(path.clone(), encode(record_key, &path, &record).unwrap()));
    store.commit(Vec::new(), writes).await.unwrap();
}

/// A key that another account may use by a grant alone, with this many grants.
async fn granted(
    service: &Service,
    store: &Arc<dyn Store>,
    count: u32,
    to_one: Option<&str>,
) -> (String, String) {
    let key = ask(service, "CreateKey", "{}").await.unwrap();
    let (id, arn) = (text(&key["KeyMetadata"], "KeyId"), text(&key["KeyMetadata"], "Arn"));
    let grant = json!({
        "KeyId": id, "Operations": ["GenerateDataKey"],
        "GranteePrincipal": format!("arn:aws:iam::{GRANTEE}:root"),
    });
    ask(service, "CreateGrant", &grant.to_string()).await.unwrap();
    lay(service, store, id, count, to_one).await;
    (id.to_owned(), arn.to_owned())
}

/// The least time of many for one GenerateDataKey through the grant, and the same right after a
/// grant of the key changed.
async fn cost(service: &Service, id: &str, arn: &str) -> (Duration, Duration) {
    let body = json!({"KeyId": arn, "KeySpec": "AES_256"}).to_string();
    let one = async || {
        let start = Instant::now();
        ask_as(service, GRANTEE, REGION, "GenerateDataKey", &body).await.unwrap();
        start.elapsed()
    };
    one().await;
    let (mut warm, mut cold) = (Duration::MAX, Duration::MAX);
    for _ in 0..1_000 {
        warm = warm.min(one().await);
    }
    let grant = json!({
        "KeyId": id, "Operations": ["Decrypt"],
        "GranteePrincipal": format!("arn:aws:iam::{ACCOUNT}:role/r"),
    });
    for _ in 0..50 {
        let made = ask(service, "CreateGrant", &grant.to_string()).await.unwrap();
        cold = cold.min(one().await);
        let body = json!({"KeyId": id, "GrantId": made["GrantId"]}).to_string();
        ask(service, "RevokeGrant", &body).await.unwrap();
    }
    (warm, cold)
}

/// Only the caller's own grants are looked at, by an index: 49,990 others cost nothing. The reads of
/// the store are counted; the times, which a busy machine spoils, are printed.
#[tokio::test(flavor = "multi_thread")]
async fn the_grants_of_others_cost_nothing() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let service = open(&store, Root::Key(RootKey::generate().unwrap())).await;
    let mut costs = Vec::new();
    let mut full = String::new();
    for count in [10, MOST - 1] {
        let (id, arn) = granted(&service, &store, count, None).await;
        let before = store.statistics();
        let (warm, cold) = cost(&service, &id, &arn).await;
        let after = store.statistics();
        println!("{count} grants: {warm:?}, after a change of grants {cold:?}");
        costs.push((after.reads - before.reads, after.scans - before.scans));
        full = id;
    }
    assert_eq!(costs[0], costs[1], "(reads, scans) with few and with many grants");
    // The last one allowed, and one more.
    let grant = json!({
        "KeyId": full, "Operations": ["Decrypt"],
        "GranteePrincipal": format!("arn:aws:iam::{ACCOUNT}:role/r"),
    })
    .to_string();
    ask(&service, "CreateGrant", &grant).await.unwrap();
    assert_eq!(ask(&service, "CreateGrant", &grant).await, Err("LimitExceededException"));
    let census = invariants::check(&service).await.unwrap();
    assert_eq!(census.grants, 10 + MOST as usize);
    // All of them are listed, and go with their key.
    let (mut listed, mut marker) = (0, json!(null));
    loop {
        let body = json!({"KeyId": full, "Limit": 100, "Marker": marker}).to_string();
        let page = ask(&service, "ListGrants", &body).await.unwrap();
        listed += page["Grants"].as_array().unwrap().len();
        if page["Truncated"] == false {
            break;
        }
        marker = page["NextMarker"].clone();
    }
    assert_eq!(listed, MOST as usize);
}

/// What it costs when all of a key's grants are to the caller. Grants to one principal are looked
/// through one by one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn all_grants_to_one() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let service = open(&store, Root::Key(RootKey::generate().unwrap())).await;
    let root = format!("arn:aws:iam::{GRANTEE}:root");
    for count in [10, 500, 5_000, MOST - 1] {
        let (id, arn) = granted(&service, &store, count, Some(&root)).await;
        let (warm, cold) = cost(&service, &id, &arn).await;
        println!("{count} grants to one: {warm:?}, after a change of grants {cold:?}");
    }
}
