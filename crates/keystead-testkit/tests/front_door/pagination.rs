//! Pages of any sizes add up to the list, each entry once and in order.

use std::sync::Arc;

use aws_sdk_kms::Client;
use aws_sdk_kms::types::Tag;
use keystead_testkit::TestServer;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Builder;

use crate::managed_keys::PREDEFINED;
use crate::support::{ACCOUNT, REGION, new_key};

const KEYS: usize = 23;

/// One page: what it lists, whether there is more, and the marker.
type Page = (Vec<String>, bool, Option<String>);

/// What is listed.
#[derive(Debug, Clone, Copy)]
enum List {
    Keys,
    Aliases,
    AliasesOfKey,
    Tags,
}

async fn page(kms: &Client, list: List, id: &str, limit: i32, marker: Option<String>) -> Page {
    match list {
        List::Keys => {
            let page = kms.list_keys().limit(limit).set_marker(marker).send().await.unwrap();
            let keys = page.keys.unwrap().into_iter().map(|key| key.key_id.unwrap());
            (keys.collect(), page.truncated, page.next_marker)
        }
        List::Aliases | List::AliasesOfKey => {
            let key = matches!(list, List::AliasesOfKey).then(|| id.to_owned());
            let request = kms.list_aliases().set_key_id(key).limit(limit).set_marker(marker);
            let page = request.send().await.unwrap();
            let aliases = page.aliases.unwrap().into_iter().map(|alias| alias.alias_name.unwrap());
            (aliases.collect(), page.truncated, page.next_marker)
        }
        List::Tags => {
            let request = kms.list_resource_tags().key_id(id).limit(limit).set_marker(marker);
            let page = request.send().await.unwrap();
            let tags = page.tags.unwrap().into_iter().map(|tag| tag.tag_key);
            (tags.collect(), page.truncated, page.next_marker)
        }
    }
}

#[test]
fn pages_of_any_sizes_make_the_whole_list() {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let (server, kms, id, expected) = runtime.block_on(async {
        let server = TestServer::start().await.unwrap();
        let kms = server.client(ACCOUNT, REGION);
        let mut keys = Vec::new();
        for number in 0..KEYS {
            let key = new_key(&kms).await.key_id;
            let alias = kms.create_alias().alias_name(format!("alias/k/{number}"));
            alias.target_key_id(&key).send().await.unwrap();
            keys.push(key);
        }
        let id = keys[0].clone();
        for number in 0..30 {
            let alias = kms.create_alias().alias_name(format!("alias/first_{number}"));
            alias.target_key_id(&id).send().await.unwrap();
            let tag = Tag::builder().tag_key(format!("Tag {number}")).tag_value("").build();
            kms.tag_resource().key_id(&id).tags(tag.unwrap()).send().await.unwrap();
        }
        // Another account's and another Region's entries are in none of the lists.
        for (account, region) in [("444455556666", REGION), (ACCOUNT, "eu-west-2")] {
            let other = server.client(account, region);
            let key = new_key(&other).await;
            let alias = other.create_alias().alias_name("alias/elsewhere");
            alias.target_key_id(key.key_id()).send().await.unwrap();
        }
        let of_first = (0..30).map(|number| format!("alias/first_{number}"));
        let mut lists = [
            keys,
            (0..KEYS)
                .map(|number| format!("alias/k/{number}"))
                .chain(of_first.clone())
                .chain(PREDEFINED.map(|name| format!("alias/aws/{name}")))
                .collect(),
            of_first.chain(["alias/k/0".to_owned()]).collect(),
            (0..30).map(|number| format!("Tag {number}")).collect(),
        ];
        lists.iter_mut().for_each(|list: &mut Vec<String>| list.sort());
        (server, kms, id, Arc::new(lists))
    });
    let lists = [List::Keys, List::Aliases, List::AliasesOfKey, List::Tags];
    let cases = (0..lists.len(), proptest::collection::vec(1_i32..=50, 64));
    let mut runner =
        TestRunner::new(Config { cases: 32, failure_persistence: None, ..Config::default() });
    runner
        .run(&cases, |(list, sizes)| {
            let (mut found, mut marker) = (Vec::new(), None);
            for limit in sizes {
                let (entries, truncated, next) =
                    runtime.block_on(page(&kms, lists[list], &id, limit, marker));
                prop_assert!(entries.len() <= usize::try_from(limit).unwrap());
                prop_assert!(!entries.is_empty());
                prop_assert_eq!(truncated, next.is_some());
                found.extend(entries);
                marker = next;
                if marker.is_none() {
                    break;
                }
            }
            prop_assert_eq!(&found, &expected[list]);
            Ok(())
        })
        .unwrap();
    runtime.block_on(async { drop(server) });
}

#[tokio::test]
async fn a_marker_is_of_use_in_its_own_list_only() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    new_key(&kms).await;
    new_key(&kms).await;
    let marker = kms.list_keys().limit(1).send().await.unwrap().next_marker.unwrap();
    kms.list_keys().marker(&marker).send().await.unwrap();
    let is_refused = |code: Option<&str>| assert_eq!(code, Some("InvalidMarkerException"));
    let elsewhere = server.client(ACCOUNT, "eu-west-2").list_keys().marker(&marker).send().await;
    is_refused(elsewhere.unwrap_err().into_service_error().meta().code());
    let stranger = server.client("444455556666", REGION).list_keys().marker(&marker).send().await;
    is_refused(stranger.unwrap_err().into_service_error().meta().code());
    let aliases = kms.list_aliases().marker(&marker).send().await;
    is_refused(aliases.unwrap_err().into_service_error().meta().code());
}
