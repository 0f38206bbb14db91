//! Grants as records: made, listed, ended. What they allow is no matter yet: a caller is root of its
//! account.

use std::collections::BTreeSet;

use aws_sdk_kms::Client;
use aws_sdk_kms::types::{GrantConstraints, GrantListEntry, GrantOperation};
use keystead_testkit::{Outcome, TestServer, outcome};

use crate::support::{ACCOUNT, REGION, new_key, refused, refused_silently};

type CreateGrant = aws_sdk_kms::operation::create_grant::builders::CreateGrantFluentBuilder;

fn principal(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

fn grant(kms: &Client, id: &str, grantee: &str) -> CreateGrant {
    let request = kms.create_grant().key_id(id).grantee_principal(principal(grantee));
    request.operations(GrantOperation::Encrypt).operations(GrantOperation::Decrypt)
}

async fn made(request: CreateGrant) -> (String, String) {
    let made = request.send().await.unwrap();
    (made.grant_id.unwrap(), made.grant_token.unwrap())
}

async fn listed(kms: &Client, id: &str) -> Vec<GrantListEntry> {
    kms.list_grants().key_id(id).limit(100).send().await.unwrap().grants.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_makes_a_grant_idempotent() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let (key, other) = (new_key(&kms).await, new_key(&kms).await);
    let id = key.key_id();
    let named = || grant(&kms, id, "r").name("n");
    let (first, token) = made(named()).await;
    assert_eq!(first.len(), 64);
    let (again, another_token) = made(named()).await;
    assert_eq!(again, first);
    assert_ne!(another_token, token);
    // The order of the operations is no property.
    let turned = kms.create_grant().key_id(id).grantee_principal(principal("r")).name("n");
    let turned = turned.operations(GrantOperation::Decrypt).operations(GrantOperation::Encrypt);
    assert_eq!(made(turned).await.0, first);
    // Other properties, another key, no name: other grants.
    let mut ids = BTreeSet::from([first.clone()]);
    assert!(ids.insert(made(named().operations(GrantOperation::DescribeKey)).await.0));
    assert!(ids.insert(made(named().retiring_principal(principal("x"))).await.0));
    assert!(ids.insert(made(grant(&kms, other.key_id(), "r").name("n")).await.0));
    assert!(ids.insert(made(grant(&kms, id, "r")).await.0));
    assert!(ids.insert(made(grant(&kms, id, "r")).await.0));
    assert_eq!(listed(&kms, id).await.len(), 5);

    // Both tokens are of the one grant, also after a restart; it ends once.
    server.restart().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    kms.retire_grant().grant_token(&another_token).send().await.unwrap();
    let invalid = refused_silently("InvalidGrantTokenException");
    assert_eq!(outcome(kms.retire_grant().grant_token(token).send().await), invalid);
    assert_eq!(listed(&kms, id).await.len(), 4);
    // The name is free again.
    assert_ne!(made(grant(&kms, id, "r").name("n")).await.0, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_was_granted() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let (id, arn) = (key.key_id(), key.arn().unwrap());
    let constraints =
        GrantConstraints::builder().encryption_context_subset("purpose", "test").build();
    let full = grant(&kms, id, "a").name("n").constraints(constraints.clone());
    let (full, _) = made(full.retiring_principal(principal("keeper"))).await;
    for _ in 0..6 {
        made(grant(&kms, id, "b")).await;
    }
    let by_id = kms.list_grants().key_id(id).grant_id(&full).send().await.unwrap();
    let [found] = &by_id.grants.unwrap()[..] else { panic!("not one") };
    assert_eq!(found.key_id.as_deref(), Some(arn));
    assert_eq!(found.name.as_deref(), Some("n"));
    assert_eq!(found.grantee_principal, Some(principal("a")));
    assert_eq!(found.retiring_principal, Some(principal("keeper")));
    assert_eq!(found.issuing_account, Some(format!("arn:aws:iam::{ACCOUNT}:root")));
    // In the order of the model.
    assert_eq!(found.operations(), [GrantOperation::Decrypt, GrantOperation::Encrypt]);
    assert_eq!(found.constraints, Some(constraints));
    assert!(found.creation_date.is_some());

    let of_b = kms.list_grants().key_id(id).grantee_principal(principal("b"));
    assert_eq!(of_b.send().await.unwrap().grants.unwrap().len(), 6);
    let (mut ids, mut marker) = (Vec::new(), None);
    loop {
        let page = kms.list_grants().key_id(id).limit(3).set_marker(marker).send().await.unwrap();
        let entries = page.grants.unwrap();
        assert!(entries.len() <= 3);
        ids.extend(entries.into_iter().map(|entry| entry.grant_id.unwrap()));
        marker = page.next_marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(ids.len(), 7);
    assert!(ids.is_sorted());
    let retirable = kms.list_retirable_grants().retiring_principal(principal("keeper"));
    let retirable = retirable.send().await.unwrap().grants.unwrap();
    assert_eq!(retirable.len(), 1);
    assert_eq!(retirable[0].grant_id.as_deref(), Some(full.as_str()));
    let of_nobody = kms.list_retirable_grants().retiring_principal(principal("keep"));
    assert!(of_nobody.send().await.unwrap().grants.unwrap().is_empty());

    kms.revoke_grant().key_id(id).grant_id(&full).send().await.unwrap();
    let gone = kms.list_retirable_grants().retiring_principal(principal("keeper"));
    assert!(gone.send().await.unwrap().grants.unwrap().is_empty());
    let missing = refused("NotFoundException", format!("Grant ID {full} not found"));
    let revoke = kms.revoke_grant().key_id(id).grant_id(&full);
    assert_eq!(outcome(revoke.send().await), missing);
    let retire = kms.retire_grant().key_id(id).grant_id(&full);
    assert_eq!(outcome(retire.send().await), missing);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let id = key.key_id();
    let name = |found: Outcome| match found {
        Outcome::Refused { name, .. } => name,
        other => panic!("{other:?}"),
    };
    let signs = grant(&kms, id, "r").operations(GrantOperation::Sign);
    assert_eq!(name(outcome(signs.send().await)), "ValidationException");
    for odd in ["s3.amazonaws.com", "*", "arn:aws:iam::111122223333:group/g", "nobody"] {
        let request = kms.create_grant().key_id(id).grantee_principal(odd);
        let found = outcome(request.operations(GrantOperation::Decrypt).send().await);
        assert_ne!(found, Outcome::Ok, "{odd}");
    }
    let long = "x".repeat(385);
    let constraints = GrantConstraints::builder().encryption_context_equals("k", long).build();
    let found = outcome(grant(&kms, id, "r").constraints(constraints).send().await);
    assert_eq!(name(found), "ValidationException");
    let revoke = kms.revoke_grant().key_id(id).grant_id("0123");
    assert_eq!(outcome(revoke.send().await), refused_silently("InvalidGrantIdException"));
    let found = outcome(kms.retire_grant().key_id(id).send().await);
    assert_eq!(name(found), "ValidationException");
    let elsewhere = kms.list_retirable_grants();
    let elsewhere = elsewhere.retiring_principal("arn:aws:iam::999988887777:role/r");
    assert_eq!(name(outcome(elsewhere.send().await)), "AccessDeniedException");
    // A dry run makes nothing.
    let dry = outcome(grant(&kms, id, "r").dry_run(true).send().await);
    assert_eq!(name(dry), "DryRunOperationException");
    assert!(listed(&kms, id).await.is_empty());
    let (made_id, _) = made(grant(&kms, id, "r")).await;
    let dry = kms.revoke_grant().key_id(id).grant_id(&made_id).dry_run(true);
    assert_eq!(name(outcome(dry.send().await)), "DryRunOperationException");
    let dry = kms.retire_grant().key_id(id).grant_id(&made_id).dry_run(true);
    assert_eq!(name(outcome(dry.send().await)), "DryRunOperationException");
    assert_eq!(listed(&kms, id).await.len(), 1);
}

/// A genuine token goes with any request; one that was never given out does not.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_checked() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let id = key.key_id();
    let (grant_id, token) = made(grant(&kms, id, "r")).await;
    let describe = |token: &str| kms.describe_key().key_id(id).grant_tokens(token);
    assert_eq!(outcome(describe(&token).send().await), Outcome::Ok);
    let invalid = refused_silently("InvalidGrantTokenException");
    let mut changed = token.clone().into_bytes();
    changed[40] = if changed[40] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    for odd in [changed.as_str(), &token[1..], "AAAA", "not base64!"] {
        assert_eq!(outcome(describe(odd).send().await), invalid, "{odd}");
    }
    // A stranger can retire nothing by a token it has come by.
    let stranger = server.client("999988887777", REGION);
    let found = outcome(stranger.retire_grant().grant_token(&token).send().await);
    assert!(
        matches!(&found, Outcome::Refused { name, .. } if name == "AccessDeniedException"),
        "{found:?}"
    );
    kms.revoke_grant().key_id(id).grant_id(grant_id).send().await.unwrap();
    assert_eq!(outcome(describe(&token).send().await), invalid);
}

/// A page size over the maximum is told before the key is looked up.
#[tokio::test(flavor = "multi_thread")]
async fn limits_are_checked_before_the_key() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
    let refusal = |limit: i32, maximum: i32| {
        refused(
            "ValidationException",
            format!(
                "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy \
                 constraint: Member must have value less than or equal to {maximum}"
            ),
        )
    };
    let grants = outcome(kms.list_grants().key_id(id).limit(101).send().await);
    assert_eq!(grants, refusal(101, 100));
    let retirable = kms.list_retirable_grants().retiring_principal("nobody").limit(101);
    assert_eq!(outcome(retirable.send().await), refusal(101, 100));
    let rotations = outcome(kms.list_key_rotations().key_id(id).limit(1_000).send().await);
    assert!(matches!(&rotations, Outcome::Refused { name, .. } if name == "NotFoundException"));
}
