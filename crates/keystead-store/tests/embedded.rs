//! What only a store on a disk can show: crashes, damage, refusals, copies, erasure.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
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
async fn a_log_without_its_main_file_is_kept() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("keystead.db-wal"), b"the latest commits").unwrap();
    let refused = open(home.path(), OpenOptions { create: true, ..Default::default() }).err();
    assert!(matches!(refused, Some(StoreError::Corrupt(_))), "{refused:?}");
    assert_eq!(fs::read(home.path().join("keystead.db-wal")).unwrap(), b"the latest commits");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_while_writing_is_one_instant() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let store = Arc::new(create(&data));
    // Each commit writes the same number under two keys: no instant has them differ.
    let pair = async |store: &Embedded, number: u64| {
        let writes = vec![
            put("first", &number.to_be_bytes()),
            put("second", &number.to_be_bytes()),
            put(&format!("log/{number}"), &noise(number, 500)),
        ];
        store.commit(vec![], writes).await.unwrap();
    };
    pair(&store, 0).await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut number = 0;
            while stopped.try_recv().is_err() {
                number += 1;
                pair(&store, number).await;
            }
            number
        })
    };
    for round in 0..3 {
        let (copy, restored) =
            (home.path().join(format!("{round}")), home.path().join(format!("r{round}")));
        let before = store.revision();
        let (from, to) = (data.clone(), copy.clone());
        tokio::task::spawn_blocking(move || backup(&from, &to)).await.unwrap().unwrap();
        let exists = StoreError::Exists(copy.display().to_string());
        assert_eq!(backup(&data, &copy), Err(exists));
        restore(&copy, &restored).unwrap();
        let twin = reopen(&restored).unwrap();
        assert!(twin.revision() >= before);
        let first = twin.read(b"first").await.unwrap().unwrap();
        let second = twin.read(b"second").await.unwrap().unwrap();
        assert_eq!(first, second);
        assert_eq!(first.revision, twin.revision());
        let number = u64::from_be_bytes(first.value.try_into().unwrap());
        assert_eq!(content(&twin).await.len() as u64, number + 3);
        pair(&twin, 1_000_000).await;
    }
    stop.send(()).unwrap();
    let written = writer.await.unwrap();
    assert_eq!(content(&store).await.len() as u64, written + 3);
}

#[tokio::test]
async fn restoring_gives_back_the_same_store() {
    let home = tempfile::tempdir().unwrap();
    let (data, copy, new) =
        (home.path().join("data"), home.path().join("copy"), home.path().join("new"));
    filled(&data).await;
    // A backup needs no running server either.
    backup(&data, &copy).unwrap();
    restore(&copy, &new).unwrap();
    let (old, new_store) = (reopen(&data).unwrap(), reopen(&new).unwrap());
    assert_eq!(content(&old).await, content(&new_store).await);
    assert_eq!(old.revision(), new_store.revision());
    let mode = fs::metadata(new.join("keystead.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let exists = StoreError::Exists(new.join("keystead.db").display().to_string());
    assert_eq!(restore(&copy, &new), Err(exists));
    assert_eq!(
        backup(&home.path().join("nowhere"), &home.path().join("x")),
        Err(StoreError::Missing)
    );
}

#[tokio::test]
async fn a_bad_backup_is_not_restored() {
    let home = tempfile::tempdir().unwrap();
    let (data, copy, new) =
        (home.path().join("data"), home.path().join("copy"), home.path().join("new"));
    filled(&data).await;
    backup(&data, &copy).unwrap();
    let whole = fs::read(&copy).unwrap();
    let mut middle = whole.clone();
    let at = 4096 * 2;
    middle[at..at + 64].copy_from_slice(&[0xa5; 64]);
    let bad: [(&[u8], &str); 5] = [
        (&whole[..whole.len() - 4096], "Corrupt"),
        (&whole[..50], "Corrupt"),
        (&middle, "Corrupt"),
        (&[], "Corrupt"),
        (&noise(3, 5000), "Foreign"),
    ];
    for (bytes, kind) in bad {
        fs::write(&copy, bytes).unwrap();
        let refused = format!("{:?}", restore(&copy, &new).unwrap_err());
        assert!(refused.starts_with(kind), "{refused}");
        assert!(!new.join("keystead.db").exists() && !new.join("keystead.db.new").exists());
    }
    // A trigger could write behind our back.
    fs::write(&copy, &whole).unwrap();
    let sqlite = rusqlite::Connection::open(&copy).unwrap();
    sqlite.execute_batch("CREATE TRIGGER t AFTER INSERT ON kv BEGIN DELETE FROM kv; END").unwrap();
    drop(sqlite);
    assert!(matches!(restore(&copy, &new), Err(StoreError::Corrupt(_))));
    // The files of a live store are no backup.
    fs::write(&copy, &whole).unwrap();
    fs::write(home.path().join("copy-wal"), b"log").unwrap();
    assert!(matches!(restore(&copy, &new), Err(StoreError::Foreign(_))));
}

/// A backup that this release's format made; later releases must read it.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format-1.keystead");

/// The records of the fixture: an empty value, a small one, one of several pages.
fn fixture_records() -> Vec<(Vec<u8>, Vec<u8>)> {
    vec![
        (b"\x00binary\xff".to_vec(), vec![]),
        (b"key/1".to_vec(), noise(1, 100)),
        (b"key/2".to_vec(), noise(2, 9_000)),
    ]
}

#[tokio::test]
async fn the_store_of_format_1_is_read() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("data");
    restore(Path::new(FIXTURE), &directory).unwrap();
    let store = reopen(&directory).unwrap();
    assert_eq!(store.revision(), Revision(5));
    let expected: Vec<_> = fixture_records()
        .into_iter()
        .zip(1..)
        .map(|((key, value), revision)| (key, value, Revision(revision)))
        .collect();
    assert_eq!(content(&store).await, expected);
    store.commit(vec![], vec![put("more", b"1")]).await.unwrap();
}

#[tokio::test]
#[ignore = "writes the fixture anew, for a new format"]
async fn write_the_fixture() {
    let home = tempfile::tempdir().unwrap();
    let store = create(home.path());
    for (key, value) in fixture_records() {
        store.commit(vec![], vec![Write::Put(key, value)]).await.unwrap();
    }
    // The counter is ahead of every record.
    store.commit(vec![], vec![put("gone", b"")]).await.unwrap();
    store.commit(vec![], vec![Write::Delete(b"gone".to_vec())]).await.unwrap();
    backup(home.path(), Path::new(FIXTURE)).unwrap();
}

/// The directory that a child process writes into; set only for children.
const CHILD: &str = "KEYSTEAD_STORE_TEST_CHILD";

/// Not a test but the body of the child process: writes until it is killed, and says on its
/// standard output what was acknowledged.
#[test]
fn child_that_writes() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(create(Path::new(&directory)));
        let base = store.revision().0;
        let writers: Vec<_> = (0..8_u64)
            .map(|writer| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for at in 0.. {
                        let key = format!("{base}/{writer}/{at}");
                        let write = vec![put(&key, key.as_bytes()), put("latest", key.as_bytes())];
                        let revision = store.commit(vec![], write).await.unwrap();
                        // One write call per line: it is whole or not there.
                        let line = format!("\nack {key} {revision}\n");
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                        if at % 50 == 49 {
                            store.erase(vec![key.into_bytes()]).await.unwrap();
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// Under a umask that takes nothing away, so that the modes are the store's own doing.
fn spawn_child(directory: &Path) -> Child {
    Command::new("sh")
        .args(["-c", "umask 0; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_writes", "--nocapture", "--test-threads=1"])
        .env(CHILD, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_kill() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    let mut newest = 0;
    for round in 0..6 {
        let mut child = spawn_child(&data);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Vec::new();
        let mut line = String::new();
        let mut acks = 0;
        while acks < 100 + round * 40 && output.read_line(&mut line).unwrap() > 0 {
            acks += u32::from(line.starts_with("ack "));
            lines.push(std::mem::take(&mut line));
        }
        assert_eq!(reopen(&data).err(), Some(StoreError::Locked), "another process has it open");
        assert_private(&data);
        if round % 2 == 1 {
            backup(&data, &home.path().join(format!("{round}"))).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        lines.extend(rest.split_inclusive('\n').map(str::to_owned));
        for line in lines.iter().filter(|line| line.ends_with('\n')) {
            let Some((key, revision)) =
                line.trim_end().strip_prefix("ack ").and_then(|ack| ack.split_once(' '))
            else {
                continue;
            };
            let revision: u64 = revision.parse().unwrap();
            newest = newest.max(revision);
            acknowledged.insert(key.to_owned(), revision);
        }
        assert!(acknowledged.len() > 50, "the child did not write");

        let store = reopen(&data).unwrap();
        assert!(store.revision().0 >= newest);
        for (key, revision) in &acknowledged {
            let found = store.read(key.as_bytes()).await.unwrap();
            let at: u64 = key.rsplit('/').next().unwrap().parse().unwrap();
            match found {
                Some(found) => {
                    assert_eq!(found.value, key.as_bytes());
                    assert_eq!(found.revision.0, *revision);
                }
                // These are erased after they were acknowledged.
                None => assert_eq!(at % 50, 49, "{key} at {revision} was acknowledged and is lost"),
            }
        }
        let latest = store.read(b"latest").await.unwrap().unwrap();
        let twin = store.read(&latest.value).await.unwrap();
        // Both halves of the latest commit are there, or its record was erased since.
        assert!(twin.is_none_or(|twin| twin.revision == latest.revision));
        store.close().await.unwrap();
    }
}
