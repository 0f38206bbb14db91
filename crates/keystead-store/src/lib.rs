//! An ordered key-value store with guarded commits and a change feed.
//!
//! The store keeps opaque keys and opaque values. It never learns what a value means, never sees
//! plaintext key material, and never puts a value into an error, a log line or a metric.
//!
//! # The contract
//!
//! Every backend keeps exactly these promises, and one suite of tests runs over each of them.
//!
//! - **Durable**: when [`Store::commit`] answers `Ok`, the commit survives a crash of the process
//!   and of the machine, as far as the disk honours a flush ([`memory`] promises only the life of
//!   the process). When it answers an error, nothing of the commit is visible. One error is less
//!   certain: after [`StoreError::Io`] a commit that is not visible now may appear after a restart,
//!   since its bytes may have reached the disk. A retry with the same guards is safe in any case.
//! - **Atomic**: all guards hold and all writes happen, or nothing does.
//! - **Linear**: commits form one sequence. A read that starts after a commit was acknowledged sees
//!   it; a scan sees one instant of the sequence.
//! - **Revisions**: one counter for the whole store, one higher for each commit that changes
//!   something. Every record carries the revision of the commit that last wrote it (etcd's
//!   `mod_revision`), so that [`Guard::At`] fails when a record was deleted and made again. A put of
//!   an equal value is a change; a delete of an absent key is none, and a commit that changes
//!   nothing answers the newest revision.
//! - **Order**: keys are ordered bytewise, unsigned.
//! - **Feed**: [`Store::watch`] gives the changes in the order of their revisions, never a part of a
//!   commit. A change is in the feed before its commit is acknowledged.
//!
//! # Example
//!
//! ```
//! use keystead_store::{Guard, Store, StoreError, Write, memory::Memory};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), StoreError> {
//! let store = Memory::new();
//! let key = b"counter".to_vec();
//! let first = store
//!     .commit(vec![Guard::Absent(key.clone())], vec![Write::Put(key.clone(), vec![1])])
//!     .await?;
//! let next = store
//!     .commit(vec![Guard::At(key.clone(), first)], vec![Write::Put(key.clone(), vec![2])])
//!     .await?;
//! assert!(next > first);
//! # Ok(())
//! # }
//! ```
//!
//! Read [`embedded`] next: the store of one machine.

pub mod embedded;
mod error;
mod feed;
mod health;
mod limits;
pub mod memory;

use std::fmt;
use std::pin::Pin;

pub use error::{Limit, StoreError};
pub use feed::{Change, ChangeKind, Lagged, Watch};
pub use health::{Health, Statistics};
pub use limits::{MAX_COMMIT_BYTES, MAX_KEY_BYTES, MAX_OPERATIONS, MAX_VALUE_BYTES};

/// A boxed future, so that [`Store`] can be used as a trait object.
pub type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// The store. See the crate's documentation for what every method promises.
///
/// Dropping a returned future does not take back a commit or an erasure that was already handed
/// over: it may still happen.
pub trait Store: Send + Sync + 'static {
    /// The record under `key`, or `None`.
    ///
    /// # Errors
    /// [`StoreError::Limit`] for a key that no record can have; backend errors otherwise.
    fn read<'a>(&'a self, key: &'a [u8]) -> Future<'a, Result<Option<Versioned>, StoreError>>;

    /// At most `limit` records of `range` in ascending order of their keys, as of one instant.
    ///
    /// A page shorter than `limit` is the last one. For the next page, ask with
    /// [`KeyRange::after`] the last key; pages are not taken at one common instant.
    #[allow(clippy::type_complexity, reason = "a name for it would hide what a page is")]
    fn scan<'a>(
        &'a self,
        range: KeyRange,
        limit: usize,
    ) -> Future<'a, Result<Vec<(Vec<u8>, Versioned)>, StoreError>>;

    /// Performs `writes` if all `guards` hold, durably, and answers the revision of the commit.
    ///
    /// No key may be written twice in one commit.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if a guard does not hold, [`StoreError::Limit`] if the commit is
    /// malformed or too large, [`StoreError::Full`] and others if it could not be made durable.
    fn commit<'a>(
        &'a self,
        guards: Vec<Guard>,
        writes: Vec<Write>,
    ) -> Future<'a, Result<Revision, StoreError>>;

    /// The feed of all changes with a revision greater than `from`; `None` is "from now on".
    ///
    /// To follow the store from a known state: open the watch, then scan, then apply every change
    /// whose revision is greater than that of the record at hand.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] if changes after `from` are no longer kept, or if `from` is in the
    /// future (as after a restore of an older state): scan again and start from `None`.
    fn watch(&self, from: Option<Revision>) -> Result<Watch, StoreError>;

    /// The newest revision in this handle's feed. Does no I/O; cheap enough for each request.
    ///
    /// Once a commit through this handle answered revision R, this is R or more.
    fn revision(&self) -> Revision;

    /// Deletes `keys` such that afterwards the bytes of the values they held are in no file of the
    /// store, and in no replay of its feed. Absent keys are no error.
    ///
    /// It covers the value each key holds when the erasure takes place: a value that was replaced
    /// or plainly deleted before is not looked for. When it answers an error other than
    /// [`StoreError::Limit`], the records may be deleted already while their bytes are still in a
    /// file; the next erasure, or the next opening of the store, finishes the work.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if a long reader (a backup) kept the files from being cleaned,
    /// [`StoreError::Remnant`] if the bytes are still found after the store was rewritten.
    fn erase<'a>(&'a self, keys: Vec<Vec<u8>>) -> Future<'a, Result<Revision, StoreError>>;

    /// Whether the store can do its work, from what its last attempts showed. Does no I/O.
    fn health(&self) -> Health;

    /// Counters since the store was opened.
    fn statistics(&self) -> Statistics;

    /// Ends the store: what was handed over is finished, everything later answers
    /// [`StoreError::Closed`], watches end after the last change. Closing twice is no error.
    fn close<'a>(&'a self) -> Future<'a, Result<(), StoreError>>;
}

/// A place in the store's one sequence of commits. The empty store is at 0.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What must hold for a commit to happen.
#[derive(Clone, Eq, PartialEq)]
pub enum Guard {
    /// No record has this key.
    Absent(Vec<u8>),
    /// The record with this key was last written by the commit of this revision.
    At(Vec<u8>, Revision),
}

impl Guard {
    /// The key that the guard is about.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Absent(key) | Self::At(key, _) => key,
        }
    }

    /// Whether the guard holds for a record at `found`, `None` being no record.
    pub(crate) fn holds(&self, found: Option<Revision>) -> bool {
        match self {
            Self::Absent(_) => found.is_none(),
            Self::At(_, revision) => found == Some(*revision),
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(key) => write!(f, "Absent({})", key.escape_ascii()),
            Self::At(key, revision) => write!(f, "At({}, {revision})", key.escape_ascii()),
        }
    }
}

/// One write of a commit.
#[derive(Clone, Eq, PartialEq)]
pub enum Write {
    /// Sets the value of a key, whether or not it has one.
    Put(Vec<u8>, Vec<u8>),
    /// Removes the record of a key, if there is one.
    Delete(Vec<u8>),
}

impl Write {
    /// The key that is written.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put(key, _) | Self::Delete(key) => key,
        }
    }
}

/// Prints the length of a value in place of the value.
impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(key, value) => {
                write!(f, "Put({}, {} bytes)", key.escape_ascii(), value.len())
            }
            Self::Delete(key) => write!(f, "Delete({})", key.escape_ascii()),
        }
    }
}

/// A value and the commit that wrote it.
#[derive(Clone, Eq, PartialEq)]
pub struct Versioned {
    /// The value.
    pub value: Vec<u8>,
    /// The revision of the record's last modification.
    pub revision: Revision,
}

/// Prints the length of the value in place of the value.
impl fmt::Debug for Versioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Versioned({} bytes at {})", self.value.len(), self.revision)
    }
}

/// A range of keys: from `start`, to but not including `end`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyRange {
    /// The first key of the range, whether or not it exists.
    pub start: Vec<u8>,
    /// The first key beyond the range; `None`: the range has no upper end.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self::default()
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let start = prefix.into();
        let mut end = start.clone();
        // The successor of a prefix: its last byte that can grow grows by one, what follows is cut.
        while let Some(last) = end.pop() {
            if let Some(next) = last.checked_add(1) {
                end.push(next);
                return Self { start, end: Some(end) };
            }
        }
        Self { start, end: None }
    }

    /// The part of this range behind `key`: the next page after a page that ended with `key`.
    pub fn after(mut self, key: &[u8]) -> Self {
        if key >= self.start.as_slice() {
            // The smallest key greater than `key` is `key` with a zero byte behind it.
            self.start = [key, &[0]].concat();
        }
        self
    }

    /// Whether no key can be in the range.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::{Guard, KeyRange, Revision, Versioned, Write};

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(KeyRange::prefix("a/").end.as_deref(), Some(&b"a0"[..]));
        assert_eq!(KeyRange::prefix([1, 0xff, 0xff]).end.as_deref(), Some(&[2][..]));
        assert_eq!(KeyRange::prefix([0xff, 0xff]).end, None);
        assert_eq!(KeyRange::prefix(""), KeyRange::all());
    }

    #[test]
    fn after_moves_forward_only() {
        let range = KeyRange::prefix("b");
        assert_eq!(range.clone().after(b"a").start, b"b");
        assert_eq!(range.clone().after(b"b").start, b"b\0");
        assert!(range.clone().after(b"c").is_empty());
        assert!(!range.after(b"bz").is_empty());
    }

    #[test]
    fn nothing_prints_a_value() {
        let value = b"planted-secret".to_vec();
        let printed = format!(
            "{:?} {:?} {:?}",
            Write::Put(b"k".to_vec(), value.clone()),
            Versioned { value, revision: Revision(1) },
            Guard::At(b"k".to_vec(), Revision(1)),
        );
        assert!(!printed.contains("planted"), "{printed}");
    }
}
