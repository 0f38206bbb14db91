//! Who is told of a request across accounts, and that the ids agree.

use serde_json::{Value, json};

use super::{Audited, BEGIN};
use crate::support::{ACCOUNT, text};

const OTHER: &str = "444455556666";
const THIRD: &str = "777788889999";

fn open_to_all(owner: &str) -> String {
    let everyone =
        [owner, ACCOUNT, OTHER, THIRD].map(|account| format!("arn:aws:iam::{account}:root"));
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": everyone}, "Action": "kms:*", "Resource": "*"}]})
    .to_string()
}

async fn key_of(on: &Audited, owner: &str, policy: Option<String>) -> String {
    let body = policy.map_or(json!({}), |policy| json!({"Policy": policy}));
    let made = on.ask_as(owner, "CreateKey", body).await.1.unwrap();
    text(&made["KeyMetadata"], "Arn").to_owned()
}

/// The records of a request.
fn of<'r>(records: &'r [Value], request: &str) -> Vec<&'r Value> {
    records.iter().filter(|record| record["requestID"] == request).collect()
}

fn check_pair(records: &[Value], request: &str, owner: &str) {
    let [mine, theirs] = of(records, request)[..] else { panic!("not two records") };
    assert_eq!(
        (&mine["recipientAccountId"], &theirs["recipientAccountId"]),
        (&json!(ACCOUNT), &json!(owner))
    );
    assert!(mine["sharedEventID"].is_string());
    assert_eq!(mine["sharedEventID"], theirs["sharedEventID"]);
    assert_ne!(mine["eventID"], theirs["eventID"]);
    assert_eq!(mine["userIdentity"]["type"], "Root");
    assert_eq!(mine["userIdentity"]["accessKeyId"], ACCOUNT);
    assert_eq!(
        theirs["userIdentity"],
        json!({"type": "AWSAccount", "principalId": ACCOUNT, "accountId": ACCOUNT})
    );
    for same in ["eventName", "requestParameters", "resources", "errorCode", "readOnly"] {
        assert_eq!(mine[same], theirs[same], "{same}");
    }
}

#[tokio::test]
async fn both_accounts_are_told_of_what_was_allowed_and_the_callers_of_what_was_not() {
    let on = Audited::open().await;
    let theirs = key_of(&on, OTHER, Some(open_to_all(OTHER))).await;
    let closed = key_of(&on, OTHER, None).await;
    let thirds = key_of(&on, THIRD, Some(open_to_all(THIRD))).await;
    let disabled = key_of(&on, OTHER, Some(open_to_all(OTHER))).await;
    on.ask_as(OTHER, "DisableKey", json!({"KeyId": disabled})).await.1.unwrap();

    let plain = |key: &str| json!({"KeyId": key, "Plaintext": "bWFya2Vk"});
    let (allowed, result) = on.ask_as(ACCOUNT, "Encrypt", plain(&theirs)).await;
    let blob = result.unwrap()["CiphertextBlob"].clone();
    let (denied, result) = on.ask_as(ACCOUNT, "Encrypt", plain(&closed)).await;
    assert_eq!(result.unwrap_err(), "AccessDeniedException");
    let (failed, result) = on.ask_as(ACCOUNT, "Encrypt", plain(&disabled)).await;
    assert_eq!(result.unwrap_err(), "DisabledException");
    let mut dry = plain(&theirs);
    dry["DryRun"] = json!(true);
    let (tried, result) = on.ask_as(ACCOUNT, "Encrypt", dry).await;
    assert_eq!(result.unwrap_err(), "DryRunOperationException");
    let granted = json!({"KeyId": theirs, "GranteePrincipal": format!("arn:aws:iam::{ACCOUNT}:root"),
        "Operations": ["Decrypt"]});
    let (changed, result) = on.ask_as(ACCOUNT, "CreateGrant", granted).await;
    result.unwrap();
    let body = json!({"CiphertextBlob": blob, "DestinationKeyId": thirds});
    let (three, result) = on.ask_as(ACCOUNT, "ReEncrypt", body).await;
    result.unwrap();
    // A ciphertext of theirs, opened by nobody's leave: nothing tells that the key exists.
    let sealed = on.ask_as(OTHER, "Encrypt", plain(&closed)).await.1.unwrap();
    let body = json!({"CiphertextBlob": sealed["CiphertextBlob"]});
    let (guessed, result) = on.ask_as(ACCOUNT, "Decrypt", body).await;
    assert_eq!(result.unwrap_err(), "AccessDeniedException");
    let body = json!({"CiphertextBlob": blob});
    let (opened, result) = on.ask_as(ACCOUNT, "Decrypt", body).await;
    result.unwrap();
    let used = on.ask_as(OTHER, "GetKeyLastUsage", json!({"KeyId": theirs})).await.1.unwrap();

    let records = on.records().await;
    for request in [&allowed, &failed, &tried, &changed, &opened] {
        check_pair(&records, request, OTHER);
    }
    for request in [&denied, &guessed] {
        let [record] = of(&records, request)[..] else { panic!("not one record") };
        assert_eq!(record["recipientAccountId"], ACCOUNT);
        assert_eq!(record["errorCode"], "AccessDenied");
        assert!(record.get("resources").is_none(), "{record}");
        assert!(record.get("sharedEventID").is_none());
    }
    let guess = of(&records, &guessed)[0];
    assert!(guess["requestParameters"].get("keyId").is_none(), "{guess}");
    assert_eq!(of(&records, &opened)[0]["requestParameters"]["keyId"], json!(theirs));
    let all = of(&records, &three);
    let recipients: Vec<_> = all.iter().map(|record| &record["recipientAccountId"]).collect();
    assert_eq!(recipients, [ACCOUNT, OTHER, THIRD]);
    let last = &used["KeyLastUsage"];
    assert_eq!(last["KmsRequestId"], json!(opened));
    assert_eq!(last["CloudTrailEventId"], of(&records, &opened)[1]["eventID"]);
}

#[tokio::test]
async fn a_first_use_tells_of_the_key_it_made() {
    let on = Audited::open().await;
    let body = json!({"KeyId": "alias/aws/s3"});
    let made = on.ask("DescribeKey", body).await.unwrap();
    let arn = &made["KeyMetadata"]["Arn"];
    let records = on.records().await;
    let made = records.iter().find(|record| record["eventName"] == "CreateKey").unwrap();
    assert_eq!(made["eventType"], "AwsServiceEvent");
    assert_eq!(made["resources"][0]["ARN"], *arn);
}

#[tokio::test]
async fn who_is_not_known_is_in_the_security_log_alone() {
    let on = Audited::open().await;
    let mut headers = http::HeaderMap::new();
    headers.insert("x-amz-target", "TrentService.ListKeys".parse().unwrap());
    headers.insert("user-agent", "stranger".parse().unwrap());
    let raw = keystead_service::RawRequest {
        method: &http::Method::POST,
        path: "/",
        query: None,
        authority: None,
        headers: &headers,
        body: b"{}",
        source: std::net::Ipv4Addr::LOCALHOST.into(),
        request_id: keystead_service::RequestId([9; 16]),
        secure: false,
    };
    let name = on.service.answer(raw).await.result.unwrap_err().type_name();
    assert_eq!(name, "MissingAuthenticationTokenException");
    assert!(on.records().await.is_empty());
    let path = on.directory().join("security.jsonl");
    drop(on.service);
    let mut text = String::new();
    // The service ends with the last task that knows it.
    for _ in 0..1_000 {
        text = std::fs::read_to_string(&path).unwrap();
        if !text.is_empty() {
            break;
        }
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
    let line: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["errorCode"], name);
    assert_eq!(line["eventName"], "ListKeys");
}

#[tokio::test]
async fn what_was_committed_and_not_moved_is_moved_by_the_next_start() {
    use keystead_store::KeyRange;
    let mut on = Audited::open().await;
    on.service.close_audit().await.unwrap();
    // A closed log takes nothing: requests are refused, and what a sweep commits stays.
    assert_eq!(on.ask("CreateKey", json!({})).await.unwrap_err(), "KMSInternalException");
    on.restart().await;
    let key = on.ask("CreateKey", json!({})).await.unwrap();
    let records = on.records().await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["responseElements"]["keyMetadata"]["arn"], key["KeyMetadata"]["Arn"]);
    assert_eq!(
        records[0]["responseElements"]["keyMetadata"]["creationDate"],
        "Jan 5, 2026, 10:07:31 AM"
    );
    assert_eq!(BEGIN % 1_000, 0);
    let left = on.store.scan(KeyRange::prefix("audit/"), 10).await.unwrap();
    assert!(left.is_empty());
}
