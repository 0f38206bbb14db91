//! The record of each operation beside the one that is committed, and what is in none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use keystead_model::OperationName;
use serde_json::Value;

use super::{Audited, files, scenario};

fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/front_door/audit/golden.json")
}

#[tokio::test]
async fn every_operation_leaves_the_record_that_is_committed() {
    let on = Audited::open().await;
    let labels = scenario::run(&on).await;
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for record in on.records().await {
        let label = match record["requestID"].as_str() {
            Some(id) => labels.get(id).cloned().unwrap_or_default(),
            None => format!("{} event", record["eventName"].as_str().unwrap()),
        };
        if !label.is_empty() {
            found.entry(label).or_insert(record);
        }
    }
    let mut seen = Seen::default();
    let found: BTreeMap<&String, Value> =
        found.iter().map(|(label, record)| (label, seen.normal(record))).collect();
    let text = serde_json::to_string_pretty(&found).unwrap() + "\n";
    if std::env::var_os("KEYSTEAD_BLESS").is_some() {
        fs::write(fixture(), &text).unwrap();
    }
    let wanted: BTreeMap<String, Value> =
        serde_json::from_str(&fs::read_to_string(fixture()).unwrap()).unwrap();
    for (label, record) in &found {
        assert_eq!(Some(record), wanted.get(*label), "{label}");
    }
    let labels: BTreeSet<&String> = found.keys().copied().collect();
    assert_eq!(labels, wanted.keys().collect());
    for name in OperationName::ALL {
        assert!(found.contains_key(&format!("{name} failure")), "{name}");
    }
    let successes = labels.iter().filter(|label| label.ends_with(" success")).count();
    assert_eq!(successes, OperationName::ALL.len() - 5, "all but those of custom key stores");
}

#[tokio::test]
async fn nothing_secret_is_in_the_trail() {
    let on = Audited::open().await;
    scenario::run(&on).await;
    // A refused authentication, for the security log.
    let secrets = on.secrets.lock().unwrap().clone();
    assert!(secrets.len() > 200, "{}", secrets.len());
    on.records().await;
    let mut text = Vec::new();
    for path in files(&on.directory(), "", "") {
        text.extend(fs::read(path).unwrap());
    }
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("\"tenant\":\"a\\n\\\"b\""), "the encryption context is there");
    for secret in &secrets {
        let raw = String::from_utf8_lossy(secret).into_owned();
        let forms = [
            raw.clone(),
            serde_json::to_string(&raw).unwrap().trim_matches('"').to_owned(),
            hex(secret),
            hex(secret).to_uppercase(),
            STANDARD_NO_PAD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
        ];
        for form in forms {
            assert!(!text.contains(&form), "in the trail: {form}");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Gives whatever differs from run to run a name by the order in which it is met.
#[derive(Default)]
struct Seen(BTreeMap<String, String>);

impl Seen {
    fn normal(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.normal(item)).collect(),
            Value::Object(members) => {
                let members = members.iter();
                members.map(|(name, member)| (name.clone(), self.normal(member))).collect()
            }
            other => other.clone(),
        }
    }

    fn text(&mut self, text: &str) -> String {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(first) = rest.chars().next() {
            let length = random(rest);
            if length == 0 {
                out.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let (found, after) = rest.split_at(length);
            let kind = match length {
                36 if !found.starts_with("mrk") => "uuid",
                36 => "mrk",
                _ => "hex",
            };
            let number = self.0.len() + 1;
            let name =
                self.0.entry(found.to_owned()).or_insert_with(|| format!("<{kind}-{number}>"));
            out.push_str(name);
            rest = after;
        }
        out
    }
}

/// The length of the UUID, multi-Region key id or SHA-256 in hex that a text begins with.
fn random(text: &str) -> usize {
    let is_hex = |part: &[u8]| part.iter().all(|byte| b"0123456789abcdef".contains(byte));
    let bytes = text.as_bytes();
    if bytes.get(..64).is_some_and(is_hex) {
        return 64;
    }
    let Some(id) = bytes.get(..36) else { return 0 };
    let dashes = [8, 13, 18, 23];
    let uuid =
        (0..36).all(|at| if dashes.contains(&at) { id[at] == b'-' } else { is_hex(&id[at..=at]) });
    let related = id.starts_with(b"mrk-") && is_hex(&id[4..]);
    if uuid || related { 36 } else { 0 }
}
