//! Many clients at once, each with connections of its own.

use std::collections::BTreeSet;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeyPairSpec, GrantOperation, Tag};
use futures_util::future::join_all;
use keystead_testkit::{Outcome, TestServer, outcome};

use crate::support::{ACCOUNT, REGION, new_key, refused};

fn clients(server: &TestServer, count: usize) -> Vec<Client> {
    (0..count).map(|_| server.client(ACCOUNT, REGION)).collect()
}

/// Runs one future for each client, all at once.
async fn at_once<F>(clients: Vec<Client>, run: impl Fn(usize, Client) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let tasks = clients.into_iter().enumerate().map(|(number, kms)| tokio::spawn(run(number, kms)));
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

async fn tag_all(server: &TestServer, id: &str, count: usize) -> Vec<Outcome> {
    at_once(clients(server, count), |number, kms| {
        let id = id.to_owned();
        async move {
            let tag = Tag::builder().tag_key(format!("{number:02}")).tag_value("v").build();
            outcome(kms.tag_resource().key_id(id).tags(tag.unwrap()).send().await)
        }
    })
    .await
}

async fn tag_keys(kms: &Client, id: &str) -> BTreeSet<String> {
    let tags = kms.list_resource_tags().key_id(id).send().await.unwrap().tags.unwrap();
    tags.into_iter().map(|tag| tag.tag_key).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_tag_is_lost() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let outcomes = tag_all(&server, key.key_id(), 40).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Ok), "{outcomes:?}");
    let expected: BTreeSet<String> = (0..40).map(|number| format!("{number:02}")).collect();
    assert_eq!(tag_keys(&kms, key.key_id()).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_of_tags_holds_under_load() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let outcomes = tag_all(&server, key.key_id(), 64).await;
    let accepted: BTreeSet<String> = outcomes
        .iter()
        .enumerate()
        .filter(|(_, outcome)| **outcome == Outcome::Ok)
        .map(|(number, _)| format!("{number:02}"))
        .collect();
    assert_eq!(accepted.len(), 50);
    let too_many = refused("TagException", "Too many tags");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == too_many).count(), 14);
    assert_eq!(tag_keys(&kms, key.key_id()).await, accepted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_of_aliases_holds_under_load() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let id = key.key_id();
    let create = |number: usize, kms: Client| {
        let id = id.to_owned();
        async move {
            let request = kms.create_alias().alias_name(format!("alias/{number:02}"));
            outcome(request.target_key_id(id).send().await)
        }
    };
    let outcomes = at_once(clients(&server, 64), create).await;
    let accepted = outcomes.iter().filter(|outcome| **outcome == Outcome::Ok).count();
    assert_eq!(accepted, 50);
    for refusal in outcomes.iter().filter(|outcome| **outcome != Outcome::Ok) {
        assert!(
            matches!(refusal, Outcome::Refused { name, .. } if name == "LimitExceededException"),
            "{refusal:?}"
        );
    }
    let listed = kms.list_aliases().key_id(id).limit(100).send().await.unwrap().aliases.unwrap();
    assert_eq!(listed.len(), 50);
    // The count is right afterwards, too: one goes, one comes, a further one does not.
    let gone = listed[0].alias_name().unwrap();
    kms.delete_alias().alias_name(gone).send().await.unwrap();
    let again = kms.create_alias().target_key_id(id);
    again.clone().alias_name("alias/new").send().await.unwrap();
    assert!(again.alias_name("alias/newer").send().await.is_err());
}

/// One alias name, many keys: exactly one gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_alias_name_goes_to_one_key() {
    let server = TestServer::start().await.unwrap();
    let outcomes = at_once(clients(&server, 16), |_, kms| async move {
        let key = new_key(&kms).await;
        let request = kms.create_alias().alias_name("alias/one").target_key_id(key.key_id());
        (key.key_id, outcome(request.send().await))
    })
    .await;
    let taken = refused(
        "AlreadyExistsException",
        format!("An alias with the name arn:aws:kms:{REGION}:{ACCOUNT}:alias/one already exists"),
    );
    let (winners, losers): (Vec<_>, Vec<_>) =
        outcomes.into_iter().partition(|(_, outcome)| *outcome == Outcome::Ok);
    assert_eq!(winners.len(), 1);
    assert!(losers.iter().all(|(_, outcome)| *outcome == taken), "{losers:?}");
    let kms = server.client(ACCOUNT, REGION);
    let found = kms.describe_key().key_id("alias/one").send().await.unwrap().key_metadata.unwrap();
    assert_eq!(found.key_id, winners[0].0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_alias_and_a_deletion_at_once() {
    let server = TestServer::start().await.unwrap();
    let (one, two) = (server.client(ACCOUNT, REGION), server.client(ACCOUNT, REGION));
    for round in 0..50 {
        let key = new_key(&one).await;
        let (id, arn) = (key.key_id.clone(), key.arn.clone().unwrap());
        let alias = format!("alias/round-{round}");
        let create = one.create_alias().alias_name(&alias).target_key_id(&id);
        let schedule = two.schedule_key_deletion().key_id(&id);
        let (created, scheduled) =
            tokio::join!(tokio::spawn(create.send()), tokio::spawn(schedule.send()));
        let (created, scheduled) = (outcome(created.unwrap()), outcome(scheduled.unwrap()));
        assert_eq!(scheduled, Outcome::Ok);
        let pending = refused("KMSInvalidStateException", format!("{arn} is pending deletion."));
        let listed = one.list_aliases().key_id(&id).send().await.unwrap().aliases.unwrap();
        match created {
            Outcome::Ok => assert_eq!(listed.len(), 1),
            refusal => {
                assert_eq!(refusal, pending);
                assert!(listed.is_empty());
            }
        }
        // Whichever came first, neither has undone the other.
        let found = one.describe_key().key_id(&id).send().await.unwrap().key_metadata.unwrap();
        assert_eq!(found.key_state.unwrap().as_str(), "PendingDeletion", "round {round}");
        let late = one.create_alias().alias_name(format!("{alias}-late")).target_key_id(&id);
        assert_eq!(outcome(late.send().await), pending);
    }
}

/// Once DisableKey has been answered, no request that begins later can use the key, on whichever
/// connection it comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_disabled_key_is_disabled_for_everyone_at_once() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let others = clients(&server, 4);
    let key = new_key(&kms).await;
    let id = key.key_id();
    let disabled = refused("DisabledException", format!("{} is disabled.", key.arn().unwrap()));
    for round in 0..50 {
        let other = &others[round % others.len()];
        let encrypt = other.encrypt().key_id(id).plaintext(Blob::new("p"));
        assert_eq!(outcome(encrypt.clone().send().await), Outcome::Ok, "round {round}");
        kms.disable_key().key_id(id).send().await.unwrap();
        assert_eq!(outcome(encrypt.send().await), disabled, "round {round}");
        kms.enable_key().key_id(id).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_pair_is_given_twice() {
    let server = TestServer::start().await.unwrap();
    let key = new_key(&server.client(ACCOUNT, REGION)).await;
    let id = key.key_id();
    let pairs = at_once(clients(&server, 64), |_, kms| {
        let id = id.to_owned();
        async move {
            let request = kms.generate_data_key_pair().key_id(id);
            request.key_pair_spec(DataKeyPairSpec::EccNistP256).send().await.unwrap()
        }
    })
    .await;
    let distinct = |part: fn(
        &aws_sdk_kms::operation::generate_data_key_pair::GenerateDataKeyPairOutput,
    ) -> &Blob| {
        pairs.iter().map(|pair| part(pair).as_ref().to_vec()).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(distinct(|pair| pair.public_key.as_ref().unwrap()), 64);
    assert_eq!(distinct(|pair| pair.private_key_plaintext.as_ref().unwrap()), 64);
    assert_eq!(distinct(|pair| pair.private_key_ciphertext_blob.as_ref().unwrap()), 64);
}

/// One name, one set of properties: one grant, however many ask for it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_grant_name_makes_one_grant() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let made = at_once(clients(&server, 64), |_, kms| {
        let id = key.key_id.clone();
        async move {
            let request = kms.create_grant().key_id(id).name("one");
            let request = request.grantee_principal(format!("arn:aws:iam::{ACCOUNT}:role/r"));
            request.operations(GrantOperation::Decrypt).send().await.unwrap()
        }
    })
    .await;
    let ids: BTreeSet<_> = made.iter().map(|made| made.grant_id.clone().unwrap()).collect();
    assert_eq!(ids.len(), 1);
    let tokens: BTreeSet<_> = made.iter().map(|made| made.grant_token.clone().unwrap()).collect();
    assert_eq!(tokens.len(), 64);
    let listed = kms.list_grants().key_id(key.key_id()).send().await.unwrap().grants.unwrap();
    assert_eq!(listed.len(), 1);
}
