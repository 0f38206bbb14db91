//! Damaged records: whoever needs one is told of an internal failure, everybody else goes on.

use std::time::Duration;

use keystead_store::{KeyRange, Store, Write};
use keystead_testkit::TestServer;
use serde_json::{Value, json};

use crate::support::{ACCOUNT, REGION, text};

/// The record under a prefix, with its path.
async fn record(store: &dyn Store, prefix: &str) -> (Vec<u8>, Vec<u8>) {
    let mut found = store.scan(KeyRange::prefix(prefix), 2).await.unwrap();
    assert_eq!(found.len(), 1, "{prefix}");
    let (path, found) = found.remove(0);
    (path, found.value)
}

async fn put(store: &dyn Store, path: &[u8], value: &[u8]) {
    let write = Write::Put(path.to_vec(), value.to_vec());
    store.commit(vec![], vec![write]).await.unwrap();
}

/// Each way of damaging a record that is tried.
fn damages(whole: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for place in [0, 1, 8, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.to_vec();
        damaged[place] ^= 1;
        all.push(damaged);
    }
    all.push(Vec::new());
    all.push(whole[..1].to_vec());
    all.push(whole[..whole.len() - 1].to_vec());
    all.push([whole, b" "].concat());
    all
}

async fn status(server: &TestServer, operation: &str, body: &Value) -> u16 {
    let response = server.call(ACCOUNT, REGION, operation, body).await.unwrap();
    if response.status == 500 {
        assert_eq!(response.body, json!({"__type": "KMSInternalException"}));
    }
    response.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_fails_its_own_requests_only() {
    let server = TestServer::start().await.unwrap();
    let mut ids = Vec::new();
    for alias in ["alias/damaged", "alias/whole"] {
        let key = server.call(ACCOUNT, REGION, "CreateKey", &json!({})).await.unwrap().body;
        let id = text(&key["KeyMetadata"], "KeyId").to_owned();
        let alias = json!({"AliasName": alias, "TargetKeyId": id});
        assert_eq!(status(&server, "CreateAlias", &alias).await, 200);
        ids.push(id);
    }
    let [damaged, whole] = &ids[..] else { panic!("two keys") };
    let store = server.service().unwrap().store().clone();
    let encrypt = |key: &str| json!({"KeyId": key, "Plaintext": "cA=="});
    let records = [
        (format!("key/{ACCOUNT}/{REGION}/{damaged}"), "DescribeKey", json!({"KeyId": damaged})),
        (format!("ref/{damaged}"), "DescribeKey", json!({"KeyId": damaged})),
        (format!("policy/{ACCOUNT}/{REGION}/{damaged}"), "GetKeyPolicy", json!({"KeyId": damaged})),
        (format!("material/{ACCOUNT}/{damaged}/"), "Encrypt", encrypt(damaged)),
        (format!("alias/{ACCOUNT}/{REGION}/alias/damaged"), "Encrypt", encrypt("alias/damaged")),
        (format!("alias/{ACCOUNT}/{REGION}/alias/damaged"), "ListAliases", json!({})),
    ];
    let (key_path, key_record) =
        record(store.as_ref(), &format!("key/{ACCOUNT}/{REGION}/{damaged}")).await;
    let mut tried = 0;
    for (prefix, operation, request) in records {
        let (path, value) = record(store.as_ref(), &prefix).await;
        for bad in damages(&value) {
            put(store.as_ref(), &path, &bad).await;
            // A change of the key's record makes the service forget what it has in memory.
            if path != key_path {
                put(store.as_ref(), &key_path, &key_record).await;
            }
            assert_eq!(status(&server, operation, &request).await, 500, "{prefix} {bad:?}");
            assert_eq!(status(&server, "Encrypt", &encrypt(whole)).await, 200, "{prefix}");
            assert_eq!(status(&server, "Encrypt", &encrypt("alias/whole")).await, 200, "{prefix}");
            put(store.as_ref(), &path, &value).await;
            assert_eq!(status(&server, operation, &request).await, 200, "{prefix}");
            tried += 1;
        }
    }
    println!("damaged records: {tried} requests failed as they must");
}

/// A record that is whole but in another's place.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_key_is_refused() {
    let server = TestServer::start().await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let key = server.call(ACCOUNT, REGION, "CreateKey", &json!({})).await.unwrap().body;
        ids.push(text(&key["KeyMetadata"], "KeyId").to_owned());
    }
    let store = server.service().unwrap().store().clone();
    for (kind, operation) in [
        (format!("key/{ACCOUNT}/{REGION}/"), "DescribeKey"),
        (format!("policy/{ACCOUNT}/{REGION}/"), "GetKeyPolicy"),
        (format!("material/{ACCOUNT}/"), "GenerateDataKey"),
    ] {
        let (_, foreign) = record(store.as_ref(), &format!("{kind}{}", ids[1])).await;
        let (path, own) = record(store.as_ref(), &format!("{kind}{}", ids[0])).await;
        put(store.as_ref(), &path, &foreign).await;
        let request = match operation {
            "GenerateDataKey" => json!({"KeyId": ids[0], "KeySpec": "AES_256"}),
            _ => json!({"KeyId": ids[0]}),
        };
        assert_eq!(status(&server, operation, &request).await, 500, "{kind}");
        put(store.as_ref(), &path, &own).await;
        assert_eq!(status(&server, operation, &request).await, 200, "{kind}");
    }
}

/// A damaged note of what is due is told, and keeps nothing else from being destroyed.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_date_holds_up_no_other() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = crate::support::new_key(&kms).await.key_id;
        let schedule = kms.schedule_key_deletion().key_id(&id).pending_window_in_days(7);
        schedule.send().await.unwrap();
        ids.push(id);
    }
    let store = server.service().unwrap().store().clone();
    let notes = store.scan(KeyRange::prefix("due/"), 10).await.unwrap();
    let (path, found) = &notes[0];
    let mut bad = found.value.clone();
    bad[3] ^= 1;
    put(store.as_ref(), path, &bad).await;
    assert!(server.advance(Duration::from_secs(8 * 86_400)).await.is_err());
    let materials = store.scan(KeyRange::prefix("material/"), 10).await.unwrap();
    assert_eq!(materials.len(), 1, "two of three keys are destroyed");
    put(store.as_ref(), path, &found.value).await;
    assert_eq!(server.service().unwrap().sweep().await.unwrap(), 1);
    assert!(store.scan(KeyRange::prefix("material/"), 10).await.unwrap().is_empty());
}
