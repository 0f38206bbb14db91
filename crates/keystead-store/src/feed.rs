//! The feed of changes: a bounded ring of recent commits that any number of watches read.
//!
//! A watch keeps only its place in the ring. So a slow consumer costs no memory and delays nobody:
//! when the ring has moved past its place, it is told so.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::{Revision, StoreError};

/// One change of one record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// The record's key.
    pub key: Arc<[u8]>,
    /// The revision of the commit that changed it.
    pub revision: Revision,
    /// What happened.
    pub kind: ChangeKind,
}

/// What happened to a record.
#[derive(Clone, Eq, PartialEq)]
pub enum ChangeKind {
    /// It was written, with this value.
    Put(Arc<[u8]>),
    /// It was removed.
    Delete,
}

/// Prints the length of the value in place of the value.
impl fmt::Debug for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(value) => write!(f, "Put({} bytes)", value.len()),
            Self::Delete => f.write_str("Delete"),
        }
    }
}

/// The watch missed changes: whatever was derived from the store must be read again.
///
/// The watch itself goes on with the changes that are made after this was returned, so reading
/// again *now* misses nothing.
#[derive(Copy, Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the watch fell behind and missed changes")]
pub struct Lagged;

/// A place in the feed. Made by [`Store::watch`](crate::Store::watch).
pub struct Watch {
    feed: Arc<Feed>,
    signal: watch::Receiver<Signal>,
    seen: u64,
}

impl Watch {
    /// The next changes: those of one or more whole commits, in order. Waits if there are none.
    ///
    /// `None` when the store is closed and every change was delivered. Safe to cancel. A replay may
    /// lack older puts of a key that was erased later; the erasure's own change is always there.
    pub async fn next(&mut self) -> Option<Result<Vec<Change>, Lagged>> {
        loop {
            // The signal is marked as seen before the ring is looked at, so that a commit between
            // the two wakes us.
            let closed = self.signal.borrow_and_update().closed;
            if let Some(found) = self.try_next() {
                return Some(found);
            }
            if closed || self.signal.changed().await.is_err() {
                return None;
            }
        }
    }

    /// The next changes if there are some already.
    pub fn try_next(&mut self) -> Option<Result<Vec<Change>, Lagged>> {
        let ring = self.feed.ring();
        if self.seen >= ring.newest {
            return None;
        }
        if self.seen < ring.floor {
            self.seen = ring.newest;
            return Some(Err(Lagged));
        }
        let mut changes = Vec::new();
        let from = ring.commits.partition_point(|commit| commit.revision.0 <= self.seen);
        for commit in ring.commits.iter().skip(from) {
            if changes.len() >= DELIVERY {
                return Some(Ok(changes));
            }
            changes.extend(commit.changes.iter().cloned());
            self.seen = commit.revision.0;
        }
        // All that was left may have been puts of keys erased since.
        self.seen = ring.newest;
        (!changes.is_empty()).then_some(Ok(changes))
    }

    /// The revision up to which this watch has delivered.
    pub fn revision(&self) -> Revision {
        Revision(self.seen)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// How many changes a watch hands out at once, give or take one commit.
const DELIVERY: usize = 1_000;

/// How much the ring keeps.
#[derive(Copy, Clone)]
pub(crate) struct Capacity {
    /// Changes of records.
    pub(crate) changes: usize,
    /// Bytes of keys and values.
    pub(crate) bytes: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { changes: 10_000, bytes: 32 * 1024 * 1024 }
    }
}

/// The writing end.
pub(crate) struct Feed {
    ring: Mutex<Ring>,
    signal: watch::Sender<Signal>,
    capacity: Capacity,
}

struct Ring {
    commits: VecDeque<Commit>,
    changes: usize,
    bytes: usize,
    /// INVARIANT: every commit with a revision above `floor`, up to `newest`, is in `commits`.
    floor: u64,
    newest: u64,
}

struct Commit {
    revision: Revision,
    changes: Vec<Change>,
}

#[derive(Copy, Clone)]
struct Signal {
    newest: u64,
    closed: bool,
}

impl Feed {
    /// A feed without history, for a store at `revision`.
    pub(crate) fn new(revision: Revision, capacity: Capacity) -> Arc<Self> {
        let newest = revision.0;
        let ring = Ring { commits: VecDeque::new(), changes: 0, bytes: 0, floor: newest, newest };
        let signal = watch::Sender::new(Signal { newest, closed: false });
        Arc::new(Self { ring: Mutex::new(ring), signal, capacity })
    }

    /// Adds the changes of one commit.
    pub(crate) fn publish(&self, revision: Revision, changes: Vec<Change>) {
        {
            let mut ring = self.ring();
            ring.changes += changes.len();
            ring.bytes += changes.iter().map(size).sum::<usize>();
            ring.newest = revision.0;
            ring.commits.push_back(Commit { revision, changes });
            while ring.commits.len() > 1
                && (ring.changes > self.capacity.changes || ring.bytes > self.capacity.bytes)
            {
                ring.drop_oldest();
            }
        }
        self.signal.send_modify(|signal| signal.newest = revision.0);
    }

    /// Takes the values that `keys` had before `erased` out of the history.
    pub(crate) fn forget(&self, keys: &[Vec<u8>], erased: Revision) {
        let keys: HashSet<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let mut ring = self.ring();
        let (mut changes, mut bytes) = (0, 0);
        for commit in &mut ring.commits {
            commit.changes.retain(|change| {
                matches!(change.kind, ChangeKind::Delete)
                    || change.revision > erased
                    || !keys.contains(&*change.key)
            });
            changes += commit.changes.len();
            bytes += commit.changes.iter().map(size).sum::<usize>();
        }
        ring.changes = changes;
        ring.bytes = bytes;
    }

    /// A watch for the changes after `from`.
    pub(crate) fn watch(self: &Arc<Self>, from: Option<Revision>) -> Result<Watch, StoreError> {
        let signal = self.signal.subscribe();
        if signal.borrow().closed {
            return Err(StoreError::Closed);
        }
        let ring = self.ring();
        let seen = from.map_or(ring.newest, |revision| revision.0);
        if seen < ring.floor || seen > ring.newest {
            return Err(StoreError::Compacted { oldest: Revision(ring.floor) });
        }
        Ok(Watch { feed: Arc::clone(self), signal, seen })
    }

    /// The newest revision.
    pub(crate) fn revision(&self) -> Revision {
        Revision(self.signal.borrow().newest)
    }

    /// Ends the feed.
    pub(crate) fn close(&self) {
        self.signal.send_modify(|signal| signal.closed = true);
    }

    /// Whether the feed was ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.signal.borrow().closed
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.commits.pop_front() {
            self.changes -= oldest.changes.len();
            self.bytes -= oldest.changes.iter().map(size).sum::<usize>();
            self.floor = oldest.revision.0;
        }
    }
}

fn size(change: &Change) -> usize {
    match &change.kind {
        ChangeKind::Put(value) => change.key.len() + value.len(),
        ChangeKind::Delete => change.key.len(),
    }
}
