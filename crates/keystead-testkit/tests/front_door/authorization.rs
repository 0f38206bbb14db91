//! Key policies, grants and accounts, with roots of accounts as callers: what each may do to keys of
//! its own and of others.

use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, GrantConstraints, GrantOperation};
use keystead_testkit::{Outcome, TestServer, outcome};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, REGION, refused};

const OTHER: &str = "444455556666";
const THIRD: &str = "777788889999";

/// A condition, and the key and context of a request.
type Case<'a> = (Value, &'a str, &'a [(&'a str, &'a str)]);

fn root(account: &str) -> String {
    format!("arn:aws:iam::{account}:root")
}

fn allow(principal: Value, action: Value, condition: Value) -> Value {
    json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": "*",
           "Condition": condition})
}

fn deny(principal: Value, action: Value, condition: Value) -> Value {
    json!({"Effect": "Deny", "Principal": {"AWS": principal}, "Action": action, "Resource": "*",
           "Condition": condition})
}

/// The default policy with more statements.
fn owned_and(statements: &[Value]) -> String {
    let mut all = vec![allow(json!(root(ACCOUNT)), json!("kms:*"), json!({}))];
    all.extend_from_slice(statements);
    json!({"Version": "2012-10-17", "Statement": all}).to_string()
}

async fn key_under(kms: &Client, policy: &str) -> (String, String) {
    let key = kms.create_key().policy(policy).send().await.unwrap().key_metadata.unwrap();
    (key.key_id().to_owned(), key.arn().unwrap().to_owned())
}

fn unallowed(caller: &str, action: &str, arn: &str) -> Outcome {
    refused(
        "AccessDeniedException",
        format!(
            "User: {} is not authorized to perform: kms:{action} on resource: {arn} because no \
             resource-based policy allows the kms:{action} action",
            root(caller)
        ),
    )
}

fn forbidden(caller: &str, action: &str, arn: &str) -> Outcome {
    refused(
        "AccessDeniedException",
        format!(
            "User: {} is not authorized to perform: kms:{action} on resource: {arn} with an \
             explicit deny in a resource-based policy",
            root(caller)
        ),
    )
}

fn hidden(caller: &str, action: &str) -> Outcome {
    refused(
        "AccessDeniedException",
        format!(
            "User: {} is not authorized to perform: kms:{action} on this resource because the \
             resource does not exist in this Region, no resource-based policies allow access, or a \
             resource-based policy explicitly denies access",
            root(caller)
        ),
    )
}

fn sealed(caller: &str, action: &str) -> Outcome {
    refused(
        "AccessDeniedException",
        format!(
            "User: {} is not authorized to perform: kms:{action} on the resource associated with \
             this ciphertext because the resource does not exist in this Region, no resource-based \
             policies allow access, or a resource-based policy explicitly denies access",
            root(caller)
        ),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_what_even_the_root_may_do() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    // Everything but Encrypt, by what is not said and by what is forbidden.
    let partial = json!({"Version": "2012-10-17", "Statement": [allow(
        json!(root(ACCOUNT)), json!(["kms:PutKeyPolicy", "kms:DescribeKey"]), json!({}))]});
    let (id, arn) = key_under(&kms, &partial.to_string()).await;
    let encrypt = || kms.encrypt().key_id(&id).plaintext(Blob::new("p"));
    assert_eq!(outcome(encrypt().send().await), unallowed(ACCOUNT, "Encrypt", &arn));
    kms.describe_key().key_id(&id).send().await.unwrap();
    let denying = owned_and(&[deny(json!("*"), json!("kms:Encrypt"), json!({}))]);
    kms.put_key_policy().key_id(&id).policy(denying).send().await.unwrap();
    assert_eq!(outcome(encrypt().send().await), forbidden(ACCOUNT, "Encrypt", &arn));
    // A dry run is told the same.
    assert_eq!(outcome(encrypt().dry_run(true).send().await), forbidden(ACCOUNT, "Encrypt", &arn));
    // A new policy counts at once, cached key or not.
    kms.put_key_policy().key_id(&id).policy(owned_and(&[])).send().await.unwrap();
    encrypt().send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_see_the_request() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let statement = |condition: Value| {
        let manage = json!(["kms:PutKeyPolicy", "kms:Describe*", "kms:CreateAlias"]);
        json!({"Version": "2012-10-17", "Statement": [
            allow(json!(root(ACCOUNT)), manage, json!({})),
            allow(json!(root(ACCOUNT)), json!(["kms:Encrypt", "kms:GenerateDataKey*"]), condition),
        ]})
        .to_string()
    };
    let (id, arn) = key_under(&kms, &statement(json!({}))).await;
    kms.create_alias().alias_name("alias/c").target_key_id(&id).send().await.unwrap();
    let no = unallowed(ACCOUNT, "Encrypt", &arn);
    let encrypt = |key: &str, context: &[(&str, &str)]| {
        let mut request = kms.encrypt().key_id(key).plaintext(Blob::new("p"));
        for (name, value) in context {
            request = request.encryption_context(*name, *value);
        }
        request.send()
    };
    // Each condition with a request that it holds for and one that it does not.
    let held: [Case<'_>; 6] = [
        (json!({"StringEquals": {"kms:EncryptionContext:App": "a"}}), &id, &[("App", "a")]),
        (
            json!({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "k"}}),
            &id,
            &[("k", "v")],
        ),
        (json!({"StringEquals": {"kms:RequestAlias": "alias/c"}}), "alias/c", &[]),
        (json!({"Null": {"kms:EncryptionContextKeys": "true"}}), &id, &[]),
        (json!({"Bool": {"aws:SecureTransport": "false"}}), &id, &[]),
        (
            json!({"StringEquals": {"kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
                                 "kms:KeySpec": "SYMMETRIC_DEFAULT",
                                 "kms:CallerAccount": ACCOUNT}}),
            &id,
            &[],
        ),
    ];
    let failed: [Case<'_>; 6] = [
        (json!({"StringEquals": {"kms:EncryptionContext:App": "a"}}), &id, &[("App", "A")]),
        (
            json!({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "k"}}),
            &id,
            &[("j", "k")],
        ),
        (json!({"StringEquals": {"kms:RequestAlias": "alias/c"}}), &id, &[]),
        (json!({"Null": {"kms:EncryptionContextKeys": "true"}}), &id, &[("k", "v")]),
        (json!({"Bool": {"aws:SecureTransport": "true"}}), &id, &[]),
        (json!({"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}), &id, &[]),
    ];
    for (condition, key, context) in held {
        kms.put_key_policy().key_id(&id).policy(statement(condition.clone())).send().await.unwrap();
        assert_eq!(outcome(encrypt(key, context).await), Outcome::Ok, "{condition}");
    }
    for (condition, key, context) in failed {
        kms.put_key_policy().key_id(&id).policy(statement(condition.clone())).send().await.unwrap();
        assert_eq!(outcome(encrypt(key, context).await), no, "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_needs_the_policy_and_the_arn() {
    let server = TestServer::start().await.unwrap();
    let (owner, other) = (server.client(ACCOUNT, REGION), server.client(OTHER, REGION));
    let shared = owned_and(&[allow(
        json!(root(OTHER)),
        json!([
            "kms:Encrypt",
            "kms:Decrypt",
            "kms:ReEncrypt*",
            "kms:DescribeKey",
            "kms:DisableKey"
        ]),
        json!({}),
    )]);
    let (id, arn) = key_under(&owner, &shared).await;
    let (_, closed) = key_under(&owner, &owned_and(&[])).await;
    owner.create_alias().alias_name("alias/shared").target_key_id(&id).send().await.unwrap();
    let alias = format!("arn:aws:kms:{REGION}:{ACCOUNT}:alias/shared");

    let encrypt = |key: &str| other.encrypt().key_id(key).plaintext(Blob::new("p")).send();
    let blob = encrypt(&arn).await.unwrap().ciphertext_blob.unwrap();
    encrypt(&alias).await.unwrap();
    // By id or alias name, the key would be the caller's own.
    assert!(
        matches!(outcome(encrypt(&id).await), Outcome::Refused { name, .. } if name == "NotFoundException")
    );
    assert!(
        matches!(outcome(encrypt("alias/shared").await), Outcome::Refused { name, .. } if name == "NotFoundException")
    );
    // Without a key, with its ARN, and, since the ciphertext says the same, with its bare id.
    for key in [None, Some(arn.clone()), Some(id.clone())] {
        let opened = other.decrypt().ciphertext_blob(blob.clone()).set_key_id(key).send().await;
        assert_eq!(opened.unwrap().plaintext.unwrap().as_ref(), b"p");
    }
    // Operations that do not cross accounts, whatever the policy says.
    let disable = outcome(other.disable_key().key_id(&arn).send().await);
    assert_eq!(disable, hidden(OTHER, "DisableKey"));
    // What the policy does not allow, and a key that does not exist: one answer.
    let absent = format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000");
    for key in [&closed, &absent] {
        assert_eq!(outcome(encrypt(key).await), hidden(OTHER, "Encrypt"));
    }
    let absent = format!("arn:aws:kms:{REGION}:{ACCOUNT}:alias/absent");
    assert_eq!(outcome(encrypt(&absent).await), hidden(OTHER, "Encrypt"));

    let of_closed = owner.encrypt().key_id(&closed).plaintext(Blob::new("p")).send().await;
    let of_closed = of_closed.unwrap().ciphertext_blob.unwrap();
    let decrypt = outcome(other.decrypt().ciphertext_blob(of_closed.clone()).send().await);
    assert_eq!(decrypt, sealed(OTHER, "Decrypt"));
    let again = other.re_encrypt().ciphertext_blob(blob.clone()).destination_key_id(&closed);
    assert_eq!(outcome(again.send().await), hidden(OTHER, "ReEncryptTo"));
    let again = other.re_encrypt().ciphertext_blob(of_closed).destination_key_id(&arn);
    assert_eq!(outcome(again.send().await), sealed(OTHER, "ReEncryptFrom"));

    owner.put_key_policy().key_id(&id).policy(owned_and(&[])).send().await.unwrap();
    assert_eq!(outcome(encrypt(&arn).await), hidden(OTHER, "Encrypt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_opens_a_key_within_its_constraints() {
    let server = TestServer::start().await.unwrap();
    let (owner, other) = (server.client(ACCOUNT, REGION), server.client(OTHER, REGION));
    let (id, arn) = key_under(&owner, &owned_and(&[])).await;
    let constraints = GrantConstraints::builder().encryption_context_subset("a", "1").build();
    let grant = owner
        .create_grant()
        .key_id(&id)
        .grantee_principal(root(OTHER))
        .operations(GrantOperation::Encrypt)
        .operations(GrantOperation::RetireGrant)
        .constraints(constraints)
        .send()
        .await
        .unwrap();
    let encrypt = || other.encrypt().key_id(&arn).plaintext(Blob::new("p"));
    let no = hidden(OTHER, "Encrypt");
    encrypt().encryption_context("a", "1").encryption_context("b", "2").send().await.unwrap();
    assert_eq!(outcome(encrypt().send().await), no);
    assert_eq!(outcome(encrypt().encryption_context("a", "2").send().await), no);
    assert_eq!(outcome(encrypt().encryption_context("A", "1").send().await), no);
    let data_key = other.generate_data_key().key_id(&arn).key_spec(DataKeySpec::Aes256);
    let data_key = data_key.encryption_context("a", "1").send().await;
    assert_eq!(outcome(data_key), hidden(OTHER, "GenerateDataKey"));
    // To nobody else.
    let third = server.client(THIRD, REGION);
    let token = grant.grant_token().unwrap();
    let stolen = third.encrypt().key_id(&arn).plaintext(Blob::new("p")).grant_tokens(token);
    let stolen = stolen.encryption_context("a", "1").send().await;
    assert_eq!(outcome(stolen), hidden(THIRD, "Encrypt"));
    // What a policy forbids, no grant allows.
    let denying = owned_and(&[deny(json!(root(OTHER)), json!("kms:Encrypt"), json!({}))]);
    owner.put_key_policy().key_id(&id).policy(denying).send().await.unwrap();
    assert_eq!(outcome(encrypt().encryption_context("a", "1").send().await), no);
    owner.put_key_policy().key_id(&id).policy(owned_and(&[])).send().await.unwrap();
    encrypt().encryption_context("a", "1").send().await.unwrap();
    // Over with its end.
    assert_eq!(
        outcome(third.retire_grant().grant_token(token).send().await),
        hidden(THIRD, "RetireGrant")
    );
    other.retire_grant().grant_token(token).send().await.unwrap();
    assert_eq!(outcome(encrypt().encryption_context("a", "1").send().await), no);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_of_a_grant_is_no_wider() {
    let server = TestServer::start().await.unwrap();
    let (owner, other) = (server.client(ACCOUNT, REGION), server.client(OTHER, REGION));
    let third = server.client(THIRD, REGION);
    let (id, arn) = key_under(&owner, &owned_and(&[])).await;
    let subset =
        |name: &str| GrantConstraints::builder().encryption_context_subset(name, "1").build();
    let parent = owner
        .create_grant()
        .key_id(&id)
        .grantee_principal(root(OTHER))
        .operations(GrantOperation::Encrypt)
        .operations(GrantOperation::CreateGrant)
        .constraints(subset("a"));
    parent.send().await.unwrap();
    let child = |operation: GrantOperation, constraints: Option<GrantConstraints>| {
        let request = other.create_grant().key_id(&arn).grantee_principal(root(THIRD));
        request.operations(operation).set_constraints(constraints).send()
    };
    let no = hidden(OTHER, "CreateGrant");
    assert_eq!(outcome(child(GrantOperation::Decrypt, Some(subset("a"))).await), no);
    assert_eq!(outcome(child(GrantOperation::Encrypt, None).await), no);
    assert_eq!(outcome(child(GrantOperation::Encrypt, Some(subset("b"))).await), no);
    child(GrantOperation::Encrypt, Some(subset("a"))).await.unwrap();
    let encrypt = third.encrypt().key_id(&arn).plaintext(Blob::new("p"));
    encrypt.encryption_context("a", "1").send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn until_a_grant_has_spread_only_its_token_opens() {
    let mut server = TestServer::start_with(|config| config.grant_delay = 60).await.unwrap();
    let (owner, other) = (server.client(ACCOUNT, REGION), server.client(OTHER, REGION));
    let (id, arn) = key_under(&owner, &owned_and(&[])).await;
    let grant = owner
        .create_grant()
        .key_id(&id)
        .grantee_principal(root(OTHER))
        .operations(GrantOperation::GenerateDataKey)
        .send()
        .await
        .unwrap();
    let ask = |token: Option<&str>| {
        let request = other.generate_data_key().key_id(&arn).key_spec(DataKeySpec::Aes256);
        request.set_grant_tokens(token.map(|token| vec![token.to_owned()])).send()
    };
    let no = hidden(OTHER, "GenerateDataKey");
    assert_eq!(outcome(ask(None).await), no);
    ask(grant.grant_token()).await.unwrap();
    server.advance(Duration::from_secs(60)).await.unwrap();
    ask(None).await.unwrap();
    // Ended: neither way.
    owner.revoke_grant().key_id(&id).grant_id(grant.grant_id().unwrap()).send().await.unwrap();
    assert_eq!(outcome(ask(None).await), no);
    assert!(matches!(
        outcome(ask(grant.grant_token()).await),
        Outcome::Refused { name, .. } if name == "InvalidGrantTokenException"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_locks_itself_out_unasked() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let (id, _) = key_under(&kms, &owned_and(&[])).await;
    let put = |policy: String| kms.put_key_policy().key_id(&id).policy(policy);
    let locked = refused(
        "MalformedPolicyDocumentException",
        "The new key policy will not allow you to update the key policy in the future.",
    );
    let via_service = json!({"StringEquals": {"kms:ViaService": "ec2.eu-west-1.amazonaws.com"}});
    let insecure = json!({"Bool": {"aws:SecureTransport": "false"}});
    let secure = json!({"Bool": {"aws:SecureTransport": "true"}});
    let only = |condition: &Value| {
        json!({"Version": "2012-10-17", "Statement": [
            allow(json!(root(ACCOUNT)), json!("kms:*"), condition.clone())]})
        .to_string()
    };
    assert_eq!(outcome(put(only(&via_service)).send().await), locked);
    // Conditions count as they stand for the caller, in both directions.
    put(only(&insecure)).send().await.unwrap();
    let denying =
        |condition: &Value| owned_and(&[deny(json!("*"), json!("kms:*"), condition.clone())]);
    assert_eq!(outcome(put(denying(&insecure)).send().await), locked);
    put(denying(&secure)).send().await.unwrap();
    put(only(&via_service)).bypass_policy_lockout_safety_check(true).send().await.unwrap();
    // And now it is locked out.
    assert!(matches!(
        outcome(put(owned_and(&[])).send().await),
        Outcome::Refused { name, .. } if name == "AccessDeniedException"
    ));
}
