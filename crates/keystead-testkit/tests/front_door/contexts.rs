//! Encryption contexts: any one round-trips, any other one fails. Not over HTTP, for the number of
//! requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use keystead_crypto::RootKey;
use keystead_service::{Root, Service};
use keystead_store::Store;
use keystead_store::memory::Memory;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::support::{ask, open, text, to_base64};

type Context = BTreeMap<String, String>;

/// How a context is changed. Places are taken modulo its size.
#[derive(Debug, Clone)]
enum Change {
    Add(String, String),
    Remove(usize),
    Value(usize, String),
    Key(usize, String),
    Swap(usize),
    Case(usize),
    /// A piece of the value moves to the key: the concatenation stays the same.
    Shift(usize),
}

fn changed(context: &Context, change: &Change) -> Context {
    let mut new = context.clone();
    let pick = |place: &usize| {
        context.iter().nth(place % context.len().max(1)).map(|(k, v)| (k.clone(), v.clone()))
    };
    match change {
        Change::Add(key, value) => {
            new.insert(key.clone(), value.clone());
        }
        Change::Remove(place) => {
            pick(place).map(|(key, _)| new.remove(&key));
        }
        Change::Value(place, value) => {
            pick(place).map(|(key, _)| new.insert(key, value.clone()));
        }
        Change::Key(place, name) => {
            pick(place).map(|(key, value)| {
                new.remove(&key);
                new.insert(name.clone(), value)
            });
        }
        Change::Swap(place) => {
            if let Some((key, value)) = pick(place).filter(|(_, value)| !value.is_empty()) {
                new.remove(&key);
                new.insert(value, key);
            }
        }
        Change::Case(place) => {
            pick(place).map(|(key, value)| new.insert(key, value.to_uppercase()));
        }
        Change::Shift(place) => {
            if let Some((key, value)) = pick(place).filter(|(_, value)| !value.is_empty()) {
                let head = value.chars().next().unwrap();
                new.remove(&key);
                new.insert(format!("{key}{head}"), value[head.len_utf8()..].to_owned());
            }
        }
    }
    new
}

/// The members in the opposite order: a context has none.
fn backwards(context: &Context) -> String {
    let pairs: Vec<String> = context
        .iter()
        .rev()
        .map(|(key, value)| format!("{}:{}", json!(key), json!(value)))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

#[test]
fn any_context_binds() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (service, key) = runtime.block_on(async {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let service = open(&store, Root::Key(RootKey::generate().unwrap())).await;
        let key = ask(&service, "CreateKey", "{}").await.unwrap();
        (service, text(&key["KeyMetadata"], "KeyId").to_owned())
    });
    let name = || "\\PC{1,12}";
    let value = || "\\PC{0,12}";
    let place = any::<usize>;
    let change = prop_oneof![
        (name(), value()).prop_map(|(key, value)| Change::Add(key, value)),
        place().prop_map(Change::Remove),
        (place(), value()).prop_map(|(place, value)| Change::Value(place, value)),
        (place(), name()).prop_map(|(place, key)| Change::Key(place, key)),
        place().prop_map(Change::Swap),
        place().prop_map(Change::Case),
        place().prop_map(Change::Shift),
    ];
    let cases = (
        proptest::collection::btree_map(name(), value(), 0..8),
        proptest::collection::vec(change, 1..6),
        proptest::collection::vec(any::<u8>(), 1..=64),
    );
    let mut runner =
        TestRunner::new(Config { cases: 128, failure_persistence: None, ..Config::default() });
    runner
        .run(&cases, |(context, changes, plaintext)| {
            runtime.block_on(round_trip(&service, &key, &context, &changes, &plaintext))
        })
        .unwrap();
}

async fn round_trip(
    service: &Service,
    key: &str,
    context: &Context,
    changes: &[Change],
    plaintext: &[u8],
) -> Result<(), TestCaseError> {
    let plaintext = to_base64(plaintext);
    let request = json!({"KeyId": key, "Plaintext": plaintext, "EncryptionContext": context});
    let sealed = ask(service, "Encrypt", &request.to_string()).await.unwrap();
    let blob = text(&sealed, "CiphertextBlob");
    let opened = |body: String| async move { ask(service, "Decrypt", &body).await };

    let body = format!(
        "{{\"CiphertextBlob\":{},\"EncryptionContext\":{}}}",
        Value::from(blob),
        backwards(context)
    );
    let found = opened(body).await.unwrap();
    prop_assert_eq!(text(&found, "Plaintext"), &plaintext);
    for change in changes {
        let other = changed(context, change);
        let body = json!({"CiphertextBlob": blob, "EncryptionContext": other});
        let found = opened(body.to_string()).await;
        if other == *context {
            prop_assert!(found.is_ok());
        } else {
            prop_assert_eq!(found, Err("InvalidCiphertextException"), "{:?}", other);
        }
    }
    let without = opened(json!({"CiphertextBlob": blob}).to_string()).await;
    prop_assert_eq!(without.is_ok(), context.is_empty());
    Ok(())
}
