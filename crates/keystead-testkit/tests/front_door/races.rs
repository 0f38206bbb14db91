//! Many clients at once over grants, imports and related keys. What was acknowledged is there
//! afterwards, what was not is not, and the records agree with each other.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{GrantOperation, ImportType};
use futures_util::future::join_all;
use keystead_testkit::invariants::{self, Census};
use keystead_testkit::{Outcome, TestServer, outcome};

use crate::imports::{external, put, ready};
use crate::support::{ACCOUNT, REGION, new_key};

const REGIONS: [&str; 4] = [REGION, "us-east-1", "us-west-2", "ap-south-1"];

async fn all<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

async fn census(server: &TestServer) -> Census {
    server.service().unwrap().sweep().await.unwrap();
    invariants::check(server.service().unwrap()).await.unwrap()
}

/// The name of a refusal; empty for success.
fn name(outcome: Outcome) -> String {
    match outcome {
        Outcome::Ok => String::new(),
        Outcome::Refused { name, .. } => name,
        Outcome::Broken(error) => panic!("{error}"),
    }
}

async fn grant_ids(kms: &Client, id: &str) -> BTreeSet<String> {
    let mut pages = kms.list_grants().key_id(id).into_paginator().send();
    let mut ids = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let grants = page.unwrap().grants.unwrap_or_default();
        ids.extend(grants.into_iter().map(|grant| grant.grant_id.unwrap()));
    }
    ids
}

/// One of many who create, retire and revoke grants of one key: some with a name of their own, some
/// with one that all share. Answers the grants it left, by whether their name is shared.
async fn grantor(kms: Client, id: String, number: usize) -> BTreeMap<String, bool> {
    let mut kept = BTreeMap::new();
    for round in 0..6 {
        let shared = round % 3 == 0;
        let request = kms.create_grant().key_id(&id).operations(GrantOperation::Decrypt);
        let request = request.grantee_principal(format!("arn:aws:iam::{ACCOUNT}:role/r{round}"));
        let request = request.retiring_principal(format!("arn:aws:iam::{ACCOUNT}:root"));
        let request = match shared {
            true => request.name(format!("shared-{round}")),
            false => request.name(format!("own-{number}-{round}")),
        };
        let made = request.send().await.unwrap();
        let (grant, token) = (made.grant_id.unwrap(), made.grant_token.unwrap());
        match round {
            1 => {
                kms.retire_grant().grant_token(token).send().await.unwrap();
            }
            4 => {
                kms.revoke_grant().key_id(&id).grant_id(grant).send().await.unwrap();
            }
            _ => {
                kept.insert(grant, shared);
            }
        }
    }
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn grants_made_and_ended_by_many() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let kept = all((0..16)
        .map(|number| grantor(server.client(ACCOUNT, REGION), key.key_id().to_owned(), number)))
    .await;
    let kept: BTreeMap<_, _> = kept.into_iter().flatten().collect();
    assert_eq!(kept.values().filter(|shared| **shared).count(), 2);
    assert_eq!(kept.len(), 2 + 16 * 2);
    assert_eq!(grant_ids(&kms, key.key_id()).await, kept.keys().cloned().collect());
    assert_eq!(census(&server).await.grants, kept.len());

    // All of them ended by two at once: one has it, the other finds it gone.
    let tasks = kept.keys().flat_map(|grant| {
        let (one, two) = (server.client(ACCOUNT, REGION), server.client(ACCOUNT, REGION));
        let (id, grant) = (key.key_id().to_owned(), grant.clone());
        let retire = one.retire_grant().key_id(key.arn().unwrap()).grant_id(&grant);
        let revoke = two.revoke_grant().key_id(id).grant_id(grant);
        [
            tokio::spawn(async move { outcome(retire.send().await) }),
            tokio::spawn(async move { outcome(revoke.send().await) }),
        ]
    });
    let ends: Vec<_> = join_all(tasks.collect::<Vec<_>>()).await;
    let ends: Vec<_> = ends.into_iter().map(|end| name(end.unwrap())).collect();
    for pair in ends.chunks(2) {
        assert_eq!(pair.iter().filter(|end| end.is_empty()).count(), 1, "{pair:?}");
    }
    assert!(grant_ids(&kms, key.key_id()).await.is_empty());
    assert_eq!(census(&server).await.grants, 0);

    // Grants that are made while their key's deletion is asked for go with it.
    let tasks = (0..8).map(|number| {
        let kms = server.client(ACCOUNT, REGION);
        let id = key.key_id().to_owned();
        async move {
            if number == 4 {
                return outcome(kms.schedule_key_deletion().key_id(id).send().await);
            }
            let request = kms.create_grant().key_id(id).operations(GrantOperation::Decrypt);
            let request = request.grantee_principal(format!("arn:aws:iam::{ACCOUNT}:role/r"));
            outcome(request.name(format!("late-{number}")).send().await)
        }
    });
    for end in all(tasks.collect::<Vec<_>>()).await {
        assert!(["", "KMSInvalidStateException"].contains(&name(end).as_str()));
    }
    census(&server).await;
    server.advance(std::time::Duration::from_secs(31 * 86_400)).await.unwrap();
    assert_eq!(census(&server).await, Census::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn related_keys_made_and_promoted_by_many() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = kms.create_key().multi_region(true).send().await.unwrap().key_metadata.unwrap();
    let id = key.key_id();
    // Each replica is asked for by four at once, while the key is rotated and granted.
    let tasks = (0..12).map(|number| {
        let (kms, id) = (server.client(ACCOUNT, REGION), id.to_owned());
        async move {
            let region = REGIONS[1 + number % 3];
            if number % 4 == 1 {
                kms.rotate_key_on_demand().key_id(&id).send().await.unwrap();
            }
            name(outcome(kms.replicate_key().key_id(id).replica_region(region).send().await))
        }
    });
    let ends = all(tasks.collect::<Vec<_>>()).await;
    for region in 0..3 {
        let made = (region..12).step_by(3).filter(|number| ends[*number].is_empty()).count();
        assert_eq!(made, 1, "{ends:?}");
    }
    let refusals: BTreeSet<_> = ends.iter().filter(|end| !end.is_empty()).collect();
    assert_eq!(refusals.into_iter().collect::<Vec<_>>(), ["AlreadyExistsException"]);
    let found = census(&server).await;
    assert_eq!((found.keys, found.materials), (4, 4));

    // Everyone wants to make another key the primary one, wherever it is, and to rotate it.
    let wishes = (0..16).map(|number| {
        let everywhere: Vec<Client> =
            REGIONS.iter().map(|region| server.client(ACCOUNT, region)).collect();
        let id = id.to_owned();
        async move {
            let mut done = 0;
            for turn in 0..8 {
                let kms = &everywhere[(number + turn) % 4];
                let region = REGIONS[(number + turn + 1 + number % 3) % 4];
                let update = kms.update_primary_region().key_id(&id).primary_region(region);
                let end = name(outcome(update.send().await));
                assert!(["", "UnsupportedOperationException"].contains(&end.as_str()), "{end}");
                done += usize::from(end.is_empty());
                if number == 0 {
                    let end = name(outcome(kms.rotate_key_on_demand().key_id(&id).send().await));
                    assert!(["", "UnsupportedOperationException"].contains(&end.as_str()), "{end}");
                }
            }
            done
        }
    });
    let promoted: usize = all(wishes.collect::<Vec<_>>()).await.into_iter().sum();
    assert!(promoted > 0);
    census(&server).await;
    let sealed = kms.encrypt().key_id(id).plaintext(Blob::new("p")).send().await.unwrap();
    for region in REGIONS {
        let kms = server.client(ACCOUNT, region);
        let blob = sealed.ciphertext_blob.clone().unwrap();
        let opened = kms.decrypt().ciphertext_blob(blob).send().await.unwrap();
        assert_eq!(opened.plaintext.unwrap().as_ref(), b"p");
    }
}

/// Of many first imports one succeeds; the others bring material that is not the key's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn material_imported_and_deleted_by_many() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let id = external(&kms).await;
    let mut imports = Vec::new();
    for number in 0..12_u8 {
        imports.push(ready(&server.client(ACCOUNT, REGION), &id, &[number / 2; 32]).await);
    }
    let ends = all(imports.into_iter().map(|request| async move {
        request.send().await.map(|made| made.key_material_id.unwrap()).ok()
    }))
    .await;
    let winners: BTreeSet<_> = ends.iter().flatten().cloned().collect();
    assert_eq!(winners.len(), 1, "{ends:?}");
    let winner = ends.iter().position(Option::is_some).unwrap();
    // The same material comes twice; the second time it is the existing one.
    let pair = [winner & !1, winner | 1];
    assert!(pair.iter().all(|number| ends[*number].is_some()), "{ends:?}");
    let found = census(&server).await;
    assert_eq!((found.keys, found.materials), (1, 1));
    let material = [u8::try_from(winner / 2).unwrap(); 32];
    let sealed = kms.encrypt().key_id(&id).plaintext(Blob::new("p")).send().await.unwrap();
    let blob = sealed.ciphertext_blob.unwrap();

    // Deleted, imported again, rotated to new material and used, all at once.
    let mut imports = Vec::new();
    for number in 0..8_u8 {
        let request = ready(&kms, &id, &[100 + number; 32]).await;
        imports.push(request.import_type(ImportType::NewKeyMaterial));
    }
    let again = ready(&kms, &id, &material).await;
    let mut tasks = Vec::new();
    for request in imports {
        let (kms, id, again) = (server.client(ACCOUNT, REGION), id.clone(), again.clone());
        let blob = blob.clone();
        tasks.push(async move {
            let mut ends = vec![
                outcome(request.send().await),
                outcome(kms.rotate_key_on_demand().key_id(&id).send().await),
                outcome(kms.delete_imported_key_material().key_id(&id).send().await),
                outcome(again.send().await),
            ];
            match kms.decrypt().ciphertext_blob(blob).send().await {
                Ok(opened) => assert_eq!(opened.plaintext.unwrap().as_ref(), b"p"),
                Err(error) => {
                    ends.push(outcome::<(), _>(Err(error)));
                }
            }
            ends.into_iter().map(name).collect::<BTreeSet<_>>()
        });
    }
    let ends: BTreeSet<_> = all(tasks).await.into_iter().flatten().collect();
    let known = ["", "KMSInvalidStateException", "IncorrectKeyMaterialException"];
    assert!(ends.iter().all(|end| known.contains(&end.as_str())), "{ends:?}");
    census(&server).await;
    // Whatever is missing can be brought again, and opens what it sealed.
    put(&kms, &id, &material).await;
    for number in 0..8_u8 {
        let _ = ready(&kms, &id, &[100 + number; 32]).await.send().await;
    }
    let opened = kms.decrypt().ciphertext_blob(blob).send().await.unwrap();
    assert_eq!(opened.plaintext.unwrap().as_ref(), b"p");
    census(&server).await;
}
