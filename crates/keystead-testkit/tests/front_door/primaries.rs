//! Rotation of multi-Region keys when states and primaries change: whatever happens to a replica,
//! it follows its primary key and makes no material of its own.

use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use keystead_testkit::{TestServer, invariants};

use crate::support::{ACCOUNT, REGION};

const DAY: Duration = Duration::from_secs(86_400);
const ELSEWHERE: &str = "us-east-1";

async fn with_replica(server: &TestServer) -> (Client, Client, String) {
    let (here, there) = (server.client(ACCOUNT, REGION), server.client(ACCOUNT, ELSEWHERE));
    let key = here.create_key().multi_region(true).send().await.unwrap().key_metadata.unwrap();
    here.replicate_key().key_id(key.key_id()).replica_region(ELSEWHERE).send().await.unwrap();
    (here, there, key.key_id)
}

async fn material(kms: &Client, id: &str) -> String {
    let key = kms.describe_key().key_id(id).send().await.unwrap().key_metadata.unwrap();
    key.current_key_material_id.unwrap()
}

/// A primary key that is disabled when its rotation is due makes up for it when it is enabled. Its
/// replica, enabled before that, waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_overdue_rotation_waits_for_the_primary_key() {
    let mut server = TestServer::start().await.unwrap();
    let (here, there, id) = with_replica(&server).await;
    here.enable_key_rotation().key_id(&id).rotation_period_in_days(90).send().await.unwrap();
    let first = material(&here, &id).await;
    here.disable_key().key_id(&id).send().await.unwrap();
    there.disable_key().key_id(&id).send().await.unwrap();
    server.advance(91 * DAY).await.unwrap();
    there.enable_key().key_id(&id).send().await.unwrap();
    server.advance(DAY).await.unwrap();
    assert_eq!(material(&there, &id).await, first);
    let sealed = there.encrypt().key_id(&id).plaintext(Blob::new("p")).send().await.unwrap();
    here.enable_key().key_id(&id).send().await.unwrap();
    let second = material(&here, &id).await;
    assert_ne!(second, first);
    assert_eq!(material(&there, &id).await, second);
    for kms in [&here, &there] {
        let blob = sealed.ciphertext_blob.clone().unwrap();
        let opened = kms.decrypt().ciphertext_blob(blob).send().await.unwrap();
        assert_eq!(opened.plaintext.unwrap().as_ref(), b"p");
    }
    invariants::check(server.service().unwrap()).await.unwrap();
}

/// A rotation on demand that is under way is completed by whoever is primary then.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_under_way_follows_the_primary_key() {
    let mut server = TestServer::start_with(|config| config.rotation_delay = 3_600).await.unwrap();
    let (here, there, id) = with_replica(&server).await;
    let first = material(&here, &id).await;
    here.rotate_key_on_demand().key_id(&id).send().await.unwrap();
    here.update_primary_region().key_id(&id).primary_region(ELSEWHERE).send().await.unwrap();
    invariants::check(server.service().unwrap()).await.unwrap();
    server.advance(DAY).await.unwrap();
    let second = material(&there, &id).await;
    assert_ne!(second, first);
    assert_eq!(material(&here, &id).await, second);
    let rotated = there.get_key_rotation_status().key_id(&id).send().await.unwrap();
    assert_eq!(rotated.on_demand_rotation_start_date, None);
    let census = invariants::check(server.service().unwrap()).await.unwrap();
    assert_eq!((census.keys, census.materials), (2, 2));
}
