//! What only a store on a disk can show: crashes, damage, refusals, copies, erasure.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod backup;
mod crash;
mod erasure;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use keystead_store::embedded::{Embedded, OpenOptions, backup, restore};
use keystead_store::{Guard, KeyRange, Revision, Store, StoreError, Write};

fn create(directory: &Path) -> Embedded {
    open(directory, OpenOptions { create: true, ..Default::default() }).unwrap()
}

fn reopen(directory: &Path) -> Result<Embedded, StoreError> {
    open(directory, OpenOptions::default())
}

fn open(directory: &Path, options: OpenOptions) -> Result<Embedded, StoreError> {
    Embedded::open(directory, &options)
}

fn put(key: &str, value: &[u8]) -> Write {
    Write::Put(key.as_bytes().to_vec(), value.to_vec())
}

/// Bytes that look random and differ for each seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Every record: what must be equal after a copy.
async fn content(store: &Embedded) -> Vec<(Vec<u8>, Vec<u8>, Revision)> {
    let all = store.scan(KeyRange::all(), usize::MAX).await.unwrap();
    all.into_iter().map(|(key, record)| (key, record.value, record.revision)).collect()
}

/// Every file of a directory with its bytes.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

/// A closed store with some records in it.
async fn filled(directory: &Path) {
    let store = create(directory);
    for at in 0..50 {
        store.commit(vec![], vec![put(&format!("key/{at}"), &noise(at, 600))]).await.unwrap();
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("a/b");
    assert_eq!(reopen(&directory).err(), Some(StoreError::Missing));
    assert!(!home.path().join("a").exists(), "a refusal made a directory");

    let store = create(&directory);
    assert!(store.created());
    let first = store.commit(vec![], vec![put("a", b"1"), put("b", b"2")]).await.unwrap();
    let second = store.commit(vec![], vec![Write::Delete(b"a".to_vec())]).await.unwrap();
    drop(store);

    let store = reopen(&directory).unwrap();
    assert!(!store.created());
    assert_eq!(store.revision(), second, "the counter survives although its record is gone");
    assert_eq!(content(&store).await, [(b"b".to_vec(), b"2".to_vec(), first)]);
    assert!(store.watch(Some(second)).is_ok());
    let compacted = StoreError::Compacted { oldest: second };
    assert_eq!(store.watch(Some(first)).unwrap_err(), compacted);
    store.close().await.unwrap();
    let left: Vec<_> = files(&directory).into_keys().collect();
    assert_eq!(left, ["keystead.db", "lock"], "a clean end leaves no log");
}

#[tokio::test]
async fn one_process_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let store = create(home.path());
    assert_eq!(reopen(home.path()).err(), Some(StoreError::Locked));
    store.commit(vec![], vec![put("a", b"1")]).await.unwrap();
    store.close().await.unwrap();
    // Closed is unlocked, although the handle is still there.
    let again = reopen(home.path()).unwrap();
    assert_eq!(again.revision(), Revision(1));
    drop(store);
    assert_eq!(reopen(home.path()).err(), Some(StoreError::Locked));
}

#[tokio::test]
async fn only_the_owner_may_read() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    let store = create(&directory);
    store.commit(vec![], vec![put("a", b"1")]).await.unwrap();
    backup(&directory, &directory.join("copy")).unwrap();
    let names = assert_private(&directory);
    assert_eq!(names.len(), 5, "the main file, its log, the log's index, the lock, the copy");
}

fn assert_private(directory: &Path) -> Vec<String> {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(directory), 0o700);
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            assert_eq!(mode(&entry.path()), 0o600, "{name}");
            name
        })
        .collect()
}

#[tokio::test]
async fn a_truncated_store_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    filled(home.path()).await;
    let path = home.path().join("keystead.db");
    let whole = fs::read(&path).unwrap();
    for length in
        [0, 1, 15, 16, 99, 100, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 1]
    {
        fs::write(&path, &whole[..length]).unwrap();
        let before = files(home.path());
        let refused = reopen(home.path()).err();
        assert!(matches!(refused, Some(StoreError::Corrupt(_))), "{length}: {refused:?}");
        // `create` makes no new store in the place of a damaged one either.
        let refused = open(home.path(), OpenOptions { create: true, ..Default::default() }).err();
        assert!(matches!(refused, Some(StoreError::Corrupt(_))), "{length}: {refused:?}");
        assert_eq!(files(home.path()), before, "{length}");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(content(&reopen(home.path()).unwrap()).await.len(), 50);
}

#[tokio::test]
async fn a_foreign_file_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("keystead.db");
    let other = home.path().join("other");
    let sqlite = rusqlite::Connection::open(&other).unwrap();
    sqlite.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    drop(sqlite);
    for bytes in [noise(1, 10_000), b"hello".to_vec(), fs::read(&other).unwrap()] {
        fs::write(&path, &bytes).unwrap();
        for create in [false, true] {
            let refused = open(home.path(), OpenOptions { create, ..Default::default() }).err();
            assert!(matches!(refused, Some(StoreError::Foreign(_))), "{refused:?}");
        }
        let refused = backup(home.path(), &home.path().join("copy"));
        assert!(matches!(refused, Err(StoreError::Foreign(_))), "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert!(!home.path().join("copy").exists());
    }
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    filled(home.path()).await;
    let path = home.path().join("keystead.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&2_u32.to_be_bytes());
    fs::write(&path, &bytes).unwrap();
    let newer = StoreError::Newer { found: 2, supported: 1 };
    assert_eq!(reopen(home.path()).err(), Some(newer.clone()));
    let target = tempfile::tempdir().unwrap();
    assert_eq!(restore(&path, &target.path().join("new")), Err(newer));
    assert!(!target.path().join("new").exists());
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn damage_anywhere_never_panics() {
    let home = tempfile::tempdir().unwrap();
    filled(home.path()).await;
    let path = home.path().join("keystead.db");
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for round in 0..60 {
        let mut bytes = whole.clone();
        let at = usize::try_from(round).unwrap() * 997 % (bytes.len() - 64);
        bytes[at..at + 64].copy_from_slice(&noise(round + 1000, 64));
        fs::write(&path, &bytes).unwrap();
        match reopen(home.path()) {
            Err(_) => refused += 1,
            Ok(store) => {
                // Damage within a value is the business of who wrote the value.
                let _ = store.scan(KeyRange::all(), usize::MAX).await;
                let _ = store.commit(vec![], vec![put("key/1", b"new")]).await;
                let _ = store.erase(vec![b"key/2".to_vec()]).await;
            }
        }
        let _ = fs::remove_file(home.path().join("keystead.db-wal"));
    }
    assert!(refused > 0, "no damage was noticed");
}

#[tokio::test]
async fn a_log_with_acknowledged_commits_behind_damage_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let (data, crashed) = (home.path().join("data"), home.path().join("crashed"));
    let store = create(&data);
    for number in 0..20 {
        store.commit(vec![], vec![put(&format!("{number}"), &noise(number, 500))]).await.unwrap();
    }
    // As after a kill: nothing has moved the log into the main file.
    fs::create_dir(&crashed).unwrap();
    for (name, bytes) in files(&data).into_iter().filter(|(name, _)| !name.ends_with("-shm")) {
        fs::write(crashed.join(name), bytes).unwrap();
    }
    let log = crashed.join("keystead.db-wal");
    let whole = fs::read(&log).unwrap();
    for at in [17, 40, whole.len() / 2] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&log, damaged).unwrap();
        let before = files(&crashed);
        let refused = reopen(&crashed).map(|_| ()).unwrap_err();
        assert!(matches!(&refused, StoreError::Corrupt(text) if text.contains("log")), "{refused}");
        assert_eq!(files(&crashed), before);
    }
    fs::write(&log, whole).unwrap();
    assert_eq!(content(&reopen(&crashed).unwrap()).await.len(), 20);
}

#[tokio::test]
async fn a_log_without_its_main_file_is_kept() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("keystead.db-wal"), b"the latest commits").unwrap();
    let refused = open(home.path(), OpenOptions { create: true, ..Default::default() }).err();
    assert!(matches!(refused, Some(StoreError::Corrupt(_))), "{refused:?}");
    assert_eq!(fs::read(home.path().join("keystead.db-wal")).unwrap(), b"the latest commits");
}

#[tokio::test]
async fn a_store_whose_files_were_taken_away_acknowledges_nothing() {
    for name in ["keystead.db", "keystead.db-wal", "lock", ""] {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let store = create(&data);
        store.commit(vec![], vec![put("before", b"1")]).await.unwrap();
        let (file, away) = (data.join(name), home.path().join("away"));
        fs::rename(&file, &away).unwrap();
        for replaced in [false, true] {
            if replaced && !name.is_empty() {
                fs::copy(&away, &file).unwrap();
            }
            let refused = store.commit(vec![], vec![put("during", b"1")]).await.unwrap_err();
            assert!(refused.to_string().contains("moved, removed or replaced"), "{refused}");
            assert!(!store.health().writable);
            assert!(store.read(b"before").await.unwrap().is_some(), "{name}");
        }
        if !name.is_empty() {
            fs::remove_file(&file).unwrap();
        }
        fs::rename(&away, &file).unwrap();
        store.commit(vec![], vec![put("after", b"1")]).await.unwrap();
        assert!(store.health().writable);
        drop(store);
        let store = reopen(&data).unwrap();
        assert_eq!(content(&store).await.len(), 2, "{name}");
    }
}

#[tokio::test]
async fn a_creation_that_did_not_finish_is_done_again() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("keystead.db.new"), b"half").unwrap();
    let store = create(home.path());
    assert!(store.created());
    store.commit(vec![], vec![put("a", b"1")]).await.unwrap();
    assert!(!home.path().join("keystead.db.new").exists());
}

#[tokio::test]
async fn commits_share_flushes() {
    let home = tempfile::tempdir().unwrap();
    let store = Arc::new(create(home.path()));
    let commit = |at: u64| {
        let store = Arc::clone(&store);
        async move {
            let key = format!("key/{at}");
            let guard = vec![Guard::Absent(key.clone().into_bytes())];
            store.commit(guard, vec![put(&key, &noise(at, 100))]).await
        }
    };
    // On this runtime of one thread, all are handed over before the first is answered.
    for round in 0..4 {
        let commits: Vec<_> = (0..64).map(|at| tokio::spawn(commit(round * 64 + at))).collect();
        for commit in commits {
            commit.await.unwrap().unwrap();
        }
    }
    let statistics = store.statistics();
    assert_eq!(statistics.commits, 256);
    assert!(statistics.groups <= 64, "{} flushes for 256 commits", statistics.groups);
    assert_eq!(store.revision(), Revision(256));
    assert_eq!(store.health().queue_depth, 0);
}

#[tokio::test]
async fn a_failed_guard_fails_its_own_commit_alone() {
    let home = tempfile::tempdir().unwrap();
    let store = Arc::new(create(home.path()));
    let commits: Vec<_> = (0..64_u64)
        .map(|at| {
            let store = Arc::clone(&store);
            // Four want each key to be absent: one of them gets it.
            let key = format!("key/{}", at / 4);
            tokio::spawn(async move {
                let guard = vec![Guard::Absent(key.clone().into_bytes())];
                store.commit(guard, vec![put(&key, &at.to_be_bytes())]).await
            })
        })
        .collect();
    let (mut won, mut lost) = (0, 0);
    for commit in commits {
        match commit.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => {
                assert_eq!(error, StoreError::Conflict);
                lost += 1;
            }
        }
    }
    assert_eq!((won, lost), (16, 48));
    assert_eq!(content(&store).await.len(), 16);
}

#[tokio::test]
async fn a_full_store_refuses_and_recovers() {
    let home = tempfile::tempdir().unwrap();
    let options = OpenOptions { create: true, max_bytes: Some(256 * 1024), ..Default::default() };
    let store = open(home.path(), options).unwrap();
    let mut watch = store.watch(None).unwrap();
    let mut kept = 0;
    let full = loop {
        let written = store.commit(vec![], vec![put(&format!("{kept}"), &noise(kept, 4000))]).await;
        match written {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 100, "the size is not limited");
    };
    assert_eq!(full, StoreError::Full);
    let health = store.health();
    assert!(!health.writable);
    assert_eq!(health.last_error, Some(StoreError::Full));
    assert_eq!(content(&store).await.len() as u64, kept);
    assert_eq!(store.revision(), Revision(kept));

    // A delete in one group with what does not fit succeeds.
    let store = Arc::new(store);
    let deletes = (0..10).map(|at| Write::Delete(format!("{at}").into_bytes())).collect();
    // The rewriting keeps the writer busy until both are waiting.
    let (_, large, delete) = tokio::join!(
        store.compact(),
        store.commit(vec![], vec![put("large", &noise(1, 500_000))]),
        store.commit(vec![], deletes),
    );
    assert_eq!(large, Err(StoreError::Full));
    delete.unwrap();
    store.commit(vec![], vec![put("fits", &noise(2, 4000))]).await.unwrap();
    assert!(store.health().writable);
    let mut changes = Vec::new();
    while let Some(more) = watch.try_next() {
        changes.extend(more.unwrap());
    }
    assert_eq!(changes.len() as u64, kept + 10 + 1, "what failed is not in the feed");
    drop(store);
    assert_eq!(content(&reopen(home.path()).unwrap()).await.len() as u64, kept - 10 + 1);
}
