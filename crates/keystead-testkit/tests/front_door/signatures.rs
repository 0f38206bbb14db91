//! Signatures verified against an identity file: who gets in, who does not, and what they may do then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, GrantOperation};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http::{HeaderMap, HeaderValue, Method};
use keystead_service::{RawRequest, RequestId, Service};
use keystead_testkit::{AccessKey, Outcome, TestServer, outcome};
use serde_json::json;

use crate::support::{ACCOUNT, REGION, refused};

const OTHER: &str = "444455556666";

/// An administrator, a user who may only encrypt, one whose boundary forbids that, and one without
/// any permission; an account of China.
const IDENTITIES: &str = r#"
[accounts.111122223333]
organization_id = "o-abcdefghij"
organization_path = "o-abcdefghij/r-ab12/ou-ab12-abcdefgh/"

[accounts.111122223333.policies.Everything]
document = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'

[accounts.111122223333.users.alice]
path = "/keys/"
policies = ["Everything"]
tags = { team = "payments" }

[accounts.111122223333.users.bob.inline_policies]
Encrypt = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}}'

[accounts.111122223333.users.carol]
policies = ["Everything"]
permissions_boundary = "Encrypt"

[accounts.111122223333.policies.Encrypt]
document = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}}'

[accounts.111122223333.users.nobody]

[accounts.111122223333.roles.app]
trust_policy = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "111122223333"}}}'

[accounts.444455556666]

[accounts.777788889999]
partition = "aws-cn"

[accounts.777788889999.users.wei]
"#;

fn user(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/{name}")
}

fn identity_refusal(name: &str, action: &str, resource: &str) -> Outcome {
    refused(
        "AccessDeniedException",
        format!(
            "User: {} is not authorized to perform: kms:{action}{resource} because no \
             identity-based policy allows the kms:{action} action",
            user(name)
        ),
    )
}

fn unknown() -> Outcome {
    refused("UnrecognizedClientException", "The security token included in the request is invalid.")
}

fn mismatch() -> Outcome {
    refused(
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your \
         AWS Secret Access Key and signing method. Consult the service documentation for details.",
    )
}

async fn list(kms: &Client) -> Outcome {
    outcome(kms.list_keys().send().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn users_may_what_their_policies_say() {
    let server = TestServer::start_verifying(IDENTITIES).await.unwrap();
    let client = async |name: &str| {
        server.client_with(&server.access_key(ACCOUNT, name).await.unwrap(), REGION)
    };
    let (alice, bob) = (client("alice").await, client("bob").await);
    let (carol, nobody) = (client("carol").await, client("nobody").await);
    let key = alice.create_key().send().await.unwrap().key_metadata.unwrap();
    let arn = key.arn().unwrap();
    let encrypt = |kms: &Client| {
        let request = kms.encrypt().key_id(arn).plaintext(Blob::new("p"));
        async move { outcome(request.send().await) }
    };
    let data_key = |kms: &Client| {
        let request = kms.generate_data_key().key_id(arn).key_spec(DataKeySpec::Aes256);
        async move { outcome(request.send().await) }
    };
    for kms in [&alice, &bob, &carol] {
        assert_eq!(encrypt(kms).await, Outcome::Ok);
    }
    assert_eq!(data_key(&alice).await, Outcome::Ok);
    let on = format!(" on resource: {arn}");
    assert_eq!(data_key(&bob).await, identity_refusal("bob", "GenerateDataKey", &on));
    assert_eq!(encrypt(&nobody).await, identity_refusal("nobody", "Encrypt", &on));
    assert_eq!(list(&nobody).await, identity_refusal("nobody", "ListKeys", ""));
    assert_eq!(
        data_key(&carol).await,
        refused(
            "AccessDeniedException",
            format!(
                "User: {} is not authorized to perform: kms:GenerateDataKey{on} because no \
                 permissions boundary allows the kms:GenerateDataKey action",
                user("carol")
            )
        )
    );

    // Named by a key policy, or by a grant, a user needs no policy of its own.
    let grant = alice.create_grant().key_id(arn).grantee_principal(user("nobody"));
    grant.operations(GrantOperation::Encrypt).send().await.unwrap();
    assert_eq!(encrypt(&nobody).await, Outcome::Ok);

    // The root of an account, and the root of another.
    let root = server.client_with(&server.root_access_key(ACCOUNT).await.unwrap(), REGION);
    assert_eq!(data_key(&root).await, Outcome::Ok);
    let other = server.client_with(&server.root_access_key(OTHER).await.unwrap(), REGION);
    assert!(
        matches!(data_key(&other).await, Outcome::Refused { name, .. } if name == "AccessDeniedException")
    );
}

/// The facts that policies see of a user.
#[tokio::test(flavor = "multi_thread")]
async fn conditions_see_who_the_user_is() {
    let server = TestServer::start_verifying(IDENTITIES).await.unwrap();
    let alice = server.client_with(&server.access_key(ACCOUNT, "alice").await.unwrap(), REGION);
    let bob = server.client_with(&server.access_key(ACCOUNT, "bob").await.unwrap(), REGION);
    let under = async |condition: serde_json::Value| {
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": user("keys/alice")}, "Action": "kms:*", "Resource": "*"},
            {"Effect": "Allow", "Principal": "*", "Action": "kms:DescribeKey", "Resource": "*",
             "Condition": condition},
        ]});
        let key = alice.create_key().policy(policy.to_string()).send().await.unwrap();
        let key = key.key_metadata.unwrap();
        bob.describe_key().key_id(key.key_id()).send().await.is_ok()
    };
    for (holds, condition) in [
        (true, json!({"StringEquals": {"aws:username": "bob"}})),
        (false, json!({"StringEquals": {"aws:username": "alice"}})),
        (true, json!({"StringLike": {"aws:userid": "AIDA*"}})),
        (true, json!({"StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}})),
        (false, json!({"StringEquals": {"aws:PrincipalOrgID": "o-other00000"}})),
        (
            true,
            json!({"ForAnyValue:StringLike":
            {"aws:PrincipalOrgPaths": "o-abcdefghij/r-ab12/ou-ab12-abcdefgh/*"}}),
        ),
        (
            false,
            json!({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-abcdefghij/r-other/*"}}),
        ),
        (true, json!({"ArnEquals": {"aws:PrincipalArn": user("bob")}})),
        (true, json!({"StringEquals": {"aws:PrincipalType": "User"}})),
        (false, json!({"StringEquals": {"aws:PrincipalTag/team": "payments"}})),
    ] {
        assert_eq!(under(condition.clone()).await, holds, "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_does_not_get_in() {
    let mut server = TestServer::start_verifying(IDENTITIES).await.unwrap();
    let key = server.access_key(ACCOUNT, "alice").await.unwrap();
    let with = |id: &str, secret: &str| {
        let key = AccessKey { id: id.into(), secret: secret.into(), lines: String::new() };
        server.client_with(&key, REGION)
    };
    assert_eq!(list(&with(&key.id, &key.secret)).await, Outcome::Ok);
    assert_eq!(list(&with(&key.id, "wrong")).await, mismatch());
    assert_eq!(list(&with("AKIAIOSFODNN7EXAMPLE", &key.secret)).await, unknown());
    assert_eq!(list(&with("ASIAIOSFODNN7EXAMPLE", &key.secret)).await, unknown());
    assert_eq!(list(&server.client(ACCOUNT, REGION)).await, unknown(), "dev's way in");
    // Identities do not cross partitions.
    assert_eq!(list(&server.client_with(&key, "cn-north-1")).await, unknown());
    let wei = server.access_key("777788889999", "wei").await.unwrap();
    assert_eq!(list(&server.client_with(&wei, REGION)).await, unknown());
    let found = list(&server.client_with(&wei, "cn-north-1")).await;
    assert!(matches!(found, Outcome::Refused { name, .. } if name == "AccessDeniedException"));

    let inactive = key.lines.clone() + "active = false\n";
    server.change_identities(|text| text.replace(&key.lines, &inactive)).await.unwrap();
    assert_eq!(list(&server.client_with(&key, REGION)).await, unknown());
    server.change_identities(|text| text.replace(&inactive, &key.lines)).await.unwrap();
    assert_eq!(list(&server.client_with(&key, REGION)).await, Outcome::Ok);

    // The date has to be within a quarter of an hour of the server's.
    let drifted = |result: Outcome, begins: &str| match result {
        Outcome::Refused { name, message } => {
            assert_eq!(name, "InvalidSignatureException");
            assert!(message.as_ref().unwrap().starts_with(begins), "{message:?}");
        }
        other => panic!("{other:?}"),
    };
    server.advance(Duration::from_secs(14 * 60)).await.unwrap();
    assert_eq!(list(&server.client_with(&key, REGION)).await, Outcome::Ok);
    server.advance(Duration::from_secs(2 * 60)).await.unwrap();
    drifted(list(&server.client_with(&key, REGION)).await, "Signature expired: ");
    server.set_back(Duration::from_secs(32 * 60)).unwrap();
    drifted(list(&server.client_with(&key, REGION)).await, "Signature not yet current: ");
    // An unsigned request learns nothing of what is wrong with its body.
    let headers = [("x-amz-target", "TrentService.Encrypt")];
    assert_eq!(ask(&server, &headers, b"{").await, "MissingAuthenticationTokenException");
}

async fn ask(server: &TestServer, headers: &[(&'static str, &str)], body: &[u8]) -> &'static str {
    let mut all = HeaderMap::new();
    for (name, value) in headers {
        all.insert(*name, value.parse().unwrap());
    }
    let sent = Sent { headers: all, body: body.to_vec(), ..Sent::default() };
    sent.to(server.service().unwrap()).await
}

/// A request as it arrives, free to be altered.
#[derive(Clone, Debug)]
struct Sent {
    method: Method,
    path: String,
    query: Option<String>,
    authority: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Default for Sent {
    fn default() -> Self {
        Self {
            method: Method::POST,
            path: "/".into(),
            query: None,
            authority: None,
            headers: HeaderMap::new(),
            body: Vec::new(),
        }
    }
}

impl Sent {
    /// As AWS's signer makes it.
    fn signed(key: &AccessKey, region: &str, service: &str, token: Option<&str>) -> Self {
        let identity =
            Credentials::new(&key.id, &key.secret, token.map(str::to_owned), None, "test").into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let mut request = http::Request::post("http://kms.test/")
            .header("host", "kms.test")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "TrentService.ListKeys")
            .header("user-agent", "test")
            .body(b"{}".to_vec())
            .unwrap();
        let headers = request.headers().clone();
        let named = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let body = SignableBody::Bytes(b"{}");
        let signable = SignableRequest::new("POST", "http://kms.test/", named, body).unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        let (parts, body) = request.into_parts();
        Self { headers: parts.headers, body, ..Self::default() }
    }

    async fn to(&self, service: &Arc<Service>) -> &'static str {
        let raw = RawRequest {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            authority: self.authority.as_deref(),
            headers: &self.headers,
            body: &self.body,
            source: std::net::Ipv4Addr::LOCALHOST.into(),
            request_id: RequestId([7; 16]),
            secure: true,
        };
        match service.answer(raw).await.result {
            Ok(_) => "ok",
            Err(error) => error.type_name(),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn header(self, name: &'static str, change: impl FnOnce(&str) -> String) -> Self {
        self.with(|sent| {
            let value = change(sent.headers[name].to_str().unwrap());
            sent.headers.insert(name, value.parse().unwrap());
        })
    }
}

const SIGNATURE: &str = "InvalidSignatureException";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_altered_on_the_way_is_refused() {
    let server = TestServer::start_verifying(IDENTITIES).await.unwrap();
    let key = server.access_key(ACCOUNT, "alice").await.unwrap();
    let other = server.access_key(ACCOUNT, "bob").await.unwrap();
    let service = server.service().unwrap();
    let good = || Sent::signed(&key, REGION, "kms", None);
    let another = |name: &'static str| {
        let ids = (key.id.clone(), other.id.clone());
        good().header(name, |value| value.replace(&ids.0, &ids.1))
    };
    for warm in [false, true] {
        if warm {
            assert_eq!(good().to(service).await, "ok");
        }
        for (what, sent, expected) in [
            ("method", good().with(|sent| sent.method = Method::PUT), SIGNATURE),
            ("path", good().with(|sent| sent.path = "/x".into()), SIGNATURE),
            ("query", good().with(|sent| sent.query = Some("x=1".into())), SIGNATURE),
            ("host", good().header("host", |_| "other.test".into()), SIGNATURE),
            ("body", good().with(|sent| sent.body = b"{ }".to_vec()), SIGNATURE),
            ("no body", good().with(|sent| sent.body.clear()), SIGNATURE),
            (
                "target",
                good().header("x-amz-target", |_| "TrentService.ListAliases".into()),
                SIGNATURE,
            ),
            ("content type", good().header("content-type", |_| "text/plain".into()), SIGNATURE),
            (
                "date",
                good().header("x-amz-date", |date| {
                    let second = if date.ends_with("0Z") { "1Z" } else { "0Z" };
                    format!("{}{second}", &date[..14])
                }),
                SIGNATURE,
            ),
            (
                "unsigned header",
                good().with(|sent| {
                    sent.headers.insert("x-amz-meta", HeaderValue::from_static("1"));
                }),
                SIGNATURE,
            ),
            (
                "token",
                good().with(|sent| {
                    sent.headers.insert("x-amz-security-token", HeaderValue::from_static("t"));
                }),
                SIGNATURE,
            ),
            ("access key", another("authorization"), SIGNATURE),
            (
                "signature",
                good().header("authorization", |value| {
                    let last = if value.ends_with('0') { "1" } else { "0" };
                    format!("{}{last}", &value[..value.len() - 1])
                }),
                SIGNATURE,
            ),
            (
                "Region",
                good().header("authorization", |value| value.replace(REGION, "eu-west-2")),
                SIGNATURE,
            ),
            ("another Region's", Sent::signed(&key, "nowhere", "kms", None), SIGNATURE),
            ("another service's", Sent::signed(&key, REGION, "s3", None), SIGNATURE),
            (
                "a token of its own",
                Sent::signed(&key, REGION, "kms", Some("token")),
                "UnrecognizedClientException",
            ),
            (
                "no header",
                good().with(|sent| {
                    sent.headers.remove("authorization");
                }),
                "MissingAuthenticationTokenException",
            ),
            (
                "half a header",
                good().header("authorization", |value| {
                    value.split(", Signature").next().unwrap().to_owned()
                }),
                "IncompleteSignatureException",
            ),
        ] {
            assert_eq!(sent.to(service).await, expected, "{what}, warm: {warm}");
        }
    }
    // What is not signed may change.
    let sent = good().header("user-agent", |_| "other".into());
    assert_eq!(sent.to(service).await, "ok");
    // HTTP/2 has no Host.
    let sent = good().with(|sent| {
        sent.headers.remove("host");
        sent.authority = Some("kms.test".into());
    });
    assert_eq!(sent.to(service).await, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_regions_that_are_served_exist() {
    let server = TestServer::start_with(|config| {
        config.regions = Some(vec![REGION.parse().unwrap(), "us-east-1".parse().unwrap()]);
    })
    .await
    .unwrap();
    assert_eq!(list(&server.client(ACCOUNT, "us-east-1")).await, Outcome::Ok);
    let elsewhere = list(&server.client(ACCOUNT, "eu-west-2")).await;
    let text = "Credential should be scoped to a valid region, not 'eu-west-2'. ";
    assert_eq!(elsewhere, refused(SIGNATURE, text));
    let kms = server.client(ACCOUNT, REGION);
    let key = kms.create_key().multi_region(true).send().await.unwrap().key_metadata.unwrap();
    let replicate =
        |region: &str| kms.replicate_key().key_id(key.key_id()).replica_region(region).send();
    assert!(matches!(
        outcome(replicate("eu-west-2").await),
        Outcome::Refused { name, .. } if name == "ValidationException"
    ));
    replicate("us-east-1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn principals_that_are_named_must_exist() {
    let server = TestServer::start_verifying(IDENTITIES).await.unwrap();
    let alice = server.client_with(&server.access_key(ACCOUNT, "alice").await.unwrap(), REGION);
    let invalid = refused(
        "MalformedPolicyDocumentException",
        "Policy contains a statement with one or more invalid principals.",
    );
    for (principal, exists) in [
        (user("bob"), true),
        (user("keys/alice"), true),
        (user("alice"), false),
        (user("Bob"), false),
        (format!("arn:aws:iam::{ACCOUNT}:role/app"), true),
        (format!("arn:aws:iam::{ACCOUNT}:role/gone"), false),
        (format!("arn:aws:sts::{ACCOUNT}:assumed-role/app/session"), true),
        (format!("arn:aws:sts::{ACCOUNT}:assumed-role/gone/session"), false),
        (ACCOUNT.to_owned(), true),
        (OTHER.to_owned(), true),
        (format!("arn:aws:iam::{OTHER}:user/gone"), false),
        // Of an account that the file does not have, nothing is known.
        ("arn:aws:iam::999988887777:user/anybody".to_owned(), true),
        ("999988887777".to_owned(), true),
        ("arn:aws-cn:iam::777788889999:user/wei".to_owned(), false),
        ("AIDAAAAAAAAAAAAAAAAA".to_owned(), false),
        ("*".to_owned(), true),
    ] {
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*", "Resource": "*"},
            {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "kms:Encrypt", "Resource": "*"},
        ]});
        let created = outcome(alice.create_key().policy(policy.to_string()).send().await);
        assert_eq!(created, if exists { Outcome::Ok } else { invalid.clone() }, "{principal}");
    }
    let key = alice.create_key().send().await.unwrap().key_metadata.unwrap();
    let grant = |grantee: String, retiring: Option<String>| {
        let request = alice.create_grant().key_id(key.key_id()).grantee_principal(grantee);
        request.operations(GrantOperation::Encrypt).set_retiring_principal(retiring).send()
    };
    let no = refused("InvalidArnException", "ARN does not refer to a valid principal");
    assert_eq!(outcome(grant(user("gone"), None).await), no);
    assert_eq!(outcome(grant(user("bob"), Some(user("gone"))).await), no);
    assert_eq!(outcome(grant(user("bob"), Some(user("carol"))).await), Outcome::Ok);
    let foreign = "arn:aws:iam::999988887777:role/anybody".to_owned();
    assert_eq!(outcome(grant(foreign, None).await), Outcome::Ok);
    // A policy outlives those it names, and can still be looked at; a retired grant can be listed.
    server
        .change_identities(|text| {
            text.replace(
                "[accounts.111122223333.users.carol]",
                "[accounts.111122223333.users.dora]",
            )
        })
        .await
        .unwrap();
    let listed = alice.list_retirable_grants().retiring_principal(user("carol")).send().await;
    assert_eq!(listed.unwrap().grants().len(), 1);
}

/// Access keys come and go while others work: nobody's request is lost, and who was removed is out
/// with the next request.
#[tokio::test(flavor = "multi_thread")]
async fn identities_change_under_load() {
    let server = Arc::new(TestServer::start_verifying(IDENTITIES).await.unwrap());
    let alice = server.access_key(ACCOUNT, "alice").await.unwrap();
    let kms = server.client_with(&alice, REGION);
    let key = kms.create_key().send().await.unwrap().key_metadata.unwrap();
    let id = key.key_id().to_owned();
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (kms, stop, id) =
                (server.client_with(&alice, REGION), Arc::clone(&stop), id.clone());
            tokio::spawn(async move {
                let mut done = 0;
                while !stop.load(Ordering::Relaxed) {
                    let request = kms.generate_data_key().key_id(&id);
                    request.key_spec(DataKeySpec::Aes256).send().await.unwrap();
                    done += 1;
                }
                done
            })
        })
        .collect();
    for _ in 0..20 {
        let bob = server.access_key(ACCOUNT, "bob").await.unwrap();
        let encrypt = |key: &AccessKey| {
            let request = server.client_with(key, REGION).encrypt().key_id(&id);
            async move { outcome(request.plaintext(Blob::new("p")).send().await) }
        };
        assert_eq!(encrypt(&bob).await, Outcome::Ok);
        // A faulty file does not take effect.
        server.change_identities(|text| format!("x = 1\n{text}")).await.unwrap();
        assert_eq!(encrypt(&bob).await, Outcome::Ok);
        server.change_identities(|text| text.replacen("x = 1\n", "", 1)).await.unwrap();
        assert_eq!(encrypt(&bob).await, Outcome::Ok);
        server.change_identities(|text| text.replace(&bob.lines, "")).await.unwrap();
        assert_eq!(encrypt(&bob).await, unknown());
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        assert!(worker.await.unwrap() > 0);
    }
}

/// Access keys of another store are of no use, and are told of.
#[tokio::test(flavor = "multi_thread")]
async fn an_access_key_of_another_store_is_unknown() {
    let server = TestServer::start_verifying(IDENTITIES).await.unwrap();
    let elsewhere = TestServer::start_verifying(IDENTITIES).await.unwrap();
    let key = elsewhere.access_key(ACCOUNT, "alice").await.unwrap();
    assert!(server.service().unwrap().unusable_access_keys().is_empty());
    server.change_identities(|text| text + &key.lines).await.unwrap();
    assert_eq!(list(&server.client_with(&key, REGION)).await, unknown());
    assert_eq!(server.service().unwrap().unusable_access_keys(), [key.id]);
}

/// What a refusal costs does not tell whether the access key exists. Taken in turns; the medians of
/// all kinds lie within a tenth of each other.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, for a machine that does nothing else"]
async fn refusals_cost_the_same() {
    const ROUNDS: usize = 4_000;
    let server = TestServer::start_verifying(IDENTITIES).await.unwrap();
    let used = server.access_key(ACCOUNT, "alice").await.unwrap();
    let unused = server.access_key(ACCOUNT, "bob").await.unwrap();
    let inactive = server.access_key(ACCOUNT, "carol").await.unwrap();
    let lines = inactive.lines.clone() + "active = false\n";
    server.change_identities(|text| text.replace(&inactive.lines, &lines)).await.unwrap();
    let service = server.service().unwrap();
    assert_eq!(Sent::signed(&used, REGION, "kms", None).to(service).await, "ok");
    let forged = |id: &str, token: Option<&str>| {
        let key = AccessKey { id: id.into(), secret: "w".repeat(40), lines: String::new() };
        Sent::signed(&key, REGION, "kms", token)
    };
    let kinds = [
        ("used", forged(&used.id, None), SIGNATURE),
        ("unused", forged(&unused.id, None), SIGNATURE),
        ("inactive", forged(&inactive.id, None), "UnrecognizedClientException"),
        ("unknown", forged("AKIAIOSFODNN7EXAMPLE", None), "UnrecognizedClientException"),
        ("temporary", forged("ASIAIOSFODNN7EXAMPLE", None), "UnrecognizedClientException"),
    ];
    let mut took = vec![Vec::with_capacity(ROUNDS); kinds.len()];
    for _ in 0..ROUNDS {
        for ((_, sent, expected), took) in kinds.iter().zip(&mut took) {
            let begun = std::time::Instant::now();
            assert_eq!(sent.to(service).await, *expected);
            took.push(begun.elapsed().as_nanos());
        }
    }
    let medians: Vec<_> = took
        .iter_mut()
        .map(|took| {
            took.sort_unstable();
            took[ROUNDS / 2]
        })
        .collect();
    for ((what, ..), median) in kinds.iter().zip(&medians) {
        println!("{what}: {median} ns");
    }
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    assert!(most * 10 <= least * 11, "{medians:?}");
}
