//! What is explained is what the road decides: the same callers, keys and parameters, asked both ways.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use keystead_crypto::RootKey;
use keystead_identity::Identities;
use keystead_model::OperationName;
use keystead_store::memory::Memory;
use serde_json::{Value, json};

use super::{Explanation, GrantOutcome, Question, StatementOutcome, Why};
use crate::access::Access;
use crate::clock::MovableClock;
use crate::error::Error;
use crate::keyring::Root;
use crate::ops;
use crate::service::{RequestId, Service, ServiceSettings};

const REGION: &str = "us-east-1";
const OWNER: &str = "111122223333";
/// Milliseconds.
const SPREAD: i64 = 300_000;

const IDENTITIES: &str = r#"
[accounts.111122223333.policies.Everything]
document = '{"Version": "2012-10-17", "Statement": {"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}}'

[accounts.111122223333.policies.EncryptOnly]
document = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}}'

[accounts.111122223333.users.alice]
path = "/keys/"
policies = ["Everything"]

[accounts.111122223333.users.bounded]
policies = ["Everything"]
permissions_boundary = "EncryptOnly"

[accounts.111122223333.users.denied]
policies = ["Everything"]

[accounts.111122223333.users.denied.inline_policies]
No = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:ListKeys", "Resource": "*"}, {"Sid": "NoDescribe", "Effect": "Deny", "Action": "kms:Describe*", "Resource": "*"}]}'

[accounts.111122223333.users.careful.inline_policies]
Stage = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": ["kms:Encrypt", "kms:GenerateDataKey"], "Resource": "*", "Condition": {"StringEquals": {"kms:EncryptionContext:stage": "test", "kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}}}}'

[accounts.111122223333.users.tagged.inline_policies]
Tags = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:DescribeKey", "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/team": "payments"}}}, {"Effect": "Allow", "Action": "kms:CreateKey", "Resource": "*", "Condition": {"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT"}, "Bool": {"kms:MultiRegion": "false"}}}, {"Effect": "Allow", "Action": "kms:*Alias", "Resource": "arn:aws:kms:*:*:alias/mine*"}]}'

[accounts.111122223333.users.nobody]

[accounts.111122223333.roles.app]
trust_policy = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "111122223333"}}}'

[accounts.111122223333.roles.app.inline_policies]
Sign = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:GenerateMac", "Resource": "*"}}'

[accounts.444455556666.users.zoe.inline_policies]
All = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}}'

[accounts.444455556666.users.zack]

[accounts.777788889999.guardrails.root]
NoRandom = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Sid": "NoRandom", "Effect": "Deny", "Action": "kms:GenerateRandom", "Resource": "*"}]}'

[accounts.777788889999.users.guarded.inline_policies]
All = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'
"#;

/// A service over these identities, and a key of the first account.
struct World {
    service: Arc<Service>,
    clock: Arc<MovableClock>,
    key: String,
    _folder: tempfile::TempDir,
}

fn user(name: &str) -> String {
    format!("arn:aws:iam::{OWNER}:user/{name}")
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("identities.toml");
        std::fs::write(&file, IDENTITIES).unwrap();
        let access = Access::Verified(Arc::new(Identities::open(&file).unwrap()));
        let (service, clock) = service(access).await;
        let mut world = Self { service, clock, key: String::new(), _folder: folder };
        world.key =
            world.new_key(json!({"Tags": [{"TagKey": "team", "TagValue": "payments"}]})).await;
        world
    }

    /// The ARN of a new key.
    async fn new_key(&self, body: Value) -> String {
        let made = self.travel(OWNER, OperationName::CreateKey, &body).await.unwrap();
        made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
    }

    /// The road after authentication.
    async fn travel(
        &self,
        principal: &str,
        operation: OperationName,
        body: &Value,
    ) -> Result<Value, Error> {
        let question = question(principal, "ListKeys", json!({"region": REGION}));
        let caller = self.service.supposed_caller(&question).unwrap();
        let body = serde_json::to_vec(body).unwrap();
        let run = ops::row(operation).run;
        let reply = run(&self.service, caller, RequestId([1; 16]), &body).await?;
        Ok(serde_json::from_slice(&reply).unwrap_or(Value::Null))
    }

    async fn explain(&self, principal: &str, action: &str, rest: Value) -> Explanation {
        self.service.explain(&question(principal, action, rest)).await.unwrap()
    }

    async fn refuses(&self, principal: &str, action: &str, rest: Value) -> String {
        let error = self.service.explain(&question(principal, action, rest)).await.unwrap_err();
        assert_eq!(error.type_name(), "ValidationException");
        error.message().unwrap().to_owned()
    }

    /// Asks both ways, and returns the explanation. What is refused after authorization was allowed.
    async fn both(
        &self,
        principal: &str,
        operation: OperationName,
        body: Value,
        rest: Value,
    ) -> Explanation {
        let answer = self.explain(principal, operation.as_str(), rest).await;
        let travelled = self.travel(principal, operation, &body).await;
        let told = travelled.as_ref().err().map(|error| (error.type_name(), error.message()));
        let what = format!("{principal} {operation}: {answer:?} / {told:?}");
        match &answer.refusal {
            None => {
                assert!(answer.allowed, "{what}");
                assert_ne!(told.map(|told| told.0), Some("AccessDeniedException"), "{what}");
            }
            Some(refusal) => {
                assert!(!answer.allowed, "{what}");
                assert_eq!(
                    told,
                    Some((refusal.exception.as_str(), refusal.message.as_deref())),
                    "{what}"
                );
            }
        }
        answer
    }
}

async fn service(access: Access) -> (Arc<Service>, Arc<MovableClock>) {
    let clock = Arc::new(MovableClock::default());
    let root = Root::Key(RootKey::generate().unwrap());
    let settings = ServiceSettings { grant_delay: SPREAD, ..ServiceSettings::default() };
    let store = Arc::new(Memory::new());
    let service =
        Service::open(settings, access, store, root, Arc::<MovableClock>::clone(&clock)).await;
    (service.unwrap(), clock)
}

fn question(principal: &str, action: &str, rest: Value) -> Question {
    let mut all = json!({"principal": principal, "action": action});
    let members = all.as_object_mut().unwrap();
    members.extend(rest.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

#[tokio::test]
async fn explanations_are_what_the_road_decides() {
    use OperationName::*;
    let world = World::new().await;
    let key = &world.key;
    let named = json!({"KeyId": key});
    let on_key = json!({"key": key});
    let encrypt = json!({"KeyId": key, "Plaintext": "AA=="});
    let with_context = |stage: &str| {
        (
            json!({"KeyId": key, "Plaintext": "AA==", "EncryptionContext": {"stage": stage}}),
            json!({"key": key, "encryption_context": {"stage": stage}}),
        )
    };
    let data_key = json!({"KeyId": key, "KeySpec": "AES_256"});
    let nothing = json!({"region": REGION});
    let random = json!({"NumberOfBytes": 8});
    let (test, production) = (with_context("test"), with_context("production"));
    let alias = |name: &str| json!({"AliasName": name, "TargetKeyId": key});
    let (zoe, zack) = ("arn:aws:iam::444455556666:user/zoe", "arn:aws:iam::444455556666:user/zack");
    let guarded = "arn:aws:iam::777788889999:user/guarded";
    let app = format!("arn:aws:iam::{OWNER}:role/app");
    let session = format!("arn:aws:sts::{OWNER}:assumed-role/app/explain");
    let own = json!({"key": key.rsplit('/').next().unwrap(), "region": REGION});
    let absent = format!("arn:aws:kms:{REGION}:{OWNER}:key/1234abcd-12ab-34cd-56ef-1234567890ab");
    let (no_key, of_no_key) = (json!({"KeyId": absent}), json!({"key": absent}));
    let cases = [
        (OWNER.to_owned(), DescribeKey, &named, &on_key, true),
        (user("keys/alice"), Encrypt, &encrypt, &on_key, true),
        (user("keys/alice"), GenerateDataKey, &data_key, &own, true),
        (user("keys/alice"), ListKeys, &json!({}), &nothing, true),
        (user("keys/alice"), CreateAlias, &alias("alias/a"), &on_key, true),
        (user("keys/alice"), DescribeKey, &no_key, &of_no_key, false),
        (user("bounded"), Encrypt, &encrypt, &on_key, true),
        (user("bounded"), GenerateDataKey, &data_key, &on_key, false),
        (user("bounded"), ListKeys, &json!({}), &nothing, false),
        (user("denied"), DescribeKey, &named, &on_key, false),
        (user("denied"), GetKeyPolicy, &named, &on_key, true),
        (user("careful"), Encrypt, &encrypt, &on_key, false),
        (user("careful"), Encrypt, &test.0, &test.1, true),
        (user("careful"), Encrypt, &production.0, &production.1, false),
        (user("careful"), DescribeKey, &named, &on_key, false),
        (user("tagged"), DescribeKey, &named, &on_key, true),
        (user("tagged"), GetKeyPolicy, &named, &on_key, false),
        (user("tagged"), CreateKey, &json!({}), &nothing, true),
        (
            user("tagged"),
            CreateKey,
            &json!({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}),
            &json!({"region": REGION, "conditions": {"kms:KeySpec": "RSA_2048"}}),
            false,
        ),
        (
            user("tagged"),
            CreateKey,
            &json!({"MultiRegion": true}),
            &json!({"region": REGION, "conditions": {"kms:MultiRegion": "true"}}),
            false,
        ),
        (
            user("tagged"),
            CreateAlias,
            &alias("alias/other"),
            &json!({"key": "alias/other", "region": REGION}),
            false,
        ),
        (user("nobody"), Encrypt, &encrypt, &on_key, false),
        (user("nobody"), GenerateRandom, &random, &nothing, false),
        (app.clone(), Encrypt, &encrypt, &on_key, false),
        (session, DescribeKey, &named, &on_key, false),
        (zoe.to_owned(), Encrypt, &encrypt, &on_key, false),
        (zoe.to_owned(), GenerateRandom, &random, &nothing, true),
        (zoe.to_owned(), DescribeKey, &no_key, &of_no_key, false),
        (zoe.to_owned(), ScheduleKeyDeletion, &named, &on_key, false),
        (zack.to_owned(), Encrypt, &encrypt, &on_key, false),
        (guarded.to_owned(), GenerateRandom, &random, &nothing, false),
        (guarded.to_owned(), ListKeys, &json!({}), &nothing, true),
        ("777788889999".to_owned(), GenerateRandom, &random, &nothing, false),
    ];
    let mut count = [0, 0];
    for (principal, operation, body, rest, allowed) in &cases {
        let answer = world.both(principal, *operation, (*body).clone(), (*rest).clone()).await;
        assert_eq!(answer.allowed, *allowed, "{answer:?}");
        count[usize::from(*allowed)] += 1;
    }
    assert_eq!(count, [21, 12]);
}

#[tokio::test]
async fn the_statement_that_decided_is_told() {
    let world = World::new().await;
    let on_key = json!({"key": world.key});
    let answer = world.explain(&user("keys/alice"), "kms:describekey", on_key.clone()).await;
    let Why::Statement(place) = &answer.why else { panic!("{answer:?}") };
    let everything = format!("arn:aws:iam::{OWNER}:policy/Everything");
    assert_eq!(
        (place.layer.as_str(), place.document.as_str(), place.sid.as_deref()),
        ("identity policy", everything.as_str(), Some("All"))
    );
    let delegated = answer.delegated_by.unwrap();
    assert_eq!((delegated.layer, delegated.document), ("key policy".to_owned(), world.key.clone()));

    let answer = world.explain(&user("denied"), "DescribeKey", on_key.clone()).await;
    let Why::Statement(place) = &answer.why else { panic!("{answer:?}") };
    assert_eq!(
        (place.document.as_str(), place.statement, place.sid.as_deref(), place.effect.as_str()),
        ("user/denied/No", 1, Some("NoDescribe"), "Deny")
    );

    let answer = world.explain(&user("bounded"), "Decrypt", on_key.clone()).await;
    assert_eq!(answer.why, Why::NoAllow { layer: "permissions boundary".to_owned() });
    let layers: Vec<_> = answer.documents.iter().map(|one| one.layer.as_str()).collect();
    assert_eq!(layers, ["key policy", "permissions boundary", "identity policy"]);
    assert_eq!(answer.documents[1].statements[0].outcome, StatementOutcome::NotAction);

    let answer = world.explain(&user("careful"), "Encrypt", on_key.clone()).await;
    assert_eq!(
        answer.documents[1].statements[0].outcome,
        StatementOutcome::ConditionFailed {
            operator: "StringEquals".to_owned(),
            key: "kms:EncryptionContext:stage".to_owned(),
            absent: true,
        }
    );
    let guarded = "arn:aws:iam::777788889999:user/guarded";
    let answer = world.explain(guarded, "GenerateRandom", json!({"region": REGION})).await;
    let Why::Statement(place) = &answer.why else { panic!("{answer:?}") };
    assert_eq!(
        (place.layer.as_str(), place.document.as_str(), place.sid.as_deref()),
        ("guardrail", "guardrail/root/NoRandom", Some("NoRandom"))
    );
    let answer = world.explain(OWNER, "DescribeKey", on_key).await;
    assert!(matches!(answer.why, Why::Statement(place) if place.layer == "key policy"));
    let answer = world.explain(OWNER, "ListKeys", json!({"region": REGION})).await;
    assert_eq!(answer.why, Why::Root);
}

#[tokio::test]
async fn grants_are_judged_as_for_requests() {
    use OperationName::*;
    let world = World::new().await;
    let key = &world.key;
    let grantee = user("nobody");
    let grant = async |body: Value| {
        let mut all = json!({"KeyId": key});
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        world.travel(OWNER, CreateGrant, &all).await.unwrap()
    };
    let made = grant(json!({
        "GranteePrincipal": grantee, "Operations": ["Encrypt"], "Name": "first",
        "Constraints": {"EncryptionContextSubset": {"stage": "test"}},
    }))
    .await;
    grant(json!({"GranteePrincipal": user("denied"), "Operations": ["Encrypt"]})).await;
    grant(json!({"GranteePrincipal": grantee, "Operations": ["DescribeKey"]})).await;
    let (id, token) = (made["GrantId"].as_str().unwrap(), made["GrantToken"].as_str().unwrap());
    let ask = async |context: Value, tokens: Value| {
        let body = json!({"KeyId": key, "Plaintext": "AA==", "EncryptionContext": context,
            "GrantTokens": tokens});
        let rest = json!({"key": key, "encryption_context": context, "grant_tokens": tokens});
        world.both(&grantee, Encrypt, body, rest).await
    };
    let outcomes = |answer: &Explanation| {
        let of = |who: &str, operation: &str| {
            let mut found = answer.grants.iter();
            let found = found
                .find(|one| one.grantee == who && one.operations.contains(&operation.to_owned()));
            found.unwrap().outcome
        };
        [of(&grantee, "Encrypt"), of(&user("denied"), "Encrypt"), of(&grantee, "DescribeKey")]
    };
    let (test, other) = (json!({"stage": "test"}), json!({"stage": "production"}));

    let fresh = ask(test.clone(), json!([])).await;
    assert!(!fresh.allowed);
    assert_eq!(
        outcomes(&fresh),
        [GrantOutcome::NotSpread, GrantOutcome::NotPrincipal, GrantOutcome::NotOperation]
    );
    let by_token = ask(test.clone(), json!([token])).await;
    assert!(by_token.allowed);
    assert_eq!(by_token.why, Why::Grant { id: id.to_owned() });
    assert!(!ask(test.clone(), json!(["forged"])).await.allowed);

    world.clock.advance(SPREAD);
    let spread = ask(test, json!([])).await;
    assert_eq!(spread.why, Why::Grant { id: id.to_owned() });
    assert_eq!(spread.grants.iter().filter(|one| one.decides).count(), 1);
    let constrained = ask(other, json!([])).await;
    assert!(!constrained.allowed);
    assert_eq!(outcomes(&constrained)[0], GrantOutcome::ConstraintFailed);
    let json = serde_json::to_string(&constrained).unwrap();
    assert!(!json.contains("production") && !json.contains("\"test\""), "{json}");
    assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), constrained);
}

/// A grant gives no wider grant.
#[tokio::test]
async fn grants_by_grants_are_judged_as_for_requests() {
    use OperationName::CreateGrant;
    let world = World::new().await;
    let (key, parent) = (&world.key, user("nobody"));
    let body =
        json!({"KeyId": key, "GranteePrincipal": parent, "Operations": ["CreateGrant", "Encrypt"]});
    world.travel(OWNER, CreateGrant, &body).await.unwrap();
    world.clock.advance(SPREAD);
    for (operation, allowed) in [("Encrypt", true), ("Decrypt", false)] {
        let body = json!({"KeyId": key, "GranteePrincipal": user("denied"), "Operations": [operation],
            "DryRun": true});
        let rest = json!({"key": key, "conditions": {"kms:GrantOperations": [operation],
            "kms:GranteePrincipal": user("denied")}});
        assert_eq!(
            world.both(&parent, CreateGrant, body, rest).await.allowed,
            allowed,
            "{operation}"
        );
    }
}

#[tokio::test]
async fn conditions_are_supposed() {
    let world = World::new().await;
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{OWNER}:root")},
         "Action": "kms:*", "Resource": "*"},
        {"Sid": "Office", "Effect": "Allow", "Principal": {"AWS": user("nobody")},
         "Action": "kms:Encrypt", "Resource": "*",
         "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}},
        {"Sid": "Tags", "Effect": "Allow", "Principal": {"AWS": user("nobody")},
         "Action": "kms:TagResource", "Resource": "*",
         "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}},
        {"Sid": "Alias", "Effect": "Allow", "Principal": {"AWS": user("nobody")},
         "Action": "kms:DescribeKey", "Resource": "*",
         "Condition": {"StringEquals": {"kms:RequestAlias": "alias/named"}}}]});
    let key = world.new_key(json!({"Policy": policy.to_string()})).await;
    world
        .travel(
            OWNER,
            OperationName::CreateAlias,
            &json!({"AliasName": "alias/named", "TargetKeyId": key}),
        )
        .await
        .unwrap();
    let nobody = user("nobody");
    let ask = async |action: &str, conditions: Value| {
        let rest = json!({"key": key, "conditions": conditions});
        world.explain(&nobody, action, rest).await.allowed
    };
    assert!(ask("Encrypt", json!({"aws:SourceIp": "192.0.2.9"})).await);
    assert!(ask("Encrypt", json!({"AWS:sourceip": ["192.0.2.9"]})).await);
    assert!(!ask("Encrypt", json!({"aws:SourceIp": "198.51.100.9"})).await);
    assert!(!ask("Encrypt", json!({})).await);
    assert!(ask("TagResource", json!({"aws:TagKeys": ["a", "b"]})).await);
    assert!(!ask("TagResource", json!({"aws:TagKeys": ["a", "c"]})).await);
    assert!(!ask("DescribeKey", json!({})).await);
    let named = json!({"key": "alias/named", "region": REGION});
    assert!(world.explain(&nobody, "DescribeKey", named).await.allowed);
    for settled in [
        "kms:RequestAlias",
        "aws:PrincipalArn",
        "kms:CallerAccount",
        "kms:KeySpec",
        "kms:EncryptionContext:stage",
        "aws:RequestedRegion",
        "aws:ResourceTag/team",
        "aws:username",
    ] {
        let rest = json!({"key": key, "conditions": {settled: "hidden-value"}});
        let text = world.refuses(&nobody, "Encrypt", rest).await;
        assert!(text.contains("cannot be given") && !text.contains("hidden-value"), "{text}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_told() {
    let world = World::new().await;
    let on_key = json!({"key": world.key});
    let alice = user("keys/alice");
    for (principal, action, rest, part) in [
        (alice.clone(), "kms:ReEncrypt", on_key.clone(), "ReEncryptFrom"),
        (alice.clone(), "kms:RetireGrant", on_key.clone(), "RetireGrant"),
        (alice.clone(), "s3:GetObject", on_key.clone(), "no action of KMS"),
        (alice.clone(), "kms:*", on_key.clone(), "no action of KMS"),
        (alice.clone(), "Decrypt", json!({"region": REGION}), "needs a key"),
        (alice.clone(), "ListKeys", on_key.clone(), "on no key"),
        (alice.clone(), "Decrypt", json!({"key": "alias/x"}), "Region is needed"),
        (alice.clone(), "ListKeys", json!({"region": "mars-1"}), "not served"),
        (alice.clone(), "ListKeys", json!({"region": "cn-north-1"}), "partition"),
        (
            alice.clone(),
            "DescribeKey",
            json!({"key": world.key, "encryption_context": {"a": "b"}}),
            "no encryption context",
        ),
        (alice, "DisableKey", json!({"key": world.key, "grant_tokens": ["t"]}), "no grant tokens"),
        (user("mallory"), "Decrypt", on_key.clone(), "not among the identities"),
        ("999999999999".to_owned(), "Decrypt", on_key.clone(), "not among the identities"),
        (
            format!("arn:aws:sts::{OWNER}:assumed-role/none/s1"),
            "Decrypt",
            on_key.clone(),
            "not among",
        ),
        (
            format!("arn:aws:sts::{OWNER}:assumed-role/app/b/d"),
            "Decrypt",
            on_key.clone(),
            "not among",
        ),
    ] {
        let text = world.refuses(&principal, action, rest).await;
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn without_identities_only_roots_are_known() {
    let (service, _) = service(Access::Open).await;
    let ask = async |principal: &str| {
        service.explain(&question(principal, "ListKeys", json!({"region": REGION}))).await
    };
    assert!(ask("123456789012").await.unwrap().allowed);
    assert!(ask("arn:aws:iam::123456789012:root").await.unwrap().allowed);
    for principal in
        [user("alice"), "arn:aws-cn:iam::123456789012:root".to_owned(), "root".to_owned()]
    {
        let error = ask(&principal).await.unwrap_err();
        assert_eq!(error.type_name(), "ValidationException", "{principal}");
    }
}

#[test]
fn questions_print_no_values() {
    let question = question(
        "a",
        "b",
        json!({
            "encryption_context": {"name": "hidden-value"}, "conditions": {"key": "hidden-value"},
            "grant_tokens": ["hidden-value"],
        }),
    );
    let text = format!("{question:?} {:?}", question.conditions);
    assert!(text.contains("name") && !text.contains("hidden-value"), "{text}");
}
