//! The contract, run over every backend.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use keystead_store::embedded::{Embedded, OpenOptions};
use keystead_store::memory::Memory;
use keystead_store::{
    Change, ChangeKind, Guard, KeyRange, Lagged, Limit, MAX_COMMIT_BYTES, MAX_KEY_BYTES,
    MAX_OPERATIONS, MAX_VALUE_BYTES, Revision, Store, StoreError, Versioned, Write,
};
use proptest::prelude::*;

/// A kind of store, and how to make one.
trait Backend: Send + 'static {
    fn new(feed: usize) -> Self;
    fn open(&self) -> Arc<dyn Store>;
    /// Whether the store outlives its handle.
    const DURABLE: bool;
    /// The same store as a new process would find it, or as it is if it is not durable.
    fn reopen(&self, open: Arc<dyn Store>) -> Arc<dyn Store>;
}

struct InMemory(usize);

impl Backend for InMemory {
    fn new(feed: usize) -> Self {
        Self(feed)
    }

    fn open(&self) -> Arc<dyn Store> {
        Arc::new(Memory::with_feed(self.0))
    }

    const DURABLE: bool = false;

    fn reopen(&self, open: Arc<dyn Store>) -> Arc<dyn Store> {
        open
    }
}

struct OnDisk(tempfile::TempDir, usize);

impl Backend for OnDisk {
    fn new(feed: usize) -> Self {
        Self(tempfile::tempdir().unwrap(), feed)
    }

    fn open(&self) -> Arc<dyn Store> {
        let options =
            OpenOptions { create: true, feed_changes: self.1, readers: 2, ..Default::default() };
        Arc::new(Embedded::open(self.0.path(), &options).unwrap())
    }

    const DURABLE: bool = true;

    fn reopen(&self, open: Arc<dyn Store>) -> Arc<dyn Store> {
        drop(open);
        self.open()
    }
}

/// Runs each test of the list over each backend.
macro_rules! suite {
    ($($test:ident),+ $(,)?) => {
        mod memory {
            $(#[test] fn $test() { super::run(super::$test::<super::InMemory>()); })+
        }
        mod embedded {
            $(#[test] fn $test() { super::run(super::$test::<super::OnDisk>()); })+
        }
    };
}

suite!(
    an_empty_store_has_nothing,
    a_put_is_read_back_with_its_revision,
    scans_are_ordered_and_paged,
    a_prefix_scan_ends_with_the_prefix,
    limits_are_typed_errors,
    the_largest_commit_fits,
    guards_hold_or_nothing_happens,
    a_record_made_again_is_another_record,
    a_commit_that_changes_nothing_takes_no_revision,
    no_increment_is_lost_between_clients,
    a_watch_sees_every_commit_whole_and_in_order,
    a_watch_replays_what_it_missed,
    a_slow_watch_is_told_that_it_lagged,
    a_change_is_published_before_it_is_acknowledged,
    erasure_removes_records_and_their_history,
    after_closing_everything_is_refused,
    the_store_equals_a_model,
);

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

fn key(name: &str) -> Vec<u8> {
    name.as_bytes().to_vec()
}

fn put(name: &str, value: &str) -> Write {
    Write::Put(key(name), value.as_bytes().to_vec())
}

async fn put_all(store: &dyn Store, names: &[&str]) {
    for name in names {
        store.commit(vec![], vec![put(name, name)]).await.unwrap();
    }
}

fn names(page: &[(Vec<u8>, Versioned)]) -> Vec<&str> {
    page.iter().map(|(key, _)| std::str::from_utf8(key).unwrap()).collect()
}

async fn an_empty_store_has_nothing<B: Backend>() {
    let backend = B::new(100);
    let store = backend.open();
    assert_eq!(store.revision(), Revision(0));
    assert_eq!(store.read(b"a").await.unwrap(), None);
    assert_eq!(store.scan(KeyRange::all(), 10).await.unwrap(), vec![]);
    let health = store.health();
    assert!(health.writable && !health.closed && health.last_error.is_none());
}

async fn a_put_is_read_back_with_its_revision<B: Backend>() {
    let backend = B::new(100);
    let store = backend.open();
    let binary: Vec<u8> = (0..=255).collect();
    let writes = vec![Write::Put(binary.clone(), binary.clone()), put("empty", "")];
    let first = store.commit(vec![], writes).await.unwrap();
    let second = store.commit(vec![], vec![put("other", "x")]).await.unwrap();
    assert_eq!((first, second), (Revision(1), Revision(2)));
    let found = store.read(&binary).await.unwrap().unwrap();
    assert_eq!(found, Versioned { value: binary, revision: first });
    let empty = store.read(b"empty").await.unwrap().unwrap();
    assert_eq!(empty, Versioned { value: vec![], revision: first });
    let third = store.commit(vec![], vec![put("other", "x")]).await.unwrap();
    assert_eq!(store.read(b"other").await.unwrap().unwrap().revision, third);
}

async fn scans_are_ordered_and_paged<B: Backend>() {
    let backend = B::new(100);
    let store = backend.open();
    put_all(&*store, &["b", "a", "d", "c", "ab", "aa\u{7f}"]).await;
    let mut range = KeyRange::all();
    let mut seen = Vec::new();
    loop {
        let page = store.scan(range.clone(), 4).await.unwrap();
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let Some((last, _)) = page.last().filter(|_| page.len() == 4) else { break };
        range = range.after(last);
    }
    assert_eq!(seen, ["a", "aa\u{7f}", "ab", "b", "c", "d"]);
    assert_eq!(store.scan(KeyRange::all(), 0).await.unwrap(), vec![]);
    let all = store.scan(KeyRange::all(), usize::MAX).await.unwrap();
    assert_eq!(all.len(), 6);
    let backwards = KeyRange { start: key("c"), end: Some(key("a")) };
    assert_eq!(store.scan(backwards, 10).await.unwrap(), vec![]);
}

async fn a_prefix_scan_ends_with_the_prefix<B: Backend>() {
    let backend = B::new(100);
    let store = backend.open();
    put_all(&*store, &["k", "k/", "k/1", "k/2", "k0", "l"]).await;
    let page = store.scan(KeyRange::prefix("k/"), 10).await.unwrap();
    assert_eq!(names(&page), ["k/", "k/1", "k/2"]);
    let high = vec![0xff, 0xff, 1];
    store.commit(vec![], vec![Write::Put(high.clone(), vec![])]).await.unwrap();
    let page = store.scan(KeyRange::prefix([0xff, 0xff]), 10).await.unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(page[0].0, high);
}

async fn limits_are_typed_errors<B: Backend>() {
    let backend = B::new(100);
    let store = backend.open();
    let many =
        |count: usize| -> Vec<Write> { (0..count).map(|at| put(&format!("{at}"), "")).collect() };
    let huge = |count: usize| -> Vec<Write> {
        (0..count)
            .map(|at| {
                Write::Put(vec![u8::try_from(at).unwrap() + 1], vec![0; MAX_COMMIT_BYTES / 2])
            })
            .collect()
    };
    let cases: Vec<(Vec<Guard>, Vec<Write>, Limit)> = vec![
        (vec![], vec![put("", "")], Limit::EmptyKey),
        (vec![Guard::Absent(vec![])], vec![], Limit::EmptyKey),
        (vec![], vec![Write::Delete(vec![0; MAX_KEY_BYTES + 1])], Limit::KeyBytes),
        (vec![], vec![Write::Put(vec![1], vec![0; MAX_VALUE_BYTES + 1])], Limit::ValueBytes),
        (vec![], many(MAX_OPERATIONS + 1), Limit::Operations),
        (vec![Guard::Absent(vec![1]); MAX_OPERATIONS + 1], vec![], Limit::Operations),
        (vec![], vec![put("a", ""), Write::Delete(key("a"))], Limit::DuplicateKey),
        (vec![], huge(2), Limit::CommitBytes),
    ];
    for (guards, writes, limit) in cases {
        let refused = store.commit(guards, writes).await;
        assert_eq!(refused, Err(StoreError::Limit(limit)));
    }
    assert_eq!(store.read(b"").await, Err(StoreError::Limit(Limit::EmptyKey)));
    let long = vec![0; MAX_KEY_BYTES + 1];
    assert_eq!(store.read(&long).await, Err(StoreError::Limit(Limit::KeyBytes)));
    let keys = vec![key("a"); MAX_OPERATIONS + 1];
    assert_eq!(store.erase(keys).await, Err(StoreError::Limit(Limit::Operations)));
    assert_eq!(store.revision(), Revision(0));
}

async fn the_largest_commit_fits<B: Backend>() {
    let backend = B::new(1000);
    let store = backend.open();
    let name = |at: usize| {
        let mut name = vec![b'n'; MAX_KEY_BYTES];
        name[0] = u8::try_from(at).unwrap();
        name
    };
    let mut writes: Vec<_> = (0..MAX_OPERATIONS).map(|at| Write::Put(name(at), vec![])).collect();
    writes[0] = Write::Put(name(0), vec![7; MAX_VALUE_BYTES]);
    let guards = (0..MAX_OPERATIONS).map(|at| Guard::Absent(name(at))).collect();
    store.commit(guards, writes).await.unwrap();
    let found = store.read(&name(0)).await.unwrap().unwrap();
    assert_eq!(found.value, vec![7; MAX_VALUE_BYTES]);
    assert_eq!(store.scan(KeyRange::all(), 1000).await.unwrap().len(), MAX_OPERATIONS);
}

async fn guards_hold_or_nothing_happens<B: Backend>() {
    let backend = B::new(100);
    let store = backend.open();
    let absent = |name: &str| Guard::Absent(key(name));
    let at = |name: &str, revision| Guard::At(key(name), revision);
    let a = store.commit(vec![absent("a")], vec![put("a", "1")]).await.unwrap();
    let b = store.commit(vec![at("a", a)], vec![put("b", "1")]).await.unwrap();
    let wrong = [
        vec![absent("a")],
        vec![at("a", b)],
        vec![at("missing", a)],
        vec![at("a", a), absent("b")],
        vec![absent("c"), at("b", a)],
    ];
    for guards in wrong {
        let writes = vec![put("a", "2"), put("c", "2"), Write::Delete(key("b"))];
        assert_eq!(store.commit(guards, writes).await, Err(StoreError::Conflict));
    }
    assert_eq!(store.revision(), b);
    let all = store.scan(KeyRange::all(), 10).await.unwrap();
    assert_eq!(names(&all), ["a", "b"]);
    assert_eq!(all[0].1, Versioned { value: b"1".to_vec(), revision: a });
    assert_eq!(store.statistics().conflicts, 5);
    // A guard is about the state before the commit's own writes, and may repeat.
    let guards = vec![at("a", a), at("a", a), absent("c")];
    store.commit(guards, vec![Write::Delete(key("a")), put("c", "1")]).await.unwrap();
    assert_eq!(names(&store.scan(KeyRange::all(), 10).await.unwrap()), ["b", "c"]);
}

async fn a_record_made_again_is_another_record<B: Backend>() {
    let backend = B::new(100);
    let store = backend.open();
    let first = store.commit(vec![], vec![put("a", "same")]).await.unwrap();
    store.commit(vec![], vec![Write::Delete(key("a"))]).await.unwrap();
    let guard = vec![Guard::At(key("a"), first)];
    assert_eq!(store.commit(guard.clone(), vec![]).await, Err(StoreError::Conflict));
    let second = store.commit(vec![Guard::Absent(key("a"))], vec![put("a", "same")]).await.unwrap();
    assert_eq!(store.commit(guard, vec![]).await, Err(StoreError::Conflict));
    store.commit(vec![Guard::At(key("a"), second)], vec![]).await.unwrap();
}

async fn a_commit_that_changes_nothing_takes_no_revision<B: Backend>() {
    let backend = B::new(100);
    let store = backend.open();
    let first = store.commit(vec![], vec![put("a", "")]).await.unwrap();
    let mut watch = store.watch(None).unwrap();
    assert_eq!(store.commit(vec![], vec![]).await.unwrap(), first);
    assert_eq!(store.commit(vec![], vec![Write::Delete(key("b"))]).await.unwrap(), first);
    assert_eq!(store.erase(vec![key("b")]).await.unwrap(), first);
    assert!(watch.try_next().is_none());
    let writes = vec![Write::Delete(key("b")), Write::Delete(key("a"))];
    let second = store.commit(vec![], writes).await.unwrap();
    assert_eq!(second, Revision(first.0 + 1));
    let changes = watch.next().await.unwrap().unwrap();
    assert_eq!(changes.len(), 1, "a delete of an absent key is no change");
}

async fn no_increment_is_lost_between_clients<B: Backend>() {
    const CLIENTS: u64 = 8;
    const EACH: u64 = 25;
    let backend = B::new(100);
    let store = backend.open();
    let client = async |store: Arc<dyn Store>| {
        for _ in 0..EACH {
            loop {
                let found = store.read(b"counter").await.unwrap();
                let (guard, next) = match found {
                    None => (Guard::Absent(key("counter")), 1),
                    Some(Versioned { value, revision }) => (
                        Guard::At(key("counter"), revision),
                        u64::from_be_bytes(value.try_into().unwrap()) + 1,
                    ),
                };
                let write = Write::Put(key("counter"), next.to_be_bytes().to_vec());
                match store.commit(vec![guard], vec![write]).await {
                    Ok(_) => break,
                    Err(error) => assert_eq!(error, StoreError::Conflict),
                }
            }
        }
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(client(Arc::clone(&store)))).collect();
    for client in clients {
        client.await.unwrap();
    }
    let counter = store.read(b"counter").await.unwrap().unwrap().value;
    assert_eq!(u64::from_be_bytes(counter.try_into().unwrap()), CLIENTS * EACH);
    assert_eq!(store.revision(), Revision(CLIENTS * EACH));
}

async fn a_watch_sees_every_commit_whole_and_in_order<B: Backend>() {
    let backend = B::new(10_000);
    let store = backend.open();
    put_all(&*store, &["before"]).await;
    let mut watch = store.watch(None).unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for at in 0..20 {
                    let (a, b) = (format!("{writer}/{at}/a"), format!("{writer}/{at}/b"));
                    store.commit(vec![], vec![put(&a, "x"), put(&b, "y")]).await.unwrap();
                }
            })
        })
        .collect();
    let mut seen: Vec<Change> = Vec::new();
    while seen.len() < 160 {
        let changes = watch.next().await.unwrap().unwrap();
        assert_eq!(changes.len() % 2, 0, "a commit was delivered in parts");
        seen.extend(changes);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for (at, pair) in seen.chunks(2).enumerate() {
        assert_eq!(pair[0].revision, Revision(at as u64 + 2));
        assert_eq!(pair[1].revision, pair[0].revision);
        assert!(pair[0].key.ends_with(b"a") && pair[1].key.ends_with(b"b"));
        assert_eq!(pair[0].kind, ChangeKind::Put(b"x".as_slice().into()));
    }
    assert!(watch.try_next().is_none());
}

async fn a_watch_replays_what_it_missed<B: Backend>() {
    let backend = B::new(4);
    let store = backend.open();
    put_all(&*store, &["1", "2", "3", "4", "5", "6"]).await;
    let mut watch = store.watch(Some(Revision(3))).unwrap();
    let changes = watch.next().await.unwrap().unwrap();
    let revisions: Vec<_> = changes.iter().map(|change| change.revision.0).collect();
    assert_eq!(revisions, [4, 5, 6]);
    assert_eq!(watch.revision(), Revision(6));
    assert!(store.watch(Some(Revision(6))).unwrap().try_next().is_none());
    assert!(store.watch(Some(Revision(2))).is_ok());
    let compacted = StoreError::Compacted { oldest: Revision(2) };
    assert_eq!(store.watch(Some(Revision(1))).unwrap_err(), compacted);
    assert_eq!(store.watch(Some(Revision(7))).unwrap_err(), compacted);
}

async fn a_slow_watch_is_told_that_it_lagged<B: Backend>() {
    let backend = B::new(4);
    let store = backend.open();
    let mut watch = store.watch(None).unwrap();
    put_all(&*store, &["1", "2", "3", "4", "5", "6"]).await;
    assert_eq!(watch.next().await, Some(Err(Lagged)));
    assert!(watch.try_next().is_none(), "after a lag the watch goes on from then");
    put_all(&*store, &["7"]).await;
    let changes = watch.next().await.unwrap().unwrap();
    assert_eq!(changes[0].key.as_ref(), b"7");
}

async fn a_change_is_published_before_it_is_acknowledged<B: Backend>() {
    let backend = B::new(100);
    let store = backend.open();
    let mut watch = store.watch(None).unwrap();
    for at in 0..20 {
        let revision = store.commit(vec![], vec![put("a", &at.to_string())]).await.unwrap();
        assert!(store.revision() >= revision);
        let changes = watch.try_next().expect("the change is there already").unwrap();
        assert_eq!(changes[0].revision, revision);
    }
}

async fn erasure_removes_records_and_their_history<B: Backend>() {
    let backend = B::new(100);
    let store = backend.open();
    put_all(&*store, &["a", "b", "c"]).await;
    let revision = store.erase(vec![key("a"), key("c"), key("never")]).await.unwrap();
    assert_eq!(names(&store.scan(KeyRange::all(), 10).await.unwrap()), ["b"]);
    let mut watch = store.watch(Some(Revision(0))).unwrap();
    let changes = watch.next().await.unwrap().unwrap();
    let kinds: Vec<_> = changes
        .iter()
        .map(|change| (change.key.as_ref(), matches!(change.kind, ChangeKind::Delete)))
        .collect();
    assert_eq!(kinds, [(&b"b"[..], false), (b"a", true), (b"c", true)]);
    assert_eq!(changes[2].revision, revision);
}

async fn after_closing_everything_is_refused<B: Backend>() {
    let backend = B::new(100);
    let store = backend.open();
    let mut watch = store.watch(None).unwrap();
    put_all(&*store, &["a"]).await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert_eq!(store.commit(vec![], vec![put("b", "")]).await, Err(StoreError::Closed));
    assert_eq!(store.erase(vec![key("a")]).await, Err(StoreError::Closed));
    assert_eq!(store.read(b"a").await, Err(StoreError::Closed));
    assert_eq!(store.scan(KeyRange::all(), 1).await, Err(StoreError::Closed));
    assert_eq!(store.watch(None).unwrap_err(), StoreError::Closed);
    assert!(store.health().closed);
    assert_eq!(watch.next().await.unwrap().unwrap().len(), 1, "what was committed is delivered");
    assert!(watch.next().await.is_none());
    if B::DURABLE {
        let store = backend.reopen(store);
        assert!(store.read(b"a").await.unwrap().is_some());
        assert_eq!(store.revision(), Revision(1));
    }
}

/// One step of the random history.
#[derive(Clone, Debug)]
enum Step {
    /// Writes (key, `Some(value)` or a delete), guarded by the model's state of some keys, or by a
    /// wrong state.
    Commit {
        writes: BTreeMap<u8, Option<Vec<u8>>>,
        guarded: Vec<u8>,
        wrong: bool,
    },
    Erase(Vec<u8>),
    Reopen,
    Scan {
        start: u8,
        end: Option<u8>,
        limit: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let value = proptest::collection::vec(any::<u8>(), 0..2000);
    let writes = proptest::collection::btree_map(0..24_u8, proptest::option::of(value), 0..5);
    let guarded = proptest::collection::vec(0..24_u8, 0..3);
    prop_oneof![
        12 => (writes, guarded, proptest::bool::weighted(0.2))
            .prop_map(|(writes, guarded, wrong)| Step::Commit { writes, guarded, wrong }),
        1 => proptest::collection::vec(0..24_u8, 1..4).prop_map(Step::Erase),
        1 => Just(Step::Reopen),
        4 => (0..24_u8, proptest::option::of(0..30_u8), 0..30_usize)
            .prop_map(|(start, end, limit)| Step::Scan { start, end, limit }),
    ]
}

async fn the_store_equals_a_model<B: Backend>() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let run = runner.run(&proptest::collection::vec(step(), 1..40), |steps| {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(follow::<B>(steps));
        });
        Ok(())
    });
    run.unwrap();
}

async fn follow<B: Backend>(steps: Vec<Step>) {
    let backend = B::new(10_000);
    let mut store = backend.open();
    let mut model: BTreeMap<Vec<u8>, Versioned> = BTreeMap::new();
    let mut revision = Revision(0);
    for step in steps {
        match step {
            Step::Commit { writes, guarded, wrong } => {
                let mut guards: Vec<_> = guarded
                    .iter()
                    .map(|key| match model.get(&vec![*key]) {
                        Some(record) => Guard::At(vec![*key], record.revision),
                        None => Guard::Absent(vec![*key]),
                    })
                    .collect();
                if wrong {
                    guards.push(Guard::At(vec![200], revision));
                }
                let list = writes.iter().map(|(key, value)| match value {
                    Some(value) => Write::Put(vec![*key], value.clone()),
                    None => Write::Delete(vec![*key]),
                });
                let result = store.commit(guards, list.collect()).await;
                if wrong {
                    assert_eq!(result, Err(StoreError::Conflict));
                    continue;
                }
                let next = Revision(revision.0 + 1);
                let mut changed = false;
                for (key, value) in writes {
                    changed |= match value {
                        Some(value) => {
                            model.insert(vec![key], Versioned { value, revision: next });
                            true
                        }
                        None => model.remove(&vec![key]).is_some(),
                    };
                }
                revision = if changed { next } else { revision };
                assert_eq!(result, Ok(revision));
            }
            Step::Erase(keys) => {
                let erased = keys.iter().filter(|key| model.remove(&vec![**key]).is_some());
                revision.0 += u64::from(erased.count() > 0);
                let keys = keys.into_iter().map(|key| vec![key]).collect();
                assert_eq!(store.erase(keys).await, Ok(revision));
            }
            Step::Reopen => store = backend.reopen(store),
            Step::Scan { start, end, limit } => {
                let range = KeyRange { start: vec![start], end: end.map(|end| vec![end]) };
                let expected: Vec<_> = model
                    .iter()
                    .filter(|(key, _)| **key >= range.start)
                    .filter(|(key, _)| range.end.as_ref().is_none_or(|end| *key < end))
                    .take(limit)
                    .map(|(key, record)| (key.clone(), record.clone()))
                    .collect();
                assert_eq!(store.scan(range, limit).await.unwrap(), expected);
            }
        }
        assert_eq!(store.revision(), revision);
    }
    let all = store.scan(KeyRange::all(), usize::MAX).await.unwrap();
    assert!(all.into_iter().eq(model));
}
