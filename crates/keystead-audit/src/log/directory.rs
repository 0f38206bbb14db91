//! The directory of a log and its lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::LogError;
use crate::disk::{Disk, Identity, create_directory};
use crate::names;

/// A directory that this process holds the lock of.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    /// Held for as long as it is open.
    _lock: File,
    identity: Identity,
}

impl Directory {
    /// Makes the directory if it is missing, and locks it.
    pub(super) fn claim_or_create(path: &Path, group_readable: bool) -> Result<Self, LogError> {
        create_directory(path, group_readable)
            .map_err(|error| LogError::io("creating the directory", &error))?;
        Self::claim(path)
    }

    fn claim(path: &Path) -> Result<Self, LogError> {
        let failed = |error| LogError::io("opening the lock file", &error);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(names::lock(path))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::Locked),
            Err(TryLockError::Error(error)) => {
                return Err(LogError::io("locking the directory", &error));
            }
        }
        let found = lock.metadata().map_err(failed)?;
        let identity = (found.dev(), found.ino());
        Ok(Self { path: path.to_owned(), _lock: lock, identity })
    }

    /// Whether the lock that is held is still that of what the path names.
    pub(super) fn check(&self, disk: &dyn Disk) -> Result<(), LogError> {
        check(disk, &names::lock(&self.path), self.identity)
    }

    /// Locks what the path names now, if that is another directory. It is not made: where there
    /// was a mounted file system, a new directory would be on another one.
    pub(super) fn claim_again(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        match self.check(disk) {
            Err(LogError::Moved(_)) => *self = Self::claim(&self.path)?,
            found => found?,
        }
        Ok(())
    }
}

/// Refuses when a file is no longer under its name: the open handle would still take writes,
/// durably, into a file that nobody finds.
pub(super) fn check(disk: &dyn Disk, path: &Path, identity: Identity) -> Result<(), LogError> {
    let found =
        disk.identity(path).map_err(|error| LogError::io("looking for the log's files", &error))?;
    if found == Some(identity) {
        return Ok(());
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    Err(LogError::Moved(name.to_string_lossy().into_owned()))
}
