//! What can go wrong, without ever naming a value.

use std::fmt;

use crate::Revision;
use crate::limits::{MAX_COMMIT_BYTES, MAX_KEY_BYTES, MAX_OPERATIONS, MAX_VALUE_BYTES};

/// Why the store did not do what was asked.
///
/// Texts name files, sizes and the engine's codes; never a value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A guard does not hold. Read again and retry, or give up.
    #[error("a guard of the commit does not hold")]
    Conflict,
    /// The caller asks for what no backend offers: a bug in the caller, or input it should have
    /// bounded.
    #[error("not possible in this store: {0}")]
    Limit(Limit),
    /// No space left on the device, a quota, or the configured size of the store. Reads go on, and
    /// commits too once there is space.
    #[error("no space left for the store")]
    Full,
    /// The file system or the file does not permit writing.
    #[error("the store is read-only")]
    ReadOnly,
    /// The device or the operating system failed.
    #[error("input or output failed: {0}")]
    Io(String),
    /// The store's files are damaged: cut short, overwritten, or not consistent.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// The file is no Keystead store. It was left as it is.
    #[error("not a Keystead store: {0}")]
    Foreign(String),
    /// The store was written by a newer release. It was left as it is.
    #[error("the store has format {found}, this release reads up to {supported}")]
    Newer {
        /// The format of the files.
        found: u32,
        /// The newest format that this release reads.
        supported: u32,
    },
    /// There is no store in the directory, and creating one was not asked for.
    #[error("there is no store in the directory")]
    Missing,
    /// The target of a backup or restore exists already.
    #[error("`{0}` exists already")]
    Exists(String),
    /// Another process (or another handle in this one) has the store open.
    #[error("the store is in use by another process")]
    Locked,
    /// Another process held the files for too long.
    #[error("the store's files are busy")]
    Busy,
    /// The changes asked for are no longer, or not yet, in the feed.
    #[error("the feed begins at revision {oldest}")]
    Compacted {
        /// The oldest revision that a watch can start from at present.
        oldest: Revision,
    },
    /// Bytes of erased values are still in the store's file although it was rewritten. Please
    /// report this as a bug.
    #[error("bytes of erased values remain in the store's files")]
    Remnant,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// An operating system error, met while `doing` something.
    pub(crate) fn io(doing: &str, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Io(format!("{doing}: {error}")),
        }
    }
}

/// A bound that every backend shares.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Limit {
    /// A key has no bytes.
    EmptyKey,
    /// A key is longer than [`MAX_KEY_BYTES`].
    KeyBytes,
    /// A value is longer than [`MAX_VALUE_BYTES`].
    ValueBytes,
    /// More than [`MAX_OPERATIONS`] guards or writes.
    Operations,
    /// The keys and values of a commit take more than [`MAX_COMMIT_BYTES`].
    CommitBytes,
    /// A commit writes one key twice.
    DuplicateKey,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyKey => f.write_str("a key without bytes"),
            Self::KeyBytes => write!(f, "a key of more than {MAX_KEY_BYTES} bytes"),
            Self::ValueBytes => write!(f, "a value of more than {MAX_VALUE_BYTES} bytes"),
            Self::Operations => write!(f, "more than {MAX_OPERATIONS} guards or writes"),
            Self::CommitBytes => write!(f, "a commit of more than {MAX_COMMIT_BYTES} bytes"),
            Self::DuplicateKey => f.write_str("one key written twice in a commit"),
        }
    }
}
