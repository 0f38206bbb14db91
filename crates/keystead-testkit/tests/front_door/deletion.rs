//! What time does to a key that is scheduled for deletion.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeyPairSpec, GrantOperation, Tag};
use futures_util::future::join_all;
use keystead_store::KeyRange;
use keystead_testkit::{Outcome, TestServer, outcome};

use crate::support::{ACCOUNT, REGION, new_key, refused, refused_silently};

const DAY: Duration = Duration::from_secs(86_400);

/// The files under `folder` that hold `needle`.
fn files_with(folder: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if fs::read(&path).unwrap().windows(needle.len()).any(|part| part == needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_past_its_date_is_gone_with_all_it_had() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let spared = new_key(&kms).await;
    let key = new_key(&kms).await;
    let (id, arn) = (key.key_id(), key.arn().unwrap());
    for name in ["alias/one", "alias/two"] {
        kms.create_alias().alias_name(name).target_key_id(id).send().await.unwrap();
    }
    let sealed = kms.encrypt().key_id(id).plaintext(Blob::new("p")).send().await.unwrap();
    let sealed = sealed.ciphertext_blob.unwrap();

    let store = server.service().unwrap().store().clone();
    let prefix = format!("material/{ACCOUNT}/{id}/");
    let wrapped = store.scan(KeyRange::prefix(prefix.clone()), 2).await.unwrap();
    assert_eq!(wrapped.len(), 1);
    let wrapped = wrapped[0].1.value.clone();
    assert!(!files_with(server.data_dir(), &wrapped).is_empty(), "the search finds nothing at all");

    kms.schedule_key_deletion().key_id(id).pending_window_in_days(7).send().await.unwrap();
    server.advance(6 * DAY).await.unwrap();
    assert_eq!(outcome(kms.describe_key().key_id(id).send().await), Outcome::Ok);
    server.advance(DAY + Duration::from_secs(1)).await.unwrap();

    let gone = refused("NotFoundException", format!("Key '{arn}' does not exist"));
    let alias_arn = arn.replace(&format!("key/{id}"), "alias/one");
    let no_alias = refused("NotFoundException", format!("Alias {alias_arn} is not found."));
    let tag = Tag::builder().tag_key("k").tag_value("v").build().unwrap();
    let pair = DataKeyPairSpec::EccNistP256;
    let (p, other) = (Blob::new("p"), spared.key_id());
    let pairs_without = kms.generate_data_key_pair_without_plaintext().key_id(id);
    let keys_without = kms.generate_data_key_without_plaintext().key_id(id);
    let policy = kms.get_key_policy().key_id(other).send().await.unwrap().policy.unwrap();
    let outcomes = [
        outcome(kms.cancel_key_deletion().key_id(id).send().await),
        outcome(kms.create_alias().alias_name("alias/x").target_key_id(id).send().await),
        outcome(kms.decrypt().key_id(id).ciphertext_blob(sealed.clone()).send().await),
        outcome(kms.describe_key().key_id(id).send().await),
        outcome(kms.disable_key().key_id(id).send().await),
        outcome(kms.enable_key().key_id(id).send().await),
        outcome(kms.encrypt().key_id(id).plaintext(p).send().await),
        outcome(kms.generate_data_key().key_id(id).number_of_bytes(1).send().await),
        outcome(kms.generate_data_key_pair().key_id(id).key_pair_spec(pair.clone()).send().await),
        outcome(pairs_without.key_pair_spec(pair).send().await),
        outcome(keys_without.number_of_bytes(1).send().await),
        outcome(kms.get_key_policy().key_id(id).send().await),
        outcome(kms.list_aliases().key_id(id).send().await),
        outcome(kms.list_key_policies().key_id(id).send().await),
        outcome(kms.list_resource_tags().key_id(id).send().await),
        outcome(kms.put_key_policy().key_id(id).policy(policy).send().await),
        outcome(
            kms.re_encrypt()
                .ciphertext_blob(sealed.clone())
                .source_key_id(id)
                .destination_key_id(other)
                .send()
                .await,
        ),
        outcome(kms.schedule_key_deletion().key_id(id).send().await),
        outcome(kms.tag_resource().key_id(id).tags(tag).send().await),
        outcome(kms.untag_resource().key_id(id).tag_keys("k").send().await),
        outcome(kms.update_key_description().key_id(id).description("d").send().await),
        outcome(kms.enable_key_rotation().key_id(id).send().await),
        outcome(kms.disable_key_rotation().key_id(id).send().await),
        outcome(kms.get_key_rotation_status().key_id(id).send().await),
        outcome(kms.rotate_key_on_demand().key_id(id).send().await),
        outcome(kms.list_key_rotations().key_id(id).send().await),
        outcome(kms.list_grants().key_id(id).send().await),
        outcome(kms.get_public_key().key_id(id).send().await),
        outcome(kms.get_key_last_usage().key_id(id).send().await),
    ];
    for (number, found) in outcomes.iter().enumerate() {
        assert_eq!(*found, gone, "{number}");
    }
    assert_eq!(outcome(kms.describe_key().key_id("alias/one").send().await), no_alias);
    assert_eq!(outcome(kms.delete_alias().alias_name("alias/one").send().await), no_alias);
    // Without a key id the answer is the one for any ciphertext that the caller cannot open.
    let nameless = kms.decrypt().ciphertext_blob(sealed).send().await.unwrap_err();
    assert_eq!(nameless.into_service_error().meta().code(), Some("AccessDeniedException"));

    for name in ["alias/one", "alias/two"] {
        kms.create_alias().alias_name(name).target_key_id(other).send().await.unwrap();
    }
    let keys = kms.list_keys().send().await.unwrap().keys.unwrap();
    assert_eq!(keys.len(), 1);
    assert!(store.scan(KeyRange::prefix(prefix), 1).await.unwrap().is_empty());
    assert_eq!(files_with(server.data_dir(), &wrapped), Vec::<String>::new());
    let traces: Vec<_> = store
        .scan(KeyRange::all(), 1_000)
        .await
        .unwrap()
        .into_iter()
        .map(|(path, _)| String::from_utf8(path).unwrap())
        .filter(|path| path.contains(id))
        .collect();
    assert_eq!(traces, Vec::<String>::new());
}

/// The date alone decides, not whether the sweep has come by.
#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_has_passed_needs_no_sweep() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let (key, other) = (new_key(&kms).await, new_key(&kms).await);
    let (id, arn) = (key.key_id(), key.arn().unwrap());
    kms.create_alias().alias_name("alias/one").target_key_id(id).send().await.unwrap();
    let keeper = format!("arn:aws:iam::{ACCOUNT}:role/keeper");
    let grant = kms.create_grant().key_id(id).grantee_principal(&keeper);
    let grant = grant.retiring_principal(&keeper).operations(GrantOperation::Decrypt);
    let token = grant.send().await.unwrap().grant_token.unwrap();
    kms.schedule_key_deletion().key_id(id).pending_window_in_days(7).send().await.unwrap();
    server.advance_unswept(7 * DAY + Duration::from_secs(1)).unwrap();
    let gone = refused("NotFoundException", format!("Key '{arn}' does not exist"));
    assert_eq!(outcome(kms.cancel_key_deletion().key_id(id).send().await), gone);
    let retirable = kms.list_retirable_grants().retiring_principal(&keeper).send().await.unwrap();
    assert!(retirable.grants.unwrap().is_empty());
    let retired = outcome(kms.retire_grant().grant_token(token).send().await);
    assert_eq!(retired, refused_silently("InvalidGrantTokenException"));
    let again = kms.create_alias().alias_name("alias/one").target_key_id(other.key_id());
    assert_eq!(outcome(again.send().await), Outcome::Ok);
    let found = kms.describe_key().key_id("alias/one").send().await.unwrap().key_metadata.unwrap();
    assert_eq!(found.key_id, other.key_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_deletion_has_no_date_any_more() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let key = new_key(&kms).await;
    let id = key.key_id();
    kms.schedule_key_deletion().key_id(id).pending_window_in_days(7).send().await.unwrap();
    kms.cancel_key_deletion().key_id(id).send().await.unwrap();
    server.advance(40 * DAY).await.unwrap();
    kms.enable_key().key_id(id).send().await.unwrap();
    kms.encrypt().key_id(id).plaintext(Blob::new("p")).send().await.unwrap();
    // The clock stays where it was moved to.
    let before = kms.create_key().send().await.unwrap().key_metadata.unwrap().creation_date;
    server.restart().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let after = kms.create_key().send().await.unwrap().key_metadata.unwrap().creation_date;
    assert!(after.unwrap().secs() >= before.unwrap().secs());
}

/// A note of a deletion that no longer is one is cleared away, and does not hold up the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_date_ends_no_sweep() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let (stale, due) = (new_key(&kms).await, new_key(&kms).await);
    for key in [&stale, &due] {
        let schedule = kms.schedule_key_deletion().key_id(key.key_id()).pending_window_in_days(7);
        schedule.send().await.unwrap();
    }
    let store = server.service().unwrap().store().clone();
    let notes = store.scan(KeyRange::prefix("due/"), 3).await.unwrap();
    assert_eq!(notes.len(), 2);
    kms.cancel_key_deletion().key_id(stale.key_id()).send().await.unwrap();
    let of_stale = |path: &[u8]| String::from_utf8_lossy(path).contains(stale.key_id());
    let (path, found) = notes.into_iter().find(|(path, _)| of_stale(path)).unwrap();
    store.commit(vec![], vec![keystead_store::Write::Put(path, found.value)]).await.unwrap();
    server.advance(8 * DAY).await.unwrap();
    assert_eq!(outcome(kms.describe_key().key_id(stale.key_id()).send().await), Outcome::Ok);
    assert_ne!(outcome(kms.describe_key().key_id(due.key_id()).send().await), Outcome::Ok);
    assert!(store.scan(KeyRange::prefix("due/"), 1).await.unwrap().is_empty());
}

/// Grants, aliases and a rotation still to come: nothing of it outlives the key.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_hundreds_of_grants_leaves_nothing_behind() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let (key, spared) = (new_key(&kms).await, new_key(&kms).await);
    let retiring = format!("arn:aws:iam::{ACCOUNT}:role/keeper");
    let grant = |id: &str, number: usize| {
        let request = kms.create_grant().key_id(id).name(format!("grant-{number}"));
        let request = request.grantee_principal(format!("arn:aws:iam::{ACCOUNT}:role/r"));
        request.retiring_principal(&retiring).operations(GrantOperation::Decrypt).send()
    };
    let id = key.key_id();
    for begin in (0..300).step_by(20) {
        let made = join_all((begin..begin + 20).map(|number| grant(id, number))).await;
        assert!(made.iter().all(Result::is_ok));
    }
    grant(spared.key_id(), 0).await.unwrap();
    for number in 0..50 {
        let create = kms.create_alias().alias_name(format!("alias/{number}")).target_key_id(id);
        create.send().await.unwrap();
    }
    kms.enable_key_rotation().key_id(id).send().await.unwrap();
    let store = server.service().unwrap().store().clone();
    let count =
        async |prefix: &str| store.scan(KeyRange::prefix(prefix), 1_000).await.unwrap().len();
    for prefix in ["grant/", "retirable/", "grant-name/"] {
        assert_eq!(count(prefix).await, 301, "{prefix}");
    }
    kms.schedule_key_deletion().key_id(id).pending_window_in_days(7).send().await.unwrap();
    server.advance(8 * DAY).await.unwrap();
    for prefix in ["grant/", "retirable/", "grant-name/", "key/", "material/", "policy/", "ref/"] {
        assert_eq!(count(prefix).await, 1, "{prefix}");
    }
    for prefix in ["alias/", "key-alias/", "due/", "grave/"] {
        assert_eq!(count(prefix).await, 0, "{prefix}");
    }
    let listed = kms.list_retirable_grants().retiring_principal(&retiring).send().await.unwrap();
    let listed = listed.grants.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].key_id, spared.arn);
}
