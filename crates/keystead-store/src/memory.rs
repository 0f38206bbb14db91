//! A store that lives as long as its handle: for tests and for trying things out.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::feed::{Capacity, Feed};
use crate::limits::{check_commit, check_erasure, check_key};
use crate::{
    Change, ChangeKind, Future, Guard, Health, KeyRange, Revision, Statistics, Store, StoreError,
    Versioned, Watch, Write,
};

/// The store in memory.
pub struct Memory {
    records: Mutex<BTreeMap<Vec<u8>, Versioned>>,
    feed: Arc<Feed>,
    commits: AtomicU64,
    conflicts: AtomicU64,
    reads: AtomicU64,
    scans: AtomicU64,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::with_capacity(Capacity::default())
    }

    /// An empty store whose feed keeps at most about `changes` changes for a replay.
    pub fn with_feed(changes: usize) -> Self {
        Self::with_capacity(Capacity { changes, ..Capacity::default() })
    }

    fn with_capacity(capacity: Capacity) -> Self {
        Self {
            records: Mutex::new(BTreeMap::new()),
            feed: Feed::new(Revision(0), capacity),
            commits: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            scans: AtomicU64::new(0),
        }
    }

    fn records(&self) -> Result<MutexGuard<'_, BTreeMap<Vec<u8>, Versioned>>, StoreError> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if self.feed.is_closed() { Err(StoreError::Closed) } else { Ok(records) }
    }

    fn apply(&self, guards: &[Guard], writes: Vec<Write>) -> Result<Revision, StoreError> {
        let mut records = self.records()?;
        let holds =
            |guard: &Guard| guard.holds(records.get(guard.key()).map(|found| found.revision));
        if !guards.iter().all(holds) {
            self.conflicts.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::Conflict);
        }
        let revision = Revision(self.feed.revision().0 + 1);
        let mut changes = Vec::with_capacity(writes.len());
        for write in writes {
            match write {
                Write::Put(key, value) => {
                    let kind = ChangeKind::Put(value.as_slice().into());
                    changes.push(Change { key: key.as_slice().into(), revision, kind });
                    records.insert(key, Versioned { value, revision });
                }
                Write::Delete(key) => {
                    if records.remove(&key).is_some() {
                        let kind = ChangeKind::Delete;
                        changes.push(Change { key: key.into(), revision, kind });
                    }
                }
            }
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        if changes.is_empty() {
            return Ok(self.feed.revision());
        }
        // Still under the lock: the feed has the order of the commits.
        self.feed.publish(revision, changes);
        Ok(revision)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for Memory {
    fn read<'a>(&'a self, key: &'a [u8]) -> Future<'a, Result<Option<Versioned>, StoreError>> {
        Box::pin(async move {
            check_key(key)?;
            self.reads.fetch_add(1, Ordering::Relaxed);
            Ok(self.records()?.get(key).cloned())
        })
    }

    fn scan<'a>(
        &'a self,
        range: KeyRange,
        limit: usize,
    ) -> Future<'a, Result<Vec<(Vec<u8>, Versioned)>, StoreError>> {
        Box::pin(async move {
            self.scans.fetch_add(1, Ordering::Relaxed);
            let records = self.records()?;
            if range.is_empty() {
                return Ok(Vec::new());
            }
            let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
            let found = records.range((Bound::Included(range.start), end)).take(limit);
            Ok(found.map(|(key, record)| (key.clone(), record.clone())).collect())
        })
    }

    fn commit<'a>(
        &'a self,
        guards: Vec<Guard>,
        writes: Vec<Write>,
    ) -> Future<'a, Result<Revision, StoreError>> {
        Box::pin(async move {
            check_commit(&guards, &writes)?;
            self.apply(&guards, writes)
        })
    }

    fn watch(&self, from: Option<Revision>) -> Result<Watch, StoreError> {
        self.feed.watch(from)
    }

    fn revision(&self) -> Revision {
        self.feed.revision()
    }

    fn erase<'a>(&'a self, keys: Vec<Vec<u8>>) -> Future<'a, Result<Revision, StoreError>> {
        Box::pin(async move {
            check_erasure(&keys)?;
            let revision = self.apply(&[], keys.iter().cloned().map(Write::Delete).collect())?;
            self.feed.forget(&keys, revision);
            Ok(revision)
        })
    }

    fn health(&self) -> Health {
        let closed = self.feed.is_closed();
        let revision = self.revision();
        Health { writable: !closed, closed, revision, queue_depth: 0, last_error: None }
    }

    fn statistics(&self) -> Statistics {
        let commits = self.commits.load(Ordering::Relaxed);
        Statistics {
            commits,
            groups: commits,
            conflicts: self.conflicts.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            scans: self.scans.load(Ordering::Relaxed),
            ..Statistics::default()
        }
    }

    fn close<'a>(&'a self) -> Future<'a, Result<(), StoreError>> {
        Box::pin(async move {
            // Under the lock, so that no commit is half way in.
            let _records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            self.feed.close();
            Ok(())
        })
    }
}
