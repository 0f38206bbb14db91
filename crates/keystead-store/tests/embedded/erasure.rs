//! Erased values are in no file, whatever else goes on.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use keystead_store::Store;

use super::{content, create, files, noise, put, reopen};

/// Fails if a piece of one of the values is in a file of the directory.
///
/// Reading the files here drops SQLite's locks on them, which no other process needs in a test.
fn assert_erased(directory: &Path, values: &[Vec<u8>]) {
    let chunks = values.iter().flat_map(|value| value.as_chunks::<24>().0);
    let pieces: HashSet<&[u8]> = chunks.map(<[u8; 24]>::as_slice).collect();
    for (name, bytes) in files(directory) {
        let found = bytes.windows(24).any(|window| pieces.contains(window));
        assert!(!found, "{name} holds a piece of an erased value");
    }
}

fn holds(bytes: &[u8], piece: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == piece[0]) {
        if rest[at..].starts_with(piece) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[tokio::test]
async fn erased_values_are_in_no_file() {
    let home = tempfile::tempdir().unwrap();
    let store = create(home.path());
    // Values of many sizes in a scattered order, so that pages are split, merged and rebalanced.
    let value = |at: u64| noise(at + 1, 40 + usize::try_from(at * 37 % 900).unwrap());
    let key = |at: u64| format!("key/{:05}", at * 7919 % 100_003);
    for chunk in (0..1200).collect::<Vec<u64>>().chunks(100) {
        let writes = chunk.iter().map(|at| put(&key(*at), &value(*at))).collect();
        store.commit(vec![], writes).await.unwrap();
    }
    let large = noise(777_777, 100_000);
    store.commit(vec![], vec![put("large", &large)]).await.unwrap();
    assert!(files(home.path()).values().any(|bytes| holds(bytes, &large[..24])));
    for round in 0..4 {
        let erased: Vec<u64> = (0..100).map(|at| at * 12 + round).collect();
        let mut keys: Vec<_> = erased.iter().map(|at| key(*at).into_bytes()).collect();
        let mut values: Vec<_> = erased.iter().map(|at| value(*at)).collect();
        if round == 0 {
            keys.push(b"large".to_vec());
            values.push(large.clone());
        }
        store.erase(keys).await.unwrap();
        assert_erased(home.path(), &values);
    }
    assert!(store.statistics().rewrites > 0, "no remnant arose, so nothing was shown");
    let left = content(&store).await;
    assert_eq!(left.len(), 1200 - 400);
    store.close().await.unwrap();
    assert_eq!(content(&reopen(home.path()).unwrap()).await, left);
}

#[tokio::test]
async fn erasure_knows_common_parts_from_remnants() {
    let home = tempfile::tempdir().unwrap();
    let store = create(home.path());
    let common = noise(5, 200);
    let with_common = |seed| [common.clone(), noise(seed, 100)].concat();
    let writes = (0..20).map(|at| put(&format!("{at:02}"), &with_common(at + 100))).collect();
    store.commit(vec![], writes).await.unwrap();
    store.erase(vec![b"03".to_vec()]).await.unwrap();
    assert_erased(home.path(), &[noise(103, 100)]);
    assert_eq!(store.statistics().rewrites, 0, "a common part is no remnant");
    // An equal value under another key stays, and is no reason to fail.
    store.commit(vec![], vec![put("twin", &with_common(104))]).await.unwrap();
    store.erase(vec![b"04".to_vec()]).await.unwrap();
    assert_eq!(store.read(b"twin").await.unwrap().unwrap().value, with_common(104));
    // What is too short to be looked for is removed by rewriting the file.
    store.commit(vec![], vec![put("short", b"pin: 4711")]).await.unwrap();
    store.erase(vec![b"short".to_vec()]).await.unwrap();
    assert_eq!(store.statistics().rewrites, 1);
    assert!(!files(home.path()).values().any(|bytes| holds(bytes, b"pin: 4711")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasure_among_commits() {
    let home = tempfile::tempdir().unwrap();
    let store = Arc::new(create(home.path()));
    let writer = |base: u64| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for at in base..base + 40 {
                store.commit(vec![], vec![put(&format!("{at}"), &noise(at, 300))]).await.unwrap();
                store.read(format!("{at}").as_bytes()).await.unwrap().unwrap();
                if at % 4 == 0 {
                    store.erase(vec![format!("{at}").into_bytes()]).await.unwrap();
                }
            }
        })
    };
    let writers: Vec<_> = (1..4).map(|at| writer(at * 1000)).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let erased: Vec<_> =
        (1..4).flat_map(|at| (0..10).map(move |step| noise(at * 1000 + step * 4, 300))).collect();
    assert_erased(home.path(), &erased);
    assert_eq!(content(&store).await.len(), 90);
}

#[tokio::test]
async fn an_erasure_that_was_cut_short_is_finished_at_the_next_opening() {
    let home = tempfile::tempdir().unwrap();
    let secret = noise(9, 300);
    let store = create(home.path());
    store.commit(vec![], vec![put("a", &secret), put("b", b"stays")]).await.unwrap();
    store.close().await.unwrap();
    // As after a crash between the deletion and the cleaning: the mark is set, and the bytes are
    // still there, in a page that was let go without being overwritten.
    let sqlite = rusqlite::Connection::open(home.path().join("keystead.db")).unwrap();
    sqlite
        .execute_batch(
            "PRAGMA secure_delete = OFF; DELETE FROM kv WHERE key = CAST('a' AS BLOB); \
             UPDATE store SET revision = 2, scrub = 1",
        )
        .unwrap();
    drop(sqlite);
    assert!(files(home.path()).values().any(|bytes| holds(bytes, &secret[250..])));
    let store = reopen(home.path()).unwrap();
    // The rewriting comes before anything else the writer does.
    store.commit(vec![], vec![put("c", b"1")]).await.unwrap();
    store.compact().await.unwrap();
    assert_erased(home.path(), &[secret]);
    assert_eq!(content(&store).await.len(), 2);
    assert!(store.statistics().rewrites >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasure_waits_for_a_long_reader_and_commits_do_not() {
    let home = tempfile::tempdir().unwrap();
    let store = Arc::new(create(home.path()));
    let secret = noise(9, 300);
    store.commit(vec![], vec![put("a", &secret), put("b", b"stays")]).await.unwrap();
    let reader = rusqlite::Connection::open(home.path().join("keystead.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM kv").unwrap();
    let erasure = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.erase(vec![b"a".to_vec()]).await })
    };
    // The record is gone for everyone at once; only its bytes wait.
    while store.read(b"a").await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    for at in 0..10_u64 {
        store.commit(vec![], vec![put("c", &at.to_be_bytes())]).await.unwrap();
    }
    assert!(!erasure.is_finished(), "the bytes are still in the log that the reader uses");
    reader.execute_batch("COMMIT").unwrap();
    erasure.await.unwrap().unwrap();
    assert_erased(home.path(), &[secret]);
    assert_eq!(content(&store).await.len(), 2);
}

#[tokio::test]
async fn compaction_removes_replaced_values() {
    let home = tempfile::tempdir().unwrap();
    let store = create(home.path());
    let old: Vec<_> = (0..50).map(|at| noise(at + 1, 500)).collect();
    for (at, value) in old.iter().enumerate() {
        store.commit(vec![], vec![put(&format!("{at}"), value)]).await.unwrap();
    }
    for at in 0..50 {
        store.commit(vec![], vec![put(&format!("{at}"), &noise(at + 1000, 480))]).await.unwrap();
    }
    store.compact().await.unwrap();
    assert_erased(home.path(), &old);
    assert_eq!(content(&store).await.len(), 50);
}
